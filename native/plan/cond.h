// The kernel of cond, which runs the plan of one of two branches.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "plan/control.h"

namespace funcnn {

// The one value that the host has to know to go on.
bool is_true(const Operand& predicate, Queue& queue);
std::unique_ptr<ControlKernel> make_cond_kernel(const std::vector<const Graph*>& graphs, std::span<const Layout> inputs,
                                                Backend& backend, bool fusion);

}  // namespace funcnn
