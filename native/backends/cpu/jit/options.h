// What FUNCNN_JIT asks of the generator of machine code: words with commas between.
#pragma once

#include <string>
#include <string_view>

namespace funcnn::cpu::jit {

struct Options {
  bool on = false;      // "1"; "0": everything is interpreted
  bool always = false;  // "always": programs are compiled before their first run
  bool verify = false;  // "verify": they are interpreted too, and have to give the same bits
  bool perf = false;    // "perf": /tmp/perf-PID.map names them for `perf report`
  std::string dump;     // "dump:FOLDER": programs and their code are written there
};

// Throws ValueError at a word it does not know. Without "0" or "1" the generator is on where it has been proven, which
// is Linux, or where any other word is there.
Options parse_options(std::string_view text);

// Of the environment, read once.
const Options& options();

}  // namespace funcnn::cpu::jit
