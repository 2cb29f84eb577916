#include "ops/rotate.h"

#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/views.h"

namespace funcnn {

Array rotate_pairs(const Array& x, int64_t dims, bool neighbours, const Array& angles, const Array& signs) {
  int last = int(x.ndim()) - 1;
  bool whole = dims == x.dim(last);
  Shape shape = x.shape(), paired = shape;
  shape[size_t(last)] = dims;
  paired[size_t(last)] = neighbours ? dims / 2 : 2;
  paired.push_back(neighbours ? 2 : dims / 2);
  Array pairs = astype(reshape(whole ? x : slice_axis(x, last, 0, dims), paired), angles.dtype());
  const int64_t pair[] = {neighbours ? last + 1 : last};
  Array y = add(multiply(pairs, cos(angles)), multiply(flip(pairs, pair), multiply(sin(angles), signs)));
  y = reshape(astype(y, x.dtype()), shape);
  if (whole) return y;
  const Array parts[] = {y, slice_axis(x, last, dims, x.dim(last))};
  return concatenate(parts, last);
}

}  // namespace funcnn
