// Operations by their names and the texts of their parameters.
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "graph/array.h"

namespace funcnn {

// Parameters as primitives print them: "axes=(0, 1), reverse=True".
class Parameters {
 public:
  explicit Parameters(std::string_view text) : text_(text) {}

  std::string_view text() const { return text_; }
  bool has(std::string_view word) const { return text_.find(word) != std::string_view::npos; }
  // The text after "key=", up to a comma.
  std::string_view word(std::string_view key) const {
    std::string_view rest = after(key);
    return rest.substr(0, rest.find(','));
  }
  int64_t integer(std::string_view key) const { return number<int64_t>(word(key)); }
  double real(std::string_view key) const { return number<double>(word(key)); }
  // The integers after "key=", between brackets.
  Shape list(std::string_view key) const { return integers(after(key)); }
  Shape list(std::string_view key, const Shape& missing) const {
    return has(std::string(key) + "=") ? list(key) : missing;
  }
  static Shape integers(std::string_view text) {
    size_t open = text.find_first_of("(["), close = text.find_first_of(")]");
    if (open == text.npos || close == text.npos || close < open) refuse();
    Shape out;
    for (size_t at = open + 1; at < close;) {
      size_t end = std::min(text.find(',', at), close);
      std::string_view item = text.substr(at, end - at);
      while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
      if (!item.empty()) out.push_back(number<int64_t>(item));
      at = end + 1;
    }
    return out;
  }
  std::string_view after(std::string_view key) const {
    size_t at = text_.find(std::string(key) + "=");
    if (at == text_.npos) refuse();
    return text_.substr(at + key.size() + 1);
  }

 private:
  [[noreturn]] static void refuse() { throw ValueError("a written graph has malformed parameters"); }
  template <class T>
  static T number(std::string_view text) {
    T value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) refuse();
    return value;
  }
  std::string_view text_;
};

// The results of an operation, which must have the avals `outputs`. ValueError if there is no such operation, or its
// operands do not fit it: nothing that comes from a file is trusted.
Arrays remake(const std::string& name, const std::string& parameters, Span inputs, const std::vector<Aval>& outputs);

// Raise that a written graph is malformed unless operands fit the operation of this name.
void require(bool fits, const char* name);

}  // namespace funcnn
