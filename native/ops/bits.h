// Counter-based random bits: threefry2x32 with 20 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3,
// SC 2011).
//
// A key is uint32 [high, low]. A draw of n 32-bit words hashes the counters (i, i + ceil(n / 2)): word i is the first
// and word i + ceil(n / 2) the second half of the result; of an odd number, the word in the middle comes from (i, 0)
// alone. These are MLX's streams. Primitives here accept any leading batch axes of keys; every key draws as if it were
// alone.
#pragma once

#include "graph/primitive.h"

namespace funcnn {

// Inputs: key (batch..., 2). Output: (batch...) + shape, of unsigned integers 1, 2 or 4 bytes wide.
class RandomBits final : public Primitive {
 public:
  RandomBits(Shape shape, int width) : shape_(std::move(shape)), width_(width) {}
  std::string_view name() const override { return "random_bits"; }
  void hash(Hasher& h) const override { h.add(shape_); }
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  Shape shape_;
  int width_;
};

// Uniform in [0, 1), of float32, float16 or bfloat16, from one word each: word * 2^-32, rounded, and kept below 1.
// Inputs: key (batch..., 2), or key, low and range (0-d): then each step of range * u + low is rounded to the dtype, as
// if they were arrays of it.
class RandomUniform final : public Primitive {
 public:
  RandomUniform(Shape shape, Dtype dtype) : shape_(std::move(shape)), dtype_(dtype) {}
  std::string_view name() const override { return "random_uniform"; }
  void hash(Hasher& h) const override { h.add(shape_); }
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  Shape shape_;
  Dtype dtype_;
};

// A key from a key and a number: the hash of a counter that no draw uses. Inputs: key (batch..., 2), data (batch...)
// uint32.
class FoldIn final : public Primitive {
 public:
  std::string_view name() const override { return "random_fold_in"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

// The functions make these nodes; `key` has any batch axes in front.
Array random_bits(const Array& key, const Shape& shape, int width);
Array random_uniform(const Array& key, const Shape& shape, Dtype dtype);
Array random_uniform(const Array& key, const Shape& shape, const Array& low, const Array& range);
Array random_fold_in(const Array& key, const Array& data);

}  // namespace funcnn
