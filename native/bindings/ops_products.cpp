// Products of chosen, masked and segmented matrices, and of Hadamard's.
#include "bindings/define.h"
#include "ops/block_masked.h"
#include "ops/gather_dot.h"
#include "ops/hadamard.h"
#include "ops/segmented_dot.h"

namespace funcnn {
namespace {

Array optional_array(nb::handle x, const char* op) { return x.is_none() ? Array() : as_array(x, op); }

}  // namespace

void bind_products(nb::module_& m) {
  m.def(
      "gather_mm",
      [](nb::handle a, nb::handle b, nb::handle lhs, nb::handle rhs, bool) {
        const char* op = "gather_mm";
        return wrap_object(
            gather_mm(as_array(a, op), as_array(b, op), optional_array(lhs, op), optional_array(rhs, op)));
      },
      nb::arg("a"), nb::arg("b"), or_none("lhs_indices"), or_none("rhs_indices"), nb::kw_only(),
      nb::arg("sorted_indices") = false,
      nb::sig(
          "def gather_mm(a: ArrayLike, b: ArrayLike, /, lhs_indices: ArrayLike | None = None, rhs_indices: ArrayLike "
          "| None = None, *, sorted_indices: bool = False) -> array"),
      document(
          "Multiply chosen matrices.",
          "Item i of the result is a[lhs_indices[i]] @ b[rhs_indices[i]], over flat numbers along the axes before the "
          "last two. Chosen\nmatrices are not copied, and items that meet the same matrix of b are multiplied "
          "together.\n\n"
          "Args:\n    a: Array (..., M, K).\n    b: Array (..., K, N).\n"
          "    lhs_indices: Integers that choose matrices of a; negative ones count from the end, those out of range "
          "give zeros.\n        Default: all, in order.\n"
          "    rhs_indices: The same for b. Both broadcast against each other.\n"
          "    sorted_indices: Says that the indices are sorted. Items that meet one matrix are brought together in "
          "any case.\n\n"
          "Returns:\n    Array: the common shape of the indices, then (M, N).\n\n"
          "Raises:\n    ValueError: if the inner lengths differ, for integers and complex numbers, and for indices "
          "that are no integers.",
          "fn.gather_mm(fn.ones((1, 1, 2)), fn.arange(8.0).reshape(2, 2, 2), rhs_indices=[1, 0])[:, 0]",
          "array([[10., 12.],\n       [ 2.,  4.]], dtype=float32)")
          .c_str());
  m.def(
      "block_masked_mm",
      [](nb::handle a, nb::handle b, int64_t block_size, nb::handle out, nb::handle lhs, nb::handle rhs) {
        const char* op = "block_masked_mm";
        return wrap_object(block_masked_mm(as_array(a, op), as_array(b, op), block_size, optional_array(out, op),
                                           optional_array(lhs, op), optional_array(rhs, op)));
      },
      nb::arg("a"), nb::arg("b"), nb::arg("block_size") = 64, or_none("mask_out"), or_none("mask_lhs"),
      or_none("mask_rhs"),
      nb::sig("def block_masked_mm(a: ArrayLike, b: ArrayLike, /, block_size: int = 64, mask_out: ArrayLike | None = "
              "None, mask_lhs: ArrayLike | None = None, mask_rhs: ArrayLike | None = None) -> array"),
      document(
          "Multiply matrices with blocks masked out.",
          "A boolean mask makes blocks zero, whatever is in them; a mask of numbers multiplies them.\n\n"
          "Args:\n    a: Array (..., M, K).\n    b: Array (..., K, N).\n"
          "    block_size: Length B of both sides of a block.\n"
          "    mask_out: For the blocks of the result, of shape (..., ceil(M / B), ceil(N / B)); masks broadcast.\n"
          "    mask_lhs: For those of a, (..., ceil(M / B), ceil(K / B)).\n"
          "    mask_rhs: For those of b, (..., ceil(K / B), ceil(N / B)).\n\n"
          "Raises:\n    ValueError: if shapes do not fit, and for integers and complex numbers.",
          "fn.block_masked_mm(fn.ones((2, 2)), fn.ones((2, 2)), 1, mask_lhs=[[True, False], [True, True]])",
          "array([[1., 1.],\n       [2., 2.]], dtype=float32)")
          .c_str());
  m.def(
      "segmented_mm",
      [](nb::handle a, nb::handle b, nb::handle segments) {
        const char* op = "segmented_mm";
        return wrap_object(segmented_mm(as_array(a, op), as_array(b, op), as_array(segments, op)));
      },
      nb::arg("a"), nb::arg("b"), nb::arg("segments"),
      nb::sig("def segmented_mm(a: ArrayLike, b: ArrayLike, /, segments: ArrayLike) -> array"),
      document(
          "Multiply matrices over segments of the inner axis, each by itself.",
          "Args:\n    a: Matrix (M, K).\n    b: Matrix (K, N).\n"
          "    segments: Integers (..., 2): where each segment of K starts and stops. Segments may overlap; what is "
          "outside of K is\n        left out, and one that stops before it starts is empty.\n\n"
          "Returns:\n    Array (..., M, N).\n\n"
          "Raises:\n    ValueError: if shapes do not fit, for integer or complex matrices, and for segments that are "
          "no integers.",
          "fn.segmented_mm(fn.ones((1, 5)), fn.ones((5, 1)), [[0, 2], [2, 5]])[:, 0, 0]",
          "array([2., 3.], dtype=float32)")
          .c_str());
  m.def(
      "hadamard_transform",
      [](nb::handle x, nb::handle scale) {
        std::optional<double> factor;
        if (!scale.is_none()) factor = nb::cast<double>(scale);
        return wrap_object(hadamard_transform(as_array(x, "hadamard_transform"), factor));
      },
      nb::arg("a"), or_none("scale"),
      nb::sig("def hadamard_transform(a: ArrayLike, scale: float | None = None) -> array"),
      document(
          "Multiply the last axis by a Hadamard matrix.",
          "The matrix has entries 1 and -1 and orthogonal rows. For lengths 2^k it is Sylvester's; for m * 2^k with m "
          "of 12, 20 or 28,\nthe Kronecker product of one of order m (as in MLX) and Sylvester's. Sums are float32 for "
          "16-bit floats.\n\n"
          "Args:\n    a: Array (..., N); integers become float32.\n    scale: Multiplies the result. Default: 1 / "
          "sqrt(N), which makes the matrix orthonormal.\n\n"
          "Raises:\n    ValueError: for other lengths, and for complex numbers.",
          "fn.hadamard_transform(fn.array([1.0, 2.0, 3.0, 4.0]))", "array([ 5., -1., -2.,  0.], dtype=float32)")
          .c_str());
}

}  // namespace funcnn
