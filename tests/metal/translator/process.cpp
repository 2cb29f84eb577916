#include "process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

extern char** environ;

namespace software_metal {
namespace {

// A file without a name, for a stream of the child: as much as there is fits.
class Scratch {
 public:
  Scratch() : file_(std::tmpfile()) {
    if (!file_) throw std::runtime_error("no temporary file can be made");
  }
  ~Scratch() { std::fclose(file_); }
  Scratch(const Scratch&) = delete;
  int descriptor() const { return fileno(file_); }
  void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), file_);
    std::fflush(file_);
    std::rewind(file_);
  }
  std::string read() {
    std::string text;
    lseek(descriptor(), 0, SEEK_SET);
    char part[8192];
    for (ssize_t n; (n = ::read(descriptor(), part, sizeof part)) > 0;) text.append(part, size_t(n));
    return text;
  }

 private:
  std::FILE* file_;
};

}  // namespace

Finished run_process(const std::vector<std::string>& arguments, const std::string& input) {
  Scratch in, out;
  in.write(input);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.descriptor(), 0);
  posix_spawn_file_actions_adddup2(&actions, out.descriptor(), 1);
  posix_spawn_file_actions_adddup2(&actions, out.descriptor(), 2);
  pid_t child;
  int failed = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed) throw std::runtime_error("cannot run " + arguments[0] + ": " + std::strerror(failed));
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw std::runtime_error("waiting for " + arguments[0] + ": " + std::strerror(errno));
  return {WIFEXITED(status) && WEXITSTATUS(status) == 0, out.read()};
}

}  // namespace software_metal
