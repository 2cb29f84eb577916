#include "ops/attention.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/number_text.h"
#include "ops/create.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

constexpr int64_t kHeads = -3, kPlaces = -2;

Dtype wide_dtype(Dtype dtype) { return is_half(dtype) ? Dtype::float32 : dtype; }
Array exchanged(const Array& x) { return swapaxes(x, kHeads, kPlaces); }
Array transposed(const Array& x) { return swapaxes(x, -1, -2); }
Array sum_last(const Array& x, bool keepdims) { return sum(x, AxisSet{-1}, keepdims); }
Array with_axis(const Array& x, int64_t at) { return expand_dims(x, std::span(&at, 1)); }
Array last_axis(const Array& x) { return with_axis(x, -1); }
// The sum of arrays that broadcast, either of which may be null.
Array sum_of(const Array& a, const Array& b) { return a && b ? add(a, b) : a ? a : b; }

// Whether x is a view of an array with the axes of heads and places exchanged, as a projection gives them.
bool lies_by_place(const Array& x) {
  if (x.dim(-2) == 1 || x.dim(-3) == 1) return false;
  Strides strides = strides_as_view(x);
  return strides[strides.size() - 2] > strides[strides.size() - 3];
}

// ---- the same written with other operations, which hold the scores: for derivatives of higher order and forward mode

// Everything with an axis of groups after that of the heads of the keys, in the dtype that attention computes with.
struct Grouped {
  int64_t heads;  // of the keys
  Dtype dtype;

  Array queries(const Array& x) const { return by_heads(x, 3); }  // (..., H, T, D) or, as of masks, (..., 1, T, D)
  Array rows(const Array& x) const { return by_heads(x, 2); }     // (..., H, T)
  Array sinks(const Array& x) const { return by_heads(x, 1); }    // (..., H)
  Array keys(const Array& x) const { return with_axis(astype(x, dtype), -3); }

  static Array ungroup_keys(const Array& x, const Array& like) {
    return reshape(sum(x, AxisSet{-3}, false), like.shape());
  }

 private:
  Array by_heads(const Array& x, size_t from_end) const {
    Shape shape = x.shape();
    size_t at = shape.size() - from_end;
    int64_t all = shape[at];
    shape[at] = all == 1 ? 1 : heads;
    shape.insert(shape.begin() + ptrdiff_t(at) + 1, all == 1 ? 1 : all / heads);
    return reshape(x.dtype() == Dtype::bool_ ? x : astype(x, dtype), shape);
  }
};

Array scaled(const Array& x, double scale) { return multiply(x, constant(scale, x.dtype())); }

// What attention gave of each query, (..., K, G, Tq), and what comes of it.
struct Normaliser {
  Array most, inverse;  // 0 where nothing is seen

  Normaliser(const Grouped& g, const Array& largest, const Array& sums) {
    Array zero = constant(0, g.dtype), m = g.rows(largest), l = g.rows(sums);
    Array nothing = equal(l, zero);
    most = where(nothing, zero, m);
    // The derivative of a reciprocal is infinite at 0, also where it is not chosen.
    inverse = where(nothing, zero, reciprocal(where(nothing, constant(1, g.dtype), l)));
  }
  // exp(scores - most) / sum.
  Array probabilities(const Array& scores) const {
    return multiply(exp(subtract(scores, last_axis(most))), last_axis(inverse));
  }
  Array sink_probabilities(const Grouped& g, const Array& sinks) const {
    return multiply(exp(subtract(last_axis(g.sinks(sinks)), most)), inverse);
  }
};

// (..., K, G, Tq, Tk).
Array scores_of(const Grouped& g, const AttentionScores& scores, const Array& q, const Array& k, const Array& mask) {
  Array minus_infinity = constant(-std::numeric_limits<double>::infinity(), g.dtype);
  Array s = scaled(matmul(q, transposed(k)), scores.scale);
  if (scores.causal) {
    int64_t queries = q.dim(-2), keys = k.dim(-2);
    Array row = iota({queries, 1}, Dtype::int32), column = iota({1, keys}, Dtype::int32);
    Array sees = binary(Opcode::less_equal, column, add(row, constant(keys - queries, Dtype::int32)));
    s = where(sees, s, minus_infinity);
  }
  if (mask) s = mask.dtype() == Dtype::bool_ ? where(mask, s, minus_infinity) : add(s, mask);
  return s;
}

// ---- making the nodes

struct Operands {
  Array q, k, v, mask, sinks;
  explicit Operands(const AttentionScores& scores, Span inputs) : q(inputs[0]), k(inputs[1]), v(inputs[2]) {
    size_t next = 3;
    if (scores.mask) mask = inputs[next++];
    if (scores.sinks && next < inputs.size()) sinks = inputs[next++];
  }
};

Shape with_last(Shape shape, int64_t last) {
  shape.back() = last;
  return shape;
}
Shape without_last(const Shape& shape) { return Shape(shape.begin(), shape.end() - 1); }
Shape ordered(Shape shape, bool exchange) {
  if (exchange) std::swap(shape[shape.size() - 3], shape[shape.size() - 2]);
  return shape;
}

Arrays attention_nodes(const AttentionScores& scores, Span inputs) {
  const Array &q = inputs[0], &v = inputs[2];
  return make_nodes(Ref<const Primitive>(new Attention(scores)), inputs,
                    {{ordered(with_last(q.shape(), v.dim(-1)), true), q.dtype()},
                     {without_last(q.shape()), wide_dtype(q.dtype())},
                     {without_last(q.shape()), wide_dtype(q.dtype())}});
}

Arrays gradient_nodes(const AttentionScores& scores, const AttentionOrder& order, Span inputs) {
  const Array &q = inputs[0], &k = inputs[1], &v = inputs[2];
  return make_nodes(Ref<const Primitive>(new AttentionGradient(scores, order)), inputs,
                    {{ordered(q.shape(), order.q), q.dtype()},
                     {ordered(k.shape(), order.k), k.dtype()},
                     {ordered(v.shape(), order.v), v.dtype()}});
}

Array mask_gradient_node(const AttentionScores& scores, Span inputs) {
  return make_node(Ref<const Primitive>(new AttentionMaskGradient(scores)), inputs, inputs[3].shape(),
                   inputs[3].dtype());
}

// Inputs with a batch axis each.
Arrays with_batch_axes(Span inputs, std::span<const bool> batched, int64_t size) {
  Arrays made;
  for (size_t i = 0; i < inputs.size(); ++i) made.push_back(with_batch_axis(inputs[i], batched[i], size));
  return made;
}

bool differentiable_mask(const Array& mask) { return mask && mask.dtype() != Dtype::bool_; }

}  // namespace

void AttentionScores::hash(Hasher& h) const {
  h.add(scale);
  h.add(causal);
  h.add(mask);
  h.add(sinks);
}

std::string AttentionScores::parameters() const {
  return cat("scale=", number_text(scale), causal ? ", causal=True" : "", mask ? ", mask" : "", sinks ? ", sinks" : "");
}

double AttentionScores::flops(const Shape& q, int with_queries, int with_values) const {
  double queries = double(q[q.size() - 2]), depth = double(q.back()), all = double(keys),
         first = std::min(queries, all);
  double pairs = causal ? first * all - first * (first - 1) / 2 : queries * all;
  return 2 * double(element_count(q)) / std::max(queries * depth, 1.0) * pairs *
         (with_queries * depth + with_values * double(values));
}

// ---- attention

Arrays Attention::vjp(const VjpContext& v) const {
  Operands in(scores_, v.inputs);
  const Array &most = v.outputs[1], &sums = v.outputs[2];
  Dtype wide = sums.dtype();
  Arrays out(v.inputs.size());
  // By a score: its probability times the product of its value and the cotangent, less `rows`.
  Array ct = v.cotangents[0], rows;
  if (ct) {
    rows = transposed(sum_last(multiply(astype(ct, wide), astype(v.outputs[0], wide)), false));
    ct = exchanged(ct);
  } else {
    ct = full(with_last(in.q.shape(), in.v.dim(-1)), constant(0, in.q.dtype()));
    rows = zeros_like(sums);
  }
  if (v.cotangents[2]) rows = subtract(rows, multiply(v.cotangents[2], sums));

  AttentionScores scores = scores_;
  scores.sinks = false;
  Arrays inputs{in.q, in.k, in.v};
  if (in.mask) inputs.push_back(in.mask);
  for (const Array& x : {most, sums, rows, ct}) inputs.push_back(x);
  if (v.needed[0] || v.needed[1] || v.needed[2]) {
    AttentionOrder order{lies_by_place(in.q), lies_by_place(in.k), lies_by_place(in.v)};
    Arrays all = inputs;
    if (v.cotangents[0] && !v.cotangents[2]) all.push_back(v.outputs[0]);
    Arrays made = gradient_nodes(scores, order, all);
    if (v.needed[0]) out[0] = order.q ? exchanged(made[0]) : made[0];
    if (v.needed[1]) out[1] = order.k ? exchanged(made[1]) : made[1];
    if (v.needed[2]) out[2] = order.v ? exchanged(made[2]) : made[2];
  }
  if (differentiable_mask(in.mask) && v.needed[3]) out[3] = mask_gradient_node(scores, inputs);
  if (in.sinks && v.needed.back()) {
    Grouped g{in.k.dim(-3), wide};
    Array moved = multiply(Normaliser(g, most, sums).sink_probabilities(g, in.sinks), g.rows(rows));
    out.back() = astype(reshape(negative(sum_last(moved, false)), in.sinks.shape()), in.sinks.dtype());
  }
  return out;
}

std::optional<Arrays> Attention::jvp(Span inputs, Span tangents, Span outputs) const {
  Operands in(scores_, inputs), moved(scores_, tangents);
  if (in.mask && !differentiable_mask(in.mask)) moved.mask = Array();
  Grouped g{in.k.dim(-3), outputs[1].dtype()};
  Array q = g.queries(in.q), k = g.keys(in.k), v = g.keys(in.v), mask = in.mask ? g.queries(in.mask) : Array();
  Normaliser normaliser(g, outputs[1], outputs[2]);
  Array p = normaliser.probabilities(scores_of(g, scores_, q, k, mask));
  Array s;  // tangent of the scores
  if (moved.q) s = matmul(g.queries(moved.q), transposed(k));
  if (moved.k) s = sum_of(s, matmul(q, transposed(g.keys(moved.k))));
  if (s) s = scaled(s, scores_.scale);
  if (moved.mask) s = sum_of(s, g.queries(moved.mask));
  Array rows, result;
  if (s) rows = sum_last(multiply(p, s), false);
  if (moved.sinks)
    rows = sum_of(rows, multiply(normaliser.sink_probabilities(g, in.sinks), last_axis(g.sinks(moved.sinks))));
  if (rows) {
    Array shift = s ? multiply(p, subtract(s, last_axis(rows))) : negative(multiply(p, last_axis(rows)));
    result = matmul(shift, v);
  }
  if (moved.v) result = sum_of(result, matmul(p, g.keys(moved.v)));
  Arrays out(3);
  if (result) {
    Shape shape = with_last(in.q.shape(), in.v.dim(-1));
    out[0] = astype(exchanged(reshape(result, shape)), outputs[0].dtype());
  }
  if (rows) out[2] = multiply(reshape(rows, outputs[2].shape()), outputs[2]);
  return out;
}

Batched Attention::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {attention_nodes(scores_, with_batch_axes(inputs, batched, size)), {true, true, true}};
}

// ---- its derivatives

void AttentionGradient::hash(Hasher& h) const {
  scores_.hash(h);
  h.add(exchanged_.q);
  h.add(exchanged_.k);
  h.add(exchanged_.v);
}

std::string AttentionGradient::parameters() const {
  std::string turned = cat(exchanged_.q ? "q" : "", exchanged_.k ? "k" : "", exchanged_.v ? "v" : "");
  return cat(scores_.parameters(), turned.empty() ? "" : ", exchanged=", turned);
}

namespace {

// The vjp of q, k, v, mask, most, sums, rows, ct -> cotangents of q, k, v and the mask, given a cotangent for each or
// null. A result among the inputs says nothing that the rows do not.
Arrays second_vjp(const AttentionScores& scores, const VjpContext& context, Array of_q, Array of_k, Array of_v,
                  Array of_mask) {
  Operands in(scores, context.inputs);
  const size_t next = scores.first_given();
  Grouped g{in.k.dim(-3), context.inputs[next].dtype()};
  Array q = g.queries(in.q), k = g.keys(in.k), v = g.keys(in.v), mask = in.mask ? g.queries(in.mask) : Array();
  Normaliser normaliser(g, context.inputs[next], context.inputs[next + 1]);
  Array rows = g.rows(context.inputs[next + 2]), ct = g.queries(context.inputs[next + 3]);
  if (of_q) of_q = g.queries(of_q);
  if (of_k) of_k = g.keys(of_k);
  if (of_v) of_v = g.keys(of_v);
  if (of_mask) of_mask = g.queries(of_mask);

  // ds = p (dp - rows); the cotangents are scale ds k, scale ds^T q, p^T ct and ds.
  Array p = normaliser.probabilities(scores_of(g, scores, q, k, mask)), dp = matmul(ct, transposed(v));
  Array difference = subtract(dp, last_axis(rows)), ds = multiply(p, difference);
  Array bar_ds;
  if (of_q) bar_ds = matmul(of_q, transposed(k));
  if (of_k) bar_ds = sum_of(bar_ds, matmul(q, transposed(of_k)));
  if (bar_ds) bar_ds = scaled(bar_ds, scores.scale);
  bar_ds = sum_of(bar_ds, of_mask);
  Array bar_p = bar_ds ? multiply(bar_ds, difference) : Array(), bar_dp = bar_ds ? multiply(bar_ds, p) : Array();
  if (of_v) bar_p = sum_of(bar_p, matmul(ct, transposed(of_v)));
  Array bar_s = bar_p ? multiply(bar_p, p) : Array();

  Array bar_q = bar_s ? scaled(matmul(bar_s, k), scores.scale) : Array();
  if (of_k) bar_q = sum_of(bar_q, scaled(matmul(ds, of_k), scores.scale));
  Array bar_k = bar_s ? scaled(matmul(transposed(bar_s), q), scores.scale) : Array();
  if (of_q) bar_k = sum_of(bar_k, scaled(matmul(transposed(ds), of_q), scores.scale));
  Array bar_v = bar_dp ? matmul(transposed(bar_dp), ct) : Array();
  Array bar_ct = bar_dp ? matmul(bar_dp, v) : Array();
  if (of_v) bar_ct = sum_of(bar_ct, matmul(p, of_v));

  Arrays out(context.inputs.size());
  auto back = [&](size_t i, const Array& x) {
    if (x) out[i] = astype(reshape(x, context.inputs[i].shape()), context.inputs[i].dtype());
  };
  back(0, bar_q);
  if (bar_k) back(1, Grouped::ungroup_keys(bar_k, in.k));
  if (bar_v) back(2, Grouped::ungroup_keys(bar_v, in.v));
  if (differentiable_mask(in.mask) && bar_s) back(3, sum_to(bar_s, mask.shape()));
  if (bar_s) back(next + 1, negative(multiply(sum_last(bar_s, false), normaliser.inverse)));
  if (bar_dp) back(next + 2, negative(sum_last(bar_dp, false)));
  back(next + 3, bar_ct);
  return out;
}

}  // namespace

Arrays AttentionGradient::vjp(const VjpContext& v) const {
  auto given = [&](size_t i, bool exchange) {
    const Array& ct = v.cotangents[i];
    return ct && exchange ? funcnn::exchanged(ct) : ct;
  };
  return second_vjp(scores_, v, given(0, exchanged_.q), given(1, exchanged_.k), given(2, exchanged_.v), Array());
}

Batched AttentionGradient::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {gradient_nodes(scores_, exchanged_, with_batch_axes(inputs, batched, size)), {true, true, true}};
}

Arrays AttentionMaskGradient::vjp(const VjpContext& v) const {
  return second_vjp(scores_, v, Array(), Array(), Array(), v.cotangents[0]);
}

Batched AttentionMaskGradient::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {{mask_gradient_node(scores_, with_batch_axes(inputs, batched, size))}, {true}};
}

// ---- the function

Array scaled_dot_product_attention(const Array& query, const Array& key, const Array& value, double scale, bool causal,
                                   const Array& given_mask, const Array& given_sinks) {
  const char* op = "scaled_dot_product_attention";
  auto shapes = [&] { return cat("q ", query.shape(), ", k ", key.shape(), ", v ", value.shape()); };
  if (query.ndim() != 4 || key.ndim() != 4 || value.ndim() != 4)
    throw ValueError(cat(op, ": expected q, k and v with four axes (batch, heads, places, features), got ", shapes(),
                         "; use reshape or expand_dims, or vmap for further axes"));
  Dtype dtype = promote_types(promote_types(query.dtype(), key.dtype()), value.dtype());
  if (!is_inexact(dtype) || is_complex(dtype))
    throw ValueError(cat(op, ": is defined for real floating-point arrays, got ", query.dtype(), ", ", key.dtype(),
                         " and ", value.dtype(), "; convert them with astype"));
  if (query.dim(0) != key.dim(0) || key.dim(0) != value.dim(0))
    throw ValueError(cat(op, ": the batch axes (axis 0) must have the same length, got ", shapes()));
  if (query.dim(3) != key.dim(3))
    throw ValueError(cat(op, ": the last axes of q and k must have the same length, got ", shapes()));
  if (key.dim(1) != value.dim(1) || key.dim(2) != value.dim(2))
    throw ValueError(cat(op, ": k and v must have the same heads and places (axes 1 and 2), got ", shapes()));
  int64_t heads = query.dim(1), key_heads = key.dim(1), queries = query.dim(2), keys = key.dim(2);
  if (key_heads == 0 ? heads != 0 : heads % key_heads != 0)
    throw ValueError(
        cat(op, ": the heads of q (", heads, ") must be a multiple of those of k and v (", key_heads, ")"));

  AttentionScores scores{scale, causal, bool(given_mask), bool(given_sinks), keys, value.dim(3)};
  Array q = astype(query, dtype), k = astype(key, dtype), v = astype(value, dtype), mask = given_mask;
  if (mask) {
    const Shape wanted{query.dim(0), heads, queries, keys};
    if (mask.ndim() > 4)
      throw ValueError(
          cat(op, ": expected a mask with at most four axes (batch, heads, queries, keys), got shape ", mask.shape()));
    Shape shape = mask.shape();
    while (shape.size() < 4) shape.insert(shape.begin(), 1);
    for (size_t i = 0; i < 4; ++i)
      if (shape[i] != 1 && shape[i] != wanted[i])
        throw ValueError(cat(op, ": the mask of shape ", mask.shape(), " does not broadcast to ", wanted,
                             " (batch, heads, queries, keys)"));
    if (mask.dtype() != Dtype::bool_) {
      if (promote_types(mask.dtype(), dtype) != dtype)
        throw ValueError(cat(op, ": a mask of ", mask.dtype(), " cannot be added to scores of ", dtype,
                             "; convert it with astype, or pass a bool mask"));
      mask = astype(mask, dtype);
    }
    mask = reshape(mask, shape);
  }
  Array sinks = given_sinks;
  if (sinks) {
    if (sinks.ndim() != 1 || sinks.dim(0) != heads)
      throw ValueError(
          cat(op, ": expected sinks of shape (", heads, ",), one for each head of q, got ", sinks.shape()));
    if (promote_types(sinks.dtype(), dtype) != dtype)
      throw ValueError(cat(op, ": sinks of ", sinks.dtype(), " cannot stand beside scores of ", dtype,
                           "; convert them with astype"));
    sinks = broadcast_to(astype(sinks, dtype), {query.dim(0), heads});
  }
  Shape shape{query.dim(0), heads, queries, value.dim(3)};
  if (element_count(shape) == 0 || keys == 0) return full(shape, constant(0, dtype));
  Arrays inputs{q, k, v};
  if (mask) inputs.push_back(mask);
  if (sinks) inputs.push_back(sinks);
  return exchanged(attention_nodes(scores, inputs)[0]);
}

}  // namespace funcnn
