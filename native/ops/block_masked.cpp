#include "ops/block_masked.h"

#include <algorithm>

#include "base/error.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

const char* kName = "block_masked_mm";

// x with its blocks kept, zeroed or multiplied.
Array masked(const Array& x, const Array& given, int64_t block, const char* which) {
  if (!given) return x;
  Shape lead(x.shape().begin(), x.shape().end() - 2), blocks = lead;
  for (int axis : {-2, -1}) blocks.push_back((x.dim(axis) + block - 1) / block);
  Array mask = given;
  try {
    // Leading axes of the mask may also be those that x is broadcast over.
    Shape common = broadcast_shapes(kName, mask.shape(), blocks);
    if (!std::equal(blocks.end() - 2, blocks.end(), common.end() - 2)) throw ValueError("");
    blocks = common;
    mask = broadcast_to(mask, blocks);
  } catch (const ValueError&) {
    throw ValueError(cat(kName, ": ", which, " of shape ", given.shape(), " does not fit the blocks of shape ", blocks,
                         " of an array of shape ", x.shape(), " with block_size=", block));
  }
  if (mask.dtype() != Dtype::bool_) mask = astype(mask, x.dtype());
  auto apply = [](const Array& values, const Array& m) {
    return m.dtype() == Dtype::bool_ ? where(m, values, constant(0, values.dtype())) : multiply(values, m);
  };
  int64_t rows = x.dim(-2), columns = x.dim(-1);
  Shape wide(blocks.begin(), blocks.end() - 2), result = wide;
  result.push_back(rows);
  result.push_back(columns);
  int64_t tall = std::min(block, rows), broad = std::min(block, columns);
  if (tall > 0 && broad > 0 && rows % tall == 0 && columns % broad == 0) {
    // Blocks as axes: nothing is copied.
    Shape split = lead, one = wide;
    for (int64_t d : {rows / tall, tall, columns / broad, broad}) split.push_back(d);
    for (int64_t d : {blocks[blocks.size() - 2], int64_t(1), blocks.back(), int64_t(1)}) one.push_back(d);
    return reshape(apply(reshape(x, split), reshape(mask, one)), result);
  }
  Array full = repeat(repeat(mask, block, -1), block, -2);
  full = slice_axis(full, int(full.ndim()) - 2, 0, rows);
  full = slice_axis(full, int(full.ndim()) - 1, 0, columns);
  return apply(x, full);
}

}  // namespace

Array block_masked_mm(const Array& first, const Array& second, int64_t block_size, const Array& mask_out,
                      const Array& mask_lhs, const Array& mask_rhs) {
  if (block_size < 1) throw ValueError(cat(kName, ": block_size must be positive, got ", block_size));
  if (first.ndim() == 0 || second.ndim() == 0)
    throw ValueError(
        cat(kName, ": expected at least one dimension, got shapes ", first.shape(), " and ", second.shape()));
  Dtype dtype = promote_types(first.dtype(), second.dtype());
  if (!is_float(dtype))
    throw ValueError(cat(kName, ": is defined for real floating-point arrays, got ", first.dtype(), " and ",
                         second.dtype(), "; convert one with astype"));
  Array a = astype(first.ndim() == 1 ? reshape(first, {1, -1}) : first, dtype);
  Array b = astype(second.ndim() == 1 ? reshape(second, {-1, 1}) : second, dtype);
  if (a.dim(-1) != b.dim(-2))
    throw ValueError(cat(kName, ": the last axis of the first argument (size ", a.dim(-1),
                         ") must match the second-to-last axis of the second (size ", b.dim(-2), "); shapes ",
                         first.shape(), " and ", second.shape()));
  Array out = matmul(masked(a, mask_lhs, block_size, "mask_lhs"), masked(b, mask_rhs, block_size, "mask_rhs"));
  out = masked(out, mask_out, block_size, "mask_out");
  Shape shape(out.shape().begin(), out.shape().end() - 2);
  if (first.ndim() > 1) shape.push_back(out.dim(-2));
  if (second.ndim() > 1) shape.push_back(out.dim(-1));
  return reshape(out, shape);
}

}  // namespace funcnn
