// Reading and writing at computed positions.
//
// An index array addresses one axis of x; several broadcast against each other. An index counts from the end if
// negative. One that is out of range reads zero and writes nothing: it never touches memory outside x, and reading
// stays the transpose of adding.
#pragma once

#include <span>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// How index arrays meet the axes of x. The rest are the axes of x named nowhere here; each is taken whole.
struct IndexedAxes {
  Axes indexed;      // axes of x, one for each index array
  Axes x_batch;      // axes of x that go along with ...
  Axes index_batch;  // ... these axes of the index arrays' common shape

  // The rest, of an array of this rank.
  Axes whole(size_t rank) const;
};

// Elements of x of shape (common shape of the indices) + (the rest of x). `op` is for messages.
Array gather(const Array& x, Span indices, const IndexedAxes& axes, const char* op = "gather");

enum class ScatterMode : uint8_t { set, add, multiply, maximum, minimum };

// x with `updates` (broadcast to the shape gather would give, converted to x's dtype) combined into it, one after
// another in row-major order: of several updates of one element, the last one set wins, and sums are the same in every
// run.
//
// Derivatives: of updates set at one place, the last gets the whole cotangent; where several operands attain a maximum
// or minimum they share it evenly.
Array scatter(ScatterMode mode, const Array& x, const Array& updates, Span indices, const IndexedAxes& axes,
              const char* op = "scatter");

// Whether an array is zeros with something added at computed places, and not computed yet: the cotangent of what was
// read there.
bool is_scattered(const Array& x);
// The sum of such arrays of one shape and dtype, one added after another where the first one is.
Array add_scattered(Span terms);

// Elements along an axis: shape of x with the axis replaced by the shape of the indices. Without an axis, of x
// flattened.
Array take(const Array& x, const Array& indices);
Array take(const Array& x, const Array& indices, int64_t axis);
// out[i, j, k] = x[i, indices[i, j, k], k] for axis 1. The other axes broadcast.
Array take_along_axis(const Array& x, const Array& indices, int64_t axis);
// x with out[i, indices[i, j, k], k] = values[i, j, k] for axis 1; values broadcast to the shape of the indices.
Array put_along_axis(const Array& x, const Array& indices, const Array& values, int64_t axis,
                     ScatterMode mode = ScatterMode::set);
// How take_along_axis addresses an array of this rank.
IndexedAxes along_axis(int axis, size_t rank);

// The integer array that gather and scatter take for `indices`; raises ValueError for other dtypes.
Array as_indices(const char* op, const Array& indices);

// Inputs: x, one array for each indexed axis.
class Gather final : public Primitive {
 public:
  explicit Gather(IndexedAxes axes) : axes_(std::move(axes)) {}
  std::string_view name() const override { return "gather"; }
  bool only_moves() const override { return true; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const IndexedAxes& axes() const { return axes_; }

 private:
  IndexedAxes axes_;
};

// Inputs: x, updates, one array for each indexed axis.
class Scatter final : public Primitive {
 public:
  Scatter(ScatterMode mode, IndexedAxes axes) : mode_(mode), axes_(std::move(axes)) {}
  std::string_view name() const override { return "scatter"; }
  bool only_moves() const override { return true; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int reusable_input() const override { return 0; }
  ScatterMode mode() const { return mode_; }
  const IndexedAxes& axes() const { return axes_; }

 private:
  ScatterMode mode_;
  IndexedAxes axes_;
};

}  // namespace funcnn
