// Pieces of matrices that a warp holds together and multiplies: C (16 x 8, f32) += A (16 x 16) B (16 x 8), with A and B
// of one type T: f16 or bf16, in Metal also f32 (CUDA's tensor cores would round that).
//
//   FragmentA<T> a; FragmentB<T> b; FragmentC c;
//   fill(c, 0.0f)
//   load_a(a, rows, stride, lane)             a[m][k] = rows[m * stride + k]; load_a_transposed: rows[k * stride + m]
//   load_b(b, rows, stride, lane)             b[k][n] = rows[k * stride + n]; load_b_transposed: rows[n * stride + k]
//   multiply_add(c, a, b)
//   as_a(a, c0, c1)                           A from the two halves [:, :8] and [:, 8:] of a 16 x 16 result, rounded
//   c.v[0 ... 3]                              lane's elements: v[i] stands in row fragment_row(lane, i) and column
//                                             fragment_column(lane, i); v[0] and v[1], v[2] and v[3] are neighbours
//   fragment_row_sum(x), fragment_row_max(x)  over the lanes that hold a row together: x is of v[0], v[1] or v[2], v[3]
//
// `rows` lies in shared memory; each row starts at a multiple of 16 bytes: `stride` is a multiple of 8.
#include "backends/gpu/prelude_texts.h"

namespace funcnn::gpu {

const std::string_view kMetalFragments = R"text(
template <class T> struct FragmentA { simdgroup_matrix<T, 8, 8> m[2][2]; };
template <class T> struct FragmentB { simdgroup_matrix<T, 8, 8> m[2]; };
struct FragmentC { f32 v[4]; };
FUNCTION u32 fragment_row(u32 lane, u32 i) { return (lane / 4 & 4) + lane / 2 % 4 + i / 2 * 8; }
FUNCTION u32 fragment_column(u32 lane, u32 i) { return (lane / 4 & 2) * 2 + lane % 2 * 2 + i % 2; }
FUNCTION f32 fragment_row_sum(f32 x) {
  x += warp_shuffle_xor(x, 1);
  return x + warp_shuffle_xor(x, 8);
}
FUNCTION f32 fragment_row_max(f32 x) {
  x = larger(x, warp_shuffle_xor(x, 1));
  return larger(x, warp_shuffle_xor(x, 8));
}
FUNCTION void fill(thread FragmentC& c, f32 x) { c.v[0] = c.v[1] = c.v[2] = c.v[3] = x; }
template <class T> FUNCTION void load_a(thread FragmentA<T>& a, threadgroup const T* rows, u32 stride, u32) {
  for (u32 i = 0; i < 2; ++i)
    for (u32 k = 0; k < 2; ++k) simdgroup_load(a.m[i][k], rows + i * 8 * stride + k * 8, stride);
}
template <class T> FUNCTION void load_a_transposed(thread FragmentA<T>& a, threadgroup const T* rows, u32 stride, u32) {
  for (u32 i = 0; i < 2; ++i)
    for (u32 k = 0; k < 2; ++k) simdgroup_load(a.m[i][k], rows + k * 8 * stride + i * 8, stride, ulong2(0), true);
}
template <class T> FUNCTION void load_b(thread FragmentB<T>& b, threadgroup const T* rows, u32 stride, u32) {
  for (u32 k = 0; k < 2; ++k) simdgroup_load(b.m[k], rows + k * 8 * stride, stride);
}
template <class T> FUNCTION void load_b_transposed(thread FragmentB<T>& b, threadgroup const T* rows, u32 stride, u32) {
  for (u32 k = 0; k < 2; ++k) simdgroup_load(b.m[k], rows + k * 8, stride, ulong2(0), true);
}
template <class T> FUNCTION void multiply_add(thread FragmentC& c, thread FragmentA<T>& a, thread FragmentB<T>& b) {
  for (u32 i = 0; i < 2; ++i) {
    simdgroup_matrix<f32, 8, 8> sum;
    sum.thread_elements()[0] = c.v[2 * i];
    sum.thread_elements()[1] = c.v[2 * i + 1];
    for (u32 k = 0; k < 2; ++k) simdgroup_multiply_accumulate(sum, a.m[i][k], b.m[k], sum);
    c.v[2 * i] = sum.thread_elements()[0];
    c.v[2 * i + 1] = sum.thread_elements()[1];
  }
}
template <class T> FUNCTION void as_a(thread FragmentA<T>& a, FragmentC c0, FragmentC c1) {
  for (u32 i = 0; i < 4; ++i) {
    a.m[i / 2][0].thread_elements()[i % 2] = T(c0.v[i]);
    a.m[i / 2][1].thread_elements()[i % 2] = T(c1.v[i]);
  }
}
)text";

const std::string_view kCudaFragments = R"text(
template <class T> struct FragmentA { u32 m[4]; };
template <class T> struct FragmentB { u32 m[2]; };
struct FragmentC { f32 v[4]; };
FUNCTION u32 fragment_row(u32 lane, u32 i) { return lane / 4 + i / 2 * 8; }
FUNCTION u32 fragment_column(u32 lane, u32 i) { return lane % 4 * 2 + i % 2; }
FUNCTION f32 fragment_row_sum(f32 x) {
  x += warp_shuffle_xor(x, 1);
  return x + warp_shuffle_xor(x, 2);
}
FUNCTION f32 fragment_row_max(f32 x) {
  x = larger(x, warp_shuffle_xor(x, 1));
  return larger(x, warp_shuffle_xor(x, 2));
}
FUNCTION void fill(FragmentC& c, f32 x) { c.v[0] = c.v[1] = c.v[2] = c.v[3] = x; }
FUNCTION u32 shared_address(const void* at) { return u32(__cvta_generic_to_shared(at)); }
// Lane l gives the address of row l % 8 of the (l / 8)-th 8 x 8 block.
#define LOAD_BLOCKS_4(m, at, how) \
  asm volatile("ldmatrix.sync.aligned.m8n8.x4" how ".shared.b16 {%0, %1, %2, %3}, [%4];" \
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3]) : "r"(shared_address(at)) : "memory")
#define LOAD_BLOCKS_2(m, at, how) \
  asm volatile("ldmatrix.sync.aligned.m8n8.x2" how ".shared.b16 {%0, %1}, [%2];" \
               : "=r"(m[0]), "=r"(m[1]) : "r"(shared_address(at)) : "memory")
template <class T> FUNCTION void load_a(FragmentA<T>& a, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_4(a.m, rows + lane % 16 * stride + lane / 16 * 8, "");
}
template <class T> FUNCTION void load_a_transposed(FragmentA<T>& a, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_4(a.m, rows + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8, ".trans");
}
template <class T> FUNCTION void load_b(FragmentB<T>& b, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_2(b.m, rows + lane % 16 * stride, ".trans");
}
template <class T> FUNCTION void load_b_transposed(FragmentB<T>& b, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_2(b.m, rows + lane % 8 * stride + lane / 8 % 2 * 8, "");
}
#define MULTIPLY_ADD(T, name) \
  FUNCTION void multiply_add(FragmentC& c, const FragmentA<T>& a, const FragmentB<T>& b) { \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." name "." name ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, " \
                 "{%8, %9}, {%0, %1, %2, %3};" \
                 : "+f"(c.v[0]), "+f"(c.v[1]), "+f"(c.v[2]), "+f"(c.v[3]) \
                 : "r"(a.m[0]), "r"(a.m[1]), "r"(a.m[2]), "r"(a.m[3]), "r"(b.m[0]), "r"(b.m[1])); \
  }
MULTIPLY_ADD(f16, "f16")
MULTIPLY_ADD(bf16, "bf16")
template <class T> FUNCTION u32 rounded_pair(f32 low, f32 high) {
  return u32(from_float<T>(low).bits) | u32(from_float<T>(high).bits) << 16;
}
template <class T> FUNCTION void as_a(FragmentA<T>& a, FragmentC c0, FragmentC c1) {
  a.m[0] = rounded_pair<T>(c0.v[0], c0.v[1]);
  a.m[1] = rounded_pair<T>(c0.v[2], c0.v[3]);
  a.m[2] = rounded_pair<T>(c1.v[0], c1.v[1]);
  a.m[3] = rounded_pair<T>(c1.v[2], c1.v[3]);
}
)text";

}  // namespace funcnn::gpu
