#include "backends/gpu/quantized_text.h"

#include "backends/gpu/operand.h"
#include "base/error.h"

namespace funcnn::gpu {

// float8 of 4 exponent and 3 mantissa bits without infinities: to the nearest, ties to even; beyond the largest number,
// and of NaN, the largest. Below the normal numbers float addition rounds at the right bit, steps of 2^-9.
const std::string_view kE4m3 = R"text(FUNCTION u32 e4m3_code(f32 x) {
  const u32 all = bits<u32>(x), magnitude = all & 0x7fffffffu;
  const u32 normal = ((magnitude + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20) - (120u << 3);
  const u32 small = bits<u32>(bits<f32>(magnitude) + 16384.0f) - 0x46800000u;
  u32 code = magnitude < 0x3c800000u ? small : normal;
  if (magnitude >= 0x43e00000u) code = 126u;
  return code | ((all >> 24) & 0x80u);
}
FUNCTION f32 e4m3_value(u32 code) {
  const u32 magnitude = code & 0x7fu;
  const f32 value = 256.0f * to_float(bits<f16>(u16(magnitude << 7 | (code & 0x80u) << 8)));
  return magnitude == 0x7fu ? NAN : value;
}
)text";

namespace {

// The bits of float4 are those of float16 with a larger exponent, subnormal numbers too.
constexpr std::string_view kE2m1Value = R"text(FUNCTION f32 code_value(u32 code) {
  return 16384.0f * to_float(bits<f16>(u16((code & 7u) << 9 | (code & 8u) << 12)));
}
)text";

constexpr std::string_view kE8m0Value = R"text(FUNCTION f32 scale_value(u32 stored) {
  return stored == 255u ? NAN : stored == 0u ? bits<f32>(0x00400000u) : bits<f32>(stored << 23);
}
)text";

// To the nearest; ties and numbers between 0 and the first go towards zero, which has no sign. NaN gives zero.
constexpr std::string_view kE2m1Code = R"text(FUNCTION u32 value_code(f32 x) {
  const f32 a = x < 0.0f ? -x : x;
  const u32 code = u32(a > 0.25f) + u32(a > 0.75f) + u32(a > 1.25f) + u32(a > 1.75f) + u32(a > 2.5f) +
                   u32(a > 3.5f) + u32(a > 5.0f);
  return x < 0.0f && code ? code | 8u : code;
}
)text";

// The power of two at or above a scale, by its logarithm rounded to float, as MLX has it: just above a power of two
// the logarithm rounds to a whole number, the sooner the farther the exponent is from zero.
constexpr std::string_view kE8m0Code = R"text(FUNCTION u32 scale_code(f32 scale, f32) {
  const u32 all = bits<u32>(scale);
  u32 fraction = all & 0x7fffffu;
  i32 exponent = i32(all >> 23) - 127;
  if (all == 0u) return 127u;
  if (exponent == -127) {
    if (fraction < 0x400000u) return 0u;
    fraction = 2u * (fraction - 0x400000u);
  }
  f32 spacing = 0.0f;
  if (exponent != 0) {
    const u32 size = bits<u32>(f32(exponent < 0 ? -exponent : exponent));
    spacing = bits<f32>(size & 0xff800000u);
    if (exponent < 0 && (size & 0x7fffffu) == 0u) spacing *= 0.5f;
  }
  if (f32(fraction) > 0.34657359f * spacing) ++exponent;
  return u32(min(exponent, 127) + 127);
}
)text";

}  // namespace

std::string reading_text(const QuantFormat& format) {
  std::string out = cat("FUNCTION u32 code_at(DEVICE const u32* words, u32 i) {\n");
  switch (format.bits) {
    case 8:
      out += "  return words[i / 4u] >> (i % 4u * 8u) & 255u;\n";
      break;
    case 1:
    case 2:
    case 4: {
      int each = 32 / format.bits;
      out += cat("  return words[i / ", each, "u] >> (i % ", each, "u * ", format.bits, "u) & ", (1 << format.bits) - 1,
                 "u;\n");
      break;
    }
    default:
      out += cat("  const u32 bit = i * ", format.bits, "u, at = bit / 32u, shift = bit % 32u;\n",
                 "  u32 code = words[at] >> shift;\n  if (shift > ", 32 - format.bits,
                 "u) code |= words[at + 1u] << (32u - shift);\n  return code & ", (1 << format.bits) - 1, "u;\n");
  }
  out += "}\n";
  if (format.affine()) {
    // Conversions of integers are slow on some machines.
    out += "FUNCTION f32 code_value(u32 code) { return bits<f32>(code | 0x4b000000u) - 8388608.0f; }\n";
    return out;
  }
  if (format.mode != QuantMode::mxfp4) out += kE4m3;
  out +=
      format.mode == QuantMode::mxfp8 ? "FUNCTION f32 code_value(u32 code) { return e4m3_value(code); }\n" : kE2m1Value;
  out += format.mode == QuantMode::nvfp4 ? "FUNCTION f32 scale_value(u32 stored) { return e4m3_value(stored); }\n"
                                         : kE8m0Value;
  return out;
}

std::string run_text(const QuantFormat& format, int count, std::string_view unit) {
  const int unit_bits = unit == "u16" ? 16 : 32, units = count * format.bits / unit_bits;
  int pack = 1;
  while (pack * 2 * unit_bits <= 128 && units % (pack * 2) == 0) pack *= 2;
  std::string value = std::to_string((1 << format.bits) - 1);
  std::string out = filled_in(R"text(struct Codes { #{unit} u[#{units}]; };
FUNCTION Codes fetch_codes(DEVICE const #{unit}* from, bool wide) {
  Codes all;
  if (wide) {
    UNROLL for (u32 i = 0; i < #{units}; i += #{pack}) {
      const Pack<#{unit}, #{pack}> some = load_pack<#{pack}>(from + i);
      UNROLL for (u32 j = 0; j < #{pack}; ++j) all.u[i + j] = some.v[j];
    }
  } else {
    UNROLL for (u32 i = 0; i < #{units}; ++i) all.u[i] = from[i];
  }
  return all;
}
FUNCTION f32 run_value(Codes codes, u32 i) {
  const u32 bit = i * #{bits}u, at = bit / #{width}u, shift = bit % #{width}u;
)text",
                              {{"unit", unit},
                               {"units", std::to_string(units)},
                               {"pack", std::to_string(pack)},
                               {"bits", std::to_string(format.bits)},
                               {"width", std::to_string(unit_bits)}});
  if (unit_bits % format.bits == 0)
    out += cat("  return code_value(u32(codes.u[at]) >> shift & ", value, "u);\n}\n");
  else
    out += cat("  u32 code = u32(codes.u[at]) >> shift;\n  if (shift > ", unit_bits - format.bits,
               "u) code |= u32(codes.u[at + 1u]) << (", unit_bits, "u - shift);\n  return code_value(code & ", value,
               "u);\n}\n");
  return out;
}

std::string writing_text(const QuantFormat& format, Dtype dtype) {
  std::string out;
  if (is_half(dtype))
    out = cat("FUNCTION f32 rounded(f32 x) { return to_float(from_float<", type_name(dtype), ">(x)); }\n");
  else
    out = "FUNCTION f32 rounded(f32 x) { return x; }\n";
  if (format.affine()) return out;
  out += format.mode == QuantMode::mxfp8 ? "FUNCTION u32 value_code(f32 x) { return e4m3_code(x); }\n" : kE2m1Code;
  if (format.mode == QuantMode::nvfp4)
    out += "FUNCTION u32 scale_code(f32 scale, f32 factor) { return e4m3_code(scale * factor); }\n";
  else
    out += kE8m0Code;
  return out;
}

}  // namespace funcnn::gpu
