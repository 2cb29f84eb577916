// Convolutions each of whose groups has one channel of the input.
#pragma once

#include "backends/gpu/conv_tiles.h"

namespace funcnn::gpu {

// Whether the stage below is for it: not where the taps of a line reach so far that registers do not hold what they
// meet.
bool takes_depth(const ConvProblem& p);
// Every thread computes some outputs side by side of a channel.
Stage conv_depth_stage(Machine& machine, const ConvProblem& p, const DotResult& result, const Layout& x,
                       const Layout& weight);

// The gradient by the weight; parts are of lines of outputs.
bool takes_depth_weight(const ConvProblem& p);
ConvWeightSplit conv_depth_weight_split(const Traits& traits, const ConvProblem& p);
Stage conv_depth_weight_stage(Machine& machine, const ConvProblem& p, const ConvWeightSplit& split,
                              const DotResult& result, const Layout& x, const Layout& ct);

}  // namespace funcnn::gpu
