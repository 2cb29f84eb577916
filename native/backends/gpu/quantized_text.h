// How texts of kernels read and make quantised numbers.
#pragma once

#include <string>

#include "backends/gpu/kernel.h"
#include "ops/quantized_format.h"

namespace funcnn::gpu {

// Functions for KernelText::before:
//   code_at(words, i)      code number i of packed ones that begin at `words`
//   code_value(code)       what it stands for before scaling, f32
//   scale_value(stored)    a scale of 8 bits as f32 (modes other than affine)
std::string reading_text(const QuantFormat& format);
// A run of `count` codes in registers, which fill whole halves of a word, in units of `unit` (u16 or u32): `struct
// Codes`, fetch_codes(from, wide) with `from` a pointer to units, and run_value(codes, i), what code i stands for
// before scaling. Wants reading_text.
std::string run_text(const QuantFormat& format, int count, std::string_view unit);
// e4m3_code(x), e4m3_value(code); also parts of the above.
extern const std::string_view kE4m3;
// rounded(x): an f32 to the dtype and back; for modes other than affine, scale_code(top, factor) with the `stored` of
// a group whose largest magnitude is `top`, and value_code(x): the code of a scaled element.
std::string writing_text(const QuantFormat& format, Dtype dtype);

}  // namespace funcnn::gpu
