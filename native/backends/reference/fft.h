// Fourier transforms by their definition.
#pragma once

#include "backends/reference/primitives.h"

namespace funcnn::reference {

void fft(const Primitive& primitive, Layouts inputs, Layouts outputs, Pointers at);

}  // namespace funcnn::reference
