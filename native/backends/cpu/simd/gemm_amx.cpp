// Products of bfloat16 by tiles of AMX (amx_tiles.h). Four tiles of C, 32 x 32 elements, meet two of A and two of B at
// a time. Operands are packed in tiles with zeros beyond their ends, so all tiles are whole; C is taken out of them.
#include <algorithm>

#include "backends/cpu/amx.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/simd/amx_tiles.h"
#include "backends/cpu/simd/gemm_tile.h"
#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const GemmTable FUNCNN_OF_THIS_SET(gemm_table_);
extern const GemmOf<bfloat16_t> FUNCNN_OF_THIS_SET(gemm_amx_emulated_);

#if defined(FUNCNN_VECTORS)
extern const GemmOf<bfloat16_t> gemm_amx, gemm_bf16_pairs;

namespace {

using View = MatrixView<bfloat16_t>;
constexpr int64_t kSide = kAmxSide, kStep = kAmxStep;
constexpr int64_t kTile = 512;        // elements of bfloat16 in a tile; half as many of C
constexpr int64_t kPair = 2 * kTile;  // two tiles side by side

constexpr int64_t whole(int64_t length, int64_t unit) { return (length + unit - 1) / unit * unit; }

uint32_t pair(bfloat16_t low, bfloat16_t high) { return uint32_t(low.bits) | uint32_t(high.bits) << 16; }

// 16 words of each of `count` lines that are dense along K, `some` elements of which are there: row by row.
void take_rows(View from, int64_t count, int64_t some, uint32_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    const bfloat16_t* line = from.data + i * from.row;
    if (some == kStep)
      std::memcpy(out + i * 16, line, 64);
    else
      std::memcpy(out + i * 16, line, size_t(some) * 2);
  }
}
// Word p of line i at out[p * 16 + i], for lines that are dense along K.
void turn_rows(View from, int64_t count, int64_t some, uint32_t* out) {
  const int64_t words = some / 2;
  if (words) interleave<uint32_t>(from.data, from.row, count, words, out, 16);
  if (some % 2)
    for (int64_t i = 0; i < count; ++i) out[words * 16 + i] = from.at(i, some - 1).data->bits;
}
// The same for lines that lie beside each other, or anyhow.
void pair_rows(View from, int64_t count, int64_t some, uint32_t* out) {
  for (int64_t p = 0; p < some / 2; ++p) {
    const bfloat16_t *low = from.data + 2 * p * from.column, *high = low + from.column;
    uint32_t* to = out + p * 16;
    if (from.row == 1 && count == 16) {
      for (int i = 0; i < 16; ++i) to[i] = pair(low[i], high[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = pair(low[i * from.row], high[i * from.row]);
    }
  }
  if (some % 2)
    for (int64_t i = 0; i < count; ++i) out[some / 2 * 16 + i] = from.at(i, some - 1).data->bits;
}

// A tile of the left operand (`turned` is false: word p of line i at out[i * 16 + p]), or of the right one, whose lines
// are columns.
template <bool turned>
void pack_tile(View lines, int64_t count, int64_t some, uint32_t* out) {
  if (count < 16 || some < kStep) std::fill_n(out, 256, 0);
  if constexpr (turned) {
    if (lines.column == 1)
      turn_rows(lines, count, some, out);
    else
      pair_rows(lines, count, some, out);
  } else if (lines.column == 1) {
    take_rows(lines, count, some, out);
  } else {
    alignas(64) uint32_t words[256] = {};
    pair_rows(lines, count, some, words);
    interleave<float>(reinterpret_cast<const float*>(words), 16, 16, 16, reinterpret_cast<float*>(out), 16);
  }
}

// Both tiles of 32 lines that lie beside each other, which are whole lines of the cache, for a whole step. What the
// next step reads is asked for: it lies too far away for the processor to foresee.
void pair_panel(View from, uint32_t* out) {
  for (int64_t p = 0; p < 16; ++p, out += 16) {
    const bfloat16_t *low = from.data + 2 * p * from.column, *high = low + from.column;
    __builtin_prefetch(low + kStep * from.column);
    __builtin_prefetch(high + kStep * from.column);
    for (int i = 0; i < 16; ++i) out[i] = pair(low[i], high[i]);
    for (int i = 0; i < 16; ++i) out[kTile / 2 + i] = pair(low[16 + i], high[16 + i]);
  }
}

// `count` lines, 32 at a time: two tiles for each step of K. A second one without lines is left as it is.
template <bool turned>
void pack_lines(View lines, int64_t count, int64_t depth, bfloat16_t* out) {
  const int64_t steps = whole(depth, kStep) / kStep;
  // Few steps of all lines at a time where lines lie beside each other.
  const int64_t together = lines.column == 1 ? steps : 1;
  const bool panels = turned && lines.row == 1 && lines.column != 1;
  for (int64_t s0 = 0; s0 < steps; s0 += together)
    for (int64_t i = 0; i < count; i += 16) {
      const int64_t end = std::min(steps, s0 + together);
      for (int64_t s = s0; s < end; ++s) {
        bfloat16_t* to = out + (i / kSide * steps + s) * kPair + i % kSide * (kTile / 16);
        if (panels && i / kSide * kSide + kSide <= count && (s + 1) * kStep <= depth) {
          if (i % kSide == 0) pair_panel(lines.at(i, s * kStep), reinterpret_cast<uint32_t*>(to));
          continue;
        }
        pack_tile<turned>(lines.at(i, s * kStep), std::min<int64_t>(16, count - i), std::min(kStep, depth - s * kStep),
                          reinterpret_cast<uint32_t*>(to));
      }
    }
}
View columns_of(View b) { return {b.data, b.column, b.row}; }

int64_t panels_of(int64_t n) { return (n + kSide - 1) / kSide; }

size_t packed_bytes(int64_t n, int64_t k) {
  return size_t(panels_of(n) * kSide * whole(k, kStep)) * sizeof(bfloat16_t);
}

void pack(View b, int64_t n, int64_t k, int64_t first, int64_t end, std::byte* out) {
  const int64_t block = amx_depth(k);
  for (int64_t k0 = 0; k0 < k; k0 += block)
    pack_lines<true>(columns_of(b.at(k0, first * kSide)), std::min(end * kSide, n) - first * kSide,
                     std::min(block, k - k0),
                     reinterpret_cast<bfloat16_t*>(out) + amx_panel(panels_of(n), k, k0, first));
}

// Where two tiles of A are read, packed or where they lie: rows `apart` bytes from each other, the second tile behind
// `second` elements and the next step behind `next`.
struct Left {
  const bfloat16_t* data;
  int64_t apart, second, next;
};
Left packed_left(const bfloat16_t* data) { return {data, 64, kTile, kPair}; }

// Whether rows of A are read where they lie: whole lines of the cache that do not all fall on few of its places.
bool read_in_place(View a, int64_t depth) {
  const int64_t bytes = a.row * int64_t(sizeof(bfloat16_t));
  return a.column == 1 && depth % kStep == 0 && bytes % 64 == 0 && reinterpret_cast<uintptr_t>(a.data) % 64 == 0 &&
         (bytes <= kNearRows || !lines_collide(bytes));
}

// rows x columns tiles of C += `steps` tiles of A times as many of B, while `pending` goes on a little with each.
template <int rows, int columns, class Tiles, class P>
FUNCNN_INLINE void run_tiles(Tiles& tiles, int64_t steps, Left left, const bfloat16_t* b, const float* from, float* to,
                             P& pending) {
  const bfloat16_t* a = left.data;
  constexpr int64_t area = kTile / 2;
  if (from) {
    tiles.template load<0>(from);
    if constexpr (columns == 2) tiles.template load<1>(from + area);
    if constexpr (rows == 2) tiles.template load<2>(from + 2 * area);
    if constexpr (rows == 2 && columns == 2) tiles.template load<3>(from + 3 * area);
  } else {
    tiles.template zero<0>();
    if constexpr (columns == 2) tiles.template zero<1>();
    if constexpr (rows == 2) tiles.template zero<2>();
    if constexpr (rows == 2 && columns == 2) tiles.template zero<3>();
  }
  for (int64_t s = 0; s < steps; ++s, a += left.next, b += kPair) {
    tiles.template load<6>(b);
    tiles.template load<4>(a, left.apart);
    tiles.template multiply<0, 4, 6>();
    if constexpr (columns == 2) {
      tiles.template load<7>(b + kTile);
      tiles.template multiply<1, 4, 7>();
    }
    if constexpr (rows == 2) {
      tiles.template load<5>(a + left.second, left.apart);
      tiles.template multiply<2, 5, 6>();
    }
    if constexpr (rows == 2 && columns == 2) tiles.template multiply<3, 5, 7>();
    pending.go_on();
  }
  tiles.template store<0>(to);
  if constexpr (columns == 2) tiles.template store<1>(to + area);
  if constexpr (rows == 2) tiles.template store<2>(to + 2 * area);
  if constexpr (rows == 2 && columns == 2) tiles.template store<3>(to + 3 * area);
}
template <class Tiles, class P>
void run_square(Tiles& tiles, int64_t rows, int64_t columns, int64_t steps, Left a, const bfloat16_t* b,
                const float* from, float* to, P& pending) {
  pending.share(steps);
  auto run = [&]<int high, int wide>()
                 __attribute__((always_inline)) { run_tiles<high, wide>(tiles, steps, a, b, from, to, pending); };
  if (rows > 16)
    columns > 16 ? run.template operator()<2, 2>() : run.template operator()<2, 1>();
  else
    columns > 16 ? run.template operator()<1, 2>() : run.template operator()<1, 1>();
  pending.finish();
}

// What is there of four tiles, which goes to C while the next ones are computed, rounded once.
template <class Tiles, class C>
struct Pending {
  const float* sums = nullptr;
  int64_t row = 0, rows = 0, columns = 0;
  C* c = nullptr;
  int64_t leading = 0, each = 0;

  void share(int64_t steps) { each = (rows - row + steps - 1) / steps; }
  FUNCNN_INLINE void go_on() {
    for (const int64_t end = std::min(rows, row + each); row < end; ++row) take_out();
  }
  void finish() {
    for (; row < rows; ++row) take_out();
  }

 private:
  FUNCNN_INLINE void take_out() {
    [[maybe_unused]] constexpr int lanes = Simd<float>::lanes;
    const float* from = sums + row / 16 * kTile + row % 16 * 16;
    C* to = c + row * leading;
    for (int64_t j = 0; j < columns; j += 16, from += kTile / 2, to += 16) {
      if (columns - j < 16)
        for (int64_t q = 0; q < columns - j; ++q) to[q] = C(from[q]);
      else if constexpr (std::is_same_v<C, float>)
        for (int q = 0; q < 16; q += lanes)
          *reinterpret_cast<Simd<float>::Loose*>(to + q) = *reinterpret_cast<const Simd<float>::Vector*>(from + q);
      else
        Tiles::round(from, to);
    }
  }
};

// Blocks of C. `panels_at(k0, depth, j0, columns, first)`: panels of B from column j0 on for a block of K; `first`
// whether rows are the first ones.
template <class Tiles, class C, class F>
void multiply_blocks(int64_t m, int64_t n, int64_t k, View a, C* c, int64_t leading, std::byte* room, F&& panels_at) {
  Tiles tiles;
  const int64_t block = amx_depth(k);
  bfloat16_t* packed_a = reinterpret_cast<bfloat16_t*>(room);
  const int64_t most_rows = whole(std::min(m, kAmxRows), kSide), most_columns = whole(std::min(n, kAmxColumns), kSide);
  float* sums = reinterpret_cast<float*>(packed_a + most_rows * block);
  bfloat16_t* packed_b = reinterpret_cast<bfloat16_t*>(sums + (block < k ? most_rows * most_columns : 0));
  // Two in turn: one is taken out while the next is computed.
  alignas(64) float squares[2][4 * kTile / 2];
  int turn = 0;
  Pending<Tiles, C> pending;
  for (int64_t n0 = 0; n0 < n; n0 += kAmxColumns) {
    const int64_t columns = std::min(kAmxColumns, n - n0);
    for (int64_t m0 = 0; m0 < m; m0 += kAmxRows) {
      const int64_t rows = std::min(kAmxRows, m - m0);
      for (int64_t k0 = 0; k0 < k; k0 += block) {
        const int64_t depth = std::min(block, k - k0), steps = whole(depth, kStep) / kStep;
        const bool last = k0 + depth == k;
        const bfloat16_t* panels = panels_at(k0, depth, n0, columns, m0 == 0, packed_b);
        const View block_a = a.at(m0, k0);
        // A last tile of few rows is packed.
        const int64_t in_place = read_in_place(block_a, depth) ? rows / 16 * 16 : 0;
        const int64_t packed_from = in_place / kSide * kSide;
        if (packed_from < rows && in_place < rows)
          pack_lines<false>(block_a.at(packed_from, 0), rows - packed_from, depth, packed_a);
        float* partial = sums;
        for (int64_t j = 0; j < columns; j += kSide)
          for (int64_t i = 0; i < rows; i += kSide, partial += 4 * kTile / 2) {
            const int64_t high = std::min(kSide, rows - i), wide = std::min(kSide, columns - j);
            float* square = squares[turn ^= 1];
            const Left left = i + high <= in_place ? Left{block_a.at(i, 0).data, a.row * 2, 16 * a.row, kStep}
                                                   : packed_left(packed_a + (i - packed_from) * steps * kStep);
            run_square(tiles, high, wide, steps, left, panels + j * steps * kStep, k0 > 0 ? partial : nullptr,
                       last ? square : partial, pending);
            if (last) pending = {square, 0, high, wide, c + (m0 + i) * leading + n0 + j, leading};
          }
      }
    }
  }
  pending.finish();
}

template <class Tiles, class C>
void multiply_packed(int64_t m, int64_t n, int64_t k, View a, PackedMatrix b, C* c, int64_t leading, std::byte* room) {
  const bfloat16_t* words = reinterpret_cast<const bfloat16_t*>(b.words);
  multiply_blocks<Tiles>(m, n, k, a, c, leading, room,
                         [&](int64_t k0, int64_t, int64_t j0, int64_t, bool, bfloat16_t*) {
                           return words + amx_panel(panels_of(b.columns), k, k0, b.first + j0 / kSide);
                         });
}

// Few rows or columns are bound by reading the other operand, and small products by the way to the tiles and back.
bool worth_tiles(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t least_lines = 9, least_work = 32 * 32 * 64;
  return m >= least_lines && n >= least_lines && k >= kStep && m * n * k >= least_work;
}

// The same of a B that is packed on the way; `without` multiplies what is not worth it.
template <class Tiles, class C, class Without>
void multiply(int64_t m, int64_t n, int64_t k, View a, View b, C* c, int64_t leading, std::byte* room,
              Without&& without) {
  if (!worth_tiles(m, n, k)) return without(m, n, k, a, b, c, leading, room);
  const bool once = amx_depth(k) >= k;
  multiply_blocks<Tiles>(m, n, k, a, c, leading, room,
                         [&](int64_t k0, int64_t depth, int64_t j0, int64_t columns, bool first, bfloat16_t* packed) {
                           if (first || !once) pack_lines<true>(columns_of(b.at(k0, j0)), columns, depth, packed);
                           return packed;
                         });
}

template <class Tiles, class Without>
constexpr GemmOf<bfloat16_t> gemm_of_tiles() {
  GemmOf<bfloat16_t> out{
      {kSide, packed_bytes, pack, 0, nullptr, nullptr},
      {[](int64_t m, int64_t n, int64_t k, View a, View b, bfloat16_t* c, int64_t leading, std::byte* room) {
         multiply<Tiles>(m, n, k, a, b, c, leading, room, Without::get().rounded.multiply);
       },
       multiply_packed<Tiles, bfloat16_t>},
      {[](int64_t m, int64_t n, int64_t k, View a, View b, float* c, int64_t leading, std::byte* room) {
         multiply<Tiles>(m, n, k, a, b, c, leading, room, Without::get().wide.multiply);
       },
       multiply_packed<Tiles, float>}};
  out.packing.shares = amx_shares;
  return out;
}

// What multiplies the rest. Processors with AMX have pairs as well.
struct WithoutTiles {
  static const GemmOf<bfloat16_t>& get() {
#if defined(__AVX512F__)
    if (__builtin_cpu_supports("avx512bf16")) return gemm_bf16_pairs;
#endif
    return FUNCNN_OF_THIS_SET(gemm_table_).bf16;
  }
};

}  // namespace

const GemmOf<bfloat16_t> FUNCNN_OF_THIS_SET(gemm_amx_emulated_) = gemm_of_tiles<EmulatedTiles, WithoutTiles>();
#if defined(FUNCNN_AMX) && defined(__AVX512F__)
const GemmOf<bfloat16_t> gemm_amx = gemm_of_tiles<ProcessorTiles, WithoutTiles>();
#endif
#else
const GemmOf<bfloat16_t> FUNCNN_OF_THIS_SET(gemm_amx_emulated_) = {};
#endif

}  // namespace funcnn::cpu
