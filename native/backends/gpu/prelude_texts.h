// The pieces that prelude_text puts together.
#pragma once

#include <string_view>

namespace funcnn::gpu {

extern const std::string_view kMetalBase, kCudaBase, kCommonBase;
extern const std::string_view kComplex, kThreefry;
extern const std::string_view kMetalAtomics, kCudaAtomics;
extern const std::string_view kMetalFragments, kCudaFragments;

}  // namespace funcnn::gpu
