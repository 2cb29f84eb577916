// Reductions of contiguous rows to one value each. Floating-point sums are accumulated in many lanes over blocks, and
// blocks are summed pairwise: the error grows with the logarithm of the length.
#include <type_traits>

#include "backends/cpu/simd/reduce.h"
#include "backends/cpu/simd/table.h"

namespace funcnn::cpu::simd {
namespace {

// How elements enter a reduction: the first one, and further ones, of vectors and of single values.
struct Plain {
  template <class V>
  FUNCNN_INLINE V first(V x) const {
    return x;
  }
  template <class Op, class V>
  FUNCNN_INLINE V vector(V acc, V x) const {
    return Op::vector(acc, x);
  }
  template <class Op, class T>
  FUNCNN_INLINE T apply(T acc, T x) const {
    return Op::apply(acc, x);
  }
};
template <class T>
struct SquaredDifference {
  T shift;
  template <class V>
  FUNCNN_INLINE V first(V x) const {
    V d = x - shift;
    return d * d;
  }
  template <class Op, class V>
  FUNCNN_INLINE V vector(V acc, V x) const {
    V d = x - shift;
    return fma(d, d, acc);
  }
  template <class Op>
  FUNCNN_INLINE T apply(T acc, T x) const {
    return vector<Op>(acc, x);
  }
};

constexpr int kLaneBytes = 256;  // of accumulators
constexpr int kFewBytes = 64;    // of those that go on with what does not fill these
constexpr int64_t kBlock = 2048;

#if defined(FUNCNN_VECTORS)
// `count` vectors of accumulators: with the first elements, with those from i on, and each other.
template <int count, class V, class T, class Map>
FUNCNN_INLINE int64_t begin(V* v, const T* x, Map map) {
#pragma GCC unroll 16
  for (int k = 0; k < count; ++k) v[k] = map.first(load_vector(x + k * int(sizeof(V) / sizeof(T))));
  return count * int64_t(sizeof(V) / sizeof(T));
}
template <int count, class Op, class V, class T, class Map>
FUNCNN_INLINE int64_t go_on(V* v, const T* FUNCNN_RESTRICT x, int64_t i, int64_t n, Map map) {
  constexpr int width = int(sizeof(V) / sizeof(T));
  for (; i + count * width <= n; i += count * width) {
#pragma GCC unroll 16
    for (int k = 0; k < count; ++k) v[k] = map.template vector<Op>(v[k], load_vector(x + i + k * width));
  }
  return i;
}
template <int most, int least, class Op, class V>
FUNCNN_INLINE void meet(V* v) {
#pragma GCC unroll 16
  for (int half = most; half >= least; half /= 2) {
#pragma GCC unroll 16
    for (int k = 0; k < half; ++k) v[k] = Op::vector(v[k], v[k + half]);
  }
}
#endif

template <class T, class Op, class Map>
FUNCNN_INLINE T reduce_block(const T* FUNCNN_RESTRICT x, int64_t n, Map map) {
  constexpr int lanes = kLaneBytes / int(sizeof(T)), few = kFewBytes / int(sizeof(T));
  T acc[lanes];
  int64_t i = 0;
  if (n >= few) {
    // Halves are added to each other in the same order whatever the width of vectors.
#if defined(FUNCNN_VECTORS)
    using V = Vector<T>;
    constexpr int width = int(sizeof(V) / sizeof(T)), count = lanes / width, fewer = few / width;
    V v[count];
    if (n >= lanes) {
      i = begin<count>(v, x, map);
      i = go_on<count, Op>(v, x, i, n, map);
      meet<count / 2, fewer, Op>(v);
    } else {
      i = begin<fewer>(v, x, map);
    }
    i = go_on<fewer, Op>(v, x, i, n, map);
    meet<fewer / 2, 1, Op>(v);
    __builtin_memcpy(acc, v, sizeof(V));
#else
    constexpr int width = few;
    auto add = [&](int vector) {
      for (; i + vector <= n; i += vector)
        for (int l = 0; l < vector; ++l) acc[l] = map.template apply<Op>(acc[l], x[i + l]);
    };
    i = n >= lanes ? lanes : few;
    for (int64_t l = 0; l < i; ++l) acc[l] = map.first(x[l]);
    if (n >= lanes) {
      add(lanes);
      for (int half = lanes / 2; half >= few; half /= 2)
        for (int l = 0; l < half; ++l) acc[l] = Op::apply(acc[l], acc[l + half]);
    }
    add(few);
#endif
    for (int half = width / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) acc[l] = Op::apply(acc[l], acc[l + half]);
  } else {
    acc[0] = Op::identity();
  }
  T r = acc[0];
  const int rest = int(n - i);  // fewer than lanes
  for (int l = 0; l < rest; ++l) r = map.template apply<Op>(r, x[i + l]);
  return r;
}

template <class T, class Op, class Map>
T reduce_line(const T* x, int64_t n, Map map) {
  if (n <= kBlock) return reduce_block<T, Op, Map>(x, n, map);
  const int64_t whole = n / kBlock;
  T rest = Op::identity();
  if (whole * kBlock < n) rest = reduce_block<T, Op, Map>(x + whole * kBlock, n - whole * kBlock, map);
  return pairwise<Op>(whole, [&](int64_t b) { return reduce_block<T, Op, Map>(x + b * kBlock, kBlock, map); }, rest);
}

template <class T, class Op, int cols>
void short_rows(T* FUNCNN_RESTRICT o, const T* FUNCNN_RESTRICT x, int64_t rows, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) {
    T a = x[r * stride];
    for (int c = 1; c < cols; ++c) a = Op::apply(a, x[r * stride + c]);
    o[r] = a;
  }
}

// Rows of fewer than kMostShort elements: as many side by side as there are lanes, the rest one by one. `step` gives
// the reduction of what there is and an element, of the rows from r on.
constexpr int kMostShort = 16;
template <class Op, class T, class Step>
FUNCNN_INLINE void rows_together(T* FUNCNN_RESTRICT o, const T* FUNCNN_RESTRICT x, int64_t rows, int64_t cols,
                                 int64_t stride, Step step) {
  int64_t r = 0;
#if defined(FUNCNN_VECTORS)
  using V = Vector<T>;
  constexpr int lanes = int(sizeof(V) / sizeof(T));
  for (; r + lanes <= rows; r += lanes) {
    V a = V{} + Op::identity();
    for (int64_t c = 0; c < cols; ++c) {
      const T* FUNCNN_RESTRICT column = x + r * stride + c;
      T lane[lanes];
      for (int l = 0; l < lanes; ++l) lane[l] = column[l * stride];
      a = step(a, load_vector(lane), r);
    }
    __builtin_memcpy(o + r, &a, sizeof(V));
  }
#endif
  for (; r < rows; ++r) {
    T a = Op::identity();
    for (int64_t c = 0; c < cols; ++c) a = step(a, x[r * stride + c], r);
    o[r] = a;
  }
}
// Vectors let the first of equal numbers win, elements the second.
template <class Op>
struct NextElement {
  template <class V>
  FUNCNN_INLINE V operator()(V acc, V x, int64_t) const {
    if constexpr (std::is_arithmetic_v<V>)
      return Op::apply(acc, x);
    else
      return Op::vector(x, acc);
  }
};
template <class T, bool shifted>
struct NextSquare {
  const T* shift;
  template <class V>
  FUNCNN_INLINE V operator()(V acc, V x, int64_t r) const {
    if constexpr (shifted) {
      if constexpr (std::is_arithmetic_v<V>)
        x = x - shift[r];
      else
        x = x - load_vector(shift + r);
    }
    return fma(x, x, acc);
  }
};

template <class T, class Op>
void rows_loop(void* out, const void* in, int64_t rows, int64_t cols, int64_t stride) {
  T* o = static_cast<T*>(out);
  const T* x = static_cast<const T*>(in);
  switch (cols) {
    case 2:
      return short_rows<T, Op, 2>(o, x, rows, stride);
    case 3:
      return short_rows<T, Op, 3>(o, x, rows, stride);
    case 4:
      return short_rows<T, Op, 4>(o, x, rows, stride);
    case 8:
      return short_rows<T, Op, 8>(o, x, rows, stride);
    default:
      break;
  }
  if (cols < kMostShort) return rows_together<Op>(o, x, rows, cols, stride, NextElement<Op>());
  for (int64_t r = 0; r < rows; ++r) o[r] = reduce_line<T, Op, Plain>(x + r * stride, cols, {});
}

// As reduce_block sums rows without a vector in them.
template <class T, int cols, bool shifted>
void short_squares(T* FUNCNN_RESTRICT o, const T* FUNCNN_RESTRICT x, const T* FUNCNN_RESTRICT shift, int64_t rows,
                   int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) {
    T s = 0, a = 0;
    if constexpr (shifted) s = shift[r];
    for (int c = 0; c < cols; ++c) {
      T d = x[r * stride + c] - s;
      a = fma(d, d, a);
    }
    o[r] = a;
  }
}
template <class T, int cols>
void short_squares(T* o, const T* x, const T* shift, int64_t rows, int64_t stride) {
  // A choice inside the loop would become masked reads of no address, which processors are slow at.
  (shift ? short_squares<T, cols, true> : short_squares<T, cols, false>)(o, x, shift, rows, stride);
}

template <class T>
void sum_squares(void* out, const void* in, const void* shift, int64_t rows, int64_t cols, int64_t stride) {
  T* o = static_cast<T*>(out);
  const T* x = static_cast<const T*>(in);
  const T* s = static_cast<const T*>(shift);
  switch (cols) {
    case 2:
      return short_squares<T, 2>(o, x, s, rows, stride);
    case 3:
      return short_squares<T, 3>(o, x, s, rows, stride);
    case 4:
      return short_squares<T, 4>(o, x, s, rows, stride);
    case 8:
      return short_squares<T, 8>(o, x, s, rows, stride);
    default:
      break;
  }
  if (cols < kFewBytes / int(sizeof(T))) {
    if (s) return rows_together<SumOp<T>>(o, x, rows, cols, stride, NextSquare<T, true>{s});
    return rows_together<SumOp<T>>(o, x, rows, cols, stride, NextSquare<T, false>{});
  }
  for (int64_t r = 0; r < rows; ++r) {
    SquaredDifference<T> map{shift ? s[r] : T(0)};
    o[r] = reduce_line<T, SumOp<T>, SquaredDifference<T>>(x + r * stride, cols, map);
  }
}

struct Entry {
  template <class T, class Op>
  static constexpr auto of = rows_loop<T, Op>;
};

}  // namespace

namespace FUNCNN_ISA {

void add_row_reductions(Table& t) {
  add_reductions<Entry>(t.reduce_row);
  t.sum_squares[int(Dtype::float32)] = sum_squares<float>;
  t.sum_squares[int(Dtype::float64)] = sum_squares<double>;
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
