// Matrix products.
#pragma once

#include "plan/backend.h"

namespace funcnn::cpu {

// Whether products of `a` with the same `b` again and again are faster with a dense copy of `b`: those that would turn
// it each time, for few rows.
bool dot_prefers_dense(const Layout& a, const Layout& b);

}  // namespace funcnn::cpu
