// Computing a value again beside a reader that is too far away to share its unit.
#pragma once

#include <span>

#include "plan/units.h"

namespace funcnn {

// Whether v, whose unit is `home`, follows in few steps from at most one array of its size that is in memory anyway,
// and nobody would notice that a second computation rounds differently. `cheap`: by steps that take less than a load.
bool repeatable(const Ir& ir, const Uses& uses, Units& units, Partition& partition, int v, int home, bool cheap);

// Give the readers of v in unit `u` a copy of it there: those of `uses.of(v)` with these numbers, which are taken from
// it by the caller.
void repeat(Ir& ir, Uses& uses, Units& units, Partition& partition, int v, int u, Space space,
            std::span<const int> numbers);

// Whether reading `a` elements is next to nothing beside `b`.
bool much_smaller(int64_t a, int64_t b);

// What `repeat` did to the Ir, again.
void make_edit(Ir& ir, const Edit& edit);

}  // namespace funcnn
