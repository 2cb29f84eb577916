// Pages of machine code, as each system has them.
#include <cstring>

#include "backends/cpu/jit/code_memory.h"

#if defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif
#if defined(__APPLE__)
#include <libkern/OSCacheControl.h>
#include <pthread.h>
#endif

namespace funcnn::cpu::jit {
namespace {

#if defined(_WIN32)

class SystemPages final : public PageSource {
 public:
  size_t page() const override {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
  }
  std::byte* map(size_t size) override {
    return static_cast<std::byte*>(VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  }
  void write(std::byte* to, std::span<const uint8_t> bytes) override { std::memcpy(to, bytes.data(), bytes.size()); }
  bool seal(std::byte* at, size_t size) override {
    DWORD before;
    return VirtualProtect(at, size, PAGE_EXECUTE_READ, &before) && FlushInstructionCache(GetCurrentProcess(), at, size);
  }
  void unmap(std::byte* at, size_t) override { VirtualFree(at, 0, MEM_RELEASE); }
};

#else

#if defined(__APPLE__) && defined(__aarch64__)
// Apple's processors give and take the right to write thread by thread, for pages that were mapped for it.
constexpr int kProtection = PROT_READ | PROT_WRITE | PROT_EXEC, kFlags = MAP_PRIVATE | MAP_ANON | MAP_JIT;
#else
constexpr int kProtection = PROT_READ | PROT_WRITE, kFlags = MAP_PRIVATE | MAP_ANON;
#endif

class SystemPages final : public PageSource {
 public:
  size_t page() const override {
    static const size_t size = size_t(sysconf(_SC_PAGESIZE));
    return size;
  }
  std::byte* map(size_t size) override {
    void* at = mmap(nullptr, size, kProtection, kFlags, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
  }
  void unmap(std::byte* at, size_t size) override { munmap(at, size); }

#if defined(__APPLE__) && defined(__aarch64__)
  void write(std::byte* to, std::span<const uint8_t> bytes) override {
    pthread_jit_write_protect_np(0);
    std::memcpy(to, bytes.data(), bytes.size());
    pthread_jit_write_protect_np(1);
  }
  bool seal(std::byte* at, size_t size) override {
    sys_icache_invalidate(at, size);
    return true;
  }
#else
  void write(std::byte* to, std::span<const uint8_t> bytes) override { std::memcpy(to, bytes.data(), bytes.size()); }
  bool seal(std::byte* at, size_t size) override {
    __builtin___clear_cache(reinterpret_cast<char*>(at), reinterpret_cast<char*>(at) + size);
    return mprotect(at, size, PROT_READ | PROT_EXEC) == 0;
  }
#endif
};

#endif

}  // namespace

PageSource& PageSource::system() {
  static SystemPages it;
  return it;
}

}  // namespace funcnn::cpu::jit
