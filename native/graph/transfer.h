// The only edge between devices.
#pragma once

#include "graph/primitive.h"

namespace funcnn {

// The input on another device; differentiable and batchable.
class Transfer final : public Primitive {
 public:
  explicit Transfer(Device target) : target_(target) {}
  std::string_view name() const override { return "transfer"; }
  Kind kind() const override { return Kind::opaque; }
  void hash(Hasher& h) const override { h.add(unsigned(target_.kind) << 8 | target_.index); }
  std::string parameters() const override { return device_name(target_); }
  Device device(Device) const override { return target_; }
  Device target() const { return target_; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  Device target_;
};

// `x` on a device; x itself where it is there already.
Array device_put(const Array& x, Device device);

}  // namespace funcnn
