#include "backends/cpu/positions.h"

#include <algorithm>

namespace funcnn::cpu {

Positions::Positions(const Layout& x, std::span<const Layout> indices, const IndexedAxes& axes, const Shape& common)
    : lengths_(common), base_(common.size(), 0), size_(element_count(common)) {
  size_t rank = common.size();
  for (size_t i = 0; i < axes.x_batch.size(); ++i)
    base_[size_t(axes.index_batch[i])] = x.strides[size_t(axes.x_batch[i])];
  for (size_t k = 0; k < indices.size(); ++k) {
    const Layout& index = indices[k];
    Strides strides(rank, 0);
    size_t lead = rank - index.shape.size();
    for (size_t d = 0; d < index.shape.size(); ++d)
      if (index.shape[d] != 1) strides[lead + d] = index.strides[d];
    size_t axis = size_t(axes.indexed[k]);
    indices_.push_back({index.dtype, std::move(strides), x.shape[axis], x.strides[axis]});
  }
  SmallVector<Strides*, 4> all{&base_};
  for (Index& index : indices_) all.push_back(&index.strides);
  merge_axes(lengths_, std::span<Strides* const>(all.data(), all.size()));
  if (lengths_.empty()) {
    lengths_.push_back(1);
    base_.push_back(0);
    for (Index& index : indices_) index.strides.push_back(0);
  }
}

namespace {

// Far below every offset, and still representable when each of many indices is outside.
constexpr int64_t kFarOutside = std::numeric_limits<int64_t>::min() / 64;

template <class T>
int64_t resolve(T value, int64_t length, int64_t step) {
  int64_t i = int64_t(value);
  i += i < 0 ? length : 0;
  return uint64_t(i) < uint64_t(length) ? i * step : kFarOutside;
}

template <class T>
void accumulate(const T* index, int64_t stride, int64_t length, int64_t step, int64_t count, int64_t* out) {
  if (stride == 0) {
    int64_t offset = resolve(*index, length, step);
    for (int64_t i = 0; i < count; ++i) out[i] += offset;
  } else if (stride == 1) {
    for (int64_t i = 0; i < count; ++i) out[i] += resolve(index[i], length, step);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] += resolve(index[i * stride], length, step);
  }
}

}  // namespace

void Positions::offsets(int64_t begin, int64_t end, std::span<std::byte* const> indices, int64_t* out) const {
  size_t inner = lengths_.size() - 1;
  int64_t length = lengths_[inner];
  while (begin < end) {
    int64_t column = begin % length, rest = begin / length, count = std::min(length - column, end - begin);
    Shape at(inner, 0);
    int64_t base = column * base_[inner];
    for (size_t d = inner; d-- > 0;) {
      at[d] = rest % lengths_[d];
      rest /= lengths_[d];
      base += at[d] * base_[d];
    }
    for (int64_t i = 0; i < count; ++i) out[i] = base + i * base_[inner];
    for (size_t k = 0; k < indices_.size(); ++k) {
      const Index& index = indices_[k];
      int64_t from = column * index.strides[inner];
      for (size_t d = 0; d < inner; ++d) from += at[d] * index.strides[d];
      auto add = [&](auto tag) {
        using T = decltype(tag);
        accumulate(reinterpret_cast<const T*>(indices[k]) + from, index.strides[inner], index.length, index.step, count,
                   out);
      };
      if (index.dtype == Dtype::int32)
        add(int32_t{});
      else if (index.dtype == Dtype::uint32)
        add(uint32_t{});
      else
        add(int64_t{});
    }
    out += count;
    begin += count;
  }
}

int64_t Positions::Single::offset(const std::byte* index) const {
  switch (dtype) {
    case Dtype::int32:
      return resolve(*reinterpret_cast<const int32_t*>(index), length, step);
    case Dtype::uint32:
      return resolve(*reinterpret_cast<const uint32_t*>(index), length, step);
    default:
      return resolve(*reinterpret_cast<const int64_t*>(index), length, step);
  }
}

std::optional<Positions::Single> Positions::single() const {
  if (size_ != 1 || indices_.size() != 1) return std::nullopt;
  return Single{indices_[0].dtype, indices_[0].length, indices_[0].step};
}

Positions::Repeats Positions::repeats() const {
  if (lengths_.size() != 2) return {};
  for (const Index& index : indices_)
    if (index.strides[0] != 0) return {};
  return {lengths_[0], base_[0]};
}

}  // namespace funcnn::cpu
