// Runs a program and waits for it.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace software_metal {

struct Finished {
  bool ok;
  std::string output;  // of both streams
};

// Closed in the end.
class File {
 public:
  explicit File(int number) : number_(number) {}
  ~File() {
    if (number_ >= 0) close(number_);
  }
  File(const File&) = delete;
  operator int() const { return number_; }

 private:
  int number_;
};

// A file without a name, for a stream of another process: as much as there is fits.
class Scratch {
 public:
  Scratch();
  ~Scratch() { std::fclose(file_); }
  Scratch(const Scratch&) = delete;
  int descriptor() const { return fileno(file_); }
  void write(const std::string& text);
  std::string read();

 private:
  std::FILE* file_;
};

// A process that has the first file of each pair as the second; `more` of NAME=value replace what the environment says.
// Throws as run_process does.
pid_t start_process(const std::vector<std::string>& arguments, const std::vector<std::pair<int, int>>& files,
                    std::vector<std::string> more = {});

// The first argument is the program, looked up in PATH. Throws std::runtime_error where it cannot be started.
Finished run_process(const std::vector<std::string>& arguments, const std::string& input);

}  // namespace software_metal
