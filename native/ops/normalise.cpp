#include "ops/normalise.h"

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace funcnn {
namespace {

Dtype result_dtype(const Array& x, std::initializer_list<Array> parameters) {
  Dtype dtype = x.dtype();
  for (const Array& p : parameters)
    if (p) dtype = promote_types(dtype, p.dtype());
  return is_inexact(dtype) ? dtype : Dtype::float32;
}

Array over_root_mean_square(const Array& x, const Array& eps) {
  return multiply(x, rsqrt(add(mean(multiply(x, x), {-1}, true), eps)));
}

}  // namespace

Dtype normalisation_dtype(const char* function, const Array& x, std::initializer_list<Parameter> parameters) {
  if (x.ndim() == 0) throw ValueError(cat(function, ": expected at least one axis, got shape ", x.shape()));
  Dtype dtype = x.dtype();
  for (const Parameter& p : parameters) {
    if (!p.value) continue;
    Shape last = {x.dim(-1)};
    if (p.value.shape() != last)
      throw ValueError(cat(function, ": ", p.name, " must have shape ", last, ", that of the last axis of x, got ",
                           p.value.shape()));
    dtype = promote_types(dtype, p.value.dtype());
  }
  if (is_complex(dtype)) throw ValueError(cat(function, ": is defined for real numbers, got ", dtype));
  return promote_types(dtype, Dtype::float32);
}

Array rms_norm(const Array& x, const Array& weight, const Array& eps) {
  Dtype wide = normalisation_dtype("rms_norm", x, {{"weight", weight}});
  Array y = over_root_mean_square(astype(x, wide), eps);
  if (weight) y = multiply(y, astype(weight, wide));
  return astype(y, result_dtype(x, {weight}));
}

Array layer_norm(const Array& x, const Array& weight, const Array& bias, const Array& eps) {
  Dtype wide = normalisation_dtype("layer_norm", x, {{"weight", weight}, {"bias", bias}});
  Array y = astype(x, wide);
  y = over_root_mean_square(subtract(y, mean(y, {-1}, true)), eps);
  if (weight) y = multiply(y, astype(weight, wide));
  if (bias) y = add(y, astype(bias, wide));
  return astype(y, result_dtype(x, {weight, bias}));
}

}  // namespace funcnn
