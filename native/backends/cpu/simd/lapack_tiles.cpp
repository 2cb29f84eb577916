// The inner parts of factorisations for one instruction set: see backends/cpu/lapack_tiles.h.
#include "backends/cpu/lapack_tiles.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "backends/cpu/simd/fma.h"
#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const LapackTiles<float> FUNCNN_OF_THIS_SET(lapack_tiles_f32_);
extern const LapackTiles<double> FUNCNN_OF_THIS_SET(lapack_tiles_f64_);

#if defined(FUNCNN_VECTORS)
namespace {

#if defined(__AVX512F__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
constexpr int kColumns = 4;      // that meet a vector together
constexpr int kVectors = 2;      // a row of a tile
constexpr int kTriangle = 8;     // rows that are solved in registers
constexpr int kPanelWidth = 16;  // columns of a panel

template <class T>
struct Lanes {
  static constexpr int count = FUNCNN_VECTOR_BYTES / int(sizeof(T));
  using V = simd::Vector<T>;
  typedef T Loose __attribute__((vector_size(FUNCNN_VECTOR_BYTES), aligned(alignof(T)), may_alias));
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef Index Indices __attribute__((vector_size(FUNCNN_VECTOR_BYTES)));
};

template <class T>
FUNCNN_INLINE typename Lanes<T>::V load(const T* at) {
  return *reinterpret_cast<const typename Lanes<T>::Loose*>(at);
}
template <class T>
FUNCNN_INLINE void store(T* at, typename Lanes<T>::V x) {
  *reinterpret_cast<typename Lanes<T>::Loose*>(at) = x;
}

// c - a * b.
FUNCNN_INLINE simd::Vector<float> fnma(simd::Vector<float> a, simd::Vector<float> b, simd::Vector<float> c) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fnmadd_ps(a, b, c);
#else
  return simd::fma(-a, b, c);
#endif
}
FUNCNN_INLINE simd::Vector<double> fnma(simd::Vector<double> a, simd::Vector<double> b, simd::Vector<double> c) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fnmadd_pd(a, b, c);
#else
  return simd::fma(-a, b, c);
#endif
}

// ---- products

// `tail`: columns of the last vector.
template <class T, int rows, int vectors>
FUNCNN_INLINE void subtract_tile(int64_t k, MatrixView<T> a, const T* b, int64_t b_row, T* c, int64_t c_row, int tail) {
  constexpr int lanes = Lanes<T>::count;
  using V = typename Lanes<T>::V;
  V sum[rows][vectors];
  T spare[rows][lanes];
  const bool whole = tail == lanes;
  if (!whole)
    for (int i = 0; i < rows; ++i)
      std::memcpy(spare[i], c + i * c_row + (vectors - 1) * lanes, size_t(tail) * sizeof(T));
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int v = 0; v < vectors; ++v)
      sum[i][v] = load(v == vectors - 1 && !whole ? spare[i] : c + i * c_row + v * lanes);
  }
  for (int64_t j = 0; j < k; ++j) {
    V y[vectors];
    FUNCNN_UNROLL
    for (int v = 0; v < vectors; ++v) y[v] = load(b + v * lanes);
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      V x = simd::repeat(a.data[i * a.row]);
      FUNCNN_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = fnma(x, y[v], sum[i][v]);
    }
    a.data += a.column;
    b += b_row;
  }
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int v = 0; v < vectors; ++v)
      store(v == vectors - 1 && !whole ? spare[i] : c + i * c_row + v * lanes, sum[i][v]);
  }
  if (!whole)
    for (int i = 0; i < rows; ++i)
      std::memcpy(c + i * c_row + (vectors - 1) * lanes, spare[i], size_t(tail) * sizeof(T));
}

template <class T, int vectors>
void subtract_columns(int64_t m, int64_t k, MatrixView<T> a, int64_t tile, const T* b, int64_t b_row, T* c,
                      int64_t c_row, int tail) {
  for (; m >= kRows; m -= kRows, a.data += tile, c += kRows * c_row)
    subtract_tile<T, kRows, vectors>(k, a, b, b_row, c, c_row, tail);
  for (; m > 0; --m, a.data += a.row, c += c_row) subtract_tile<T, 1, vectors>(k, a, b, b_row, c, c_row, tail);
}

template <class T>
void subtract(int64_t m, int64_t n, int64_t k, MatrixView<T> a, int64_t tile, const T* b, int64_t b_row, T* c,
              int64_t c_row) {
  constexpr int lanes = Lanes<T>::count, whole = kVectors * lanes;
  if (k == 0) return;
  for (; n > lanes; n -= whole, b += whole, c += whole)
    subtract_columns<T, kVectors>(m, k, a, tile, b, b_row, c, c_row, n >= whole ? lanes : int(n) - lanes);
  if (n > 0) subtract_columns<T, 1>(m, k, a, tile, b, b_row, c, c_row, int(n));
}

// ---- triangles

// The rows [0, rows) of a triangle, in registers.
template <class T, int vectors, int rows, bool upper>
FUNCNN_INLINE void solve_tile(bool unit, MatrixView<T> a, T* b, int64_t b_row) {
  constexpr int lanes = Lanes<T>::count;
  using V = typename Lanes<T>::V;
  V x[rows][vectors];
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int v = 0; v < vectors; ++v) x[i][v] = load(b + i * b_row + v * lanes);
  }
  FUNCNN_UNROLL
  for (int step = 0; step < rows; ++step) {
    const int j = upper ? rows - 1 - step : step;
    if (!unit) {
      V pivot = simd::repeat(a.data[j * (a.row + a.column)]);
      FUNCNN_UNROLL
      for (int v = 0; v < vectors; ++v) x[j][v] = x[j][v] / pivot;
    }
    FUNCNN_UNROLL
    for (int other = step + 1; other < rows; ++other) {
      const int i = upper ? rows - 1 - other : other;
      V factor = simd::repeat(a.data[i * a.row + j * a.column]);
      FUNCNN_UNROLL
      for (int v = 0; v < vectors; ++v) x[i][v] = fnma(factor, x[j][v], x[i][v]);
    }
  }
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int v = 0; v < vectors; ++v) store(b + i * b_row + v * lanes, x[i][v]);
  }
}

template <class T, int vectors, bool upper>
void solve_columns(bool unit, int64_t n, MatrixView<T> a, T* b, int64_t b_row) {
  constexpr int lanes = Lanes<T>::count;
  // Rows are taken in blocks from the end where the solution begins; what is left over comes last, one by one.
  for (int64_t done = 0; done < n;) {
    int64_t width = n - done >= kTriangle ? kTriangle : 1, at = upper ? n - done - width : done;
    int64_t from = upper ? n - done : 0;
    MatrixView<T> left = a.at(at, from);
    T* x = b + at * b_row;
    if (done) subtract_columns<T, vectors>(width, done, left, kRows * a.row, b + from * b_row, b_row, x, b_row, lanes);
    if (width == kTriangle)
      solve_tile<T, vectors, kTriangle, upper>(unit, a.at(at, at), x, b_row);
    else
      solve_tile<T, vectors, 1, upper>(unit, a.at(at, at), x, b_row);
    done += width;
  }
}

template <class T>
void solve(bool upper, bool unit, int64_t n, MatrixView<T> a, T* b, int64_t b_row, int64_t columns) {
  constexpr int64_t lanes = Lanes<T>::count;
  for (; columns >= 2 * lanes; columns -= 2 * lanes, b += 2 * lanes)
    upper ? solve_columns<T, 2, true>(unit, n, a, b, b_row) : solve_columns<T, 2, false>(unit, n, a, b, b_row);
  if (columns > 0)
    upper ? solve_columns<T, 1, true>(unit, n, a, b, b_row) : solve_columns<T, 1, false>(unit, n, a, b, b_row);
}

// ---- panels

template <class T>
int64_t panel(int64_t rows, int64_t first, int64_t width, T* data, int64_t ld, int32_t* pivots) {
  constexpr int64_t lanes = Lanes<T>::count;
  using V = typename Lanes<T>::V;
  using Indices = typename Lanes<T>::Indices;
  using Index = typename Lanes<T>::Index;
  Indices own;
  for (int i = 0; i < lanes; ++i) own[i] = Index(i);
  int64_t zero = -1;
  for (int64_t j = first; j < first + width; ++j) {
    T* column = data + j * ld;
    // The largest element, of equal ones the first.
    const int64_t start = j / lanes * lanes;
    V best = V{} - T(1);
    Indices places{};
    for (int64_t i = start; i < rows; i += lanes) {
      V x = load(column + i);
      x = x < 0 ? -x : x;
      Indices at = own + Index(i);
      auto better = (x > best) & (at >= Index(j));
      best = better ? x : best;
      places = better ? at : places;
    }
    int64_t pivot = j;
    T largest = T(-1);
    for (int i = 0; i < lanes; ++i)
      if (best[i] > largest || (best[i] == largest && best[i] >= 0 && int64_t(places[i]) < pivot)) {
        largest = best[i];
        pivot = int64_t(places[i]);
      }
    pivots[j] = int32_t(pivot);
    if (pivot != j)
      for (int64_t c = first; c < first + width; ++c) std::swap(data[c * ld + j], data[c * ld + pivot]);
    const T value = column[j];
    if (value == T(0)) {
      if (zero < 0) zero = j;
      continue;
    }
    const V by = simd::repeat(value);
    T factors[kPanelWidth];
    const int64_t others = first + width - j - 1;
    for (int64_t c = 0; c < others; ++c) factors[c] = column[(c + 1) * ld + j];
    // The vector that holds the diagonal.
    {
      auto below = own + Index(start) > Index(j);
      V x = load(column + start), l = x / by;
      store(column + start, below ? l : x);
      for (int64_t c = 0; c < others; ++c) {
        T* y = column + (c + 1) * ld + start;
        V old = load(y);
        store(y, below ? fnma(simd::repeat(factors[c]), l, old) : old);
      }
    }
    for (int64_t i = start + lanes; i < rows; i += lanes) store(column + i, load(column + i) / by);
    int64_t c = 0;
    for (; c + 4 <= others; c += 4) {
      V f0 = simd::repeat(factors[c]), f1 = simd::repeat(factors[c + 1]), f2 = simd::repeat(factors[c + 2]),
        f3 = simd::repeat(factors[c + 3]);
      T *y0 = column + (c + 1) * ld, *y1 = y0 + ld, *y2 = y1 + ld, *y3 = y2 + ld;
      for (int64_t i = start + lanes; i < rows; i += lanes) {
        V l = load(column + i);
        store(y0 + i, fnma(f0, l, load(y0 + i)));
        store(y1 + i, fnma(f1, l, load(y1 + i)));
        store(y2 + i, fnma(f2, l, load(y2 + i)));
        store(y3 + i, fnma(f3, l, load(y3 + i)));
      }
    }
    for (; c < others; ++c) {
      V f = simd::repeat(factors[c]);
      T* y = column + (c + 1) * ld;
      for (int64_t i = start + lanes; i < rows; i += lanes) store(y + i, fnma(f, load(column + i), load(y + i)));
    }
  }
  return zero;
}

// ---- transposition

// Elements of a and b in turns, from their lower or upper halves.
template <class T, bool upper, int... i>
FUNCNN_INLINE typename Lanes<T>::V in_turns(typename Lanes<T>::V a, typename Lanes<T>::V b,
                                            std::integer_sequence<int, i...>) {
  constexpr int lanes = Lanes<T>::count, start = upper ? lanes / 2 : 0;
#ifdef __clang__
  return __builtin_shufflevector(a, b, (start + i / 2 + i % 2 * lanes)...);
#else
  return __builtin_shuffle(a, b, typename Lanes<T>::Indices{(start + i / 2 + i % 2 * lanes)...});
#endif
}

template <class T>
void transpose(int64_t m, int64_t n, const T* from, int64_t from_row, T* to, int64_t to_row) {
  constexpr int lanes = Lanes<T>::count;
  using V = typename Lanes<T>::V;
  constexpr auto all = std::make_integer_sequence<int, lanes>();
  for (int64_t i = 0; i < m; i += lanes)
    for (int64_t j = 0; j < n; j += lanes) {
      const T* x = from + i * from_row + j;
      T* y = to + j * to_row + i;
      if (i + lanes > m || j + lanes > n) {
        for (int64_t r = 0; r < std::min<int64_t>(lanes, m - i); ++r)
          for (int64_t c = 0; c < std::min<int64_t>(lanes, n - j); ++c) y[c * to_row + r] = x[r * from_row + c];
        continue;
      }
      // The bits of the place of each element are rotated by one, as often as a row has bits.
      V rows[lanes];
      FUNCNN_UNROLL
      for (int r = 0; r < lanes; ++r) rows[r] = load(x + r * from_row);
      FUNCNN_UNROLL
      for (int done = 1; done < lanes; done *= 2) {
        V next[lanes];
        FUNCNN_UNROLL
        for (int r = 0; r < lanes / 2; ++r) {
          next[2 * r] = in_turns<T, false>(rows[r], rows[r + lanes / 2], all);
          next[2 * r + 1] = in_turns<T, true>(rows[r], rows[r + lanes / 2], all);
        }
        FUNCNN_UNROLL
        for (int r = 0; r < lanes; ++r) rows[r] = next[r];
      }
      FUNCNN_UNROLL
      for (int r = 0; r < lanes; ++r) store(y + r * to_row, rows[r]);
    }
}

// ---- products with vectors

template <class T, int by, int... i>
FUNCNN_INLINE typename Lanes<T>::V rotated(typename Lanes<T>::V x, std::integer_sequence<int, i...>) {
  constexpr int lanes = Lanes<T>::count;
#ifdef __clang__
  return __builtin_shufflevector(x, x, ((i + by) % lanes)...);
#else
  return __builtin_shuffle(x, typename Lanes<T>::Indices{((i + by) % lanes)...});
#endif
}
// In halves.
template <class T, int by = Lanes<T>::count / 2>
FUNCNN_INLINE T sum_of(typename Lanes<T>::V x) {
  if constexpr (by == 0)
    return x[0];
  else
    return sum_of<T, by / 2>(x + rotated<T, by>(x, std::make_integer_sequence<int, Lanes<T>::count>()));
}

#if defined(__AVX512F__)
constexpr bool kMasks = true;
// Elements [begin, end) of a vector; the others are zero, or stay as they are in memory.
FUNCNN_INLINE __mmask16 between(int64_t begin, int64_t end) { return __mmask16((1u << end) - (1u << begin)); }
FUNCNN_INLINE simd::Vector<float> load_part(const float* at, int64_t begin, int64_t end) {
  return _mm512_maskz_loadu_ps(between(begin, end), at);
}
FUNCNN_INLINE simd::Vector<double> load_part(const double* at, int64_t begin, int64_t end) {
  return _mm512_maskz_loadu_pd(__mmask8(between(begin, end)), at);
}
FUNCNN_INLINE void store_part(float* at, simd::Vector<float> x, int64_t end) {
  _mm512_mask_storeu_ps(at, between(0, end), x);
}
FUNCNN_INLINE void store_part(double* at, simd::Vector<double> x, int64_t end) {
  _mm512_mask_storeu_pd(at, __mmask8(between(0, end)), x);
}
#else
constexpr bool kMasks = false;
#endif

// `corner`: the first rows are those of the columns in a symmetric matrix, whose upper triangle is not read.
template <class T, int columns, bool forward, bool back, bool corner = false>
void products_of(int64_t m, const T* a, int64_t ld, const T* x, T* y, const T* u, T* v) {
  constexpr int64_t lanes = Lanes<T>::count;
  using V = typename Lanes<T>::V;
  V by[columns], sum[columns];
  T rest[columns];
  FUNCNN_UNROLL
  for (int j = 0; j < columns; ++j) {
    by[j] = forward ? simd::repeat(x[j]) : V{};
    sum[j] = V{};
    rest[j] = 0;
  }
  int64_t i = 0;
#if defined(__AVX512F__)
  if constexpr (corner) {
    V to = load(y), with = load(u);
    FUNCNN_UNROLL
    for (int j = 0; j < columns; ++j) {
      to = simd::fma(load_part(a + j * ld, j, lanes), by[j], to);
      sum[j] = simd::fma(load_part(a + j * ld, j + 1, lanes), with, sum[j]);
    }
    store(y, to);
    i = lanes;
  }
#endif
  for (; i + lanes <= m; i += lanes) {
    V to{}, with{};
    if (forward) to = load(y + i);
    if (back) with = load(u + i);
    FUNCNN_UNROLL
    for (int j = 0; j < columns; ++j) {
      V element = load(a + j * ld + i);
      // Columns are too short to be guessed by the processor.
      if (columns > 1) __builtin_prefetch(a + (columns + j) * ld + i);
      if (forward) to = simd::fma(element, by[j], to);
      if (back) sum[j] = simd::fma(element, with, sum[j]);
    }
    if (forward) store(y + i, to);
  }
#if defined(__AVX512F__)
  if (const int64_t left = m - i; left > 0) {
    V to{}, with{};
    if (forward) to = load_part(y + i, 0, left);
    if (back) with = load_part(u + i, 0, left);
    FUNCNN_UNROLL
    for (int j = 0; j < columns; ++j) {
      V element = load_part(a + j * ld + i, 0, left);
      if (forward) to = simd::fma(element, by[j], to);
      if (back) sum[j] = simd::fma(element, with, sum[j]);
    }
    if (forward) store_part(y + i, to, left);
  }
#else
  for (; i < m; ++i)
    for (int j = 0; j < columns; ++j) {
      T element = a[j * ld + i];
      if (forward) y[i] = simd::fma(element, x[j], y[i]);
      if (back) rest[j] = simd::fma(element, u[i], rest[j]);
    }
#endif
  if (back)
    for (int j = 0; j < columns; ++j) v[j] += sum_of<T>(sum[j]) + rest[j];
}

template <class T, bool forward, bool back>
void products_by_columns(int64_t m, int64_t n, const T* a, int64_t ld, const T* x, T* y, const T* u, T* v) {
  int64_t j = 0;
  for (; j + kColumns <= n; j += kColumns)
    products_of<T, kColumns, forward, back>(m, a + j * ld, ld, forward ? x + j : x, y, u, back ? v + j : v);
  for (; j < n; ++j) products_of<T, 1, forward, back>(m, a + j * ld, ld, forward ? x + j : x, y, u, back ? v + j : v);
}

template <class T>
void products(int64_t m, int64_t n, const T* a, int64_t ld, const T* x, T* y, const T* u, T* v) {
  if (y && v)
    products_by_columns<T, true, true>(m, n, a, ld, x, y, u, v);
  else if (y)
    products_by_columns<T, true, false>(m, n, a, ld, x, y, u, v);
  else
    products_by_columns<T, false, true>(m, n, a, ld, x, y, u, v);
}

template <class T>
void symmetric(int64_t n, int64_t begin, int64_t end, const T* a, int64_t ld, const T* x, T* y) {
  for (int64_t j = begin; j < end; j += kColumns) {
    int64_t width = std::min<int64_t>(kColumns, end - j);
    if (kMasks && width == kColumns && n - j >= Lanes<T>::count) {
      products_of<T, kColumns, true, true, true>(n - j, a + j * ld + j, ld, x + j, y + j, x + j, y + j);
      continue;
    }
    for (int64_t c = j; c < j + width; ++c) {
      y[c] += a[c * ld + c] * x[c];
      for (int64_t i = c + 1; i < j + width; ++i) {
        y[i] += a[c * ld + i] * x[c];
        y[c] += a[c * ld + i] * x[i];
      }
    }
    int64_t below = j + width;
    products(n - below, width, a + j * ld + below, ld, x + j, y + below, x + below, y + j);
  }
}

template <class T>
constexpr LapackTiles<T> table_of() {
  return {Lanes<T>::count, kRows,   kVectors * Lanes<T>::count, subtract<T>, solve<T>, transpose<T>, products<T>,
          symmetric<T>,    panel<T>};
}

}  // namespace

const LapackTiles<float> FUNCNN_OF_THIS_SET(lapack_tiles_f32_) = table_of<float>();
const LapackTiles<double> FUNCNN_OF_THIS_SET(lapack_tiles_f64_) = table_of<double>();
#else
const LapackTiles<float> FUNCNN_OF_THIS_SET(lapack_tiles_f32_) = {};
const LapackTiles<double> FUNCNN_OF_THIS_SET(lapack_tiles_f64_) = {};
#endif

}  // namespace funcnn::cpu
