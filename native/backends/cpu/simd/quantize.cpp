// Quantising and dequantising a row at a time. Loops over the elements of a group are plain, for the compiler.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backends/cpu/quantized.h"
#include "backends/cpu/simd/of_this_set.h"
#include "backends/cpu/simd/quantized_codes.h"

namespace funcnn::cpu {
extern const QuantTable FUNCNN_OF_THIS_SET(quant_table_);
namespace {

constexpr int kLongest = 128;  // group
// The largest code times the largest scale of nvfp4: what a global scale, the largest number to be held, becomes.
constexpr float kGlobal = 6.0f * 448.0f;

template <class T>
FUNCNN_INLINE float rounded(float x) {
  return float(T(x));
}

// Codes of `bits` bits to words, lowest bits first; `count` is a multiple of 8.
void pack(const uint8_t* codes, int count, int bits, uint32_t* words) {
  uint8_t out[kLongest + 8];
  uint8_t* at = out;
  for (int i = 0; i < count; i += 8, at += bits) {
    // Eight bytes close up: neighbours, pairs of them, fours.
    uint64_t x;
    std::memcpy(&x, codes + i, 8);
    x = (x & 0x00ff00ff00ff00ffu) | ((x & 0xff00ff00ff00ff00u) >> (8 - bits));
    x = (x & 0x0000ffff0000ffffu) | ((x & 0xffff0000ffff0000u) >> (16 - 2 * bits));
    x = (x & 0x00000000ffffffffu) | ((x & 0xffffffff00000000u) >> (32 - 4 * bits));
    std::memcpy(at, &x, 8);
  }
  std::memcpy(words, out, size_t(count * bits / 8));
}

// The smallest and largest number, which mean nothing where there is a NaN.
struct Range {
  float low, high;
  bool nan;
};
#if defined(FUNCNN_VECTORS)
template <class F>
FUNCNN_INLINE float across(F32 v, F pick) {
  float lanes[kLanes];
  store(lanes, v);
#pragma GCC unroll 8
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] = pick(lanes[l], lanes[l + half]);
  return lanes[0];
}
Range range_of(const float* x, int n) {
  F32 low = load(x), high = low;
  I32 nan = low != low;
  for (int i = kLanes; i < n; i += kLanes) {
    F32 v = load(x + i);
    low = v < low ? v : low;
    high = v > high ? v : high;
    nan |= v != v;
  }
  return {across(low, [](float a, float b) { return b < a ? b : a; }),
          across(high, [](float a, float b) { return b > a ? b : a; }), any(U32(nan))};
}
#else
Range range_of(const float* x, int n) {
  Range out{x[0], x[0], false};
  for (int i = 0; i < n; ++i) {
    out.low = x[i] < out.low ? x[i] : out.low;
    out.high = x[i] > out.high ? x[i] : out.high;
    out.nan |= x[i] != x[i];
  }
  return out;
}
#endif

// Rounds half to even; MLX's rule for scale and bias, which makes the end of the range of larger magnitude exact.
void affine_codes(const float* x, int n, int bits, uint8_t* codes, float& scale, float& bias) {
  Range r = range_of(x, n);
  float most = float((1 << bits) - 1);
  constexpr float least = 1e-7f;
  if (bits == 1) {
    scale = std::max(r.high - r.low, least);
    bias = r.low;
    // Of zeros of both signs the first.
    if (bias == 0) bias = *std::find(x, x + n, 0.0f);
  } else {
    bool below = std::fabs(r.low) > std::fabs(r.high);
    scale = std::max((r.high - r.low) / most, least);
    scale = below ? scale : -scale;
    float edge = below ? r.low : r.high, steps = std::nearbyint(edge / scale);
    bias = 0;
    if (steps != 0) {
      scale = edge / steps;
      bias = edge;
    }
  }
  for (int i = 0; i < n; ++i) {
    float q = (x[i] - bias) / scale;
    q = q > 0 ? q : 0;  // NaN too
    q = q < most ? q : most;
    codes[i] = uint8_t(__builtin_bit_cast(uint32_t, q + 0x1p23f));
  }
  if (r.nan) scale = bias = std::numeric_limits<float>::quiet_NaN();
}

// A group of floating-point codes: the scale that is stored and what elements are divided by, and then multiplied by.
struct Scaled {
  uint8_t stored;
  float divisor, factor;
  bool lost;  // not finite: the scale is NaN
};
template <class T>
Scaled scaled_group(const QuantFormat& format, const float* x, float global) {
  Range r = range_of(x, format.group);
  float top = std::max(0.0f, std::max(-r.low, r.high));
  bool finite = !r.nan && top <= std::numeric_limits<float>::max();
  bool e4m3 = format.mode == QuantMode::nvfp4;
  if (!finite) return {uint8_t(e4m3 ? 0x7f : 0xff), 1, 1, true};
  float scale = rounded<T>(top / (format.bits == 8 ? 448.0f : 6.0f));
  if (e4m3) {
    float factor = global != 0 ? kGlobal / global : 1.0f;
    uint8_t stored = float_to_e4m3(scale * factor);
    return {stored, rounded<T>(e4m3_to_float(stored)), factor, false};
  }
  // Up to the next power of two.
  int exponent = scale == 0 ? 0 : int(std::ceil(float(std::log2(double(scale)))));
  exponent = std::clamp(exponent, -127, 127);
  return {uint8_t(exponent + 127), rounded<T>(std::ldexp(1.0f, exponent)), 1, false};
}

template <class T>
void float_codes(const QuantFormat& format, const float* x, float global, uint8_t* codes, Scaled& s) {
  s = scaled_group<T>(format, x, global);
  int n = format.group;
  if (s.lost || s.divisor == 0) {
    std::fill_n(codes, n, uint8_t(0));
    return;
  }
  if (format.bits == 8) {
    for (int i = 0; i < n; ++i) codes[i] = float_to_e4m3(rounded<T>(x[i] / s.divisor));
  } else {
    for (int i = 0; i < n; ++i) codes[i] = float_to_e2m1(rounded<T>(x[i] / s.divisor) * s.factor);
  }
}

template <class T>
void quantize(const QuantFormat& format, const T* from, int64_t count, float global, uint32_t* words, void* scales,
              void* biases) {
  float x[kLongest];
  uint8_t codes[kLongest];
  int n = format.group;
  for (int64_t g = 0; g < count / n; ++g, from += n, words += format.words(n)) {
    for (int i = 0; i < n; ++i) x[i] = float(from[i]);
    if (format.affine()) {
      float scale, bias;
      affine_codes(x, n, format.bits, codes, scale, bias);
      static_cast<T*>(scales)[g] = T(scale);
      static_cast<T*>(biases)[g] = T(bias);
    } else {
      Scaled s;
      float_codes<T>(format, x, global, codes, s);
      static_cast<uint8_t*>(scales)[g] = s.stored;
    }
    pack(codes, n, format.bits, words);
  }
}

#if !defined(FUNCNN_VECTORS)
void unpack(const uint32_t* words, int count, int bits, uint8_t* codes) {
  uint64_t run = 0;
  int left = 0;
  for (int i = 0; i < count; ++i) {
    if (left < bits) {
      run |= uint64_t(*words++) << left;
      left += 32;
    }
    codes[i] = uint8_t(run & ((1u << bits) - 1));
    run >>= bits;
    left -= bits;
  }
}
#endif

// The numbers that a group's codes stand for, before scaling.
void code_values(QuantCode code, const uint32_t* words, int n, float* x) {
#if defined(FUNCNN_VECTORS)
  visit_code(code, [&]<QuantCode c>() {
    for (int i = 0; i < n; i += kLanes) store(x + i, in_order<c>(words, i));
  });
#else
  uint8_t codes[kLongest];
  unpack(words, n, bits_of(code), codes);
  for (int i = 0; i < n; ++i)
    x[i] = code == QuantCode::e2m1   ? kE2m1[codes[i]]
           : code == QuantCode::e4m3 ? e4m3_to_float(codes[i])
                                     : float(codes[i]);
#endif
}

template <class T>
void values(const QuantFormat& format, const T* from, int64_t count, float global, T* to) {
  float x[kLongest];
  uint8_t codes[kLongest];
  int n = format.group;
  for (int64_t g = 0; g < count / n; ++g, from += n, to += n) {
    for (int i = 0; i < n; ++i) x[i] = float(from[i]);
    Scaled s;
    float_codes<T>(format, x, global, codes, s);
    float scale = format.mode == QuantMode::nvfp4 ? e4m3_to_float(s.stored) : e8m0_to_float(s.stored);
    if (global != 0) scale *= global / kGlobal;
    for (int i = 0; i < n; ++i) to[i] = T(scale * (format.bits == 8 ? e4m3_to_float(codes[i]) : kE2m1[codes[i] & 15]));
  }
}

// The product and the sum are rounded to T one after the other, as separate operations would be.
template <class T>
void dequantize(const QuantFormat& format, const uint32_t* words, const void* scales, const void* biases, int64_t count,
                float global, T* to) {
  float x[kLongest];
  int n = format.group;
  QuantCode code = code_of(format);
  for (int64_t g = 0; g < count / n; ++g, to += n, words += format.words(n)) {
    code_values(code, words, n, x);
    if (format.affine()) {
      float scale = float(static_cast<const T*>(scales)[g]), bias = float(static_cast<const T*>(biases)[g]);
      for (int i = 0; i < n; ++i) to[i] = T(rounded<T>(x[i] * scale) + bias);
    } else {
      uint8_t stored = static_cast<const uint8_t*>(scales)[g];
      float scale = format.mode == QuantMode::nvfp4 ? e4m3_to_float(stored) : e8m0_to_float(stored);
      scale = global != 0 ? scale * (global / kGlobal) : rounded<T>(scale);
      for (int i = 0; i < n; ++i) to[i] = T(x[i] * scale);
    }
  }
}

template <class T>
void to_fp8(const T* from, int64_t count, uint8_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = float_to_e4m3(float(from[i]));
}

template <class T>
constexpr QuantTable::Rows<T> rows = {quantize<T>, values<T>, dequantize<T>, to_fp8<T>};

}  // namespace

const QuantTable FUNCNN_OF_THIS_SET(quant_table_) = {rows<float>, rows<float16_t>, rows<bfloat16_t>};

}  // namespace funcnn::cpu
