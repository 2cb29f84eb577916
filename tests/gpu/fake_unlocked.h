// No call of the driver, nor of a library that calls it, comes from a thread that holds the interpreter's lock: others
// would wait for the GPU with it. FAKE_CUDA_LOCKS=1: each takes the lock itself, as tools between us and the driver do.
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static void expect_unlocked(const char* call) {
  static int (*locked)(void), (*running)(void), (*take)(void);
  static void (*give)(int);
  if (!locked) {
    *(void**)&running = dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    *(void**)&take = dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
    *(void**)&give = dlsym(RTLD_DEFAULT, "PyGILState_Release");
    *(void**)&locked = dlsym(RTLD_DEFAULT, "PyGILState_Check");
  }
  if (locked()) {
    fprintf(stderr, "fake driver: %s by a thread that holds the interpreter's lock\n", call);
    abort();
  }
  if (!getenv("FAKE_CUDA_LOCKS") || !running()) return;
  const int before = take();
  sched_yield();
  give(before);
}
