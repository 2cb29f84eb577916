#include "ops/pad.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/saturating.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/slice_update.h"
#include "ops/views.h"

namespace funcnn {

void Pad::hash(Hasher& h) const {
  h.add(low_);
  h.add(high_);
  h.add(interior_);
}

std::string Pad::parameters() const { return cat("low=", low_, ", high=", high_, ", interior=", interior_); }

namespace {

// The elements of `padded` that come from an input of `shape`.
Array take_back(const Array& padded, const Shape& shape, const Shape& low, const Shape& interior) {
  Shape stop, step;
  for (size_t i = 0; i < shape.size(); ++i) {
    step.push_back(interior[i] + 1);
    stop.push_back(shape[i] == 0 ? low[i] : low[i] + (shape[i] - 1) * step[i] + 1);
  }
  return slice(padded, low, stop, step);
}

}  // namespace

Arrays Pad::vjp(const VjpContext& v) const {
  Arrays out(2);
  const Array& ct = v.cotangents[0];
  if (v.needed[0]) out[0] = take_back(ct, v.inputs[0].shape(), low_, interior_);
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

// So many paddings are worth a kernel each that works on the part alone.
constexpr size_t kMany = 16;

const Pad* as_zero_padding(const Node& node) {
  auto* made = dynamic_cast<const Pad*>(node.primitive.get());
  double value;
  return !node.available() && made && known_scalar(Array(node.inputs[1]), value) && value == 0 ? made : nullptr;
}

struct Padded {
  Array whole, x;
  Shape low, high, interior;
  int axis = -1;  // where it is padded along one only, and not between elements

  explicit Padded(const Array& padded) : whole(padded), x(padded) {
    std::unique_lock past(past_mutex());
    const Pad* made = as_zero_padding(*padded.node());
    low = high = interior = Shape(padded.ndim(), 0);
    if (!made) return;  // computed by now
    x = Array(padded.node()->inputs[0]);
    low = made->low(), high = made->high(), interior = made->interior();
    for (size_t i = 0; i < low.size(); ++i) {
      if (low[i] == 0 && high[i] == 0 && interior[i] == 0) continue;
      if (axis >= 0 || interior[i] != 0) {
        axis = -1;
        return;
      }
      axis = int(i);
    }
  }
  int64_t begin() const { return low[size_t(axis)]; }
  int64_t end() const { return begin() + x.shape()[size_t(axis)]; }
};

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

bool is_zero_padded(const Array& x) {
  std::unique_lock past(past_mutex());
  return as_zero_padding(*x.node());
}

namespace {

// Fewer paddings with the same sum.
std::vector<Padded> side_by_side(Span terms) {
  std::vector<Padded> parts, out;
  for (const Array& term : terms) parts.emplace_back(term);
  auto place = [](const Padded& p) { return std::pair(p.axis, p.axis < 0 ? 0 : p.begin()); };
  std::stable_sort(parts.begin(), parts.end(), [&](auto& p, auto& q) { return place(p) < place(q); });
  std::vector<Arrays> joined;
  std::multimap<std::pair<int, int64_t>, size_t> open;  // by axis and end
  for (Padded& p : parts) {
    size_t number = out.size();
    if (auto before = p.axis < 0 ? open.end() : open.lower_bound(place(p));
        before != open.end() && before->first == place(p)) {
      number = before->second;
      open.erase(before);
      out[number].high = p.high;
    } else {
      out.push_back(p);
      joined.emplace_back();
    }
    if (p.axis < 0) continue;
    joined[number].push_back(p.x);
    open.emplace(std::pair(p.axis, p.end()), number);
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (joined[i].size() < 2) continue;
    Padded& p = out[i];
    Arrays flat;
    {
      std::unique_lock past(past_mutex());
      for (const Array& x : joined[i]) append_parts(x, p.axis, flat);
    }
    p.x = concatenate(flat, p.axis);
    p.whole = pad(p.x, p.low, p.high, p.interior, constant(0, p.x.dtype()));
  }
  return out;
}

}  // namespace

Array add_padded(Span terms) {
  const std::vector<Padded> parts = side_by_side(terms);
  double elements = 0;
  for (const Padded& p : parts) elements += double(p.x.size());
  Array sum = parts[0].whole;
  const bool apart = parts.size() >= kMany && elements * 4 < double(sum.size()) * double(parts.size());
  for (size_t i = 1; i < parts.size(); ++i) {
    const Padded& p = parts[i];
    if (!apart) {
      sum = add(sum, p.whole);
    } else if (p.x.size()) {
      Shape step = p.interior;
      for (int64_t& s : step) ++s;
      sum = slice_update(sum, add(take_back(sum, p.x.shape(), p.low, p.interior), p.x), p.low, step);
    }
  }
  return sum;
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
