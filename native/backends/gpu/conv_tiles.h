// Convolutions as products of tiles (tiles.h), the input being gathered while it is read.
#pragma once

#include "backends/gpu/conv_text.h"
#include "backends/gpu/dot_problem.h"
#include "backends/gpu/tiles.h"

namespace funcnn::gpu {

// Whether places are few enough for the numbers of tiles.
bool takes_tiles(const ConvProblem& problem);

// Places of the result by its channels. Operands are x, the weight, and those of the result.
Stage conv_tile_stage(Machine& machine, const ConvProblem& problem, const DotResult& result, const Layout& x,
                      const Layout& weight);

// Channels of the result by elements of the weight of a channel, summed over places; of `part` of them in each of
// `parts` parts, which go to scratch memory, if there are several.
struct ConvWeightSplit {
  TileShape shape;
  int64_t part, parts;
};
// Without a shape: so many that with `groups` for each part there is work for the whole machine, of multiples of
// `step`.
ConvWeightSplit split_places(const Traits& traits, const ConvProblem& problem, int64_t groups, int64_t step);
ConvWeightSplit conv_weight_split(const Traits& traits, const ConvProblem& problem);
Stage conv_weight_tile_stage(Machine& machine, const ConvProblem& problem, const ConvWeightSplit& split,
                             const DotResult& result, const Layout& x, const Layout& ct);

// Statements that store `value` of element `index` among the parts that are added up later.
inline constexpr std::string_view kStorePart = "found[i64(split) * p.elements + index] = value;\n";

}  // namespace funcnn::gpu
