// Kernels of a few elements that follow each other, compiled as one: what one of them computes the next finds in
// registers.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "plan/backend.h"
#include "plan/host_work.h"

namespace funcnn {

// Operands are pieces of places: memory of which no two overlap.
class JointCode {
 public:
  virtual ~JointCode() = default;
  struct Call : FixedWork {
    const int64_t* steps = nullptr;  // how many of a loop it has done, where it may do several
  };
  // `places` being where these begin; starts are numbers of places.
  virtual Call fix(std::span<std::byte* const> places) const = 0;
};

// What a back end of the host may be, too.
class JointCompiler {
 public:
  struct Piece {
    size_t place;
    int64_t offset;  // bytes
  };
  // A fused kernel, one of a primitive, which may have an epilogue, or with neither program nor primitive a copy.
  struct Work {
    const Primitive* primitive = nullptr;
    const KernelProgram* program = nullptr;
    std::span<const Layout> inputs, outputs;
    std::vector<Piece> operands;
  };
  // Works may be those of several steps of a loop, each of which ends where the next begins; none is done after one
  // that leaves `go_on` false.
  struct Step {
    size_t end;  // works
    std::optional<Piece> go_on;
  };
  virtual ~JointCompiler() = default;
  // Whether there is code for this kernel.
  virtual bool takes(const Work& work) = 0;
  // Gives the bits that the kernels give. `kept` says of which places anything is read afterwards. Null: it cannot be
  // done, or they are not of a few elements.
  virtual std::shared_ptr<const JointCode> compile(std::span<const Work> works, std::span<const char> kept,
                                                   std::span<const Step> steps) = 0;
  // After so many steps of a loop it pays.
  virtual int64_t compiles_after() const = 0;
};

}  // namespace funcnn
