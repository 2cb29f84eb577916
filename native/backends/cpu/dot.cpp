// The kernel of dot: BLAS calls over tiles of our own, so that threads share the work in a way that only the shape
// decides, and an epilogue finds its rows in cache.
#include <algorithm>
#include <atomic>
#include <climits>
#include <memory>
#include <optional>
#include <vector>

#include "backends/cpu/blas.h"
#include "backends/cpu/copy.h"
#include "backends/cpu/interpreter.h"
#include "backends/cpu/kernels.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

using blas::Operand;

struct BatchAxis {
  int64_t length, a, b;  // steps in elements
};

// What one operand's matrix looks like to the BLAS; nothing if no strides of its will do.
std::optional<Operand> as_operand(int64_t rows, int64_t columns, int64_t row_step, int64_t column_step) {
  if (rows == 1) row_step = columns;
  if (columns == 1) {
    if (row_step == 1) return Operand{true, std::max(rows, int64_t(1))};
    if (row_step >= 1 && row_step <= INT_MAX) return Operand{false, row_step};
  }
  if (rows == 1 && column_step >= 1 && column_step <= INT_MAX) {
    return column_step == 1 ? Operand{false, columns} : Operand{true, column_step};
  }
  if (column_step == 1 && row_step >= columns && row_step <= INT_MAX) return Operand{false, row_step};
  if (row_step == 1 && column_step >= rows && column_step <= INT_MAX) return Operand{true, column_step};
  return std::nullopt;
}

// Everything the layouts decide.
struct Problem {
  int64_t m, n, k;
  std::vector<BatchAxis> axes;
  int64_t batches = 1;
  Operand a, b;
  bool copy_a = false, copy_b = false;
  StridedCopy pack_a, pack_b;
  int64_t packed_a = 0, packed_b = 0;  // elements

  int64_t row_block, column_block;
  int64_t row_blocks, column_blocks;

  Problem(const Layout& la, const Layout& lb);
  void choose_tiles();
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

Problem::Problem(const Layout& la, const Layout& lb) {
  size_t rank = la.shape.size(), lead = rank - 2;
  m = la.shape[lead];
  k = la.shape[lead + 1];
  n = lb.shape[lead + 1];
  // An operand the BLAS cannot read is made dense first, without its repeated batch axes.
  auto prepare = [&](const Layout& l, int64_t rows, int64_t columns, bool& copy, StridedCopy& pack, int64_t& packed) {
    Strides strides = l.strides;
    int64_t row_step = strides[lead], column_step = strides[lead + 1];
    std::optional<Operand> operand = as_operand(rows, columns, row_step, column_step);
    if (operand) return std::pair(*operand, strides);
    Shape shape = l.shape;
    for (size_t i = 0; i < lead; ++i)
      if (strides[i] == 0) shape[i] = 1;
    Strides dense = contiguous_strides(shape);
    pack = StridedCopy(shape, strides, dense, item_size(l.dtype));
    copy = true;
    packed = element_count(shape);
    for (size_t i = 0; i < lead; ++i)
      if (shape[i] == 1) dense[i] = 0;
    return std::pair(Operand{false, columns}, dense);
  };
  auto [operand_a, strides_a] = prepare(la, m, k, copy_a, pack_a, packed_a);
  auto [operand_b, strides_b] = prepare(lb, k, n, copy_b, pack_b, packed_b);
  a = operand_a;
  b = operand_b;
  for (size_t i = 0; i < lead; ++i) {
    if (la.shape[i] == 1) continue;
    BatchAxis axis{la.shape[i], strides_a[i], strides_b[i]};
    if (!axes.empty() && axes.back().a == axis.a * axis.length && axes.back().b == axis.b * axis.length) {
      axes.back() = {axes.back().length * axis.length, axis.a, axis.b};
    } else {
      axes.push_back(axis);
    }
  }
  // A batch axis that b does not have is more rows of a.
  while (!axes.empty() && axes.back().b == 0) {
    const BatchAxis& axis = axes.back();
    bool dense_rows = (!a.transposed && axis.a == m * a.leading) || (m == 1 && axis.a >= k && axis.a <= INT_MAX);
    if (m == 1 && a.transposed && k > 1) dense_rows = false;
    if (!dense_rows) break;
    if (m == 1) a = {false, axis.a};
    m *= axis.length;
    axes.pop_back();
  }
  for (const BatchAxis& axis : axes) batches *= axis.length;
  choose_tiles();
}

void Problem::choose_tiles() {
  // Depends on the shape alone: results must not change with the number of threads.
  double macs = double(m) * double(n) * double(k);
  row_block = std::min<int64_t>(m, 512);
  column_block = std::min<int64_t>(n, 1024);
  int64_t wanted = macs < 1.5e6 ? 1 : macs < 2e7 ? 2 : macs < 1.3e8 ? 4 : 8;
  if (m == 1 || n == 1) wanted = macs < 2e5 ? 1 : macs < 2e6 ? 4 : 8;  // bound by reading the matrix
  if (batches > 1) wanted = std::max<int64_t>(1, wanted / batches);
  auto blocks = [](int64_t length, int64_t block) { return (length + block - 1) / block; };
  if (wanted == 1 && macs < 6.4e7) {
    row_block = m;
    column_block = n;
  }
  int64_t least_columns = m == 1 ? 64 : 128, least_rows = n == 1 ? 8 : 32;
  while (blocks(m, row_block) * blocks(n, column_block) < wanted) {
    bool rows = row_block >= 2 * least_rows, columns = column_block >= 2 * least_columns;
    if (!rows && !columns) break;
    if (rows && (!columns || row_block >= column_block)) {
      row_block = (row_block / 2 + 15) / 16 * 16;
    } else {
      column_block = (column_block / 2 + 15) / 16 * 16;
    }
  }
  row_blocks = blocks(m, row_block);
  column_blocks = blocks(n, column_block);
  // Even blocks: no sliver at the end.
  auto even = [](int64_t length, int64_t count) { return ((length + count - 1) / count + 15) / 16 * 16; };
  if (row_blocks > 1) row_block = even(m, row_blocks);
  if (column_blocks > 1) column_block = even(n, column_blocks);
  row_blocks = blocks(m, row_block);
  column_blocks = blocks(n, column_block);
}

template <class T>
const T* element(const T* base, Operand operand, int64_t row, int64_t column) {
  return base + (operand.transposed ? column * operand.leading + row : row * operand.leading + column);
}

template <class T>
void product(int64_t m, int64_t n, int64_t k, const T* a, Operand la, const T* b, Operand lb, T* c, int64_t ldc,
             T beta) {
  if (m == 1 && n > 1) {
    // The row is a vector; B is read once, in its own order.
    blas::gemv<T>(n, k, b, {!lb.transposed, lb.leading}, a, la.transposed ? la.leading : 1, beta, c);
  } else if (n == 1 && ldc == 1) {
    blas::gemv<T>(m, k, a, la, b, lb.transposed ? 1 : lb.leading, beta, c);
  } else {
    blas::gemm<T>(m, n, k, a, la, b, lb, beta, c, ldc);
  }
}

inline float widen(bfloat16_t x) { return bfloat16_bits_to_float(x.bits); }
// Without branches, so that loops over it vectorise: the exponent is rebased by a product, which also normalises
// subnormal numbers; infinities and NaN keep theirs.
inline float widen(float16_t x) {
  uint32_t magnitude = uint32_t(x.bits & 0x7fffu) << 13, sign = uint32_t(x.bits & 0x8000u) << 16;
  float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  uint32_t bits = magnitude >= 0x0f800000u ? (magnitude | 0x7f800000u) : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(bits | sign);
}

// A block of an operand as dense float32, in the operand's own order.
template <class H>
Operand widen_block(const H* base, Operand operand, int64_t row, int64_t rows, int64_t column, int64_t columns,
                    float* out) {
  const H* from = element(base, operand, row, column);
  int64_t lines = operand.transposed ? columns : rows, length = operand.transposed ? rows : columns;
  for (int64_t i = 0; i < lines; ++i)
    for (int64_t j = 0; j < length; ++j) out[i * length + j] = widen(from[i * operand.leading + j]);
  return {operand.transposed, length};
}

// One tile of a product of 16-bit floats: blocks along K are widened and accumulated in float32.
template <class H>
void half_product(int64_t m, int64_t n, int64_t k, const H* a, Operand la, const H* b, Operand lb, H* c, int64_t ldc) {
  int64_t block = std::clamp<int64_t>((1 << 17) / std::max<int64_t>(std::max(m, n), 1), 64, 512);
  block = std::min(block, k);
  auto scratch = Buffer::allocate(size_t(m * block + block * n + m * n) * sizeof(float));
  float* wide_a = reinterpret_cast<float*>(scratch->data());
  float *wide_b = wide_a + m * block, *total = wide_b + block * n;
  for (int64_t at = 0; at < k; at += block) {
    int64_t length = std::min(block, k - at);
    Operand xa = widen_block(a, la, 0, m, at, length, wide_a), xb = widen_block(b, lb, at, length, 0, n, wide_b);
    product<float>(m, n, length, wide_a, xa, wide_b, xb, total, n, at == 0 ? 0.0f : 1.0f);
  }
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = H(total[i * n + j]);
}

template <class T>
class DotKernel final : public Kernel {
 public:
  DotKernel(const Layout& a, const Layout& b, const KernelProgram* epilogue) : p_(a, b) {
    if (epilogue) epilogue_.emplace(*epilogue);
  }

  size_t scratch_bytes() const override { return size_t(p_.packed_a + p_.packed_b) * sizeof(T); }

  void run(std::span<std::byte* const> operands) override {
    const T* a = reinterpret_cast<const T*>(operands[0]);
    const T* b = reinterpret_cast<const T*>(operands[1]);
    T* c = reinterpret_cast<T*>(operands[2]);
    std::span<std::byte* const> rest = operands.subspan(2);
    if (p_.batches == 1 && p_.row_blocks == 1 && p_.column_blocks == 1 && !p_.copy_a && !p_.copy_b) {
      multiply(p_.m, p_.n, a, b, c);
      if (epilogue_) epilogue_->run_range(rest, 0, p_.m * p_.n);
      return;
    }
    Ref<Buffer> room_a, room_b;
    if (p_.copy_a) a = pack(p_.pack_a, p_.packed_a, a, room_a);
    if (p_.copy_b) b = pack(p_.pack_b, p_.packed_b, b, room_b);
    int64_t tiles = p_.row_blocks * p_.column_blocks;
    if (tiles == 1) {
      run_batches(a, b, c, rest);
      return;
    }
    // The last tile of a row of tiles runs the epilogue over the finished rows.
    std::unique_ptr<std::atomic<int32_t>[]> left;
    if (epilogue_ && p_.column_blocks > 1) {
      left.reset(new std::atomic<int32_t>[size_t(p_.batches * p_.row_blocks)]);
      for (int64_t i = 0; i < p_.batches * p_.row_blocks; ++i) left[size_t(i)] = int32_t(p_.column_blocks);
    }
    parallel_for(p_.batches * tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t stripe = i / p_.column_blocks, batch = stripe / p_.row_blocks;
        int64_t row = stripe % p_.row_blocks * p_.row_block, column = i % p_.column_blocks * p_.column_block;
        int64_t rows = std::min(p_.row_block, p_.m - row), columns = std::min(p_.column_block, p_.n - column);
        int64_t at_a, at_b;
        p_.offsets(batch, at_a, at_b);
        T* out = c + (batch * p_.m + row) * p_.n;
        multiply(rows, columns, element(a + at_a, p_.a, row, 0), element(b + at_b, p_.b, 0, column), out + column);
        if (epilogue_ && (!left || left[size_t(stripe)].fetch_sub(1, std::memory_order_acq_rel) == 1))
          epilogue_->run_range(rest, out - c, out - c + rows * p_.n);
      }
    });
  }

 private:
  void multiply(int64_t rows, int64_t columns, const T* a, const T* b, T* c) const {
    if constexpr (std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>) {
      half_product(rows, columns, p_.k, a, p_.a, b, p_.b, c, p_.n);
    } else {
      product<T>(rows, columns, p_.k, a, p_.a, b, p_.b, c, p_.n, T(0));
    }
  }

  // Many small products: each whole, the epilogue over a few at a time.
  void run_batches(const T* a, const T* b, T* c, std::span<std::byte* const> rest) const {
    int64_t area = p_.m * p_.n, work = std::max<int64_t>(area * p_.k, 1);
    int64_t grain = std::max<int64_t>(1, 750'000 / work), group = std::max<int64_t>(1, 16384 / area);
    parallel_for(p_.batches, grain, [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += group) {
        int64_t last = std::min(end, first + group);
        for (int64_t batch = first; batch < last; ++batch) {
          int64_t at_a, at_b;
          p_.offsets(batch, at_a, at_b);
          multiply(p_.m, p_.n, a + at_a, b + at_b, c + batch * area);
        }
        if (epilogue_) epilogue_->run_range(rest, first * area, last * area);
      }
    });
  }

  const T* pack(const StridedCopy& copy, int64_t count, const T* from, Ref<Buffer>& room) const {
    room = Buffer::allocate(size_t(count) * sizeof(T));
    copy.run(reinterpret_cast<const std::byte*>(from), room->data());
    return reinterpret_cast<const T*>(room->data());
  }

  Problem p_;
  std::optional<PreparedProgram> epilogue_;
};

// Nothing to multiply: an empty result, or sums of nothing.
class EmptyKernel final : public Kernel {
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
  for (int64_t d : a.shape)
    if (d > INT_MAX) throw ValueError(cat("dot: an axis of length ", d, " is too long"));
  switch (a.dtype) {
    case Dtype::float16:
      return std::make_unique<DotKernel<float16_t>>(a, b, epilogue);
    case Dtype::bfloat16:
      return std::make_unique<DotKernel<bfloat16_t>>(a, b, epilogue);
    case Dtype::float32:
      return std::make_unique<DotKernel<float>>(a, b, epilogue);
    case Dtype::float64:
      return std::make_unique<DotKernel<double>>(a, b, epilogue);
    case Dtype::complex64:
      return std::make_unique<DotKernel<complex64_t>>(a, b, epilogue);
    default:
      throw Error(cat("dot: no kernel for ", a.dtype));
  }
}

const RegisterKernel dot_kernel("dot", make_dot, true);

}  // namespace
}  // namespace funcnn::cpu
