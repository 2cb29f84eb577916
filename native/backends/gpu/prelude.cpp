#include "backends/gpu/prelude.h"

#include <array>
#include <string>

#include "backends/gpu/prelude_texts.h"

namespace funcnn::gpu {
namespace {

std::string text_of(Language language, Section section) {
  const bool metal = language == Language::metal;
  switch (section) {
    case Section::base:
      return std::string(metal ? kMetalBase : kCudaBase) + std::string(kCommonBase);
    case Section::math:
      return {};
    case Section::complex:
      return std::string(kComplex);
    case Section::threefry:
      return std::string(kThreefry);
    case Section::atomics:
      return std::string(metal ? kMetalAtomics : kCudaAtomics);
    case Section::fragments:
      return std::string(metal ? kMetalFragments : kCudaFragments);
  }
  return {};
}

}  // namespace

std::string_view prelude_text(Language language, Section section) {
  static const auto* texts = [] {
    auto* all = new std::array<std::array<std::string, kSectionCount>, 2>;
    for (int l = 0; l < 2; ++l)
      for (int s = 0; s < kSectionCount; ++s) (*all)[size_t(l)][size_t(s)] = text_of(Language(l), Section(s));
    return all;
  }();
  return (*texts)[size_t(language)][size_t(section)];
}

}  // namespace funcnn::gpu
