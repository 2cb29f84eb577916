// Kernels of order that others lean on.
#pragma once

#include <memory>
#include <span>

#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "ops/sort_primitives.h"

namespace funcnn::cpu {

// For primitives along an axis: the last of the sorted elements of each line, as many as the output has; the positions
// of all.
std::unique_ptr<Kernel> make_sort(const Primitive& primitive, std::span<const Layout> inputs,
                                  std::span<const Layout> outputs, const KernelProgram*);
std::unique_ptr<Kernel> make_argsort(const Primitive& primitive, std::span<const Layout> inputs,
                                     std::span<const Layout> outputs, const KernelProgram*);

// A kernel that orders lines along an axis: of_lines(elements of the input, memory of the output, input, output,
// dtype).
template <class F>
std::unique_ptr<Kernel> make_of_lines(const Primitive& primitive, std::span<const Layout> inputs,
                                      std::span<const Layout> outputs, F of_lines) {
  const int axis = static_cast<const AlongAxis&>(primitive).axis();
  const Dtype dtype = inputs[0].dtype;
  const Lines from(inputs[0], axis), to(outputs[0], axis);
  return visit_dtype(dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([=](std::span<std::byte* const> at) {
      if (to.length()) of_lines(reinterpret_cast<const T*>(at[0]), at[1], from, to, dtype);
    });
  });
}

}  // namespace funcnn::cpu
