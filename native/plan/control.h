// Kernels that run other plans: the bodies of scan, cond and while_loop.
#pragma once

#include <memory>
#include <span>

#include "graph/primitive.h"
#include "plan/backend.h"
#include "plan/bound_kernel.h"

namespace funcnn {

class ControlKernel : public Kernel {
 public:
  // The input whose memory output `index` had better take over where nobody else needs it: some step or branch then
  // works in place (-1: none). The kernel sees by the operands whether it has.
  virtual int reusable_input(size_t index) const = 0;
  // The same on operands that lie where these courses say, in a loop around this one; null where there is little gain.
  virtual std::unique_ptr<BoundKernel> bind(Queue& queue, std::span<const Course> operands) = 0;
  // What the values alive inside take at least, beyond its results.
  virtual size_t inner_live_bytes() const = 0;
};

// Carries stay on the device; only predicates are read by the host.
std::unique_ptr<ControlKernel> make_control_kernel(const Primitive& primitive, std::span<const Layout> inputs,
                                                   Backend& backend, bool fusion);

}  // namespace funcnn
