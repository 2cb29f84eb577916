// What a back end supplies to the executor.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/device.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "plan/kernel_program.h"

namespace funcnn {

class Primitive;

// Where an operand's elements lie, fixed when the kernel is made.
struct Layout {
  Shape shape;
  Dtype dtype = Dtype::float32;
  Strides strides;  // of elements
  bool contiguous() const { return is_contiguous(shape, strides); }
};

// Work ready to run any number of times on different memory.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // One pointer for each operand, inputs first; each points at the operand's first element.
  virtual void run(std::span<std::byte* const> operands) = 0;
  // Bytes of scratch memory the kernel allocates while it runs.
  virtual size_t scratch_bytes() const { return 0; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;
  virtual std::unique_ptr<Kernel> make_fused(const KernelProgram& program) = 0;
  // A primitive that runs by itself. Outputs are always contiguous; inputs have any strides.
  // `epilogue` (may be null) is a program without reductions whose operand 0 is the first output, computed in place
  // of it, and whose other operands follow the kernel's own; it covers the output's elements as one row.
  virtual std::unique_ptr<Kernel> make_primitive(const Primitive& primitive, std::span<const Layout> inputs,
                                                 std::span<const Layout> outputs, const KernelProgram* epilogue) = 0;
  // Whether make_primitive takes an epilogue for this primitive.
  virtual bool accepts_epilogue(const Primitive& primitive) const = 0;
};

// Back ends register themselves while the library loads.
void register_backend(Backend& backend);
Backend& backend(Device device);

}  // namespace funcnn
