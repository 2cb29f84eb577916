// Primitives that repeat a value and exist for what they tell the transformations.
#pragma once

#include "graph/primitive.h"

namespace funcnn {

// The input itself; differentiable. Marks the inputs of traces.
class Identity final : public Primitive {
 public:
  std::string_view name() const override { return "identity"; }
  Kind kind() const override { return Kind::alias; }
  Arrays vjp(const VjpContext& context) const override { return {context.cotangents[0]}; }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override { return Arrays{tangents[0]}; }
  Batched batch(Span inputs, std::span<const bool>, int64_t) const override;
};

}  // namespace funcnn
