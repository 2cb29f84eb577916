// What the compiler's instrumentation calls: clang's thread sanitizer, without its runtime, tells of every access of a
// checked kernel; its sanitizer of undefined behaviour, of what is undefined in Metal too.
#include <cstring>

#include "checker.h"
#include "group_runner.h"
#include "options.h"

using software_metal::Action;
using software_metal::Checker;
using software_metal::GroupRunner;

namespace {

// Initialisers of a library that is being loaded run outside of any thread.
void tell(const void* address, size_t size, Action action) {
  if (GroupRunner* runner = GroupRunner::current()) Checker::instance().access(*runner, address, size, action);
}

// What the compiler's data about each place begins with.
struct SourcePlace {
  const char* file;
  uint32_t line, column;
};

void undefined(const SourcePlace* at, const char* what) {
  if (GroupRunner* runner = GroupRunner::current())
    runner->abandon(std::string("undefined: ") + what + ", at line " + std::to_string(at->line));
}

}  // namespace

extern "C" {

#define HOOKS(size)                                                                                    \
  void __tsan_read##size(void* p) { tell(p, size, Action::read); }                                     \
  void __tsan_write##size(void* p) { tell(p, size, Action::write); }                                   \
  void __tsan_unaligned_read##size(void* p) { tell(p, size, Action::read); }                           \
  void __tsan_unaligned_write##size(void* p) { tell(p, size, Action::write); }                         \
  void __tsan_read_write##size(void* p) { tell(p, size, Action::read), tell(p, size, Action::write); } \
  void __tsan_unaligned_read_write##size(void* p) { __tsan_read_write##size(p); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
#undef HOOKS
void __tsan_read_range(void* p, unsigned long size) { tell(p, size, Action::read); }
void __tsan_write_range(void* p, unsigned long size) { tell(p, size, Action::write); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void* __tsan_memcpy(void* to, const void* from, unsigned long size) {
  tell(from, size, Action::read);
  tell(to, size, Action::write);
  return std::memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, unsigned long size) {
  tell(from, size, Action::read);
  tell(to, size, Action::write);
  return std::memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, unsigned long size) {
  tell(to, size, Action::write);
  return std::memset(to, value, size);
}
// Clang 14 calls the functions themselves; kernels are linked so that these come instead.
void* __wrap_memcpy(void* to, const void* from, unsigned long size) { return __tsan_memcpy(to, from, size); }
void* __wrap_memmove(void* to, const void* from, unsigned long size) { return __tsan_memmove(to, from, size); }
void* __wrap_memset(void* to, int value, unsigned long size) { return __tsan_memset(to, value, size); }

void software_metal_atomic(const void* address, unsigned size, bool reads) {
  if (software_metal::options().check) tell(address, size, reads ? Action::atomic : Action::atomic_store);
}

void __ubsan_handle_type_mismatch_v1(const SourcePlace* at, void*) {
  undefined(at, "an address is not a multiple of its type's alignment");
}
void __ubsan_handle_out_of_bounds(const SourcePlace* at, void*) { undefined(at, "an index is outside of its array"); }
void __ubsan_handle_shift_out_of_bounds(const SourcePlace* at, void*, void*) {
  undefined(at, "a shift by more bits than there are, or by fewer than none");
}
void __ubsan_handle_divrem_overflow(const SourcePlace* at, void*, void*) {
  undefined(at, "an integer is divided by zero, or the least one by -1");
}
}
