#include "backends/gpu/keys.h"

#include "backends/gpu/source.h"
#include "base/error.h"

namespace funcnn::gpu {

bool has_long_key(Dtype dtype) { return item_size(dtype) == 8; }

std::string key_text(Dtype dtype, bool ascending) {
  const std::string_view type = type_name(dtype), key = has_long_key(dtype) ? "u64" : "u32";
  const std::string_view turned = ascending ? "" : "~";
  auto of_float = [](std::string_view name, std::string_view real, std::string_view word, std::string_view top) {
    return cat("// The bits of a number as an unsigned one of the same order.\nFUNCTION ", word, " ", name, "(", real,
               " x) {\n  const ", word, " word = bits<", word, ">(x == 0 ? (", real, ")0 : x);\n  return word & ", top,
               " ? ~word : word | ", top, ";\n}\n");
  };
  std::string before, body;
  if (dtype == Dtype::complex64) {
    before = of_float("ordered", "f32", "u32", "0x80000000u");
    body = cat("  if (is_nan(x.re) || is_nan(x.im)) return ~(u64)0;\n  return ", turned,
               "((u64)ordered(x.re) << 32 | (u64)ordered(x.im));\n");
  } else if (dtype == Dtype::float64) {
    before = of_float("ordered", "f64", "u64", "0x8000000000000000ull");
    body = cat("  return is_nan(x) ? ~(u64)0 : ", turned, "ordered(x);\n");
  } else if (dtype == Dtype::float32 || is_half(dtype)) {
    before = of_float("ordered", "f32", "u32", "0x80000000u");
    body = cat("  const f32 value = load(x);\n  return is_nan(value) ? ~(u32)0 : ", turned, "ordered(value);\n");
  } else if (dtype == Dtype::int64) {
    body = cat("  return ", turned, "((u64)x ^ (u64)1 << 63);\n");
  } else if (dtype == Dtype::int32 || dtype == Dtype::int16 || dtype == Dtype::int8) {
    body = cat("  return ", turned, "((u32)(i32)x ^ 0x80000000u);\n");
  } else {
    body = cat("  return ", turned, "(", key, ")x;\n");
  }
  return cat(before, "FUNCTION ", key, " key_of(", type, " x) {\n", body, "}\n");
}

std::string raw_key_text(Dtype dtype) {
  const size_t bits = item_size(dtype) * 8;
  // Of a float of so many bits, of which the infinite one is `infinity`.
  auto of_float = [](std::string_view name, std::string_view word, size_t width, std::string_view infinity) {
    const std::string top = cat("((", word, ")1 << ", width - 1, ")"), all = cat("(", top, " - 1 + ", top, ")");
    return cat("FUNCTION ", word, " ", name, "(", word, " word) {\n  const ", word, " size = word & (", top,
               " - 1);\n  if (size > ", infinity, ") return ", all, ";\n  if (size == 0) return ", top,
               ";\n  return word & ", top, " ? word ^ ", all, " : word | ", top, ";\n}\n");
  };
  const std::string_view word = bits == 64 ? "u64" : "u32";
  switch (dtype) {
    case Dtype::float32:
      return of_float("raw_key", word, bits, "0x7f800000u");
    case Dtype::float16:
      return of_float("raw_key", word, bits, "0x7c00u");
    case Dtype::bfloat16:
      return of_float("raw_key", word, bits, "0x7f80u");
    case Dtype::float64:
      return of_float("raw_key", word, bits, "0x7ff0000000000000ull");
    case Dtype::complex64:
      return of_float("part_key", "u32", 32, "0x7f800000u") +
             "FUNCTION u64 raw_key(u64 word) {\n"
             "  const u32 re = part_key((u32)word), im = part_key((u32)(word >> 32));\n"
             "  return re == ~(u32)0 || im == ~(u32)0 ? ~(u64)0 : (u64)re << 32 | im;\n}\n";
    default: {
      const bool turned = is_integer(dtype) && !is_unsigned(dtype);
      return cat("FUNCTION ", word, " raw_key(", word, " word) { return word",
                 turned ? cat(" ^ (", word, ")1 << ", bits - 1) : std::string(), "; }\n");
    }
  }
}

}  // namespace funcnn::gpu
