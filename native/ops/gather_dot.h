// Products of matrices chosen by number.
#pragma once

#include <utility>

#include "graph/primitive.h"

namespace funcnn {

// a[lhs[i]] @ b[rhs[i]] over flat numbers along the axes before the last two (null: in order). Numbers count from the
// end if negative; those out of range give zeros.
Array gather_mm(const Array& a, const Array& b, const Array& lhs, const Array& rhs);

// What products of chosen matrices share.

// The numbers of both sides, broadcast against each other and flat, of int64, with everything out of range at the
// number of matrices; `shape`: their common shape. Null indices are the matrices in order.
struct Chosen {
  Array lhs, rhs;
  Shape shape;
};
Chosen choose(const char* op, const Shape& a_lead, const Shape& b_lead, const Array& lhs, const Array& rhs);
// The axes before the last two merged into one.
Array merged_lead(const Array& x);
// Numbers for a batch of `size` times `count` matrices: those of each batch member follow one another, unless all
// members share them.
Array batched_numbers(const Array& numbers, bool batched, int64_t size, int64_t count, bool shared);
// out[numbers[i]] += x[i], with `count` matrices.
Array scattered(const Array& x, const Array& numbers, int64_t count);

// out[i] = a[lhs[i]] @ b[rhs[i]]: a (A, M, K), b (B, K, N), lhs, rhs (I) of int64; (I, M, N).
Array gather_dot(const Array& a, const Array& b, const Array& lhs, const Array& rhs);
// out[to[i]] += a[lhs[i]].T @ c[rhs[i]]: a (A, M, K), c (C, M, N), numbers (I) of int64; (count, K, N).
Array scatter_dot(const Array& a, const Array& c, const Array& lhs, const Array& rhs, const Array& to, int64_t count);

class GatherDot final : public Primitive {
 public:
  std::string_view name() const override { return "gather_dot"; }
  double flops(const Shape& a, const Shape& out) const override {
    return 2.0 * double(element_count(out)) * double(a.back());
  }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

class ScatterDot final : public Primitive {
 public:
  explicit ScatterDot(int64_t count) : count_(count) {}
  std::string_view name() const override { return "scatter_dot"; }
  void hash(Hasher& h) const override { h.add(count_); }
  std::string parameters() const override;
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  int64_t count_;
};

}  // namespace funcnn
