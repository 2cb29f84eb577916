#include "backends/gpu/disk_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

namespace fs = std::filesystem;

// A file is this, the size and the hash of what follows, and the content: half a file is no file.
struct Header {
  char magic[8];
  uint64_t size;
  Hash hash;
};
constexpr char kMagic[8] = {'f', 'u', 'n', 'c', 'n', 'n', '0', '1'};

Hash hash_of(const std::string& content) {
  Hasher h;
  h.add(std::string_view(content));
  return h.finish();
}

fs::path cache_folder() {
  auto variable = [](const char* name) -> fs::path {
    const char* set = std::getenv(name);
    return set ? set : "";
  };
  if (fs::path given = variable("FUNCNN_CACHE_DIR"); !given.empty()) return given;
#if defined(_WIN32)
  fs::path base = variable("LOCALAPPDATA");
#else
  fs::path base = variable("XDG_CACHE_HOME");
  if (base.empty()) {
    base = variable("HOME");
#if defined(__APPLE__)
    if (!base.empty()) base /= "Library/Caches";
#else
    if (!base.empty()) base /= ".cache";
#endif
  }
#endif
  return base.empty() ? base : base / "funcnn";
}

std::string hex(uint64_t value) {
  std::string out(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  return out;
}

}  // namespace

DiskCache::DiskCache(const std::string& name, uint64_t most_bytes) : most_bytes_(most_bytes), kept_(most_bytes) {
  fs::path base = cache_folder();
  if (base.empty()) return;
  std::error_code failed;
  fs::create_directories(base / name, failed);
  if (!failed) folder_ = base / name;
}

fs::path DiskCache::path_of(const Hash& key) const { return folder_ / (hex(key.high) + hex(key.low)); }

std::optional<std::string> DiskCache::find(const Hash& key) {
  if (folder_.empty()) return std::nullopt;
  const fs::path path = path_of(key);
  std::ifstream file(path, std::ios::binary);
  Header header;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof(header)) ||
      std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || header.size > most_bytes_)
    return std::nullopt;
  std::string content(size_t(header.size), '\0');
  if (!file.read(content.data(), std::streamsize(content.size())) || hash_of(content) != header.hash)
    return std::nullopt;
  std::error_code ignored;
  const auto now = fs::file_time_type::clock::now();
  // Used: once a day is often enough to know.
  if (now - fs::last_write_time(path, ignored) > std::chrono::hours(24)) fs::last_write_time(path, now, ignored);
  return content;
}

void DiskCache::keep(const Hash& key, const std::string& content) {
  if (folder_.empty()) return;
  Header header{{}, content.size(), hash_of(content)};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  const fs::path path = path_of(key);
  fs::path fresh = path;
  fresh += cat(".", std::random_device{}(), ".part");
  std::error_code failed;
  {
    std::ofstream file(fresh, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof(header));
    file.write(content.data(), std::streamsize(content.size()));
    file.close();
    if (file) fs::rename(fresh, path, failed);
    if (!file || failed) {
      fs::remove(fresh, failed);
      return;
    }
  }
  // Measured at first, and then each time a quarter of the limit was added.
  if (kept_.fetch_add(content.size()) + content.size() > most_bytes_ / 4) {
    kept_.store(0);
    trim();
  }
}

void DiskCache::trim() {
  struct File {
    fs::file_time_type used;
    uint64_t size;
    fs::path path;
  };
  std::vector<File> files;
  uint64_t total = 0;
  std::error_code failed;
  for (fs::directory_iterator it(folder_, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code gone;
    File file{it->last_write_time(gone), it->file_size(gone), it->path()};
    if (gone) continue;
    total += file.size;
    files.push_back(std::move(file));
  }
  if (total <= most_bytes_) return;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (total <= most_bytes_ / 4 * 3) break;
    if (fs::remove(file.path, failed)) total -= file.size;
  }
}

}  // namespace funcnn::gpu
