// objc_msgSend: find the function that answers, with the caller's arguments untouched, and go there.
#include "object.h"

extern "C" void* software_metal_method(software_metal::Object* receiver, software_metal::Selector name);

#if defined(__x86_64__)
// Arguments are in six general registers, eight vector registers and on the stack; al counts vector registers for
// variadic methods. A structure that does not fit registers is returned through a pointer in the first one.
#define SAVE                   \
  "  push %rbp\n"              \
  "  mov %rsp, %rbp\n"         \
  "  push %rdi\n"              \
  "  push %rsi\n"              \
  "  push %rdx\n"              \
  "  push %rcx\n"              \
  "  push %r8\n"               \
  "  push %r9\n"               \
  "  push %rax\n"              \
  "  sub $136, %rsp\n"         \
  "  movaps %xmm0, (%rsp)\n"   \
  "  movaps %xmm1, 16(%rsp)\n" \
  "  movaps %xmm2, 32(%rsp)\n" \
  "  movaps %xmm3, 48(%rsp)\n" \
  "  movaps %xmm4, 64(%rsp)\n" \
  "  movaps %xmm5, 80(%rsp)\n" \
  "  movaps %xmm6, 96(%rsp)\n" \
  "  movaps %xmm7, 112(%rsp)\n"
#define RESTORE_AND_GO          \
  "  mov %rax, %r11\n"          \
  "  movaps (%rsp), %xmm0\n"    \
  "  movaps 16(%rsp), %xmm1\n"  \
  "  movaps 32(%rsp), %xmm2\n"  \
  "  movaps 48(%rsp), %xmm3\n"  \
  "  movaps 64(%rsp), %xmm4\n"  \
  "  movaps 80(%rsp), %xmm5\n"  \
  "  movaps 96(%rsp), %xmm6\n"  \
  "  movaps 112(%rsp), %xmm7\n" \
  "  add $136, %rsp\n"          \
  "  pop %rax\n"                \
  "  pop %r9\n"                 \
  "  pop %r8\n"                 \
  "  pop %rcx\n"                \
  "  pop %rdx\n"                \
  "  pop %rsi\n"                \
  "  pop %rdi\n"                \
  "  pop %rbp\n"                \
  "  jmp *%r11\n"
asm(".text\n"
    ".globl objc_msgSend\n"
    ".type objc_msgSend, @function\n"
    ".globl objc_msgSend_fpret\n"
    "objc_msgSend_fpret:\n"
    "objc_msgSend:\n" SAVE "  call software_metal_method\n" RESTORE_AND_GO
    ".size objc_msgSend, .-objc_msgSend\n"
    ".globl objc_msgSend_stret\n"
    ".type objc_msgSend_stret, @function\n"
    "objc_msgSend_stret:\n" SAVE
    "  mov %rsi, %rdi\n"
    "  mov %rdx, %rsi\n"
    "  call software_metal_method\n" RESTORE_AND_GO ".size objc_msgSend_stret, .-objc_msgSend_stret\n");
#elif defined(__aarch64__)
// Arguments are in x0 to x7, v0 to v7 and on the stack; x8 points at the room for a returned structure.
asm(R"(
.text
.globl objc_msgSend
.type objc_msgSend, %function
objc_msgSend:
  stp x29, x30, [sp, #-224]!
  mov x29, sp
  stp x0, x1, [sp, #16]
  stp x2, x3, [sp, #32]
  stp x4, x5, [sp, #48]
  stp x6, x7, [sp, #64]
  str x8, [sp, #80]
  stp q0, q1, [sp, #96]
  stp q2, q3, [sp, #128]
  stp q4, q5, [sp, #160]
  stp q6, q7, [sp, #192]
  bl software_metal_method
  mov x16, x0
  ldp x0, x1, [sp, #16]
  ldp x2, x3, [sp, #32]
  ldp x4, x5, [sp, #48]
  ldp x6, x7, [sp, #64]
  ldr x8, [sp, #80]
  ldp q0, q1, [sp, #96]
  ldp q2, q3, [sp, #128]
  ldp q4, q5, [sp, #160]
  ldp q6, q7, [sp, #192]
  ldp x29, x30, [sp], #224
  br x16
.size objc_msgSend, .-objc_msgSend
)");
#else
#error "objc_msgSend is written for x86-64 and AArch64"
#endif
