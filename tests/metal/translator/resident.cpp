#include "resident.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "../resident/protocol.h"
#include "kernels.h"

#ifndef SOFTWARE_METAL_RESIDENT
#error "SOFTWARE_METAL_RESIDENT is the library that clang loads to become resident"
#endif

namespace software_metal {
namespace {

// A byte that comes from elsewhere; -1: the other end is closed.
int next_byte(int file) {
  unsigned char byte;
  ssize_t n;
  while ((n = ::read(file, &byte, 1)) < 0 && errno == EINTR) {
  }
  return n == 1 ? byte : -1;
}

bool send_request(int socket, const int (&files)[kRequestFiles]) {
  char byte = 0;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof files)] = {};
  iovec text{&byte, 1};
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof files);
  std::memcpy(CMSG_DATA(part), files, sizeof files);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

// The declarations of a program, for nobody. Those with constants of functions would ask for them.
std::string set_apart(const std::string& program) {
  if (program.find("software_metal::function_constant") != std::string::npos) return "";
  return "namespace software_metal_usual { namespace {\n" + program.substr(0, program.rfind(kTableStart)) + "\n}}\n";
}

}  // namespace

Resident::Resident(const std::vector<std::string>& command, const std::string& usual) {
  if (!start(command, set_apart(usual))) start(command, "");
}

bool Resident::start(const std::vector<std::string>& command, const std::string& usual) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
  socket_ = std::make_unique<File>(ends[0]);
  {
    File other(ends[1]), null(open("/dev/null", O_WRONLY | O_CLOEXEC));
    Scratch program;
    program.write(usual + "#include \"" kProgramPath "\"\n");
    // Its copies find all symbols bound.
    start_process(command, {{program.descriptor(), 0}, {other, kSocket}, {null, 2}},
                  {"LD_PRELOAD=" SOFTWARE_METAL_RESIDENT, "LD_BIND_NOW=1"});
  }
  if (next_byte(*socket_) != 0) socket_.reset();
  return socket_ != nullptr;
}

bool Resident::compile(const std::string& program, const std::string& object) {
  if (!socket_) return false;
  int done[2];
  if (pipe2(done, O_CLOEXEC) != 0) return false;
  File result(done[0]);
  {
    File end(done[1]), made(open(object.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666));
    Scratch source;
    source.write(program);
    if (made < 0) return false;
    if (!send_request(*socket_, {source.descriptor(), made, end})) {
      ended_ = true;
      return false;
    }
  }
  return next_byte(result) == 0;
}

}  // namespace software_metal
