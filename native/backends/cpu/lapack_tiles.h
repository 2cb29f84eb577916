// The inner parts of factorisations, compiled for each instruction set: products that are subtracted, triangles, and
// narrow panels. Vectors go along rows that are dense; the other operands may have any steps. Every element is one
// chain of multiply-adds in the order of the sum, so results do not depend on how the work is cut.
#pragma once

#include <cstdint>

#include "backends/cpu/gemm.h"

namespace funcnn::cpu {

template <class T>
struct LapackTiles {
  int64_t lanes;  // of a vector
  int64_t rows;   // of a tile; packed operands are tiles one after the other, element (i, j) of each at i + j * rows
  int64_t chunk;  // columns that are best taken together

  // C -= A B: C is m x n, the sum has k terms. Tiles of A lie `tile` apart (of one that is not packed: rows * a.row).
  // Rows of B can be read up to a multiple of `lanes`.
  void (*subtract)(int64_t m, int64_t n, int64_t k, MatrixView<T> a, int64_t tile, const T* b, int64_t b_row, T* c,
                   int64_t c_row);
  // B = A^-1 B of a triangle A of n rows; `columns` is a multiple of `lanes`.
  void (*solve)(bool upper, bool unit, int64_t n, MatrixView<T> a, T* b, int64_t b_row, int64_t columns);
  // to[j * to_row + i] = from[i * from_row + j], m x n elements.
  void (*transpose)(int64_t m, int64_t n, const T* from, int64_t from_row, T* to, int64_t to_row);
  // Of a matrix A that lies column by column, m x n: y += A x and v += A^T u, either of which may be left out (null).
  void (*products)(int64_t m, int64_t n, const T* a, int64_t ld, const T* x, T* y, const T* u, T* v);
  // What the columns [begin, end) of the lower triangle of a symmetric matrix of n rows add to y = A x.
  void (*symmetric)(int64_t n, int64_t begin, int64_t end, const T* a, int64_t ld, const T* x, T* y);
  // LU with partial pivoting of columns [first, first + width) of a panel that lies column by column, `ld` apart, from
  // row `first` on. `rows` is a multiple of `lanes`; what lies behind the last row of the matrix is zero. Pivots count
  // from 0. The result is the first column whose pivot is zero, or -1. Other columns are not touched. width <= 16.
  int64_t (*panel)(int64_t rows, int64_t first, int64_t width, T* panel, int64_t ld, int32_t* pivots);
};

// The table of the instruction set in use, for float and double; null for complex numbers and where the compiler has no
// vectors.
template <class T>
const LapackTiles<T>* lapack_tiles();

}  // namespace funcnn::cpu
