// Lines made ready for a transform that somebody else computes.
#pragma once

#include <memory>

#include "backends/gpu/kernel.h"
#include "ops/fft.h"

namespace funcnn::gpu {

// A dense copy of a transform's operand, times the transform's scale. Of half spectra, numbers that have no mirror
// image become real.
std::unique_ptr<Kernel> make_fft_operand(Machine& machine, const Fft& op, const Layout& in);

}  // namespace funcnn::gpu
