// Products fused with a sum.
#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

// The compiler contracts these where the machine has the instruction.
struct Fma {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return a * b + c;
  }
};
struct Fms {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return a * b - c;
  }
};
struct Fnma {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return c - a * b;
  }
};

template <class Op>
void add_both(Table& t, int op) {
  add_ternary_as<Op, float, float, float, float>(t, op, int(Dtype::float32));
  add_ternary_as<Op, double, double, double, double>(t, op, int(Dtype::float64));
}

}  // namespace

namespace FUNCNN_ISA {

void add_fused(Table& t) {
  add_both<Fma>(t, int(Opcode::fma));
  add_both<Fms>(t, kFms);
  add_both<Fnma>(t, kFnma);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
