// The Metal standard library as C++17, with address spaces erased: what every translated kernel includes. No system
// header, so that a precompiled one loads fast.
#pragma once

extern "C" {
void* memcpy(void*, const void*, unsigned long);
void* memset(void*, int, unsigned long);
}

#include "../device/kernel_abi.h"
#include "atomics.h"
#include "entry.h"
#include "execution.h"
#include "integers.h"
#include "math.h"
#include "scalars.h"
#include "simdgroup.h"
#include "simdgroup_matrix.h"
#include "traits.h"
#include "vectors.h"
