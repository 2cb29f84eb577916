// <metal_simdgroup_matrix>: 8 x 8 matrices spread over a SIMD group.
#pragma once

namespace metal {

// Where a lane's two elements are: the layout of Apple's GPUs, which thread_elements() shows.
constexpr uint __matrix_row(uint lane) { return (lane / 4 & 4) + lane / 2 % 4; }
constexpr uint __matrix_column(uint lane) { return (lane / 4 & 2) * 2 + lane % 2 * 2; }
// The lane that holds (row, column) and the one right of it; column is even.
constexpr uint __matrix_lane(uint row, uint column) {
  return (row & 4) * 4 + (row & 3) * 2 + (column & 4) * 2 + (column & 2) / 2;
}

template <class T, int Columns, int Rows>
struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup_matrix has 8 rows and 8 columns");
  simdgroup_matrix() = default;
  simdgroup_matrix(const simdgroup_matrix&) = default;
  simdgroup_matrix& operator=(const simdgroup_matrix& other) = default;
  // The diagonal; elsewhere zero.
  explicit simdgroup_matrix(T diagonal) {
    uint lane = software_metal_lane();
    for (uint i = 0; i < 2; ++i) elements_[int(i)] = __matrix_row(lane) == __matrix_column(lane) + i ? diagonal : T(0);
  }
  vec<T, 2>& thread_elements() { return elements_; }
  const vec<T, 2>& thread_elements() const { return elements_; }

  friend simdgroup_matrix operator+(const simdgroup_matrix& a, const simdgroup_matrix& b) {
    simdgroup_matrix sum;
    sum.elements_ = a.elements_ + b.elements_;
    return sum;
  }
  friend simdgroup_matrix operator-(const simdgroup_matrix& a, const simdgroup_matrix& b) {
    simdgroup_matrix difference;
    difference.elements_ = a.elements_ - b.elements_;
    return difference;
  }

 private:
  vec<T, 2> elements_;
};

template <class T, int Columns, int Rows>
simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Columns, Rows> matrix;
  matrix.thread_elements() = vec<T, 2>(value);
  return matrix;
}

template <class P>
P* __matrix_place(P* from, ulong row, ulong column, ulong per_row, ulong2 origin, bool transposed) {
  return transposed ? from + (column + origin.y) * per_row + row + origin.x
                    : from + (row + origin.y) * per_row + column + origin.x;
}

template <class T, class P>
METAL_CONVERGENT void simdgroup_load(simdgroup_matrix<T, 8, 8>& to, const P* from, ulong per_row = 8,
                                     ulong2 origin = ulong2(0), bool transposed = false, uint line = __builtin_LINE()) {
  uint lane = __exchange(true, METAL_OPERATION, line).lane();
  for (uint i = 0; i < 2; ++i)
    to.thread_elements()[int(i)] =
        T(*__matrix_place(from, __matrix_row(lane), __matrix_column(lane) + i, per_row, origin, transposed));
}
template <class T, class P>
METAL_CONVERGENT void simdgroup_store(const simdgroup_matrix<T, 8, 8>& from, P* to, ulong per_row = 8,
                                      ulong2 origin = ulong2(0), bool transposed = false,
                                      uint line = __builtin_LINE()) {
  uint lane = __exchange(true, METAL_OPERATION, line).lane();
  for (uint i = 0; i < 2; ++i)
    *__matrix_place(to, __matrix_row(lane), __matrix_column(lane) + i, per_row, origin, transposed) =
        P(from.thread_elements()[int(i)]);
}

struct __matrix_operands {
  float a[2], b[2];
};
template <class D, class A, class B, class C>
METAL_CONVERGENT void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                                    const simdgroup_matrix<B, 8, 8>& b,
                                                    const simdgroup_matrix<C, 8, 8>& c, uint line = __builtin_LINE()) {
  const auto& ae = a.thread_elements();
  const auto& be = b.thread_elements();
  auto all =
      __exchange(__matrix_operands{{float(ae[0]), float(ae[1])}, {float(be[0]), float(be[1])}}, METAL_OPERATION, line);
  if (all.exchanged.mask != 0xffffffff)
    software_metal_fault("a matrix operation without some lanes of the SIMD group", line);
  uint row = __matrix_row(all.lane()), column = __matrix_column(all.lane());
  auto slot = [&](uint lane) {
    return (const __matrix_operands*)(all.exchanged.slots + lane * software_metal::kSlotBytes);
  };
  float sum0 = float(c.thread_elements()[0]), sum1 = float(c.thread_elements()[1]);
  for (uint k = 0; k < 8; ++k) {
    float left = slot(__matrix_lane(row, k & 6))->a[k & 1];
    const float* right = slot(__matrix_lane(k, column))->b;
    sum0 += left * right[0];
    sum1 += left * right[1];
  }
  d.thread_elements() = vec<D, 2>(D(sum0), D(sum1));
}
template <class D, class A, class B>
METAL_CONVERGENT void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                         const simdgroup_matrix<B, 8, 8>& b, uint line = __builtin_LINE()) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<D, 8, 8>(D(0)), line);
}
template <class T>
METAL_CONVERGENT simdgroup_matrix<T, 8, 8> operator*(const simdgroup_matrix<T, 8, 8>& a,
                                                     const simdgroup_matrix<T, 8, 8>& b) {
  simdgroup_matrix<T, 8, 8> product;
  simdgroup_multiply(product, a, b);
  return product;
}

using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;
using simdgroup_bfloat8x8 = simdgroup_matrix<bfloat, 8, 8>;

}  // namespace metal

using metal::simdgroup_bfloat8x8;
using metal::simdgroup_float8x8;
using metal::simdgroup_half8x8;
