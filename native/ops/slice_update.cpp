#include "ops/slice_update.h"

#include <algorithm>

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Array part(const Array& x, const Shape& start, const Shape& step, const Shape& lengths) {
  Shape stop;
  for (size_t i = 0; i < start.size(); ++i) stop.push_back(std::max<int64_t>(start[i] + lengths[i] * step[i], -1));
  return slice(x, start, stop, step);
}

}  // namespace

void SliceUpdate::hash(Hasher& h) const {
  h.add(start_);
  h.add(step_);
}
std::string SliceUpdate::parameters() const { return cat("start=", start_, ", step=", step_); }

Arrays SliceUpdate::vjp(const VjpContext& v) const {
  const Array &ct = v.cotangents[0], &values = v.inputs[1];
  Array zeros = zeros_like(values);
  return {v.needed[0] ? slice_update(ct, zeros, start_, step_) : Array(),
          v.needed[1] ? part(ct, start_, step_, values.shape()) : Array()};
}

std::optional<Arrays> SliceUpdate::jvp(Span inputs, Span tangents, Span) const {
  if (!tangents[0] && !tangents[1]) return Arrays{Array()};
  return Arrays{slice_update(tangents[0] ? tangents[0] : zeros_like(inputs[0]),
                             tangents[1] ? tangents[1] : zeros_like(inputs[1]), start_, step_)};
}

Batched SliceUpdate::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Shape start{0}, step{1};
  for (int64_t s : start_) start.push_back(s);
  for (int64_t s : step_) step.push_back(s);
  return {{slice_update(with_batch_axis(inputs[0], batched[0], size), with_batch_axis(inputs[1], batched[1], size),
                        start, step)},
          {true}};
}

Array slice_update(const Array& x, const Array& values, const Shape& start, const Shape& step) {
  if (values.ndim() != x.ndim() || start.size() != x.ndim() || step.size() != x.ndim())
    throw ValueError(
        cat("slice_update: values of shape ", values.shape(), " do not fit an array of shape ", x.shape()));
  bool all = true;
  for (size_t i = 0; i < start.size(); ++i) {
    int64_t n = x.shape()[i], length = values.shape()[i], last = start[i] + (length - 1) * step[i];
    if (length > 0 && (start[i] < 0 || start[i] >= n || last < 0 || last >= n))
      throw ValueError(
          cat("slice_update: ", length, " elements from ", start[i], " by ", step[i], " leave an axis of length ", n));
    all = all && length == n && (step[i] == 1 || n == 1);
  }
  if (values.size() == 0) return x;
  Array converted = astype(values, x.dtype());
  if (all) return converted;
  const Array inputs[] = {x, converted};
  return make_node(Ref<const Primitive>(new SliceUpdate(start, step)), inputs, x.shape(), x.dtype());
}

}  // namespace funcnn
