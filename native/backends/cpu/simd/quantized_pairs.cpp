// Quantised rows as pairs of bfloat16 in the order of tiles of AMX.
#include <algorithm>

#include "backends/cpu/amx.h"
#include "backends/cpu/quantized_tiles.h"
#include "backends/cpu/simd/gemm_tile.h"
#include "backends/cpu/simd/of_this_set.h"
#include "backends/cpu/simd/quantized_codes.h"
#include "backends/cpu/simd/quantized_scales.h"

namespace funcnn::cpu {
extern const QuantPairs FUNCNN_OF_THIS_SET(quant_pairs_);

#if defined(FUNCNN_VECTORS)
namespace {

// As bfloat16, in the high half.
FUNCNN_INLINE U32 rounded_bits(F32 x) {
  const U32 bits = U32(x), nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
  const U32 nan = U32((bits & 0x7fffffffu) > 0x7f800000u);
  return (nan & (bits | 0x400000u)) | (~nan & nearest);
}

template <QuantCode code>
void panel_of(const QuantMatrix& m, int64_t first, int64_t width, int64_t from, int64_t depth, float* room,
              uint32_t* out) {
  using P = Packing<code>;
  constexpr int64_t tile = 256, square = 2 * tile;
  const int64_t row_words = m.columns * P::bits / 32, words = depth * P::bits / 32;
  const int64_t first_group = from / m.group, groups = (from + depth - 1) / m.group - first_group + 1;
  if (depth % kAmxStep) std::fill_n(out + depth / kAmxStep * square, square, 0);
  float* turned = room;                      // words x lanes
  float* scales = turned + words * kLanes;   // groups x lanes
  float* biases = scales + groups * kLanes;  // groups x lanes
  float* line = biases + groups * kLanes;    // groups
  for (int64_t column = 0; column < kAmxSide; column += kLanes) {
    const int64_t at = first + column, lanes = std::clamp<int64_t>(first + width - at, 0, kLanes);
    if (lanes < kLanes) std::fill_n(turned, (words + 2 * groups) * kLanes, 0.0f);
    interleave<float, float>(reinterpret_cast<const float*>(m.words + at * row_words + from * P::bits / 32), row_words,
                             lanes, words, turned, kLanes);
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t g = (at + l) * m.groups() + first_group;
      read_scales(m.type, m.scales, g, groups, line);
      for (int64_t i = 0; i < groups; ++i) scales[i * kLanes + l] = line[i];
      if (!m.biases) continue;
      read_scales(m.type, m.biases, g, groups, line);
      for (int64_t i = 0; i < groups; ++i) biases[i * kLanes + l] = line[i];
    }
    uint32_t* to = out + column / 16 * tile + column % 16;
    for (int64_t t = 0; t < depth / P::codes; ++t) {
      const int64_t k = t * P::codes, g = (from + k) / m.group - first_group;
      const F32 scale = load(scales + g * kLanes), bias = m.biases ? load(biases + g * kLanes) : F32{};
      U32 w[P::words];
      for (int i = 0; i < P::words; ++i) w[i] = U32(load(turned + (t * P::words + i) * kLanes));
      auto number = [&](int j) __attribute__((always_inline)) {
        const F32 x = values<code>(extract<code>(w, j));
        return rounded_bits(m.biases ? simd::fma(x, scale, bias) : x * scale);
      };
#pragma GCC unroll 16
      for (int j = 0; j < P::codes; j += 2) {
        const int64_t pair = (k + j) / 2;
        const U32 both = (number(j) >> 16) | (number(j + 1) & 0xffff0000u);
        *reinterpret_cast<LooseU32*>(to + pair / 16 * square + pair % 16 * 16) = both;
      }
    }
  }
}

void panel(QuantCode code, const QuantMatrix& m, int64_t first, int64_t width, int64_t from, int64_t depth,
           std::byte* room, bfloat16_t* out) {
  visit_code(code, [&]<QuantCode c>() {
    panel_of<c>(m, first, width, from, depth, reinterpret_cast<float*>(room), reinterpret_cast<uint32_t*>(out));
  });
}

size_t room(int64_t depth) { return size_t(depth * kLanes + (2 * kLanes + 1) * (depth / 16 + 2)) * sizeof(float) + 64; }

}  // namespace

const QuantPairs FUNCNN_OF_THIS_SET(quant_pairs_) = {room, panel};
#else
const QuantPairs FUNCNN_OF_THIS_SET(quant_pairs_) = {};
#endif

}  // namespace funcnn::cpu
