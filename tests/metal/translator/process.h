// Runs a program and waits for it.
#pragma once

#include <string>
#include <vector>

namespace software_metal {

struct Finished {
  bool ok;
  std::string output;  // of both streams
};

// The first argument is the program, looked up in PATH. Throws std::runtime_error where it cannot be started.
Finished run_process(const std::vector<std::string>& arguments, const std::string& input);

}  // namespace software_metal
