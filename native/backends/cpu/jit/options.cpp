#include "backends/cpu/jit/options.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"

namespace funcnn::cpu::jit {
namespace {

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
constexpr bool kOnByDefault = true;
#else
constexpr bool kOnByDefault = false;
#endif

}  // namespace

Options parse_options(std::string_view text) {
  Options o;
  bool off = false;
  constexpr std::string_view kDump = "dump:";
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (word == "0")
      off = true;
    else if (word == "1")
      o.on = true;
    else if (word == "always")
      o.on = o.always = true;
    else if (word == "verify")
      o.on = o.verify = true;
#if defined(__linux__)
    else if (word == "perf")
      o.on = o.perf = true;
#endif
    else if (word.starts_with(kDump) && word.size() > kDump.size())
      o.on = true, o.dump = word.substr(kDump.size());
    else
      throw ValueError(cat("FUNCNN_JIT: expected 0, 1, always, verify, ",
#if defined(__linux__)
                           "perf, ",
#endif
                           "dump:FOLDER, or several with commas between; got \"", word, "\" in \"", text, "\""));
  }
  if (off && o.on) throw ValueError(cat("FUNCNN_JIT: 0 switches off what the other words ask for; got \"", text, "\""));
  if (text.empty()) o.on = kOnByDefault;
  return o;
}

const Options& options() {
  static const Options of_environment = [] {
    const char* set = std::getenv("FUNCNN_JIT");
    return parse_options(set ? set : "");
  }();
  return of_environment;
}

}  // namespace funcnn::cpu::jit
