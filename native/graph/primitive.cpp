#include "graph/primitive.h"

#include "base/error.h"

namespace funcnn {

std::optional<Arrays> Primitive::jvp(Span, Span, Span) const { return std::nullopt; }

bool Primitive::view(const Shape&, const Strides&, int64_t, const Shape&, Strides&, int64_t&) const { return false; }

void throw_not_differentiable(const Primitive& primitive, std::string_view advice) {
  throw ValueError(cat(primitive.name(), ": has no derivative", advice.empty() ? "" : "; ", advice));
}

Arrays Placeholder::vjp(const VjpContext&) const { throw Error("placeholder: has no inputs"); }
Batched Placeholder::batch(Span, std::span<const bool>, int64_t) const {
  throw Error("placeholder: cannot be mapped; a traced value escaped from its transformation");
}

Arrays Output::vjp(const VjpContext&) const { throw Error("output: handled with its shared node"); }
Batched Output::batch(Span, std::span<const bool>, int64_t) const {
  throw Error("output: handled with its shared node");
}

Array make_placeholder(Shape shape, Dtype dtype, Ref<Placeholder::Trace> trace, TraceId id, Device device) {
  Array made = make_node(Ref<const Primitive>(new Placeholder(std::move(trace))), {}, std::move(shape), dtype);
  made.node()->abstract = true;
  made.node()->trace = id;
  made.node()->device = device;
  return made;
}

}  // namespace funcnn
