#include "backends/cpu/jit/settings.h"

#include <cstdlib>

#include "base/error.h"

namespace funcnn::cpu::jit {

Settings parse_settings(std::string_view text) {
  Settings out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (word == "0") {
      out.enabled = false;
    } else if (word == "always") {
      out.always = true;
    } else if (word == "verify") {
      out.verify = true;
    } else if (word == "perf") {
      out.perf = true;
    } else if (word.starts_with("dump:") && word.size() > 5) {
      out.dump = word.substr(5);
    } else if (!word.empty() && word != "1") {
      throw ValueError(cat("FUNCNN_JIT: expected 0, 1, always, verify, perf or dump:FOLDER; got ", word));
    }
  }
  return out;
}

const Settings& settings() {
  static const Settings all = [] {
    const char* text = std::getenv("FUNCNN_JIT");
    return parse_settings(text ? text : "");
  }();
  return all;
}

}  // namespace funcnn::cpu::jit
