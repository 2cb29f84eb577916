// Pieces of the texts of convolutions, for the spatial axes that there are: where outputs and taps meet the input.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/gpu/conv_problem.h"

namespace funcnn::gpu {

// Statements that take from `rest` the remainder by a field of `p`, and leave the quotient.
std::string remainder_text(std::string_view name, std::string_view field);

// In the texts an output is t_d, t_h, t_w, numbers along the axes of the problem; a tap k_d, k_h, k_w.
class ConvText {
 public:
  explicit ConvText(const ConvProblem& problem);

  const std::vector<std::string>& axes() const { return axes_; }
  // Expressions: how many outputs an example has, how many taps.
  std::string outputs() const, taps() const;
  // Statements that take the numbers of an output, or tap, from `rest` and leave what is before it.
  std::string decode_output() const, decode_tap() const;
  // Loops over the taps, to be followed by a block.
  std::string tap_loops() const;
  // The number of an output among all places of all examples, `rest` being the example.
  std::string output_place() const;
  // Terms " + ...": from the place of the input that output t meets first; of a tap; where there are holes, none, and
  // `hole_place` has them.
  std::string x_base() const, tap_x() const, hole_place() const;
  // Terms of an output in the cotangent, but for example and channel.
  std::string y_base() const;
  // The term of a tap in the weight, and in the gradient of the weight that is dense, but for the channel.
  std::string tap_weight() const;
  std::string dense_tap() const;
  // Where the output meets the input, of tap k, and the tap's place in the weight, once `meet` has said so.
  std::string x_place() const, weight_place() const;
  // Arrays at_d, at_h, at_w in shared memory for the places that outputs meet; the statements that fill element `i`.
  std::string shared_places(std::string_view count) const;
  std::string keep_places(std::string_view i) const;
  // Statements that tell whether tap k of an output t meets an element: `inside`, and its place i_d, i_h, i_w. Or of
  // the output whose places are element `i` of those arrays.
  std::string meet() const;
  std::string meet_kept(std::string_view i) const;

 private:
  std::string meet_from(const std::function<std::string(std::string_view)>& from) const;

  bool holes_;
  std::vector<std::string> axes_;  // the last of d, h, w
};

}  // namespace funcnn::gpu
