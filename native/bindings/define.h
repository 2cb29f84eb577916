// Defining a function of the module together with the method of the same name.
#pragma once

#include <string>

#include "bindings/array.h"
#include "bindings/docs.h"

namespace funcnn {

struct Words {
  const char* parameters;  // of the signature, after the array
  std::string doc;
  const char* returns = "array";
};

// NAME(x, ...) of the module: `function` takes nb::handle first.
template <class F, class... Args>
void define_function(nb::module_& m, const char* name, F function, const Words& words, const Args&... args) {
  std::string rest = *words.parameters ? cat(", ", words.parameters) : std::string();
  m.def(name, function, nb::arg("x"), args...,
        nb::sig(cat("def ", name, "(x: ArrayLike, /", rest, ") -> ", words.returns).c_str()), words.doc.c_str());
}

// The same and the method x.NAME(...).
template <class F, class... Args>
void define_both(nb::module_& m, const char* name, F function, const Words& words, const Args&... args) {
  define_function(m, name, function, words, args...);
  std::string rest = *words.parameters ? cat(", ", words.parameters) : std::string();
  std::string summary = words.doc.substr(0, words.doc.find('\n'));
  def_method(name, function, args..., nb::sig(cat("def ", name, "(self", rest, ") -> ", words.returns).c_str()),
             cat(summary, "\n\nSee `funcnn.", name, "`.").c_str());
}

// "NAME(ARGUMENTS)" of the example prints RESULT.
inline std::string example(const char* name, std::string_view summary, std::string_view details,
                           std::string_view arguments, std::string_view result) {
  return document(summary, details, cat("fn.", name, "(", arguments, ")"), result);
}

// Optional arguments.
inline auto or_none(const char* name) { return nb::arg(name).none() = nb::none(); }
inline std::optional<int64_t> optional_integer(nb::handle object, const char* what) {
  if (object.is_none()) return std::nullopt;
  return integer_of(object, what);
}

}  // namespace funcnn
