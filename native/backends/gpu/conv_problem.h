// Convolutions as the kernels of the gpu see them: three spatial axes (those in front have length 1), along each of
// which outputs and taps of the kernel are evenly spaced.
#pragma once

#include <string>
#include <vector>

#include "backends/gpu/kernel.h"
#include "ops/conv.h"

namespace funcnn::gpu {

// Output first + t * step meets, for tap j, element weight_first + j * weight_step of the kernel and place
// t * move + offset + j * tap_move of the input, whose elements lie at multiples of `holes`.
struct ConvAxis {
  int64_t in = 1, out = 1;
  int64_t count = 1, first = 0, step = 1;
  int64_t taps = 1, weight_first = 0, weight_step = 1;
  int64_t move = 1, offset = 0, tap_move = 1;
  int64_t holes = 1;

  ConvAxis() = default;
  // All outputs and taps.
  ConvAxis(const ConvGeometry& g, size_t axis, int64_t in, int64_t kernel);
};

struct ConvStrides {
  int64_t first, spatial[3], last;
};

struct ConvProblem {
  Dtype dtype;
  int64_t n, groups, in_channels, out_channels;  // channels of a group
  ConvAxis axes[3];
  ConvStrides x, weight, y;  // the weight and the result, or their gradients
  bool far = false;          // offsets of elements do not fit in 32 bits

  ConvProblem(const ConvPrimitive& op, const Layout& x, const Layout& weight, const Layout& y);
  bool holes() const;
  // The same as convolutions of an input without holes, each of which has some of the outputs; itself where that
  // would be too many.
  std::vector<ConvProblem> phases() const;
  int64_t outputs() const { return axes[0].count * axes[1].count * axes[2].count; }  // of an example and channel
  int64_t taps() const { return axes[0].taps * axes[1].taps * axes[2].taps; }

  // Types S, of elements; T, of sums; I, of offsets; Flat, of numbers of elements. And a function for quotient_text.
  std::string types() const;
  // The fields of `p` for all of it.
  void fields(KernelText& text, Values& values) const;
};

// An expression: `number`, not negative, by the field of `p` of that name, of those that taps and outputs are counted
// by. Division by a number that is not known takes a GPU some twenty instructions, this three.
std::string quotient_text(std::string_view number, std::string_view field);

}  // namespace funcnn::gpu
