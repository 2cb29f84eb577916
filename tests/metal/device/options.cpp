#include "options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#ifndef SOFTWARE_METAL_COMPILER
#define SOFTWARE_METAL_COMPILER "clang"
#endif

namespace software_metal {
namespace {

std::string text(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

unsigned number(const char* name, unsigned otherwise) {
  std::string value = text(name, "");
  if (value.empty()) return otherwise;
  size_t used = 0;
  unsigned long result = 0;
  try {
    result = std::stoul(value, &used);
  } catch (const std::exception&) {
  }
  if (used != value.size() || result > 0xffffffff)
    throw std::invalid_argument(std::string(name) + " must be a whole number, not " + value);
  return unsigned(result);
}

std::string default_cache() {
  std::string base = text("XDG_CACHE_HOME", "");
  if (base.empty()) base = text("HOME", "/tmp") + "/.cache";
  return base + "/funcnn/software_metal";
}

Options read() {
  Options options;
  options.check = number("SOFTWARE_METAL_CHECK", 0);
  options.strict = number("SOFTWARE_METAL_STRICT", 0);
  options.poison = number("SOFTWARE_METAL_POISON", options.check);
  options.shuffle = number("SOFTWARE_METAL_SHUFFLE", 0);
  options.workers = std::clamp(number("SOFTWARE_METAL_WORKERS", std::thread::hardware_concurrency()), 1u, 64u);
  options.cache = text("SOFTWARE_METAL_CACHE", default_cache());
  options.compiler = text("SOFTWARE_METAL_CLANG", SOFTWARE_METAL_COMPILER);
  options.keep = number("SOFTWARE_METAL_KEEP", 0);
  options.trace = number("SOFTWARE_METAL_TRACE", 0);
  return options;
}

Options& current() {
  static auto* options = new Options(read());
  return *options;
}

}  // namespace

const Options& options() { return current(); }

}  // namespace software_metal

// Reads the environment again. Only while nothing runs: for tests of the device.
extern "C" void software_metal_read_options() { software_metal::current() = software_metal::read(); }

// Which compiler makes kernels.
extern "C" const char* software_metal_compiler() { return software_metal::options().compiler.c_str(); }
