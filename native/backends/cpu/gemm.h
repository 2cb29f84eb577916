// Matrix products by our own tile kernel, compiled for each instruction set. Operands may have any strides and be
// 16-bit floats. Every element of the result is one chain of multiply-adds in the order of K (in blocks of fixed
// length), so results do not depend on how the work is cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/half.h"

namespace funcnn::cpu {

// Where a matrix lies: element (i, j) at data[i * row + j * column].
template <class T>
struct MatrixView {
  const T* data;
  int64_t row, column;
  MatrixView at(int64_t i, int64_t j) const { return {data + i * row + j * column, row, column}; }
};

// C (m x n, dense in its rows) = A B, on the calling thread. `room`: at least gemm_room(...) bytes, aligned to 64.
template <class T, class C = T>
using Gemm = void (*)(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, C* c, int64_t leading,
                      std::byte* room);

// All of a matrix B of `columns` columns in the order of the tile kernel; a product takes panels from `first` on.
struct PackedMatrix {
  const std::byte* words;
  int64_t columns, first;
};
template <class T, class C = T>
using PackedGemm = void (*)(int64_t m, int64_t n, int64_t k, MatrixView<T> a, PackedMatrix b, C* c, int64_t leading,
                            std::byte* room);

// How rows and columns of a large product are shared out: rows in multiples of `unit`, blocks that are not smaller, and
// multiply-adds that are worth a task.
struct GemmShares {
  int64_t unit = 2, least_rows = 60, least_columns = 128;
  double least_work = 3e5;
};

// How B is packed for several products: `panel` columns are a panel, and panels are packed independently.
template <class T>
struct GemmPacking {
  int64_t panel;
  size_t (*bytes)(int64_t n, int64_t k);
  void (*pack)(MatrixView<T> b, int64_t n, int64_t k, int64_t first, int64_t end, std::byte* out);
  // The same for a B that is dense in its rows while the first `rows` rows of the product are computed, which hides
  // the packing behind the arithmetic. Null where B cannot be multiplied as it lies.
  int64_t rows;
  void (*pack_multiplying)(MatrixView<T> a, MatrixView<T> b, int64_t n, int64_t k, int64_t first, int64_t end,
                           std::byte* out, T* c, int64_t leading);
  // Some rows of the product while all of B is packed, however it lies, for those that follow; `room` as for these.
  // Null where it is packed before.
  void (*multiply_packing)(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, std::byte* out, T* c,
                           int64_t leading, std::byte* room);
  GemmShares (*shares)(int64_t m, int64_t n, int64_t k, int64_t threads) = [](int64_t, int64_t, int64_t, int64_t) {
    return GemmShares();
  };
};

template <class T, class C = T>
struct GemmPair {
  Gemm<T, C> multiply;
  PackedGemm<T, C> multiply_packed;
};

template <class T>
inline constexpr bool is_half_type = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;
// What sums of products of T are accumulated in.
template <class T>
using SumOf = std::conditional_t<is_half_type<T>, float, T>;

// The products of matrices of T, into one of T or of what is accumulated in.
template <class T>
struct GemmOf {
  GemmPacking<T> packing;
  GemmPair<T> rounded;
  GemmPair<T, SumOf<T>> wide;
  // The product by tiles, whatever its shape: for parts of one whose elements have to be summed up in the same way.
  Gemm<T, SumOf<T>> tiles;
};

struct GemmTable {
  GemmOf<float> f32;
  GemmOf<double> f64;
  GemmOf<float16_t> f16;
  GemmOf<bfloat16_t> bf16;

  template <class T>
  const GemmOf<T>& of() const {
    if constexpr (std::is_same_v<T, float>)
      return f32;
    else if constexpr (std::is_same_v<T, double>)
      return f64;
    else if constexpr (std::is_same_v<T, float16_t>)
      return f16;
    else
      return bf16;
  }
};

// Bytes of scratch memory a product of this size needs, also one whose B is packed.
size_t gemm_room(int64_t m, int64_t n, int64_t k, size_t item);
// Those of the instruction set in use, of bfloat16 by what else the processor has; null where the compiler cannot build
// them.
template <class T>
const GemmOf<T>* products_of();

}  // namespace funcnn::cpu
