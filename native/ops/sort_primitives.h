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

// Elements of x in some order, which has no derivative itself: cotangents go where the elements came from.
class InOrder : public AlongAxis {
 public:
  using AlongAxis::AlongAxis;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;

 protected:
  // Where the elements of the result are in x.
  virtual Array positions(const Array& x) const = 0;
};

class Sort final : public InOrder {
 public:
  using InOrder::InOrder;
  std::string_view name() const override { return "sort"; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  Array positions(const Array& x) const override;
};

// The last k of the sorted values.
class TopK final : public InOrder {
 public:
  TopK(int64_t k, int axis) : InOrder(axis), k_(k) {}
  std::string_view name() const override { return "topk"; }
  std::string parameters() const override { return AlongAxis::parameters() + ", k=" + std::to_string(k_); }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int64_t k() const { return k_; }

 private:
  Array positions(const Array& x) const override;

  int64_t k_;
};

// On both sides of what sorting puts at `kth`.
template <class Base>
class Around : public Base {
 public:
  Around(int64_t kth, int axis) : Base(axis), kth_(kth) {}
  void hash(Hasher& h) const override {
    Base::hash(h);
    h.add(kth_);
  }
  std::string parameters() const override { return Base::parameters() + ", kth=" + std::to_string(kth_); }
  int64_t kth() const { return kth_; }

 protected:
  int64_t kth_;
};

// All values; sorted they are, too.
class PartitionedValues final : public Around<InOrder> {
 public:
  using Around::Around;
  std::string_view name() const override { return "partition"; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  Array positions(const Array& x) const override;
};

class ArgSort : public AlongAxis {
 public:
  using AlongAxis::AlongAxis;
  std::string_view name() const override { return "argsort"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

// The positions of what PartitionedValues gives.
class ArgPartition final : public Around<ArgSort> {
 public:
  using Around::Around;
  std::string_view name() const override { return "argpartition"; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
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
