// Kernels that run other plans: the bodies of scan, cond and while_loop.
#pragma once

#include <memory>
#include <span>

#include "graph/primitive.h"
#include "plan/backend.h"

namespace funcnn {

// Carries stay on the device; only predicates are read by the host.
std::unique_ptr<Kernel> make_control_kernel(const Primitive& primitive, std::span<const Layout> inputs,
                                            Backend& backend, bool fusion);

}  // namespace funcnn
