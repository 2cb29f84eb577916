// The arithmetic of Fourier transforms as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace funcnn::gpu {

// times_c64(a, b); root(k, n, sign): exp(sign 2 pi i k / n) for k < n; near_root(k, n, pi / 4 / n, sign): the same for
// n < 2^29, which is cheap where n is a literal; chirp(j, n, sign): exp(sign pi i j^2 / n);
// spread(k): the place of element k in shared memory;
// mirrored(z, real): z, without its imaginary part where it is real;
// of_pairs(a, b, w): an element of a real line's spectrum, whose root is w, from the elements k and -k of that of its
// pairs; to_pairs(a, b, w): twice the other way, w being conjugate, from the elements k and n / 2 - k of the line's.
std::string_view fft_functions();

// The sign of the exponent of a transform, as a literal.
std::string_view sign_text(bool inverse);

// e^(+-2 pi i at / n) for an expression of u32.
std::string root_text(std::string_view at, int64_t n, bool inverse);

// A literal of f32.
std::string number_text(double x);

// Statements that transform the array `v` of c64, whose length is at most 16.
std::string dft_text(int radix, bool inverse);

}  // namespace funcnn::gpu
