// Scales of quantised rows as float32. Everything has internal linkage: see table.h.
#pragma once

#include <algorithm>

#include "backends/cpu/fp8.h"
#include "backends/cpu/quantized.h"
#include "base/half.h"

namespace funcnn::cpu {
namespace {

// `count` of them from number `first` on, `step` apart.
FUNCNN_INLINE void read_scales(ScaleType type, const std::byte* from, int64_t first, int64_t count, float* to,
                               int64_t step = 1) {
  switch (type) {
    case ScaleType::f32: {
      const float* at = reinterpret_cast<const float*>(from) + first;
      for (int64_t i = 0; i < count; ++i) to[i] = at[i * step];
      return;
    }
    case ScaleType::f16: {
      const uint16_t* at = reinterpret_cast<const uint16_t*>(from) + first;
      for (int64_t i = 0; i < count; ++i) to[i] = float16_bits_to_float(at[i * step]);
      return;
    }
    case ScaleType::bf16: {
      const uint16_t* at = reinterpret_cast<const uint16_t*>(from) + first;
      for (int64_t i = 0; i < count; ++i) to[i] = bfloat16_bits_to_float(at[i * step]);
      return;
    }
    case ScaleType::e8m0: {
      const uint8_t* at = reinterpret_cast<const uint8_t*>(from) + first;
      for (int64_t i = 0; i < count; ++i) to[i] = e8m0_to_float(at[i * step]);
      return;
    }
    case ScaleType::e4m3: {
      const uint8_t* at = reinterpret_cast<const uint8_t*>(from) + first;
      for (int64_t i = 0; i < count; ++i) to[i] = e4m3_to_float(at[i * step]);
      return;
    }
  }
}

}  // namespace
}  // namespace funcnn::cpu
