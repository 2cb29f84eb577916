// Running reductions along an axis.
#pragma once

#include "graph/primitive.h"
#include "ops/sort.h"

namespace funcnn {

// Each element combined with all before it (after it if `reverse`), itself included if `inclusive`. The dtype is that
// of x, except that bool sums to int32 and logcumsumexp converts integers to float32. Without an axis: of x flattened.
Array cumsum(const Array& x, MaybeAxis axis, bool reverse, bool inclusive);
Array cumprod(const Array& x, MaybeAxis axis, bool reverse, bool inclusive);
Array cummax(const Array& x, MaybeAxis axis, bool reverse, bool inclusive);
Array cummin(const Array& x, MaybeAxis axis, bool reverse, bool inclusive);
Array logcumsumexp(const Array& x, MaybeAxis axis, bool reverse, bool inclusive);

// y[t] = a[t] * y[t - 1] + x[t] along the axis, starting from zero: a sum that fades. A factor of zero forgets the
// past, an infinite one too. Shapes and dtypes agree.
Array linear_recurrence(const Array& a, const Array& x, int64_t axis, bool reverse);

enum class CumulativeOp : uint8_t { sum, prod, max, min, logaddexp };

// Inclusive.
class Cumulative final : public Primitive {
 public:
  Cumulative(CumulativeOp op, int axis, bool reverse) : op_(op), axis_(axis), reverse_(reverse) {}
  std::string_view name() const override;
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  CumulativeOp op() const { return op_; }
  int axis() const { return axis_; }
  bool reverse() const { return reverse_; }

 private:
  CumulativeOp op_;
  int axis_;
  bool reverse_;
};

// Inputs: a, x.
class LinearRecurrence final : public Primitive {
 public:
  LinearRecurrence(int axis, bool reverse) : axis_(axis), reverse_(reverse) {}
  std::string_view name() const override { return "linear_recurrence"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int axis() const { return axis_; }
  bool reverse() const { return reverse_; }

 private:
  int axis_;
  bool reverse_;
};

}  // namespace funcnn
