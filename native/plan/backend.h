// What a back end supplies to the executor.
#pragma once

#include <array>
#include <climits>
#include <cstddef>
#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "base/buffer.h"
#include "base/device.h"
#include "base/dtype.h"
#include "base/event.h"
#include "base/shape.h"
#include "plan/kernel_program.h"

namespace funcnn {

class Primitive;

// Where an operand's elements lie, fixed when the kernel is made.
struct Layout {
  Shape shape;
  Dtype dtype = Dtype::float32;
  Strides strides;  // of elements
};

// What a kernel reads or writes: memory of its device, from the operand's first element on, or a scalar.
struct Operand {
  Buffer* buffer = nullptr;
  int64_t offset = 0;                 // bytes
  const std::byte* scalar = nullptr;  // where there is no buffer; valid while the kernel is encoded
};

// Where a device takes its work from, in order.
class Queue {
 public:
  virtual ~Queue() = default;
  // The moment when all that was encoded so far is complete (null: it is already). An error of a kernel that was
  // encoded since the last record surfaces where this moment is waited for.
  virtual Ref<Event> record() = 0;
  // What is encoded from here to the next record reads what is ready at `event`, and fails with it.
  virtual void after(const Ref<Event>& /*event*/) {}
};

// What running a kernel once takes.
struct Effort {
  double bytes = 0, flops = 0;
};

// Work ready to run any number of times on different memory.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // One operand for each input and output, inputs first, and one for the scratch memory where there is any. The device
  // may run the kernel later; it keeps the order of its queue.
  virtual void encode(Queue& queue, std::span<const Operand> operands) = 0;
  // Bytes of scratch memory the planner has to give it.
  virtual size_t scratch_bytes() const { return 0; }
  // Bytes it allocates by itself while it runs: what plans inside it need.
  virtual size_t inner_bytes() const { return 0; }
  // The kernels inside it, for people.
  virtual Effort inner_effort() const { return {}; }
  virtual void describe(std::ostream&, const std::string& /*indent*/) const {}
};

// What programs may ask of a back end.
struct Limits {
  size_t operands = SIZE_MAX;  // of a fused kernel
  size_t length = 4096;        // of a fused kernel: what the instructions of its values add up to
  std::array<uint16_t, kOpcodeCosts> lengths = {1, 1, 1, 1, 1, 1};  // of an instruction, by `OpcodeCost`
  uint16_t length_of_complex = 1;             // of an instruction of complex numbers in such of real ones
  int64_t longest_row = 1 << 16;              // rows longer than this are reduced in pieces
  bool mixed_reductions = true;               // over rows and over columns in one kernel
  uint32_t dtypes = (1u << kDtypeCount) - 1;  // those it has, as a mask
  bool has(Dtype dtype) const { return dtypes >> int(dtype) & 1; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;
  virtual DeviceMemory& memory() = 0;
  virtual Queue& queue() = 0;
  virtual const Limits& limits() const = 0;

  virtual std::unique_ptr<Kernel> make_fused(const KernelProgram& program) = 0;
  // A primitive that runs by itself. Outputs are always contiguous; inputs have any strides.
  // `epilogue` (may be null) is a program without reductions whose operand 0 is the first output, computed in place
  // of it, and whose other operands follow the kernel's own; it covers the output's elements as one row.
  virtual std::unique_ptr<Kernel> make_primitive(const Primitive& primitive, std::span<const Layout> inputs,
                                                 std::span<const Layout> outputs, const KernelProgram* epilogue) = 0;
  // Whether the kernel of this primitive is better off with a dense copy of input `index`, which does not lie densely,
  // if the copy is made once for many runs.
  virtual bool prefers_dense(const Primitive& /*primitive*/, std::span<const Layout> /*inputs*/,
                             size_t /*index*/) const {
    return false;
  }
  // Several fused kernels of this back end as one, which takes the operands of each in a row. None of them reads or
  // overwrites what another writes. Null: they run one by one.
  virtual std::unique_ptr<Kernel> make_joint(std::span<const std::shared_ptr<Kernel>> /*kernels*/) { return nullptr; }
  // Copy elements between layouts of one shape and dtype.
  virtual std::unique_ptr<Kernel> make_copy(const Layout& from, const Layout& to) = 0;
  // Whether make_primitive takes this epilogue for this primitive, whose first output has this shape.
  virtual bool accepts_epilogue(const Primitive& primitive, const Shape& shape,
                                const KernelProgram& epilogue) const = 0;
  // Forget what was kept of kernels made before.
  virtual void clear_cache() {}
  // Forget tables that kernels share, such as roots of unity; those in use live on.
  virtual void clear_tables() {}
};

// Back ends register themselves while the library loads.
void register_backend(Backend& backend);
// Raises ValueError where this build or machine has no such device.
Backend& backend(Device device);
void clear_backend_caches();
// Wait until every queue has run what it was given.
void wait_for_devices();

}  // namespace funcnn
