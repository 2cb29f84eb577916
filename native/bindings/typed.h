// Equality of values that decide what is traced.
#pragma once

#include "bindings/bindings.h"
#include "pytree/pytree.h"

namespace funcnn {

// Whether two static values may stand for each other: equal, and of the same types all the way down. 1, 1.0 and True
// are equal, as are 0.0 and -0.0, and make different programs.
bool same_value(nb::handle a, nb::handle b);
// The same for structures, whose keys and static fields are such values.
bool same_structure(const pytree::TreeDef& a, const pytree::TreeDef& b);

}  // namespace funcnn
