// The kernels of a translation unit: their signatures, and the instantiations of those that are templates.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tokens.h"

namespace software_metal {

struct KernelParameter {
  enum Kind { buffer, optional_buffer, shared, builtin } kind;
  int index = -1;
};

struct KernelSignature {
  std::string host_name;
  bool is_template = false;
  std::string most_threads = "0";  // an expression
  std::vector<KernelParameter> parameters;
};

// What the table of a program begins with; it comes last.
inline constexpr const char* kTableStart = "\n# 1 \"kernels\"\n";

struct Instantiation {
  std::string host_name, kernel;
  std::string function;  // an expression for its address
};

struct Kernels {
  std::map<std::string, KernelSignature> signatures;
  std::vector<Instantiation> instantiations;

  // Takes both out of the tokens: instantiations vanish, kernels become functions.
  static Kernels take(Tokens& tokens);
  // The definition of `software_metal_kernels`.
  std::string table() const;
};

// The items of [[a, b(c)]] that starts at i; `end` becomes what follows.
std::vector<std::string> attribute_items(const Tokens& tokens, int i, int& end);

}  // namespace software_metal
