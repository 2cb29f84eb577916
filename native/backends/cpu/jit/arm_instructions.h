// The instructions of AArch64 that generated code is made of: one row for each, as in Arm's manual.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace funcnn::cpu::jit::arm {

// Which operands an instruction has, and where the encoding puts them. `d`, `n`, `m`, `a` are registers of one
// arrangement unless said otherwise.
enum class Form : uint8_t {
  three,       // d, n, m
  two,         // d, n
  shift_left,  // d, n, #bits: below the width
  shift_right,
  widen,   // d of lanes twice as wide as those of n, #bits
  narrow,  // d of half the width of n
  widen_float,
  narrow_float,
  lane_to_all,  // d, lane of n
  general_to_all,
  general_to_lane,
  lane_to_general,
  extract,      // d, n, m, #bytes
  zero,         // d, #0
  one_to_all,   // d, [n]
  memory,       // register, address
  literal,      // vector register, constant
  address_of,   // x, label
  pair,         // two registers, [n, #bytes]
  add_number,   // x, n, #12 bits
  registers,    // x, n, m
  multiply,     // x, n, m, a
  bits,         // x, n, #, #
  wide_number,  // x, #16 bits, #shift
  jump,
  jump_if,       // condition, label
  jump_if_zero,  // x, label
  call,          // x
  none,
};

// What the size of lanes does to the encoding.
enum class Lanes : uint8_t {
  none,
  integer,  // 1, 2, 4, 8 bytes in bits 23 and 22
  small,    // the same without 8 bytes
  real,     // 4 or 8 bytes in bit 22
  bytes,    // an arrangement of bytes stands for all
};

struct Encoding {
  std::string_view name;
  Form form = Form::none;
  Lanes lanes = Lanes::none;
  uint32_t word = 0;
};

inline constexpr Encoding kTable[] = {
    // floating point
    {"fadd", Form::three, Lanes::real, 0x0e20d400},
    {"fsub", Form::three, Lanes::real, 0x0ea0d400},
    {"fmul", Form::three, Lanes::real, 0x2e20dc00},
    {"fdiv", Form::three, Lanes::real, 0x2e20fc00},
    {"fmla", Form::three, Lanes::real, 0x0e20cc00},  // d + n * m
    {"fmls", Form::three, Lanes::real, 0x0ea0cc00},  // d - n * m
    {"fcmeq", Form::three, Lanes::real, 0x0e20e400},
    {"fcmge", Form::three, Lanes::real, 0x2e20e400},
    {"fcmgt", Form::three, Lanes::real, 0x2ea0e400},
    {"fneg", Form::two, Lanes::real, 0x2ea0f800},
    {"fabs", Form::two, Lanes::real, 0x0ea0f800},
    {"fsqrt", Form::two, Lanes::real, 0x2ea1f800},
    {"frintn", Form::two, Lanes::real, 0x0e218800},
    {"frintm", Form::two, Lanes::real, 0x0e219800},
    {"frintp", Form::two, Lanes::real, 0x0ea18800},
    {"frintz", Form::two, Lanes::real, 0x0ea19800},
    {"scvtf", Form::two, Lanes::real, 0x0e21d800},
    {"ucvtf", Form::two, Lanes::real, 0x2e21d800},
    {"fcvtzs", Form::two, Lanes::real, 0x0ea1b800},
    {"fcvtzu", Form::two, Lanes::real, 0x2ea1b800},
    {"fcvtl", Form::widen_float, Lanes::real, 0x0e217800},
    {"fcvtn", Form::narrow_float, Lanes::real, 0x0e216800},
    // integers
    {"add", Form::three, Lanes::integer, 0x0e208400},
    {"sub", Form::three, Lanes::integer, 0x2e208400},
    {"mul", Form::three, Lanes::small, 0x0e209c00},
    {"smax", Form::three, Lanes::small, 0x0e206400},
    {"smin", Form::three, Lanes::small, 0x0e206c00},
    {"umax", Form::three, Lanes::small, 0x2e206400},
    {"umin", Form::three, Lanes::small, 0x2e206c00},
    {"sshl", Form::three, Lanes::integer, 0x0e204400},
    {"ushl", Form::three, Lanes::integer, 0x2e204400},
    {"cmeq", Form::three, Lanes::integer, 0x2e208c00},
    {"cmgt", Form::three, Lanes::integer, 0x0e203400},
    {"cmge", Form::three, Lanes::integer, 0x0e203c00},
    {"cmhi", Form::three, Lanes::integer, 0x2e203400},
    {"cmhs", Form::three, Lanes::integer, 0x2e203c00},
    {"cmtst", Form::three, Lanes::integer, 0x0e208c00},
    {"neg", Form::two, Lanes::integer, 0x2e20b800},
    {"abs", Form::two, Lanes::integer, 0x0e20b800},
    {"shl", Form::shift_left, Lanes::integer, 0x0f005400},
    {"ushr", Form::shift_right, Lanes::integer, 0x2f000400},
    {"sshr", Form::shift_right, Lanes::integer, 0x0f000400},
    {"ushll", Form::widen, Lanes::small, 0x2f00a400},
    {"sshll", Form::widen, Lanes::small, 0x0f00a400},
    {"xtn", Form::narrow, Lanes::small, 0x0e212800},
    // bits
    {"and", Form::three, Lanes::bytes, 0x0e201c00},
    {"bic", Form::three, Lanes::bytes, 0x0e601c00},  // n and not m
    {"orr", Form::three, Lanes::bytes, 0x0ea01c00},
    {"orn", Form::three, Lanes::bytes, 0x0ee01c00},
    {"eor", Form::three, Lanes::bytes, 0x2e201c00},
    {"bsl", Form::three, Lanes::bytes, 0x2e601c00},  // d ? n : m
    {"bit", Form::three, Lanes::bytes, 0x2ea01c00},  // m ? n : d
    {"bif", Form::three, Lanes::bytes, 0x2ee01c00},  // m ? d : n
    {"not", Form::two, Lanes::bytes, 0x2e205800},
    // moves between lanes
    {"dup", Form::lane_to_all, Lanes::integer, 0x0e000400},
    {"dup", Form::general_to_all, Lanes::integer, 0x0e000c00},
    {"ins", Form::general_to_lane, Lanes::integer, 0x4e001c00},
    {"umov", Form::lane_to_general, Lanes::integer, 0x0e003c00},
    {"ext", Form::extract, Lanes::bytes, 0x2e000000},
    {"zip1", Form::three, Lanes::integer, 0x0e003800},
    {"uzp1", Form::three, Lanes::integer, 0x0e001800},
    {"movi", Form::zero, Lanes::none, 0x6f00e400},
    // memory
    {"ld1r", Form::one_to_all, Lanes::integer, 0x0d40c000},
    {"ldr", Form::memory, Lanes::none, 0x00400000},
    {"ldr", Form::literal, Lanes::none, 0x1c000000},
    {"str", Form::memory, Lanes::none, 0x00000000},
    {"ldp", Form::pair, Lanes::none, 0x00400000},
    {"stp", Form::pair, Lanes::none, 0x00000000},
    {"adr", Form::address_of, Lanes::none, 0x10000000},
    // general registers
    {"add", Form::add_number, Lanes::none, 0x11000000},
    {"sub", Form::add_number, Lanes::none, 0x51000000},
    {"subs", Form::add_number, Lanes::none, 0x71000000},
    {"add", Form::registers, Lanes::none, 0x0b000000},
    {"sub", Form::registers, Lanes::none, 0x4b000000},
    {"subs", Form::registers, Lanes::none, 0x6b000000},
    {"and", Form::registers, Lanes::none, 0x0a000000},
    {"orr", Form::registers, Lanes::none, 0x2a000000},
    {"eor", Form::registers, Lanes::none, 0x4a000000},
    {"madd", Form::multiply, Lanes::none, 0x1b000000},
    {"ubfm", Form::bits, Lanes::none, 0x53000000},
    {"sbfm", Form::bits, Lanes::none, 0x13000000},
    {"movz", Form::wide_number, Lanes::none, 0x52800000},
    {"movk", Form::wide_number, Lanes::none, 0x72800000},
    {"movn", Form::wide_number, Lanes::none, 0x12800000},
    {"b", Form::jump, Lanes::none, 0x14000000},
    {"b", Form::jump_if, Lanes::none, 0x54000000},
    {"cbz", Form::jump_if_zero, Lanes::none, 0x34000000},
    {"cbnz", Form::jump_if_zero, Lanes::none, 0x35000000},
    {"blr", Form::call, Lanes::none, 0xd63f0000},
    {"ret", Form::none, Lanes::none, 0xd65f03c0},
};
inline constexpr size_t kCount = sizeof(kTable) / sizeof(kTable[0]);

// The first encoding of that name, or the number of encodings.
constexpr size_t find_encoding(std::string_view name) {
  for (size_t i = 0; i < kCount; ++i)
    if (kTable[i].name == name) return i;
  return kCount;
}

}  // namespace funcnn::cpu::jit::arm
