// Matrix products.
#pragma once

#include <span>

#include "graph/array.h"

namespace funcnn {

// The primitive: (..., M, K) by (..., K, N) with the same leading axes and the same inexact dtype. Operands that are
// views are read where they lie: a transposed matrix costs no copy. Products with K = 1 are elementwise, those with
// M = N = 1 reductions.
Array dot(const Array& a, const Array& b);

// a b, laid out as a cotangent of `like` is to be: where that is a view of a matrix with its axes exchanged, the
// product is made exchanged, too, so that it ends up in the order of what it belongs to.
Array dot_like(const Array& a, const Array& b, const Array& like);

// NumPy's rules: vectors gain and lose an axis, leading axes broadcast. Integers are refused.
Array matmul(const Array& a, const Array& b);
// alpha * (a @ b) + beta * c.
Array addmm(const Array& c, const Array& a, const Array& b, double alpha, double beta);
Array inner(const Array& a, const Array& b);
Array outer(const Array& a, const Array& b);
// Sums of products along one axis, the rest broadcast.
Array vecdot(const Array& a, const Array& b, int64_t axis);
// `op` is what errors name.
Array tensordot(const Array& a, const Array& b, std::span<const int64_t> axes_a, std::span<const int64_t> axes_b,
                const char* op = "tensordot");
Array tensordot(const Array& a, const Array& b, int64_t axes);  // the last of a with the first of b
Array kron(const Array& a, const Array& b);

}  // namespace funcnn
