#include "backends/cpu/jit/code_report.h"

#include <atomic>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/error.h"

#if defined(_WIN32)
#include <process.h>
#else
#include <fcntl.h>
#include <unistd.h>
#endif

namespace funcnn::cpu::jit {
namespace {

int process_number() {
#if defined(_WIN32)
  return _getpid();
#else
  return int(getpid());
#endif
}

}  // namespace

void tell_perf([[maybe_unused]] const void* at, [[maybe_unused]] size_t size,
               [[maybe_unused]] const std::string& name) {
#if defined(__linux__)
  // The folder is everybody's: a link that somebody put there is not followed.
  const std::string path = cat("/tmp/perf-", process_number(), ".map");
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return;
  std::ostringstream line;
  line << std::hex << reinterpret_cast<uintptr_t>(at) << ' ' << size << ' ' << name << '\n';
  const std::string text = line.str();
  [[maybe_unused]] const ssize_t written = write(file, text.data(), text.size());
  close(file);
#endif
}

void dump_code(const std::string& folder, std::string_view name, std::span<const uint8_t> code, std::string_view text) {
  namespace fs = std::filesystem;
  static std::atomic<int> count{0};
  std::error_code failed;
  fs::create_directories(folder, failed);
  std::string plain(name.substr(0, 60));
  for (char& c : plain)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') c = '-';
  char number[16];
  std::snprintf(number, sizeof(number), "%04d", ++count);
  const fs::path stem = fs::path(folder) / cat(process_number(), "-", number, "-", plain);
  const auto put = [&](const char* extension, const void* data, size_t size) {
    fs::path path = stem;
    path += extension;
    std::ofstream file(path, std::ios::binary);
    file.write(static_cast<const char*>(data), std::streamsize(size));
    file.close();
    if (!file) throw Error(cat("FUNCNN_JIT=dump: cannot write ", path.string()));
  };
  put(".bin", code.data(), code.size());
  put(".txt", text.data(), text.size());
}

}  // namespace funcnn::cpu::jit
