#include "graph/transfer.h"

namespace funcnn {
namespace {

Array transfer(const Array& x, Device target) {
  return make_node(Ref<const Primitive>(new Transfer(target)), Span(&x, 1), x.shape(), x.dtype());
}

}  // namespace

Arrays Transfer::vjp(const VjpContext& context) const {
  Device home = context.inputs[0].node()->device;
  const Array& cotangent = context.cotangents[0];
  return {home.placed() ? device_put(cotangent, home) : cotangent};
}

std::optional<Arrays> Transfer::jvp(Span, Span tangents, Span) const {
  return Arrays{tangents[0] ? transfer(tangents[0], target_) : Array()};
}

Batched Transfer::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  return {{transfer(inputs[0], target_)}, {batched[0]}};
}

Array device_put(const Array& x, Device device) { return x.node()->device == device ? x : transfer(x, device); }

}  // namespace funcnn
