#include "base/large_pages.h"

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace funcnn {

#if defined(__linux__)

namespace {

size_t up_to(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
size_t small_page() {
  static const auto size = size_t(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

std::byte* map_large(size_t bytes) {
  const size_t size = up_to(bytes, small_page());
  void* at = mmap(nullptr, size + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  const auto from = reinterpret_cast<uintptr_t>(at), begin = up_to(from, kLargePage);
  if (begin > from) munmap(at, begin - from);
  auto* const base = reinterpret_cast<std::byte*>(begin);
  munmap(base + size, from + kLargePage - begin);
  madvise(base, size, MADV_HUGEPAGE);  // refused where the system was built without: small ones do
  return base;
}

void unmap_large(std::byte* at, size_t bytes) {
  const size_t size = up_to(bytes, small_page());
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(at, size);  // the sanitizer keeps what it was told for whatever is mapped there next
#endif
  munmap(at, size);
}

#else

std::byte* map_large(size_t) { return nullptr; }
void unmap_large(std::byte*, size_t) {}

#endif

}  // namespace funcnn
