#include "backends/cpu/jit/target.h"

#include "backends/cpu/jit/emit_arm.h"
#include "backends/cpu/jit/emit_x86.h"

namespace funcnn::cpu::jit {
namespace {

#if defined(FUNCNN_X86)
template <bool wide>
constexpr Target kX86{
    wide ? 64 : 32,
    true,
    true,
    true,
    true,
    wide ? 3 : 1,
    [](const Loop& loop, std::string* why) { return emit_x86(loop, wide, why); },
    [](const Loop& loop) { return whole_vectors_only(loop, wide); },
};
#elif defined(__aarch64__) || defined(_M_ARM64)
constexpr Target kArm{kArmVectorBytes, true,       false,    false,
                      false,           kMostFolds, emit_arm, [](const Loop&) { return false; }};
#endif

}  // namespace

const Target* target_of([[maybe_unused]] InstructionLevel level) {
#if defined(FUNCNN_X86)
  if (level == InstructionLevel::avx512) return &kX86<true>;
  return level == InstructionLevel::avx2 ? &kX86<false> : nullptr;
#elif defined(__aarch64__) || defined(_M_ARM64)
  return &kArm;
#else
  return nullptr;
#endif
}

}  // namespace funcnn::cpu::jit
