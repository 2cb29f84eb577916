// Loops that turn a scalar function into table entries. Everything has internal linkage: see table.h.
#pragma once

#include "backends/cpu/simd/fma.h"
#include "backends/cpu/simd/table.h"
#include "backends/cpu/simd/types.h"
#include "base/inline.h"

namespace funcnn::cpu::simd {
namespace {

// Registers may be reused in place: an output is the very same memory as an operand, or disjoint from it.
template <class Op, class R, class A>
void unary_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  R* FUNCNN_RESTRICT o = static_cast<R*>(out);
  const A* FUNCNN_RESTRICT x = static_cast<const A*>(a);
  for (int64_t i = 0; i < n; ++i) o[i] = Op::apply(x[i]);
}

template <class Op, class R, class A, int mask>
void binary_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  R* FUNCNN_RESTRICT o = static_cast<R*>(out);
  const A* FUNCNN_RESTRICT x = static_cast<const A*>(a);
  const A* FUNCNN_RESTRICT y = static_cast<const A*>(b);
  if constexpr (mask == 1) {
    const A s = x[0];
    for (int64_t i = 0; i < n; ++i) o[i] = Op::apply(s, y[i]);
  } else if constexpr (mask == 2) {
    const A s = y[0];
    for (int64_t i = 0; i < n; ++i) o[i] = Op::apply(x[i], s);
  } else {
    for (int64_t i = 0; i < n; ++i) o[i] = Op::apply(x[i], y[i]);
  }
}

template <class Op, class R, class A, class B, class C, int mask>
void ternary_loop(void* out, const void* a, const void* b, const void* c, int64_t n) {
  R* FUNCNN_RESTRICT o = static_cast<R*>(out);
  const A* FUNCNN_RESTRICT x = static_cast<const A*>(a);
  const B* FUNCNN_RESTRICT y = static_cast<const B*>(b);
  const C* FUNCNN_RESTRICT z = static_cast<const C*>(c);
  A sx{};
  B sy{};
  C sz{};
  if constexpr ((mask & 1) != 0) sx = x[0];
  if constexpr ((mask & 2) != 0) sy = y[0];
  if constexpr ((mask & 4) != 0) sz = z[0];
  for (int64_t i = 0; i < n; ++i) {
    A u = sx;
    B v = sy;
    C w = sz;
    if constexpr ((mask & 1) == 0) u = x[i];
    if constexpr ((mask & 2) == 0) v = y[i];
    if constexpr ((mask & 4) == 0) w = z[i];
    o[i] = Op::apply(u, v, w);
  }
}

template <class Op, class R, class A>
void add_unary_as(Table& t, Opcode op, int dtype) {
  t.compute[int(op)][dtype][0] = unary_loop<Op, R, A>;
}
template <class Op, class T>
void add_unary_one(Table& t, Opcode op) {
  add_unary_as<Op, T, T>(t, op, DtypeOf<T>::value);
}
template <class Op, class... Ts>
void add_unary(Table& t, Opcode op, Types<Ts...>) {
  (add_unary_one<Op, Ts>(t, op), ...);
}

template <class Op, class R, class A>
void add_binary_as(Table& t, Opcode op, int dtype) {
  ComputeFn* entry = t.compute[int(op)][dtype];
  entry[0] = binary_loop<Op, R, A, 0>;
  entry[1] = binary_loop<Op, R, A, 1>;
  entry[2] = binary_loop<Op, R, A, 2>;
}
template <class Op, class T>
void add_binary_one(Table& t, Opcode op) {
  add_binary_as<Op, T, T>(t, op, DtypeOf<T>::value);
}
template <class Op, class... Ts>
void add_binary(Table& t, Opcode op, Types<Ts...>) {
  (add_binary_one<Op, Ts>(t, op), ...);
}

template <class Op, class R, class A, class B, class C>
void add_ternary_as(Table& t, int op, int dtype) {
  ComputeFn* entry = t.compute[op][dtype];
  entry[0] = ternary_loop<Op, R, A, B, C, 0>;
  entry[1] = ternary_loop<Op, R, A, B, C, 1>;
  entry[2] = ternary_loop<Op, R, A, B, C, 2>;
  entry[3] = ternary_loop<Op, R, A, B, C, 3>;
  entry[4] = ternary_loop<Op, R, A, B, C, 4>;
  entry[5] = ternary_loop<Op, R, A, B, C, 5>;
  entry[6] = ternary_loop<Op, R, A, B, C, 6>;
}

// The signed type does what its unsigned one does, bit by bit.
void share_entries(Table& t, Opcode op, Dtype to, Dtype from) {
  for (int m = 0; m < 8; ++m) t.compute[int(op)][int(to)][m] = t.compute[int(op)][int(from)][m];
}
void share_unsigned(Table& t, Opcode op) {
  share_entries(t, op, Dtype::int8, Dtype::uint8);
  share_entries(t, op, Dtype::int16, Dtype::uint16);
  share_entries(t, op, Dtype::int32, Dtype::uint32);
  share_entries(t, op, Dtype::int64, Dtype::uint64);
}

}  // namespace
}  // namespace funcnn::cpu::simd
