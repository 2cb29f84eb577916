// Kernels of a few elements as one function without loops: each element is a value.
#pragma once

#include "plan/joint_code.h"

namespace funcnn::cpu::jit {

bool can_straighten(const JointCompiler::Work& work);
std::shared_ptr<const JointCode> straighten(std::span<const JointCompiler::Work> works, std::span<const char> kept,
                                            std::span<const JointCompiler::Step> steps);

}  // namespace funcnn::cpu::jit
