// Instructions on vectors by what they do, whatever the width of vectors and the size of lanes.
#pragma once

#include "backends/cpu/jit/x86_assembler.h"

namespace funcnn::cpu::jit {

// An instruction for lanes of 4 and of 8 bytes.
struct Op {
  x86::Name four, eight;
};

// Writes instructions for vectors of one width and lanes of one size, but for a while also of halves of the elements in
// lanes of 8 bytes.
class Writer {
 public:
  // `single`: of vectors the first lane is all that counts. Short ones take less of a processor that computes long ones
  // in two parts.
  Writer(bool evex, bool eight, bool single) : as(evex), evex_(evex), eight_(eight), long_(evex && !single) {}

  x86::Assembler as;
  bool evex() const { return evex_; }
  bool eight() const { return eight_; }
  int bytes() const { return evex_ ? 64 : 32; }
  int item() const { return eight_ ? 8 : 4; }
  int lanes() const { return bytes() / item(); }

  x86::Vector v(int r) const { return long_ ? x86::zmm(r) : x86::ymm(r); }
  x86::Vector half(int r) const { return long_ ? x86::ymm(r) : x86::xmm(r); }
  // Until further notice.
  void on_halves(bool halves) { halves_ = halves; }
  template <class... T>
  void operator()(const Op& op, const T&... operands) {
    as(eight_ || halves_ ? op.eight : op.four, operands...);
  }
  // A constant as the last operand of an instruction: repeated by it, or in full.
  x86::Memory constant(uint64_t bits, bool halves = false) {
    const bool eight = eight_ || halves;
    if (!evex_) return eight ? as.repeated8(bits, 32) : as.repeated4(uint32_t(bits), 32);
    return (eight ? as.constant8(bits) : as.constant4(uint32_t(bits))).broadcast(eight ? 8 : 4);
  }
  // A vector from memory, of which one lane may have to be repeated.
  void fetch(int to, x86::Memory m);
  void move(int to, int from);

 private:
  bool evex_, eight_, long_, halves_ = false;
};

namespace op {
// clang-format off
inline constexpr Op add{"vaddps", "vaddpd"}, subtract{"vsubps", "vsubpd"}, multiply{"vmulps", "vmulpd"},
    divide{"vdivps", "vdivpd"}, least{"vminps", "vminpd"}, greatest{"vmaxps", "vmaxpd"}, root{"vsqrtps", "vsqrtpd"},
    bit_and{"vandps", "vandpd"}, bit_or{"vorps", "vorpd"}, bit_xor{"vxorps", "vxorpd"},
    compare{"vcmpps", "vcmppd"},
    round{"vroundps", "vroundpd"}, round_evex{"vrndscaleps", "vrndscalepd"},
    int_add{"vpaddd", "vpaddq"}, int_subtract{"vpsubd", "vpsubq"}, int_multiply{"vpmulld", "vpmullq"},
    int_least{"vpminsd", "vpminsq"}, int_greatest{"vpmaxsd", "vpmaxsq"}, uint_least{"vpminud", "vpminuq"},
    uint_greatest{"vpmaxud", "vpmaxuq"}, shift_left{"vpslld", "vpsllq"}, shift_right{"vpsrld", "vpsrlq"},
    shift_right_signed{"vpsrad", "vpsraq"}, shift_left_by{"vpsllvd", "vpsllvq"}, shift_right_by{"vpsrlvd", "vpsrlvq"},
    shift_right_signed_by{"vpsravd", "vpsravq"}, from_int{"vcvtdq2ps", "vcvtqq2pd"}, to_int{"vcvttps2dq", "vcvttpd2qq"},
    int_compare{"vpcmpd", "vpcmpq"}, int_equal{"vpcmpeqd", "vpcmpeqq"}, int_greater{"vpcmpgtd", "vpcmpgtq"},
    test{"vptestmd", "vptestmq"}, blend{"vblendmps", "vblendmpd"}, blend_by_vector{"vblendvps", "vblendvpd"},
    load{"vmovups", "vmovupd"}, one{"vmovss", "vmovsd"}, copy{"vmovaps", "vmovapd"}, repeat{"vbroadcastss", "vbroadcastsd"},
    repeat_general{"vpbroadcastd", "vpbroadcastq"}, move_general{"vmovd", "vmovq"},
    some{"vmaskmovps", "vmaskmovpd"}, pass{"vmovntps", "vmovntpd"},
    bytes_to_ints{"vpmovzxbd", "vpmovzxbq"}, ints_to_bytes{"vpmovdb", "vpmovqb"},
    fma132{"vfmadd132ps", "vfmadd132pd"}, fma213{"vfmadd213ps", "vfmadd213pd"}, fma231{"vfmadd231ps", "vfmadd231pd"},
    fms132{"vfmsub132ps", "vfmsub132pd"}, fms213{"vfmsub213ps", "vfmsub213pd"}, fms231{"vfmsub231ps", "vfmsub231pd"},
    fnma132{"vfnmadd132ps", "vfnmadd132pd"}, fnma213{"vfnmadd213ps", "vfnmadd213pd"},
    fnma231{"vfnmadd231ps", "vfnmadd231pd"};
// clang-format on
}  // namespace op

inline constexpr int kSubnormal = 0x20;  // a class of numbers
// Predicates of comparisons.
inline constexpr int kUnordered = 3, kNotEqual = 4, kOrdered = 7, kLess = 17, kLessEqual = 18;

}  // namespace funcnn::cpu::jit
