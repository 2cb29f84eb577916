#include "backends/cpu/copy.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// What is worth waking a thread for, and what a thread takes at a time.
constexpr int64_t kGrainBytes = 1 << 17, kBlockBytes = 1 << 15;

template <class F>
void with_item_type(size_t item, F&& f) {
  switch (item) {
    case 1:
      return f(uint8_t());
    case 2:
      return f(uint16_t());
    case 4:
      return f(uint32_t());
    default:
      return f(uint64_t());
  }
}

template <class T>
T read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// A short run in a few moves that overlap; a call of memcpy takes longer.
void copy_run(const std::byte* from, std::byte* to, size_t bytes) {
  auto ends = [&](auto unit) {
    std::memcpy(&unit, from + bytes - sizeof(unit), sizeof(unit));
    auto first = unit;
    std::memcpy(&first, from, sizeof(unit));
    std::memcpy(to, &first, sizeof(unit));
    std::memcpy(to + bytes - sizeof(unit), &unit, sizeof(unit));
  };
  struct Sixteen {
    uint64_t low, high;
  };
  if (bytes > 32)
    std::memcpy(to, from, bytes);
  else if (bytes >= 16)
    ends(Sixteen{});
  else if (bytes >= 8)
    ends(uint64_t());
  else if (bytes >= 4)
    ends(uint32_t());
  else
    for (size_t i = 0; i < bytes; ++i) to[i] = from[i];
}

// Square tiles use whole cache lines on both sides. Where lines of `from` are read whole, they go through a buffer:
// lines at steps of a power of two displace each other in the cache.
template <class T>
void transpose(const std::byte* from, std::byte* to, int64_t rows, int64_t columns, int64_t from_row,
               int64_t from_column, int64_t to_row) {
  constexpr int64_t tile = 64 / int64_t(sizeof(T)) < 16 ? 16 : 64 / int64_t(sizeof(T));
  T buffer[tile * tile];
  for (int64_t r0 = 0; r0 < rows; r0 += tile) {
    int64_t height = std::min(tile, rows - r0);
    for (int64_t c0 = 0; c0 < columns; c0 += tile) {
      int64_t width = std::min(tile, columns - c0);
      const std::byte* in = from + r0 * from_row + c0 * from_column;
      if (from_row == int64_t(sizeof(T)) && height == tile && width == tile) {
        for (int64_t c = 0; c < tile; ++c) std::memcpy(buffer + c * tile, in + c * from_column, tile * sizeof(T));
        for (int64_t r = 0; r < tile; ++r) {
          T* out = reinterpret_cast<T*>(to + (r0 + r) * to_row) + c0;
          for (int64_t c = 0; c < tile; ++c) out[c] = buffer[c * tile + r];
        }
        continue;
      }
      for (int64_t r = 0; r < height; ++r) {
        T* out = reinterpret_cast<T*>(to + (r0 + r) * to_row) + c0;
        for (int64_t c = 0; c < width; ++c) out[c] = read<T>(in + r * from_row + c * from_column);
      }
    }
  }
}

// rows x columns elements; `to` is dense along columns, `from` has any steps (bytes).
template <class T>
void copy_block(const std::byte* from, std::byte* to, int64_t rows, int64_t columns, int64_t from_row,
                int64_t from_column, int64_t to_row, int64_t to_column) {
  if (to_column == int64_t(sizeof(T))) {
    if (from_column == int64_t(sizeof(T))) {
      for (int64_t r = 0; r < rows; ++r) copy_run(from + r * from_row, to + r * to_row, size_t(columns) * sizeof(T));
      return;
    }
    if (from_column == 0) {
      for (int64_t r = 0; r < rows; ++r)
        std::fill_n(reinterpret_cast<T*>(to + r * to_row), columns, read<T>(from + r * from_row));
      return;
    }
    transpose<T>(from, to, rows, columns, from_row, from_column, to_row);
    return;
  }
  constexpr int64_t together = 4;
  for (int64_t r = 0; r < rows; ++r) {
    const std::byte* in = from + r * from_row;
    std::byte* out = to + r * to_row;
    int64_t c = 0;
    for (; c + together <= columns; c += together) {
      T values[together];
      for (int64_t i = 0; i < together; ++i, in += from_column) values[i] = read<T>(in);
      for (int64_t i = 0; i < together; ++i, out += to_column) std::memcpy(out, &values[i], sizeof(T));
    }
    for (; c < columns; ++c, in += from_column, out += to_column) std::memcpy(out, in, sizeof(T));
  }
}

}  // namespace

StridedCopy::StridedCopy(const Shape& shape, const Strides& from, const Strides& to, size_t item) : item_(item) {
  std::vector<Axis> axes;
  int64_t bytes = int64_t(item);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return;
    if (shape[i] != 1) axes.push_back({shape[i], from[i] * bytes, to[i] * bytes});
  }
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return std::abs(a.to) > std::abs(b.to); });
  Shape lengths;
  Strides steps_from, steps_to;
  for (const Axis& axis : axes) {
    lengths.push_back(axis.length);
    steps_from.push_back(axis.from);
    steps_to.push_back(axis.to);
  }
  merge_axes(lengths, {&steps_from, &steps_to});
  std::vector<Axis> merged;
  for (size_t i = 0; i < lengths.size(); ++i) merged.push_back({lengths[i], steps_from[i], steps_to[i]});
  if (!merged.empty()) {
    columns_ = merged.back();
    merged.pop_back();
  }
  if (!merged.empty()) {
    // If `from` is dense along some other axis, tile over that one.
    size_t pick = merged.size() - 1;
    if (columns_.from != bytes)
      for (size_t i = 0; i < merged.size(); ++i)
        if (merged[i].from == bytes) pick = i;
    rows_ = merged[pick];
    merged.erase(merged.begin() + ptrdiff_t(pick));
  }
  outer_ = std::move(merged);
  // Blocks that are turned have rows for whole cache lines; where there is little room, they are parts of rows.
  const bool runs = columns_.to == bytes && (columns_.from == bytes || columns_.from == 0);
  const int64_t some = runs ? 1 : std::max<int64_t>(16, 64 / bytes);
  auto round_up = [](int64_t count, int64_t to) { return (count + to - 1) / to * to; };
  const int64_t row_bytes = std::max<int64_t>(columns_.length * bytes, 1);
  row_block_ = std::min(rows_.length, std::max(some, round_up(kBlockBytes / row_bytes, some)));
  column_block_ = columns_.length;
  if (row_block_ * row_bytes > 2 * kBlockBytes)
    column_block_ = std::min(column_block_, round_up(kBlockBytes / (row_block_ * bytes), 64));
  row_blocks_ = (rows_.length + row_block_ - 1) / row_block_;
  column_blocks_ = (columns_.length + column_block_ - 1) / column_block_;
  blocks_ = row_blocks_ * column_blocks_;
  for (const Axis& axis : outer_) blocks_ *= axis.length;
  grain_ = std::max<int64_t>(1, kGrainBytes / (row_block_ * column_block_ * bytes));
  const bool gaps = columns_.length > 1 && (columns_.from != bytes || columns_.to != bytes);
  if (blocks_ == 1 && rows_.length == 1 && !gaps) dense_ = size_t(row_bytes);
}

void StridedCopy::run(const std::byte* from, std::byte* to) const {
  if (dense_) {
    std::memmove(to, from, dense_);
    return;
  }
  parallel_for(blocks_, grain_, [&](int64_t begin, int64_t end) { run_blocks(from, to, begin, end); });
}

void StridedCopy::run_blocks(const std::byte* from, std::byte* to, int64_t begin, int64_t end) const {
  with_item_type(item_, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = begin; i < end; ++i) {
      int64_t column = i % column_blocks_ * column_block_, row = i / column_blocks_ % row_blocks_ * row_block_;
      int64_t rest = i / column_blocks_ / row_blocks_;
      const std::byte* in = from + row * rows_.from + column * columns_.from;
      std::byte* out = to + row * rows_.to + column * columns_.to;
      for (size_t d = outer_.size(); d-- > 0; rest /= outer_[d].length) {
        int64_t at = rest % outer_[d].length;
        in += at * outer_[d].from;
        out += at * outer_[d].to;
      }
      copy_block<T>(in, out, std::min(row_block_, rows_.length - row),
                    std::min(column_block_, columns_.length - column), rows_.from, columns_.from, rows_.to,
                    columns_.to);
    }
  });
}

void JointCopy::add(StridedCopy copy) {
  ends_.push_back((ends_.empty() ? 0 : ends_.back()) + copy.blocks());
  grains_ += double(copy.blocks()) / double(copy.grain());
  copies_.push_back(std::move(copy));
}

void JointCopy::run_each(Places (*places)(const void*, size_t), const void* f) const {
  if (ends_.empty()) return;
  const int64_t grain = std::max<int64_t>(1, int64_t(double(ends_.back()) / std::max(grains_, 1e-9)));
  parallel_for(ends_.back(), grain, [&](int64_t begin, int64_t end) {
    size_t i = size_t(std::upper_bound(ends_.begin(), ends_.end(), begin) - ends_.begin());
    for (; begin < end; begin = std::max(begin, ends_[i++])) {
      const int64_t first = i ? ends_[i - 1] : 0, last = std::min(end, ends_[i]);
      if (begin >= last) continue;
      auto [from, to] = places(f, i);
      copies_[i].run_blocks(from, to, begin - first, last - first);
    }
  });
}

void copy_rows(const std::byte* from, std::byte* to, int64_t rows, int64_t columns, int64_t from_row,
               int64_t from_column, size_t item) {
  with_item_type(item, [&](auto tag) {
    copy_block<decltype(tag)>(from, to, rows, columns, from_row, from_column, columns * int64_t(item), int64_t(item));
  });
}

void fill(std::byte* to, int64_t count, size_t item, const std::byte* value) {
  with_item_type(item, [&](auto tag) {
    using T = decltype(tag);
    T element = read<T>(value);
    parallel_for(count, kGrainBytes / int64_t(item), [&](int64_t begin, int64_t end) {
      std::fill(reinterpret_cast<T*>(to) + begin, reinterpret_cast<T*>(to) + end, element);
    });
  });
}

}  // namespace funcnn::cpu
