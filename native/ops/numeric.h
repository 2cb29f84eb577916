// Compositions of elementwise functions.
#pragma once

#include <optional>

#include "graph/array.h"

namespace funcnn {

// Halves go to the even neighbour; negative decimals round before the point.
Array round(const Array& x, int decimals);
// |a - b| <= atol + rtol * |b|; infinities are close to themselves, NaNs only with `equal_nan`.
Array isclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan);
// NaN and infinities replaced; by default the infinities by the extreme numbers of the dtype.
Array nan_to_num(const Array& x, double nan, std::optional<double> posinf, std::optional<double> neginf);

}  // namespace funcnn
