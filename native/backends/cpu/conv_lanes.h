// Convolutions that go by lanes: how their channels are cut into vectors.
#pragma once

#include "backends/cpu/conv_input.h"
#include "backends/cpu/conv_kernels.h"

namespace funcnn::cpu {

// Vectors of channels, in cuts that share what is read of the input.
struct LaneCuts {
  int64_t vectors, each, count;

  // As many cuts as it takes beside `parts` pieces of the positions.
  LaneCuts(const ConvProblem& p, int64_t vectors, int64_t parts) : vectors(vectors) {
    each = ceil_div(vectors, std::clamp<int64_t>(ceil_div(wanted_pieces(p.work()), parts), 1, vectors));
    count = ceil_div(vectors, each);
  }

  // What of the input the cut that begins with this vector reads; one channel in all stays one.
  ConvChannels channels(const ConvProblem& p, int64_t vector, int64_t lanes) const {
    if (p.groups == 1) return {0, 1, 1, 1};
    int64_t first = vector * lanes, all = p.groups * p.out_channels;
    return {first, std::min(each * lanes, all - first), p.out_channels, each * lanes};
  }
};

// Whether vectors of the input lie as those of the result.
inline bool reads_in_place(const ConvProblem& p, int64_t lanes) {
  return p.groups > 1 && p.in_channels == 1 && p.out_channels == 1 && p.groups % lanes == 0;
}

}  // namespace funcnn::cpu
