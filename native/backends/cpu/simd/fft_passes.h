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

// Of sixteen values, as four by four: the transform of those from j on, four apart, with the factors after it, and
// that of the four from 4 q on, whose output p is number q + 4 p of all.
template <int j>
FUNCNN_INLINE void across16(Complex (&x)[16]) {
  butterfly4(x[j], x[j + 4], x[j + 8], x[j + 12]);
  const V h = splat(0.70710678118654752440f), c = splat(0.92387953251128675613f), s = splat(0.38268343236508977173f);
  // times e^(-2 pi i m / 16)
  auto eighth = [&](Complex a) { return Complex{(a.re + a.im) * h, (a.im - a.re) * h}; };                  // m = 2
  auto first = [&](Complex a) { return Complex{simd::fma(a.im, s, a.re * c), fnma(a.re, s, a.im * c)}; };  // m = 1
  auto third = [&](Complex a) { return Complex{simd::fma(a.im, c, a.re * s), fnma(a.re, c, a.im * s)}; };  // m = 3
  if constexpr (j == 1) {
    x[5] = first(x[5]);
    x[9] = eighth(x[9]);
    x[13] = third(x[13]);
  } else if constexpr (j == 2) {
    x[6] = eighth(x[6]);
    x[10] = turned(x[10]);
    x[14] = turned(eighth(x[14]));
  } else if constexpr (j == 3) {
    x[7] = third(x[7]);
    x[11] = turned(eighth(x[11]));
    x[15] = first(Complex{-x[15].re, -x[15].im});
  }
}
FUNCNN_INLINE void along16(Complex (&x)[16], int q) { butterfly4(x[4 * q], x[4 * q + 1], x[4 * q + 2], x[4 * q + 3]); }
FUNCNN_INLINE void butterfly16(Complex (&x)[16]) {
  across16<0>(x);
  across16<1>(x);
  across16<2>(x);
  across16<3>(x);
  FUNCNN_UNROLL
  for (int q = 0; q < 4; ++q) along16(x, q);
  FUNCNN_UNROLL
  for (int q = 0; q < 4; ++q) {
    FUNCNN_UNROLL
    for (int m = q + 1; m < 4; ++m) std::swap(x[4 * q + m], x[4 * m + q]);
  }
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
  } else if constexpr (r == 16) {
    butterfly16(x);
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

// Where a pass reads and writes: `at` is the place of row 0, and rows lie `step` floats apart.
struct RowSource {
  const float* at;
  static constexpr int64_t step = kRow;
  Complex load(const float* from) const { return load_row(from); }
};
struct RowSink {
  float* at;
  static constexpr int64_t step = kRow;
  void store(float* to, Complex x) const { store_row(to, x); }
};
// As complex numbers side by side, `swap` exchanging real and imaginary parts.
struct PairSource {
  const float* at;
  int64_t step;
  bool swap;
  Complex load(const float* from) const {
    Complex x = load_pairs(from);
    return swap ? Complex{x.im, x.re} : x;
  }
};
struct PairSink {
  float* at;
  int64_t step;
  bool swap;
  V scale;
  void store(float* to, Complex x) const {
    x = {x.re * scale, x.im * scale};
    store_pairs(to, swap ? Complex{x.im, x.re} : x);
  }
};

template <int r, class Source, class Sink>
void pass(const FftPass& p, Source source, Sink sink) {
  const int64_t from = p.after * source.step, to = p.before * p.after * sink.step;
  const float* roots = p.roots.data();
  for (int64_t k = 0; k < p.before; ++k) {
    const float* twiddle = p.twiddles.data();
    for (int64_t i = 0; i < p.after; ++i) {
      const float* at = source.at + (i + p.after * r * k) * source.step;
      Complex x[r];
      FUNCNN_UNROLL
      for (int j = 0; j < r; ++j) x[j] = source.load(at + j * from);
      butterfly<r>(x, roots);
      float* y = sink.at + (i + p.after * k) * sink.step;
      sink.store(y, x[0]);
      if (i == 0) {
        FUNCNN_UNROLL
        for (int j = 1; j < r; ++j) sink.store(y + j * to, x[j]);
      } else {
        FUNCNN_UNROLL
        for (int j = 1; j < r; ++j) sink.store(y + j * to, x[j] * splat(twiddle + 2 * (j - 1)));
      }
      twiddle += 2 * (r - 1);
    }
  }
}

// Any odd radix.
template <class Source, class Sink>
void pass_any(const FftPass& p, Source source, Sink sink) {
  const int r = p.radix, half = (r - 1) / 2;
  const int64_t from = p.after * source.step, to = p.before * p.after * sink.step;
  const float* roots = p.roots.data();
  Complex sum[kLargestRadix / 2], difference[kLargestRadix / 2];
  for (int64_t k = 0; k < p.before; ++k) {
    for (int64_t i = 0; i < p.after; ++i) {
      const float* at = source.at + (i + p.after * r * k) * source.step;
      const float* twiddle = p.twiddles.data() + 2 * (r - 1) * i;
      float* y = sink.at + (i + p.after * k) * sink.step;
      Complex first = source.load(at), total = first;
      for (int j = 1; j <= half; ++j) {
        Complex a = source.load(at + j * from), b = source.load(at + (r - j) * from);
        sum[j - 1] = a + b;
        difference[j - 1] = a - b;
        total = total + sum[j - 1];
      }
      sink.store(y, total);
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
        sink.store(y + j * to, Complex{even.re - re, even.im + im} * splat(twiddle + 2 * (j - 1)));
        sink.store(y + (r - j) * to, Complex{even.re + re, even.im - im} * splat(twiddle + 2 * (r - j - 1)));
      }
    }
  }
}

template <class Source, class Sink>
void run_pass(const FftPass& p, Source source, Sink sink) {
  switch (p.radix) {
    case 2:
      return pass<2>(p, source, sink);
    case 3:
      return pass<3>(p, source, sink);
    case 4:
      return pass<4>(p, source, sink);
    case 5:
      return pass<5>(p, source, sink);
    case 7:
      return pass<7>(p, source, sink);
    case 8:
      return pass<8>(p, source, sink);
    case 11:
      return pass<11>(p, source, sink);
    case 13:
      return pass<13>(p, source, sink);
    case 16:
      return pass<16>(p, source, sink);
    default:
      return pass_any(p, source, sink);
  }
}

float* lines(const FftPasses& passes, const float* in, float* first, float* second) {
  if (passes.passes.empty()) {
    std::memcpy(first, in, size_t(passes.length * kRow) * sizeof(float));
    return first;
  }
  for (const FftPass& p : passes.passes) {
    run_pass(p, RowSource{in}, RowSink{first});
    in = first;
    float* other = second;
    second = first;
    first = other;
  }
  return second;
}

// Rows of `first`, which lie nowhere before: at least one pass. Neither room is read.
template <class Source>
void lines_into_rows(const FftPasses& passes, Source source, float* first, float* second) {
  const auto& all = passes.passes;
  const size_t count = all.size();
  auto target = [&](size_t i) { return (count - 1 - i) % 2 ? second : first; };
  run_pass(all[0], source, RowSink{target(0)});
  for (size_t i = 1; i < count; ++i) run_pass(all[i], RowSource{target(i - 1)}, RowSink{target(i)});
}

template <class Source>
void lines_into_pairs(const FftPasses& passes, Source source, float* first, float* second, PairSink sink) {
  const auto& all = passes.passes;
  const size_t count = all.size();
  if (count == 1) {
    run_pass(all[0], source, RowSink{first});
    for (int64_t j = 0; j < passes.length; ++j) sink.store(sink.at + j * sink.step, load_row(first + j * kRow));
    return;
  }
  auto target = [&](size_t i) { return i % 2 ? second : first; };
  run_pass(all[0], source, RowSink{first});
  for (size_t i = 1; i + 1 < count; ++i) run_pass(all[i], RowSource{target(i - 1)}, RowSink{target(i)});
  run_pass(all[count - 1], RowSource{target(count - 2)}, sink);
}

}  // namespace
}  // namespace funcnn::cpu
