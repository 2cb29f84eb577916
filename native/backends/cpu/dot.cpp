// The kernel of dot: tiles of the product shared among threads, each computed by our own tile kernel (gemm.h) or, for
// complex numbers, by the BLAS. Where many tiles read the same columns of B, these are packed once (dot_packed.h).
// How an element is summed up depends on the shape alone. An epilogue finds its rows in cache.
#include <algorithm>
#include <climits>
#include <memory>
#include <optional>
#include <vector>

#include "backends/cpu/blas.h"
#include "backends/cpu/dot.h"
#include "backends/cpu/dot_packed.h"
#include "backends/cpu/dot_problem.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/gemm_grid.h"
#include "backends/cpu/interpreter.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/pieces_left.h"
#include "backends/cpu/tile_product.h"
#include "base/dtype.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

using blas::MatrixLayout;

template <class T>
class DotKernel final : public HostKernel {
  using Sum = SumOf<T>;

 public:
  DotKernel(const Layout& a, const Layout& b, const KernelProgram* epilogue)
      : products_(own_products()), p_(a, b, products_ != nullptr) {
    if (epilogue) epilogue_.emplace(*epilogue);
    vector_ = !products_ && !is_half_type<T> && (p_.m == 1 || p_.n == 1) && as_operand(p_.m, p_.k, p_.a) &&
              as_operand(p_.k, p_.n, p_.b);
    if constexpr (!std::is_same_v<T, complex64_t>)
      if (products_ && PackedDot<T>::pays(p_)) packed_.emplace(p_, *products_);
    threads_ = thread_count();
    if (!packed_) grid_ = grid(threads_);
  }

  // Dense copies of what cannot be read in place, the parts of sums, packed columns of B.
  size_t scratch_bytes() const override {
    if constexpr (!std::is_same_v<T, complex64_t>)
      if (packed_) return packed_->scratch_bytes();
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
    if constexpr (!std::is_same_v<T, complex64_t>)
      if (packed_)
        return packed_->run(a, b, c, epilogue_ ? &*epilogue_ : nullptr, rest.first(rest.size() - 1), operands.back());
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
      std::byte* room = bytes ? product_room().get(bytes) : nullptr;
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
  Grid grid(int64_t threads) const {
    constexpr int64_t kLeastColumns = 64;  // that are worth a run of the epilogue
    Grid fixed{p_.m, p_.n, p_.row_block, p_.column_block, p_.row_blocks, p_.column_blocks};
    fixed.by_tiles = p_.column_blocks > 1 && p_.column_block >= kLeastColumns && p_.row_block <= kMostStripRows;
    if constexpr (is_half_type<T> || std::is_same_v<T, complex64_t>) {
      return fixed;
    } else {
      if (!products_ || !p_.tiled) return fixed;
      GridCosts costs{p_.batches * p_.depth_blocks, p_.near_rows(sizeof(T)) ? 4.0 : 12.0,
                      p_.b.column == 1 ? 8.0 : 14.0};
      costs.epilogue = epilogue_.has_value();
      return choose_grid(p_.m, p_.n, p_.depth_block, products_->packing.panel, costs, threads);
    }
  }

  bool is_tiny() const {
    constexpr int64_t kTiny = 1 << 15;
    return products_ && !packed_ && !vector_ && !p_.tiled && p_.batches == 1 && p_.m * p_.n * p_.k <= kTiny &&
           grid_.row_blocks * grid_.column_blocks * p_.depth_blocks == 1 && scratch_bytes() == 0;
  }
  FixedWork fix_tiny(std::span<std::byte* const> operands, std::span<const char> lasting) const {
    struct Bound {
      Gemm<T, T> multiply;
      int64_t m, n, k;
      std::byte* at[3];
      MatrixSteps a, b;
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

  // Products that are one tile each: the epilogue runs over a few at a time.
  void run_batches(const T* a, const T* b, T* c, std::span<std::byte* const> rest, size_t bytes) const {
    // Multiply-adds that are worth a piece, and what a product takes besides.
    constexpr int64_t kLeast = 250'000, kMost = 750'000, kBegin = 2'000;
    int64_t area = p_.m * p_.n, work = area * p_.k + kBegin;
    int64_t worth = std::clamp(work * p_.batches / thread_count(), kLeast, kMost);
    int64_t grain = std::max<int64_t>(1, worth / work), group = std::max<int64_t>(1, 16384 / area);
    parallel_for(p_.batches, grain, [&](int64_t begin, int64_t end) {
      std::byte* room = bytes ? product_room().get(bytes) : nullptr;
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
  DotProblem p_;
  bool vector_;
  std::optional<PackedDot<T>> packed_;
  int64_t threads_ = 0;  // for which the grid is
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
