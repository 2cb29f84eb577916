#include "ops/segmented_dot.h"

#include "base/error.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Array exchanged(const Array& x) { return swapaxes(x, -1, -2); }

Array segmented(const Array& a, const Array& b, const Array& segments) {
  static const Ref<const Primitive> shared(new SegmentedDot);
  Shape shape(segments.shape().begin(), segments.shape().end() - 1);
  shape.push_back(a.dim(-2));
  shape.push_back(b.dim(-1));
  if (a.dim(-1) == 0 || element_count(shape) == 0) return zeros(shape, a.dtype());
  const Array inputs[] = {a, b, segments};
  return make_node(shared, inputs, std::move(shape), a.dtype());
}

Array spread(const Array& c, const Array& b, const Array& segments) {
  static const Ref<const Primitive> shared(new SegmentsSpread);
  Shape shape(b.shape().begin(), b.shape().end() - 2);
  shape.push_back(c.dim(-2));
  shape.push_back(b.dim(-2));
  if (c.dim(-3) == 0 || c.dim(-1) == 0 || element_count(shape) == 0) return zeros(shape, b.dtype());
  const Array inputs[] = {c, b, segments};
  return make_node(shared, inputs, std::move(shape), b.dtype());
}

Arrays with_batch(Span inputs, std::span<const bool> batched, int64_t size) {
  Arrays out;
  for (size_t i = 0; i < inputs.size(); ++i) out.push_back(with_batch_axis(inputs[i], batched[i], size));
  return out;
}

}  // namespace

Arrays SegmentedDot::vjp(const VjpContext& v) const {
  const Array &a = v.inputs[0], &b = v.inputs[1], &segments = v.inputs[2], &ct = v.cotangents[0];
  Arrays out(3);
  if (v.needed[0]) out[0] = spread(ct, b, segments);
  if (v.needed[1]) out[1] = exchanged(spread(exchanged(ct), exchanged(a), segments));
  return out;
}
std::optional<Arrays> SegmentedDot::jvp(Span in, Span t, Span) const {
  return Arrays{
      add_or_null(t[0] ? segmented(t[0], in[1], in[2]) : Array(), t[1] ? segmented(in[0], t[1], in[2]) : Array())};
}
Batched SegmentedDot::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Arrays all = with_batch(inputs, batched, size);
  return {{segmented(all[0], all[1], all[2])}, {true}};
}

Arrays SegmentsSpread::vjp(const VjpContext& v) const {
  const Array &c = v.inputs[0], &b = v.inputs[1], &segments = v.inputs[2], &ct = v.cotangents[0];
  Arrays out(3);
  if (v.needed[0]) out[0] = segmented(ct, b, segments);
  if (v.needed[1]) out[1] = exchanged(spread(exchanged(c), exchanged(ct), segments));
  return out;
}
std::optional<Arrays> SegmentsSpread::jvp(Span in, Span t, Span) const {
  return Arrays{add_or_null(t[0] ? spread(t[0], in[1], in[2]) : Array(), t[1] ? spread(in[0], t[1], in[2]) : Array())};
}
Batched SegmentsSpread::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Arrays all = with_batch(inputs, batched, size);
  return {{spread(all[0], all[1], all[2])}, {true}};
}

Array segmented_mm(const Array& first, const Array& second, const Array& segments) {
  Dtype dtype = promote_types(first.dtype(), second.dtype());
  if (!is_float(dtype))
    throw ValueError(cat("segmented_mm: is defined for real floating-point arrays, got ", first.dtype(), " and ",
                         second.dtype(), "; convert one with astype"));
  if (first.ndim() != 2 || second.ndim() != 2 || first.dim(1) != second.dim(0))
    throw ValueError(
        cat("segmented_mm: expected matrices (M, K) and (K, N), got shapes ", first.shape(), " and ", second.shape()));
  if (segments.ndim() == 0 || segments.dim(-1) != 2)
    throw ValueError(cat("segmented_mm: segments must have shape (..., 2), got ", segments.shape()));
  Array bounds = astype(as_indices("segmented_mm", segments), Dtype::int64);
  Array out = segmented(astype(first, dtype), astype(second, dtype), reshape(bounds, {-1, 2}));
  Shape shape(segments.shape().begin(), segments.shape().end() - 1);
  shape.push_back(first.dim(0));
  shape.push_back(second.dim(1));
  return reshape(out, shape);
}

}  // namespace funcnn
