// The elementwise family: one scalar operation at every position, operands broadcast against each other.
#pragma once

#include "graph/array.h"
#include "graph/opcode.h"

namespace funcnn {

// The node of an opcode over operands that already have the dtypes it works in (see kernel_program.h).
Array elementwise(Opcode op, Span inputs, Dtype dtype);

// One operand. Functions of real analysis convert integers to float32.
Array unary(Opcode op, const Array& x);
// Two operands, promoted to a common dtype first; divide, arctan2 and logaddexp convert integers to float32.
Array binary(Opcode op, const Array& a, const Array& b);
Array where(const Array& condition, const Array& a, const Array& b);
Array astype(const Array& x, Dtype dtype);
Array clip(const Array& x, const Array& low, const Array& high);  // null: no bound

inline Array negative(const Array& x) { return unary(Opcode::negative, x); }
inline Array abs(const Array& x) { return unary(Opcode::abs, x); }
inline Array sign(const Array& x) { return unary(Opcode::sign, x); }
inline Array sqrt(const Array& x) { return unary(Opcode::sqrt, x); }
inline Array rsqrt(const Array& x) { return unary(Opcode::rsqrt, x); }
inline Array square(const Array& x) { return unary(Opcode::square, x); }
inline Array reciprocal(const Array& x) { return unary(Opcode::reciprocal, x); }
inline Array exp(const Array& x) { return unary(Opcode::exp, x); }
inline Array log(const Array& x) { return unary(Opcode::log, x); }
inline Array sin(const Array& x) { return unary(Opcode::sin, x); }
inline Array cos(const Array& x) { return unary(Opcode::cos, x); }
inline Array real(const Array& x) { return unary(Opcode::real, x); }
inline Array imag(const Array& x) { return unary(Opcode::imag, x); }
inline Array conjugate(const Array& x) { return unary(Opcode::conjugate, x); }
inline Array logical_not(const Array& x) { return unary(Opcode::logical_not, x); }
inline Array add(const Array& a, const Array& b) { return binary(Opcode::add, a, b); }
inline Array subtract(const Array& a, const Array& b) { return binary(Opcode::subtract, a, b); }
inline Array multiply(const Array& a, const Array& b) { return binary(Opcode::multiply, a, b); }
inline Array divide(const Array& a, const Array& b) { return binary(Opcode::divide, a, b); }
inline Array maximum(const Array& a, const Array& b) { return binary(Opcode::maximum, a, b); }
inline Array minimum(const Array& a, const Array& b) { return binary(Opcode::minimum, a, b); }
inline Array equal(const Array& a, const Array& b) { return binary(Opcode::equal, a, b); }
inline Array less(const Array& a, const Array& b) { return binary(Opcode::less, a, b); }
inline Array greater(const Array& a, const Array& b) { return binary(Opcode::greater, a, b); }
// Also takes an exponent that is a known small constant apart: x ** 2 is square(x).
Array power(const Array& a, const Array& b);

}  // namespace funcnn
