// Products over segments of the inner axis.
#pragma once

#include "graph/primitive.h"

namespace funcnn {

// out[s] = a[:, start:stop] @ b[start:stop] for (start, stop) = segments[s], of shape segments.shape[:-1] + (M, N).
// What is outside the inner axis is left out; a segment that stops before it starts is empty.
Array segmented_mm(const Array& a, const Array& b, const Array& segments);

// The primitive: a (B..., M, K), b (B..., K, N), segments (B..., S, 2) of int64; (B..., S, M, N).
class SegmentedDot final : public Primitive {
 public:
  std::string_view name() const override { return "segmented_dot"; }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

// Its transpose with respect to a: out[:, k] = the sum of c[s] @ b[k] over the segments s that hold k. c (B..., S, M,
// N), b (B..., K, N), segments (B..., S, 2); (B..., M, K).
class SegmentsSpread final : public Primitive {
 public:
  std::string_view name() const override { return "segments_spread"; }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

}  // namespace funcnn
