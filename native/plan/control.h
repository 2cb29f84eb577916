// Kernels that run other plans: the bodies of scan, cond and while_loop.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "graph/primitive.h"
#include "plan/backend.h"

namespace funcnn {

std::unique_ptr<Kernel> make_control_kernel(const Primitive& primitive, std::span<const Layout> inputs, bool fusion);

// A kernel whose first operands lie at byte offsets from the pointers it is given.
std::unique_ptr<Kernel> with_offsets(std::unique_ptr<Kernel> kernel, std::vector<int64_t> offsets);

}  // namespace funcnn
