// The types of elements, and lists of them. Everything has internal linkage: see table.h.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace funcnn::cpu::simd {
namespace {

template <class T>
struct DtypeOf;
// clang-format off
template <> struct DtypeOf<bool> { static constexpr int value = int(Dtype::bool_); };
template <> struct DtypeOf<uint8_t> { static constexpr int value = int(Dtype::uint8); };
template <> struct DtypeOf<uint16_t> { static constexpr int value = int(Dtype::uint16); };
template <> struct DtypeOf<uint32_t> { static constexpr int value = int(Dtype::uint32); };
template <> struct DtypeOf<uint64_t> { static constexpr int value = int(Dtype::uint64); };
template <> struct DtypeOf<int8_t> { static constexpr int value = int(Dtype::int8); };
template <> struct DtypeOf<int16_t> { static constexpr int value = int(Dtype::int16); };
template <> struct DtypeOf<int32_t> { static constexpr int value = int(Dtype::int32); };
template <> struct DtypeOf<int64_t> { static constexpr int value = int(Dtype::int64); };
template <> struct DtypeOf<float> { static constexpr int value = int(Dtype::float32); };
template <> struct DtypeOf<double> { static constexpr int value = int(Dtype::float64); };
// clang-format on

template <class... Ts>
struct Types {};
using SignedInts = Types<int8_t, int16_t, int32_t, int64_t>;
using UnsignedInts = Types<uint8_t, uint16_t, uint32_t, uint64_t>;
using Ints = Types<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t>;
using Floats = Types<float, double>;
using Reals = Types<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float, double>;

}  // namespace
}  // namespace funcnn::cpu::simd
