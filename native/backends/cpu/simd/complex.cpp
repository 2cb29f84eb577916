// Products, quotients, sums, magnitudes and exponentials of complex numbers. Where a product or a quotient has NaN in
// it, the scalar function decides (C's Annex G).
#include <cmath>

#include "backends/cpu/simd/angle.h"
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/reduce.h"
#include "backends/cpu/simd/vectors.h"

namespace funcnn::cpu::simd {
namespace {

ComputeFn scalar_exp;  // the entry that was there before

// exp(x) cos(y) + i exp(x) sin(y) in double, which holds exp(x) where the product alone is in range.
void exp_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  constexpr int64_t kBlock = 64;
  const float* z = static_cast<const float*>(a);
  float* o = static_cast<float*>(out);
  for (int64_t begin = 0; begin < n; begin += kBlock, z += 2 * kBlock, o += 2 * kBlock) {
    int64_t count = n - begin < kBlock ? n - begin : kBlock;
    float x[kBlock], y[kBlock], re[kBlock], im[kBlock];
    for (int64_t i = 0; i < count; ++i) {
      x[i] = z[2 * i];
      y[i] = z[2 * i + 1];
    }
    auto usual = [&](int64_t i) { return std::fabs(x[i]) <= 700.0f && std::fabs(y[i]) <= kLargeAngle; };
    int32_t all = 1;
    for (int64_t i = 0; i < count; ++i)
      all &= int32_t(std::fabs(x[i]) <= 700.0f) & int32_t(std::fabs(y[i]) <= kLargeAngle);
    for (int64_t i = 0; i < count; ++i) {
      double size = exp_inner(double(x[i]));
      Angle<double> angle = reduce_angle(double(y[i]));
      re[i] = float(size * cos_of(angle));
      float s = float(size * sin_of(angle));
      im[i] = y[i] == 0.0f ? y[i] : s;
    }
    for (int64_t i = 0; i < count; ++i) {
      const float given[2] = {x[i], y[i]};  // the result may lie where it was
      o[2 * i] = re[i];
      o[2 * i + 1] = im[i];
      if (!all && !usual(i)) scalar_exp(o + 2 * i, given, nullptr, nullptr, 1);
    }
  }
}

// Squares that a block has beyond the range in which float32 holds their sum are summed in double, which holds all.
// Infinite where a part is, as hypot is.
void abs_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  constexpr int64_t kBlock = 256;
  const float* z = static_cast<const float*>(a);
  float* o = static_cast<float*>(out);
  for (int64_t begin = 0; begin < n; begin += kBlock, z += 2 * kBlock, o += kBlock) {
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    float x[kBlock], y[kBlock], square[kBlock];
    int32_t rare = 0;
    for (int64_t i = 0; i < count; ++i) {
      x[i] = z[2 * i];
      y[i] = z[2 * i + 1];
      square[i] = fma(x[i], x[i], y[i] * y[i]);
      rare |= int32_t(less_as_integers(square[i], 0x1p-100f)) | int32_t(less_as_integers(0x1p120f, square[i]));
    }
    if (!rare) {
      for (int64_t i = 0; i < count; ++i) o[i] = sqrt(square[i]);
      continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      const double re = x[i], im = y[i];
      const float size = float(sqrt(re * re + im * im));
      o[i] = select((fabs(x[i]) == kInf) | (fabs(y[i]) == kInf), kInf, size);
    }
  }
}

ComputeFn scalar_divide;  // the entry that was there before

// By the reciprocal of the divisor's squared magnitude, in double: what that loses, rounding to float32 hides.
template <int mask>
void divide_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  constexpr int64_t kBlock = 64;
  const float *x = static_cast<const float*>(a), *y = static_cast<const float*>(b);
  float* o = static_cast<float*>(out);
  const float first[2] = {mask == 2 ? y[0] : x[0], mask == 2 ? y[1] : x[1]};
  auto left = [&](int64_t i) { return mask == 1 ? first : x + 2 * i; };
  auto right = [&](int64_t i) { return mask == 2 ? first : y + 2 * i; };
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    float re[kBlock], im[kBlock];
    int32_t nan = 0;
    for (int64_t i = 0; i < count; ++i) {
      const float *u = left(begin + i), *v = right(begin + i);
      const double p = u[0], q = u[1], r = v[0], s = v[1], inverse = 1.0 / (r * r + s * s);
      re[i] = float((p * r + q * s) * inverse);
      im[i] = float((q * r - p * s) * inverse);
      nan |= int32_t(re[i] != re[i]) | int32_t(im[i] != im[i]);
    }
    for (int64_t i = 0; i < count; ++i) {
      float* to = o + 2 * (begin + i);
      if (nan && (re[i] != re[i] || im[i] != im[i])) {
        scalar_divide(to, left(begin + i), right(begin + i), nullptr, 1);
      } else {
        to[0] = re[i];
        to[1] = im[i];
      }
    }
  }
}
void reciprocal_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  const float one[2] = {1, 0};
  divide_loop<1>(out, one, a, nullptr, n);
}

struct Parts {
  float re, im;
};
struct AddParts {
  static FUNCNN_INLINE Parts apply(Parts a, Parts b) { return {a.re + b.re, a.im + b.im}; }
};
// Real and imaginary parts take turns in the lanes.
Parts sum_block(const float* FUNCNN_RESTRICT x, int64_t n) {
  constexpr int lanes = 32;
  if (n == 0) return {0, 0};
  Parts r = {x[0], x[1]};
  int64_t i = 2;
  if (2 * n >= lanes) {
    float sum[lanes];
    for (int l = 0; l < lanes; ++l) sum[l] = x[l];
    for (i = lanes; i + lanes <= 2 * n; i += lanes)
      for (int l = 0; l < lanes; ++l) sum[l] += x[i + l];
    for (int half = lanes / 2; half > 1; half /= 2)
      for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
    r = {sum[0], sum[1]};
  }
  for (; i < 2 * n; i += 2) r = AddParts::apply(r, {x[i], x[i + 1]});
  return r;
}
// Blocks pairwise, as those of real numbers (reduce_rows.cpp).
void sum_rows(void* out, const void* in, int64_t rows, int64_t cols, int64_t stride) {
  constexpr int64_t kBlock = 1024;
  float* o = static_cast<float*>(out);
  const int64_t whole = cols / kBlock;
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = static_cast<const float*>(in) + 2 * r * stride;
    const Parts rest = sum_block(x + 2 * whole * kBlock, cols - whole * kBlock);
    const Parts sum = pairwise<AddParts>(whole, [&](int64_t b) { return sum_block(x + 2 * b * kBlock, kBlock); }, rest);
    o[2 * r] = sum.re;
    o[2 * r + 1] = sum.im;
  }
}

#if defined(FUNCNN_VECTORS)
ComputeFn scalar_multiply;  // the entry that was there before

constexpr int kLanes = FUNCNN_VECTOR_BYTES / 4;
typedef int32_t Lanes __attribute__((vector_size(FUNCNN_VECTOR_BYTES)));
typedef float Loose __attribute__((vector_size(FUNCNN_VECTOR_BYTES), aligned(4), may_alias));

// Lane i of the result is the lane whose number has these bits set, cleared or flipped.
template <int set, int clear, int flip>
FUNCNN_INLINE Vector<float> moved(Vector<float> x) {
#ifdef __clang__
  Vector<float> y;
  for (int i = 0; i < kLanes; ++i) y[i] = x[((i | set) & ~clear) ^ flip];
  return y;
#else
  Lanes order;
  for (int i = 0; i < kLanes; ++i) order[i] = ((i | set) & ~clear) ^ flip;
  return __builtin_shuffle(x, order);
#endif
}

FUNCNN_INLINE Vector<float> product(Vector<float> a, Vector<float> b) {
  Lanes negative;
  for (int i = 0; i < kLanes; ++i) negative[i] = i % 2 ? 0 : int32_t(0x80000000u);
  Vector<float> straight = a * moved<0, 1, 0>(b), crossed = moved<0, 0, 1>(a) * moved<1, 0, 0>(b);
  return straight + Vector<float>(Lanes(crossed) ^ negative);
}

FUNCNN_INLINE Vector<float> one_repeated(const float* z) {
  Vector<float> v;
  for (int i = 0; i < kLanes; ++i) v[i] = z[i % 2];
  return v;
}

template <int mask>
void multiply_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  const float *x = static_cast<const float*>(a), *y = static_cast<const float*>(b);
  float* o = static_cast<float*>(out);
  const Vector<float> one = one_repeated(mask == 1 ? x : y);
  const float first[2] = {mask == 2 ? y[0] : x[0], mask == 2 ? y[1] : x[1]};
  auto left = [&](int64_t i) { return mask == 1 ? first : x + 2 * i; };
  auto right = [&](int64_t i) { return mask == 2 ? first : y + 2 * i; };
  constexpr int64_t step = kLanes / 2;
  constexpr int most = 8;  // vectors whose products are in registers until it is known that none is NaN
  int64_t at = 0;
  auto multiply = [&]<int count>() {
    for (; at + count * step <= n; at += count * step) {
      Vector<float> z[count];
      Lanes nan{};
      FUNCNN_UNROLL
      for (int k = 0; k < count; ++k) {
        Vector<float> u = one, v = one;
        if constexpr (mask != 1) u = *reinterpret_cast<const Loose*>(x + 2 * (at + k * step));
        if constexpr (mask != 2) v = *reinterpret_cast<const Loose*>(y + 2 * (at + k * step));
        z[k] = product(u, v);
        nan |= z[k] != z[k];
      }
      if (any_bit(Vector<int64_t>(nan))) {
        float whole[2 * count * step];  // an operand may lie where results belong
        for (int64_t i = 0; i < count * step; ++i)
          scalar_multiply(whole + 2 * i, left(at + i), right(at + i), nullptr, 1);
        __builtin_memcpy(o + 2 * at, whole, sizeof(whole));
        continue;
      }
      FUNCNN_UNROLL
      for (int k = 0; k < count; ++k) *reinterpret_cast<Loose*>(o + 2 * (at + k * step)) = z[k];
    }
  };
  multiply.template operator()<most>();
  multiply.template operator()<1>();
  for (; at < n; ++at) {
    float z[2];
    scalar_multiply(z, left(at), right(at), nullptr, 1);
    o[2 * at] = z[0];
    o[2 * at + 1] = z[1];
  }
}
#endif

}  // namespace

namespace FUNCNN_ISA {

void add_complex(Table& t) {
  ComputeFn& exponential = t.compute[int(Opcode::exp)][int(Dtype::complex64)][0];
  scalar_exp = exponential;
  exponential = exp_loop;
  t.compute[int(Opcode::abs)][int(Dtype::complex64)][0] = abs_loop;
  t.reduce_row[int(ReduceOp::sum)][int(Dtype::complex64)] = sum_rows;
  ComputeFn* divide = t.compute[int(Opcode::divide)][int(Dtype::complex64)];
  scalar_divide = divide[0];
  divide[0] = divide_loop<0>;
  divide[1] = divide_loop<1>;
  divide[2] = divide_loop<2>;
  t.compute[int(Opcode::reciprocal)][int(Dtype::complex64)][0] = reciprocal_loop;
#if defined(FUNCNN_VECTORS)
  ComputeFn* multiply = t.compute[int(Opcode::multiply)][int(Dtype::complex64)];
  scalar_multiply = multiply[0];
  multiply[0] = multiply_loop<0>;
  multiply[1] = multiply_loop<1>;
  multiply[2] = multiply_loop<2>;
  t.compute[int(Opcode::square)][int(Dtype::complex64)][0] = [](void* out, const void* a, const void*, const void*,
                                                                int64_t n) { multiply_loop<0>(out, a, a, nullptr, n); };
#endif
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
