// Docstrings of functions that differ only in what a table says.
#pragma once

#include <string>
#include <string_view>

namespace funcnn {

// "summary", a blank line, "details" if there are any, and a doctest: "call" prints "result".
inline std::string document(std::string_view summary, std::string_view details, std::string_view call,
                            std::string_view result) {
  std::string text(summary);
  text += "\n";
  if (!details.empty()) (text += "\n") += std::string(details) + "\n";
  if (!call.empty()) {
    text += "\nExample:\n    >>> ";
    text += call;
    text += "\n    ";
    for (char c : result) {
      text += c;
      if (c == '\n') text += "    ";
    }
    text += "\n";
  }
  return text;
}

}  // namespace funcnn
