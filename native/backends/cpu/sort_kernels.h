// Kernels of order that others lean on.
#pragma once

#include <memory>
#include <span>

#include "backends/cpu/kernels.h"

namespace funcnn::cpu {

// For primitives along an axis: the last of the sorted elements of each line, as many as the output has; the positions
// of all.
std::unique_ptr<Kernel> make_sort(const Primitive& primitive, std::span<const Layout> inputs,
                                  std::span<const Layout> outputs, const KernelProgram*);
std::unique_ptr<Kernel> make_argsort(const Primitive& primitive, std::span<const Layout> inputs,
                                     std::span<const Layout> outputs, const KernelProgram*);

}  // namespace funcnn::cpu
