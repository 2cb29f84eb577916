// What is rounded to few bits.
#include "ops/quantize.h"
#include "ops/quantized_dot.h"
#include "transforms/written_table.h"

namespace funcnn {
namespace {

QuantFormat format_of(const Parameters& p) {
  return quant_format("a written graph", p.word("mode"), p.integer("bits"), p.integer("group_size"));
}

// Whether the operands behind the first `count` are the scale of the whole of `x`, or of runs of its rows, or missing.
bool global_scale_follows(Span in, size_t count, const QuantFormat& format, const Array& x) {
  if (in.size() == count) return true;
  const Array& scale = in[count];
  int64_t rows = x.size() / std::max<int64_t>(x.dim(-1), 1);
  return in.size() == count + 1 && format.mode == QuantMode::nvfp4 && scale.ndim() == 1 && scale.dim(0) > 0 &&
         scale.dtype() == Dtype::float32 && rows % scale.dim(0) == 0;
}

// Rows of whole groups.
bool in_groups(const Array& x, const QuantFormat& format) {
  return x.ndim() >= 1 && x.dim(-1) % format.group == 0 && is_float(x.dtype()) && x.dtype() != Dtype::float64;
}

Arrays quantized(const Parameters& p, Span in, const Avals& out) {
  QuantFormat format = format_of(p);
  const Array& w = in[0];
  require(w.ndim() >= 2 && in_groups(w, format) && global_scale_follows(in, 1, format, w), "quantize");
  Shape packed = w.shape(), groups = w.shape();
  packed.back() = format.words(packed.back());
  groups.back() /= format.group;
  Dtype scale = format.affine() ? w.dtype() : Dtype::uint8;
  Avals made{{packed, Dtype::uint32}, {groups, scale}};
  if (format.affine()) made.push_back({groups, scale});
  require(out == made, "quantize");
  return node_of<Quantize>(in, out, format);
}

Arrays rounded_values(const Parameters& p, Span in, const Avals& out) {
  QuantFormat format = format_of(p);
  require(!format.affine() && in_groups(in[0], format) && global_scale_follows(in, 1, format, in[0]) &&
              out[0] == in[0].aval(),
          "quantized_values");
  return node_of<QuantizedValues>(in, out, format);
}

Arrays dequantized(const Parameters& p, Span in, const Avals& out) {
  QuantFormat format = format_of(p);
  require(in.size() >= 2 && in[0].ndim() >= 1 && in[0].dtype() == Dtype::uint32, "dequantize");
  if (format.affine()) {
    require(in.size() == 3, "dequantize");
    return Arrays{dequantize(in[0], in[1], in[2], format, {}, out[0].dtype)};
  }
  check_quantized("a written graph", format, in[0], in[1], {});
  Shape shape = in[0].shape();
  shape.back() = format.elements(shape.back());
  require(global_scale_follows(in, 2, format, in[0]) && is_float(out[0].dtype) && out[0].shape == shape, "dequantize");
  return node_of<Dequantize>(in, out, format, out[0].dtype);
}

Arrays quantized_product(const Parameters& p, Span in, const Avals& out) {
  QuantFormat format = format_of(p);
  size_t matrices = format.affine() ? 4 : 3;
  bool transpose = p.has("transpose=True"), indexed = in.size() == matrices + 2;
  require(in.size() == matrices || indexed, "quantized_dot");
  const Array &x = in[0], &w = in[1];
  require(x.ndim() == 3 && w.ndim() == 3 && w.dtype() == Dtype::uint32 && is_float(x.dtype()), "quantized_dot");
  check_quantized("a written graph", format, w, in[2], format.affine() ? in[3] : Array());
  require(!format.affine() || (in[2].dtype() == x.dtype() && in[3].dtype() == x.dtype()), "quantized_dot");
  int64_t wide = format.elements(w.dim(2)), rows = w.dim(1), count = 1;
  require(x.dim(2) == (transpose ? wide : rows), "quantized_dot");
  if (indexed) {
    const Array &lhs = in[matrices], &rhs = in[matrices + 1];
    count = lhs.ndim() == 1 ? lhs.dim(0) : -1;
    require(count >= 0 && rhs.shape() == lhs.shape() && lhs.dtype() == Dtype::int64 && rhs.dtype() == Dtype::int64,
            "quantized_dot");
  } else {
    require(x.dim(0) == 1 && w.dim(0) == 1, "quantized_dot");
  }
  require(out[0] == Aval{{count, x.dim(1), transpose ? rows : wide}, x.dtype()}, "quantized_dot");
  return node_of<QuantizedDot>(in, out, format, transpose, indexed);
}

}  // namespace

void add_quantized(Makers& makers) {
  makers["quantize"] = quantized;
  makers["quantized_values"] = rounded_values;
  makers["dequantize"] = dequantized;
  makers["quantized_dot"] = quantized_product;
  makers["to_fp8"] = [](const Parameters&, Span in, const Avals&) { return Arrays{to_fp8(in[0])}; };
  makers["from_fp8"] = [](const Parameters&, Span in, const Avals& out) {
    return Arrays{from_fp8(in[0], out[0].dtype)};
  };
}

}  // namespace funcnn
