// The instruction sets this binary carries tables for, and the one in use.
#pragma once

#include "backends/cpu/simd/table.h"

namespace funcnn::cpu {

const simd::Table& active_table();

}  // namespace funcnn::cpu
