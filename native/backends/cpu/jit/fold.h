// Reductions of rows, as generated code and what meets its blocks know them.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "backends/cpu/jit/loop.h"
#include "backends/cpu/simd/reduce.h"

namespace funcnn::cpu::jit {
namespace {

// Calls f(op, T()) with the operation of simd/reduce.h on the type of the elements; sums and products of integers are
// those of unsigned ones. Raises Refused for a fold that there is no code for.
template <class F>
auto visit_fold(const Fold& fold, F&& f) {
  return visit_dtype(fold.dtype, [&]<class T>(TypeTag<T>) -> decltype(f(simd::SumOp<float>(), float())) {
    if constexpr (std::is_arithmetic_v<T> && sizeof(T) >= 4) {
      using Wrapping =
          typename std::conditional_t<std::is_floating_point_v<T>, std::type_identity<T>, std::make_unsigned<T>>::type;
      switch (fold.op) {
        case ReduceOp::sum:
          return f(simd::SumOp<Wrapping>(), Wrapping());
        case ReduceOp::prod:
          return f(simd::ProdOp<Wrapping>(), Wrapping());
        case ReduceOp::max:
          return f(simd::MaxOp<T>(), T());
        case ReduceOp::min:
          return f(simd::MinOp<T>(), T());
        default:
          break;
      }
    }
    throw Refused{"a reduction of this dtype"};
  });
}

template <class T>
uint64_t bits_of(T x) {
  if constexpr (sizeof(T) == 8)
    return std::bit_cast<uint64_t>(x);
  else
    return std::bit_cast<uint32_t>(x);
}

// The result of no element.
inline uint64_t identity(const Fold& fold) {
  return visit_fold(fold, []<class Op, class T>(Op, T) { return bits_of(Op::identity()); });
}
// What accumulators begin with, so that the first elements come out as they are.
inline uint64_t neutral(const Fold& fold) {
  if (fold.op != ReduceOp::sum) return identity(fold);
  return visit_fold(fold, []<class Op, class T>(Op, T) { return bits_of(std::is_floating_point_v<T> ? -T(0) : T(0)); });
}

}  // namespace
}  // namespace funcnn::cpu::jit
