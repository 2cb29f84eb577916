#include "signals.h"

#include <signal.h>
#include <sys/mman.h>

#include <mutex>

#include "group_runner.h"

namespace software_metal {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[4];

const char* meaning(int signal) {
  if (signal == SIGFPE) return "undefined: it divides an integer by zero, or the least one by -1";
  if (signal == SIGILL) return "undefined: it reaches what cannot be reached";
  return "out of bounds: it touches memory that is not there, or its stack is full";
}

// On a stack of its own: leaves the thread for good, as a kernel that abandons it does. Faults of others go where they
// went before.
void handle(int signal, siginfo_t*, void*) {
  if (GroupRunner* runner = GroupRunner::current(); runner && runner->on_fiber()) runner->abandon(meaning(signal));
  for (int i = 0; i < 4; ++i)
    if (kSignals[i] == signal) sigaction(signal, &previous[i], nullptr);
}

}  // namespace

void catch_faults() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_sigaction = handle;
    // The handler may never return: it must not leave the signal blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 4; ++i) sigaction(kSignals[i], &action, &previous[i]);
  });
  constexpr size_t kBytes = 256 << 10;
  stack_t stack{};
  stack.ss_sp = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack.ss_size = kBytes;
  sigaltstack(&stack, nullptr);
}

}  // namespace software_metal
