// A row of the Walsh-Hadamard transform, compiled for each instruction set.
#pragma once

#include <cstdint>

namespace funcnn::cpu {

// x of m * 2^k numbers in place: k stages of sums and differences, then, for m > 1, `signs` (m rows of bits) across.
// `room`: m * 64 numbers.
struct HadamardTable {
  void (*f32)(float* x, int64_t n, int m, const uint32_t* signs, float scale, float* room);
  void (*f64)(double* x, int64_t n, int m, const uint32_t* signs, double scale, double* room);
};

}  // namespace funcnn::cpu
