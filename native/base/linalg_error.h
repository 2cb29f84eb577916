// What a matrix does not let happen: it is singular, not positive definite, not finite.
#pragma once

#include "base/error.h"

namespace funcnn {

struct LinAlgError : ValueError {
  using ValueError::ValueError;
};

}  // namespace funcnn
