#include "process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

extern char** environ;

namespace software_metal {
namespace {

std::string name_of(const std::string& setting) { return setting.substr(0, setting.find('=') + 1); }

}  // namespace

Scratch::Scratch() : file_(std::tmpfile()) {
  if (!file_) throw std::runtime_error("no temporary file can be made");
}

void Scratch::write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), file_);
  std::fflush(file_);
  std::rewind(file_);
}

std::string Scratch::read() {
  std::string text;
  lseek(descriptor(), 0, SEEK_SET);
  char part[8192];
  for (ssize_t n; (n = ::read(descriptor(), part, sizeof part)) > 0;) text.append(part, size_t(n));
  return text;
}

pid_t start_process(const std::vector<std::string>& arguments, const std::vector<std::pair<int, int>>& files,
                    std::vector<std::string> more) {
  std::vector<char*> argv, environment;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (char** setting = environ; *setting; ++setting)
    if (std::none_of(more.begin(), more.end(), [&](auto& other) { return name_of(other) == name_of(*setting); }))
      environment.push_back(*setting);
  for (std::string& setting : more) environment.push_back(setting.data());
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (auto [file, place] : files) posix_spawn_file_actions_adddup2(&actions, file, place);
  pid_t child;
  int failed = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed) throw std::runtime_error("cannot run " + arguments[0] + ": " + std::strerror(failed));
  return child;
}

Finished run_process(const std::vector<std::string>& arguments, const std::string& input) {
  Scratch in, out;
  in.write(input);
  const pid_t child = start_process(arguments, {{in.descriptor(), 0}, {out.descriptor(), 1}, {out.descriptor(), 2}});
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw std::runtime_error("waiting for " + arguments[0] + ": " + std::strerror(errno));
  return {WIFEXITED(status) && WEXITSTATUS(status) == 0, out.read()};
}

}  // namespace software_metal
