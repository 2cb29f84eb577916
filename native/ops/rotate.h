// Rotations of pairs of features, as rotary positions have them.
#pragma once

#include "graph/array.h"

namespace funcnn {

// The first `dims` features of the last axis in pairs, each rotated by its angle. Pairs are neighbours, or `dims` / 2
// apart; both features of a pair stand beside each other along an axis of length 2, with which angles and signs (-1 for
// the first feature, 1 for the second) broadcast. In the dtype of the angles.
Array rotate_pairs(const Array& x, int64_t dims, bool neighbours, const Array& angles, const Array& signs);

}  // namespace funcnn
