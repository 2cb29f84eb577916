// A product on one thread: blocks of operands that stay in cache go through the tile kernel, packed or where they lie.
// Products of few rows or columns have ways of their own (gemm_thin.h).
// How a product multiplies is given by its steps:
//   Source, Word, Sum       types of the operands, of a packed panel and of what is accumulated
//   group                   elements along K in a word
//   dot_step                elements along K that dots take at a time
//   direct_b                whether B can be read where it lies
//   pack_a, pack_b_panel    as in gemm_tile.h
//   in_place(a, k)          where to read words of A without packing it, if that can be
//   tile<vectors, rows>     as in gemm_tile.h
//   dots<rows, columns>     rows x columns of A B where the rows of A and the columns of B are dense
#pragma once

#include <optional>

#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/simd/gemm_thin.h"

#if defined(FUNCNN_VECTORS)
namespace funcnn::cpu {
namespace {

constexpr int64_t kPanelsAtOnce = 4;

// How many rows of A at a time are better read where they lie than packed, for so many columns of B: packing costs as
// much as some of them. 0: none.
inline int64_t rows_in_place(int64_t rows, int64_t columns, int64_t k, int64_t row_bytes, int64_t column_bytes,
                             int64_t item) {
  constexpr int64_t kFew = 160, kColliding = 8;
  if (column_bytes == item && item >= 4 && rows_lie_near(row_bytes)) return kRows;
  if (rows > kRows && columns > kFew) return 0;
  if (column_bytes == item) {
    if (k <= 64 / item || !lines_collide(row_bytes)) return kRows;
    // As many as there are places in the cache for lines that collide.
    return columns <= kFew ? std::min<int64_t>(kRows, kColliding) : 0;
  }
  return row_bytes == item && column_bytes <= 1024 ? kRows : 0;
}

// Rows of a block of A: as even as they come, of whole tiles.
template <class Word>
int64_t block_rows(int64_t m) {
  constexpr int64_t most = kBlockM * 4 / int64_t(sizeof(Word));
  int64_t blocks = (m + most - 1) / most;
  return ((m + blocks - 1) / blocks + kRows - 1) / kRows * kRows;
}

// Where the words of a packed matrix lie: block by block of K, panel by panel, line by line.
template <class Steps>
struct PackedPlaces {
  static constexpr int64_t panel = Simd<typename Steps::Sum>::panel;
  int64_t panels, k;
  PackedPlaces(int64_t n, int64_t k) : panels((n + panel - 1) / panel), k(k) {}
  static int64_t words(int64_t depth) { return (depth + Steps::group - 1) / Steps::group; }
  int64_t total() const { return words(k) * panels * panel; }
  int64_t at(int64_t k0, int64_t j) const {
    return k0 / Steps::group * panels * panel + j * words(std::min(kBlockK * Steps::group, k - k0)) * panel;
  }
};

// Panels of a block of K, one after the other at `out`.
template <class Steps>
void pack_panels(MatrixView<typename Steps::Source> b, int64_t columns, int64_t depth, typename Steps::Word* out) {
  constexpr int64_t panel = PackedPlaces<Steps>::panel;
  // Lines of B go by together: a few of each panel at a time.
  int64_t step = b.column == 1 ? 8 * Steps::group : depth, words = PackedPlaces<Steps>::words(depth);
  for (int64_t t = 0; t < depth; t += step)
    for (int64_t j = 0; j < columns; j += panel)
      Steps::pack_b_panel(b.at(t, j), std::min(step, depth - t), std::min(panel, columns - j),
                          out + j * words + t / Steps::group * panel);
}

template <class Steps>
void pack_columns(MatrixView<typename Steps::Source> b, int64_t n, int64_t k, int64_t first, int64_t end,
                  std::byte* out) {
  PackedPlaces<Steps> places(n, k);
  constexpr int64_t panel = places.panel;
  for (int64_t k0 = 0; k0 < k; k0 += kBlockK * Steps::group) {
    int64_t depth = std::min(kBlockK * Steps::group, k - k0);
    pack_panels<Steps>(b.at(k0, first * panel), std::min(end * panel, n) - first * panel, depth,
                       reinterpret_cast<typename Steps::Word*>(out) + places.at(k0, first));
  }
}

// Where a panel of B is read: packed, with whole vectors of which all may be read, or where it lies.
template <class Word>
struct PanelPlace {
  const Word* words;
  int64_t step;
  bool packed;
};

// Lines of memory that are read after some panels: so many pieces of them, `apart` bytes from each other.
struct Next {
  const std::byte* at = nullptr;
  int64_t apart = 0, lines = 0, pieces = 0;
};
// A part of a matrix, if it is dense along its rows or columns.
template <class S>
Next next_part(MatrixView<S> x, int64_t rows, int64_t columns) {
  constexpr int64_t item = sizeof(S);
  const auto* at = reinterpret_cast<const std::byte*>(x.data);
  if (x.column == 1) return {at, x.row * item, (columns * item + 63) / 64, rows};
  if (x.row == 1) return {at, x.column * item, (rows * item + 63) / 64, columns};
  return {};
}

// A block of rows times panels of B. `in_place`: how many rows of A are read at a time where they lie; 0: they are
// packed. `panel_at(j)`: the panel from column j on. `next_after(j)`: what is read when the columns up to j are done.
template <class Steps, class F, class N>
void multiply_block(int64_t rows, int64_t columns, int64_t words, TileRows<typename Steps::Word> a, int64_t in_place,
                    F&& panel_at, N&& next_after, typename Steps::Sum* c, int64_t leading, bool add) {
  using Word = typename Steps::Word;
  using Sum = typename Steps::Sum;
  constexpr int lanes = Simd<Sum>::lanes, panel = Simd<Sum>::panel;
  Panels panels(rows, in_place ? in_place : kRows);
  // A panel of A meets a few of B, so that rows of C are written in long pieces.
  for (int64_t j0 = 0; j0 < columns; j0 += kPanelsAtOnce * panel) {
    int64_t end = std::min(columns, j0 + kPanelsAtOnce * panel);
    PanelPlace<Word> at[kPanelsAtOnce];
    for (int64_t j = j0; j < end; j += panel) at[(j - j0) / panel] = panel_at(j);
    // Where A is packed, the next panels of B, which do not stay in the second-level cache from block to block.
    Soon soon;
    const int64_t meets = panels.count * ((end - j0 + panel - 1) / panel);
    const Next next = next_after(end);
    if (next.at) {
      soon.a = next.at;
      soon.apart = next.apart;
      soon.lines = next.lines;
      soon.most = next.pieces * next.lines / meets + 1;
    } else if (!in_place && end < columns && at[0].packed) {
      const int64_t bytes = std::min(columns - end, kPanelsAtOnce * panel) * words * int64_t(sizeof(Word));
      soon.a = reinterpret_cast<const std::byte*>(at[0].words + (end - j0) * words);
      soon.lines = INT64_MAX;
      soon.most = bytes / (64 * meets) + 1;
    }
    for (int64_t p = 0, row = 0; p < panels.count; row += panels.rows(p), ++p) {
      int64_t count = panels.rows(p);
      TileRows<Word> left = in_place ? TileRows<Word>{a.data + row * a.row, a.row, a.column}
                                     : TileRows<Word>{a.data + p * words * kRows, 1, kRows};
      // Rows of A that are not packed, a part with each panel of B. Long ones the processor foresees by itself.
      constexpr int64_t kShort = 1024;
      if (in_place && !next.at) soon = {};
      if (in_place && !next.at && a.column == 1 && words * int64_t(sizeof(Word)) <= kShort && p + 1 < panels.count) {
        soon.a = reinterpret_cast<const std::byte*>(left.data + count * a.row);
        soon.apart = a.row * int64_t(sizeof(Word));
        soon.lines = (words * int64_t(sizeof(Word)) + 63) / 64;
        soon.most = (panels.rows(p + 1) * soon.lines * panel + end - j0 - 1) / (end - j0);
      }
      for (int64_t j = j0; j < end; j += panel) {
        int64_t width = std::min<int64_t>(panel, columns - j);
        const PanelPlace<Word>& from = at[(j - j0) / panel];
        auto run = width <= lanes ? pick_tile<Steps, 1>(count) : pick_tile<Steps, kVectors>(count);
        int last = int(width <= lanes ? width : width - lanes * (kVectors - 1));
        Sum* out = c + row * leading + j;
        const Sum* sums = j + panel < end        ? out + panel
                          : p + 1 < panels.count ? c + (row + count) * leading + j0
                                                 : c + std::min(end, columns - 1);
        soon.c = reinterpret_cast<const std::byte*>(sums);
        if (kMasks || width == panel) {
          run(words, left, from.words, from.step, out, leading, add, last, from.packed ? lanes : last, soon);
        } else {
          alignas(64) Sum edge[kRows * panel];
          run(words, left, from.words, from.step, edge, panel, false, lanes, lanes, soon);
          for (int64_t i = 0; i < count; ++i)
            for (int64_t q = 0; q < width; ++q)
              out[i * leading + q] = add ? out[i * leading + q] + edge[i * panel + q] : edge[i * panel + q];
        }
      }
    }
  }
}

// Columns of a block of K packed, panel by panel, while kRows rows of the product are computed, which read B where it
// lies.
template <class Steps>
void pack_panels_multiplying(TileRows<typename Steps::Word> a, MatrixView<typename Steps::Source> b, int64_t columns,
                             int64_t depth, typename Steps::Word* out, typename Steps::Sum* c, int64_t leading,
                             bool add) {
  using Word = typename Steps::Word;
  constexpr int64_t panel = PackedPlaces<Steps>::panel, lanes = Simd<typename Steps::Sum>::lanes;
  for (int64_t j = 0; j < columns; j += panel) {
    const int64_t width = std::min(panel, columns - j);
    const Word* from = b.at(0, j).data;
    Word* to = out + j * depth;
    if (kMasks || width == panel) {
      if (width <= lanes)
        Steps::template packing_tile<1>(depth, a, from, b.row, c + j, leading, add, int(width), to);
      else
        Steps::template packing_tile<kVectors>(depth, a, from, b.row, c + j, leading, add,
                                               int(width - lanes * (kVectors - 1)), to);
    } else {
      Steps::pack_b_panel(b.at(0, j), depth, width, to);
      multiply_block<Steps>(
          kRows, width, depth, a, kRows, [&](int64_t) { return PanelPlace<Word>{to, panel, true}; },
          [](int64_t) { return Next(); }, c + j, leading, add);
    }
  }
}

// Panels from `first` on in this way.
template <class Steps>
void pack_columns_multiplying(MatrixView<typename Steps::Source> a, MatrixView<typename Steps::Source> b, int64_t n,
                              int64_t k, int64_t first, int64_t end, std::byte* out, typename Steps::Sum* c,
                              int64_t leading) {
  using Word = typename Steps::Word;
  PackedPlaces<Steps> places(n, k);
  constexpr int64_t panel = places.panel;
  alignas(64) Word rows[kRows * kBlockK];
  for (int64_t k0 = 0; k0 < k; k0 += kBlockK) {
    const int64_t depth = std::min(kBlockK, k - k0);
    TileRows<Word> left{a.at(0, k0).data, a.row, a.column};
    if (a.column != 1) {
      Steps::pack_a(a.at(0, k0), kRows, depth, rows);
      left = {rows, 1, kRows};
    }
    pack_panels_multiplying<Steps>(left, b.at(k0, first * panel), std::min(n, end * panel) - first * panel, depth,
                                   reinterpret_cast<Word*>(out) + places.at(k0, first), c + first * panel, leading,
                                   k0 > 0);
  }
}

// Rows of A from row m0 on and K from k0 on, in place or packed into `room`.
template <class Steps>
class LeftBlocks {
 public:
  using Word = typename Steps::Word;
  using View = MatrixView<typename Steps::Source>;
  LeftBlocks(View a, int64_t m, int64_t n, int64_t k, Word* room) : a_(a), room_(room) {
    constexpr int64_t item = sizeof(typename Steps::Source);
    rows_ = rows_in_place(m, n, k, a.row * item, a.column * item, item);
    if (rows_) in_place_ = Steps::in_place(a, k);
    if (!in_place_) rows_ = 0;
  }
  int64_t in_place() const { return rows_; }
  TileRows<Word> get(int64_t m0, int64_t rows, int64_t k0, int64_t depth) const {
    if (in_place_) {
      const TileRows<Word>& a = *in_place_;
      return {a.data + m0 * a.row + k0 / Steps::group * a.column, a.row, a.column};
    }
    Steps::pack_a(a_.at(m0, k0), rows, depth, room_);
    return {room_, 1, kRows};
  }

 private:
  View a_;
  Word* room_;
  int64_t rows_;
  std::optional<TileRows<Word>> in_place_;
};

template <class T>
T* aligned(T* at) {
  return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(at) + 63) & ~uintptr_t(63));
}

// Whether the product was one of small matrices, of which batches have many, and is done: a panel of B and rows of A
// that are read where they lie.
template <class Steps>
bool multiply_small(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                    MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading) {
  if constexpr (Steps::direct_b) {
    // For more it pays to ask for what comes next.
    constexpr int64_t item = sizeof(typename Steps::Source), kFewTerms = 8 << 10;
    constexpr int lanes = Simd<typename Steps::Sum>::lanes, panel = Simd<typename Steps::Sum>::panel;
    if (n > panel || k > kBlockK || m * n * k > kFewTerms || b.column != 1 || (!kMasks && n < panel)) return false;
    if (rows_in_place(m, n, k, a.row * item, a.column * item, item) != kRows) return false;
    const int last = int(n <= lanes ? n : n - lanes * (kVectors - 1));
    Soon soon;
    const Panels panels(m);
    for (int64_t p = 0, row = 0; p < panels.count; row += panels.rows(p), ++p) {
      auto run = n <= lanes ? pick_tile<Steps, 1>(panels.rows(p)) : pick_tile<Steps, kVectors>(panels.rows(p));
      run(k, {a.data + row * a.row, a.row, a.column}, b.data, b.row, c + row * leading, leading, false, last, last,
          soon);
    }
    return true;
  }
  return false;
}

// The product into C of the type that is accumulated in, by tiles.
template <class Steps>
void multiply_tiles(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                    MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading, std::byte* room) {
  using Word = typename Steps::Word;
  constexpr int panel = Simd<typename Steps::Sum>::panel, group = Steps::group;
  if (multiply_small<Steps>(m, n, k, a, b, c, leading)) return;
  const int64_t block = block_rows<Word>(m);
  Word* packed_a = reinterpret_cast<Word*>(room);
  Word* packed_b = aligned(packed_a + (block + kRows) * std::min(PackedPlaces<Steps>::words(k), kBlockK));
  LeftBlocks<Steps> left(a, m, n, k, packed_a);
  // B in its own rows is read where it lies unless it is gone over often and does not stay in cache.
  constexpr int64_t item = sizeof(typename Steps::Source), kSmall = 64 << 10;
  bool direct = Steps::direct_b && b.column == 1 && (m <= 4 * kRows || k * b.row * item <= kSmall);
  // Where nothing is packed, all of K goes by for a few rows before the next ones.
  const bool by_rows = direct && left.in_place() && k > kBlockK * group && (kMasks || n % panel == 0);
  for (int64_t n0 = 0; n0 < n; n0 += kBlockN) {
    int64_t columns = std::min(kBlockN, n - n0);
    auto part = [&](int64_t m0, int64_t rows, int64_t k0) {
      int64_t depth = std::min(kBlockK * group, k - k0), words = PackedPlaces<Steps>::words(depth);
      auto panel_at = [&](int64_t j) -> PanelPlace<Word> {
        int64_t width = std::min<int64_t>(panel, columns - j);
        if (direct && (kMasks || width == panel))
          return {reinterpret_cast<const Word*>(b.at(k0, n0 + j).data), b.row, false};
        // Either no panel before this one is packed, or all are.
        if (m0 == 0 && (direct || j % (kPanelsAtOnce * panel) == 0))
          pack_panels<Steps>(b.at(k0, n0 + j), std::min(kPanelsAtOnce * panel, columns - j), depth,
                             packed_b + j * words);
        return {packed_b + j * words, panel, true};
      };
      // What is packed next: panels beside these, or the first of the next block of K.
      auto next_after = [&](int64_t j) -> Next {
        const bool below = j >= columns;
        const int64_t t = below ? k0 + depth : k0, first = below ? 0 : j;
        if (direct || t >= k || (below ? m0 + rows < m : m0 > 0)) return {};
        const int64_t wide = std::min(kPanelsAtOnce * panel, columns - first), deep = std::min(kBlockK * group, k - t);
        return next_part(b.at(t, n0 + first), deep, wide);
      };
      multiply_block<Steps>(rows, columns, words, left.get(m0, rows, k0, depth), left.in_place(), panel_at, next_after,
                            c + m0 * leading + n0, leading, k0 > 0);
    };
    if (by_rows) {
      const int64_t step = 4 * left.in_place();
      for (int64_t m0 = 0; m0 < m; m0 += step)
        for (int64_t k0 = 0; k0 < k; k0 += kBlockK * group) part(m0, std::min(step, m - m0), k0);
    } else {
      for (int64_t k0 = 0; k0 < k; k0 += kBlockK * group)
        for (int64_t m0 = 0; m0 < m; m0 += block) part(m0, std::min(block, m - m0), k0);
    }
  }
}

// The same by the way that suits its shape.
template <class Steps>
void multiply(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
              MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading, std::byte* room) {
  if (!multiply_thin<Steps>(m, n, k, a, b, c, leading, room)) multiply_tiles<Steps>(m, n, k, a, b, c, leading, room);
}

// By tiles with all of B packed before: columns from panel `first` on.
template <class Steps>
void multiply_packed(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a, PackedMatrix b,
                     typename Steps::Sum* c, int64_t leading, std::byte* room) {
  using Word = typename Steps::Word;
  constexpr int64_t panel = Simd<typename Steps::Sum>::panel, group = Steps::group;
  const int64_t block = block_rows<Word>(m);
  PackedPlaces<Steps> places(b.columns, k);
  LeftBlocks<Steps> left(a, m, n, k, reinterpret_cast<Word*>(room));
  const Word* packed = reinterpret_cast<const Word*>(b.words);
  for (int64_t k0 = 0; k0 < k; k0 += kBlockK * group) {
    int64_t depth = std::min(kBlockK * group, k - k0), words = places.words(depth);
    for (int64_t m0 = 0; m0 < m; m0 += block) {
      int64_t rows = std::min(block, m - m0);
      auto panel_at = [&](int64_t j) -> PanelPlace<Word> {
        return {packed + places.at(k0, b.first + j / panel), panel, true};
      };
      multiply_block<Steps>(
          rows, n, words, left.get(m0, rows, k0, depth), left.in_place(), panel_at, [](int64_t) { return Next(); },
          c + m0 * leading, leading, k0 > 0);
    }
  }
}

// Some rows while all of B is packed for those that come later: a few panels at a time, which are in cache when the
// rows meet them, while the next ones are asked for.
template <class Steps>
void multiply_packing(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                      MatrixView<typename Steps::Source> b, std::byte* out, typename Steps::Sum* c, int64_t leading,
                      std::byte* room) {
  using Word = typename Steps::Word;
  constexpr int64_t panel = Simd<typename Steps::Sum>::panel, most = kBlockK * Steps::group;
  constexpr int64_t wide = kPanelsAtOnce * panel;
  const int64_t block = std::min(m, block_rows<Word>(m));
  // The first rows read B where it lies, if that can be.
  const int64_t ahead = Steps::direct_b && b.column == 1 && block >= kRows ? kRows : 0;
  PackedPlaces<Steps> places(n, k);
  Word* const rows = reinterpret_cast<Word*>(room);
  LeftBlocks<Steps> first(a, ahead, n, k, rows);
  LeftBlocks<Steps> left(a.at(ahead, 0), block - ahead, n, k, rows + ahead * std::min(k, kBlockK));
  for (int64_t k0 = 0; k0 < k; k0 += most) {
    const int64_t depth = std::min(most, k - k0), words = places.words(depth);
    const auto left_of = ahead < block ? left.get(0, block - ahead, k0, depth) : TileRows<Word>();
    const auto first_of = ahead ? first.get(0, ahead, k0, depth) : TileRows<Word>();
    for (int64_t j = 0; j < n; j += wide) {
      const int64_t columns = std::min(wide, n - j);
      Word* const to = reinterpret_cast<Word*>(out) + places.at(k0, j / panel);
      if constexpr (Steps::direct_b) {
        if (ahead) pack_panels_multiplying<Steps>(first_of, b.at(k0, j), columns, depth, to, c + j, leading, k0 > 0);
      }
      if (!ahead) pack_panels<Steps>(b.at(k0, j), columns, depth, to);
      auto panel_at = [&](int64_t i) -> PanelPlace<Word> { return {to + i * words, panel, true}; };
      auto next_after = [&](int64_t) -> Next {
        const bool below = j + wide >= n;
        const int64_t t = below ? k0 + most : k0, next = below ? 0 : j + wide;
        return t < k ? next_part(b.at(t, next), std::min(most, k - t), std::min(wide, n - next)) : Next();
      };
      if (ahead < block)
        multiply_block<Steps>(block - ahead, columns, words, left_of, left.in_place(), panel_at, next_after,
                              c + ahead * leading + j, leading, k0 > 0);
    }
  }
  if (block < m)
    multiply_packed<Steps>(m - block, n, k, a.at(block, 0), {out, n, 0}, c + block * leading, leading, room);
}

template <class T>
void round_rows(const float* total, int64_t m, int64_t n, T* c, int64_t leading) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * leading + j] = T(total[i * n + j]);
}

// 16-bit floats: accumulated in float32, rounded once.
template <class Steps>
void multiply_rounded(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                      MatrixView<typename Steps::Source> b, typename Steps::Source* c, int64_t leading,
                      std::byte* room) {
  float* total = reinterpret_cast<float*>(room);
  multiply<Steps>(m, n, k, a, b, total, n, room + (size_t(m * n) * sizeof(float) + 63) / 64 * 64);
  round_rows(total, m, n, c, leading);
}
template <class Steps>
void multiply_packed_rounded(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a, PackedMatrix b,
                             typename Steps::Source* c, int64_t leading, std::byte* room) {
  float* total = reinterpret_cast<float*>(room);
  multiply_packed<Steps>(m, n, k, a, b, total, n, room + (size_t(m * n) * sizeof(float) + 63) / 64 * 64);
  round_rows(total, m, n, c, leading);
}

template <class Steps>
void multiply_packing_rounded(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                              MatrixView<typename Steps::Source> b, std::byte* out, typename Steps::Source* c,
                              int64_t leading, std::byte* room) {
  float* total = reinterpret_cast<float*>(room);
  multiply_packing<Steps>(m, n, k, a, b, out, total, n, room + (size_t(m * n) * sizeof(float) + 63) / 64 * 64);
  round_rows(total, m, n, c, leading);
}

template <class Steps>
constexpr GemmOf<typename Steps::Source> gemm_of() {
  using Source = typename Steps::Source;
  GemmOf<Source> out{
      {Simd<typename Steps::Sum>::panel,
       [](int64_t n, int64_t k) { return size_t(PackedPlaces<Steps>(n, k).total()) * sizeof(typename Steps::Word); },
       pack_columns<Steps>, kRows, nullptr, nullptr},
      {},
      {multiply<Steps>, multiply_packed<Steps>},
      multiply_tiles<Steps>};
  if constexpr (Steps::direct_b) out.packing.pack_multiplying = pack_columns_multiplying<Steps>;
  if constexpr (sizeof(Source) == 2) {
    out.packing.multiply_packing = multiply_packing_rounded<Steps>;
    out.rounded = {multiply_rounded<Steps>, multiply_packed_rounded<Steps>};
  } else {
    out.packing.multiply_packing = multiply_packing<Steps>;
    out.rounded = out.wide;
  }
  return out;
}

}  // namespace
}  // namespace funcnn::cpu
#endif
