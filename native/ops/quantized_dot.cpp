#include "ops/quantized_dot.h"

#include "base/error.h"
#include "ops/create.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/gather_dot.h"
#include "ops/quantize.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Shape lead_of(const Array& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }
Array exchanged(const Array& x) { return swapaxes(x, -1, -2); }

// Codes, scales and biases (null: none) of matrices.
struct Matrices {
  Array w, scales, biases;
};

Array make(const Array& x, const Matrices& m, const Array& lhs, const Array& rhs, bool transpose,
           const QuantFormat& format) {
  Arrays inputs{x, m.w, m.scales};
  if (m.biases) inputs.push_back(m.biases);
  if (lhs) inputs.insert(inputs.end(), {lhs, rhs});
  int64_t columns = transpose ? m.w.dim(1) : format.elements(m.w.dim(2));
  Shape shape{lhs ? lhs.dim(0) : 1, x.dim(1), columns};
  if (x.dim(2) == 0 || element_count(shape) == 0) return zeros(shape, x.dtype());
  return make_node(Ref<const Primitive>(new QuantizedDot(format, transpose, bool(lhs))), inputs, std::move(shape),
                   x.dtype());
}

// The inputs of a node, by name.
struct Named {
  Array x;
  Matrices m;
  Array lhs, rhs;
};
Named named(Span in, const QuantizedDot& op) {
  size_t next = 1 + op.matrix_inputs();
  Named out{in[0], {in[1], in[2], op.format().affine() ? in[3] : Array()}, {}, {}};
  if (op.indexed()) {
    out.lhs = in[next];
    out.rhs = in[next + 1];
  }
  return out;
}

Array group_sums(const Array& x, int group) {
  Shape shape = x.shape();
  shape.back() /= group;
  shape.push_back(group);
  return sum(reshape(x, shape), AxisSet{-1}, false);
}

}  // namespace

std::string QuantizedDot::parameters() const {
  return cat(format_.text(), ", transpose=", transpose_ ? "True" : "False");
}

Arrays QuantizedDot::vjp(const VjpContext& v) const {
  Named in = named(v.inputs, *this);
  const Array& ct = v.cotangents[0];
  Arrays out(v.inputs.size());
  Array own = indexed_ ? iota({in.lhs.dim(0)}, Dtype::int64) : Array();
  if (v.needed[0]) {
    Array by_x = make(ct, in.m, own, in.rhs, !transpose_, format_);
    out[0] = indexed_ ? scattered(by_x, in.lhs, in.x.dim(0)) : by_x;
  }
  if (!format_.affine() || !(v.needed[2] || v.needed[3])) return out;
  // The gradient of the matrices, and what each group's scale and bias have of it.
  Array left = transpose_ ? ct : in.x, right = transpose_ ? in.x : ct;
  Array dense;
  if (indexed_)
    dense = scatter_dot(left, right, transpose_ ? own : in.lhs, transpose_ ? in.lhs : own, in.rhs, in.m.w.dim(0));
  else
    dense = matmul(exchanged(left), right);
  if (v.needed[2]) out[2] = group_sums(multiply(dense, quantized_codes(in.m.w, format_, dense.dtype())), format_.group);
  if (v.needed[3]) out[3] = group_sums(dense, format_.group);
  return out;
}

std::optional<Arrays> QuantizedDot::jvp(Span inputs, Span t, Span) const {
  Named in = named(inputs, *this);
  Array out = t[0] ? make(t[0], in.m, in.lhs, in.rhs, transpose_, format_) : Array();
  if (format_.affine() && (t[2] || t[3])) {
    // Linear in scales and biases together.
    Matrices change{in.m.w, t[2] ? t[2] : zeros_like(in.m.scales), t[3] ? t[3] : zeros_like(in.m.biases)};
    out = add_or_null(out, make(in.x, change, in.lhs, in.rhs, transpose_, format_));
  }
  return Arrays{out};
}

Batched QuantizedDot::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Named in = named(inputs, *this);
  size_t next = 1 + matrix_inputs();
  bool weights = false, chosen = false;
  for (size_t i = 1; i < inputs.size(); ++i) (i < next ? weights : chosen) |= batched[i];
  if (!weights && !indexed_) {
    // More rows.
    const Array& x = in.x;
    Array out = make(reshape(x, {1, size * x.dim(2), x.dim(3)}), in.m, {}, {}, transpose_, format_);
    return {{reshape(out, {size, 1, x.dim(2), out.dim(2)})}, {true}};
  }
  auto merged = [&](size_t i) { return merged_lead(with_batch_axis(inputs[i], batched[i], size)); };
  Array x = batched[0] ? merged(0) : in.x;
  Matrices m = in.m;
  if (weights) m = {merged(1), merged(2), format_.affine() ? merged(3) : Array()};
  Array one = zeros({1}, Dtype::int64);
  int64_t xs = in.x.dim(batched[0] ? 1 : 0), ws = in.m.w.dim(batched[1] ? 1 : 0);
  Array lhs = batched_numbers(indexed_ ? in.lhs : one, indexed_ && batched[next], size, xs, !batched[0]);
  Array rhs = batched_numbers(indexed_ ? in.rhs : one, indexed_ && batched[next + 1], size, ws, !weights);
  Array out = make(x, m, lhs, rhs, transpose_, format_);
  return {{reshape(out, {size, out.dim(0) / size, out.dim(1), out.dim(2)})}, {true}};
}

namespace {

// The dtype of a product, and scales and biases in it.
Dtype product_dtype(const char* op, const Array& x, Matrices& m, const QuantFormat& format) {
  Dtype dtype = x.dtype();
  if (format.affine()) {
    dtype = promote_types(promote_types(dtype, m.scales.dtype()), m.biases.dtype());
    m.scales = astype(m.scales, dtype);
    m.biases = astype(m.biases, dtype);
  }
  if (!is_float(dtype))
    throw ValueError(cat(op, ": expected a real floating-point array, got ", x.dtype(), " of shape ", x.shape(),
                         "; convert it with astype"));
  return dtype;
}

void check_inner(const char* op, const Array& x, const Array& w, bool transpose, const QuantFormat& format) {
  int64_t columns = format.elements(w.dim(-1)), inner = transpose ? columns : w.dim(-2);
  if (x.dim(-1) != inner)
    throw ValueError(cat(op, ": the last axis of the first argument (size ", x.dim(-1), ") must match the ",
                         transpose ? "columns" : "rows", " of the quantised matrix (", w.dim(-2), ", ", columns,
                         "); shapes ", x.shape(), " and ", w.shape(), " with ", format.text(),
                         ", transpose=", transpose ? "True" : "False"));
}

Matrices merged(const Matrices& m) {
  return {merged_lead(m.w), merged_lead(m.scales), m.biases ? merged_lead(m.biases) : Array()};
}

// x of at least 2 dimensions.
Array with_rows(const char* op, const Array& x) {
  if (x.ndim() == 0) throw ValueError(cat(op, ": expected at least one dimension, got shape ()"));
  return x.ndim() == 1 ? reshape(x, {1, x.dim(0)}) : x;
}

}  // namespace

Array quantized_matmul(const Array& given, const Array& w, const Array& scales, const Array& biases, bool transpose,
                       const QuantFormat& format) {
  const char* op = "quantized_matmul";
  check_quantized(op, format, w, scales, biases);
  Matrices m{w, scales, biases};
  Array x = astype(with_rows(op, given), product_dtype(op, given, m, format));
  check_inner(op, x, w, transpose, format);
  Shape lead = lead_of(x), shape;
  Array out;
  if (element_count(lead_of(w)) == 1 && w.ndim() <= x.ndim()) {
    // One matrix for all: the leading axes are more rows.
    out = make(reshape(x, {1, element_count(lead) * x.dim(-2), x.dim(-1)}), merged(m), {}, {}, transpose, format);
    shape = lead;
  } else {
    shape = broadcast_shapes(op, lead, lead_of(w));
    auto numbers = [&](const Shape& own) {
      return reshape(broadcast_to(reshape(iota({element_count(own)}, Dtype::int64), own), shape), {-1});
    };
    out = make(merged_lead(x), merged(m), numbers(lead), numbers(lead_of(w)), transpose, format);
  }
  if (given.ndim() > 1) shape.push_back(x.dim(-2));
  shape.push_back(out.dim(2));
  return reshape(out, shape);
}

namespace {

Array gathered(const char* op, const Array& given, const Matrices& matrices, const Array& lhs, const Array& rhs,
               bool transpose, const QuantFormat& format, const Array& global) {
  Matrices m = matrices;
  check_quantized(op, format, m.w, m.scales, m.biases);
  if (given.ndim() < 2) throw ValueError(cat(op, ": x must have at least 2 dimensions, got shape ", given.shape()));
  Array x = astype(given, product_dtype(op, given, m, format));
  check_inner(op, x, m.w, transpose, format);
  Chosen chosen = choose(op, lead_of(x), lead_of(m.w), lhs, rhs);
  Array out = make(merged_lead(x), merged(m), chosen.lhs, chosen.rhs, transpose, format);
  if (global) {
    Array factor = multiply(take(reshape(global, {-1}), chosen.rhs, 0), constant(1.0 / 2688.0, Dtype::float32));
    out = astype(multiply(out, reshape(factor, {-1, 1, 1})), x.dtype());
  }
  Shape shape = chosen.shape;
  shape.push_back(out.dim(1));
  shape.push_back(out.dim(2));
  return reshape(out, shape);
}

void check_matrix_scales(const char* op, const QuantFormat& format, const Array& global, const Array& w) {
  if (!global) return;
  if (format.mode != QuantMode::nvfp4)
    throw ValueError(cat(op, ": only mode nvfp4 has a global scale, got one with mode ", mode_name(format.mode)));
  if (global.dtype() != Dtype::float32 || global.shape() != lead_of(w))
    throw ValueError(cat(op, ": the global scale must be float32 with one number for each matrix, of shape ",
                         lead_of(w), ", got ", global.dtype(), " of shape ", global.shape()));
}

void check_activations(const char* op, const Array& x, const QuantFormat& format) {
  if (format.affine())
    throw ValueError(cat(op, ": mode must be 'nvfp4', 'mxfp8' or 'mxfp4', got 'affine'; use quantized_matmul"));
  if (!is_float(x.dtype()) || x.dtype() == Dtype::float64)
    throw ValueError(cat(op, ": expected float32, float16 or bfloat16, got ", x.dtype(), " of shape ", x.shape(),
                         "; convert it with astype"));
  if (x.ndim() == 0 || x.dim(-1) % format.group != 0)
    throw ValueError(
        cat(op, ": the last axis must be a multiple of group_size ", format.group, ", got shape ", x.shape()));
}

// Whether w is packed codes.
bool is_packed(const char* op, const Array& x, const Array& w, const Array& scales, const QuantFormat& format) {
  if (w.dtype() == Dtype::uint32) {
    if (!scales) throw ValueError(cat(op, ": w holds packed codes (uint32), so scales must be given"));
    return true;
  }
  if (scales)
    throw ValueError(cat(op, ": scales are given, so w must hold packed codes of dtype uint32, got ", w.dtype()));
  check_activations(op, w, format);
  if (w.ndim() < 2 || w.dim(-1) != x.dim(-1))
    throw ValueError(cat(op, ": the last axes must match, got shapes ", x.shape(), " and ", w.shape()));
  return false;
}

}  // namespace

Array gather_qmm(const Array& x, const Array& w, const Array& scales, const Array& biases, const Array& lhs,
                 const Array& rhs, bool transpose, const QuantFormat& format, const Array& global_scale) {
  check_matrix_scales("gather_qmm", format, global_scale, w);
  return gathered("gather_qmm", x, {w, scales, biases}, lhs, rhs, transpose, format, global_scale);
}

Array qqmm(const Array& given, const Array& w, const Array& scales, const QuantFormat& format, const Array& global_x,
           const Array& global_w) {
  const char* op = "qqmm";
  check_activations(op, given, format);
  if (bool(global_x) != bool(global_w))
    throw ValueError("qqmm: give both global_scale_x and global_scale_w, or neither");
  if (global_x) {
    check_global_scale(op, format, global_x);
    check_global_scale(op, format, global_w);
  }
  if (w.ndim() != 2) throw ValueError(cat("qqmm: w must be a matrix, got shape ", w.shape()));
  bool packed = is_packed(op, given, w, scales, format);
  Array x = quantized_values(given, format, global_x);
  if (!packed) return matmul(x, exchanged(quantized_values(w, format, global_w)));
  check_quantized(op, format, w, scales, {});
  check_inner(op, with_rows(op, x), w, true, format);
  Array out = quantized_matmul(x, w, scales, {}, true, format);
  if (!global_w) return out;
  return astype(multiply(out, multiply(global_w, constant(1.0 / 2688.0, Dtype::float32))), given.dtype());
}

Array gather_qqmm(const Array& given, const Array& w, const Array& scales, const Array& lhs, const Array& rhs,
                  const QuantFormat& format, const Array& global_x, const Array& global_w) {
  const char* op = "gather_qqmm";
  check_activations(op, given, format);
  if (bool(global_x) != bool(global_w))
    throw ValueError("gather_qqmm: give both global_scale_x and global_scale_w, or neither");
  if (global_x) check_global_scale(op, format, global_x);
  bool packed = is_packed(op, given, w, scales, format);
  if (global_w) {
    if (w.ndim() < 2) throw ValueError(cat(op, ": w must have at least 2 dimensions, got shape ", w.shape()));
    check_matrix_scales(op, format, global_w, w);
  }
  Array x = quantized_values(given, format, global_x);
  if (packed) return gathered(op, x, {w, scales, {}}, lhs, rhs, true, format, global_w);
  // One global scale for each matrix runs over its rows.
  Array wide = quantized_values(w, format, global_w);
  return gather_mm(with_rows(op, x), exchanged(wide), lhs, rhs);
}

}  // namespace funcnn
