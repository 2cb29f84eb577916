// A value that the transformations take for a constant.
#pragma once

#include "graph/array.h"

namespace funcnn {

// x itself, with derivative zero.
Array stop_gradient(const Array& x);

}  // namespace funcnn
