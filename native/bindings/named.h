// Enumerations that tests spell by name.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "graph/opcode.h"

namespace funcnn {

// Which of the first `count` values `name_of` calls so; `what` they are, for the error.
template <class E, class NameOf>
E named(std::string_view name, int count, NameOf&& name_of, const char* what) {
  for (int i = 0; i < count; ++i)
    if (name_of(E(i)) == name) return E(i);
  throw ValueError(cat("unknown ", what, " ", name));
}
inline ReduceOp parse_reduce(std::string_view name) { return named<ReduceOp>(name, 6, reduce_name, "reduction"); }

}  // namespace funcnn
