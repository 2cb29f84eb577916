// Functions of the device that opcodes call, each with what belongs to it. Others that it calls stand before it: in its
// own list or in those named before.
#pragma once

#include <string_view>
#include <vector>

namespace funcnn::gpu {

extern const std::vector<std::string_view> kRealFunctions, kHalfFunctions, kTwoFunctions, kIntegerFunctions;
extern const std::vector<std::string_view> kDoubleFunctions;  // CUDA alone
extern const std::vector<std::string_view> kMetalGammaFunctions, kCudaGammaFunctions;
extern const std::vector<std::string_view> kComplexFunctions;

}  // namespace funcnn::gpu
