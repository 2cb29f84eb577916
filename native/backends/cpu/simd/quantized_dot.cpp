// Products with quantised matrices. Codes become numbers in registers; sums over a group are scaled once.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backends/cpu/quantized.h"
#include "backends/cpu/simd/gemm_tile.h"
#include "backends/cpu/simd/of_this_set.h"
#include "backends/cpu/simd/quantized_codes.h"
#include "backends/cpu/simd/quantized_scales.h"

namespace funcnn::cpu {
extern const QuantDotTable FUNCNN_OF_THIS_SET(quant_dot_table_);

#if defined(FUNCNN_VECTORS)
namespace {

// A chunk: as many runs of codes as a vector has lanes. Lane t has codes [t * codes, (t + 1) * codes) of it.
template <QuantCode code>
constexpr int64_t kChunk = int64_t(kLanes) * Packing<code>::codes;

int64_t chunk_of(QuantCode code) {
  int64_t out = 0;
  visit_code(code, [&]<QuantCode c>() { out = kChunk<c>; });
  return out;
}
int64_t chunks(int64_t columns, int64_t chunk) { return (columns + chunk - 1) / chunk; }

// The words of a chunk, word w of every lane's run in vector w. Beyond the end of the row they are zero.
template <QuantCode code>
FUNCNN_INLINE void load_words(const uint32_t* at, int64_t left, U32* out) {
  constexpr int words = Packing<code>::words;
  constexpr int64_t count = int64_t(kLanes) * words;
  alignas(64) uint32_t padded[count];
  if (left < count) {
    for (int64_t i = 0; i < count; ++i) padded[i] = i < left ? at[i] : 0;
    at = padded;
  }
  if constexpr (words == 1) {
    out[0] = load(at);
  } else {
    for (int w = 0; w < words; ++w)
      for (int t = 0; t < kLanes; ++t) out[w][t] = at[t * words + w];
  }
}

// Which of a chunk's groups each lane belongs to.
template <QuantCode code>
U32 lane_groups(int group) {
  U32 out{};
  for (int t = 0; t < kLanes; ++t) out[t] = uint32_t(t * Packing<code>::codes / group);
  return out;
}

constexpr int64_t kPadding = 64;  // floats behind the scales of a row that may be read

float sum_of(F32 v) {
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += v[i];
  return total;
}

// ---- few rows of x, x @ w.T

template <QuantCode code>
void lay_out(const float* x, int64_t columns, int group, float* out, float* sums) {
  constexpr int codes = Packing<code>::codes;
  constexpr int64_t chunk = kChunk<code>;
  for (int64_t c = 0; c < columns; c += chunk, out += chunk)
    for (int t = 0; t < kLanes; ++t)
      for (int j = 0; j < codes; ++j) {
        int64_t at = c + t * codes + j;
        out[j * kLanes + t] = at < columns ? x[at] : 0;
      }
  for (int64_t g = 0; g < columns / group; ++g) {
    float total = 0;
    for (int i = 0; i < group; ++i) total += x[g * group + i];
    sums[g] = total;
  }
}

// One element with each weight computed by itself, where the sums over groups left the range of numbers.
template <QuantCode code>
float carefully(const QuantMatrix& m, int64_t row, const float* x) {
  constexpr int codes = Packing<code>::codes;
  constexpr int64_t chunk = kChunk<code>;
  const uint32_t* words = m.words + row * (m.columns * Packing<code>::bits / 32);
  int64_t length = chunks(m.columns, chunk) * chunk;
  uint32_t nan = 0;
  for (int64_t i = 0; i < length; ++i) nan |= uint32_t(x[i] != x[i]);
  if (nan) return std::numeric_limits<float>::quiet_NaN();
  float total = 0;
  for (int64_t i = 0; i < m.columns; i += kLanes) {
    F32 v = in_order<code>(words, i);
    int64_t g = row * m.groups() + i / m.group;
    float scale = 0, bias = 0;
    read_scales(m.type, m.scales, g, 1, &scale);
    if (m.biases) read_scales(m.type, m.biases, g, 1, &bias);
    for (int l = 0; l < kLanes; ++l) {
      int64_t at = (i + l) % chunk;
      float at_x = x[(i + l) / chunk * chunk + at % codes * kLanes + at / codes];
      total = simd::fma(simd::fma(v[l], scale, bias), at_x, total);
    }
  }
  return total;
}

// Columns [row, row + R) of the result for `rows` of M rows of x. What there are fewer of is computed twice.
template <QuantCode code, int R, int M>
void few_rows_block(const QuantMatrix& m, const float* x, int64_t x_step, const float* sums, int rows, int64_t row,
                    int count_r, float* out, int64_t leading, float* room) {
  using P = Packing<code>;
  constexpr int64_t chunk = kChunk<code>, chunk_words = int64_t(kLanes) * P::words;
  int64_t words = m.columns * P::bits / 32, groups = m.groups(), count = chunks(m.columns, chunk);
  int64_t room_step = groups + kPadding, at_row[R];
  for (int r = 0; r < R; ++r) at_row[r] = row + std::min(r, count_r - 1);
  const float* at_x[M];
  for (int i = 0; i < M; ++i) at_x[i] = x + std::min(i, rows - 1) * x_step;
  for (int r = 0; r < R; ++r) read_scales(m.type, m.scales, at_row[r] * groups, groups, room + r * room_step);
  U32 spread = lane_groups<code>(m.group);
  int shift = std::countr_zero(unsigned(m.group));
  F32 total[R][M] = {};
  U32 nan[R] = {};
  auto step = [&](int64_t c, int64_t left) __attribute__((always_inline)) {
    U32 w[R][P::words];
    for (int r = 0; r < R; ++r) {
      load_words<code>(m.words + at_row[r] * words + c * chunk_words, left, w[r]);
      note_nan<code>(w[r][0], nan[r]);
    }
    F32 part[R][M] = {};
#pragma GCC unroll 32
    for (int j = 0; j < P::codes; ++j) {
      F32 v[M];
      for (int i = 0; i < M; ++i) v[i] = load(at_x[i] + c * chunk + j * kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        F32 q = finite_values<code>(extract<code>(w[r], j));
        for (int i = 0; i < M; ++i) part[r][i] = simd::fma(q, v[i], part[r][i]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      F32 s = permute(load(room + r * room_step + (c * chunk >> shift)), spread);
      for (int i = 0; i < M; ++i) total[r][i] = simd::fma(part[r][i], s, total[r][i]);
    }
  };
  int64_t whole = m.columns / chunk;
  for (int64_t c = 0; c < whole; ++c) step(c, chunk_words);
  if (whole < count) step(whole, words - whole * chunk_words);
  for (int r = 0; r < count_r; ++r)
    for (int i = 0; i < rows; ++i) out[i * leading + r] = sum_of(total[r][i]);
  if (m.biases) {
    for (int r = 0; r < count_r; ++r) {
      float* b = room + r * room_step;
      read_scales(m.type, m.biases, at_row[r] * groups, groups, b);
      for (int i = 0; i < rows; ++i) {
        F32 wide{};
        int64_t g = 0;
        for (; g + kLanes <= groups; g += kLanes) wide = simd::fma(load(b + g), load(sums + i * groups + g), wide);
        float sum = sum_of(wide);
        for (; g < groups; ++g) sum = simd::fma(b[g], sums[i * groups + g], sum);
        out[i * leading + r] += sum;
      }
    }
  }
  for (int r = 0; r < count_r; ++r)
    for (int i = 0; i < rows; ++i)
      if (!(std::fabs(out[i * leading + r]) <= 3.4e38f) || (code == QuantCode::e4m3 && any(nan[r])))
        out[i * leading + r] = carefully<code>(m, row + r, x + i * x_step);
}

template <QuantCode code, int M>
void few_rows_of(const QuantMatrix& m, const float* x, int64_t x_step, const float* sums, int rows, int64_t first,
                 int64_t end, float* out, int64_t leading) {
  // Rows of w that share the loads of x.
  constexpr int R = M <= 2 && Packing<code>::words == 1 ? 4 : 2;
  std::vector<float> room(size_t(R * (m.groups() + kPadding)), 0.0f);
  for (int64_t row = first; row < end; row += R)
    few_rows_block<code, R, M>(m, x, x_step, sums, rows, row, int(std::min<int64_t>(R, end - row)), out + (row - first),
                               leading, room.data());
}

int64_t few_length(QuantCode code, int64_t columns) {
  int64_t chunk = chunk_of(code);
  return chunks(columns, chunk) * chunk;
}
void few_lay_out(QuantCode code, const float* x, int64_t columns, int group, float* out, float* sums) {
  visit_code(code, [&]<QuantCode c>() { lay_out<c>(x, columns, group, out, sums); });
}
void few_rows(QuantCode code, const QuantMatrix& m, const float* x, const float* sums, int64_t rows, int64_t first,
              int64_t end, float* out, int64_t leading) {
  int64_t step = few_length(code, m.columns);
  visit_code(code, [&]<QuantCode c>() {
    auto run = rows == 1 ? few_rows_of<c, 1> : rows == 2 ? few_rows_of<c, 2> : few_rows_of<c, 4>;
    run(m, x, step, sums, int(rows), first, end, out, leading);
  });
}

// ---- few rows of x, x @ w: sums stay in cache while packed rows go by

int64_t few_columns_step(QuantCode code) { return std::max<int64_t>(chunk_of(code), 512); }
size_t few_columns_room(QuantCode code) {
  int64_t step = few_columns_step(code);
  return size_t(kFewRows * (step + step / chunk_of(code) * kLanes)) * sizeof(float) + 64;
}

template <QuantCode code, int M>
void few_columns_of(const QuantMatrix& m, const float* x, int rows, int64_t first, int64_t end, float* out,
                    int64_t leading, float* sum) {
  using P = Packing<code>;
  constexpr int64_t chunk = kChunk<code>, chunk_words = int64_t(kLanes) * P::words;
  constexpr int R = 4;  // rows of w at a time
  int64_t words = m.columns * P::bits / 32, groups = m.groups(), count = chunks(end - first, chunk);
  float* bias = sum + M * count * chunk;
  std::fill_n(sum, M * count * (chunk + kLanes), 0.0f);
  U32 spread = lane_groups<code>(m.group);
  int shift = std::countr_zero(unsigned(m.group));
  int64_t first_group = first / m.group, some = std::min(groups - first_group, count * chunk / 16 + 1);
  float scales[R][512 / 16 * 4 + kPadding] = {}, biases[R][512 / 16 * 4 + kPadding] = {};
  U32 nan{};
  for (int64_t k = 0; k < m.rows; k += R) {
    int64_t row[R];
    F32 v[R][M];
    for (int r = 0; r < R; ++r) {
      // Beyond the last row it is read again, times zero.
      row[r] = std::min(k + r, m.rows - 1);
      for (int i = 0; i < M; ++i)
        v[r][i] = simd::repeat(k + r < m.rows ? x[std::min(i, rows - 1) * m.rows + k + r] : 0.0f);
      read_scales(m.type, m.scales, row[r] * groups + first_group, some, scales[r]);
      if (m.biases) read_scales(m.type, m.biases, row[r] * groups + first_group, some, biases[r]);
    }
    for (int64_t c = 0; c < count; ++c) {
      int64_t at = first / chunk * chunk_words + c * chunk_words, left = words - at;
      U32 w[R][P::words];
      F32 s[R][M];
      for (int r = 0; r < R; ++r) {
        load_words<code>(m.words + row[r] * words + at, left, w[r]);
        note_nan<code>(w[r][0], nan);
        F32 scale = permute(load(scales[r] + (c * chunk >> shift)), spread);
        for (int i = 0; i < M; ++i) s[r][i] = scale * v[r][i];
      }
      if (m.biases) {
        for (int i = 0; i < M; ++i) {
          float* to = bias + (i * count + c) * kLanes;
          F32 total = load(to);
          for (int r = 0; r < R; ++r)
            total = simd::fma(permute(load(biases[r] + (c * chunk >> shift)), spread), v[r][i], total);
          store(to, total);
        }
      }
#pragma GCC unroll 32
      for (int j = 0; j < P::codes; ++j) {
        F32 q[R];
        for (int r = 0; r < R; ++r) q[r] = finite_values<code>(extract<code>(w[r], j));
        for (int i = 0; i < M; ++i) {
          float* to = sum + (i * count + c) * chunk + j * kLanes;
          F32 total = load(to);
          for (int r = 0; r < R; ++r) total = simd::fma(q[r], s[r][i], total);
          store(to, total);
        }
      }
    }
  }
  bool doubtful = code == QuantCode::e4m3 && any(nan);
  for (int i = 0; i < rows; ++i)
    for (int64_t n = first; n < end; ++n) {
      int64_t c = (n - first) / chunk, at = (n - first) % chunk, lane = at / P::codes;
      float total =
          sum[(i * count + c) * chunk + at % P::codes * kLanes + lane] + bias[(i * count + c) * kLanes + lane];
      if (!(std::fabs(total) <= 3.4e38f) || doubtful) {
        total = 0;
        for (int64_t r = 0; r < m.rows; ++r) {
          float scale = 0, added = 0, value = in_order<code>(m.words + r * words, n / kLanes * kLanes)[n % kLanes];
          read_scales(m.type, m.scales, r * groups + n / m.group, 1, &scale);
          if (m.biases) read_scales(m.type, m.biases, r * groups + n / m.group, 1, &added);
          total = simd::fma(simd::fma(value, scale, added), x[i * m.rows + r], total);
        }
      }
      out[i * leading + n - first] = total;
    }
}

void few_columns(QuantCode code, const QuantMatrix& m, const float* x, int64_t rows, int64_t first, int64_t end,
                 float* out, int64_t leading, std::byte* room) {
  float* sum = reinterpret_cast<float*>(room);
  visit_code(code, [&]<QuantCode c>() {
    auto run = rows == 1 ? few_columns_of<c, 1> : rows == 2 ? few_columns_of<c, 2> : few_columns_of<c, 4>;
    run(m, x, int(rows), first, end, out, leading, sum);
  });
}

// ---- many rows

constexpr int kPanel = Simd<float>::panel;

int64_t packed_length(int64_t rows, int64_t depth) { return Panels(rows).count * kRows * depth; }

void pack(const float* const* rows, int64_t count, int64_t depth, int64_t from, float* packed) {
  Panels panels(count);
  int64_t block = std::min(kQuantBlock, depth - from);
  float* out = packed + panels.count * kRows * from;
  alignas(64) float lines[kRows * kQuantBlock];
  for (int64_t p = 0, row = 0; p < panels.count; ++p) {
    int64_t n = panels.rows(p);
    for (int64_t i = 0; i < n; ++i) std::memcpy(lines + i * block, rows[row + i] + from, size_t(block) * sizeof(float));
    interleave<float, float>(lines, block, n, block, out, kRows);
    row += n;
    out += block * kRows;
  }
}

// Columns of the panel are rows [first, first + width) of w, its rows `depth` codes of each from `from` on.
template <QuantCode code>
void unpack_rows(const QuantMatrix& m, int64_t first, int64_t width, int64_t from, int64_t depth, float* room,
                 float* out) {
  using P = Packing<code>;
  int64_t row_words = m.columns * P::bits / 32, words = depth * P::bits / 32, groups = depth / m.group;
  float* turned = room;                      // words x lanes
  float* scales = turned + words * kLanes;   // groups x lanes
  float* biases = scales + groups * kLanes;  // groups x lanes
  float* line = biases + groups * kLanes;    // groups
  for (int v = 0; v < kVectors; ++v) {
    int64_t at = first + v * kLanes, lanes = std::clamp<int64_t>(first + width - at, 0, kLanes);
    if (lanes < kLanes) std::fill_n(turned, (words + 2 * groups) * kLanes, 0.0f);
    interleave<float, float>(reinterpret_cast<const float*>(m.words + at * row_words + from * P::bits / 32), row_words,
                             lanes, words, turned, kLanes);
    for (int64_t l = 0; l < lanes; ++l) {
      int64_t g = (at + l) * m.groups() + from / m.group;
      read_scales(m.type, m.scales, g, groups, line);
      for (int64_t i = 0; i < groups; ++i) scales[i * kLanes + l] = line[i];
      if (!m.biases) continue;
      read_scales(m.type, m.biases, g, groups, line);
      for (int64_t i = 0; i < groups; ++i) biases[i * kLanes + l] = line[i];
    }
    float* to = out + v * kLanes;
    for (int64_t t = 0; t < depth / P::codes; ++t) {
      int64_t g = t * P::codes / m.group;
      F32 scale = load(scales + g * kLanes), bias = load(biases + g * kLanes);
      U32 w[P::words];
      for (int i = 0; i < P::words; ++i) w[i] = U32(load(turned + (t * P::words + i) * kLanes));
      if (m.biases) {
#pragma GCC unroll 32
        for (int j = 0; j < P::codes; ++j, to += kPanel)
          store(to, simd::fma(values<code>(extract<code>(w, j)), scale, bias));
      } else {
#pragma GCC unroll 32
        for (int j = 0; j < P::codes; ++j, to += kPanel) store(to, values<code>(extract<code>(w, j)) * scale);
      }
    }
  }
}

// Columns of the panel are codes [first, first + width) of rows [from, from + depth) of w.
template <QuantCode code>
void unpack_columns(const QuantMatrix& m, int64_t first, int64_t width, int64_t from, int64_t depth, float* room,
                    float* out) {
  int64_t row_words = m.columns * Packing<code>::bits / 32;
  if (width < kPanel) std::fill_n(out, depth * kPanel, 0.0f);
  for (int64_t n = 0; n < width; n += kLanes) {
    // All of a vector is in one group.
    float *scales = room, *biases = room + depth;
    int64_t g = from * m.groups() + (first + n) / m.group;
    read_scales(m.type, m.scales, g, depth, scales, m.groups());
    const uint32_t* words = m.words + from * row_words;
    float* to = out + n;
    if (m.biases) {
      read_scales(m.type, m.biases, g, depth, biases, m.groups());
      for (int64_t k = 0; k < depth; ++k, words += row_words, to += kPanel)
        store(to, simd::fma(in_order<code>(words, first + n), simd::repeat(scales[k]), simd::repeat(biases[k])));
    } else {
      for (int64_t k = 0; k < depth; ++k, words += row_words, to += kPanel)
        store(to, in_order<code>(words, first + n) * simd::repeat(scales[k]));
    }
  }
}

size_t tiles_room(QuantCode, int64_t depth) {
  int64_t block = std::min(kQuantBlock, depth);
  // A panel, the words of one, scales, biases and a line of them.
  return size_t(block * kPanel + block * kLanes + 2 * (block / 16 + 1) * kLanes + block / 16 + 64) * sizeof(float) + 64;
}

void tiles(QuantCode code, const QuantMatrix& m, bool transpose, const float* packed, int64_t rows, int64_t first,
           int64_t end, float* out, int64_t leading, std::byte* room) {
  int64_t depth = transpose ? m.columns : m.rows;
  float* panel = reinterpret_cast<float*>(room);
  float* rest = panel + std::min(kQuantBlock, depth) * kPanel;
  Panels panels(rows);
  for (int64_t from = 0; from < depth; from += kQuantBlock) {
    int64_t block = std::min(kQuantBlock, depth - from);
    for (int64_t n = first; n < end; n += kPanel) {
      int64_t width = std::min<int64_t>(kPanel, end - n);
      visit_code(code, [&]<QuantCode c>() {
        if (transpose)
          unpack_rows<c>(m, n, width, from, block, rest, panel);
        else
          unpack_columns<c>(m, n, width, from, block, rest, panel);
      });
      const float* a = packed + panels.count * kRows * from;
      for (int64_t p = 0, row = 0; p < panels.count; ++p, a += block * kRows) {
        int64_t count = panels.rows(p);
        Soon soon;
        pick_tile<TileKernel<float>, kVectors>(count)(block, {a, 1, kRows}, panel, kPanel,
                                                      out + row * leading + (n - first), leading, from > 0, kLanes,
                                                      kLanes, soon);
        row += count;
      }
    }
  }
}

}  // namespace

const QuantDotTable FUNCNN_OF_THIS_SET(quant_dot_table_) = {
    few_length,  few_lay_out,   few_rows, few_columns_step, few_columns_room,
    few_columns, packed_length, pack,     tiles_room,       tiles};
#else
const QuantDotTable FUNCNN_OF_THIS_SET(quant_dot_table_) = {};
#endif

}  // namespace funcnn::cpu
