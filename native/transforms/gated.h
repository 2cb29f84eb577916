// Activations that are the input times a gate of it, with the derivatives that they have at infinity.
#pragma once

#include "graph/array.h"

namespace funcnn {

// Of integers and bools in float32; not of complex numbers.
Array silu(const Array& x);
Array gelu_approx(const Array& x);
Array gelu_fast_approx(const Array& x);
Array hardswish(const Array& x);
Array mish(const Array& x);

}  // namespace funcnn
