// Long lines sorted by the digits of their keys, eight bits at a time, the least first.
#pragma once

#include <memory>

#include "backends/gpu/lines.h"

namespace funcnn::gpu {

// Lines of an operand, of which the last `give` in order go to the result, or their places; neighbours in a line of the
// result are `inner` apart.
struct SortProblem {
  Layout in;
  Lines lines;
  bool places;
  int64_t give, inner;
};

// Whether digits take less time than to merge sorted blocks of so many elements.
bool radix_pays(const Machine& machine, const SortProblem& problem, int64_t block);

// The order is that of keys.h, and stable.
std::unique_ptr<Kernel> make_radix_sort(Machine& machine, const SortProblem& problem);

}  // namespace funcnn::gpu
