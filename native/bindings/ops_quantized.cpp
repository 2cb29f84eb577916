// Quantisation and products of quantised matrices.
#include <nanobind/stl/string.h>

#include "bindings/define.h"
#include "ops/quantize.h"
#include "ops/quantized_dot.h"

namespace funcnn {
namespace {

QuantFormat format_of(const char* op, const std::string& mode, nb::handle bits, nb::handle group) {
  return quant_format(op, mode, optional_integer(bits, "bits"), optional_integer(group, "group_size"));
}
Array optional_array(nb::handle x, const char* op) { return x.is_none() ? Array() : as_array(x, op); }

// The arguments that name a format, as signatures write them.
#define FUNCNN_FORMAT "group_size: int | None = None, bits: int | None = None, mode: str = "
constexpr const char* kFormatArguments =
    "    group_size: How many neighbours share a scale. Default: 64 (affine), 32 (mxfp4, mxfp8), 16 (nvfp4).\n"
    "    bits: How many bits an element takes. Default: 4 (affine, mxfp4, nvfp4), 8 (mxfp8).\n"
    "    mode: 'affine', 'mxfp4', 'mxfp8' or 'nvfp4'; see docs/quantization.md.\n";

constexpr const char* kIndexArguments =
    "    lhs_indices: Integers that choose matrices of x; negative ones count from the end, those out of range give "
    "zeros.\n        Default: all, in order.\n"
    "    rhs_indices: The same for w. Both broadcast against each other.\n";
constexpr const char* kSorted =
    "    sorted_indices: Says that the indices are sorted. Rows that meet one matrix are brought together in any "
    "case.\n";

}  // namespace

void bind_quantized(nb::module_& m) {
  m.def(
      "quantize",
      [](nb::handle w, nb::handle group, nb::handle bits, const std::string& mode, nb::handle global) {
        QuantFormat format = format_of("quantize", mode, bits, group);
        return tuple_of(quantize(as_array(w, "quantize"), format, optional_array(global, "quantize")));
      },
      nb::arg("w"), or_none("group_size"), or_none("bits"), nb::arg("mode") = "affine", nb::kw_only(),
      or_none("global_scale"),
      nb::sig("def quantize(w: ArrayLike, /, " FUNCNN_FORMAT "'affine', *, global_scale: ArrayLike | None = None) -> "
              "tuple[array, ...]"),
      document(
          "Round the rows of a matrix to a few bits.",
          cat("Groups of neighbours in a row share a scale and, of mode affine, a bias. Codes are packed into words "
              "of 32 bits, lowest\nbits first. It has no derivative: wrap the results in stop_gradient.\n\n"
              "Args:\n    w: Array (..., K) of float32, float16 or bfloat16; K is a multiple of group_size.\n",
              kFormatArguments,
              "    global_scale: Of mode nvfp4, a float32 scalar: the largest magnitude that is to be held.\n\n"
              "Returns:\n    Codes (..., K * bits / 32) of uint32; scales (..., K / group_size) of the dtype of w "
              "(affine) or uint8; and for mode\n    affine biases like the scales.\n\n"
              "Raises:\n    ValueError: for other dtypes, fewer than 2 dimensions, lengths that are no multiple of "
              "group_size, and formats that\n    do not exist.\n\n"
              "References:\n    The layouts are MLX's; mxfp4 and mxfp8: OCP Microscaling Formats (MX) "
              "Specification 1.0, 2023."),
          "[a.shape for a in fn.quantize(fn.ones((8, 128)))]", "[(8, 16), (8, 2), (8, 2)]")
          .c_str());
  m.def(
      "dequantize",
      [](nb::handle w, nb::handle scales, nb::handle biases, nb::handle group, nb::handle bits, const std::string& mode,
         nb::handle global, nb::handle dtype) {
        const char* op = "dequantize";
        return wrap_object(dequantize(as_array(w, op), as_array(scales, op), optional_array(biases, op),
                                      format_of(op, mode, bits, group), optional_array(global, op),
                                      optional_dtype(dtype)));
      },
      nb::arg("w"), nb::arg("scales"), or_none("biases"), or_none("group_size"), or_none("bits"),
      nb::arg("mode") = "affine", or_none("global_scale"), or_none("dtype"),
      nb::sig("def dequantize(w: ArrayLike, /, scales: ArrayLike, biases: ArrayLike | None = None, " FUNCNN_FORMAT
              "'affine', global_scale: ArrayLike | None = None, dtype: Dtype | None = None) -> array"),
      document("Compute what packed codes stand for.",
               cat("Differentiable with respect to the scales and biases of mode affine.\n\n"
                   "Args:\n    w: Packed codes of uint32, from `quantize`.\n    scales: One for each group.\n"
                   "    biases: Of mode affine, one for each group.\n",
                   kFormatArguments,
                   "    global_scale: Of mode nvfp4, what `quantize` was given.\n"
                   "    dtype: Of the result. Default: that of scales and biases (affine); else bfloat16, or float32 "
                   "with a global scale.\n\n"
                   "Raises:\n    ValueError: if shapes or dtypes do not fit the format."),
               "fn.dequantize(*fn.quantize(fn.full((1, 32), 3.0), group_size=32), group_size=32)[0, :3]",
               "array([3., 3., 3.], dtype=float32)")
          .c_str());
  m.def(
      "quantized_matmul",
      [](nb::handle x, nb::handle w, nb::handle scales, nb::handle biases, bool transpose, nb::handle group,
         nb::handle bits, const std::string& mode) {
        const char* op = "quantized_matmul";
        return wrap_object(quantized_matmul(as_array(x, op), as_array(w, op), as_array(scales, op),
                                            optional_array(biases, op), transpose, format_of(op, mode, bits, group)));
      },
      nb::arg("x"), nb::arg("w"), nb::arg("scales"), or_none("biases"), nb::arg("transpose") = true,
      or_none("group_size"), or_none("bits"), nb::arg("mode") = "affine",
      nb::sig("def quantized_matmul(x: ArrayLike, w: ArrayLike, /, scales: ArrayLike, biases: ArrayLike | None = None, "
              "transpose: bool = True, " FUNCNN_FORMAT "'affine') -> array"),
      document("Multiply by a quantised matrix.",
               cat("Packed codes are read as they lie; a few rows of x cost little more than one. Differentiable with "
                   "respect to x and, of\nmode affine, scales and biases.\n\n"
                   "Args:\n    x: Array (..., M, K).\n    w: Packed codes of a matrix (..., N, K), or (..., K, N) "
                   "without transpose; axes before the last two broadcast.\n"
                   "    scales: From `quantize`.\n    biases: From `quantize`, of mode affine.\n"
                   "    transpose: Compute x @ w.T, else x @ w.\n",
                   kFormatArguments,
                   "\nReturns:\n    Array (..., M, N) of the common dtype of x, scales and biases (affine), else of "
                   "that of x. Sums are float32.\n\n"
                   "Raises:\n    ValueError: if shapes or dtypes do not fit the format or one another."),
               "fn.quantized_matmul(fn.ones((1, 64)), *fn.quantize(fn.full((2, 64), 0.5)))",
               "array([[32., 32.]], dtype=float32)")
          .c_str());
  m.def(
      "gather_qmm",
      [](nb::handle x, nb::handle w, nb::handle scales, nb::handle biases, nb::handle lhs, nb::handle rhs,
         bool transpose, nb::handle group, nb::handle bits, const std::string& mode, nb::handle global, bool) {
        const char* op = "gather_qmm";
        return wrap_object(gather_qmm(as_array(x, op), as_array(w, op), as_array(scales, op),
                                      optional_array(biases, op), optional_array(lhs, op), optional_array(rhs, op),
                                      transpose, format_of(op, mode, bits, group), optional_array(global, op)));
      },
      nb::arg("x"), nb::arg("w"), nb::arg("scales"), or_none("biases"), or_none("lhs_indices"), or_none("rhs_indices"),
      nb::arg("transpose") = true, or_none("group_size"), or_none("bits"), nb::arg("mode") = "affine",
      or_none("global_scale"), nb::kw_only(), nb::arg("sorted_indices") = false,
      nb::sig("def gather_qmm(x: ArrayLike, w: ArrayLike, /, scales: ArrayLike, biases: ArrayLike | None = None, "
              "lhs_indices: ArrayLike | None = None, rhs_indices: ArrayLike | None = None, transpose: bool = "
              "True, " FUNCNN_FORMAT
              "'affine', global_scale: ArrayLike | None = None, *, sorted_indices: bool = False) -> "
              "array"),
      document("Multiply by chosen quantised matrices.",
               cat("Matrices are chosen by flat numbers along the axes before the last two, as in `gather_mm`.\n\n"
                   "Args:\n    x: Array (..., M, K).\n    w: Packed codes (..., N, K), or (..., K, N) without "
                   "transpose.\n    scales: From `quantize`.\n    biases: From `quantize`, of mode affine.\n",
                   kIndexArguments, "    transpose: Compute x @ w.T, else x @ w.\n", kFormatArguments,
                   "    global_scale: Of mode nvfp4, one float32 number for each matrix.\n", kSorted,
                   "\nReturns:\n    Array: the common shape of the indices, then (M, N).\n\n"
                   "Raises:\n    ValueError: if shapes or dtypes do not fit the format or one another."),
               "fn.gather_qmm(fn.ones((1, 1, 64)), *fn.quantize(fn.ones((3, 8, 64))), rhs_indices=[2, 0]).shape",
               "(2, 1, 8)")
          .c_str());
  m.def(
      "qqmm",
      [](nb::handle x, nb::handle w, nb::handle scales, nb::handle group, nb::handle bits, const std::string& mode,
         nb::handle global_x, nb::handle global_w) {
        const char* op = "qqmm";
        return wrap_object(qqmm(as_array(x, op), as_array(w, op), optional_array(scales, op),
                                format_of(op, mode, bits, group), optional_array(global_x, op),
                                optional_array(global_w, op)));
      },
      nb::arg("x"), nb::arg("w"), or_none("scales"), or_none("group_size"), or_none("bits"), nb::arg("mode") = "nvfp4",
      or_none("global_scale_x"), or_none("global_scale_w"),
      nb::sig("def qqmm(x: ArrayLike, w: ArrayLike, scales: ArrayLike | None = None, " FUNCNN_FORMAT
              "'nvfp4', global_scale_x: ArrayLike | None = None, global_scale_w: ArrayLike | None = None) -> array"),
      document("Multiply matrices that are both rounded to few bits: x @ w.T.",
               cat("x is rounded on the way; so is w, unless it is quantised already. Gradients pass through the "
                   "rounding as if it were not\nthere, multiplied with the rounded operands; a quantised w has "
                   "none.\n\n"
                   "Args:\n    x: Array (..., M, K) of float32, float16 or bfloat16.\n"
                   "    w: Matrix (N, K), or its packed codes.\n    scales: Of packed codes.\n",
                   kFormatArguments,
                   "    global_scale_x: Of mode nvfp4, the largest magnitude of x to be held, a float32 scalar.\n"
                   "    global_scale_w: The same of w.\n\n"
                   "Raises:\n    ValueError: for mode affine, and if shapes or dtypes do not fit."),
               "fn.qqmm(fn.ones((1, 16)), fn.ones((2, 16)))", "array([[17.015625, 17.015625]], dtype=float32)")
          .c_str());
  m.def(
      "gather_qqmm",
      [](nb::handle x, nb::handle w, nb::handle scales, nb::handle lhs, nb::handle rhs, nb::handle group,
         nb::handle bits, const std::string& mode, nb::handle global_x, nb::handle global_w, bool) {
        const char* op = "gather_qqmm";
        return wrap_object(gather_qqmm(as_array(x, op), as_array(w, op), optional_array(scales, op),
                                       optional_array(lhs, op), optional_array(rhs, op),
                                       format_of(op, mode, bits, group), optional_array(global_x, op),
                                       optional_array(global_w, op)));
      },
      nb::arg("x"), nb::arg("w"), or_none("scales"), or_none("lhs_indices"), or_none("rhs_indices"),
      or_none("group_size"), or_none("bits"), nb::arg("mode") = "nvfp4", or_none("global_scale_x"),
      or_none("global_scale_w"), nb::kw_only(), nb::arg("sorted_indices") = false,
      nb::sig(
          "def gather_qqmm(x: ArrayLike, w: ArrayLike, /, scales: ArrayLike | None = None, lhs_indices: ArrayLike | "
          "None = None, rhs_indices: ArrayLike | None = None, " FUNCNN_FORMAT
          "'nvfp4', global_scale_x: ArrayLike | None = None, global_scale_w: ArrayLike | None = None, *, "
          "sorted_indices: bool = False) -> array"),
      document("Multiply chosen matrices that are both rounded to few bits.",
               cat("`qqmm` of matrices chosen as in `gather_mm`.\n\n"
                   "Args:\n    x: Array (..., M, K) of float32, float16 or bfloat16.\n"
                   "    w: Matrices (..., N, K), or their packed codes.\n    scales: Of packed codes.\n",
                   kIndexArguments, kFormatArguments,
                   "    global_scale_x: Of mode nvfp4, the largest magnitude of x to be held, a float32 scalar.\n"
                   "    global_scale_w: The same of w, one number for each matrix.\n",
                   kSorted, "\nRaises:\n    ValueError: for mode affine, and if shapes or dtypes do not fit."),
               "fn.gather_qqmm(fn.ones((1, 1, 32)), fn.ones((3, 8, 32)), rhs_indices=[2, 0], mode='mxfp8').shape",
               "(2, 1, 8)")
          .c_str());
  m.def(
      "to_fp8", [](nb::handle x) { return wrap_object(to_fp8(as_array(x, "to_fp8"))); }, nb::arg("x"),
      nb::sig("def to_fp8(x: ArrayLike) -> array"),
      document("Convert to float8 with 4 exponent and 3 mantissa bits (e4m3, without infinities), as uint8.",
               "To the nearest, ties to even. What is beyond the largest number, 448, becomes that; so does NaN.\n\n"
               "Raises:\n    ValueError: for arrays that are not real floating-point.",
               "fn.to_fp8(fn.array([1.0, -2.0, 1000.0]))", "array([ 56, 192, 126], dtype=uint8)")
          .c_str());
  m.def(
      "from_fp8", [](nb::handle x, Dtype dtype) { return wrap_object(from_fp8(as_array(x, "from_fp8"), dtype)); },
      nb::arg("x"), nb::arg("dtype") = Dtype::bfloat16,
      nb::sig("def from_fp8(x: ArrayLike, dtype: Dtype = bfloat16) -> array"),
      document("Convert from float8 (e4m3) in uint8.",
               "Codes 127 and 255 are NaN.\n\nRaises:\n    ValueError: for other arrays, and other than "
               "floating-point dtypes.",
               "fn.from_fp8(fn.array([56, 192], fn.uint8), fn.float32)", "array([ 1., -2.], dtype=float32)")
          .c_str());
}

#undef FUNCNN_FORMAT

}  // namespace funcnn
