// Butterflies over rows.
#pragma once

#include "backends/cpu/fft.h"
#include "backends/cpu/simd/fft_vector.h"

namespace funcnn::cpu {
namespace {

constexpr int kLargestRadix = 64;

// times -i
FUNCNN_INLINE Complex turned(Complex a) { return {a.im, -a.re}; }

FUNCNN_INLINE void butterfly4(Complex& a, Complex& b, Complex& c, Complex& d) {
  Complex s = a + c, t = a - c, u = b + d, v = turned(b - d);
  a = s + u;
  b = t + v;
  c = s - u;
  d = t - v;
}

// The transform of r values, in place. Of an odd radix: cosines meet sums, and sines differences, of the values that
// lie opposite.
template <int r>
FUNCNN_INLINE void butterfly(Complex (&x)[r], const float* roots) {
  if constexpr (r == 2) {
    Complex a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  } else if constexpr (r == 4) {
    butterfly4(x[0], x[1], x[2], x[3]);
  } else if constexpr (r == 8) {
    butterfly4(x[0], x[2], x[4], x[6]);
    butterfly4(x[1], x[3], x[5], x[7]);
    V h = splat(0.70710678118654752440f);
    Complex a = x[0], b = x[2], c = x[4], d = x[6];
    Complex e = x[1], f = {(x[3].re + x[3].im) * h, (x[3].im - x[3].re) * h}, g = turned(x[5]),
            k = {(x[7].im - x[7].re) * h, (x[7].re + x[7].im) * -h};
    x[0] = a + e;
    x[1] = b + f;
    x[2] = c + g;
    x[3] = d + k;
    x[4] = a - e;
    x[5] = b - f;
    x[6] = c - g;
    x[7] = d - k;
  } else {
    constexpr int half = (r - 1) / 2;
    Complex sum[half], difference[half], total = x[0];
    for (int k = 0; k < half; ++k) {
      sum[k] = x[k + 1] + x[r - 1 - k];
      difference[k] = x[k + 1] - x[r - 1 - k];
      total = total + sum[k];
    }
    Complex first = x[0];
    x[0] = total;
#pragma GCC unroll 8
    for (int j = 1; j <= half; ++j) {
      Complex even = first;
      V re{}, im{};
#pragma GCC unroll 8
      for (int k = 1; k <= half; ++k) {
        const float* root = roots + 2 * (j * k % r);
        V cosine = splat(root[0]), sine = splat(root[1]);
        even = {simd::fma(cosine, sum[k - 1].re, even.re), simd::fma(cosine, sum[k - 1].im, even.im)};
        re = simd::fma(sine, difference[k - 1].im, re);
        im = simd::fma(sine, difference[k - 1].re, im);
      }
      x[j] = {even.re - re, even.im + im};
      x[r - j] = {even.re + re, even.im - im};
    }
  }
}

template <int r>
void pass(const FftPass& p, const float* FUNCNN_RESTRICT in, float* FUNCNN_RESTRICT out) {
  const int64_t from = p.after * kRow, to = p.before * p.after * kRow;
  const float* roots = p.roots.data();
  for (int64_t k = 0; k < p.before; ++k) {
    const float* twiddle = p.twiddles.data();
    for (int64_t i = 0; i < p.after; ++i) {
      const float* at = in + (i + p.after * r * k) * kRow;
      Complex x[r];
      for (int j = 0; j < r; ++j) x[j] = load_row(at + j * from);
      butterfly<r>(x, roots);
      float* y = out + (i + p.after * k) * kRow;
      store_row(y, x[0]);
      if (i == 0) {
        for (int j = 1; j < r; ++j) store_row(y + j * to, x[j]);
      } else {
        for (int j = 1; j < r; ++j) store_row(y + j * to, x[j] * splat(twiddle + 2 * (j - 1)));
      }
      twiddle += 2 * (r - 1);
    }
  }
}

// Any odd radix.
void pass_any(const FftPass& p, const float* FUNCNN_RESTRICT in, float* FUNCNN_RESTRICT out) {
  const int r = p.radix, half = (r - 1) / 2;
  const int64_t from = p.after * kRow, to = p.before * p.after * kRow;
  const float* roots = p.roots.data();
  Complex sum[kLargestRadix / 2], difference[kLargestRadix / 2];
  for (int64_t k = 0; k < p.before; ++k) {
    for (int64_t i = 0; i < p.after; ++i) {
      const float* at = in + (i + p.after * r * k) * kRow;
      const float* twiddle = p.twiddles.data() + 2 * (r - 1) * i;
      float* y = out + (i + p.after * k) * kRow;
      Complex first = load_row(at), total = first;
      for (int j = 1; j <= half; ++j) {
        Complex a = load_row(at + j * from), b = load_row(at + (r - j) * from);
        sum[j - 1] = a + b;
        difference[j - 1] = a - b;
        total = total + sum[j - 1];
      }
      store_row(y, total);
      for (int j = 1; j <= half; ++j) {
        Complex even = first;
        V re{}, im{};
        for (int m = 1, turn = j; m <= half; ++m) {
          V cosine = splat(roots[2 * turn]), sine = splat(roots[2 * turn + 1]);
          even = {simd::fma(cosine, sum[m - 1].re, even.re), simd::fma(cosine, sum[m - 1].im, even.im)};
          re = simd::fma(sine, difference[m - 1].im, re);
          im = simd::fma(sine, difference[m - 1].re, im);
          turn += j;
          if (turn >= r) turn -= r;
        }
        store_row(y + j * to, Complex{even.re - re, even.im + im} * splat(twiddle + 2 * (j - 1)));
        store_row(y + (r - j) * to, Complex{even.re + re, even.im - im} * splat(twiddle + 2 * (r - j - 1)));
      }
    }
  }
}

void run_pass(const FftPass& p, const float* in, float* out) {
  switch (p.radix) {
    case 2:
      return pass<2>(p, in, out);
    case 3:
      return pass<3>(p, in, out);
    case 4:
      return pass<4>(p, in, out);
    case 5:
      return pass<5>(p, in, out);
    case 7:
      return pass<7>(p, in, out);
    case 8:
      return pass<8>(p, in, out);
    case 11:
      return pass<11>(p, in, out);
    case 13:
      return pass<13>(p, in, out);
    default:
      return pass_any(p, in, out);
  }
}

float* lines(const FftPasses& passes, const float* in, float* first, float* second) {
  if (passes.passes.empty()) {
    std::memcpy(first, in, size_t(passes.length * kRow) * sizeof(float));
    return first;
  }
  for (const FftPass& p : passes.passes) {
    run_pass(p, in, first);
    in = first;
    float* other = second;
    second = first;
    first = other;
  }
  return second;
}

}  // namespace
}  // namespace funcnn::cpu
