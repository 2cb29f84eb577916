#include "backends/reference/quantized.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backends/reference/element.h"
#include "ops/quantize.h"
#include "ops/quantized_dot.h"

namespace funcnn::reference {
namespace {

// A float32 operation's result in the dtype.
float rounded(Dtype dtype, float x) {
  return dtype == Dtype::float16 ? float(float16_t(x)) : dtype == Dtype::bfloat16 ? float(bfloat16_t(x)) : x;
}

double e4m3(int code) {
  int exponent = code >> 3 & 15, fraction = code & 7;
  if ((code & 127) == 127) return std::numeric_limits<double>::quiet_NaN();
  double size = exponent ? std::ldexp(8 + fraction, exponent - 10) : std::ldexp(fraction, -9);
  return code & 128 ? -size : size;
}
double e2m1(int code) {
  int exponent = code >> 1 & 3, fraction = code & 1;
  double size = exponent ? std::ldexp(2 + fraction, exponent - 2) : 0.5 * fraction;
  return code & 8 ? -size : size;
}
double e8m0(int code) { return code == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, code - 127); }

// The nearest code, by trying all; of two equally near the even one.
int nearest_e4m3(double x) {
  int best = 126;
  double size = std::min(std::fabs(x), e4m3(126));  // beside what is much larger all codes are equally far
  if (!std::isnan(x))
    for (int code = 126; code >= 0; --code) {
      double gap = std::fabs(size - e4m3(code)), least = std::fabs(size - e4m3(best));
      if (gap < least || (gap == least && code % 2 == 0)) best = code;
    }
  return best | (std::signbit(x) ? 128 : 0);
}
// Of two equally near the smaller.
int nearest_e2m1(double x) {
  int best = 0;
  for (int code = 1; code < 8; ++code)
    if (std::fabs(std::fabs(x) - e2m1(code)) < std::fabs(std::fabs(x) - e2m1(best))) best = code;
  if (std::fabs(x) > 6) best = 7;
  return best && x < 0 ? best | 8 : best;
}

void put_code(uint32_t* words, int64_t i, int bits, uint32_t code) {
  for (int b = 0; b < bits; ++b) {
    int64_t at = i * bits + b;
    words[at / 32] = (words[at / 32] & ~(1u << (at % 32))) | ((code >> b & 1u) << (at % 32));
  }
}
int code_at(const Layout& l, const std::byte* at, int64_t first_word, int64_t i, int bits) {
  int code = 0;
  for (int b = 0; b < bits; ++b) {
    int64_t bit = i * bits + b;
    uint32_t word = uint32_t(number_at(l, at, first_word + bit / 32));
    code |= int(word >> (bit % 32) & 1u) << b;
  }
  return code;
}

struct Group {
  std::vector<int> codes;
  float scale = 0, bias = 0;  // affine
  int stored = 0;             // others
  float factor = 1;           // of the scale before it is rounded
};

Group affine_group(const std::vector<float>& x, int bits) {
  Group out;
  float low = INFINITY, high = -INFINITY, most = float((1 << bits) - 1);
  bool nan = false;
  for (float v : x) {
    low = v < low ? v : low;
    high = v > high ? v : high;
    nan = nan || std::isnan(v);
  }
  if (bits == 1) {
    out.scale = std::max(high - low, 1e-7f);
    out.bias = low;
  } else {
    bool below = std::fabs(low) > std::fabs(high);
    out.scale = std::max((high - low) / most, 1e-7f) * (below ? 1.0f : -1.0f);
    float edge = below ? low : high, steps = std::nearbyint(edge / out.scale);
    if (steps != 0) {
      out.scale = edge / steps;
      out.bias = edge;
    }
  }
  for (float v : x) {
    float q = std::nearbyint((v - out.bias) / out.scale);
    out.codes.push_back(std::isnan(q) ? 0 : int(std::clamp(q, 0.0f, most)));
  }
  if (nan) out.scale = out.bias = NAN;
  return out;
}

Group float_group(const QuantFormat& format, Dtype dtype, const std::vector<float>& x, float global) {
  Group out;
  bool nvfp4 = format.mode == QuantMode::nvfp4, finite = true;
  float top = 0;
  for (float v : x) {
    top = std::max(top, std::fabs(v));
    finite = finite && std::isfinite(v);
  }
  if (global != 0) out.factor = 2688.0f / global;
  float scale = rounded(dtype, top / (format.bits == 8 ? 448.0f : 6.0f)), divisor;
  if (nvfp4) {
    out.stored = finite ? nearest_e4m3(scale * out.factor) : 127;
    divisor = rounded(dtype, float(e4m3(out.stored)));
  } else {
    double exponent = scale == 0 ? 0 : std::ceil(float(std::log2(double(scale))));
    out.stored = finite ? int(std::clamp(exponent, -127.0, 127.0)) + 127 : 255;
    divisor = rounded(dtype, float(e8m0(out.stored)));
  }
  for (float v : x) {
    float scaled = finite && divisor != 0 ? rounded(dtype, v / divisor) * (nvfp4 ? out.factor : 1) : 0;
    out.codes.push_back(!finite || divisor == 0 ? 0 : format.bits == 8 ? nearest_e4m3(scaled) : nearest_e2m1(scaled));
  }
  return out;
}

// The global scale of a group among `groups`, or 0.
float global_of(Layouts in, Pointers at, size_t input, int64_t group, int64_t groups) {
  if (in.size() <= input) return 0;
  int64_t scales = element_count(in[input].shape);
  return float(number_at(in[input], at[input], group / (groups / scales)));
}

std::vector<float> group_of(const Layout& l, const std::byte* at, int64_t group, int size) {
  std::vector<float> x;
  for (int i = 0; i < size; ++i) x.push_back(float(number_at(l, at, group * size + i)));
  return x;
}

}  // namespace

void quantize(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  QuantFormat format = static_cast<const Quantize&>(primitive).format();
  Pointers to = at.subspan(in.size());
  int64_t groups = element_count(in[0].shape) / format.group;
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<float> x = group_of(in[0], at[0], g, format.group);
    Group made = format.affine() ? affine_group(x, format.bits)
                                 : float_group(format, in[0].dtype, x, global_of(in, at, 1, g, groups));
    for (int i = 0; i < format.group; ++i)
      put_code(reinterpret_cast<uint32_t*>(to[0]), g * format.group + i, format.bits, uint32_t(made.codes[size_t(i)]));
    put(out[1], to[1], g, format.affine() ? double(made.scale) : made.stored);
    if (format.affine()) put(out[2], to[2], g, double(made.bias));
  }
}

void quantized_values(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  QuantFormat format = static_cast<const QuantizedValues&>(primitive).format();
  int64_t groups = element_count(in[0].shape) / format.group;
  for (int64_t g = 0; g < groups; ++g) {
    Group made =
        float_group(format, in[0].dtype, group_of(in[0], at[0], g, format.group), global_of(in, at, 1, g, groups));
    float scale = format.mode == QuantMode::nvfp4 ? float(e4m3(made.stored)) : float(e8m0(made.stored));
    float global = global_of(in, at, 1, g, groups);
    if (global != 0) scale *= global / 2688.0f;
    for (int i = 0; i < format.group; ++i) {
      int code = made.codes[size_t(i)];
      put(out[0], at.back(), g * format.group + i, scale * float(format.bits == 8 ? e4m3(code) : e2m1(code)));
    }
  }
}

void dequantize(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  QuantFormat format = static_cast<const Dequantize&>(primitive).format();
  int64_t count = element_count(out[0].shape), groups = count / format.group, row = out[0].shape.back();
  bool wide = out[0].dtype == Dtype::float64;
  for (int64_t i = 0; i < count; ++i) {
    int64_t g = i / format.group;
    int code = code_at(in[0], at[0], i / row * in[0].shape.back(), i % row, format.bits);
    double scale = number_at(in[1], at[1], g), value;
    if (format.affine()) {
      double bias = number_at(in[2], at[2], g);
      value = wide ? code * scale + bias : double(rounded(out[0].dtype, float(code) * float(scale)) + float(bias));
    } else {
      float s = float(format.mode == QuantMode::nvfp4 ? e4m3(int(scale)) : e8m0(int(scale)));
      float global = global_of(in, at, 2, g, groups);
      s = global != 0 ? s * (global / 2688.0f) : wide ? s : rounded(out[0].dtype, s);
      value = double(float(format.bits == 8 ? e4m3(code) : e2m1(code)) * s);
    }
    put(out[0], at.back(), i, value);
  }
}

void quantized_dot(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  const auto& op = static_cast<const QuantizedDot&>(primitive);
  QuantFormat format = op.format();
  int64_t count = element_count(out[0].shape), m = out[0].shape[1], n = out[0].shape[2], inner = in[0].shape[2];
  int64_t words = in[1].shape[2], rows = in[1].shape[1], groups = in[2].shape[2];
  size_t next = 1 + op.matrix_inputs();
  for (int64_t i = 0; i < count; ++i) {
    int64_t item = i / (m * n), r = i / n % m, c = i % n, x = 0, w = 0;
    if (op.indexed()) {
      x = int64_t(number_at(in[next], at[next], item));
      w = int64_t(number_at(in[next + 1], at[next + 1], item));
    }
    double total = 0;
    bool there = x >= 0 && x < in[0].shape[0] && w >= 0 && w < in[1].shape[0];
    for (int64_t k = 0; there && k < inner; ++k) {
      int64_t row = w * rows + (op.transpose() ? c : k), column = op.transpose() ? k : c;
      int code = code_at(in[1], at[1], row * words, column, format.bits);
      double scale = number_at(in[2], at[2], row * groups + column / format.group), value;
      if (format.affine())
        value = code * scale + number_at(in[3], at[3], row * groups + column / format.group);
      else
        value = (format.bits == 8 ? e4m3(code) : e2m1(code)) *
                (format.mode == QuantMode::nvfp4 ? e4m3(int(scale)) : e8m0(int(scale)));
      total += number_at(in[0], at[0], (x * m + r) * inner + k) * value;
    }
    put(out[0], at.back(), i, total);
  }
}

void to_fp8(const Primitive&, Layouts in, Layouts, Pointers at) {
  for (int64_t i = 0; i < element_count(in[0].shape); ++i)
    at[1][i] = std::byte(nearest_e4m3(number_at(in[0], at[0], i)));
}

void from_fp8(const Primitive&, Layouts in, Layouts out, Pointers at) {
  for (int64_t i = 0; i < element_count(in[0].shape); ++i) put(out[0], at[1], i, e4m3(int(number_at(in[0], at[0], i))));
}

}  // namespace funcnn::reference
