#include "graph/transfer.h"

#include <algorithm>

namespace funcnn {
namespace {

Array transfer(const Array& x, Device target) {
  return make_node(Ref<const Primitive>(new Transfer(target)), Span(&x, 1), x.shape(), x.dtype());
}

// An array that a traced one of no known device follows, as early as there is one: it need not be kept for this.
Array followed(const Array& x) {
  Node* node = x.node();
  for (;;) {
    if (!node->abstract || dynamic_cast<const TransferLike*>(node->primitive.get())) break;
    const Node* from = node->output >= 0 ? node->inputs[0].get() : node;
    auto next = std::find_if(from->inputs.begin(), from->inputs.end(),
                             [](const NodeRef& n) { return n->abstract && !n->multi() && !n->is_scalar(); });
    if (next == from->inputs.end()) break;
    node = next->get();
  }
  return Array(NodeRef(node));
}

}  // namespace

Array transfer_like(const Array& x, const Array& like) {
  if (Device device = like.node()->device; device.placed()) return device_put(x, device);
  static const Ref<const Primitive> shared(new TransferLike);
  const Array inputs[] = {x, followed(like)};
  return make_node(shared, inputs, x.shape(), x.dtype());
}

Arrays Transfer::vjp(const VjpContext& context) const {
  return {transfer_like(context.cotangents[0], context.inputs[0])};
}

std::optional<Arrays> Transfer::jvp(Span, Span tangents, Span) const {
  return Arrays{tangents[0] ? transfer(tangents[0], target_) : Array()};
}

Batched Transfer::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  return {{transfer(inputs[0], target_)}, {batched[0]}};
}

Arrays TransferLike::vjp(const VjpContext& context) const {
  return {transfer_like(context.cotangents[0], context.inputs[0]), Array()};
}

std::optional<Arrays> TransferLike::jvp(Span inputs, Span tangents, Span) const {
  return Arrays{tangents[0] ? transfer_like(tangents[0], inputs[1]) : Array()};
}

Batched TransferLike::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  return {{transfer_like(inputs[0], inputs[1])}, {batched[0]}};
}

Device device_of(Span arrays) {
  auto placed = std::find_if(arrays.begin(), arrays.end(), [](const Array& x) { return x.node()->device.placed(); });
  return placed == arrays.end() ? Device() : placed->node()->device;
}

Array device_put(const Array& x, Device device) { return x.node()->device == device ? x : transfer(x, device); }

}  // namespace funcnn
