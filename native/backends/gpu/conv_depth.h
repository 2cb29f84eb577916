// Convolutions each of whose groups has one channel of the input.
#pragma once

#include "backends/gpu/conv_problem.h"
#include "backends/gpu/dot_problem.h"

namespace funcnn::gpu {

// Whether the stage below is for it: not where the taps of a line reach so far that registers do not hold what they
// meet.
bool takes_depth(const ConvProblem& p);
// Every thread computes some outputs side by side of a channel.
Stage conv_depth_stage(Machine& machine, const ConvProblem& p, const DotResult& result, const Layout& x,
                       const Layout& weight);

}  // namespace funcnn::gpu
