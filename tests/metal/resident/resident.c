// Preloaded into clang: at the place where the program would be opened, which comes when the shim has been read, it
// waits for requests and forks a compiler for each. Speaks with translator/resident.cpp.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol.h"

// The first word of a compiler that ends says how; one that crashes says nothing.
static void report(int status, void* file) {
  unsigned char byte = status != 0;
  _exit(write((int)(long)file, &byte, 1) == 1 ? status : 1);
}

// The files of the next request; 0: nobody will ask again.
static int next_request(int files[kRequestFiles]) {
  char byte, control[CMSG_SPACE(sizeof(int[kRequestFiles]))];
  struct iovec text = {&byte, 1};
  struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(kSocket, &message, MSG_CMSG_CLOEXEC) != 1) return 0;
  struct cmsghdr* part = CMSG_FIRSTHDR(&message);
  if (!part || part->cmsg_len != CMSG_LEN(sizeof(int[kRequestFiles]))) return 0;
  memcpy(files, CMSG_DATA(part), sizeof(int[kRequestFiles]));
  return 1;
}

// Returns in the compiler of a request, with its program.
static int serve(void) {
  int files[kRequestFiles];
  signal(SIGCHLD, SIG_IGN);
  if (write(kSocket, "", 1) != 1) _exit(1);
  while (next_request(files)) {
    if (fork() == 0) {
      dup2(files[kObject], kSocket);
      on_exit(report, (void*)(long)files[kDone]);
      return files[kProgram];
    }
    for (int i = 0; i < kRequestFiles; ++i) close(files[i]);
  }
  _exit(0);
}

typedef int Open(const char*, int, ...);

static int opened(const char* name, const char* path, int flags, va_list more) {
  if (!strcmp(path, kProgramPath)) return serve();
  Open* real = (Open*)dlsym(RTLD_NEXT, name);
  return flags & (O_CREAT | O_TMPFILE) ? real(path, flags, va_arg(more, int)) : real(path, flags);
}

#define INTERPOSED(name)                         \
  int name(const char* path, int flags, ...) {   \
    va_list more;                                \
    va_start(more, flags);                       \
    int file = opened(#name, path, flags, more); \
    va_end(more);                                \
    return file;                                 \
  }
INTERPOSED(open)
INTERPOSED(open64)
