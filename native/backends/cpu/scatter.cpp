#include <algorithm>

#include "backends/cpu/combine_rows.h"
#include "backends/cpu/copy.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/positions.h"
#include "backends/cpu/strided.h"
#include "base/inline.h"
#include "base/thread_pool.h"
#include "ops/gather.h"

namespace funcnn::cpu {

extern const CombineRowsTable combine_rows_table_baseline;
#if defined(FUNCNN_X86)
extern const CombineRowsTable combine_rows_table_avx2, combine_rows_table_avx512;
#endif

const CombineRowsTable& combine_rows_table() {
#if defined(FUNCNN_X86)
  if (active_level() == InstructionLevel::avx2) return combine_rows_table_avx2;
  if (active_level() == InstructionLevel::avx512) return combine_rows_table_avx512;
#endif
  return combine_rows_table_baseline;
}

namespace {

constexpr int64_t kBlock = 256;  // positions looked up at a time
constexpr int64_t kLong = 8;     // rows of fewer elements do not fill vectors

template <ScatterMode mode, class T>
T combined(T into, T value) {
  if constexpr (mode == ScatterMode::set) {
    return value;
  } else if constexpr (std::is_same_v<T, bool>) {
    return mode == ScatterMode::add || mode == ScatterMode::maximum ? (into || value) : (into && value);
  } else if constexpr (std::is_integral_v<T> && mode == ScatterMode::add) {
    return T(uint64_t(into) + uint64_t(value));  // wraps
  } else if constexpr (std::is_integral_v<T> && mode == ScatterMode::multiply) {
    return T(uint64_t(into) * uint64_t(value));
  } else if constexpr (mode == ScatterMode::add) {
    return T(into + value);
  } else if constexpr (mode == ScatterMode::multiply) {
    return T(into * value);
  } else if constexpr (!std::is_same_v<T, complex64_t>) {
    // NaN wins, whichever side it is on. Without branches, so that rows fill vectors.
    bool better = mode == ScatterMode::maximum ? value > into : value < into;
    return (int(better) | int(value != value)) ? value : into;
  } else {
    return into;
  }
}
template <ScatterMode mode, class T>
void combine(T& into, T value) {
  into = combined<mode>(into, value);
}

// Combines whole rows, vectorised; null where elements are only set or have no such loop.
CombineRowsFn row_combination(ScatterMode mode, Dtype dtype) {
  auto entry = [&](ReduceOp op) { return combine_rows_table().entry[int(op)][int(dtype)]; };
  switch (mode) {
    case ScatterMode::set:
      return nullptr;
    case ScatterMode::add:
      return entry(ReduceOp::sum);
    case ScatterMode::multiply:
      return entry(ReduceOp::prod);
    case ScatterMode::maximum:
      return entry(ReduceOp::max);
    case ScatterMode::minimum:
      break;
  }
  return entry(ReduceOp::min);
}

// Updates are applied in row-major order at every place of the output. Threads share the work so that each place
// belongs to one of them: by leading batch axes, by columns of the rest, or by ranges of the output.
template <ScatterMode mode, class T>
class ScatterKernel final : public HostKernel {
 public:
  ScatterKernel(const Scatter& op, std::span<const Layout> inputs, const Layout& out)
      : copy_(out.shape, inputs[0].strides, out.strides, sizeof(T)),
        out_(out),
        common_(common_shape(op, inputs)),
        positions_(out, inputs.subspan(2), op.axes(), common_),
        updates_(Shape(common_), {prefix(inputs[1].strides)}),
        rest_(rest(op, inputs[1])),
        combination_(row_combination(mode, out.dtype)) {
    row_ = rest_.size();
    for (const Axes& axes : {op.axes().indexed, op.axes().x_batch})
      for (int axis : axes) span_ += std::max<int64_t>(0, out.shape[size_t(axis)] - 1) * out.strides[size_t(axis)];
    for (int d = 0; d < int(common_.size()); ++d) {
      const Axes& batch = op.axes().index_batch;
      if (std::find(batch.begin(), batch.end(), d) == batch.end()) break;
      independent_ *= common_[size_t(d)];
    }
  }

  void run(std::span<std::byte* const> operands) override {
    T* out = reinterpret_cast<T*>(operands.back());
    if (operands[0] != operands.back()) copy_.run(operands[0], operands.back());
    const T* updates = reinterpret_cast<const T*>(operands[1]);
    int64_t count = positions_.size(), work = count * row_;
    if (work == 0) return;
    std::span<std::byte* const> indices = operands.subspan(2, operands.size() - 3);
    constexpr int64_t kGrain = 16384;
    size_t inner = rest_.rank() ? rest_.rank() - 1 : 0;
    int64_t columns = rest_.rank() ? rest_.lengths[inner] : 1;
    constexpr int64_t kWide = 4096 / int64_t(sizeof(T)), kLeastRow = 16;
    if (independent_ > 1 && work >= 2 * kGrain) {
      int64_t each = count / independent_;
      parallel_for(independent_, std::max<int64_t>(1, kGrain / (each * row_)),
                   [&](int64_t b, int64_t e) { apply(out, updates, indices, b * each, e * each, {0, columns}); });
    } else if (columns >= kWide) {
      parallel_for(columns, std::max<int64_t>(16, kGrain / (work / columns)),
                   [&](int64_t b, int64_t e) { apply(out, updates, indices, 0, count, {b, e}); });
    } else if (row_ >= kLeastRow && work >= 2 * kGrain) {
      // Rows stay whole: threads that write to neighbouring cache lines wait for each other.
      int64_t pieces = std::min<int64_t>(thread_count(), work / kGrain), each = (span_ + pieces - 1) / pieces;
      parallel_for(pieces, 1, [&](int64_t b, int64_t e) {
        apply(out, updates, indices, 0, count, {0, columns}, {b * each, e * each});
      });
    } else {
      apply(out, updates, indices, 0, count, {0, columns});
    }
  }

 private:
  static Shape common_shape(const Scatter& op, std::span<const Layout> inputs) {
    size_t whole = op.axes().whole(inputs[0].shape.size()).size();
    return Shape(inputs[1].shape.begin(), inputs[1].shape.end() - ptrdiff_t(whole));
  }
  const Strides* prefix(const Strides& strides) {
    update_strides_ = Strides(strides.begin(), strides.begin() + ptrdiff_t(common_.size()));
    return &update_strides_;
  }
  LoopNest rest(const Scatter& op, const Layout& updates) const {
    Shape shape;
    Strides to, from;
    size_t d = common_.size();
    for (int axis : op.axes().whole(out_.shape.size())) {
      shape.push_back(out_.shape[size_t(axis)]);
      to.push_back(out_.strides[size_t(axis)]);
      from.push_back(updates.strides[d++]);
    }
    return LoopNest(shape, {&to, &from});
  }

  // Where updates lie, position after position from `begin` on.
  class Sources {
   public:
    Sources(const LoopNest& nest, int64_t begin) : nest_(nest), at_(nest.rank(), 0) {
      for (size_t d = nest.rank(); d-- > 0; begin /= nest.lengths[d]) {
        at_[d] = begin % nest.lengths[d];
        from_ += at_[d] * nest.strides[0][d];
      }
    }
    void read(int64_t count, int64_t* out) {
      if (nest_.rank() <= 1) {
        const int64_t from = from_, step = nest_.rank() ? nest_.strides[0][0] : 0;
        for (int64_t i = 0; i < count; ++i) out[i] = from + i * step;
        from_ += count * step;
        return;
      }
      for (int64_t i = 0; i < count; ++i) {
        out[i] = from_;
        for (size_t d = nest_.rank(); d-- > 0;) {
          from_ += nest_.strides[0][d];
          if (++at_[d] < nest_.lengths[d]) break;
          from_ -= nest_.strides[0][d] * nest_.lengths[d];
          at_[d] = 0;
        }
      }
    }

   private:
    const LoopNest& nest_;
    Shape at_;
    int64_t from_ = 0;
  };

  struct Range {
    int64_t begin, end;
    bool contains(int64_t i) const { return i >= begin && i < end; }
  };

  // Updates of positions [begin, end), restricted to some columns of the rest and to places of the output. What lies
  // outside has a negative place.
  void apply(T* out, const T* updates, std::span<std::byte* const> indices, int64_t begin, int64_t end, Range columns,
             Range places = {0, INT64_MAX}) const {
    int64_t offsets[kBlock], sources[kBlock];
    Sources next(updates_, begin);
    const int64_t width = columns.end - columns.begin;
    const bool whole_rows =
        combination_ && rest_.rank() == 1 && rest_.strides[0][0] == 1 && rest_.strides[1][0] == 1 && width >= kLong;
    for (int64_t b = begin; b < end; b += kBlock) {
      int64_t count = std::min(kBlock, end - b), chosen = 0;
      positions_.offsets(b, b + count, indices, offsets);
      next.read(count, sources);
      for (int64_t i = 0; i < count; ++i) {
        sources[chosen] = sources[i];
        offsets[chosen] = offsets[i];
        chosen += places.contains(offsets[i]);
      }
      if (whole_rows) {
        combination_(out + columns.begin, offsets, updates + columns.begin, sources, chosen, width);
      } else if (row_ == 1) {
        for (int64_t i = 0; i < chosen; ++i) combine<mode>(out[offsets[i]], updates[sources[i]]);
      } else {
        for (int64_t i = 0; i < chosen; ++i) block(out + offsets[i], updates + sources[i], 0, columns);
      }
    }
  }

  void block(T* out, const T* in, size_t d, Range columns) const {
    int64_t so = rest_.strides[0][d], si = rest_.strides[1][d];
    if (d + 1 < rest_.rank()) {
      for (int64_t i = 0; i < rest_.lengths[d]; ++i) block(out + i * so, in + i * si, d + 1, columns);
      return;
    }
    if (so == 1 && si == 1) {
      combine_row(out + columns.begin, in + columns.begin, columns.end - columns.begin);
    } else if (so == 1 && si == 0) {
      T value = *in;
      for (int64_t i = columns.begin; i < columns.end; ++i) combine<mode>(out[i], value);
    } else {
      for (int64_t i = columns.begin; i < columns.end; ++i) combine<mode>(out[i * so], in[i * si]);
    }
  }

  void combine_row(T* FUNCNN_RESTRICT into, const T* FUNCNN_RESTRICT values, int64_t n) const {
    constexpr int64_t here = 0;
    if (combination_ && n >= kLong) return combination_(into, &here, values, &here, 1, n);
    for (int64_t i = 0; i < n; ++i) into[i] = combined<mode>(into[i], values[i]);
  }

  StridedCopy copy_;
  Layout out_;
  Shape common_;
  Strides update_strides_;
  Positions positions_;
  LoopNest updates_;  // over the positions
  LoopNest rest_;     // within one: output, updates
  CombineRowsFn combination_;
  int64_t row_ = 1, independent_ = 1;
  int64_t span_ = 1;  // places are below this
};

template <ScatterMode mode>
std::unique_ptr<Kernel> make_mode(const Scatter& op, std::span<const Layout> inputs, const Layout& out) {
  // Setting only moves elements.
  if constexpr (mode == ScatterMode::set)
    return visit_size(item_size(out.dtype), [&](auto unit) -> std::unique_ptr<Kernel> {
      return std::make_unique<ScatterKernel<mode, decltype(unit)>>(op, inputs, out);
    });
  else
    return visit_dtype(out.dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
      return std::make_unique<ScatterKernel<mode, typename decltype(tag)::type>>(op, inputs, out);
    });
}

std::unique_ptr<Kernel> make_scatter(const Primitive& primitive, std::span<const Layout> inputs,
                                     std::span<const Layout> outputs, const KernelProgram*) {
  const Scatter& op = static_cast<const Scatter&>(primitive);
  switch (op.mode()) {
    case ScatterMode::set:
      return make_mode<ScatterMode::set>(op, inputs, outputs[0]);
    case ScatterMode::add:
      return make_mode<ScatterMode::add>(op, inputs, outputs[0]);
    case ScatterMode::multiply:
      return make_mode<ScatterMode::multiply>(op, inputs, outputs[0]);
    case ScatterMode::maximum:
      return make_mode<ScatterMode::maximum>(op, inputs, outputs[0]);
    case ScatterMode::minimum:
      break;
  }
  return make_mode<ScatterMode::minimum>(op, inputs, outputs[0]);
}

const RegisterKernel registered("scatter", make_scatter);

}  // namespace
}  // namespace funcnn::cpu
