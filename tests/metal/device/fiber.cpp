#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

extern "C" void software_metal_switch(void** save, void* load);

// What the calling convention makes callees preserve, on the stack; then the other stack.
#if defined(__x86_64__)
asm(R"(
.text
.hidden software_metal_switch
.globl software_metal_switch
.type software_metal_switch, @function
software_metal_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size software_metal_switch, .-software_metal_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.hidden software_metal_switch
.globl software_metal_switch
.type software_metal_switch, %function
software_metal_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size software_metal_switch, .-software_metal_switch
)");
#else
#error "fibers are written for x86-64 and AArch64"
#endif

namespace software_metal {
namespace {

constexpr size_t kGuardBytes = 64 << 10;  // a page of any size, below the stack

}  // namespace

Fiber::Fiber(void (*body)()) : body_(body) {
  void* memory =
      mmap(nullptr, kGuardBytes + kStackBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<char*>(memory) + kGuardBytes;
  if (mprotect(stack_, kStackBytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  reset();
}

Fiber::~Fiber() { munmap(stack_ - kGuardBytes, kGuardBytes + kStackBytes); }

void Fiber::reset() {
  auto* top = reinterpret_cast<uintptr_t*>(stack_ + kStackBytes);
#if defined(__x86_64__)
  *--top = 0;  // where a return address would be: the body finds its stack aligned as after a call
  *--top = reinterpret_cast<uintptr_t>(body_);
  for (int i = 0; i < 6; ++i) *--top = 0;
#else
  for (int i = 0; i < 20; ++i) *--top = 0;
  top[11] = reinterpret_cast<uintptr_t>(body_);  // x30
#endif
  stack_pointer = top;
}

void Fiber::switch_stacks(void*& from, void* to) { software_metal_switch(&from, to); }

}  // namespace software_metal
