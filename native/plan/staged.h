// Kernels of the host on the memory of another device.
#pragma once

#include "plan/backend.h"

namespace funcnn {

// The host's kernel of a primitive, on operands of `device`: waits for them, copies what the host cannot see, and
// copies the results back.
std::unique_ptr<Kernel> make_staged_kernel(const Primitive& primitive, std::span<const Layout> inputs,
                                           std::span<const Layout> outputs, Backend& device);

}  // namespace funcnn
