// The vectorised loops of one instruction set, looked up by opcode and dtype. Every source of this folder is compiled
// once for each instruction set, FUNCNN_ISA being its name; nothing here may be an inline function or a template that
// another translation unit could share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "graph/opcode.h"

namespace funcnn::cpu::simd {

// out[i] = op(a[i], b[i], c[i]).
using ComputeFn = void (*)(void* out, const void* a, const void* b, const void* c, int64_t n);
using CastFn = void (*)(void* out, const void* in, int64_t n);
// out[r] = the reduction of in[r * stride + 0 .. cols).
using RowReduceFn = void (*)(void* out, const void* in, int64_t rows, int64_t cols, int64_t stride);
// out[r] = the sum of (in[r * stride + c] - shift[r])^2; without `shift`, of in^2.
using SumSquaresFn = void (*)(void* out, const void* in, const void* shift, int64_t rows, int64_t cols, int64_t stride);
// acc[c] = the reduction of acc[c] and in[r * stride + c] for all r.
using ColReduceFn = void (*)(void* acc, const void* in, int64_t rows, int64_t cols, int64_t stride);
// out[r * cols + c] = in[r].
using ExpandFn = void (*)(void* out, const void* in, int64_t rows, int64_t cols);
// gather: out[i] = in[i * stride]; scatter: out[i * stride] = in[i].
using StridedFn = void (*)(void* out, const void* in, int64_t n, int64_t stride);
// out[i] = start + i.
using IndexFn = void (*)(void* out, int64_t start, int64_t n);

// Operations that are no opcodes of their own.
inline constexpr int kFms = kOpcodeCount;            // a * b - c
inline constexpr int kFnma = kOpcodeCount + 1;       // c - a * b
inline constexpr int kDivideRow = kOpcodeCount + 2;  // a / b by one reciprocal: b is one value, perhaps for each row
inline constexpr int kExpOfDifference = kOpcodeCount + 3;   // exp(a - b)
inline constexpr int kScaledDifference = kOpcodeCount + 4;  // (a - b) * c
// Functions of float32 as good as float16 and bfloat16 hold their results: half.h.
inline constexpr int kHalfExp = kOpcodeCount + 5;
inline constexpr int kHalfSigmoid = kOpcodeCount + 6;
inline constexpr int kHalfTanh = kOpcodeCount + 7;
inline constexpr int kHalfErf = kOpcodeCount + 8;
inline constexpr int kHalfGelu = kOpcodeCount + 9;
inline constexpr int kHalfGeluDerivative = kOpcodeCount + 10;
inline constexpr int kOpCount = kOpcodeCount + 11;
inline constexpr int kReduceCount = 6;

struct Table {
  // By opcode, dtype of the operands (of `select`: of its second) and mask: bit k says that operand k is one value,
  // repeated.
  ComputeFn compute[kOpCount][kDtypeCount][8];
  CastFn cast[kDtypeCount][kDtypeCount];  // [to][from]
  RowReduceFn reduce_row[kReduceCount][kDtypeCount];
  SumSquaresFn sum_squares[kDtypeCount];
  ColReduceFn reduce_col[kReduceCount][kDtypeCount];
  ExpandFn expand[4];  // by log2 of the item size
  StridedFn gather[4], scatter[4];
  IndexFn index[kDtypeCount];
};

// What fills a table runs once: cold functions of all files lie together, and running them maps few pages of code.
#define FUNCNN_SIMD_FAMILIES(isa)                        \
  namespace isa {                                        \
  [[gnu::cold]] void add_arithmetic(Table& t);           \
  [[gnu::cold]] void add_bitwise(Table& t);              \
  [[gnu::cold]] void add_compare(Table& t);              \
  [[gnu::cold]] void add_division(Table& t);             \
  [[gnu::cold]] void add_double(Table& t);               \
  [[gnu::cold]] void add_double_trigonometric(Table& t); \
  [[gnu::cold]] void add_complex(Table& t);              \
  [[gnu::cold]] void add_fused(Table& t);                \
  [[gnu::cold]] void add_exponential(Table& t);          \
  [[gnu::cold]] void add_trigonometric(Table& t);        \
  [[gnu::cold]] void add_special(Table& t);              \
  [[gnu::cold]] void add_gamma(Table& t);                \
  [[gnu::cold]] void add_gelu(Table& t);                 \
  [[gnu::cold]] void add_half(Table& t);                 \
  [[gnu::cold]] void add_power(Table& t);                \
  [[gnu::cold]] void add_casts(Table& t);                \
  [[gnu::cold]] void add_row_reductions(Table& t);       \
  [[gnu::cold]] void add_col_reductions(Table& t);       \
  [[gnu::cold]] void add_moves(Table& t);                \
  [[gnu::cold]] void fill_table(Table& t);               \
  }

FUNCNN_SIMD_FAMILIES(baseline)
#if defined(FUNCNN_X86) || defined(__x86_64__) || defined(_M_X64)
FUNCNN_SIMD_FAMILIES(avx2)
FUNCNN_SIMD_FAMILIES(avx512)
#endif
#undef FUNCNN_SIMD_FAMILIES

// What gains nothing from vectors, compiled once: complex numbers, libm calls in float64, gamma functions.
[[gnu::cold]] void add_scalar_operations(Table& t);

}  // namespace funcnn::cpu::simd
