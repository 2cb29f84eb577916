#include "backends/cpu/dot_packed.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "backends/cpu/gemm_grid.h"
#include "backends/cpu/gemm_shared_tiles.h"
#include "backends/cpu/pieces_left.h"
#include "backends/cpu/tile_product.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// So many threads each have enough to do with blocks of their own.
constexpr int64_t kFewThreads = 4;
// Bytes of B that are packed at a time.
constexpr size_t kMostPacked = 16 << 20;
// A that is so small stays in a second-level cache while columns go by.
constexpr size_t kSmallLeft = 2 << 20;

}  // namespace

template <class T>
bool PackedDot<T>::pays(const DotProblem& p) {
  if (!p.shared) return false;
  constexpr double kMuch = 1.5e8;  // multiply-adds of a thread, from which on reading B again and again is seen
  const int64_t threads = thread_count();
  return !p.tiled || threads <= kFewThreads || double(p.m) * double(p.n) * double(p.k) >= kMuch * double(threads);
}

template <class T>
PackedDot<T>::PackedDot(const DotProblem& problem, const GemmOf<T>& gemm) : p_(problem), gemm_(gemm) {
  const GemmPacking<T>& packing = gemm_.packing;
  // Whole panels, as many as may be in memory at once.
  const int64_t panels = (p_.n + packing.panel - 1) / packing.panel;
  const int64_t most = std::max<int64_t>(8, int64_t(kMostPacked / packing.bytes(packing.panel, p_.k)));
  const int64_t passes = (panels + most - 1) / most;
  pass_columns_ = (panels + passes - 1) / passes * packing.panel;
  if (packs_apart(thread_count())) copies_ = thread_count();
}

// Some columns of B are packed, then all tiles of them computed.
template <class T>
void PackedDot<T>::run(const T* a, const T* b, T* c, const PreparedProgram* epilogue, std::span<std::byte* const> rest,
                       std::byte* packed) const {
  packed += (64 - reinterpret_cast<uintptr_t>(packed) % 64) % 64;
  const int64_t panel = gemm_.packing.panel;
  for (int64_t batch = 0; batch < p_.batches; ++batch) {
    int64_t at_a, at_b, at_c = batch * p_.m * p_.n;
    p_.offsets(batch, at_a, at_b);
    for (int64_t first = 0; first < p_.n; first += pass_columns_) {
      int64_t width = std::min(pass_columns_, p_.n - first), panels = (width + panel - 1) / panel;
      MatrixView<T> right{b + at_b + first * p_.b.column, p_.b.row, p_.b.column};
      // The first rows of the product may come with the packing.
      int64_t done = 0;
      if (gemm_.packing.pack_multiplying && right.column == 1) done = gemm_.packing.rows;
      const int64_t threads = thread_count();
      const bool last_pass = first + width == p_.n;
      if (threads <= copies_ && packs_apart(threads)) {
        run_rows({a + at_a, p_.a.row, p_.a.column}, right, c + at_c, packed, [&](int64_t row, int64_t end) {
          if (epilogue) epilogue->run_range(rest, at_c + row * p_.n, at_c + end * p_.n);
        });
        continue;
      }
      if ((done || right.row == 1) && by_columns(panels, threads, epilogue != nullptr)) {
        run_columns({a + at_a, p_.a.row, p_.a.column}, right, width, c + at_c + first, packed, done);
        if (epilogue && last_pass)
          parallel_for(p_.m, std::max<int64_t>(1, 16384 / p_.n), [&](int64_t begin, int64_t end) {
            epilogue->run_range(rest, at_c + begin * p_.n, at_c + end * p_.n);
          });
        continue;
      }
      parallel_for(panels, std::max(panels / (4 * threads), 16384 / (panel * p_.k) + 1),
                   [&](int64_t begin, int64_t end) {
                     if (done)
                       gemm_.packing.pack_multiplying({a + at_a, p_.a.row, p_.a.column}, right, width, p_.k, begin, end,
                                                      packed, c + at_c + first, p_.n);
                     else
                       gemm_.packing.pack(right, width, p_.k, begin, end, packed);
                   });
      SharedTiles tiles(p_.m - done, width, p_.k, panel, gemm_.packing.shares(p_.m, width, p_.k, threads),
                        is_half_type<T> ? 512 : width);
      PiecesLeft left;
      if (epilogue && last_pass) left.start(tiles.row_blocks, tiles.column_blocks);
      parallel_for(tiles.row_blocks * tiles.column_blocks, 1, [&](int64_t begin_tile, int64_t end_tile) {
        std::byte* room = product_room().get(gemm_room(tiles.most_rows(), tiles.most_columns(), p_.k, sizeof(T)));
        for (int64_t i = begin_tile; i < end_tile; ++i) {
          int64_t stripe = i / tiles.column_blocks, block = i % tiles.column_blocks;
          int64_t column = tiles.column(block), columns = tiles.column(block + 1) - column;
          int64_t row = done + tiles.row(stripe), end = done + tiles.row(stripe + 1), rows = end - row;
          gemm_.rounded.multiply_packed(rows, columns, p_.k, {a + at_a + row * p_.a.row, p_.a.row, p_.a.column},
                                        {packed, width, column / panel}, c + at_c + row * p_.n + first + column, p_.n,
                                        room);
          if (epilogue && last_pass && left.last(stripe))
            epilogue->run_range(rest, at_c + (stripe == 0 ? 0 : row) * p_.n, at_c + end * p_.n);
        }
      });
    }
  }
}

template <class T>
size_t PackedDot<T>::copy_bytes() const {
  return (gemm_.packing.bytes(std::min(pass_columns_, p_.n), p_.k) + 63) / 64 * 64;
}

// Whether each of so many threads packs all of B for itself: of so many rows that this is little, and as long as it
// stays in a cache.
template <class T>
bool PackedDot<T>::packs_apart(int64_t threads) const {
  constexpr int64_t kLeastRows = 96;
  return gemm_.packing.multiply_packing && threads > 1 && threads <= kFewThreads && p_.m >= threads * kLeastRows &&
         pass_columns_ >= p_.n && size_t(threads) * copy_bytes() <= kMostPacked;
}

// Whole rows are shared out. No thread reads what another one writes, or writes beside it, where processors fetch
// lines ahead that others have to fetch back: between cores that takes long.
template <class T>
template <class F>
void PackedDot<T>::run_rows(MatrixView<T> a, MatrixView<T> b, T* c, std::byte* packed, F&& finish) const {
  constexpr int64_t kLeastRows = 120, kMostBlocks = 8;
  const int64_t threads = thread_count();
  const int64_t blocks = threads * std::clamp<int64_t>(p_.m / (threads * kLeastRows), 1, kMostBlocks);
  const Grid grid{p_.m, p_.n, 4, p_.n, blocks, 1};
  // Of the blocks of each thread, which others take over when they are done with their own.
  std::array<std::atomic<int64_t>, kFewThreads> next;
  for (int64_t i = 0; i < threads; ++i) next[size_t(i)] = blocks * i / threads;
  parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
    std::byte* room = product_room().get(gemm_room(grid.most_rows(), p_.n, p_.k, sizeof(T)));
    for (int64_t thread = begin; thread < end; ++thread) {
      std::byte* const own = packed + size_t(thread) * copy_bytes();
      bool is_packed = false;
      for (int64_t t = 0; t < threads; ++t) {
        const int64_t of = (thread + t) % threads, last = blocks * (of + 1) / threads;
        for (int64_t i = next[size_t(of)]++; i < last; i = next[size_t(of)]++) {
          const int64_t row = grid.row(i), after = grid.row(i + 1);
          const MatrixView<T> left = a.at(row, 0);
          T* const to = c + row * p_.n;
          if (is_packed)
            gemm_.rounded.multiply_packed(after - row, p_.n, p_.k, left, {own, p_.n, 0}, to, p_.n, room);
          else
            gemm_.packing.multiply_packing(after - row, p_.n, p_.k, left, b, own, to, p_.n, room);
          is_packed = true;
          finish(row, after);
        }
      }
    }
  });
}

// Whether blocks of columns are shared out: of an A that stays in cache while they go by. What an epilogue reads
// does.
template <class T>
bool PackedDot<T>::by_columns(int64_t panels, int64_t threads, bool has_epilogue) const {
  auto cached = [](int64_t rows, int64_t columns) { return size_t(rows * columns) * sizeof(T) <= kSmallLeft; };
  if (is_half_type<T> || !cached(p_.m, p_.k) || (has_epilogue && !cached(p_.m, p_.n))) return false;
  if (panels % threads != 0 && panels < 16 * threads) return false;
  return p_.near_rows(sizeof(T)) || (!has_epilogue && threads > 1);
}

// All rows of a few columns at a time: what a thread has packed is in its own cache when it is read, and what it
// packs next lies over it.
template <class T>
void PackedDot<T>::run_columns(MatrixView<T> a, MatrixView<T> b, int64_t width, T* c, std::byte* packed,
                               int64_t done) const {
  const int64_t panel = gemm_.packing.panel, threads = thread_count(), all = (width + panel - 1) / panel;
  // Where A is packed for each block, there are as few as can be; else they are so small that little is left to wait
  // for at the end.
  constexpr int64_t kPanels = 4;
  const int64_t few = (all + kPanels - 1) / kPanels,
                rounds = p_.near_rows(sizeof(T)) ? (few + threads - 1) / threads : 1;
  const int64_t blocks = std::min(all, rounds * threads), workers = std::min(threads, blocks);
  const int64_t longest = (all + blocks - 1) / blocks;
  const bool again = workers * longest <= all;
  const size_t panel_bytes = gemm_.packing.bytes(panel, p_.k);
  // The first is its own: what the thread had in its cache in the run before.
  std::atomic<int64_t> next{workers};
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    std::byte* room = product_room().get(gemm_room(p_.m, std::min(width, longest * panel), p_.k, sizeof(T)));
    for (int64_t worker = begin; worker < end; ++worker)
      for (int64_t i = worker; i < blocks; i = next++) {
        const int64_t from = all * i / blocks, count = all * (i + 1) / blocks - from;
        const int64_t column = from * panel, columns = std::min(width, column + count * panel) - column;
        std::byte* to = packed + size_t(again ? worker * longest : from) * panel_bytes;
        if (done)
          gemm_.packing.pack_multiplying(a, b.at(0, column), columns, p_.k, 0, count, to, c + column, p_.n);
        else
          gemm_.packing.pack(b.at(0, column), columns, p_.k, 0, count, to);
        gemm_.rounded.multiply_packed(p_.m - done, columns, p_.k, a.at(done, 0), {to, columns, 0},
                                      c + done * p_.n + column, p_.n, room);
      }
  });
}

template class PackedDot<float>;
template class PackedDot<double>;
template class PackedDot<float16_t>;
template class PackedDot<bfloat16_t>;

}  // namespace funcnn::cpu
