// Products of chosen and segmented matrices, and of Hadamard's.
#include <bit>
#include <vector>

#include "backends/reference/element.h"
#include "backends/reference/quantized.h"
#include "ops/hadamard.h"

namespace funcnn::reference {
namespace {

bool within(int64_t i, int64_t count) { return i >= 0 && i < count; }

}  // namespace

void gather_dot(const Primitive&, Layouts in, Layouts out, Pointers at) {
  int64_t m = out[0].shape[1], n = out[0].shape[2], inner = in[0].shape[2];
  for (int64_t i = 0; i < element_count(out[0].shape); ++i) {
    int64_t item = i / (m * n), r = i / n % m, c = i % n;
    int64_t a = int64_t(number_at(in[2], at[2], item)), b = int64_t(number_at(in[3], at[3], item));
    double total = 0;
    bool there = within(a, in[0].shape[0]) && within(b, in[1].shape[0]);
    for (int64_t k = 0; there && k < inner; ++k)
      total += number_at(in[0], at[0], (a * m + r) * inner + k) * number_at(in[1], at[1], (b * inner + k) * n + c);
    put(out[0], at.back(), i, total);
  }
}

void scatter_dot(const Primitive&, Layouts in, Layouts out, Pointers at) {
  int64_t m = in[0].shape[1], k = in[0].shape[2], n = in[1].shape[2], count = out[0].shape[0];
  std::vector<double> total(size_t(count * k * n));
  for (int64_t item = 0; item < in[2].shape[0]; ++item) {
    int64_t a = int64_t(number_at(in[2], at[2], item)), c = int64_t(number_at(in[3], at[3], item)),
            to = int64_t(number_at(in[4], at[4], item));
    if (!within(a, in[0].shape[0]) || !within(c, in[1].shape[0]) || !within(to, count)) continue;
    for (int64_t r = 0; r < m; ++r)
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < n; ++j)
          total[size_t((to * k + i) * n + j)] +=
              number_at(in[0], at[0], (a * m + r) * k + i) * number_at(in[1], at[1], (c * m + r) * n + j);
  }
  for (size_t i = 0; i < total.size(); ++i) put(out[0], at.back(), int64_t(i), total[i]);
}

void segmented_dot(const Primitive&, Layouts in, Layouts out, Pointers at) {
  size_t rank = in[0].shape.size();
  int64_t m = in[0].shape[rank - 2], inner = in[0].shape[rank - 1], n = in[1].shape[rank - 1];
  int64_t segments = in[2].shape[rank - 2];
  for (int64_t i = 0; i < element_count(out[0].shape); ++i) {
    int64_t s = i / (m * n), r = i / n % m, c = i % n, batch = s / segments;
    double start = number_at(in[2], at[2], 2 * s), stop = number_at(in[2], at[2], 2 * s + 1), total = 0;
    for (int64_t k = 0; k < inner; ++k)
      if (double(k) >= start && double(k) < stop)
        total +=
            number_at(in[0], at[0], (batch * m + r) * inner + k) * number_at(in[1], at[1], (batch * inner + k) * n + c);
    put(out[0], at.back(), i, total);
  }
}

void segments_spread(const Primitive&, Layouts in, Layouts out, Pointers at) {
  size_t rank = in[1].shape.size();
  int64_t m = out[0].shape[rank - 2], inner = in[1].shape[rank - 2], n = in[1].shape[rank - 1];
  int64_t segments = in[2].shape[rank - 2];
  for (int64_t i = 0; i < element_count(out[0].shape); ++i) {
    int64_t batch = i / (m * inner), r = i / inner % m, k = i % inner;
    double total = 0;
    for (int64_t s = batch * segments; s < (batch + 1) * segments; ++s) {
      if (double(k) < number_at(in[2], at[2], 2 * s) || double(k) >= number_at(in[2], at[2], 2 * s + 1)) continue;
      for (int64_t j = 0; j < n; ++j)
        total += number_at(in[0], at[0], (s * m + r) * n + j) * number_at(in[1], at[1], (batch * inner + k) * n + j);
    }
    put(out[0], at.back(), i, total);
  }
}

void hadamard_transform(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  const auto& op = static_cast<const Hadamard&>(primitive);
  int64_t n = out[0].shape.back(), length = n / op.odd();
  for (int64_t i = 0; i < element_count(out[0].shape); ++i) {
    double total = 0;
    for (int64_t j = 0; j < n; ++j) {
      int64_t row = i % n;
      bool negative = std::popcount(uint64_t(row % length & j % length)) % 2 != 0;
      int r = int(row / length), c = int(j / length);
      if (op.odd() > 1)
        negative ^= bool(hadamard_signs(op.odd(), op.transposed() ? c : r) >> (op.transposed() ? r : c) & 1);
      double x = number_at(in[0], at[0], i / n * n + j);
      total += negative ? -x : x;
    }
    put(out[0], at.back(), i, total * op.scale());
  }
}

}  // namespace funcnn::reference
