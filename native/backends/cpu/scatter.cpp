#include <algorithm>
#include <optional>
#include <vector>

#include "backends/cpu/combine_rows.h"
#include "backends/cpu/copy.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/positions.h"
#include "backends/cpu/scatter_halves.h"
#include "backends/cpu/strided.h"
#include "base/inline.h"
#include "base/thread_pool.h"
#include "ops/gather.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(CombineRowsTable, combine_rows_table);

const CombineRowsTable& combine_rows_table() { return FUNCNN_OF_ACTIVE_SET(combine_rows_table); }

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

// Of rows at these places, elements that are these steps apart.
template <ScatterMode mode, class T>
void combine_rows(std::byte* out, const int64_t* places, int64_t out_step, const std::byte* in, const int64_t* sources,
                  int64_t in_step, int64_t rows, int64_t count) {
  for (int64_t r = 0; r < rows; ++r) {
    T* FUNCNN_RESTRICT into = reinterpret_cast<T*>(out) + places[r];
    const T* FUNCNN_RESTRICT values = reinterpret_cast<const T*>(in) + sources[r];
    if (out_step == 1 && in_step == 1) {
      for (int64_t i = 0; i < count; ++i) into[i] = combined<mode>(into[i], values[i]);
    } else if (out_step == 1 && in_step == 0) {
      const T value = *values;
      for (int64_t i = 0; i < count; ++i) into[i] = combined<mode>(into[i], value);
    } else {
      for (int64_t i = 0; i < count; ++i) into[i * out_step] = combined<mode>(into[i * out_step], values[i * in_step]);
    }
  }
}
// Elements that lie anywhere, one after another.
template <ScatterMode mode, class T>
void combine_elements(std::byte* out, const int64_t* places, const std::byte* in, const int64_t* sources,
                      int64_t count) {
  T* into = reinterpret_cast<T*>(out);
  const T* values = reinterpret_cast<const T*>(in);
  for (int64_t i = 0; i < count; ++i) into[places[i]] = combined<mode>(into[places[i]], values[sources[i]]);
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

// All that depends on the mode and the dtype.
struct Combination {
  void (*rows)(std::byte*, const int64_t*, int64_t, const std::byte*, const int64_t*, int64_t, int64_t, int64_t);
  void (*elements)(std::byte*, const int64_t*, const std::byte*, const int64_t*, int64_t);
  CombineRowsFn long_rows;  // or null
  int64_t item;
};
template <ScatterMode mode>
Combination combination(Dtype dtype) {
  CombineRowsFn long_rows = row_combination(mode, dtype);
  if constexpr (mode == ScatterMode::set) {  // only moves elements
    return visit_size(item_size(dtype), [&](auto unit) -> Combination {
      using T = decltype(unit);
      return {combine_rows<mode, T>, combine_elements<mode, T>, long_rows, sizeof(T)};
    });
  } else {
    return visit_dtype(dtype, [&](auto tag) -> Combination {
      using T = typename decltype(tag)::type;
      return {combine_rows<mode, T>, combine_elements<mode, T>, long_rows, sizeof(T)};
    });
  }
}
Combination combination(ScatterMode mode, Dtype dtype) {
  switch (mode) {
    case ScatterMode::set:
      return combination<ScatterMode::set>(dtype);
    case ScatterMode::add:
      return combination<ScatterMode::add>(dtype);
    case ScatterMode::multiply:
      return combination<ScatterMode::multiply>(dtype);
    case ScatterMode::maximum:
      return combination<ScatterMode::maximum>(dtype);
    case ScatterMode::minimum:
      break;
  }
  return combination<ScatterMode::minimum>(dtype);
}

// Updates are applied in row-major order at every place of the output. Threads share the work so that each place
// belongs to one of them: by leading batch axes, by columns of the rest, or by ranges of the output.
class ScatterKernel final : public HostKernel {
 public:
  ScatterKernel(const Scatter& op, std::span<const Layout> inputs, const Layout& out)
      : combination_(combination(op.mode(), out.dtype)),
        copy_(out.shape, inputs[0].strides, out.strides, size_t(combination_.item)),
        out_(out),
        common_(common_shape(op, inputs)),
        positions_(out, inputs.subspan(2), op.axes(), common_),
        updates_(Shape(common_), {prefix(inputs[1].strides)}),
        rest_(rest(op, inputs[1])) {
    row_ = rest_.size();
    dense_ = is_contiguous(out.shape, inputs[0].strides);
    if (HalfTotals::needed(op.mode(), out.dtype)) halves_.emplace(op.mode(), out.dtype, rest_);
    for (const Axes& axes : {op.axes().indexed, op.axes().x_batch})
      for (int axis : axes) span_ += std::max<int64_t>(0, out.shape[size_t(axis)] - 1) * out.strides[size_t(axis)];
    for (int d = 0; d < int(common_.size()); ++d) {
      const Axes& batch = op.axes().index_batch;
      if (std::find(batch.begin(), batch.end(), d) == batch.end()) break;
      independent_ *= common_[size_t(d)];
    }
  }

  // One row, or element, is placed without a loop over positions.
  bool fix(std::span<std::byte* const> operands, std::span<const char> lasting, std::vector<FixedWork>& out) override {
    const std::optional<Positions::Single> single = positions_.single();
    const auto bytes = size_t(element_count(out_.shape) * combination_.item);
    constexpr size_t kMostBytes = 1 << 14;  // of what is copied by one thread
    if (!single || row_ == 0 || rest_.rank() > 1 || halves_ || !dense_ || bytes > kMostBytes)
      return HostKernel::fix(operands, lasting, out);
    struct Bound {
      const ScatterKernel* kernel;
      Positions::Single position;
      size_t bytes;
      std::byte* at[4];  // x, the update, the index, the output
    };
    auto bound = std::make_shared<Bound>(Bound{this, *single, bytes, {}});
    FixedWork work;
    std::copy_n(operands.begin(), 4, bound->at);
    work.start_at(bound->at);
    work.call = [](void* with) {
      const Bound& bound = *static_cast<const Bound*>(with);
      const ScatterKernel& kernel = *bound.kernel;
      std::byte* to = bound.at[3];
      if (bound.at[0] != to) std::memcpy(to, bound.at[0], bound.bytes);
      const int64_t place = bound.position.offset(bound.at[2]);
      constexpr int64_t first = 0;
      if (Positions::outside(place)) return;
      if (kernel.row_ == 1)
        kernel.combination_.elements(to, &place, bound.at[1], &first, 1);
      else
        kernel.rows(to, &place, bound.at[1], &first, 1, {0, kernel.row_});
    };
    work.with = std::move(bound);
    out.push_back(std::move(work));
    return true;
  }

  void run(std::span<std::byte* const> operands) override {
    std::byte* out = operands.back();
    if (operands[0] != out) copy_.run(operands[0], out);
    const std::byte* updates = operands[1];
    int64_t count = positions_.size(), work = count * row_;
    if (work == 0) return;
    std::span<std::byte* const> indices = operands.subspan(2, operands.size() - 3);
    constexpr int64_t kGrain = 16384;
    size_t inner = rest_.rank() ? rest_.rank() - 1 : 0;
    int64_t columns = rest_.rank() ? rest_.lengths[inner] : 1;
    constexpr int64_t kLeastRow = 16;
    const int64_t wide = 4096 / combination_.item;
    if (independent_ > 1 && work >= 2 * kGrain) {
      int64_t each = count / independent_;
      parallel_for(independent_, std::max<int64_t>(1, kGrain / (each * row_)),
                   [&](int64_t b, int64_t e) { apply(out, updates, indices, b * each, e * each, {0, columns}); });
    } else if (columns >= wide) {
      // A fourth of 64, which threads may get, fills lines of the cache.
      parallel_for(columns, std::max<int64_t>(64, kGrain / (work / columns)),
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
  void apply(std::byte* out, const std::byte* updates, std::span<std::byte* const> indices, int64_t begin, int64_t end,
             Range columns, Range places = {0, INT64_MAX}) const {
    if (halves_) {
      std::vector<HalfTotals::Update> chosen;
      if (places.end == INT64_MAX) chosen.reserve(size_t(end - begin));
      each_block(indices, begin, end, places, [&](const int64_t* to, const int64_t* sources, int64_t count) {
        for (int64_t i = 0; i < count; ++i) chosen.push_back({uint64_t(to[i]), sources[i]});
      });
      return halves_->combine(out, updates, chosen, columns.begin, columns.end);
    }
    const int64_t item = combination_.item;
    each_block(indices, begin, end, places, [&](const int64_t* to, const int64_t* sources, int64_t count) {
      if (row_ == 1) {
        combination_.elements(out, to, updates, sources, count);
      } else if (rest_.rank() == 1) {
        rows(out, to, updates, sources, count, columns);
      } else {
        for (int64_t i = 0; i < count; ++i) block(out + to[i] * item, updates + sources[i] * item, 0, columns);
      }
    });
  }

  // Call f(places, sources, count) for the updates among positions [begin, end) that go to these places, in order.
  template <class F>
  void each_block(std::span<std::byte* const> indices, int64_t begin, int64_t end, Range places, F&& f) const {
    int64_t offsets[kBlock], sources[kBlock];
    Sources next(updates_, begin);
    for (int64_t b = begin; b < end; b += kBlock) {
      int64_t count = std::min(kBlock, end - b), chosen = 0;
      positions_.offsets(b, b + count, indices, offsets);
      next.read(count, sources);
      for (int64_t i = 0; i < count; ++i) {
        sources[chosen] = sources[i];
        offsets[chosen] = offsets[i];
        chosen += places.contains(offsets[i]);
      }
      f(offsets, sources, chosen);
    }
  }

  // Along the last axis of the rest.
  void rows(std::byte* out, const int64_t* places, const std::byte* in, const int64_t* sources, int64_t count,
            Range columns) const {
    const size_t d = rest_.rank() - 1;
    int64_t so = rest_.strides[0][d], si = rest_.strides[1][d], width = columns.end - columns.begin;
    out += columns.begin * so * combination_.item;
    in += columns.begin * si * combination_.item;
    if (so == 1 && si == 1 && width >= kLong && combination_.long_rows)
      combination_.long_rows(out, places, in, sources, count, width);
    else
      combination_.rows(out, places, so, in, sources, si, count, width);
  }
  void block(std::byte* out, const std::byte* in, size_t d, Range columns) const {
    constexpr int64_t here = 0;
    if (d + 1 == rest_.rank()) return rows(out, &here, in, &here, 1, columns);
    int64_t so = rest_.strides[0][d] * combination_.item, si = rest_.strides[1][d] * combination_.item;
    for (int64_t i = 0; i < rest_.lengths[d]; ++i) block(out + i * so, in + i * si, d + 1, columns);
  }

  Combination combination_;
  StridedCopy copy_;
  Layout out_;
  Shape common_;
  Strides update_strides_;
  Positions positions_;
  LoopNest updates_;  // over the positions
  LoopNest rest_;     // within one: output, updates
  std::optional<HalfTotals> halves_;
  int64_t row_ = 1, independent_ = 1;
  int64_t span_ = 1;    // places are below this
  bool dense_ = false;  // the operand lies as the output does
};

std::unique_ptr<Kernel> make_scatter(const Primitive& primitive, std::span<const Layout> inputs,
                                     std::span<const Layout> outputs, const KernelProgram*) {
  return std::make_unique<ScatterKernel>(static_cast<const Scatter&>(primitive), inputs, outputs[0]);
}

const RegisterKernel registered("scatter", make_scatter);

}  // namespace
}  // namespace funcnn::cpu
