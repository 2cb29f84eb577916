// The commands that clang runs for a program on its standard input: compiler and linker, without clang itself, whose
// start takes a sixth of the time of a small kernel. The compiler is resident where it can be.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "resident.h"

namespace software_metal {

// Stand for the file to make and the precompiled header.
inline constexpr const char* kOutput = "software_metal_output";
inline constexpr const char* kShim = "software_metal_shim";

class Driver {
 public:
  // `command` compiles and links a program with kShim into kOutput.
  explicit Driver(std::vector<std::string> command);
  // Throws CompileError.
  void run(const std::string& program, const std::string& shim, const std::string& output) const;

 private:
  bool compile(const std::string& program, const std::string& shim, const std::string& object) const;

  std::vector<std::string> whole_, compile_, link_;
  std::string object_;  // what they name the file between them
  mutable std::mutex starting_;
  mutable std::shared_ptr<Resident> resident_;
};

}  // namespace software_metal
