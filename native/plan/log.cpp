#include "plan/log.h"

#include <cstdio>
#include <cstdlib>

namespace funcnn {

bool log_enabled(std::string_view topic) {
  static const char* setting = std::getenv("FUNCNN_LOG");
  if (!setting) return false;
  std::string_view rest = setting;
  while (!rest.empty()) {
    size_t comma = rest.find(',');
    if (rest.substr(0, comma) == topic) return true;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return false;
}

void log_line(std::string_view topic, const std::string& text) {
  std::fprintf(stderr, "funcnn %.*s: %s\n", int(topic.size()), topic.data(), text.c_str());
}

}  // namespace funcnn
