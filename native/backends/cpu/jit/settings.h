// What FUNCNN_JIT asks for: words between commas.
#pragma once

#include <string>
#include <string_view>

namespace funcnn::cpu::jit {

struct Settings {
  bool enabled = true;  // "0": everything is interpreted
  bool always = false;  // compile at the first run
  bool verify = false;  // run both and raise where results differ
  bool perf = false;    // tell perf where functions lie
  std::string dump;     // "dump:FOLDER": write programs and code there
};
// Raises ValueError naming a word that means nothing.
Settings parse_settings(std::string_view text);
const Settings& settings();

}  // namespace funcnn::cpu::jit
