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

// The first input where the second is, whichever device that will be: a cotangent goes back to where a value came from
// before anybody knew where that is.
class TransferLike final : public Primitive {
 public:
  std::string_view name() const override { return "transfer_like"; }
  Kind kind() const override { return Kind::opaque; }
  void hash(Hasher&) const override {}
  int derivative_inputs() const override { return 1; }
  Device device(Device) const override { return {}; }
  bool joins_devices() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

// `x` on a device; x itself where it is there already.
Array device_put(const Array& x, Device device);
Array transfer_like(const Array& x, const Array& like);
// Where the first of them is that is on a device.
Device device_of(Span arrays);

}  // namespace funcnn
