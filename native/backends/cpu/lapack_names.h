// How the symbols of LAPACK and BLAS are called, for the files that declare them.
#pragma once

#include <cstddef>

// Names and the hidden lengths of Fortran's character arguments.
#if defined(FUNCNN_ACCELERATE)
#define LAPACK(name) name##$NEWLAPACK
#define LENGTH
#define LENGTHS
#define ONE
#define ONES
#else
#define LAPACK(name) scipy_##name##_
#define LENGTH , size_t
#define LENGTHS , size_t, size_t
#define ONE , size_t(1)
#define ONES , size_t(1), size_t(1)
#endif

// One line for each element type and its letter; Complex is std::complex<float>.
#define FOR_ALL(DEFINE) DEFINE(float, s) DEFINE(double, d) DEFINE(Complex, c)
#define FOR_REAL(DEFINE) DEFINE(float, s) DEFINE(double, d)
