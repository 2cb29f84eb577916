#include "backends/cpu/hadamard.h"

#include <algorithm>

#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const HadamardTable FUNCNN_OF_THIS_SET(hadamard_table_);
namespace {

constexpr int64_t kAcross = 64;

template <class T>
void transform(T* __restrict x, int64_t n, int m, const uint32_t* signs, T scale, T* __restrict room) {
  int64_t length = n / m;
  int64_t half = 1;
  // Two stages at a time, so that memory is gone over half as often.
  for (; half * 4 <= length; half *= 4)
    for (int64_t i = 0; i < n; i += 4 * half) {
      T *a = x + i, *b = a + half, *c = b + half, *d = c + half;
      for (int64_t j = 0; j < half; ++j) {
        T ab = a[j] + b[j], a_b = a[j] - b[j], cd = c[j] + d[j], c_d = c[j] - d[j];
        a[j] = ab + cd;
        b[j] = a_b + c_d;
        c[j] = ab - cd;
        d[j] = a_b - c_d;
      }
    }
  for (; half < length; half *= 2)
    for (int64_t i = 0; i < n; i += 2 * half) {
      T *a = x + i, *b = a + half;
      for (int64_t j = 0; j < half; ++j) {
        T sum = a[j] + b[j], difference = a[j] - b[j];
        a[j] = sum;
        b[j] = difference;
      }
    }
  if (m == 1) {
    for (int64_t i = 0; i < n; ++i) x[i] *= scale;
    return;
  }
  for (int64_t first = 0; first < length; first += kAcross) {
    int64_t width = std::min(kAcross, length - first);
    for (int r = 0; r < m; ++r) {
      T* to = room + r * kAcross;
      for (int64_t j = 0; j < width; ++j) to[j] = 0;
      for (int c = 0; c < m; ++c) {
        const T* from = x + c * length + first;
        T sign = signs[r] >> c & 1 ? T(-1) : T(1);
        for (int64_t j = 0; j < width; ++j) to[j] += sign * from[j];
      }
    }
    for (int r = 0; r < m; ++r)
      for (int64_t j = 0; j < width; ++j) x[r * length + first + j] = scale * room[r * kAcross + j];
  }
}

}  // namespace

const HadamardTable FUNCNN_OF_THIS_SET(hadamard_table_) = {transform<float>, transform<double>};

}  // namespace funcnn::cpu
