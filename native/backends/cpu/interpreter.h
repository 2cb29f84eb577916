// Runs a KernelProgram on the CPU: tiles that stay in cache, one vectorised loop an instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "plan/host_work.h"
#include "plan/kernel_program.h"

namespace funcnn::cpu {

// A program prepared for this machine: registers assigned, instruction functions looked up, tile shape chosen.
class PreparedProgram {
 public:
  explicit PreparedProgram(const KernelProgram& program);
  ~PreparedProgram();
  PreparedProgram(PreparedProgram&&) noexcept;

  // On as many threads as pay off, with the same bits. What is a tile (see below) takes several sets of operands in
  // turn.
  void run(std::span<std::byte* const> operands) const;
  // Several programs on operands of their own, none of which reads or overwrites what another writes, as one loop.
  static void run_all(std::span<const PreparedProgram* const> programs,
                      std::span<const std::span<std::byte* const>> operands);
  // Whether each of them is done in one go, and all of them together are too little work to share out: they are run one
  // by one.
  static bool are_tiles(std::span<const PreparedProgram* const> programs);
  // The call of a program that is a tile, as of `HostWork::fix`. Nothing for others, and false, without a call, for one
  // that is yet to become machine code: runs are counted until then.
  std::optional<bool> fix(std::span<std::byte* const> operands, std::vector<FixedWork>& out) const;
  // Elements [begin, end) of a program without reductions, on the calling thread.
  void run_range(std::span<std::byte* const> operands, int64_t begin, int64_t end) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The instruction set whose tables are in use: "baseline", "avx2", "avx512" or "neon".
const char* instruction_set();
// Use another one that this machine supports (tests); raises ValueError naming those that are.
void set_instruction_set(const char* name);

}  // namespace funcnn::cpu
