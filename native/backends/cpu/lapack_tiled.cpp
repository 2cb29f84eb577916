#include "backends/cpu/lapack_tiled.h"

#include <algorithm>
#include <complex>

#include "backends/cpu/arena.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/lapack.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(LapackTiles<float>, lapack_tiles_f32);
FUNCNN_DECLARE_FOR_SETS(LapackTiles<double>, lapack_tiles_f64);
#undef DECLARE

namespace {

constexpr int64_t kBlock = 128;     // columns that are factorised before the others follow
constexpr int64_t kNarrow = 16;     // columns of a panel that are factorised one by one
constexpr int64_t kMostChunk = 32;  // columns of a chunk: `chunk` of any table
constexpr double kWorth = 1e5;      // operations that are worth a thread
constexpr double kInPanel = 25;     // times that in a panel, which lies in the cache of one thread

thread_local Arena panels, packed;

int64_t blocks_of(int64_t count, int64_t size) { return (count + size - 1) / size; }
int64_t grain_for(double flops) { return std::max<int64_t>(1, int64_t(kWorth / std::max(flops, 1.0))); }

template <class T>
T* room(Arena& arena, int64_t count) {
  return reinterpret_cast<T*>(arena.get(size_t(count) * sizeof(T)));
}

// How far the columns of a panel lie apart: whole vectors or chunks, and no multiple of a power of two, where all would
// meet in the same places of the cache.
template <class T>
int64_t panel_step(int64_t rows, int64_t whole) {
  int64_t step = blocks_of(rows, whole) * whole;
  return step % (1024 / int64_t(sizeof(T))) ? step : step + whole;
}

// Panel: element (i, c) at panel[c * ld + i]; rows from `rows` up to `ld` become zero.
template <class T>
void load_panel(const LapackTiles<T>& tiles, const T* a, int64_t row, int64_t rows, int64_t columns, T* panel,
                int64_t ld) {
  parallel_for(blocks_of(rows, 64), grain_for(64.0 * double(columns) * 4), [&](int64_t begin, int64_t end) {
    int64_t first = begin * 64, height = std::min(end * 64, rows) - first;
    tiles.transpose(height, columns, a + first * row, row, panel + first, ld);
  });
  for (int64_t c = 0; c < columns; ++c) std::fill(panel + c * ld + rows, panel + (c + 1) * ld, T(0));
}

template <class T>
void store_panel(const LapackTiles<T>& tiles, const T* panel, int64_t ld, int64_t rows, int64_t columns, T* a,
                 int64_t row) {
  parallel_for(blocks_of(rows, 64), grain_for(64.0 * double(columns) * 4), [&](int64_t begin, int64_t end) {
    int64_t first = begin * 64, height = std::min(end * 64, rows) - first;
    tiles.transpose(columns, height, panel + first, ld, a + first * row, row);
  });
}

// A (m x k) in tiles.
template <class T>
void pack_tiles(const LapackTiles<T>& tiles, int64_t m, int64_t k, MatrixView<T> a, T* to) {
  const int64_t rows = tiles.rows;
  parallel_for(blocks_of(m, rows), grain_for(double(rows * k) * 4), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      int64_t height = std::min(rows, m - tile * rows);
      MatrixView<T> from = a.at(tile * rows, 0);
      T* out = to + tile * rows * k;
      if (from.row == 1 && height == rows) {
        for (int64_t j = 0; j < k; ++j) std::copy_n(from.data + j * from.column, rows, out + j * rows);
        continue;
      }
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < k; ++j) out[j * rows + i] = from.data[i * from.row + j * from.column];
    }
  });
}

// Exchange rows [begin, end) of `columns` dense columns with those of the pivots.
template <class T>
void exchange_rows(T* a, int64_t ld, int64_t columns, int64_t begin, int64_t end, const int32_t* pivots) {
  for (int64_t i = begin; i < end; ++i)
    if (pivots[i] != i) std::swap_ranges(a + i * ld, a + i * ld + columns, a + int64_t(pivots[i]) * ld);
}

// ---- LU

// One panel, column by column, in halves.
template <class T>
class Panel {
 public:
  Panel(const LapackTiles<T>& tiles, T* data, int64_t ld, int32_t* pivots)
      : tiles_(tiles), data_(data), ld_(ld), pivots_(pivots) {}

  void factorise(int64_t first, int64_t width) {
    if (width <= kNarrow) {
      tiles_.panel(ld_, first, width, data_, ld_, pivots_);
      return;
    }
    int64_t half = blocks_of(width / 2, kNarrow) * kNarrow, middle = first + half, rest = width - half;
    factorise(first, half);
    exchange(first, middle, middle, rest);
    // The rows of U in these columns, which lie along the columns here.
    const int64_t chunk = tiles_.chunk;
    alignas(64) T block[kBlock / 2 * kMostChunk];
    for (int64_t c = middle; c < middle + rest; c += chunk) {
      int64_t columns = std::min(chunk, middle + rest - c);
      T* x = data_ + c * ld_ + first;
      if (columns < chunk) std::fill_n(block, half * chunk, T(0));
      tiles_.transpose(columns, half, x, ld_, block, chunk);
      tiles_.solve(false, true, half, {data_ + first * ld_ + first, 1, ld_}, block, chunk, chunk);
      tiles_.transpose(half, columns, block, chunk, x, ld_);
    }
    parallel_for(blocks_of(ld_ - middle, chunk), grain_for(2.0 * double(half * rest * chunk) / kInPanel),
                 [&](int64_t begin, int64_t end) {
                   int64_t at = middle + begin * chunk, columns = std::min(ld_, middle + end * chunk) - at;
                   tiles_.subtract(rest, columns, half, MatrixView<T>{data_ + middle * ld_ + first, ld_, 1},
                                   tiles_.rows * ld_, data_ + first * ld_ + at, ld_, data_ + middle * ld_ + at, ld_);
                 });
    factorise(middle, rest);
    exchange(middle, middle + rest, first, half);
  }

 private:
  void exchange(int64_t begin, int64_t end, int64_t column, int64_t count) {
    for (int64_t c = column; c < column + count; ++c) {
      T* x = data_ + c * ld_;
      for (int64_t i = begin; i < end; ++i) std::swap(x[i], x[pivots_[i]]);
    }
  }

  const LapackTiles<T>& tiles_;
  T* data_;
  int64_t ld_;
  int32_t* pivots_;
};

}  // namespace

template <>
const LapackTiles<float>* lapack_tiles() {
  const LapackTiles<float>* table = &FUNCNN_OF_ACTIVE_SET(lapack_tiles_f32);
  return table->subtract ? table : nullptr;
}
template <>
const LapackTiles<double>* lapack_tiles() {
  const LapackTiles<double>* table = &FUNCNN_OF_ACTIVE_SET(lapack_tiles_f64);
  return table->subtract ? table : nullptr;
}
template <>
const LapackTiles<std::complex<float>>* lapack_tiles() {
  return nullptr;
}

template <class T>
void lu_tiled(const LapackTiles<T>& tiles, int64_t m, int64_t n, T* a, int64_t ld, int32_t* pivots) {
  const int64_t k = std::min(m, n), chunk = tiles.chunk;
  for (int64_t j = 0; j < k; j += kBlock) {
    const int64_t width = std::min(kBlock, k - j), next = j + width, height = m - j, below = m - next;
    const int64_t step = panel_step<T>(height, tiles.lanes);
    T* panel = room<T>(panels, step * width);
    load_panel(tiles, a + j * ld + j, ld, height, width, panel, step);
    Panel<T>(tiles, panel, step, pivots + j).factorise(0, width);
    store_panel(tiles, panel, step, height, width, a + j * ld + j, ld);
    // What lies on the left is only exchanged.
    T* left = a + j * ld;
    parallel_for(blocks_of(j, kBlock), grain_for(double(kBlock * width)), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) exchange_rows(left + c * kBlock, ld, kBlock, 0, width, pivots + j);
    });
    if (next < n) {
      T* tall = room<T>(packed, blocks_of(below, tiles.rows) * tiles.rows * width);
      pack_tiles(tiles, below, width, MatrixView<T>{panel + width, 1, step}, tall);
      parallel_for(blocks_of(n - next, chunk), grain_for(2.0 * double(height * width * chunk)),
                   [&](int64_t begin, int64_t end) {
                     alignas(64) T block[kBlock * kMostChunk];
                     for (int64_t c = begin; c < end; ++c) {
                       int64_t at = next + c * chunk, columns = std::min(chunk, n - at);
                       T* top = a + j * ld + at;
                       exchange_rows(top, ld, columns, 0, width, pivots + j);
                       for (int64_t i = 0; i < width; ++i) {
                         std::copy_n(top + i * ld, columns, block + i * chunk);
                         std::fill(block + i * chunk + columns, block + (i + 1) * chunk, T(0));
                       }
                       tiles.solve(false, true, width, {panel, 1, step}, block, chunk, chunk);
                       for (int64_t i = 0; i < width; ++i) std::copy_n(block + i * chunk, columns, top + i * ld);
                       tiles.subtract(below, columns, width, {tall, 1, tiles.rows}, tiles.rows * width, block, chunk,
                                      a + next * ld + at, ld);
                     }
                   });
    }
    for (int64_t i = j; i < next; ++i) pivots[i] += int32_t(j);
  }
}

template <class T>
void solve_tiled(const LapackTiles<T>& tiles, bool upper, bool unit, int64_t n, MatrixView<T> a, T* b, int64_t b_row,
                 int64_t k, bool lower_b) {
  const int64_t chunk = k <= tiles.lanes ? tiles.lanes : tiles.chunk, rows = tiles.rows;
  for (int64_t done = 0; done < n;) {
    const int64_t width = std::min(kBlock, n - done), at = upper ? n - done - width : done;
    done += width;
    // The rows that are still to be solved.
    const int64_t first = upper ? 0 : done, count = n - done;
    const int64_t columns = lower_b ? std::min(k, at + width) : k, chunks = blocks_of(columns, chunk);
    MatrixView<T> rest = a.at(first, at);
    int64_t tile = rows * a.row;
    if (chunks > 2 && count > 0) {
      T* tall = room<T>(packed, blocks_of(count, rows) * rows * width);
      pack_tiles(tiles, count, width, rest, tall);
      rest = {tall, 1, rows};
      tile = rows * width;
    }
    const bool alone = chunks == 1 && double(count) * double(width * chunk) > 2 * kWorth;
    alignas(64) T shared[kBlock * kMostChunk];
    auto solve_chunk = [&](int64_t c, T* block) {
      int64_t begin = c * chunk, here = std::min(chunk, k - begin);
      T* top = b + at * b_row + begin;
      for (int64_t i = 0; i < width; ++i) {
        std::copy_n(top + i * b_row, here, block + i * chunk);
        std::fill(block + i * chunk + here, block + (i + 1) * chunk, T(0));
      }
      tiles.solve(upper, unit, width, a.at(at, at), block, chunk, chunk);
      for (int64_t i = 0; i < width; ++i) std::copy_n(block + i * chunk, here, top + i * b_row);
    };
    if (alone) {
      solve_chunk(0, shared);
      parallel_for(
          blocks_of(count, kBlock), grain_for(2.0 * double(kBlock * width * chunk)), [&](int64_t begin, int64_t end) {
            int64_t from = begin * kBlock, height = std::min(count, end * kBlock) - from;
            tiles.subtract(height, k, width, rest.at(from, 0), tile, shared, chunk, b + (first + from) * b_row, b_row);
          });
      continue;
    }
    parallel_for(chunks, grain_for(2.0 * double((count + width) * width * chunk)), [&](int64_t begin, int64_t end) {
      alignas(64) T block[kBlock * kMostChunk];
      for (int64_t c = begin; c < end; ++c) {
        solve_chunk(c, block);
        tiles.subtract(count, std::min(chunk, k - c * chunk), width, rest, tile, block, chunk,
                       b + first * b_row + c * chunk, b_row);
      }
    });
  }
}

template <class T>
int64_t cholesky_tiled(const LapackTiles<T>& tiles, int64_t n, T* a, int64_t ld) {
  const int64_t chunk = tiles.chunk;
  for (int64_t j = 0; j < n; j += kBlock) {
    const int64_t width = std::min(kBlock, n - j), next = j + width, below = n - next;
    T* corner = a + j * ld + j;
    // The rows of a lower factor are the columns of an upper one.
    if (lapack::Int info = lapack::potrf('U', lapack::Int(width), corner, lapack::Int(ld))) return j + info - 1;
    if (below == 0) break;
    // The rows below, turned: L21^T = L11^-1 A21^T.
    const int64_t step = panel_step<T>(below, chunk);
    T* turned = room<T>(panels, step * width);
    load_panel(tiles, a + next * ld + j, ld, below, width, turned, step);
    const int64_t chunks = blocks_of(below, chunk);
    parallel_for(chunks, grain_for(double(width * width * chunk)), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        tiles.solve(false, false, width, {corner, ld, 1}, turned + c * chunk, step, chunk);
    });
    store_panel(tiles, turned, step, below, width, a + next * ld + j, ld);
    T* tall = room<T>(packed, blocks_of(below, tiles.rows) * tiles.rows * width);
    pack_tiles(tiles, below, width, MatrixView<T>{turned, 1, step}, tall);
    // Pairs of chunks, a long and a short one, are about as much work as others.
    parallel_for(blocks_of(chunks, 2), grain_for(double(below * width * chunk)), [&](int64_t begin, int64_t end) {
      alignas(64) T block[kBlock * kMostChunk];
      auto update = [&](int64_t c) {
        int64_t at = c * chunk, columns = std::min(chunk, below - at);
        for (int64_t i = 0; i < width; ++i) std::copy_n(turned + i * step + at, chunk, block + i * chunk);
        tiles.subtract(below - at, columns, width, {tall + at * width, 1, tiles.rows}, tiles.rows * width, block, chunk,
                       a + (next + at) * ld + next + at, ld);
      };
      for (int64_t c = begin; c < end; ++c) {
        update(c);
        if (chunks - 1 - c != c) update(chunks - 1 - c);
      }
    });
  }
  return -1;
}

#define INSTANTIATE(T)                                                                                              \
  template void lu_tiled(const LapackTiles<T>&, int64_t, int64_t, T*, int64_t, int32_t*);                           \
  template void solve_tiled(const LapackTiles<T>&, bool, bool, int64_t, MatrixView<T>, T*, int64_t, int64_t, bool); \
  template int64_t cholesky_tiled(const LapackTiles<T>&, int64_t, T*, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu
