// Kernels that read their inputs as dense arrays: views that are not are copied first.
#pragma once

#include <functional>
#include <memory>

#include "backends/gpu/kernel.h"

namespace funcnn::gpu {

// `make` is given the inputs' layouts, all dense.
std::unique_ptr<Kernel> with_dense_inputs(Machine& machine, Layouts inputs,
                                          const std::function<std::unique_ptr<Kernel>(Layouts)>& make);

// Whether an operand is a view that runs backwards: its elements lie before the first, where a launch does not bind
// them.
bool any_backwards(Layouts inputs);

}  // namespace funcnn::gpu
