#include "backends/cpu/access_path.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backends/cpu/copy.h"

namespace funcnn::cpu {
namespace {

// Converted through a buffer of so many elements where memory is not dense.
constexpr int64_t kBuffer = 512;

void copy_dense(std::byte* out, const std::byte* in, int64_t n, size_t item) {
  if (n == 1 && item == 4) {
    std::memcpy(out, in, 4);
  } else {
    std::memcpy(out, in, size_t(n) * item);
  }
}

}  // namespace

AccessPath::AccessPath(const Access& access, Dtype value, const simd::Table& table)
    : operand_(access.operand),
      offset_(access.offset),
      lengths_(access.shape),
      strides_(access.strides),
      memory_(access.dtype),
      memory_item_(item_size(access.dtype)),
      value_item_(item_size(value)),
      same_(access.dtype == value),
      to_value_(table.cast[int(value)][int(access.dtype)]),
      to_memory_(table.cast[int(access.dtype)][int(value)]),
      table_(&table) {
  merge_axes(lengths_, {&strides_});
  number_blocks();
}

void AccessPath::number_blocks() {
  blocks_ = Shape(lengths_.size(), 1);
  for (size_t d = lengths_.size(); d-- > 1;) blocks_[d - 1] = blocks_[d] * lengths_[d];
}

bool AccessPath::repeats_row(int64_t cols) const {
  return same_ && lengths_.size() == 2 && strides_[0] == 0 && strides_[1] == 1 && lengths_[1] == cols;
}
bool AccessPath::repeats_value(int64_t cols) const {
  return lengths_.size() >= 2 && strides_.back() == 0 && lengths_.back() == cols;
}
AccessPath AccessPath::without_columns() const {
  AccessPath w = *this;
  w.lengths_.resize(w.lengths_.size() - 1);
  w.strides_.resize(w.strides_.size() - 1);
  w.number_blocks();
  return w;
}
int64_t AccessPath::natural_columns() const {
  if (lengths_.size() < 2) return 0;
  int64_t cols = lengths_.back();
  return repeats_row(cols) || repeats_value(cols) ? cols : 0;
}

int64_t AccessPath::dense_columns() const { return lengths_.size() >= 2 && strides_.back() == 1 ? lengths_.back() : 0; }
bool AccessPath::lies_in_rows(int64_t cols) const {
  const int64_t dense = dense_columns();
  return dense > 0 && cols > 0 && dense % cols == 0;
}

void AccessPath::places(std::byte* base, int64_t begin, int64_t step, std::span<std::byte*> out) const {
  SmallVector<int64_t, 8> index(lengths_.size());
  int64_t at = offset_;
  for (size_t d = index.size(); d-- > 0; begin /= lengths_[d]) {
    index[d] = begin % lengths_[d];
    at += index[d] * strides_[d];
  }
  // Along an axis, then to the next place of those around it. Whole inner axes are stepped over.
  size_t axis = index.size() - 1;
  if (axis > 0 && step == lengths_[axis] && index[axis] == 0) --axis, step = 1;
  const auto item = int64_t(memory_item_);
  for (size_t done = 0; done < out.size();) {
    const size_t run = std::min(out.size() - done, size_t((lengths_[axis] - index[axis] + step - 1) / step));
    std::byte* place = base + at * item;
    for (size_t i = 0; i < run; ++i, place += step * strides_[axis] * item) out[done + i] = place;
    done += run;
    at -= index[axis] * strides_[axis];
    index[axis] = 0;
    for (size_t d = axis; d-- > 0;) {
      at += strides_[d];
      if (++index[d] < lengths_[d]) break;
      at -= lengths_[d] * strides_[d];
      index[d] = 0;
    }
  }
}

int64_t AccessPath::period() const { return same_ && lengths_.size() >= 2 && strides_[0] == 0 ? blocks_[0] : 0; }

int64_t AccessPath::stretch(int64_t most) const {
  for (int64_t block : blocks_)
    if (block > 1 && block <= most) return block;
  return 1;
}

int64_t AccessPath::turned_columns() const {
  size_t rank = lengths_.size();
  bool turned = same_ && rank >= 2 && strides_[rank - 2] == 1 && strides_[rank - 1] > 1;
  return turned ? lengths_[rank - 1] : 0;
}

// f(position of the first element, stride, count) for every run along the innermost axis.
template <class F>
void AccessPath::runs(int64_t begin, int64_t n, F&& f) const {
  if (n <= 0) return;
  if (lengths_.size() <= 1) {
    int64_t stride = lengths_.empty() ? 0 : strides_[0];
    f(offset_ + begin * stride, stride, n);
    return;
  }
  size_t last = lengths_.size() - 1;
  SmallVector<int64_t, 8> index;
  index.resize(lengths_.size());
  int64_t at = offset_;
  for (size_t d = lengths_.size(); d-- > 0;) {
    index[d] = begin % lengths_[d];
    begin /= lengths_[d];
    at += index[d] * strides_[d];
  }
  for (;;) {
    int64_t run = std::min(n, lengths_[last] - index[last]);
    f(at, strides_[last], run);
    n -= run;
    if (n == 0) return;
    at -= index[last] * strides_[last];
    index[last] = 0;
    for (size_t d = last; d-- > 0;) {
      at += strides_[d];
      if (++index[d] < lengths_[d]) break;
      at -= lengths_[d] * strides_[d];
      index[d] = 0;
    }
  }
}

// Elements [begin, begin + n) of the axes from d on, the first of them at `at`, unconverted.
void AccessPath::read(size_t d, const std::byte* base, std::byte* out, int64_t at, int64_t begin, int64_t n) const {
  if (n <= 0) return;
  const auto item = int64_t(memory_item_);
  if (d + 1 >= lengths_.size()) {
    int64_t stride = lengths_.empty() ? 0 : strides_[d];
    const std::byte* in = base + (at + begin * stride) * item;
    if (stride == 1 || n == 1)
      std::memcpy(out, in, size_t(n * item));
    else if (stride == 0)
      table_->expand[size_log2(memory_item_)](out, in, 1, n);
    else
      table_->gather[size_log2(memory_item_)](out, in, n, stride);
    return;
  }
  const int64_t block = blocks_[d], stride = strides_[d];
  int64_t from = begin % block;
  if (stride == 0) {
    // One period, then copies of what is there.
    int64_t period = std::min(n, block), head = std::min(period, block - from);
    read(d + 1, base, out, at, from, head);
    read(d + 1, base, out + head * item, at, 0, period - head);
    for (int64_t done = period; done < n;) {
      int64_t more = std::min(done, n - done);
      std::memcpy(out + done * item, out, size_t(more * item));
      done += more;
    }
    return;
  }
  at += begin / block * stride;
  if (from != 0) {
    int64_t head = std::min(n, block - from);
    read(d + 1, base, out, at, from, head);
    out += head * item;
    n -= head;
    at += stride;
  }
  if (d + 2 == lengths_.size()) {
    int64_t rows = n / block, inner = strides_[d + 1];
    const std::byte* in = base + at * item;
    const bool along = inner == 2 || inner == -1;  // read in whole vectors
    if (inner == 0 && stride == 1)
      table_->expand[size_log2(memory_item_)](out, in, rows, block);
    else if (along && std::abs(stride) > std::abs(inner) && block >= 8)
      for (int64_t r = 0; r < rows; ++r)
        table_->gather[size_log2(memory_item_)](out + r * block * item, in + r * stride * item, block, inner);
    else
      copy_rows(in, out, rows, block, stride * item, inner * item, memory_item_);
    out += rows * block * item;
    n -= rows * block;
    at += rows * stride;
  } else {
    for (; n >= block; n -= block, at += stride, out += block * item) read(d + 1, base, out, at, 0, block);
  }
  read(d + 1, base, out, at, 0, n);
}

void AccessPath::load(const std::byte* base, std::byte* out, int64_t begin, int64_t n) const {
  if (same_) return read(0, base, out, offset_, begin, n);
  const auto item = int64_t(memory_item_);
  if (lengths_.size() == 1 && strides_[0] == 1) return to_value_(out, base + (offset_ + begin) * item, n);
  alignas(64) std::byte buffer[kBuffer * 8];
  for (int64_t i = 0; i < n; i += kBuffer) {
    int64_t m = std::min(kBuffer, n - i);
    read(0, base, buffer, offset_, begin + i, m);
    to_value_(out + i * int64_t(value_item_), buffer, m);
  }
}

void AccessPath::store(std::byte* base, const std::byte* in, int64_t begin, int64_t n) const {
  int size = size_log2(memory_item_);
  runs(begin, n, [&](int64_t at, int64_t stride, int64_t count) {
    std::byte* out = base + at * int64_t(memory_item_);
    if (stride == 1 || count == 1) {
      if (same_)
        copy_dense(out, in, count, memory_item_);
      else
        to_memory_(out, in, count);
    } else if (same_) {
      table_->scatter[size](out, in, count, stride);
    } else {
      alignas(64) std::byte buffer[kBuffer * 8];
      for (int64_t i = 0; i < count; i += kBuffer) {
        int64_t m = std::min(kBuffer, count - i);
        to_memory_(buffer, in + i * int64_t(value_item_), m);
        table_->scatter[size](out + i * stride * int64_t(memory_item_), buffer, m, stride);
      }
    }
    in += count * int64_t(value_item_);
  });
}

}  // namespace funcnn::cpu
