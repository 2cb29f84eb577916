// The kernel of dot: tiles of the product shared among threads, each computed by our own tile kernel (gemm.h) or, for
// complex numbers, by the BLAS. Where many tiles read the same columns of B, these are packed once for all of them.
// How an element is summed up depends on the shape alone. An epilogue finds its rows in cache.
#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <memory>
#include <optional>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/blas.h"
#include "backends/cpu/copy.h"
#include "backends/cpu/dot.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/gemm_grid.h"
#include "backends/cpu/gemm_shared_tiles.h"
#include "backends/cpu/interpreter.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/pieces_left.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

using blas::MatrixLayout;

// Where tiles of operands are packed.
thread_local Arena panels;

struct BatchAxis {
  int64_t length, a, b;  // steps in elements
};
struct Steps {
  int64_t row, column;
};

// What a matrix looks like to the BLAS; nothing if no strides of its will do.
std::optional<MatrixLayout> as_operand(int64_t rows, int64_t columns, Steps steps) {
  auto [row, column] = steps;
  if (rows == 1) row = columns;
  if (columns == 1) {
    if (row == 1) return MatrixLayout{true, std::max(rows, int64_t(1))};
    if (row >= 1 && row <= INT_MAX) return MatrixLayout{false, row};
  }
  if (rows == 1 && column >= 1 && column <= INT_MAX) {
    return column == 1 ? MatrixLayout{false, columns} : MatrixLayout{true, column};
  }
  if (column == 1 && row >= columns && row <= INT_MAX) return MatrixLayout{false, row};
  if (row == 1 && column >= rows && column <= INT_MAX) return MatrixLayout{true, column};
  return std::nullopt;
}

// Everything the layouts decide.
struct Problem {
  int64_t m, n, k;
  std::vector<BatchAxis> axes;
  int64_t batches = 1;
  Steps a, b;
  bool exchanged = false;  // which operand comes first
  StridedCopy pack_a, pack_b;
  int64_t packed_a = 0, packed_b = 0;  // elements of a dense copy made first; 0: read in place

  int64_t row_block, column_block, depth_block;
  int64_t row_blocks, column_blocks, depth_blocks;
  bool shared = false;  // B is packed once for all tiles
  bool tiled = false;   // by the tile kernel however it is cut, which then depends on the number of threads

  Problem(const Layout& la, const Layout& lb, bool any_strides);
  void choose_tiles(size_t item);
  void offsets(int64_t batch, int64_t& at_a, int64_t& at_b) const {
    at_a = at_b = 0;
    for (size_t d = axes.size(); d-- > 0;) {
      int64_t i = batch % axes[d].length;
      batch /= axes[d].length;
      at_a += i * axes[d].a;
      at_b += i * axes[d].b;
    }
  }
};

Problem::Problem(const Layout& la, const Layout& lb, bool any_strides) {
  size_t lead = la.shape.size() - 2;
  m = la.shape[lead];
  k = la.shape[lead + 1];
  n = lb.shape[lead + 1];
  // What cannot be read in place is made dense first, without its repeated batch axes.
  auto prepare = [&](const Layout& l, StridedCopy& pack, int64_t& packed) {
    Steps steps{l.strides[lead], l.strides[lead + 1]};
    if (any_strides || as_operand(l.shape[lead], l.shape[lead + 1], steps)) return l.strides;
    Shape shape = l.shape;
    for (size_t i = 0; i < lead; ++i)
      if (l.strides[i] == 0) shape[i] = 1;
    Strides dense = contiguous_strides(shape);
    pack = StridedCopy(shape, l.strides, dense, item_size(l.dtype));
    packed = element_count(shape);
    for (size_t i = 0; i < lead; ++i)
      if (shape[i] == 1) dense[i] = 0;
    return dense;
  };
  Strides strides_a = prepare(la, pack_a, packed_a), strides_b = prepare(lb, pack_b, packed_b);
  a = {strides_a[lead], strides_a[lead + 1]};
  b = {strides_b[lead], strides_b[lead + 1]};
  Shape lengths(la.shape.begin(), la.shape.begin() + ptrdiff_t(lead));
  Strides batch_a(strides_a.begin(), strides_a.begin() + ptrdiff_t(lead));
  Strides batch_b(strides_b.begin(), strides_b.begin() + ptrdiff_t(lead));
  merge_axes(lengths, {&batch_a, &batch_b});
  for (size_t i = 0; i < lengths.size(); ++i) axes.push_back({lengths[i], batch_a[i], batch_b[i]});
  // A batch axis that b does not have is more rows of a.
  while (!axes.empty() && axes.back().b == 0 && (m == 1 || axes.back().a == m * a.row)) {
    Steps taller = m == 1 ? Steps{axes.back().a, a.column} : a;
    int64_t rows = m * axes.back().length;
    if (!any_strides && !as_operand(rows, k, taller)) break;
    a = taller;
    m = rows;
    axes.pop_back();
  }
  // A matrix times a column is a row times the transposed matrix, and lies in memory as that.
  if (any_strides && n == 1 && m > 1) {
    exchanged = true;
    std::swap(m, n);
    std::swap(a, b);
    a = {a.column, a.row};
    b = {b.column, b.row};
    for (BatchAxis& axis : axes) std::swap(axis.a, axis.b);
  }
  for (const BatchAxis& axis : axes) batches *= axis.length;
  choose_tiles(item_size(la.dtype));
}

// Depends on the shape alone: results must not change with the number of threads.
void Problem::choose_tiles(size_t item) {
  double work = double(m) * double(n) * double(k);
  row_block = std::min<int64_t>(m, 480);
  column_block = std::min<int64_t>(n, 1024);
  int64_t wanted = work < 1.5e6 ? 1 : work < 4e6 ? 2 : work < 1e7 ? 4 : work < 3e7 ? 8 : 16;
  if (m <= 4 || n <= 4) wanted = work < 2e5 ? 1 : work < 2e6 ? 4 : work < 8e6 ? 8 : 16;  // bound by reading the matrix
  if (batches > 1) wanted = std::max<int64_t>(1, wanted / batches);
  auto blocks = [](int64_t length, int64_t block) { return (length + block - 1) / block; };
  if (wanted == 1 && work < 6.4e7) {
    row_block = m;
    column_block = n;
  }
  // A few rows go over B row by row: whole rows of it, and parts of K, are read in the order of memory.
  const bool strips = b.column == 1 && by_strips(m, n, k * b.row * int64_t(item), item);
  if (strips) column_block = std::min<int64_t>(n, 8192);
  int64_t least_columns = m == 1 ? 64 : 128, least_rows = n == 1 ? 8 : 32;
  // Parts of sums cost memory traffic, too: little beside that of B.
  const int64_t least_depth = strips ? std::max<int64_t>(128, 32 * m) : 512;
  int64_t parts = strips ? std::clamp<int64_t>(k / least_depth, 1, wanted) : 1;
  // Each part of the long sums of a small result reads operands of its own, once and in the order of memory.
  constexpr int64_t kSmallResult = 64 << 10;
  if (m > 16 && n > 16 && m * n <= kSmallResult && k >= wanted * least_depth && (m + n) * k >= 4 * wanted * m * n)
    parts = wanted;
  while (blocks(m, row_block) * blocks(n, column_block) * parts < wanted) {
    bool rows = row_block >= 2 * least_rows, columns = column_block >= 2 * least_columns;
    if (!rows && !columns) break;
    if (rows && (!columns || row_block >= column_block)) {
      row_block = (row_block + 1) / 2;
    } else {
      column_block = (column_block + 1) / 2;
    }
  }
  // Even blocks of whole register tiles: no sliver at the end.
  auto even = [&](int64_t length, int64_t block, int64_t unit) {
    int64_t count = blocks(length, block);
    return count == 1 ? length : (blocks(length, count) + unit - 1) / unit * unit;
  };
  column_block = even(n, column_block, 32);
  column_blocks = blocks(n, column_block);
  // A thread more or less for the last of a few blocks would be seen: as many as most numbers of threads share evenly.
  constexpr int64_t kShare = 8;
  const int64_t tall = blocks(m, row_block);
  if (column_blocks == 1 && tall > kShare / 2 && tall < 8 * kShare && m >= 2 * kShare * least_rows)
    row_block = blocks(m, blocks(tall, kShare) * kShare);
  row_block = even(m, row_block, n == 1 ? 8 : 12);
  row_blocks = blocks(m, row_block);
  // Too small to share out, but a long sum: in parts, which are added in order.
  depth_blocks = std::clamp<int64_t>(k / least_depth, 1, std::max<int64_t>(1, wanted / (row_blocks * column_blocks)));
  depth_block = depth_blocks == 1 ? k : even(k, blocks(k, depth_blocks), 32);
  depth_blocks = blocks(k, depth_block);
  // Worth it where several tiles below each other would each pack the same columns.
  const double least_work = batches == 1 && item >= 4 ? 1e7 : 3e7;  // where packing is hidden, and tiles are few
  shared = depth_blocks == 1 && m >= 96 && n > 16 && work >= least_work && (b.column != 1 || n * k > (16 << 10));
  constexpr int64_t kFewRows = 8;
  tiled = item >= 4 && m > kFewRows && n > kFewColumns && !strips && work * double(batches) >= 1e6;
}

// So many threads each have enough to do with blocks of their own.
constexpr int64_t kFewThreads = 4;
// Bytes of B that are packed at a time.
constexpr size_t kMostShared = 16 << 20;
// A that is so small stays in a second-level cache while columns go by.
constexpr size_t kSmallLeft = 2 << 20;

template <class T>
constexpr bool is_half_type = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;

template <class T>
class DotKernel final : public HostKernel {
  using Sum = SumOf<T>;

 public:
  DotKernel(const Layout& a, const Layout& b, const KernelProgram* epilogue)
      : products_(own_products()), p_(a, b, products_ != nullptr) {
    if (epilogue) epilogue_.emplace(*epilogue);
    vector_ = !products_ && !is_half_type<T> && (p_.m == 1 || p_.n == 1) && as_operand(p_.m, p_.k, p_.a) &&
              as_operand(p_.k, p_.n, p_.b);
    if constexpr (!std::is_same_v<T, complex64_t>) {
      if (packs_once()) {
        const GemmPacking<T>& packing = products_->packing;
        // Whole panels, as many as may be in memory at once.
        int64_t panels = (p_.n + packing.panel - 1) / packing.panel;
        int64_t most = std::max<int64_t>(8, int64_t(kMostShared / packing.bytes(packing.panel, p_.k)));
        int64_t passes = (panels + most - 1) / most;
        pass_columns_ = (panels + passes - 1) / passes * packing.panel;
        if (packs_apart(thread_count())) copies_ = thread_count();
      }
    }
    threads_ = thread_count();
    if (!pass_columns_) grid_ = grid(threads_);
  }

  // Dense copies of what cannot be read in place, the parts of sums, packed columns of B.
  size_t scratch_bytes() const override {
    if constexpr (!std::is_same_v<T, complex64_t>)
      if (pass_columns_) return size_t(copies_) * copy_bytes() + 64;
    return packed_bytes(p_.packed_a) + packed_bytes(p_.packed_b) +
           (p_.depth_blocks > 1 ? size_t(p_.depth_blocks * count()) * sizeof(Sum) : 0);
  }

  // A tiny product is one call of the loop over tiles.
  bool fix(std::span<std::byte* const> operands, std::span<const char> lasting, std::vector<FixedWork>& out) override {
    if constexpr (!std::is_same_v<T, complex64_t>) {
      if (is_tiny()) {
        std::vector<FixedWork> after;
        const std::optional<bool> fixed = epilogue_ ? epilogue_->fix(operands.subspan(2), after) : true;
        if (fixed && *fixed) {
          out.push_back(fix_tiny(operands, lasting));
          for (FixedWork& work : after) {
            for (FixedWork::Start& start : work.starts) start.operand += 2;
            out.push_back(std::move(work));
          }
          return true;
        }
        return HostKernel::fix(operands, lasting, out) && !fixed;
      }
    }
    return HostKernel::fix(operands, lasting, out);
  }

  void run(std::span<std::byte* const> operands) override {
    const T* a = reinterpret_cast<const T*>(operands[0]);
    const T* b = reinterpret_cast<const T*>(operands[1]);
    T* c = reinterpret_cast<T*>(operands[2]);
    if (p_.exchanged) std::swap(a, b);
    std::span<std::byte* const> rest = operands.subspan(2);
    if (pass_columns_) {
      if constexpr (!std::is_same_v<T, complex64_t>) run_shared(a, b, c, rest.first(rest.size() - 1), operands.back());
      return;
    }
    Sum* parts = nullptr;
    if (scratch_bytes()) {
      std::byte* scratch = operands.back();
      rest = rest.first(rest.size() - 1);
      if (p_.packed_a) a = pack(p_.pack_a, a, scratch);
      if (p_.packed_b) b = pack(p_.pack_b, b, scratch + packed_bytes(p_.packed_a));
      parts = reinterpret_cast<Sum*>(scratch + packed_bytes(p_.packed_a) + packed_bytes(p_.packed_b));
    }
    const int64_t threads = thread_count();
    const Grid grid = threads == threads_ ? grid_ : this->grid(threads);
    const size_t bytes = products_ ? gemm_room(grid.most_rows(), grid.most_columns(), p_.depth_block, sizeof(T)) : 0;
    const int64_t stripe_pieces = grid.column_blocks * p_.depth_blocks, stripes = p_.batches * grid.row_blocks;
    if (grid.row_blocks * stripe_pieces == 1) {
      run_batches(a, b, c, rest, bytes);
      return;
    }
    // The last part of a tile adds up all of them. Then the epilogue runs over the tile, or over the row of tiles once
    // that is finished.
    PiecesLeft parts_left, tiles_left;
    parts_left.start(stripes * grid.column_blocks, p_.depth_blocks);
    const bool whole_rows = !grid.by_tiles;
    if (epilogue_ && whole_rows) tiles_left.start(stripes, grid.column_blocks);
    parallel_for(stripes * stripe_pieces, 1, [&](int64_t begin, int64_t end) {
      std::byte* room = bytes ? panels.get(bytes) : nullptr;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t tile = i / p_.depth_blocks, part = i % p_.depth_blocks;
        const int64_t stripe = tile / grid.column_blocks, column_block = tile % grid.column_blocks;
        const int64_t batch = stripe / grid.row_blocks, row_block = stripe % grid.row_blocks;
        const int64_t row = grid.row(row_block), rows = grid.row(row_block + 1) - row;
        const int64_t column = grid.column(column_block), columns = grid.column(column_block + 1) - column;
        const int64_t deep = part * p_.depth_block, depth = std::min(p_.depth_block, p_.k - deep);
        int64_t at_a, at_b, at_c = (batch * p_.m + row) * p_.n;
        p_.offsets(batch, at_a, at_b);
        const T *left_operand = a + at_a + row * p_.a.row + deep * p_.a.column,
                *right_operand = b + at_b + column * p_.b.column + deep * p_.b.row;
        if (p_.depth_blocks > 1)
          multiply(rows, columns, depth, left_operand, right_operand, parts + part * count() + at_c + column, room);
        else
          multiply(rows, columns, depth, left_operand, right_operand, c + at_c + column, room);
        if (!parts_left.last(tile)) continue;
        if (p_.depth_blocks > 1)
          for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = at_c + r * p_.n + column;
            add_parts(parts + at, columns, c + at);
          }
        if (!epilogue_) continue;
        if (!whole_rows)
          for (int64_t r = 0, at = at_c + column; r < rows; ++r, at += p_.n)
            epilogue_->run_range(rest, at, at + columns);
        else if (tiles_left.last(stripe))
          epilogue_->run_range(rest, at_c, at_c + rows * p_.n);
      }
    });
  }

 private:
  static const GemmOf<T>* own_products() {
    if constexpr (std::is_same_v<T, complex64_t>)
      return nullptr;
    else
      return products_of<T>();
  }
  // Whether B is packed once for all threads: not where each has enough to do with blocks of its own.
  bool packs_once() const {
    if (!products_ || !p_.shared) return false;
    constexpr double kMuch = 1.5e8;  // multiply-adds of a thread, from which on reading B again and again is seen
    const int64_t threads = thread_count();
    return !p_.tiled || threads <= kFewThreads || double(p_.m) * double(p_.n) * double(p_.k) >= kMuch * double(threads);
  }
  Grid grid(int64_t threads) const {
    constexpr int64_t kLeastColumns = 64;  // that are worth a run of the epilogue
    Grid fixed{p_.m, p_.n, p_.row_block, p_.column_block, p_.row_blocks, p_.column_blocks};
    fixed.by_tiles = p_.column_blocks > 1 && p_.column_block >= kLeastColumns && p_.row_block <= kMostStripRows;
    if constexpr (is_half_type<T> || std::is_same_v<T, complex64_t>) {
      return fixed;
    } else {
      if (!products_ || !p_.tiled) return fixed;
      GridCosts costs{p_.batches * p_.depth_blocks, near_rows() ? 4.0 : 12.0, p_.b.column == 1 ? 8.0 : 14.0};
      costs.epilogue = epilogue_.has_value();
      return choose_grid(p_.m, p_.n, p_.depth_block, products_->packing.panel, costs, threads);
    }
  }

  bool is_tiny() const {
    constexpr int64_t kTiny = 1 << 15;
    return products_ && !pass_columns_ && !vector_ && !p_.tiled && p_.batches == 1 && p_.m * p_.n * p_.k <= kTiny &&
           grid_.row_blocks * grid_.column_blocks * p_.depth_blocks == 1 && scratch_bytes() == 0;
  }
  FixedWork fix_tiny(std::span<std::byte* const> operands, std::span<const char> lasting) const {
    struct Bound {
      Gemm<T, T> multiply;
      int64_t m, n, k;
      std::byte* at[3];
      Steps a, b;
      std::byte* room;
      std::vector<std::byte> memory;
      std::vector<T> turned;
    };
    auto bound =
        std::make_shared<Bound>(Bound{products_->rounded.multiply, p_.m, p_.n, p_.k, {}, p_.a, p_.b, {}, {}, {}});
    bound->memory.resize(gemm_room(p_.m, p_.n, p_.k, sizeof(T)) + 64);
    bound->room = bound->memory.data() + (64 - reinterpret_cast<uintptr_t>(bound->memory.data()) % 64);
    FixedWork work;
    for (size_t i = 0; i < 3; ++i) {
      const size_t operand = p_.exchanged && i < 2 ? 1 - i : i;
      bound->at[i] = operands[operand];
      if (i == 1 && lasting[operand] && turns_lasting()) {
        const T* from = reinterpret_cast<const T*>(operands[operand]);
        for (int64_t t = 0; t < p_.k; ++t)
          for (int64_t j = 0; j < p_.n; ++j) bound->turned.push_back(from[t * p_.b.row + j * p_.b.column]);
        bound->at[i] = reinterpret_cast<std::byte*>(bound->turned.data());
        bound->b = {p_.n, 1};
        continue;
      }
      work.starts.push_back({&bound->at[i], operand});
    }
    work.call = [](void* with) {
      const Bound& bound = *static_cast<const Bound*>(with);
      bound.multiply(bound.m, bound.n, bound.k, {reinterpret_cast<const T*>(bound.at[0]), bound.a.row, bound.a.column},
                     {reinterpret_cast<const T*>(bound.at[1]), bound.b.row, bound.b.column},
                     reinterpret_cast<T*>(bound.at[2]), bound.n, bound.room);
    };
    work.with = std::move(bound);
    return work;
  }
  // Whether elements are sums in the same order, that of K, if B is dense in its rows: dots of lines along K have at
  // least as many terms as there are columns in a panel.
  bool turns_lasting() const {
    return sizeof(T) >= 4 && p_.b.column != 1 && p_.k < products_->packing.panel && p_.n < kWideStrip;
  }

  static size_t packed_bytes(int64_t count) { return (size_t(count) * sizeof(T) + 63) / 64 * 64; }
  int64_t count() const { return p_.batches * p_.m * p_.n; }

  void add_parts(const Sum* parts, int64_t n, T* c) const {
    for (int64_t i = 0; i < n; ++i) {
      Sum total = parts[i];
      for (int64_t part = 1; part < p_.depth_blocks; ++part) total += parts[part * count() + i];
      c[i] = T(total);
    }
  }

  // C is of type T, or of the type that is accumulated in.
  template <class C>
  void multiply(int64_t rows, int64_t columns, int64_t depth, const T* a, const T* b, C* c, std::byte* room) const {
    if constexpr (!is_half_type<T>) {
      if (vector_) {
        MatrixLayout la = *as_operand(rows, depth, p_.a), lb = *as_operand(depth, columns, p_.b);
        if (p_.m == 1) {
          // The row is a vector; B is read once, in its own order.
          blas::gemv<T>(columns, depth, b, {!lb.transposed, lb.leading}, a, la.transposed ? la.leading : 1, T(0), c);
        } else {
          blas::gemv<T>(rows, depth, a, la, b, lb.transposed ? 1 : lb.leading, T(0), c);
        }
        return;
      }
    }
    MatrixView<T> va{a, p_.a.row, p_.a.column}, vb{b, p_.b.row, p_.b.column};
    if constexpr (!std::is_same_v<T, complex64_t>) {
      if (products_) {
        if constexpr (std::is_same_v<C, Sum>)
          if (p_.tiled) return products_->tiles(rows, columns, depth, va, vb, c, p_.n, room);
        if constexpr (std::is_same_v<C, T>)
          return products_->rounded.multiply(rows, columns, depth, va, vb, c, p_.n, room);
        else
          return products_->wide.multiply(rows, columns, depth, va, vb, c, p_.n, room);
      }
    }
    if constexpr (is_half_type<T>) {
      through_float(rows, columns, depth, va, vb, c);
    } else {
      blas::gemm<T>(rows, columns, depth, a, *as_operand(rows, depth, p_.a), b, *as_operand(depth, columns, p_.b), T(0),
                    c, p_.n);
    }
  }

  // 16-bit floats where there is no tile kernel: a block at a time through float32.
  template <class C>
  void through_float(int64_t rows, int64_t columns, int64_t depth, MatrixView<T> a, MatrixView<T> b, C* c) const {
    auto widen = [](MatrixView<T> from, int64_t m, int64_t n, float* to) {
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) to[i * n + j] = float(*from.at(i, j).data);
    };
    constexpr int64_t block = 256;
    std::vector<float> wide_a(size_t(rows * block)), wide_b(size_t(block * columns)), total(size_t(rows * columns));
    for (int64_t at = 0; at < depth; at += block) {
      int64_t step = std::min(block, depth - at);
      widen(a.at(0, at), rows, step, wide_a.data());
      widen(b.at(at, 0), step, columns, wide_b.data());
      blas::gemm<float>(rows, columns, step, wide_a.data(), {false, step}, wide_b.data(), {false, columns}, 1.0f,
                        total.data(), columns);
    }
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) c[i * p_.n + j] = C(total[size_t(i * columns + j)]);
  }

  // Some columns of B are packed, then all tiles of them computed.
  void run_shared(const T* a, const T* b, T* c, std::span<std::byte* const> rest, std::byte* packed) const {
    const GemmOf<T>& gemm = *products_;
    packed += (64 - reinterpret_cast<uintptr_t>(packed) % 64) % 64;
    const int64_t panel = gemm.packing.panel;
    for (int64_t batch = 0; batch < p_.batches; ++batch) {
      int64_t at_a, at_b, at_c = batch * p_.m * p_.n;
      p_.offsets(batch, at_a, at_b);
      for (int64_t first = 0; first < p_.n; first += pass_columns_) {
        int64_t width = std::min(pass_columns_, p_.n - first), panels = (width + panel - 1) / panel;
        MatrixView<T> right{b + at_b + first * p_.b.column, p_.b.row, p_.b.column};
        // The first rows of the product may come with the packing.
        int64_t done = 0;
        if (gemm.packing.pack_multiplying && right.column == 1) done = gemm.packing.rows;
        const int64_t threads = thread_count();
        const bool last_pass = first + width == p_.n;
        if (threads <= copies_ && packs_apart(threads)) {
          run_rows(gemm, {a + at_a, p_.a.row, p_.a.column}, right, c + at_c, packed, done,
                   [&](int64_t row, int64_t end) {
                     if (epilogue_) epilogue_->run_range(rest, at_c + row * p_.n, at_c + end * p_.n);
                   });
          continue;
        }
        if ((done || right.row == 1) && by_columns(panels, threads)) {
          run_columns(gemm, {a + at_a, p_.a.row, p_.a.column}, right, width, c + at_c + first, packed, done);
          if (epilogue_ && last_pass)
            parallel_for(p_.m, std::max<int64_t>(1, 16384 / p_.n), [&](int64_t begin, int64_t end) {
              epilogue_->run_range(rest, at_c + begin * p_.n, at_c + end * p_.n);
            });
          continue;
        }
        parallel_for(panels, std::max(panels / (4 * threads), 16384 / (panel * p_.k) + 1),
                     [&](int64_t begin, int64_t end) {
                       if (done)
                         gemm.packing.pack_multiplying({a + at_a, p_.a.row, p_.a.column}, right, width, p_.k, begin,
                                                       end, packed, c + at_c + first, p_.n);
                       else
                         gemm.packing.pack(right, width, p_.k, begin, end, packed);
                     });
        SharedTiles tiles(p_.m - done, width, p_.k, panel, gemm.packing.shares(p_.m, width, p_.k, threads),
                          is_half_type<T> ? 512 : width);
        PiecesLeft left;
        if (epilogue_ && last_pass) left.start(tiles.row_blocks, tiles.column_blocks);
        parallel_for(tiles.row_blocks * tiles.column_blocks, 1, [&](int64_t begin_tile, int64_t end_tile) {
          std::byte* room = panels_room(tiles);
          for (int64_t i = begin_tile; i < end_tile; ++i) {
            int64_t stripe = i / tiles.column_blocks, block = i % tiles.column_blocks;
            int64_t column = tiles.column(block), columns = tiles.column(block + 1) - column;
            int64_t row = done + tiles.row(stripe), end = done + tiles.row(stripe + 1), rows = end - row;
            gemm.rounded.multiply_packed(rows, columns, p_.k, {a + at_a + row * p_.a.row, p_.a.row, p_.a.column},
                                         {packed, width, column / panel}, c + at_c + row * p_.n + first + column, p_.n,
                                         room);
            if (epilogue_ && last_pass && left.last(stripe))
              epilogue_->run_range(rest, at_c + (stripe == 0 ? 0 : row) * p_.n, at_c + end * p_.n);
          }
        });
      }
    }
  }
  size_t copy_bytes() const { return (products_->packing.bytes(std::min(pass_columns_, p_.n), p_.k) + 63) / 64 * 64; }
  // Whether each of so many threads packs all of B for itself: of so many rows that this is little, and as long as it
  // stays in a cache.
  bool packs_apart(int64_t threads) const {
    constexpr int64_t kLeastRows = 96;
    return (!is_half_type<T> || products_->packing.rows) && threads > 1 && threads <= kFewThreads &&
           p_.m >= threads * kLeastRows && pass_columns_ >= p_.n && size_t(threads) * copy_bytes() <= kMostShared;
  }
  // Whole rows are shared out. No thread reads what another one writes, or writes beside it, where processors fetch
  // lines ahead that others have to fetch back: between cores that takes long.
  template <class F>
  void run_rows(const GemmOf<T>& gemm, MatrixView<T> a, MatrixView<T> b, T* c, std::byte* packed, int64_t done,
                F&& finish) const {
    constexpr int64_t kLeastRows = 120, kMostBlocks = 8;
    const int64_t threads = thread_count(), panels_of_b = (p_.n + gemm.packing.panel - 1) / gemm.packing.panel;
    const int64_t blocks = threads * std::clamp<int64_t>(p_.m / (threads * kLeastRows), 1, kMostBlocks);
    const Grid grid{p_.m, p_.n, 4, p_.n, blocks, 1};
    // Of the blocks of each thread, which others take over when they are done with their own.
    std::array<std::atomic<int64_t>, kFewThreads> next;
    for (int64_t i = 0; i < threads; ++i) next[size_t(i)] = blocks * i / threads;
    parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      std::byte* room = panels.get(gemm_room(grid.most_rows(), p_.n, p_.k, sizeof(T)));
      for (int64_t thread = begin; thread < end; ++thread) {
        std::byte* const own = packed + size_t(thread) * copy_bytes();
        bool is_packed = false;
        for (int64_t t = 0; t < threads; ++t) {
          const int64_t of = (thread + t) % threads, last = blocks * (of + 1) / threads;
          for (int64_t i = next[size_t(of)]++; i < last; i = next[size_t(of)]++) {
            const int64_t row = grid.row(i), after = grid.row(i + 1);
            int64_t from = row;
            if (!is_packed && done) {
              gemm.packing.pack_multiplying(a.at(row, 0), b, p_.n, p_.k, 0, panels_of_b, own, c + row * p_.n, p_.n);
              from += done;
            } else if (!is_packed) {
              gemm.packing.pack(b, p_.n, p_.k, 0, panels_of_b, own);
            }
            is_packed = true;
            gemm.rounded.multiply_packed(after - from, p_.n, p_.k, a.at(from, 0), {own, p_.n, 0}, c + from * p_.n, p_.n,
                                         room);
            finish(row, after);
          }
        }
      }
    });
  }
  // Whether A is not packed for each block of columns.
  bool near_rows() const {
    constexpr int64_t item = sizeof(T);
    return p_.a.column == 1 ? rows_lie_near(p_.a.row * item) : 2 * p_.a.column * item <= kNearRows;
  }
  // Whether blocks of columns are shared out: of an A that stays in cache while they go by. What an epilogue reads
  // does.
  bool by_columns(int64_t panels, int64_t threads) const {
    auto cached = [](int64_t rows, int64_t columns) { return size_t(rows * columns) * sizeof(T) <= kSmallLeft; };
    if (is_half_type<T> || !cached(p_.m, p_.k) || (epilogue_ && !cached(p_.m, p_.n))) return false;
    if (panels % threads != 0 && panels < 16 * threads) return false;
    return near_rows() || (!epilogue_ && threads > 1);
  }
  // All rows of a few columns at a time: what a thread has packed is in its own cache when it is read, and what it
  // packs next lies over it.
  void run_columns(const GemmOf<T>& gemm, MatrixView<T> a, MatrixView<T> b, int64_t width, T* c, std::byte* packed,
                   int64_t done) const {
    const int64_t panel = gemm.packing.panel, threads = thread_count(), all = (width + panel - 1) / panel;
    // Where A is packed for each block, there are as few as can be; else they are so small that little is left to wait
    // for at the end.
    constexpr int64_t kPanels = 4;
    const int64_t few = (all + kPanels - 1) / kPanels, rounds = near_rows() ? (few + threads - 1) / threads : 1;
    const int64_t blocks = std::min(all, rounds * threads), workers = std::min(threads, blocks);
    const int64_t longest = (all + blocks - 1) / blocks;
    const bool again = workers * longest <= all;
    const size_t panel_bytes = gemm.packing.bytes(panel, p_.k);
    // The first is its own: what the thread had in its cache in the run before.
    std::atomic<int64_t> next{workers};
    parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
      std::byte* room = panels.get(gemm_room(p_.m, std::min(width, longest * panel), p_.k, sizeof(T)));
      for (int64_t worker = begin; worker < end; ++worker)
        for (int64_t i = worker; i < blocks; i = next++) {
          const int64_t from = all * i / blocks, count = all * (i + 1) / blocks - from;
          const int64_t column = from * panel, columns = std::min(width, column + count * panel) - column;
          std::byte* to = packed + size_t(again ? worker * longest : from) * panel_bytes;
          if (done)
            gemm.packing.pack_multiplying(a, b.at(0, column), columns, p_.k, 0, count, to, c + column, p_.n);
          else
            gemm.packing.pack(b.at(0, column), columns, p_.k, 0, count, to);
          gemm.rounded.multiply_packed(p_.m - done, columns, p_.k, a.at(done, 0), {to, columns, 0},
                                       c + done * p_.n + column, p_.n, room);
        }
    });
  }
  std::byte* panels_room(const SharedTiles& tiles) const {
    return panels.get(gemm_room(tiles.most_rows(), tiles.most_columns(), p_.k, sizeof(T)));
  }

  // Products that are one tile each: the epilogue runs over a few at a time.
  void run_batches(const T* a, const T* b, T* c, std::span<std::byte* const> rest, size_t bytes) const {
    // Multiply-adds that are worth a piece, and what a product takes besides.
    constexpr int64_t kLeast = 250'000, kMost = 750'000, kBegin = 2'000;
    int64_t area = p_.m * p_.n, work = area * p_.k + kBegin;
    int64_t worth = std::clamp(work * p_.batches / thread_count(), kLeast, kMost);
    int64_t grain = std::max<int64_t>(1, worth / work), group = std::max<int64_t>(1, 16384 / area);
    parallel_for(p_.batches, grain, [&](int64_t begin, int64_t end) {
      std::byte* room = bytes ? panels.get(bytes) : nullptr;
      for (int64_t first = begin; first < end; first += group) {
        int64_t last = std::min(end, first + group);
        for (int64_t batch = first; batch < last; ++batch) {
          int64_t at_a, at_b;
          p_.offsets(batch, at_a, at_b);
          multiply(p_.m, p_.n, p_.k, a + at_a, b + at_b, c + batch * area, room);
        }
        if (epilogue_) epilogue_->run_range(rest, first * area, last * area);
      }
    });
  }

  static const T* pack(const StridedCopy& copy, const T* from, std::byte* to) {
    copy.run(reinterpret_cast<const std::byte*>(from), to);
    return reinterpret_cast<const T*>(to);
  }

  const GemmOf<T>* products_;
  Problem p_;
  bool vector_;
  int64_t pass_columns_ = 0;  // of B that are packed at a time; 0: tiles pack what they need
  int64_t copies_ = 1;        // of these
  int64_t threads_ = 0;       // for which the grid is
  Grid grid_{};
  std::optional<PreparedProgram> epilogue_;
};

// Nothing to multiply: an empty result, or sums of nothing.
class EmptyKernel final : public HostKernel {
 public:
  EmptyKernel(int64_t count, size_t item, const KernelProgram* epilogue) : count_(count), item_(item) {
    if (epilogue) epilogue_.emplace(*epilogue);
  }
  void run(std::span<std::byte* const> operands) override {
    std::fill_n(operands[2], size_t(count_) * item_, std::byte(0));
    if (epilogue_ && count_ > 0) epilogue_->run_range(operands.subspan(2), 0, count_);
  }

 private:
  int64_t count_;
  size_t item_;
  std::optional<PreparedProgram> epilogue_;
};

std::unique_ptr<Kernel> make_dot(const Primitive&, std::span<const Layout> inputs, std::span<const Layout> outputs,
                                 const KernelProgram* epilogue) {
  const Layout &a = inputs[0], &b = inputs[1];
  int64_t count = element_count(outputs[0].shape);
  if (count == 0 || a.shape.back() == 0)
    return std::make_unique<EmptyKernel>(count, item_size(outputs[0].dtype), epilogue);
  for (const Layout& l : inputs)
    for (int64_t d : l.shape)
      if (d > INT_MAX) throw ValueError(cat("dot: an axis of length ", d, " is too long"));
  if (a.dtype == Dtype::complex64) return std::make_unique<DotKernel<complex64_t>>(a, b, epilogue);
  return for_float(a.dtype, "dot", [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<DotKernel<typename decltype(tag)::type>>(a, b, epilogue);
  });
}

const RegisterKernel dot_kernel("dot", make_dot, true);

}  // namespace

bool dot_prefers_dense(const Layout& a, const Layout& b) {
  // Fewer rows go along the columns of B; for more, turning it costs little beside the product.
  constexpr int64_t kLeastRows = 5, kMostRows = 64;
  size_t lead = b.shape.size() - 2;
  bool turned = b.strides[lead + 1] != 1 && b.shape[lead] > 1 && b.shape[lead + 1] > 1;
  bool repeated = false;  // the copy would be larger
  int64_t rows = a.shape[lead];
  for (size_t i = 0; i < b.shape.size(); ++i) repeated |= b.strides[i] == 0 && b.shape[i] > 1;
  return turned && !repeated && (b.dtype == Dtype::float32 || b.dtype == Dtype::float64) && rows >= kLeastRows &&
         rows <= kMostRows;
}

}  // namespace funcnn::cpu
