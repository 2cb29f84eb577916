#include "ops/pad.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/saturating.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {

void Pad::hash(Hasher& h) const {
  h.add(low_);
  h.add(high_);
  h.add(interior_);
}

std::string Pad::parameters() const { return cat("low=", low_, ", high=", high_, ", interior=", interior_); }

// The elements of `padded` that come from an input of `shape`.
Array Pad::take_back(const Array& padded, const Shape& shape) const {
  Shape stop, step;
  for (size_t i = 0; i < shape.size(); ++i) {
    step.push_back(interior_[i] + 1);
    stop.push_back(shape[i] == 0 ? low_[i] : low_[i] + (shape[i] - 1) * step[i] + 1);
  }
  return slice(padded, low_, stop, step);
}

Arrays Pad::vjp(const VjpContext& v) const {
  Arrays out(2);
  const Array& ct = v.cotangents[0];
  if (v.needed[0]) out[0] = take_back(ct, v.inputs[0].shape());
  if (v.needed[1]) {
    // What lands on padding: everything but the elements of x.
    Array zero = constant(0, ct.dtype());
    Array ones = full(v.inputs[0].shape(), constant(1, Dtype::bool_));
    Array inside = pad(ones, low_, high_, interior_, constant(0, Dtype::bool_));
    out[1] = sum_to(where(inside, zero, ct), {});
  }
  return out;
}

std::optional<Arrays> Pad::jvp(Span inputs, Span tangents, Span) const {
  Array x = tangents[0] ? tangents[0] : zeros_like(inputs[0]);
  return Arrays{pad(x, low_, high_, interior_, tangents[1] ? tangents[1] : constant(0, inputs[1].dtype()))};
}

Batched Pad::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Array x = with_batch_axis(inputs[0], batched[0], size);
  Shape low = low_, high = high_, interior = interior_;
  for (Shape* s : {&low, &high, &interior}) s->insert(s->begin(), 0);
  if (!batched[1]) return {{pad(x, low, high, interior, inputs[1])}, {true}};
  // A padding value for each example: pad with zero and fill in.
  Array padded = pad(x, low, high, interior, constant(0, x.dtype()));
  Array inside = pad(full(x.shape(), constant(1, Dtype::bool_)), low, high, interior, constant(0, Dtype::bool_));
  Shape column(padded.ndim(), 1);
  column[0] = size;
  return {{where(inside, padded, reshape(inputs[1], column))}, {true}};
}

namespace {

// The primitive of an unevaluated padding with zero along one axis only, which is stored in `axis`.
const Pad* as_zero_padding(const Array& x, int& axis) {
  const Node* node = x.node();
  auto* made = dynamic_cast<const Pad*>(node->primitive.get());
  double value;
  if (node->available() || !made || !known_scalar(Array(node->inputs[1]), value) || value != 0) return nullptr;
  axis = -1;
  for (int i = 0; i < int(node->shape.size()); ++i) {
    if (made->interior()[size_t(i)] != 0) return nullptr;
    if (made->low()[size_t(i)] == 0 && made->high()[size_t(i)] == 0) continue;
    if (axis >= 0) return nullptr;
    axis = i;
  }
  return axis >= 0 ? made : nullptr;
}

// The inputs of an unevaluated concatenation along `axis`, or x alone.
void append_parts(const Array& x, int axis, Arrays& parts) {
  const Node* node = x.node();
  auto* joined = dynamic_cast<const Concatenate*>(node->primitive.get());
  if (node->available() || !joined || joined->axis() != axis)
    parts.push_back(x);
  else
    for (const NodeRef& input : node->inputs) parts.emplace_back(input);
}

}  // namespace

Array join_padded(const Array& a, const Array& b) {
  if (a.ndim() == 0 || a.shape() != b.shape() || a.dtype() != b.dtype()) return {};
  std::unique_lock past(past_mutex());
  int axis, other;
  const Pad *first = as_zero_padding(a, axis), *second = first ? as_zero_padding(b, other) : nullptr;
  if (!second || axis != other) return {};
  Array x(a.node()->inputs[0]), y(b.node()->inputs[0]);
  size_t d = size_t(axis);
  if (first->low()[d] > second->low()[d]) {
    std::swap(first, second);
    std::swap(x, y);
  }
  if (first->low()[d] + x.shape()[d] != second->low()[d]) return {};
  Arrays parts;
  append_parts(x, axis, parts);
  append_parts(y, axis, parts);
  Shape low = first->low(), high = second->high(), interior = first->interior();
  past.unlock();
  return pad(concatenate(parts, axis), low, high, interior, constant(0, a.dtype()));
}

Array pad(const Array& x, std::span<const int64_t> low, std::span<const int64_t> high,
          std::span<const int64_t> interior, const Array& value) {
  size_t rank = x.ndim();
  if (low.size() != rank || high.size() != rank || interior.size() != rank)
    throw ValueError(cat("pad: expected widths for each of the ", rank, " axes of an array of shape ", x.shape()));
  if (value.ndim() != 0) throw ValueError(cat("pad: the padding value must be a scalar, got shape ", value.shape()));
  Shape shape = x.shape();
  for (size_t i = 0; i < rank; ++i) {
    if (low[i] < 0 || high[i] < 0 || interior[i] < 0)
      throw ValueError(cat("pad: widths must not be negative, got ", std::min({low[i], high[i], interior[i]}),
                           " for axis ", i, "; use slicing to remove elements"));
    const int64_t between = shape[i] > 1 ? saturating_multiply(shape[i] - 1, interior[i]) : 0;
    for (int64_t more : {low[i], high[i], between}) shape[i] = saturating_add(shape[i], more);
  }
  if (shape == x.shape()) return x;
  const Array inputs[] = {x, astype(value, x.dtype())};
  return make_node(Ref<const Primitive>(new Pad(Shape(low), Shape(high), Shape(interior))), inputs, std::move(shape),
                   x.dtype());
}

}  // namespace funcnn
