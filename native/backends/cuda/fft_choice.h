// Where cuFFT is quicker than kernels of our own.
#pragma once

#include <cstdint>

#include "ops/fft.h"

namespace funcnn::cuda {

// A transform of lines that lie one after another.
struct FourierWork {
  FftKind kind;
  bool scaled;  // by another factor than 1
  int64_t length, lines;
};
bool library_is_quicker(const FourierWork& work);

}  // namespace funcnn::cuda
