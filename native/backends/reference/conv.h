// Convolutions as plain loops.
#pragma once

#include "backends/reference/primitives.h"

namespace funcnn::reference {

void conv(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void conv_weight_gradient(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void sum_windows(const Primitive& primitive, Layouts in, Layouts out, Pointers at);

}  // namespace funcnn::reference
