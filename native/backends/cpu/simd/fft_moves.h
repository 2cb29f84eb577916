// Lines in memory to rows and back.
#pragma once

#include "backends/cpu/fft.h"
#include "backends/cpu/simd/fft_vector.h"

namespace funcnn::cpu {
namespace {

// Floats [begin, end) of two vectors; the rest is zero.
FUNCNN_INLINE Complex load_part_of_pairs(const float* at, int64_t begin, int64_t end) {
#if defined(FUNCNN_VECTORS) && defined(__AVX512F__)
  const uint32_t mask = uint32_t((uint64_t(1) << end) - (uint64_t(1) << begin));
  V a = _mm512_maskz_loadu_ps(__mmask16(mask), at), b = _mm512_maskz_loadu_ps(__mmask16(mask >> 16), at + kLanes);
  return {evens(a, b), odds(a, b)};
#else
  alignas(64) float part[kRow] = {};
  std::memcpy(part + begin, at + begin, size_t(end - begin) * sizeof(float));
  return load_pairs(part);
#endif
}
FUNCNN_INLINE Complex load_some_pairs(const float* at, int64_t count) { return load_part_of_pairs(at, 0, count); }
FUNCNN_INLINE V load_some(const float* at, int64_t count) {
  alignas(64) float part[kLanes] = {};
  std::memcpy(part, at, size_t(count) * sizeof(float));
  return load(part);
}
FUNCNN_INLINE void store_some(float* at, V x, int64_t count) {
  alignas(64) float part[kLanes];
  store(part, x);
  std::memcpy(at, part, size_t(count) * sizeof(float));
}
// Floats [begin, end) of two vectors.
FUNCNN_INLINE void store_part_of_pairs(float* at, Complex x, int64_t begin, int64_t end) {
#if defined(FUNCNN_VECTORS) && defined(__AVX512F__)
  const uint32_t mask = uint32_t((uint64_t(1) << end) - (uint64_t(1) << begin));
  _mm512_mask_storeu_ps(at, __mmask16(mask), low(x.re, x.im));
  _mm512_mask_storeu_ps(at + kLanes, __mmask16(mask >> 16), high(x.re, x.im));
#else
  alignas(64) float part[kRow];
  store_pairs(part, x);
  std::memcpy(at + begin, part + begin, size_t(end - begin) * sizeof(float));
#endif
}
FUNCNN_INLINE void store_some_pairs(float* at, Complex x, int64_t count) { store_part_of_pairs(at, x, 0, count); }

void gather(const FftView& from, int64_t count, int64_t length, bool swap, float* rows) {
  const int64_t real = swap ? kLanes : 0, imaginary = kLanes - real;
  const bool beside = !from.starts;
  if (kLanes > 1 && beside && from.apart == 2 && from.im == 1) {
    const float* at = from.data;
    for (int64_t j = 0; j < length; ++j, at += from.step, rows += kRow) {
      Complex x = count == kLanes ? load_pairs(at) : load_some_pairs(at, 2 * count);
      store(rows + real, x.re);
      store(rows + imaginary, x.im);
    }
    return;
  }
  if (kLanes > 1 && beside && from.apart == 1) {
    const float* at = from.data;
    for (int64_t j = 0; j < length; ++j, at += from.step, rows += kRow) {
      store(rows + real, count == kLanes ? load(at) : load_some(at, count));
      V im{};
      if (from.im) im = count == kLanes ? load(at + from.im) : load_some(at + from.im, count);
      store(rows + imaginary, im);
    }
    return;
  }
  int64_t done = 0;
  if (kLanes > 1 && from.step == 2 && from.im == 1) {
    for (; done + kLanes <= length; done += kLanes) {
      V re[kLanes], im[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        Complex x{};
        if (i < count) x = load_pairs(from.data + from.start(i) + 2 * done);
        re[i] = x.re;
        im[i] = x.im;
      }
      transpose(re);
      transpose(im);
      for (int64_t i = 0; i < kLanes; ++i) {
        store(rows + (done + i) * kRow + real, re[i]);
        store(rows + (done + i) * kRow + imaginary, im[i]);
      }
    }
  }
  if (kLanes > 1 && from.step == 1 && !from.im) {
    for (; done + kLanes <= length; done += kLanes) {
      V re[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) re[i] = i < count ? load(from.data + from.start(i) + done) : V{};
      transpose(re);
      for (int64_t i = 0; i < kLanes; ++i) {
        store(rows + (done + i) * kRow + real, re[i]);
        store(rows + (done + i) * kRow + imaginary, V{});
      }
    }
  }
  for (int64_t j = done; j < length; ++j) {
    float* row = rows + j * kRow;
    for (int64_t i = 0; i < kLanes; ++i) {
      const float* at = from.data + (i < count ? from.start(i) + j * from.step : 0);
      row[real + i] = i < count ? at[0] : 0.0f;
      row[imaginary + i] = i < count && from.im ? at[from.im] : 0.0f;
    }
  }
}

void scatter(const float* rows, int64_t count, int64_t length, bool swap, float scale, const FftView& to) {
  const int64_t real = swap ? kLanes : 0, imaginary = kLanes - real;
  const bool beside = !to.starts;
  const V factor = splat(scale);
  if (kLanes > 1 && beside && to.apart == 2 && to.im == 1) {
    float* at = to.data;
    for (int64_t j = 0; j < length; ++j, at += to.step, rows += kRow) {
      Complex x{load(rows + real) * factor, load(rows + imaginary) * factor};
      if (count == kLanes)
        store_pairs(at, x);
      else
        store_some_pairs(at, x, 2 * count);
    }
    return;
  }
  if (kLanes > 1 && beside && to.apart == 1) {
    float* at = to.data;
    for (int64_t j = 0; j < length; ++j, at += to.step, rows += kRow) {
      V re = load(rows + real) * factor, im = load(rows + imaginary) * factor;
      if (count == kLanes) {
        store(at, re);
        if (to.im) store(at + to.im, im);
      } else {
        store_some(at, re, count);
        if (to.im) store_some(at + to.im, im, count);
      }
    }
    return;
  }
  int64_t done = 0;
  if (kLanes > 1 && to.step == 2 && to.im == 1) {
    for (; done + kLanes <= length; done += kLanes) {
      V re[kLanes], im[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        re[i] = load(rows + (done + i) * kRow + real) * factor;
        im[i] = load(rows + (done + i) * kRow + imaginary) * factor;
      }
      transpose(re);
      transpose(im);
      for (int64_t i = 0; i < count; ++i) store_pairs(to.data + to.start(i) + 2 * done, {re[i], im[i]});
    }
  }
  if (kLanes > 1 && to.step == 1 && !to.im) {
    for (; done + kLanes <= length; done += kLanes) {
      V re[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) re[i] = load(rows + (done + i) * kRow + real) * factor;
      transpose(re);
      for (int64_t i = 0; i < count; ++i) store(to.data + to.start(i) + done, re[i]);
    }
  }
  for (int64_t j = done; j < length; ++j) {
    const float* row = rows + j * kRow;
    for (int64_t i = 0; i < count; ++i) {
      float* at = to.data + to.start(i) + j * to.step;
      at[0] = row[real + i] * scale;
      if (to.im) at[to.im] = row[imaginary + i] * scale;
    }
  }
}

}  // namespace
}  // namespace funcnn::cpu
