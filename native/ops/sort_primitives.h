// The primitives behind ops/sort.h, for their kernels.
#pragma once

#include "graph/primitive.h"

namespace funcnn {

class AlongAxis : public Primitive {
 public:
  explicit AlongAxis(int axis) : axis_(axis) {}
  void hash(Hasher& h) const override { h.add(axis_); }
  std::string parameters() const override { return "axis=" + std::to_string(axis_); }
  int axis() const { return axis_; }

 protected:
  int axis_;
};

class Sort final : public AlongAxis {
 public:
  using AlongAxis::AlongAxis;
  std::string_view name() const override { return "sort"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

class ArgSort final : public AlongAxis {
 public:
  using AlongAxis::AlongAxis;
  std::string_view name() const override { return "argsort"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

// The last k of the sorted values.
class TopK final : public AlongAxis {
 public:
  TopK(int64_t k, int axis) : AlongAxis(axis), k_(k) {}
  std::string_view name() const override { return "topk"; }
  std::string parameters() const override { return AlongAxis::parameters() + ", k=" + std::to_string(k_); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int64_t k() const { return k_; }

 private:
  Array positions(const Array& x) const;

  int64_t k_;
};

// Inputs: sorted (batch axes, n), values (the same batch axes, any more).
class SearchSorted final : public Primitive {
 public:
  explicit SearchSorted(bool right) : right_(right) {}
  std::string_view name() const override { return "searchsorted"; }
  void hash(Hasher& h) const override { h.add(right_); }
  std::string parameters() const override { return right_ ? "side=right" : "side=left"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  bool right() const { return right_; }

 private:
  bool right_;
};

}  // namespace funcnn
