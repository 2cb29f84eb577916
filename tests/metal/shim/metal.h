// The Metal standard library as C++17, with address spaces erased: what every translated kernel includes. No system
// header, so that a precompiled one loads fast. Names that begin with two underscores are the shim's own, as in any
// standard library: kernels say `using namespace metal`, and those names are in nobody's way.
#pragma once

extern "C" {
void* memcpy(void*, const void*, unsigned long);
void* memset(void*, int, unsigned long);
}

// clang-format off: each leans on those before it.
#include "../device/kernel_abi.h"
#include "scalars.h"
#include "traits.h"
#include "vectors.h"
#include "math.h"
#include "integers.h"
#include "execution.h"
#include "simdgroup.h"
#include "simdgroup_matrix.h"
#include "atomics.h"
#include "entry.h"
// clang-format on
