// Sorting of keys by the instruction set in use, and by all threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/lines.h"
#include "backends/cpu/sort_keys.h"
#include "backends/cpu/sort_table.h"
#include "base/buffer.h"
#include "base/device.h"
#include "base/ref.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(SortTable, sort_table);
inline const SortTable& sort_table() { return FUNCNN_OF_ACTIVE_SET(sort_table); }
template <class K>
const KeySorter<K>& key_sorter() {
  if constexpr (sizeof(K) == 8)
    return sort_table().wide;
  else
    return sort_table().narrow;
}

inline constexpr int64_t kGrain = 4096;  // elements a thread takes at least

// Long lines are sorted by all threads, one after the other, where there are fewer of them than threads.
inline bool are_shared(const Lines& lines) { return lines.length() >= 65536 && lines.count() < thread_count(); }
// The pieces of a line that threads go through.
template <class F>
void over_line(int64_t n, F&& body) {
  parallel_for((n + kGrain - 1) / kGrain, 4,
               [&](int64_t begin, int64_t end) { body(begin * kGrain, std::min(n, end * kGrain)); });
}

// The pieces of so many items that threads go through, of which each has a number.
class Parts {
 public:
  explicit Parts(int64_t n, int64_t most = 2 * thread_count())
      : n_(n), count_(std::clamp<int64_t>(n / 16384, 1, most)) {}
  int64_t count() const { return count_; }
  int64_t begin(int64_t part) const { return n_ * part / count_; }
  template <class F>
  void each(F&& body) const {
    parallel_for(count_, 1, [&](int64_t first, int64_t last) {
      for (; first < last; ++first) body(size_t(first), begin(first), begin(first + 1));
    });
  }

 private:
  int64_t n_, count_;
};

// Memory for items of a kernel, without values, from the pool that arrays have theirs from.
template <class T>
class Pooled {
 public:
  explicit Pooled(int64_t n) : block_(n ? Buffer::allocate(kCpu, size_t(n) * sizeof(T)) : nullptr) {}
  T* data() { return block_ ? reinterpret_cast<T*>(block_->host()) : nullptr; }

 private:
  Ref<Buffer> block_;
};
// The same of a thread, which keeps it where it is small.
class ThreadRoom {
 public:
  explicit ThreadRoom(size_t bytes) : large_(bytes > kMostKept ? int64_t(bytes) : 0) {
    static thread_local Arena kept;
    next_ = large_.data() ? large_.data() : kept.get(bytes);
  }
  template <class T>
  T* take(int64_t n) {
    return reinterpret_cast<T*>(std::exchange(next_, next_ + size_t(n) * sizeof(T)));
  }

 private:
  static constexpr size_t kMostKept = size_t(1) << 20;
  Pooled<std::byte> large_;
  std::byte* next_;
};

// Sorts n keys by all threads, so far that positions [first, last) hold what belongs there; `done(begin, end)` learns
// of each piece of those as it is sorted. Whatever the threads are, equal keys cannot be told apart.
template <class K, class Done>
void sort_shared(K* keys, K* sorted, int64_t n, int64_t first, int64_t last, Done done) {
  const KeySorter<K>& sorter = key_sorter<K>();
  // Between pivots from all over, so many ranges that threads end together.
  constexpr int64_t kSamples = 32;
  int64_t ranges = 4;
  while (ranges < 4 * thread_count()) ranges *= 2;
  std::vector<K> sample(size_t(ranges * kSamples)), spare_sample(sample.size());
  for (size_t i = 0; i < sample.size(); ++i) sample[i] = keys[n * int64_t(i) / int64_t(sample.size())];
  const int64_t samples = int64_t(sample.size());
  sorter.sort(sample.data(), spare_sample.data(), 1, samples, 0, samples);

  // Each part of the keys is split into ranges where it lies.
  struct Piece {
    const K* at;
    int64_t count;
  };
  Pooled<K> room(n);
  const Parts parts(n);
  std::vector<Piece> pieces(size_t(parts.count() * ranges));
  struct Spread {
    const KeySorter<K>& sorter;
    const K* sample;
    Piece* pieces;
    void operator()(K* x, K* spare, bool in_spare, int64_t n, int64_t begin, int64_t end) const {
      const K* from = in_spare ? spare : x;
      if (end - begin == 1) {
        pieces[begin] = {from, n};
        return;
      }
      const int64_t middle = (begin + end) / 2, below = sorter.split(from, n, sample[middle * kSamples], x, spare);
      (*this)(x, spare + (n - below), false, below, begin, middle);
      (*this)(x + below, spare, true, n - below, middle, end);
    }
  };
  parts.each([&](size_t part, int64_t begin, int64_t end) {
    const Spread spread{sorter, sample.data(), pieces.data() + int64_t(part) * ranges};
    spread(keys + begin, room.data() + begin, false, end - begin, 0, ranges);
  });
  // The ranges of all parts come together, and are sorted.
  std::vector<int64_t> places(pieces.size()), starts{0};
  int64_t total = 0;
  for (int64_t r = 0; r < ranges; ++r) {
    for (int64_t part = 0; part < parts.count(); ++part) {
      const size_t piece = size_t(part * ranges + r);
      places[piece] = std::exchange(total, total + pieces[piece].count);
    }
    starts.push_back(total);
  }
  auto wanted = [&](int64_t r) { return starts[size_t(r)] < last && starts[size_t(r) + 1] > first; };
  parallel_for(parts.count(), 1, [&](int64_t part, int64_t end) {
    for (; part < end; ++part)
      for (int64_t r = 0; r < ranges; ++r)
        if (const size_t piece = size_t(part * ranges + r); wanted(r) && pieces[piece].count)
          std::memcpy(sorted + places[piece], pieces[piece].at, size_t(pieces[piece].count) * sizeof(K));
  });
  parallel_for(ranges, 1, [&](int64_t r, int64_t end) {
    for (; r < end; ++r) {
      if (!wanted(r)) continue;
      const int64_t from = starts[size_t(r)], to = starts[size_t(r) + 1];
      const int64_t begin = std::max(first, from), stop = std::min(last, to);
      sorter.sort(sorted + from, room.data() + from, 1, to - from, begin - from, stop - from);
      done(begin, stop);
    }
  });
}

// How many lines a thread works on at once. Those that lie side by side share the lines of its caches.
inline int64_t lines_at_once(const Lines& lines) {
  constexpr int64_t kNear = 4096, kFar = 1 << 18, kSideBySide = 16;
  const int64_t n = std::max<int64_t>(1, lines.length());
  return lines.step() == 1 ? std::clamp<int64_t>(kNear / n, 1, 256) : std::clamp<int64_t>(kFar / n, 1, kSideBySide);
}
// body(line, count) over lines, so many at a time.
template <class F>
void over_lines(const Lines& lines, int64_t at_once, F&& body) {
  const int64_t count = lines.count(), n = std::max<int64_t>(1, lines.length());
  parallel_for((count + at_once - 1) / at_once, std::max<int64_t>(1, kGrain / (n * at_once)),
               [&](int64_t begin, int64_t end) {
                 for (; begin < end; ++begin) body(begin * at_once, std::min(at_once, count - begin * at_once));
               });
}

inline constexpr int64_t kBlock = 128;

// The keys of elements [begin, end) of a line; whether values of keys are those elements, bit by bit.
template <class T>
bool keys_of_part(const T* x, int64_t step, int64_t begin, int64_t end, KeyType<T>* keys, Dtype dtype) {
  const auto make = sort_table().keys[int(dtype)];
  if (step == 1) return make(keys, x + begin, end - begin);
  T block[kBlock];
  bool same = true;
  for (; begin < end; begin += kBlock, keys += kBlock) {
    const int64_t count = std::min(kBlock, end - begin);
    for (int64_t i = 0; i < count; ++i) block[i] = x[(begin + i) * step];
    same &= make(keys, block, count);
  }
  return same;
}
// Those of `count` lines, one line behind the other.
template <class T>
bool keys_of_lines(const T* x, const Lines& lines, int64_t line, int64_t count, KeyType<T>* keys, Dtype dtype) {
  const auto make = sort_table().keys[int(dtype)];
  const int64_t n = lines.length();
  if (lines.are_dense()) return make(keys, x + lines.start(line), count * n);
  bool same = true;
  if (count == 1 || lines.step() == 1) {
    for (int64_t l = 0; l < count; ++l)
      same &= keys_of_part(x + lines.start(line + l), lines.step(), 0, n, keys + l * n, dtype);
    return same;
  }
  // Side by side: each line of a cache is read once.
  std::vector<int64_t> starts(static_cast<size_t>(count));
  for (int64_t l = 0; l < count; ++l) starts[size_t(l)] = lines.start(line + l);
  T block[kBlock];
  constexpr int64_t kRows = 16;
  for (int64_t i = 0; i < n; i += kRows) {
    const int64_t rows = std::min(kRows, n - i);
    for (int64_t l = 0; l < count; ++l) {
      const T* from = x + starts[size_t(l)] + i * lines.step();
      for (int64_t r = 0; r < rows; ++r) block[r] = from[r * lines.step()];
      same &= make(keys + l * n + i, block, rows);
    }
  }
  return same;
}
// Puts results of `count` lines, one behind the other, where they belong.
template <class T>
void put_lines(const T* from, T* y, const Lines& lines, int64_t line, int64_t count) {
  const int64_t n = lines.length();
  if (lines.are_dense()) {
    std::memcpy(y + lines.start(line), from, size_t(count * n) * sizeof(T));
    return;
  }
  std::vector<int64_t> starts(static_cast<size_t>(count));
  for (int64_t l = 0; l < count; ++l) starts[size_t(l)] = lines.start(line + l);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t l = 0; l < count; ++l) y[starts[size_t(l)] + i * lines.step()] = from[l * n + i];
}

}  // namespace funcnn::cpu
