// Foundation's classes that Metal's interface speaks of.
#pragma once

#include <string>
#include <vector>

#include "object.h"

namespace software_metal {

struct String final : Object {
  explicit String(std::string text);
  std::string text;
};

struct Array final : Object {
  explicit Array(std::vector<Ref<Object>> objects);
  std::vector<Ref<Object>> objects;
};

struct Error final : Object {
  Error(std::string domain, long code, std::string description);
  std::string domain;
  long code;
  Ref<String> description;
};

struct Url final : Object {
  explicit Url(std::string path);
  std::string path;
};

// Through the pointer that a method has for its error; null is allowed there.
void give_error(Error** to, std::string domain, long code, std::string description);

// "" for nil.
std::string text_of(const String* string);

}  // namespace software_metal
