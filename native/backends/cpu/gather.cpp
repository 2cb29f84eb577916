#include "ops/gather.h"

#include <algorithm>

#include "backends/cpu/kernels.h"
#include "backends/cpu/positions.h"
#include "backends/cpu/strided.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// Offsets are found for this many positions at a time.
constexpr int64_t kBlock = 256;

template <class U>
class GatherKernel final : public HostKernel {
 public:
  GatherKernel(const Gather& op, std::span<const Layout> inputs, const Layout& out)
      : positions_(inputs[0], inputs.subspan(1), op.axes(), common_shape(op, inputs[0], out)),
        rest_(rest(op, inputs[0])) {
    row_ = rest_.size();
    flat_ = rest_.rank() == 0 || (rest_.rank() == 1 && rest_.strides[0][0] == 1);
  }

  // One row, or element, is found without a loop over positions.
  bool fix(std::span<std::byte* const> operands, std::span<const char> lasting, std::vector<FixedWork>& out) override {
    const std::optional<Positions::Single> single = positions_.single();
    if (!single || row_ == 0 || !flat_) return HostKernel::fix(operands, lasting, out);
    struct Bound {
      Positions::Single position;
      size_t bytes;
      std::byte* at[3];  // x, the index, the row
    };
    auto bound = std::make_shared<Bound>(Bound{*single, size_t(row_) * sizeof(U), {}});
    FixedWork work;
    std::copy_n(operands.begin(), 3, bound->at);
    work.start_at(bound->at);
    work.call = [](void* with) {
      const Bound& bound = *static_cast<const Bound*>(with);
      const int64_t offset = bound.position.offset(bound.at[1]);
      if (Positions::outside(offset))
        std::memset(bound.at[2], 0, bound.bytes);
      else
        std::memcpy(bound.at[2], bound.at[0] + offset * int64_t(sizeof(U)), bound.bytes);
    };
    work.with = std::move(bound);
    out.push_back(std::move(work));
    return true;
  }

  void run(std::span<std::byte* const> operands) override {
    const U* x = reinterpret_cast<const U*>(operands[0]);
    U* out = reinterpret_cast<U*>(operands.back());
    std::span<std::byte* const> indices = operands.subspan(1, operands.size() - 2);
    if (row_ == 0 || positions_.size() == 0) return;
    if (Positions::Repeats repeats = positions_.repeats(); row_ == 1 && repeats.rows >= 4)
      return run_repeated(x, out, indices, repeats);
    parallel_for(positions_.size(), std::max<int64_t>(1, 16384 / row_), [&](int64_t begin, int64_t end) {
      int64_t offsets[kBlock];
      for (int64_t b = begin; b < end; b += kBlock) {
        int64_t count = std::min(kBlock, end - b);
        positions_.offsets(b, b + count, indices, offsets);
        U* to = out + b * row_;
        if (row_ == 1) {
          for (int64_t i = 0; i < count; ++i) to[i] = Positions::outside(offsets[i]) ? U(0) : x[offsets[i]];
          continue;
        }
        if (rest_.rank() == 1 && !flat_) {
          copy_columns(to, x, offsets, count);
          continue;
        }
        for (int64_t i = 0; i < count; ++i, to += row_) {
          if (Positions::outside(offsets[i]))
            std::memset(to, 0, size_t(row_) * sizeof(U));
          else if (flat_)
            std::memcpy(to, x + offsets[i], size_t(row_) * sizeof(U));
          else
            copy_rows(to, x + offsets[i], 0);
        }
      }
    });
  }

 private:
  // Single elements at the same places of many rows: the places are found once for all of them.
  void run_repeated(const U* x, U* out, std::span<std::byte* const> indices, Positions::Repeats repeats) const {
    constexpr int64_t kColumns = 1024;
    int64_t columns = positions_.size() / repeats.rows;
    parallel_for(repeats.rows, std::max<int64_t>(1, 32768 / columns), [&](int64_t begin, int64_t end) {
      int64_t offsets[kColumns];
      for (int64_t c = 0; c < columns; c += kColumns) {
        int64_t count = std::min(kColumns, columns - c);
        positions_.offsets(c, c + count, indices, offsets);
        bool outside = false;
        for (int64_t i = 0; i < count; ++i) outside |= Positions::outside(offsets[i]);
        for (int64_t r = begin; r < end; ++r) {
          U* to = out + r * columns + c;
          const U* from = x + r * repeats.step;
          if (outside)
            for (int64_t i = 0; i < count; ++i) to[i] = Positions::outside(offsets[i]) ? U(0) : from[offsets[i]];
          else
            for (int64_t i = 0; i < count; ++i) to[i] = from[offsets[i]];
        }
      }
    });
  }

  static Shape common_shape(const Gather& op, const Layout& x, const Layout& out) {
    size_t whole = op.axes().whole(x.shape.size()).size();
    return Shape(out.shape.begin(), out.shape.end() - ptrdiff_t(whole));
  }
  static LoopNest rest(const Gather& op, const Layout& x) {
    Shape shape;
    Strides strides;
    for (int axis : op.axes().whole(x.shape.size())) {
      shape.push_back(x.shape[size_t(axis)]);
      strides.push_back(x.strides[size_t(axis)]);
    }
    return LoopNest(shape, {&strides});
  }

  // Rows of the result that lie across the rows of x: some of each at a time, so that what is read stays in cache.
  void copy_columns(U* to, const U* x, const int64_t* offsets, int64_t count) const {
    constexpr int64_t kStrip = 64 / int64_t(sizeof(U)) < 8 ? 8 : 64 / int64_t(sizeof(U));
    int64_t step = rest_.strides[0][0];
    for (int64_t begin = 0; begin < row_; begin += kStrip) {
      int64_t n = std::min(kStrip, row_ - begin);
      for (int64_t i = 0; i < count; ++i) {
        U* out = to + i * row_ + begin;
        if (Positions::outside(offsets[i])) {
          std::fill_n(out, n, U(0));
          continue;
        }
        const U* from = x + offsets[i] + begin * step;
        for (int64_t k = 0; k < n; ++k) out[k] = from[k * step];
      }
    }
  }

  // The rest from axis d on; returns the end of what it wrote.
  U* copy_rows(U* to, const U* from, size_t d) const {
    int64_t length = rest_.lengths[d], step = rest_.strides[0][d];
    if (d + 1 < rest_.rank()) {
      for (int64_t i = 0; i < length; ++i) to = copy_rows(to, from + i * step, d + 1);
      return to;
    }
    if (step == 1)
      std::memcpy(to, from, size_t(length) * sizeof(U));
    else
      for (int64_t i = 0; i < length; ++i) to[i] = from[i * step];
    return to + length;
  }

  Positions positions_;
  LoopNest rest_;
  int64_t row_;
  bool flat_;
};

std::unique_ptr<Kernel> make_gather(const Primitive& primitive, std::span<const Layout> inputs,
                                    std::span<const Layout> outputs, const KernelProgram*) {
  return visit_size(item_size(outputs[0].dtype), [&](auto unit) -> std::unique_ptr<Kernel> {
    return std::make_unique<GatherKernel<decltype(unit)>>(static_cast<const Gather&>(primitive), inputs, outputs[0]);
  });
}

const RegisterKernel registered("gather", make_gather);

}  // namespace
}  // namespace funcnn::cpu
