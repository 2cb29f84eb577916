#include "compile.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

#include "../device/clock.h"
#include "../device/options.h"
#include "driver.h"
#include "preprocess.h"
#include "process.h"
#include "tokens.h"
#include "translate.h"

#ifndef SOFTWARE_METAL_SHIM
#error "SOFTWARE_METAL_SHIM is the folder of the shim, SOFTWARE_METAL_VERSION a hash of the translator"
#endif

namespace software_metal {
namespace {

namespace fs = std::filesystem;

// FNV-1a with 128 bits: keys of the cache.
class Hash {
 public:
  void add(const std::string& text) {
    for (unsigned char c : text) state_ = (state_ ^ c) * kPrime;
    state_ = (state_ ^ 0x100) * kPrime;
  }
  std::string str() const {
    char digits[33];
    std::snprintf(digits, sizeof digits, "%016llx%016llx", (unsigned long long)(state_ >> 64),
                  (unsigned long long)state_);
    return digits;
  }

 private:
  static constexpr unsigned __int128 kPrime = ((unsigned __int128)1 << 88) + 0x13b;
  unsigned __int128 state_ = ((unsigned __int128)0x6c62272e07bb0142 << 64) + 0x62b821756295c58d;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Everything but the source that a compiled kernel depends on.
const std::string& environment_hash() {
  static const std::string* hash = [] {
    Hash made;
    made.add(SOFTWARE_METAL_VERSION);
    std::vector<fs::path> headers;
    for (const auto& entry : fs::directory_iterator(SOFTWARE_METAL_SHIM)) headers.push_back(entry.path());
    headers.push_back(fs::path(SOFTWARE_METAL_SHIM) / "../device/kernel_abi.h");
    std::sort(headers.begin(), headers.end());
    for (const auto& header : headers) made.add(read_file(header));
    made.add(run_process({options().compiler, "--version"}, "").output);
    return new std::string(made.str());
  }();
  return *hash;
}

// This library: kernels are linked with it.
std::string own_path() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&own_path), &info)) throw std::runtime_error("dladdr finds nothing");
  return info.dli_fname;
}

std::vector<std::string> compiler_flags(const CompileRequest& request) {
  std::vector<std::string> flags{options().compiler,
                                 "-x",
                                 "c++",
                                 "-std=c++17",
                                 "-O1",
                                 "-fPIC",
                                 "-nostdinc",
                                 "-nostdinc++",
                                 "-fno-exceptions",
                                 "-fno-rtti",
                                 "-fno-math-errno",
                                 "-fno-strict-aliasing",
                                 "-fwrapv",
                                 "-ffp-contract=off",
                                 "-fvisibility=hidden",
                                 "-fno-asynchronous-unwind-tables",
                                 "-w",
                                 "-ferror-limit=8",
                                 "-fno-caret-diagnostics"};
  if (options().check) {
    flags.insert(flags.end(),
                 {"-fsanitize=thread", "-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm",
                  "-tsan-instrument-atomics=0", "-mllvm", "-tsan-instrument-read-before-write=1",
                  "-fsanitize=alignment,bounds,shift-exponent,integer-divide-by-zero", "-fno-sanitize-link-runtime"});
  }
  (void)request;
  return flags;
}

// A new file that becomes `path` when it is whole: other processes see all of it or nothing.
class Fresh {
 public:
  explicit Fresh(fs::path path) : path_(std::move(path)), partial_(path_.string() + ".XXXXXX") {
    int file = mkstemp(partial_.data());
    if (file < 0) throw std::runtime_error("no file can be made in " + path_.parent_path().string());
    close(file);
  }
  ~Fresh() {
    if (!done_) unlink(partial_.c_str());
  }
  Fresh(const Fresh&) = delete;
  const std::string& partial() const { return partial_; }
  void finish() {
    fs::rename(partial_, path_);
    done_ = true;
  }

 private:
  fs::path path_;
  std::string partial_;
  bool done_ = false;
};

// The shim, precompiled for these flags.
std::string precompiled_shim(const fs::path& folder, const std::vector<std::string>& flags) {
  Hash key;
  key.add(environment_hash());
  key.add(SOFTWARE_METAL_SHIM);  // it names its headers by their places
  for (const std::string& flag : flags) key.add(flag);
  fs::path path = folder / ("shim-" + key.str() + ".pch");
  if (fs::exists(path)) return path.string();
  Fresh fresh(path);
  std::vector<std::string> command = flags;
  command[2] = "c++-header";
  // The key holds what the headers say; when they were written, a new checkout at the same place changes.
  command.insert(command.end(), {"-Xclang", "-fno-pch-timestamp"});
  command.insert(command.end(), {"-o", fresh.partial(), std::string(SOFTWARE_METAL_SHIM) + "/metal.h"});
  Finished compiled = run_process(command, "");
  if (!compiled.ok) throw CompileError("the shim does not compile: " + compiled.output);
  fresh.finish();
  return path.string();
}

// Asks once for these flags.
const Driver& driver(const std::vector<std::string>& flags) {
  static std::mutex mutex;
  static std::map<std::vector<std::string>, Driver> drivers;
  std::lock_guard lock(mutex);
  auto found = drivers.find(flags);
  if (found != drivers.end()) return found->second;
  std::vector<std::string> command = flags;
  if (options().check)
    for (const char* name : {"memcpy", "memmove", "memset"}) command.push_back(std::string("-Wl,--wrap=") + name);
  command.insert(command.end(), {"-include-pch", kShim, "-shared", "-nostdlib", "-Wl,--hash-style=gnu", "-o", kOutput,
                                 "-", "-x", "none", own_path()});
  return drivers.try_emplace(flags, std::move(command)).first->second;
}

// Line numbers of errors are those of the source.
std::string translated(const CompileRequest& request) {
  const std::string version = std::to_string((request.language >> 16) * 100 + (request.language & 0xffff) * 10);
  try {
    return "# 1 \"program_source\"\n" +
           translate(preprocess(request.source,
                                {{"__METAL__", "1"}, {"__METAL_MACOS__", "1"}, {"__METAL_VERSION__", version}}));
  } catch (const TranslationError& error) {
    throw CompileError(error.what());
  }
}

void tell(const std::string& what, double since) {
  const double seconds = now() - since;
  std::fprintf(stderr, "software Metal: %s: %.3f s\n", what.c_str(), seconds);
}

}  // namespace

std::string compile(const CompileRequest& request) {
  const double start = now();
  const std::vector<std::string> flags = compiler_flags(request);
  Hash key;
  key.add(environment_hash());
  for (const std::string& flag : flags) key.add(flag);
  key.add(std::to_string(request.language));
  key.add(request.source);
  const std::string name = key.str();
  const fs::path folder = options().cache, place = folder / name.substr(0, 2) / (name.substr(2) + ".so");
  if (fs::exists(place)) return place.string();
  fs::create_directories(place.parent_path());

  const std::string program = translated(request);
  if (options().keep) std::ofstream(fs::path(place).replace_extension(".cpp")) << program;
  Fresh fresh(place);
  driver(flags).run(program, precompiled_shim(folder, flags), fresh.partial());
  fresh.finish();
  if (options().trace) tell("compiled " + place.string(), start);
  return place.string();
}

}  // namespace software_metal
