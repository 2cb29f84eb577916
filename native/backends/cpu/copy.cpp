#include "backends/cpu/copy.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

constexpr int64_t kGrainBytes = 1 << 17;

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
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      std::memcpy(to + r * to_row + c * to_column, from + r * from_row + c * from_column, sizeof(T));
}

}  // namespace

StridedCopy::StridedCopy(const Shape& shape, const Strides& from, const Strides& to, size_t item) : item_(item) {
  std::vector<Axis> axes;
  int64_t bytes = int64_t(item);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) empty_ = true;
    if (shape[i] != 1) axes.push_back({shape[i], from[i] * bytes, to[i] * bytes});
  }
  if (empty_) return;
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
  if (merged.empty() && rows_.length == 1 && columns_.from == bytes && columns_.to == bytes) {
    // One dense run: cut it so that threads can share it.
    int64_t chunk = std::max<int64_t>(kGrainBytes / bytes, 1);
    if (columns_.length > 2 * chunk) {
      block_ = chunk;
      row_split_ = (columns_.length + chunk - 1) / chunk;
    }
  } else {
    // Rows in blocks of about the grain.
    int64_t per_row = std::max<int64_t>(columns_.length * bytes, 1);
    block_ = std::clamp<int64_t>((kGrainBytes / per_row + 15) / 16 * 16, 16, std::max<int64_t>(rows_.length, 16));
    row_split_ = (rows_.length + block_ - 1) / block_;
  }
  outer_ = std::move(merged);
}

void StridedCopy::run(const std::byte* from, std::byte* to) const {
  if (empty_) return;
  int64_t count = row_split_;
  for (const Axis& axis : outer_) count *= axis.length;
  bool dense = outer_.empty() && rows_.length == 1 && row_split_ > 1;
  int64_t unit = (dense ? block_ : std::min(block_, rows_.length) * columns_.length) * int64_t(item_);
  with_item_type(item_, [&](auto tag) {
    using T = decltype(tag);
    parallel_for(count, std::max<int64_t>(1, kGrainBytes / std::max<int64_t>(unit, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     int64_t rest = i / row_split_, part = i % row_split_;
                     const std::byte* in = from;
                     std::byte* out = to;
                     for (size_t d = outer_.size(); d-- > 0;) {
                       int64_t at = rest % outer_[d].length;
                       rest /= outer_[d].length;
                       in += at * outer_[d].from;
                       out += at * outer_[d].to;
                     }
                     if (dense) {
                       int64_t first = part * block_, n = std::min(block_, columns_.length - first);
                       std::memcpy(out + first * int64_t(item_), in + first * int64_t(item_), size_t(n) * item_);
                       continue;
                     }
                     int64_t first = part * block_, n = std::min(block_, rows_.length - first);
                     copy_block<T>(in + first * rows_.from, out + first * rows_.to, n, columns_.length, rows_.from,
                                   columns_.from, rows_.to, columns_.to);
                   }
                 });
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
