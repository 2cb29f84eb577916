#include "backends/cpu/lapack_batch.h"

#include <atomic>
#include <bit>

namespace funcnn::cpu {

Matrices::Matrices(const Layout& layout) : shape(layout.shape) {
  size_t lead = layout.shape.size() - 2;
  rows = layout.shape[lead];
  columns = layout.shape[lead + 1];
  row_step = layout.strides[lead];
  column_step = layout.strides[lead + 1];
  Shape lengths(layout.shape.begin(), layout.shape.begin() + ptrdiff_t(lead));
  Strides steps(layout.strides.begin(), layout.strides.begin() + ptrdiff_t(lead));
  count = element_count(lengths);
  merge_axes(lengths, {&steps});
  for (size_t i = 0; i < lengths.size(); ++i) axes_.push_back({lengths[i], steps[i]});
}

int64_t Matrices::at(int64_t index) const {
  int64_t offset = 0;
  for (size_t d = axes_.size(); d-- > 0;) {
    offset += index % axes_[d].length * axes_[d].step;
    index /= axes_[d].length;
  }
  return offset;
}

namespace {

template <class T>
struct Bits;
template <>
struct Bits<float> {
  using type = uint32_t;
  static constexpr type exponent = 0x7f800000u;
};
template <>
struct Bits<double> {
  using type = uint64_t;
  static constexpr type exponent = 0x7ff0000000000000ull;
};

// 1 where x is infinite or NaN: integers, whose "or" the compiler vectorises.
template <class T>
typename Bits<T>::type odd(T x) {
  return (std::bit_cast<typename Bits<T>::type>(x) & Bits<T>::exponent) == Bits<T>::exponent;
}
inline uint32_t odd(std::complex<float> x) { return odd(x.real()) | odd(x.imag()); }

// The columns of row i that are read.
struct Range {
  int64_t begin, end;
};
Range range_of(Part part, int64_t i, int64_t n) {
  return {part == Part::upper ? std::min(i, n) : 0, part == Part::lower ? std::min(i + 1, n) : n};
}

constexpr int64_t kTile = 16;  // of a transposition, so that both sides stay in cache

}  // namespace

template <class T>
bool finite(const T* from, const Matrices& m, Part part) {
  decltype(odd(T())) bad = 0;
  // Along memory, whichever way it lies.
  bool turned = m.row_step == 1 && m.column_step != 1;
  Part seen = !turned || part == Part::all ? part : part == Part::lower ? Part::upper : Part::lower;
  int64_t outer = turned ? m.columns : m.rows, inner = turned ? m.rows : m.columns;
  int64_t outer_step = turned ? m.column_step : m.row_step, step = turned ? 1 : m.column_step;
  for (int64_t i = 0; i < outer; ++i) {
    auto [begin, end] = range_of(seen, i, inner);
    const T* x = from + i * outer_step;
    if (step == 1)
      for (int64_t j = begin; j < end; ++j) bad |= odd(x[j]);
    else
      for (int64_t j = begin; j < end; ++j) bad |= odd(x[j * step]);
  }
  return bad == 0;
}

namespace {

// Rows [begin, end) of load.
template <class T>
bool load_rows(const T* from, const Matrices& m, Part part, T* to, int64_t to_row, int64_t to_column, int64_t begin,
               int64_t end) {
  decltype(odd(T())) bad = 0;
  if (m.column_step == 1 && to_column == 1) {
    for (int64_t i = begin; i < end; ++i) {
      auto [first, last] = range_of(part, i, m.columns);
      const T* x = from + i * m.row_step;
      T* y = to + i * to_row;
      for (int64_t j = first; j < last; ++j) {
        bad |= odd(x[j]);
        y[j] = x[j];
      }
    }
    return bad == 0;
  }
  for (int64_t i0 = begin; i0 < end; i0 += kTile)
    for (int64_t j0 = 0; j0 < m.columns; j0 += kTile)
      for (int64_t i = i0; i < std::min(i0 + kTile, end); ++i) {
        auto [first, last] = range_of(part, i, m.columns);
        const T* x = from + i * m.row_step;
        T* y = to + i * to_row;
        for (int64_t j = std::max(first, j0); j < std::min(last, j0 + kTile); ++j) {
          bad |= odd(x[j * m.column_step]);
          y[j * to_column] = x[j * m.column_step];
        }
      }
  return bad == 0;
}

// Run body(begin, end) over rows in whole tiles.
template <class Body>
void over_rows(int64_t rows, int64_t columns, Body&& body) {
  constexpr int64_t kElements = 1 << 16;  // that a thread takes at least
  parallel_for((rows + kTile - 1) / kTile, std::max<int64_t>(1, kElements / (kTile * std::max<int64_t>(columns, 1))),
               [&](int64_t begin, int64_t end) { body(begin * kTile, std::min(end * kTile, rows)); });
}

}  // namespace

template <class T>
bool load(const T* from, const Matrices& m, Part part, T* to, int64_t to_row, int64_t to_column) {
  std::atomic<bool> fine{true};
  over_rows(m.rows, m.columns, [&](int64_t begin, int64_t end) {
    if (!load_rows(from, m, part, to, to_row, to_column, begin, end)) fine.store(false, std::memory_order_relaxed);
  });
  return fine;
}

template <class T>
void store_rows(const T* columns, int64_t ld, int64_t m, int64_t n, T* rows) {
  over_rows(m, n, [&](int64_t begin, int64_t end) {
    for (int64_t i0 = begin; i0 < end; i0 += kTile)
      for (int64_t j0 = 0; j0 < n; j0 += kTile)
        for (int64_t i = i0; i < std::min(i0 + kTile, end); ++i)
          for (int64_t j = j0; j < std::min(j0 + kTile, n); ++j) rows[i * n + j] = columns[j * ld + i];
  });
}

#define INSTANTIATE(T)                                                       \
  template bool finite(const T*, const Matrices&, Part);                     \
  template bool load(const T*, const Matrices&, Part, T*, int64_t, int64_t); \
  template void store_rows(const T*, int64_t, int64_t, int64_t, T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(std::complex<float>)
#undef INSTANTIATE

}  // namespace funcnn::cpu
