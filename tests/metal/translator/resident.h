// A clang that has read the shim and forks for each kernel: a third of the work of compiling a small one.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "process.h"

namespace software_metal {

class Resident {
 public:
  // `command` compiles the program on its standard input to its standard output. A clang that does not ask the
  // system for its files as others do is not ready. `usual` is a program like those to come: what it takes of the shim,
  // no copy has to look up again.
  Resident(const std::vector<std::string>& command, const std::string& usual);
  Resident(const Resident&) = delete;
  // Whether `object` now holds what `program` compiles to; not why.
  bool compile(const std::string& program, const std::string& object);
  // Whether it was ready once and is no more.
  bool ended() const { return ended_; }

 private:
  bool start(const std::vector<std::string>& command, const std::string& usual);

  std::unique_ptr<File> socket_;
  std::atomic<bool> ended_ = false;
};

}  // namespace software_metal
