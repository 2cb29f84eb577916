// Attention and its derivatives, as plain loops.
#pragma once

#include "backends/reference/primitives.h"

namespace funcnn::reference {

void attention(const Primitive& primitive, Layouts inputs, Layouts outputs, Pointers at);
void attention_gradient(const Primitive& primitive, Layouts inputs, Layouts outputs, Pointers at);
void attention_mask_gradient(const Primitive& primitive, Layouts inputs, Layouts outputs, Pointers at);

}  // namespace funcnn::reference
