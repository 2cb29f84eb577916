#include "backends/gpu/fft_text.h"

#include <cmath>
#include <cstdio>
#include <numbers>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Octants are told apart in integers, so that angles are exact up to a rounding.
constexpr std::string_view kFunctions = R"text(FUNCTION c64 times_c64(c64 a, c64 b) {
  return {fma(a.re, b.re, -(a.im * b.im)), fma(a.re, b.im, a.im * b.re)};
}
FUNCTION c64 turned(u32 octant, f32 r, f32 sign) {
  const f32 z = r * r;
  const f32 s = fma(r * z, fma(fma(fma(z, 2.75573192e-06f, -0.000198412698f), z, 0.00833333333f), z, -0.166666667f), r);
  const f32 c = fma(z, fma(fma(fma(z, 2.48015873e-05f, -0.00138888889f), z, 0.0416666667f), z, -0.5f), 1.0f);
  const bool swapped = ((octant + 1u) & 2u) != 0;
  const f32 re = swapped ? s : c, im = swapped ? c : s;
  return {((octant + 2u) & 4u) != 0 ? -re : re, octant & 4u ? -sign * im : sign * im};
}
FUNCTION c64 root(u64 k, u64 n, f32 sign) {
  const u64 octant = 8 * k / n, rest = 8 * k - octant * n;
  return turned((u32)octant, (f32)(octant & 1u ? n - rest : rest) / (f32)n * 0.785398163397448309616f, sign);
}
FUNCTION u32 spread(u32 k) { return k + k / 16u; }
FUNCTION c64 near_root(u32 k, u32 n, f32 eighth, f32 sign) {
  const u32 octant = 8u * k / n, rest = 8u * k - octant * n;
  return turned(octant, (f32)(octant & 1u ? n - rest : rest) * eighth, sign);
}
FUNCTION c64 chirp(i64 j, i64 n, f32 sign) { return root((u64)j * (u64)j % (u64)(2 * n), (u64)(2 * n), sign); }
FUNCTION c64 mirrored(c64 z, bool real) { return {z.re, real ? 0.0f : z.im}; }
FUNCTION c64 of_pairs(c64 a, c64 b, c64 w) {
  const c64 t = times_c64({a.re - b.re, a.im + b.im}, w);
  return {0.5f * (a.re + b.re + t.im), 0.5f * (a.im - b.im - t.re)};
}
FUNCTION c64 to_pairs(c64 a, c64 b, c64 w) {
  const c64 t = times_c64({a.re - b.re, a.im + b.im}, w);
  return {a.re + b.re - t.im, a.im - b.im + t.re};
}
)text";

// z times i or -i.
std::string turned(const std::string& z, bool positive) {
  return positive ? cat("c64{-", z, ".im, ", z, ".re}") : cat("c64{", z, ".im, -", z, ".re}");
}

// The transform of four elements of v, in place and in order.
std::string four(int a, int b, int c, int d, bool inverse) {
  return cat("      const c64 s0 = v[", a, "] + v[", c, "], s1 = v[", a, "] - v[", c, "], s2 = v[", b, "] + v[", d,
             "], s3 = v[", b, "] - v[", d, "];\n      const c64 s4 = ", turned("s3", inverse), ";\n      v[", a,
             "] = s0 + s2;\n      v[", b, "] = s1 + s4;\n      v[", c, "] = s0 - s2;\n      v[", d, "] = s1 - s4;\n");
}

std::string of_odd(int radix, bool inverse) {
  const int half = radix / 2;
  std::string out = cat("    {\n      c64 s[", half + 1, "], d[", half + 1, "];\n      for (u32 j = 1; j <= ", half,
                        "; ++j) {\n        s[j] = v[j] + v[", radix, " - j];\n        d[j] = v[j] - v[", radix,
                        " - j];\n      }\n      const c64 first = v[0];\n");
  out += "      v[0] = first";
  for (int j = 1; j <= half; ++j) out += cat(" + s[", j, "]");
  out += ";\n";
  for (int k = 1; k <= half; ++k) {
    out += "      {\n        const c64 a = first";
    for (int j = 1; j <= half; ++j)
      out += cat(" + scaled(s[", j, "], ", number_text(std::cos(2 * std::numbers::pi * (j * k % radix) / radix)), ")");
    out += ";\n        const c64 b = ";
    for (int j = 1; j <= half; ++j)
      out += cat(j > 1 ? " + " : "", "scaled(d[", j, "], ",
                 number_text(std::sin(2 * std::numbers::pi * (j * k % radix) / radix)), ")");
    out += cat(";\n        const c64 t = ", turned("b", inverse), ";\n        v[", k, "] = a + t;\n        v[",
               radix - k, "] = a - t;\n      }\n");
  }
  return out + "    }\n";
}

// By a transform of each b-th element and one of what these give: element i + b j of v, frequency k + a l.
std::string of_two(int a, int b, bool inverse) {
  const int radix = a * b;
  std::string out =
      cat("    {\n      c64 all[", radix, "];\n      UNROLL for (u32 j = 0; j < ", radix, "; ++j) all[j] = v[j];\n");
  for (int i = 0; i < b; ++i) {
    out += cat("      {\n      c64 v[", a, "];\n      UNROLL for (u32 j = 0; j < ", a, "; ++j) v[j] = all[", i, " + ",
               b, " * j];\n", dft_text(a, inverse));
    for (int k = 0; k < a; ++k) {
      const std::string value = cat("v[", k, "]");
      const double angle = (inverse ? 2 : -2) * std::numbers::pi * i * k / radix;
      out += cat("      all[", i + b * k, "] = ",
                 i * k == 0           ? value
                 : 4 * i * k == radix ? turned(value, inverse)
                                      : cat("times_c64(", value, ", c64{", number_text(std::cos(angle)), ", ",
                                            number_text(std::sin(angle)), "})"),
                 ";\n");
    }
    out += "      }\n";
  }
  for (int k = 0; k < a; ++k)
    out += cat("      {\n      c64 v[", b, "];\n      UNROLL for (u32 j = 0; j < ", b, "; ++j) v[j] = all[", b * k,
               " + j];\n", dft_text(b, inverse), "      UNROLL for (u32 j = 0; j < ", b, "; ++j) all[", b * k,
               " + j] = v[j];\n      }\n");
  return out + cat("      UNROLL for (u32 k = 0; k < ", a, "; ++k) UNROLL for (u32 l = 0; l < ", b, "; ++l) v[k + ", a,
                   " * l] = all[", b, " * k + l];\n    }\n");
}

}  // namespace

std::string number_text(double x) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9gf", x);
  std::string out = text;
  if (out.find_first_of(".e") == out.npos) out.insert(out.size() - 1, ".0");
  return out;
}

std::string_view fft_functions() { return kFunctions; }

std::string_view sign_text(bool inverse) { return inverse ? "1.0f" : "-1.0f"; }

std::string root_text(std::string_view at, int64_t n, bool inverse) {
  if (n >= int64_t(1) << 29) return cat("root((u64)(", at, "), ", n, "ull, ", sign_text(inverse), ")");
  return cat("near_root(", at, ", ", n, "u, ", number_text(std::numbers::pi / 4 / double(n)), ", ", sign_text(inverse),
             ")");
}

std::string dft_text(int radix, bool inverse) {
  switch (radix) {
    case 1:
      return {};
    case 2:
      return "    {\n      const c64 s = v[0] + v[1];\n      v[1] = v[0] - v[1];\n      v[0] = s;\n    }\n";
    case 4:
      return cat("    {\n", four(0, 1, 2, 3, inverse), "    }\n");
    case 8: {
      // Two of four, whose results lie where their elements did.
      const std::string half = number_text(0.70710678118654752440), sign = inverse ? "" : "-";
      std::string out =
          cat("    {\n", four(0, 2, 4, 6, inverse), "    }\n    {\n", four(1, 3, 5, 7, inverse), "    }\n");
      out += cat("    {\n      const c64 w1 = times_c64(v[3], c64{", half, ", ", sign, half,
                 "}), w2 = ", turned("v[5]", inverse), ", w3 = times_c64(v[7], c64{-", half, ", ", sign, half,
                 "});\n      const c64 e0 = v[0], e1 = v[2], e2 = v[4], e3 = v[6], o0 = v[1];\n"
                 "      v[0] = e0 + o0;\n      v[1] = e1 + w1;\n      v[2] = e2 + w2;\n      v[3] = e3 + w3;\n"
                 "      v[4] = e0 - o0;\n      v[5] = e1 - w1;\n      v[6] = e2 - w2;\n      v[7] = e3 - w3;\n    }\n");
      return out;
    }
    case 16:
      return of_two(4, 4, inverse);
    case 12:
      return of_two(4, 3, inverse);
    default:
      for (int prime : {2, 3})
        if (radix % prime == 0 && radix > prime) return of_two(radix / prime, prime, inverse);
      return of_odd(radix, inverse);
  }
}

}  // namespace funcnn::gpu
