// Where the kernels of a plan meet, for people.
#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "plan/apart.h"
#include "plan/fuse.h"
#include "plan/ir.h"
#include "plan/plan.h"

namespace funcnn {

// Why what reads an operation is no epilogue of it, by the units of the two.
using WithoutEpilogue = std::map<std::pair<int, int>, Apart>;

// In the order of the later step. `step_of`: by unit.
std::vector<Plan::Meeting> find_meetings(const Ir& ir, const Partition& partition, std::span<const Seam> seams,
                                         const WithoutEpilogue& without, std::span<const int> step_of);

}  // namespace funcnn
