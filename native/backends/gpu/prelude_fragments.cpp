// Pieces of matrices that a warp holds together and multiplies: C (16 x 8, f32) += A (16 x 16) B (16 x 8), with A and B
// of one type T: f16, bf16 or f32.
//
// CUDA's units take float32 with 11 bits (tf32). There x is the sum of two such numbers, high + low, and a product the
// three parts a.high b.high + (a.high b.low + a.low b.high), about 2^-22 off. H. Ootomo and R. Yokota, "Recovering
// single precision accuracy from Tensor Cores while avoiding the FP32 theoretical peak performance", 2022: the units
// round their sums towards zero, so that sums over more than 16 products are made outside of them.
//
//   FragmentA<T> a; FragmentB<T> b; FragmentC c;
//   fill(c, 0.0f)
//   load_a(a, rows, stride, lane)             a[m][k] = rows[m * stride + k]; load_a_transposed: rows[k * stride + m]
//   load_b(b, rows, stride, lane)             b[k][n] = rows[k * stride + n]; load_b_transposed: rows[n * stride + k]
//   load_b_pair(b, rows, stride, lane)        b[0] and b[1], which begin at n = 0 and n = 8; load_b_pair_transposed
//   multiply_add(c, a, b)
//   as_a(a, c0, c1)                           A from the two halves [:, :8] and [:, 8:] of a 16 x 16 result, rounded
//   c.v[0 ... 3]                              lane's elements: v[i] stands in row fragment_row(lane, i) and column
//                                             fragment_column(lane, i); v[0] and v[1], v[2] and v[3] are neighbours
//   fragment_exp2(x)                          2^x; what is below 2^-126 may be 0
//   fragment_row_sum(x), fragment_row_max(x)  over the lanes that hold a row together: x is of v[0], v[1] or v[2], v[3]
//
// `rows` lies in shared memory; each row starts at a multiple of 16 bytes, and if it is read along, `stride` is a
// multiple of 8.
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
  x = largest(x, warp_shuffle_xor(x, 1));
  return largest(x, warp_shuffle_xor(x, 8));
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
template <class T> FUNCTION void load_b_pair(thread FragmentB<T>* b, threadgroup const T* rows, u32 stride, u32 lane) {
  for (u32 i = 0; i < 2; ++i) load_b(b[i], rows + i * 8, stride, lane);
}
template <class T>
FUNCTION void load_b_pair_transposed(thread FragmentB<T>* b, threadgroup const T* rows, u32 stride, u32 lane) {
  for (u32 i = 0; i < 2; ++i) load_b_transposed(b[i], rows + i * 8 * stride, stride, lane);
}
FUNCTION f32 fragment_exp2(f32 x) { return exp2(x); }
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
  x = largest(x, warp_shuffle_xor(x, 1));
  return largest(x, warp_shuffle_xor(x, 2));
}
FUNCTION void fill(FragmentC& c, f32 x) { c.v[0] = c.v[1] = c.v[2] = c.v[3] = x; }
FUNCTION u32 shared_address(const void* at) { return u32(__cvta_generic_to_shared(at)); }
// Lane l gives the address of row l % 8 of the (l / 8)-th 8 x 8 block.
#define LOAD_BLOCKS_4(m0, m1, m2, m3, at, how) \
  asm volatile("ldmatrix.sync.aligned.m8n8.x4" how ".shared.b16 {%0, %1, %2, %3}, [%4];" \
               : "=r"(m0), "=r"(m1), "=r"(m2), "=r"(m3) : "r"(shared_address(at)) : "memory")
#define LOAD_BLOCKS_2(m, at, how) \
  asm volatile("ldmatrix.sync.aligned.m8n8.x2" how ".shared.b16 {%0, %1}, [%2];" \
               : "=r"(m[0]), "=r"(m[1]) : "r"(shared_address(at)) : "memory")
template <class T> FUNCTION void load_a(FragmentA<T>& a, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_4(a.m[0], a.m[1], a.m[2], a.m[3], rows + lane % 16 * stride + lane / 16 * 8, "");
}
template <class T> FUNCTION void load_a_transposed(FragmentA<T>& a, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_4(a.m[0], a.m[1], a.m[2], a.m[3], rows + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8, ".trans");
}
template <class T> FUNCTION void load_b(FragmentB<T>& b, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_2(b.m, rows + lane % 16 * stride, ".trans");
}
template <class T> FUNCTION void load_b_transposed(FragmentB<T>& b, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_2(b.m, rows + lane % 8 * stride + lane / 8 % 2 * 8, "");
}
template <class T> FUNCTION void load_b_pair(FragmentB<T>* b, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_4(b[0].m[0], b[0].m[1], b[1].m[0], b[1].m[1], rows + lane % 16 * stride + lane / 16 * 8, ".trans");
}
template <class T> FUNCTION void load_b_pair_transposed(FragmentB<T>* b, const T* rows, u32 stride, u32 lane) {
  LOAD_BLOCKS_4(b[0].m[0], b[0].m[1], b[1].m[0], b[1].m[1],
                rows + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8, "");
}
FUNCTION f32 fragment_exp2(f32 x) {
  f32 y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
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
// Of the places 0 ... 7 of a step of 8 along the depth, lane l has 2 (l % 4) and the one after it where the unit has l % 4
// and 4 + l % 4: neighbours are loaded together, and a result is an operand as it is.
template <> struct FragmentA<f32> { f32 m[2][4]; };
template <> struct FragmentB<f32> { f32 m[2][2]; };
FUNCTION void load_a(FragmentA<f32>& a, const f32* rows, u32 stride, u32 lane) {
  UNROLL for (u32 k = 0; k < 2; ++k) {
    UNROLL for (u32 r = 0; r < 2; ++r) {
      const Pack<f32, 2> x = *(const Pack<f32, 2>*)(rows + (lane / 4 + r * 8) * stride + k * 8 + lane % 4 * 2);
      a.m[k][r] = x.v[0];
      a.m[k][r + 2] = x.v[1];
    }
  }
}
FUNCTION void load_a_transposed(FragmentA<f32>& a, const f32* rows, u32 stride, u32 lane) {
  UNROLL for (u32 k = 0; k < 2; ++k) {
    UNROLL for (u32 i = 0; i < 4; ++i)
      a.m[k][i] = rows[(k * 8 + lane % 4 * 2 + i / 2) * stride + lane / 4 + i % 2 * 8];
  }
}
FUNCTION void load_b(FragmentB<f32>& b, const f32* rows, u32 stride, u32 lane) {
  UNROLL for (u32 k = 0; k < 2; ++k) {
    UNROLL for (u32 i = 0; i < 2; ++i) b.m[k][i] = rows[(k * 8 + lane % 4 * 2 + i) * stride + lane / 4];
  }
}
FUNCTION void load_b_transposed(FragmentB<f32>& b, const f32* rows, u32 stride, u32 lane) {
  UNROLL for (u32 k = 0; k < 2; ++k) {
    const Pack<f32, 2> x = *(const Pack<f32, 2>*)(rows + lane / 4 * stride + k * 8 + lane % 4 * 2);
    b.m[k][0] = x.v[0];
    b.m[k][1] = x.v[1];
  }
}
FUNCTION void load_b_pair(FragmentB<f32>* b, const f32* rows, u32 stride, u32 lane) {
  UNROLL for (u32 i = 0; i < 2; ++i) load_b(b[i], rows + i * 8, stride, lane);
}
FUNCTION void load_b_pair_transposed(FragmentB<f32>* b, const f32* rows, u32 stride, u32 lane) {
  UNROLL for (u32 i = 0; i < 2; ++i) load_b_transposed(b[i], rows + i * 8 * stride, stride, lane);
}
FUNCTION void split(f32 x, u32& high, u32& low) {
  // Cut off, so that large numbers do not round to infinity; the low part is rounded.
  high = __float_as_uint(x) & 0xffffe000;
  low = (__float_as_uint(x - __uint_as_float(high)) + 0x1000) & 0xffffe000;
}
FUNCTION void multiply_add_8(f32* c, const u32* a, const u32* b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
FUNCTION void multiply_add(FragmentC& c, const FragmentA<f32>& a, const FragmentB<f32>& b) {
  f32 sum[4] = {0, 0, 0, 0}, rest[4] = {0, 0, 0, 0};
  UNROLL for (u32 k = 0; k < 2; ++k) {
    u32 high_a[4], low_a[4], high_b[2], low_b[2];
    UNROLL for (u32 i = 0; i < 4; ++i) split(a.m[k][i], high_a[i], low_a[i]);
    UNROLL for (u32 i = 0; i < 2; ++i) split(b.m[k][i], high_b[i], low_b[i]);
    multiply_add_8(rest, high_a, low_b);
    multiply_add_8(rest, low_a, high_b);
    multiply_add_8(sum, high_a, high_b);
  }
  // Of an infinite operand the rest is NaN.
  UNROLL for (u32 i = 0; i < 4; ++i) c.v[i] += fabsf(sum[i]) < INFINITY ? sum[i] + rest[i] : sum[i];
}
FUNCTION void as_a(FragmentA<f32>& a, FragmentC c0, FragmentC c1) {
  UNROLL for (u32 i = 0; i < 4; ++i) {
    a.m[0][i] = c0.v[i % 2 * 2 + i / 2];
    a.m[1][i] = c1.v[i % 2 * 2 + i / 2];
  }
}
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
