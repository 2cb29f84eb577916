// Compiled kernels kept between processes: files named by a hash, in the user's cache folder or FUNCNN_CACHE_DIR.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>

#include "base/hash.h"

namespace funcnn::gpu {

// Whatever goes wrong with the disk costs a compilation, no more. Safe from several threads and processes.
class DiskCache {
 public:
  // In the folder `name` of the cache. At most about `most_bytes`; what was used least recently goes first.
  explicit DiskCache(const std::string& name, uint64_t most_bytes = uint64_t(256) << 20);
  std::optional<std::string> find(const Hash& key);
  void keep(const Hash& key, const std::string& content);

 private:
  std::filesystem::path path_of(const Hash& key) const;
  void trim();

  std::filesystem::path folder_;  // empty: there is nowhere to keep anything
  uint64_t most_bytes_;
  std::atomic<uint64_t> kept_{0};  // bytes since the folder was last measured
};

}  // namespace funcnn::gpu
