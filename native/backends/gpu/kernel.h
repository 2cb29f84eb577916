// Kernels of the shared back end: a few launches whose geometry and values are settled when the kernel is made.
#pragma once

#include <memory>
#include <vector>

#include "backends/gpu/machine.h"
#include "backends/gpu/source.h"
#include "base/small_vector.h"
#include "graph/primitive.h"

namespace funcnn::gpu {

// An operand of a launch: one of the kernel's, some bytes on.
struct Place {
  int operand = 0;
  int64_t offset = 0;
};

struct Stage {
  Ref<Pipeline> pipeline;
  Size3 groups, threads;
  std::vector<Place> operands;  // as the launch wants them
  size_t read_only = 0;
  std::vector<std::byte> values;
  // Values (u32, at so many bytes) that stay what they are where that operand begins at a multiple of 16 bytes, and are
  // 0 where it does not: whether packs of elements may be loaded.
  struct Aligned {
    int operand;
    size_t value;
  };
  std::vector<Aligned> aligned = {};
};

// Launches one after another. Operands are the inputs, the outputs, those of an epilogue, and last the scratch memory.
// For what has to decide more when it is encoded, derive from Kernel.
class StagedLaunches : public Kernel {
 public:
  StagedLaunches(Machine& machine, std::vector<Stage> stages, size_t scratch_bytes = 0)
      : machine_(machine), stages_(std::move(stages)), scratch_(scratch_bytes) {}
  void encode(Queue& queue, std::span<const Operand> operands) override;
  size_t scratch_bytes() const override { return scratch_; }
  // Geometry, and the sources without their preludes.
  void describe(std::ostream& out, const std::string& indent) const override;

 private:
  Machine& machine_;
  std::vector<Stage> stages_;
  size_t scratch_;
};

// Of results without elements.
inline std::unique_ptr<Kernel> nothing(Machine& machine) {
  return std::make_unique<StagedLaunches>(machine, std::vector<Stage>{});
}

using Layouts = std::span<const Layout>;

// Outputs are contiguous; inputs have any strides. Null: not this case; the next factory of that name, or an error.
using KernelFactory = std::unique_ptr<Kernel> (*)(Machine& machine, const Primitive& primitive, Layouts inputs,
                                                  Layouts outputs, const KernelProgram* epilogue);
// Whether the kernel of such a primitive, whose first output has this shape, takes this epilogue.
using EpilogueTest = bool (*)(const Primitive& primitive, const Shape& shape, const KernelProgram& epilogue);

// A namespace-scope constant of this type registers the kernel of the primitive called `name`; factories for one
// language come before those for both.
struct RegisterKernel {
  RegisterKernel(std::string_view name, KernelFactory factory, EpilogueTest accepts_epilogue = nullptr);
  RegisterKernel(Language language, std::string_view name, KernelFactory factory,
                 EpilogueTest accepts_epilogue = nullptr);
};

// How many groups of `threads` cover `count`.
inline uint32_t groups_for(int64_t count, int64_t threads) { return uint32_t((count + threads - 1) / threads); }

}  // namespace funcnn::gpu
