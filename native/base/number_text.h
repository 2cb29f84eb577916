// Numbers in texts that are read again.
#pragma once

#include <charconv>
#include <string>

namespace funcnn {

// The shortest text that stands for exactly this number.
inline std::string number_text(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace funcnn
