// What places of largest and smallest elements need of an instruction set.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace funcnn::cpu {

// The first of n places that has `value`: if that is NaN, any NaN. n: none has it.
using FindFn = int64_t (*)(const void* x, int64_t n, const void* value);
// Of `count` lines side by side, whose elements are `step` apart, where the largest or smallest element is: the first
// of them, and NaN before all others.
using ArgReduceAcrossFn = void (*)(uint32_t* out, const void* x, int64_t n, int64_t count, int64_t step);
// Integers in the order of 16-bit floats, but for those of NaN, which is the best. Zeros are equal.
using HalfKeysFn = void (*)(int16_t* keys, const void* x, int64_t n);

// By dtype of the elements, complex numbers aside; the second and the third by whether the largest counts as well.
struct ArgReduceTable {
  FindFn find[kDtypeCount];
  ArgReduceAcrossFn across[2][kDtypeCount];
  HalfKeysFn keys[2][kDtypeCount];
};

}  // namespace funcnn::cpu
