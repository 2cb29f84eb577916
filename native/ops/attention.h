// Attention: softmax(scale q k^T + mask) v without the matrix of scores in memory, and its derivatives.
#pragma once

#include <optional>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// What decides which scores there are. Shapes of the operands, with the same leading axes everywhere (...):
//   q (..., H, Tq, D), k (..., K, Tk, D), v (..., K, Tk, E); K divides H, and H / K heads in a row share keys and
//   values. mask (..., 1 or H, 1 or Tq, 1 or Tk): bool, true where a score counts, or numbers to add to scores (leading
//   axes may be 1 as well). sinks (..., H): a further score of every query of a head, without a value.
struct AttentionScores {
  double scale = 1;
  bool causal = false;  // a query sees the keys up to its own place, the last query the last key
  bool mask = false, sinks = false;
  // Of the inputs of a derivative: where most, sums, rows, ct begin.
  size_t first_given() const { return mask ? 4 : 3; }
  int64_t keys = 0, values = 0;  // Tk and E, for what it costs

  void hash(Hasher& h) const;
  std::string parameters() const;
  // Of so many products with queries of this shape, and so many with values, for each pair of query and key.
  double flops(const Shape& q, int with_queries, int with_values) const;
  // The key that query t sees last, or fewer than 0.
  static int64_t last_key(int64_t t, int64_t queries, int64_t keys) { return t + keys - queries; }
};

// Inputs q, k, v, the mask, the sinks. Outputs: the result, (..., Tq, H, E), the order in which heads are joined; and
// of each query, (..., H, Tq), in float32 or float64, its largest score (which derivatives take for a constant) and the
// sum of the exponentials of its scores less that: -inf and 0 where a query sees nothing, whose result is 0. They are
// two, since the logarithm of the sum is lost beside a large score.
class Attention final : public Primitive {
 public:
  explicit Attention(AttentionScores scores) : scores_(scores) {}
  std::string_view name() const override { return "attention"; }
  void hash(Hasher& h) const override { scores_.hash(h); }
  std::string parameters() const override { return scores_.parameters(); }
  double flops(const Shape& q, const Shape&) const override { return scores_.flops(q, 1, 1); }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& v) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const AttentionScores& scores() const { return scores_; }

 private:
  AttentionScores scores_;
};

// The derivatives of attention by q, k and v, or by the mask. Inputs q, k, v, the mask; the largest scores and the sums
// that attention gave; for each query the sum of the products of result and cotangent, less the cotangent of the
// logarithm of its sum, (..., H, Tq); the cotangent of the result, (..., H, Tq, E). Derivatives by q, k and v may have
// the result as a further input, (..., Tq, H, E), where those sums are nothing but products with it: for back ends that
// would rather compute them themselves. Outputs are shaped like what they belong to; those by q, k and v with heads and
// places exchanged where `exchanged` says so.
struct AttentionOrder {
  bool q = false, k = false, v = false;
};
class AttentionGradient final : public Primitive {
 public:
  AttentionGradient(AttentionScores scores, AttentionOrder exchanged) : scores_(scores), exchanged_(exchanged) {}
  std::string_view name() const override { return "attention_gradient"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  double flops(const Shape& q, const Shape&) const override { return scores_.flops(q, 3, 2); }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& v) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const AttentionScores& scores() const { return scores_; }
  const AttentionOrder& exchanged() const { return exchanged_; }

 private:
  AttentionScores scores_;
  AttentionOrder exchanged_;
};
class AttentionMaskGradient final : public Primitive {
 public:
  explicit AttentionMaskGradient(AttentionScores scores) : scores_(scores) {}
  std::string_view name() const override { return "attention_mask_gradient"; }
  void hash(Hasher& h) const override { scores_.hash(h); }
  std::string parameters() const override { return scores_.parameters(); }
  double flops(const Shape& q, const Shape&) const override { return scores_.flops(q, 1, 1); }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& v) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const AttentionScores& scores() const { return scores_; }

 private:
  AttentionScores scores_;
};

// mlx.core.fast.scaled_dot_product_attention: four axes (batch, heads, places, features). `mask` and `sinks` may be
// null.
Array scaled_dot_product_attention(const Array& q, const Array& k, const Array& v, double scale, bool causal,
                                   const Array& mask, const Array& sinks);

}  // namespace funcnn
