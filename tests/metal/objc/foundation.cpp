#include "foundation.h"

#include <sys/utsname.h>
#include <unistd.h>

namespace software_metal {
namespace {

using Unsigned = unsigned long;

const Class& string_class() {
  static const Class* made =
      &(new Class("NSString", &object_class()))
           ->class_method("stringWithUTF8String:",
                          [](Class*, Selector, const char* text) -> String* {
                            if (!text) misuse("stringWithUTF8String: of a null pointer");
                            return autoreleased(new String(text));
                          })
           .class_method("stringWithCString:encoding:",
                         [](Class*, Selector, const char* text, Unsigned) { return autoreleased(new String(text)); })
           .method("UTF8String", [](String* self, Selector) { return self->text.c_str(); })
           .method("length", [](String* self, Selector) { return Unsigned(self->text.size()); });
  return *made;
}

const Class& array_class() {
  static const Class* made =
      &(new Class("NSArray", &object_class()))
           ->method("count", [](Array* self, Selector) { return Unsigned(self->objects.size()); })
           .method("objectAtIndex:", [](Array* self, Selector, Unsigned index) {
             if (index >= self->objects.size()) misuse("objectAtIndex: past the end of an NSArray");
             return self->objects[index].get();
           });
  return *made;
}

const Class& error_class() {
  static const Class* made =
      &(new Class("NSError", &object_class()))
           ->method("localizedDescription", [](Error* self, Selector) { return self->description.get(); })
           .method("domain", [](Error* self, Selector) { return autoreleased(new String(self->domain)); })
           .method("code", [](Error* self, Selector) { return self->code; });
  return *made;
}

const Class& url_class() {
  static const Class* made =
      &(new Class("NSURL", &object_class()))
           ->class_method("fileURLWithPath:",
                          [](Class*, Selector, String* path) { return autoreleased(new Url(text_of(path))); })
           .method("path", [](Url* self, Selector) { return autoreleased(new String(self->path)); });
  return *made;
}

struct ProcessInfo final : Object {
  using Object::Object;
};
struct Version {
  long major, minor, patch;
};

// The system says that it is macOS 15.
const Class& process_info_class() {
  static const Class* made = [] {
    auto* info = new Class("NSProcessInfo", &object_class());
    info->class_method("processInfo", [](Class* self, Selector) {
      static auto* shared = new ProcessInfo(*self);
      return shared;
    });
    info->method("isOperatingSystemAtLeastVersion:",
                 [](ProcessInfo*, Selector, Version version) { return (signed char)(version.major <= 15); });
    return info;
  }();
  return *made;
}

struct PoolObject final : Object {
  using Object::Object;
  Pool pool;
};

const Class& pool_class() {
  static const Class* made = &(new Class("NSAutoreleasePool", &object_class()))
                                  ->class_method("alloc", [](Class* self, Selector) { return new PoolObject(*self); })
                                  .method("drain", [](PoolObject* self, Selector) { self->release(); });
  return *made;
}

// Classes are found by name before anything made one of them.
const bool registered =
    (string_class(), array_class(), error_class(), url_class(), process_info_class(), pool_class(), true);

}  // namespace

String::String(std::string text) : Object(string_class()), text(std::move(text)) {}
Array::Array(std::vector<Ref<Object>> objects) : Object(array_class()), objects(std::move(objects)) {}
Error::Error(std::string domain, long code, std::string description)
    : Object(error_class()),
      domain(std::move(domain)),
      code(code),
      description(adopt(new String(std::move(description)))) {}
Url::Url(std::string path) : Object(url_class()), path(std::move(path)) {}

void give_error(Error** to, std::string domain, long code, std::string description) {
  if (to) *to = autoreleased(new Error(std::move(domain), code, std::move(description)));
}

std::string text_of(const String* string) { return string ? string->text : std::string(); }

}  // namespace software_metal
