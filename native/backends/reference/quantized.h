// Quantisation and products of quantised and chosen matrices, as plain loops.
#pragma once

#include "backends/reference/primitives.h"

namespace funcnn::reference {

void quantize(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void quantized_values(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void dequantize(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void to_fp8(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void from_fp8(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void quantized_dot(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void gather_dot(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void scatter_dot(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void segmented_dot(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void segments_spread(const Primitive& primitive, Layouts in, Layouts out, Pointers at);
void hadamard_transform(const Primitive& primitive, Layouts in, Layouts out, Pointers at);

}  // namespace funcnn::reference
