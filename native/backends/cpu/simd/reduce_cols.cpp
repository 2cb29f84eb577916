// Accumulation of rows into one row. Eight rows are combined as a tree before they meet the accumulators, which saves
// most of the accumulators' traffic and keeps sums accurate.
#include "backends/cpu/simd/reduce.h"
#include "backends/cpu/simd/table.h"

namespace funcnn::cpu::simd {
namespace {

template <class T, class Op>
void long_rows(T* FUNCNN_RESTRICT acc, const T* FUNCNN_RESTRICT x, int64_t rows, int64_t cols, int64_t stride) {
  int64_t r = 0;
  for (; r + 8 <= rows; r += 8) {
    const T *x0 = x + r * stride, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride, *x4 = x3 + stride,
            *x5 = x4 + stride, *x6 = x5 + stride, *x7 = x6 + stride;
    for (int64_t c = 0; c < cols; ++c) {
      T a = Op::apply(Op::apply(x0[c], x1[c]), Op::apply(x2[c], x3[c]));
      T b = Op::apply(Op::apply(x4[c], x5[c]), Op::apply(x6[c], x7[c]));
      acc[c] = Op::apply(acc[c], Op::apply(a, b));
    }
  }
  for (; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) acc[c] = Op::apply(acc[c], x[r * stride + c]);
}

template <class T, class Op>
void cols_loop(void* accumulators, const void* in, int64_t rows, int64_t cols, int64_t stride) {
  T* acc = static_cast<T*>(accumulators);
  const T* x = static_cast<const T*>(in);
  // Several short dense rows make one that fills the vectors.
  constexpr int64_t kWide = 256;
  if (cols < 32 && stride == cols && rows * cols >= 4 * kWide && cols > 0) {
    T wide[kWide];
    int64_t group = kWide / cols, width = group * cols, groups = rows / group;
    for (int64_t i = 0; i < width; ++i) wide[i] = Op::identity();
    long_rows<T, Op>(wide, x, groups, width, width);
    // Fold pairwise: the halves of the groups.
    for (int64_t left = group; left > 1;) {
      int64_t half = (left + 1) / 2;
      for (int64_t i = half * cols; i < left * cols; ++i)
        wide[i - half * cols] = Op::apply(wide[i - half * cols], wide[i]);
      left = half;
    }
    for (int64_t c = 0; c < cols; ++c) acc[c] = Op::apply(acc[c], wide[c]);
    x += groups * width;
    rows -= groups * group;
  }
  long_rows<T, Op>(acc, x, rows, cols, stride);
}

struct Entry {
  template <class T, class Op>
  static constexpr auto of = cols_loop<T, Op>;
};

}  // namespace

namespace FUNCNN_ISA {

void add_col_reductions(Table& t) { add_reductions<Entry>(t.reduce_col); }

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
