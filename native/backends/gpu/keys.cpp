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

}  // namespace funcnn::gpu
