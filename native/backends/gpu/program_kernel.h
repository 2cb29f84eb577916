// A program made ready to run.
#pragma once

#include <memory>

#include "backends/gpu/program.h"
#include "backends/gpu/program_printers.h"

namespace funcnn::gpu {

// Whether operands lie as launches want them to.
bool aligned(std::span<const Operand> operands, std::span<const Printed::Aligned> wanted);

// The launches of a program, as they are printed for operands at multiples of packs, and for others.
class ProgramKernel final : public Kernel {
 public:
  ProgramKernel(Machine& machine, const KernelProgram& program);

  const KernelProgram& program() const { return program_; }
  // How many operands it takes.
  size_t operand_count() const { return size_t(program_.operand_count) + (scratch_ ? 1 : 0); }
  void encode(Queue& queue, std::span<const Operand> operands) override;
  size_t scratch_bytes() const override { return scratch_; }
  void describe(std::ostream& out, const std::string& indent) const override;

 private:
  struct Variant {
    std::unique_ptr<StagedLaunches> launches;
    std::vector<Printed::Aligned> aligned;
  };
  void make(Variant& variant, bool packs);

  Machine& machine_;
  KernelProgram program_;
  size_t scratch_ = 0;
  Variant packed_, plain_;
};

}  // namespace funcnn::gpu
