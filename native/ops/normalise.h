// Normalisations of the last axis. They compute in the dtype that all arguments promote to, at least in float32, and
// round once to the dtype of the arrays; null stands for no weight and no bias.
#pragma once

#include <initializer_list>

#include "graph/array.h"

namespace funcnn {

// The dtype to compute with. Refuses what does not fit, for the function of this name.
struct Parameter {
  const char* name;
  const Array& value;
};
Dtype normalisation_dtype(const char* function, const Array& x, std::initializer_list<Parameter> parameters);

// x / sqrt(mean(x ** 2) + eps) * weight.
Array rms_norm(const Array& x, const Array& weight, const Array& eps);
// (x - mean(x)) / sqrt(var(x) + eps) * weight + bias.
Array layer_norm(const Array& x, const Array& weight, const Array& bias, const Array& eps);

}  // namespace funcnn
