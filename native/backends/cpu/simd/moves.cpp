// Repetition, strided reads and writes, numbering; and the table itself.
#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

template <class T>
void expand_loop(void* out, const void* in, int64_t rows, int64_t cols) {
  T* FUNCNN_RESTRICT o = static_cast<T*>(out);
  const T* FUNCNN_RESTRICT x = static_cast<const T*>(in);
  if (cols == 1) {
    for (int64_t r = 0; r < rows; ++r) o[r] = x[r];
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const T value = x[r];
    T* FUNCNN_RESTRICT row = o + r * cols;
    for (int64_t c = 0; c < cols; ++c) row[c] = value;
  }
}
// A stride that the compiler knows is read in whole vectors.
template <int64_t stride, class T>
void gather_known(T* FUNCNN_RESTRICT o, const T* FUNCNN_RESTRICT x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) o[i] = x[i * stride];
}
template <class T>
void gather_loop(void* out, const void* in, int64_t n, int64_t stride) {
  T* FUNCNN_RESTRICT o = static_cast<T*>(out);
  const T* FUNCNN_RESTRICT x = static_cast<const T*>(in);
  if (stride == 2) return gather_known<2>(o, x, n);
  if (stride == -1) return gather_known<-1>(o, x, n);
  for (int64_t i = 0; i < n; ++i) o[i] = x[i * stride];
}
template <class T>
void scatter_loop(void* out, const void* in, int64_t n, int64_t stride) {
  T* FUNCNN_RESTRICT o = static_cast<T*>(out);
  const T* FUNCNN_RESTRICT x = static_cast<const T*>(in);
  for (int64_t i = 0; i < n; ++i) o[i * stride] = x[i];
}
template <class T>
void index_loop(void* out, int64_t start, int64_t n) {
  T* FUNCNN_RESTRICT o = static_cast<T*>(out);
  for (int64_t i = 0; i < n; ++i) o[i] = T(start + i);
}

template <class... Ts>
void add_index(Table& t, Types<Ts...>) {
  ((t.index[DtypeOf<Ts>::value] = index_loop<Ts>), ...);
}
template <class T>
void add_moves_of(Table& t, int size_log2) {
  t.expand[size_log2] = expand_loop<T>;
  t.gather[size_log2] = gather_loop<T>;
  t.scatter[size_log2] = scatter_loop<T>;
}

}  // namespace

namespace FUNCNN_ISA {

void add_moves(Table& t) {
  add_moves_of<uint8_t>(t, 0);
  add_moves_of<uint16_t>(t, 1);
  add_moves_of<uint32_t>(t, 2);
  add_moves_of<uint64_t>(t, 3);
  add_index(t, Reals{});
}

void fill_table(Table& t) {
  add_arithmetic(t);
  add_bitwise(t);
  add_division(t);
  add_double(t);
  add_double_trigonometric(t);
  add_complex(t);
  add_compare(t);
  add_fused(t);
  add_exponential(t);
  add_trigonometric(t);
  add_special(t);
  add_gamma(t);
  add_gelu(t);
  add_half(t);
  add_power(t);
  add_casts(t);
  add_row_reductions(t);
  add_col_reductions(t);
  add_moves(t);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
