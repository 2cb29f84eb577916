// NVRTC: the compiler of CUDA text, loaded when a GPU is first asked for.
#pragma once

#include <string>

namespace funcnn::cuda {

// What NVRTC compiles for: code of a chip, or text for the driver to translate where the chip is newer than NVRTC.
struct Target {
  std::string architecture;  // "sm_90", "compute_90"
  bool native() const { return architecture.starts_with("sm_"); }
};

// Whether NVRTC is found and can be used with the driver of this version (0: with none); if not, `reason` says why.
bool find_nvrtc(int driver_version, std::string& reason);
// "13.0"; find_nvrtc has found it.
const std::string& nvrtc_version();
// The target for a chip of this compute capability (90 is 9.0). Raises Error where NVRTC has none for it.
Target target_for(int capability);

// The image of a text for the driver. Raises Error with the compiler's words. Safe from several threads.
std::string compile(const std::string& name, const std::string& text, const Target& target);

}  // namespace funcnn::cuda
