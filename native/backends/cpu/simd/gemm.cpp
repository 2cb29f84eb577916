// The tile kernel of matrix products. A tile of C stays in registers while a panel of packed A and one of B go by.
#include "backends/cpu/gemm.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/simd/fma.h"

#define FUNCNN_JOIN_(a, b) a##b
#define FUNCNN_JOIN(a, b) FUNCNN_JOIN_(a, b)

namespace funcnn::cpu {
extern const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA);

#if defined(FUNCNN_VECTORS)
namespace {

#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX2__)
constexpr int kRows = 6;
#elif defined(__aarch64__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
constexpr int kBytes = FUNCNN_VECTOR_BYTES;
constexpr int kVectors = 2;  // a row of the tile

template <class T>
struct Simd {
  using Vector = simd::Vector<T>;
  typedef T Loose __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static constexpr int lanes = kBytes / int(sizeof(T)), panel = kVectors * lanes;
};

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(bfloat16_t x) { return bfloat16_bits_to_float(x.bits); }
inline float widen(float16_t x) { return float16_bits_to_float(x.bits); }

// `rows` x panel elements of C from k steps of a packed panel of A (kRows apart) and a panel of B (`step` apart).
template <class T, int vectors, int rows>
void tile(int64_t k, const T* __restrict a, const T* __restrict b, int64_t step, T* __restrict c, int64_t leading,
          bool add) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes;
  V sum[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) sum[i][j] = V{};
  for (int64_t p = 0; p < k; ++p) {
    V x[vectors];
    for (int j = 0; j < vectors; ++j) x[j] = *reinterpret_cast<const L*>(b + j * lanes);
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j) sum[i][j] = simd::fma(simd::repeat(a[i]), x[j], sum[i][j]);
    a += kRows;
    b += step;
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) {
      L* out = reinterpret_cast<L*>(c + i * leading + j * lanes);
      *out = add ? *out + sum[i][j] : sum[i][j];
    }
}

template <class T>
using Tile = void (*)(int64_t, const T*, const T*, int64_t, T*, int64_t, bool);

template <class T, int vectors, int... rows>
constexpr Tile<T> pick(int count, std::integer_sequence<int, rows...>) {
  constexpr Tile<T> table[] = {tile<T, vectors, rows + 1>...};
  return table[count - 1];
}

// Rows of A in panels of at most kRows, as even as they come.
struct Panels {
  int64_t count, base, extra;
  explicit Panels(int64_t rows) : count((rows + kRows - 1) / kRows), base(rows / count), extra(rows % count) {}
  int64_t rows(int64_t i) const { return base + (i < extra ? 1 : 0); }
};

typedef float Four __attribute__((vector_size(16)));
typedef float FourLoose __attribute__((vector_size(16), aligned(4), may_alias));

// Four of the eight elements of a and b, by position. GCC 11 and Clang name the instruction differently.
template <int... at>
Four pick(Four a, Four b) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, at...);
#else
  typedef int32_t Order __attribute__((vector_size(16)));
  return __builtin_shuffle(a, b, Order{at...});
#endif
}

// out[t * step + i] = line i at t, for `lines` lines that are `apart` from each other and dense along t.
template <class T, class S>
void interleave(const S* __restrict from, int64_t apart, int64_t lines, int64_t k, T* __restrict out, int64_t step) {
  int64_t i = 0;
  if constexpr (sizeof(T) == 4) {
    // Squares of 4 x 4 in registers.
    auto load = [](const S* at) {
      if constexpr (std::is_same_v<T, S>)
        return Four(*reinterpret_cast<const FourLoose*>(at));
      else
        return Four{widen(at[0]), widen(at[1]), widen(at[2]), widen(at[3])};
    };
    for (; i + 4 <= lines; i += 4) {
      const S* line = from + i * apart;
      int64_t t = 0;
      for (; t + 4 <= k; t += 4) {
        Four a = load(line + t), b = load(line + apart + t), c = load(line + 2 * apart + t),
             d = load(line + 3 * apart + t);
        Four ab0 = pick<0, 4, 1, 5>(a, b), ab1 = pick<2, 6, 3, 7>(a, b);
        Four cd0 = pick<0, 4, 1, 5>(c, d), cd1 = pick<2, 6, 3, 7>(c, d);
        T* to = out + t * step + i;
        *reinterpret_cast<FourLoose*>(to) = pick<0, 1, 4, 5>(ab0, cd0);
        *reinterpret_cast<FourLoose*>(to + step) = pick<2, 3, 6, 7>(ab0, cd0);
        *reinterpret_cast<FourLoose*>(to + 2 * step) = pick<0, 1, 4, 5>(ab1, cd1);
        *reinterpret_cast<FourLoose*>(to + 3 * step) = pick<2, 3, 6, 7>(ab1, cd1);
      }
      for (; t < k; ++t)
        for (int64_t q = 0; q < 4; ++q) out[t * step + i + q] = widen(line[q * apart + t]);
    }
  }
  for (; i < lines; ++i)
    for (int64_t t = 0; t < k; ++t) out[t * step + i] = widen(from[i * apart + t]);
}

template <class T, class S>
void pack_a(MatrixView<S> a, int64_t rows, int64_t k, T* out) {
  Panels panels(rows);
  for (int64_t p = 0, row = 0; p < panels.count; ++p) {
    int64_t n = panels.rows(p);
    MatrixView<S> from = a.at(row, 0);
    if (a.column == 1) {
      interleave<T>(from.data, from.row, n, k, out, kRows);
    } else if (a.row == 1 && n == kRows) {
      for (int64_t t = 0; t < k; ++t)
        for (int64_t i = 0; i < kRows; ++i) out[t * kRows + i] = widen(from.data[t * from.column + i]);
    } else {
      for (int64_t t = 0; t < k; ++t)
        for (int64_t i = 0; i < n; ++i) out[t * kRows + i] = widen(from.data[t * from.column + i * from.row]);
    }
    row += n;
    out += k * kRows;
  }
}

template <class T, class S>
void pack_b_panel(MatrixView<S> b, int64_t k, int64_t columns, T* out) {
  constexpr int panel = Simd<T>::panel;
  if (columns < panel) std::fill_n(out, k * panel, T(0));
  if (b.row == 1) {
    interleave<T>(b.data, b.column, columns, k, out, panel);
  } else if (b.column == 1 && columns == panel) {
    for (int64_t t = 0; t < k; ++t)
      for (int j = 0; j < panel; ++j) out[t * panel + j] = widen(b.data[t * b.row + j]);
  } else {
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < columns; ++j) out[t * panel + j] = widen(b.data[t * b.row + j * b.column]);
  }
}

template <class T, class S>
typename Simd<T>::Vector load_wide(const S* from) {
  using V = typename Simd<T>::Vector;
  if constexpr (std::is_same_v<T, S>) {
    return *reinterpret_cast<const typename Simd<T>::Loose*>(from);
  } else {
    typedef uint16_t Narrow __attribute__((vector_size(kBytes / 2), aligned(2), may_alias));
    typedef uint32_t Wide __attribute__((vector_size(kBytes)));
    Wide bits = __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), Wide);
    if constexpr (std::is_same_v<S, bfloat16_t>) return V(bits << 16);
    Wide magnitude = (bits & 0x7fffu) << 13, sign = (bits & 0x8000u) << 16;
    Wide finite = Wide(V(magnitude) * 0x1p112f);
    return V((magnitude >= 0x0f800000u ? (magnitude | 0x7f800000u) : finite) | sign);
  }
}

// rows x columns of A B where the rows of A and the columns of B are dense: vectors run along K.
template <class T, class S, int rows, int columns>
void dots(int64_t k, const S* __restrict a, int64_t row, const S* __restrict b, int64_t column, T* c, int64_t leading) {
  using V = typename Simd<T>::Vector;
  constexpr int lanes = Simd<T>::lanes;
  V sum[rows][columns];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) sum[i][j] = V{};
  int64_t t = 0;
  for (; t + lanes <= k; t += lanes) {
    V y[columns];
    for (int j = 0; j < columns; ++j) y[j] = load_wide<T>(b + j * column + t);
    for (int i = 0; i < rows; ++i) {
      V x = load_wide<T>(a + i * row + t);
      for (int j = 0; j < columns; ++j) sum[i][j] = simd::fma(x, y[j], sum[i][j]);
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      T total = 0;
      for (int q = 0; q < lanes; ++q) total += sum[i][j][q];
      for (int64_t u = t; u < k; ++u) total = simd::fma(T(widen(a[i * row + u])), T(widen(b[j * column + u])), total);
      c[i * leading + j] = total;
    }
}

template <class T, class S>
using Dots = void (*)(int64_t, const S*, int64_t, const S*, int64_t, T*, int64_t);

template <class T, class S, int... at>
Dots<T, S> pick_dots(int64_t rows, int64_t columns, std::integer_sequence<int, at...>) {
  static constexpr Dots<T, S> table[] = {dots<T, S, at / 4 + 1, at % 4 + 1>...};
  return table[(rows - 1) * 4 + columns - 1];
}

template <class T, class S>
void few_dots(int64_t m, int64_t n, int64_t k, MatrixView<S> a, MatrixView<S> b, T* c, int64_t leading) {
  auto block = [&](int64_t i, int64_t j) {
    int64_t rows = std::min<int64_t>(4, m - i), columns = std::min<int64_t>(4, n - j);
    pick_dots<T, S>(rows, columns, std::make_integer_sequence<int, 16>())(
        k, a.data + i * a.row, a.row, b.data + j * b.column, b.column, c + i * leading + j, leading);
  };
  // The operand with fewer lines is gone over again for every few of the other.
  if (m <= n) {
    for (int64_t j = 0; j < n; j += 4)
      for (int64_t i = 0; i < m; i += 4) block(i, j);
  } else {
    for (int64_t i = 0; i < m; i += 4)
      for (int64_t j = 0; j < n; j += 4) block(i, j);
  }
}

// The product into C of the type that is accumulated in.
template <class T, class S>
void accumulate(int64_t m, int64_t n, int64_t k, MatrixView<S> a, MatrixView<S> b, T* c, int64_t leading,
                std::byte* room) {
  constexpr int panel = Simd<T>::panel;
  if ((a.column == 1 || k == 1) && (b.row == 1 || k == 1) && (m <= 4 || n <= kFewColumns))
    return few_dots(m, n, k, a, b, c, leading);
  if (a.column == 1 && m >= 4 && n <= kFewColumns && k <= kDeepestTurned) {
    S* turned = reinterpret_cast<S*>(room);
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < n; ++j) turned[j * k + t] = *b.at(t, j).data;
    return few_dots<T, S>(m, n, k, a, {turned, 1, k}, c, leading);
  }
  T* packed_a = reinterpret_cast<T*>(room);
  T* packed_b = packed_a + (std::min(m, kBlockM) + kRows) / kRows * kRows * std::min(k, kBlockK);
  packed_b = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(packed_b) + 63) & ~uintptr_t(63));
  alignas(64) T edge[kRows * panel];
  for (int64_t n0 = 0; n0 < n; n0 += kBlockN) {
    int64_t columns = std::min(kBlockN, n - n0);
    for (int64_t k0 = 0; k0 < k; k0 += kBlockK) {
      int64_t depth = std::min(kBlockK, k - k0);
      // B in its own rows is read where it lies unless it is gone over often.
      bool direct = std::is_same_v<T, S> && b.column == 1 && m <= 4 * kRows;
      auto pack_b = [&](int64_t j) {
        pack_b_panel<T>(b.at(k0, n0 + j), depth, std::min<int64_t>(panel, columns - j),
                        packed_b + j / panel * depth * panel);
      };
      for (int64_t m0 = 0; m0 < m; m0 += kBlockM) {
        int64_t rows = std::min(kBlockM, m - m0);
        pack_a<T>(a.at(m0, k0), rows, depth, packed_a);
        Panels panels(rows);
        for (int64_t j = 0; j < columns; j += panel) {
          int64_t width = std::min<int64_t>(panel, columns - j);
          const T* from = packed_b + j / panel * depth * panel;
          int64_t step = panel;
          if (direct && width == panel) {
            from = reinterpret_cast<const T*>(b.at(k0, n0 + j).data);
            step = b.row;
          } else if (m0 == 0) {
            pack_b(j);
          }
          for (int64_t p = 0, row = m0; p < panels.count; ++p) {
            int64_t count = panels.rows(p);
            constexpr auto sizes = std::make_integer_sequence<int, kRows>();
            Tile<T> run =
                width <= Simd<T>::lanes ? pick<T, 1>(int(count), sizes) : pick<T, kVectors>(int(count), sizes);
            T* out = c + row * leading + n0 + j;
            const T* left = packed_a + p * depth * kRows;
            if (width == panel) {
              run(depth, left, from, step, out, leading, k0 > 0);
            } else {
              run(depth, left, from, step, edge, panel, false);
              for (int64_t i = 0; i < count; ++i)
                for (int64_t q = 0; q < width; ++q)
                  out[i * leading + q] = k0 > 0 ? out[i * leading + q] + edge[i * panel + q] : edge[i * panel + q];
            }
            row += count;
          }
        }
      }
    }
  }
}

template <class T>
void same(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, T* c, int64_t leading, std::byte* room) {
  accumulate<T, T>(m, n, k, a, b, c, leading, room);
}

// 16-bit floats: accumulated in float32, rounded once.
template <class H>
void half(int64_t m, int64_t n, int64_t k, MatrixView<H> a, MatrixView<H> b, H* c, int64_t leading, std::byte* room) {
  float* total = reinterpret_cast<float*>(room);
  accumulate<float, H>(m, n, k, a, b, total, n, room + (size_t(m * n) * sizeof(float) + 63) / 64 * 64);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * leading + j] = H(total[i * n + j]);
}

}  // namespace

const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA) = {same<float>, same<double>, half<float16_t>, half<bfloat16_t>};
#else
const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA) = {};
#endif

}  // namespace funcnn::cpu
