// What attention and its derivatives share: products whose columns are queries, the exponential, and blocks of scores.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "backends/cpu/attention.h"
#include "backends/cpu/simd/gemm_tile.h"
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu {
namespace {

#if defined(FUNCNN_VECTORS)

// `rows` x `vectors` vectors of c from `depth` steps of rows of b, with element (i, p) of a at a[i * stride + p]
// (`apart`) or at a[p * stride + i].
template <class T, int vectors, bool apart, int rows>
void strip(int64_t depth, const T* a, int64_t stride, const T* b, int64_t step, T* c, int64_t leading, bool add) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes, bases = (rows + 2) / 3;
  V sum[rows][vectors];
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) FUNCNN_UNROLL
  for (int j = 0; j < vectors; ++j) sum[i][j] = V{};
  // Few pointers, from which the processor's addressing reaches all rows.
  const T* base[bases];
  FUNCNN_UNROLL
  for (int i = 0; i < bases; ++i) base[i] = a + 3 * i * stride;
  for (int64_t p = 0; p < depth; ++p) {
    V x[vectors];
    FUNCNN_UNROLL
    for (int j = 0; j < vectors; ++j) x[j] = *reinterpret_cast<const L*>(b + j * lanes);
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      V y = simd::repeat(apart ? base[i / 3][i % 3 * stride] : a[i]);
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) sum[i][j] = simd::fma(y, x[j], sum[i][j]);
    }
    if constexpr (apart) {
      FUNCNN_UNROLL
      for (int i = 0; i < bases; ++i) ++base[i];
    } else {
      a += stride;
    }
    b += step;
  }
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) FUNCNN_UNROLL
  for (int j = 0; j < vectors; ++j) {
    L* out = reinterpret_cast<L*>(c + i * leading + j * lanes);
    *out = add ? *out + sum[i][j] : sum[i][j];
  }
}

template <class T>
using Strip = void (*)(int64_t, const T*, int64_t, const T*, int64_t, T*, int64_t, bool);

template <class T, int vectors, bool apart, int... rows>
Strip<T> pick_strip(int64_t count, std::integer_sequence<int, rows...>) {
  static constexpr Strip<T> table[] = {strip<T, vectors, apart, rows + 1>...};
  return table[count - 1];
}

template <class T>
constexpr int64_t kLanes = Simd<T>::lanes;
template <class T>
constexpr int64_t kPanel = Simd<T>::panel;

// c (rows x columns) = or += a b. `columns`: whole vectors.
template <bool apart, class T>
void product(int64_t rows, int64_t columns, int64_t depth, const T* a, int64_t stride, const T* b, int64_t step, T* c,
             int64_t leading, bool add) {
  if (rows == 0) return;
  constexpr auto sizes = std::make_integer_sequence<int, kRows>();
  Panels panels(rows);
  for (int64_t j = 0; j < columns; j += Simd<T>::panel) {
    bool one = columns - j <= kLanes<T>;
    for (int64_t p = 0, row = 0; p < panels.count; ++p) {
      int64_t count = panels.rows(p);
      Strip<T> run = one ? pick_strip<T, 1, apart>(count, sizes) : pick_strip<T, kVectors, apart>(count, sizes);
      run(depth, a + row * (apart ? stride : 1), stride, b + j, step, c + row * leading + j, leading, add);
      row += count;
    }
  }
}

#else

template <class T>
constexpr int64_t kLanes = 8;
template <class T>
constexpr int64_t kPanel = 16;

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(bfloat16_t x) { return bfloat16_bits_to_float(x.bits); }
inline float widen(float16_t x) { return float16_bits_to_float(x.bits); }

template <class T, class S>
void interleave(const S* from, int64_t apart, int64_t lines, int64_t k, T* out, int64_t step) {
  for (int64_t i = 0; i < lines; ++i)
    for (int64_t t = 0; t < k; ++t) out[t * step + i] = widen(from[i * apart + t]);
}

template <bool apart, class T>
void product(int64_t rows, int64_t columns, int64_t depth, const T* a, int64_t stride, const T* b, int64_t step, T* c,
             int64_t leading, bool add) {
  for (int64_t i = 0; i < rows; ++i) {
    T* out = c + i * leading;
    if (!add) std::fill_n(out, columns, T(0));
    for (int64_t p = 0; p < depth; ++p) {
      T x = apart ? a[i * stride + p] : a[p * stride + i];
      for (int64_t j = 0; j < columns; ++j) out[j] += x * b[p * step + j];
    }
  }
}

#endif

template <class T>
constexpr T kMinusInfinity = -std::numeric_limits<T>::infinity();

// exp(x), 0 where it is below 1e-36: no weight of a softmax, whose largest is 1, is missed. NaN stays.
FUNCNN_INLINE float weight(float x) {
  float e = simd::exp2_product(1.44269504088896341f, x);
  e = x < -83.0f ? 0.0f : e;
  return x == x ? e : x;
}
FUNCNN_INLINE double weight(double x) { return std::exp(x); }

// A part of a thread's scratch memory.
struct Room {
  std::byte* at;
  template <class T>
  T* take(int64_t count) {
    T* taken = reinterpret_cast<T*>(at);
    at += (size_t(count) * sizeof(T) + 63) / 64 * 64;
    return taken;
  }
};

// Rows [begin, end) as they stand in the columns of a block.
struct Columns {
  int64_t first, count, width;  // width: with whole vectors
  int64_t least, most;          // keys that all of them see, that any of them sees

  template <class T>
  static Columns of(const AttentionSizes& sizes, int64_t begin, int64_t end) {
    Columns c{begin, end - begin, (end - begin + kLanes<T> - 1) / kLanes<T> * kLanes<T>, sizes.keys, sizes.keys};
    if (!sizes.causal) return c;
    c.most = 0;
    c.runs(sizes, [&](int64_t, int64_t n, int64_t, int64_t t) {
      c.least = std::min(c.least, seen(sizes, t));
      c.most = std::max(c.most, seen(sizes, t + n - 1));
    });
    return c;
  }
  // Of keys [key, key + n), how many a panel of columns sees any of.
  int64_t seen_by(const AttentionSizes& sizes, int64_t column, int64_t length, int64_t key, int64_t n) const {
    if (key + n <= least) return n;
    int64_t most_seen = 0;
    runs(sizes, [&](int64_t i, int64_t count, int64_t, int64_t t) {
      int64_t last = std::min(i + count, column + length) - 1;
      if (last >= std::max(i, column)) most_seen = std::max(most_seen, seen(sizes, t + last - i));
    });
    return std::clamp<int64_t>(most_seen - key, 0, n);
  }
  // How many keys query t sees.
  static int64_t seen(const AttentionSizes& sizes, int64_t t) {
    return std::clamp<int64_t>(t + sizes.keys - sizes.queries + 1, 0, sizes.keys);
  }
  // f(column, length, g, t): queries t, t + 1, ... of head g.
  template <class F>
  void runs(const AttentionSizes& sizes, F&& f) const {
    for (int64_t i = 0; i < count;) {
      int64_t g = (first + i) / sizes.queries, t = (first + i) % sizes.queries;
      int64_t n = std::min(count - i, sizes.queries - t);
      f(i, n, g, t);
      i += n;
    }
  }
};

// The rows of a block, turned: element d of column i at out[d * kQueryBlock + i], 0 beyond the last column.
template <class T, class S>
void turn(const AttentionSizes& sizes, const Columns& c, const QueryView<const S>& from, int64_t depth, T scale,
          T* out) {
  if (c.count < c.width)
    for (int64_t d = 0; d < depth; ++d)
      std::fill(out + d * kQueryBlock + c.count, out + d * kQueryBlock + c.width, T(0));
  c.runs(sizes, [&](int64_t i, int64_t n, int64_t g, int64_t t) {
    const S* rows = from.at(g, t);
    if (from.column == 1) {
      interleave<T>(rows, from.row, n, depth, out + i, kQueryBlock);
    } else {
      for (int64_t d = 0; d < depth; ++d)
        for (int64_t q = 0; q < n; ++q) out[d * kQueryBlock + i + q] = widen(rows[q * from.row + d * from.column]);
    }
  });
  if (scale != T(1))
    for (int64_t d = 0; d < depth; ++d)
      for (int64_t i = 0; i < c.width; ++i) out[d * kQueryBlock + i] *= scale;
}

// The opposite: rows of `to` from columns. `room`: values * kQueryBlock elements for what is not float32 or float64.
template <class T, class S>
void turn_back(const AttentionSizes& sizes, const Columns& c, const T* from, int64_t depth, const QueryView<S>& to,
               T* room) {
  c.runs(sizes, [&](int64_t i, int64_t n, int64_t g, int64_t t) {
    if constexpr (std::is_same_v<S, T>) {
      interleave<T>(from + i, kQueryBlock, depth, n, to.at(g, t), to.row);
    } else {
      interleave<T>(from + i, kQueryBlock, depth, n, room, depth);
      for (int64_t q = 0; q < n; ++q) {
        S* row = to.at(g, t + q);
        for (int64_t d = 0; d < depth; ++d) row[d] = S(room[q * depth + d]);
      }
    }
  });
}

// Rows of T, where they lie or copied.
template <class T>
struct Dense {
  const T* data;
  int64_t row;
};
template <class T, class S>
Dense<T> dense(MatrixView<S> m, int64_t rows, int64_t length, T* room) {
  if constexpr (std::is_same_v<S, T>)
    if (m.column == 1) return {m.data, m.row};
  for (int64_t i = 0; i < rows; ++i) {
    const S* from = m.data + i * m.row;
    T* to = room + i * length;
    if (m.column == 1)
      for (int64_t d = 0; d < length; ++d) to[d] = widen(from[d]);
    else
      for (int64_t d = 0; d < length; ++d) to[d] = widen(from[d * m.column]);
  }
  return {room, length};
}

// ---- the mask

// An element of a mask of bool.
struct Flag {
  uint8_t bits;
};
inline float widen(Flag x) { return x.bits ? 0.0f : -std::numeric_limits<float>::infinity(); }

#if defined(FUNCNN_VECTORS)
// A vector of flags at once, which the compiler does not make of `widen`.
template <class T>
struct Word<T, Flag> {
  static constexpr int group = 1;
  static T read(const Flag* at) { return T(widen(*at)); }
  static Four read_four(const Flag* at) { return Four{widen(at[0]), widen(at[1]), widen(at[2]), widen(at[3])}; }
  static typename Simd<T>::Vector read_vector(const Flag* at) {
    using Bits = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    typedef uint8_t Bytes __attribute__((vector_size(Simd<T>::lanes), aligned(1), may_alias));
    typedef Bits Wide __attribute__((vector_size(kBytes)));
    constexpr Bits infinity = std::bit_cast<Bits>(-std::numeric_limits<T>::infinity());
    Wide flags = __builtin_convertvector(*reinterpret_cast<const Bytes*>(at), Wide);
    return typename Simd<T>::Vector(Wide(flags == 0) & infinity);
  }
};
#endif

template <class T, class S>
void turn_mask(const AttentionSizes& sizes, const Columns& c, const QueryView<const std::byte>& mask, int64_t key,
               int64_t n, T* out) {
  constexpr int64_t item = int64_t(sizeof(S));
  c.runs(sizes, [&](int64_t i, int64_t count, int64_t g, int64_t t) {
    const S* from = reinterpret_cast<const S*>(mask.at(g, t)) + key * (mask.column / item);
    int64_t row = mask.row / item, column = mask.column / item;
    if (row == 0) {
      for (int64_t j = 0; j < n; ++j) std::fill_n(out + j * kQueryBlock + i, count, T(widen(from[j * column])));
    } else if (column == 1) {
      interleave<T>(from, row, count, n, out + i, kQueryBlock);
    } else {
      for (int64_t j = 0; j < n; ++j)
        for (int64_t q = 0; q < count; ++q) out[j * kQueryBlock + i + q] = T(widen(from[q * row + j * column]));
    }
  });
}

// What keys [key, key + n) may not be seen by: s is n x kQueryBlock. `room`: as many elements.
template <class T, class S>
void apply_mask(const AttentionSizes& sizes, const AttentionHead<S>& head, const Columns& c, int64_t key, int64_t n,
                T* s, T* room) {
  if (sizes.causal && key + n > c.least) {
    T seen[kQueryBlock];
    std::fill_n(seen, kQueryBlock, T(n));
    c.runs(sizes, [&](int64_t i, int64_t count, int64_t, int64_t t) {
      for (int64_t q = 0; q < count; ++q) seen[i + q] = T(std::clamp<int64_t>(Columns::seen(sizes, t + q) - key, 0, n));
    });
    for (int64_t j = 0; j < n; ++j) {
      T number = T(j), *row = s + j * kQueryBlock;
      for (int64_t i = 0; i < c.width; ++i) row[i] = number < seen[i] ? row[i] : kMinusInfinity<T>;
    }
  }
  if (!head.mask.data) return;
  if (c.count < c.width)
    for (int64_t j = 0; j < n; ++j) std::fill(room + j * kQueryBlock + c.count, room + j * kQueryBlock + c.width, T(0));
  if (sizes.boolean) {
    turn_mask<T, Flag>(sizes, c, head.mask, key, n, room);
    for (int64_t j = 0; j < n * kQueryBlock; j += kQueryBlock)
      for (int64_t i = j; i < j + c.width; ++i) s[i] = room[i] == T(0) ? s[i] : kMinusInfinity<T>;
  } else {
    turn_mask<T, S>(sizes, c, head.mask, key, n, room);
    for (int64_t j = 0; j < n * kQueryBlock; j += kQueryBlock)
      for (int64_t i = j; i < j + c.width; ++i) s[i] += room[i];
  }
}

// f(first column, columns with whole vectors, columns that are rows, keys) of panels of columns, with how many of the
// keys [key, key + n) any of them sees; of one panel where they all see all.
template <class T, class F>
void for_panels(const AttentionSizes& sizes, const Columns& c, int64_t key, int64_t n, F&& f) {
  if (key + n <= c.least) return f(int64_t(0), c.width, c.count, n);
  for (int64_t i = 0; i < c.width; i += kPanel<T>) {
    int64_t width = std::min(kPanel<T>, c.width - i), count = std::min(width, c.count - i);
    f(i, width, count, c.seen_by(sizes, i, count, key, n));
  }
}

// s = the products of n keys and the columns of q, or of values and the columns of the cotangent. What no column of a
// panel sees is left as it is.
template <class T>
void multiply_keys(const AttentionSizes& sizes, const Columns& c, int64_t key, int64_t n, int64_t depth, Dense<T> k,
                   const T* q, T* s) {
  for_panels<T>(sizes, c, key, n, [&](int64_t i, int64_t width, int64_t, int64_t keys) {
    product<true>(keys, width, depth, k.data, k.row, q + i, kQueryBlock, s + i, kQueryBlock, false);
  });
}

// sum (length x columns) = or += the rows of n values weighted with s.
template <class T>
void add_weighted(const AttentionSizes& sizes, const Columns& c, int64_t key, int64_t n, int64_t length, Dense<T> v,
                  const T* s, T* sum, bool add) {
  for_panels<T>(sizes, c, key, n, [&](int64_t i, int64_t width, int64_t, int64_t keys) {
    if (keys > 0 || !add)
      product<false>(length, width, keys, v.data, v.row, s + i, kQueryBlock, sum + i, kQueryBlock, add);
  });
}

// f(first key, number) of blocks that cover the keys that the columns see, as even as they come.
template <class F>
void for_key_blocks(const Columns& c, F&& f) {
  int64_t blocks = (c.most + kKeyBlock - 1) / kKeyBlock;
  for (int64_t b = 0, key = 0; b < blocks; ++b) {
    int64_t n = c.most / blocks + (b < c.most % blocks ? 1 : 0);
    f(key, n);
    key += n;
  }
}

}  // namespace
}  // namespace funcnn::cpu
