// The instructions of x86-64 that generated code is made of: one row for each encoding, as in the manuals of Intel and
// AMD.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace funcnn::cpu::jit::x86 {

// `either`: VEX where that can say it, else EVEX. `vex_long`: VEX.L is 1 whatever the operands.
enum class Scheme : uint8_t { legacy, vex, vex_long, evex, either };
enum class Map : uint8_t { one_byte = 0, m0f = 1, m0f38 = 2, m0f3a = 3 };
enum class Prefix : uint8_t { none = 0, p66 = 1, pf3 = 2, pf2 = 3 };
// `evex_one`: 1 in EVEX, 0 in VEX. `by_operand`: 1 where general registers have 64 bits.
enum class W : uint8_t { zero, one, evex_one, by_operand };
// How much memory an operand is: parts of the vector, or bytes. EVEX counts displacements in these.
enum class Extent : uint8_t { full, half, quarter, eighth, b1, b2, b4, b8, b16, b32, general };

// Operands are a role and a class each.
//   roles:   r ModRM.reg   v VEX.vvvv   m ModRM.rm, register or memory   n a register there   M memory there
//            o low bits of the opcode   s high bits of an immediate   i imm8   b imm8, extended   I imm32   j imm64   J
//            label
//   classes: V the vector   W of at least 256 bits   Z of 512   H Q E its half, quarter, eighth, at least 128 bits
//            X 128 bits   Y 256   K mask   G general register of 32 or 64 bits   1 2 4 8 of so many bytes
struct Encoding {
  char name[16] = {};
  Scheme scheme = Scheme::legacy;
  Map map = Map::one_byte;
  Prefix prefix = Prefix::none;
  uint8_t code = 0;
  W w = W::zero;
  std::string_view operands;
  Extent extent = Extent::full;
  uint8_t broadcast = 0;  // bytes of the element that EVEX can repeat
  int8_t digit = -1;      // ModRM.reg where no operand is there
  bool masks = true;      // EVEX: elements may be masked out

  constexpr std::string_view text() const { return name; }
};

namespace detail {

struct Rows {
  std::array<Encoding, 640> rows{};
  size_t count = 0;

  constexpr void row(std::string_view name, std::string_view suffix, Encoding e) {
    size_t n = 0;
    for (char c : name) e.name[n++] = c;
    for (char c : suffix) e.name[n++] = c;
    rows[count++] = e;
  }
};

consteval Rows make_rows() {
  using enum Scheme;
  using enum Map;
  using enum Prefix;
  using enum Extent;
  Rows t;
  auto row = [&](std::string_view name, Scheme s, Prefix p, Map m, int code, W w, std::string_view operands,
                 Extent extent = Extent::full, int broadcast = 0, int digit = -1) {
    t.row(name, "", {{}, s, m, p, uint8_t(code), w, operands, extent, uint8_t(broadcast), int8_t(digit)});
  };
  auto unmasked = [&](auto... values) {
    row(values...);
    t.rows[t.count - 1].masks = false;
  };
  // ps and pd, or d and q: one opcode, told apart by W.
  auto pair = [&](std::string_view name, bool floats, Scheme s, Prefix p, Map m, int code, std::string_view operands) {
    t.row(name, floats ? "ps" : "d", {{}, s, m, p, uint8_t(code), W::zero, operands, full, 4});
    t.row(name, floats ? "pd" : "q", {{}, s, m, p, uint8_t(code), W::one, operands, full, 8});
  };
  // ps and pd in the map of SSE, told apart by the prefix.
  auto packed = [&](std::string_view name, int code, std::string_view operands) {
    t.row(name, "ps", {{}, either, m0f, none, uint8_t(code), W::zero, operands, full, 4});
    t.row(name, "pd", {{}, either, m0f, p66, uint8_t(code), W::evex_one, operands, full, 8});
  };
  auto arithmetic = [&](std::string_view name, int code, std::string_view operands) {
    packed(name, code, operands);
    t.row(name, "ss", {{}, either, m0f, pf3, uint8_t(code), W::zero, "rX vX mX", b4});
    t.row(name, "sd", {{}, either, m0f, pf2, uint8_t(code), W::evex_one, "rX vX mX", b8});
  };
  auto product = [&](std::string_view name, int code) {
    constexpr std::string_view orders[] = {"132", "213", "231"};
    for (int i = 0; i < 3; ++i) {
      char whole[16] = {};
      size_t n = 0;
      for (char c : name) whole[n++] = c;
      for (char c : orders[i]) whole[n++] = c;
      const std::string_view stem(whole, n);
      pair(stem, true, either, p66, m0f38, 0x90 + 16 * i + code, "rV vV mV");
      t.row(stem, "ss", {{}, either, m0f38, p66, uint8_t(0x91 + 16 * i + code), W::zero, "rX vX mX", b4});
      t.row(stem, "sd", {{}, either, m0f38, p66, uint8_t(0x91 + 16 * i + code), W::one, "rX vX mX", b8});
    }
  };

  // ---- moves
  for (int code : {0x10, 0x28}) {
    const std::string_view name = code == 0x10 ? "vmovu" : "vmova";
    for (bool wide : {false, true}) {
      const std::string_view suffix = wide ? "pd" : "ps";
      const Prefix p = wide ? p66 : none;
      const W w = wide ? W::evex_one : W::zero;
      t.row(name, suffix, {{}, either, m0f, p, uint8_t(code), w, "rV mV"});
      t.row(name, suffix, {{}, either, m0f, p, uint8_t(code + 1), w, "MV rV"});
    }
  }
  unmasked("vmovntps", either, none, m0f, 0x2b, W::zero, "MV rV");
  unmasked("vmovntpd", either, p66, m0f, 0x2b, W::evex_one, "MV rV");
  row("vmovdqu", vex, pf3, m0f, 0x6f, W::zero, "rV mV");
  row("vmovdqu", vex, pf3, m0f, 0x7f, W::zero, "MV rV");
  row("vmovdqa", vex, p66, m0f, 0x6f, W::zero, "rV mV");
  row("vmovdqa", vex, p66, m0f, 0x7f, W::zero, "MV rV");
  row("vmovdqu8", evex, pf2, m0f, 0x6f, W::zero, "rV mV");
  row("vmovdqu8", evex, pf2, m0f, 0x7f, W::zero, "MV rV");
  row("vmovdqu16", evex, pf2, m0f, 0x6f, W::one, "rV mV");
  row("vmovdqu16", evex, pf2, m0f, 0x7f, W::one, "MV rV");
  row("vmovdqu32", evex, pf3, m0f, 0x6f, W::zero, "rV mV");
  row("vmovdqu32", evex, pf3, m0f, 0x7f, W::zero, "MV rV");
  row("vmovdqu64", evex, pf3, m0f, 0x6f, W::one, "rV mV");
  row("vmovdqu64", evex, pf3, m0f, 0x7f, W::one, "MV rV");
  row("vmovdqa32", evex, p66, m0f, 0x6f, W::zero, "rV mV");
  row("vmovdqa32", evex, p66, m0f, 0x7f, W::zero, "MV rV");
  row("vmovdqa64", evex, p66, m0f, 0x6f, W::one, "rV mV");
  row("vmovdqa64", evex, p66, m0f, 0x7f, W::one, "MV rV");
  row("vmovss", either, pf3, m0f, 0x10, W::zero, "rX MX", b4);
  row("vmovss", either, pf3, m0f, 0x11, W::zero, "MX rX", b4);
  row("vmovss", either, pf3, m0f, 0x10, W::zero, "rX vX nX", b4);
  row("vmovsd", either, pf2, m0f, 0x10, W::evex_one, "rX MX", b8);
  row("vmovsd", either, pf2, m0f, 0x11, W::evex_one, "MX rX", b8);
  row("vmovsd", either, pf2, m0f, 0x10, W::evex_one, "rX vX nX", b8);
  unmasked("vmovd", either, p66, m0f, 0x6e, W::zero, "rX m4", b4);
  unmasked("vmovd", either, p66, m0f, 0x7e, W::zero, "m4 rX", b4);
  unmasked("vmovq", either, p66, m0f, 0x6e, W::one, "rX m8", b8);
  unmasked("vmovq", either, p66, m0f, 0x7e, W::one, "m8 rX", b8);
  unmasked("vmovhlps", either, none, m0f, 0x12, W::zero, "rX vX nX");
  unmasked("vmovlhps", either, none, m0f, 0x16, W::zero, "rX vX nX");
  row("vmovshdup", either, pf3, m0f, 0x16, W::zero, "rV mV");
  row("vmovsldup", either, pf3, m0f, 0x12, W::zero, "rV mV");
  row("vmaskmovps", vex, p66, m0f38, 0x2c, W::zero, "rV vV MV");
  row("vmaskmovps", vex, p66, m0f38, 0x2e, W::zero, "MV vV rV");
  row("vmaskmovpd", vex, p66, m0f38, 0x2d, W::zero, "rV vV MV");
  row("vmaskmovpd", vex, p66, m0f38, 0x2f, W::zero, "MV vV rV");
  row("vpmaskmovd", vex, p66, m0f38, 0x8c, W::zero, "rV vV MV");
  row("vpmaskmovd", vex, p66, m0f38, 0x8e, W::zero, "MV vV rV");
  row("vpmaskmovq", vex, p66, m0f38, 0x8c, W::one, "rV vV MV");
  row("vpmaskmovq", vex, p66, m0f38, 0x8e, W::one, "MV vV rV");

  // ---- one element or one part, repeated
  row("vbroadcastss", either, p66, m0f38, 0x18, W::zero, "rV mX", b4);
  row("vbroadcastsd", either, p66, m0f38, 0x19, W::evex_one, "rW mX", b8);
  row("vbroadcastf128", vex, p66, m0f38, 0x1a, W::zero, "rY MX", b16);
  row("vbroadcasti128", vex, p66, m0f38, 0x5a, W::zero, "rY MX", b16);
  row("vbroadcastf32x4", evex, p66, m0f38, 0x1a, W::zero, "rW MX", b16);
  row("vbroadcastf64x2", evex, p66, m0f38, 0x1a, W::one, "rW MX", b16);
  row("vbroadcasti32x4", evex, p66, m0f38, 0x5a, W::zero, "rW MX", b16);
  row("vbroadcasti64x2", evex, p66, m0f38, 0x5a, W::one, "rW MX", b16);
  row("vpbroadcastb", either, p66, m0f38, 0x78, W::zero, "rV mX", b1);
  row("vpbroadcastb", evex, p66, m0f38, 0x7a, W::zero, "rV n4");
  row("vpbroadcastw", either, p66, m0f38, 0x79, W::zero, "rV mX", b2);
  row("vpbroadcastw", evex, p66, m0f38, 0x7b, W::zero, "rV n4");
  row("vpbroadcastd", either, p66, m0f38, 0x58, W::zero, "rV mX", b4);
  row("vpbroadcastd", evex, p66, m0f38, 0x7c, W::zero, "rV n4");
  row("vpbroadcastq", either, p66, m0f38, 0x59, W::evex_one, "rV mX", b8);
  row("vpbroadcastq", evex, p66, m0f38, 0x7c, W::one, "rV n8");

  // ---- floating point
  arithmetic("vadd", 0x58, "rV vV mV");
  arithmetic("vmul", 0x59, "rV vV mV");
  arithmetic("vsub", 0x5c, "rV vV mV");
  arithmetic("vmin", 0x5d, "rV vV mV");
  arithmetic("vdiv", 0x5e, "rV vV mV");
  arithmetic("vmax", 0x5f, "rV vV mV");
  arithmetic("vsqrt", 0x51, "rV mV");
  packed("vand", 0x54, "rV vV mV");
  packed("vandn", 0x55, "rV vV mV");
  packed("vor", 0x56, "rV vV mV");
  packed("vxor", 0x57, "rV vV mV");
  product("vfmadd", 0x8);
  product("vfmsub", 0xa);
  product("vfnmadd", 0xc);
  product("vfnmsub", 0xe);
  row("vcmpps", vex, none, m0f, 0xc2, W::zero, "rV vV mV i");
  row("vcmpps", evex, none, m0f, 0xc2, W::zero, "rK vV mV i", full, 4);
  row("vcmppd", vex, p66, m0f, 0xc2, W::zero, "rV vV mV i");
  row("vcmppd", evex, p66, m0f, 0xc2, W::one, "rK vV mV i", full, 8);
  row("vcmpss", vex, pf3, m0f, 0xc2, W::zero, "rX vX mX i", b4);
  row("vcmpss", evex, pf3, m0f, 0xc2, W::zero, "rK vX mX i", b4);
  row("vcmpsd", vex, pf2, m0f, 0xc2, W::zero, "rX vX mX i", b8);
  row("vcmpsd", evex, pf2, m0f, 0xc2, W::one, "rK vX mX i", b8);
  row("vroundps", vex, p66, m0f3a, 0x08, W::zero, "rV mV i");
  row("vroundpd", vex, p66, m0f3a, 0x09, W::zero, "rV mV i");
  row("vroundss", vex, p66, m0f3a, 0x0a, W::zero, "rX vX mX i", b4);
  row("vroundsd", vex, p66, m0f3a, 0x0b, W::zero, "rX vX mX i", b8);
  row("vrndscaleps", evex, p66, m0f3a, 0x08, W::zero, "rV mV i", full, 4);
  row("vrndscalepd", evex, p66, m0f3a, 0x09, W::one, "rV mV i", full, 8);
  row("vrndscaless", evex, p66, m0f3a, 0x0a, W::zero, "rX vX mX i", b4);
  row("vrndscalesd", evex, p66, m0f3a, 0x0b, W::one, "rX vX mX i", b8);
  pair("vscalef", true, evex, p66, m0f38, 0x2c, "rV vV mV");
  row("vscalefss", evex, p66, m0f38, 0x2d, W::zero, "rX vX mX", b4);
  row("vscalefsd", evex, p66, m0f38, 0x2d, W::one, "rX vX mX", b8);

  // ---- conversions
  row("vcvtdq2ps", either, none, m0f, 0x5b, W::zero, "rV mV", full, 4);
  row("vcvtps2dq", either, p66, m0f, 0x5b, W::zero, "rV mV", full, 4);
  row("vcvttps2dq", either, pf3, m0f, 0x5b, W::zero, "rV mV", full, 4);
  row("vcvtudq2ps", evex, pf2, m0f, 0x7a, W::zero, "rV mV", full, 4);
  row("vcvttps2udq", evex, none, m0f, 0x78, W::zero, "rV mV", full, 4);
  row("vcvtqq2pd", evex, pf3, m0f, 0xe6, W::one, "rV mV", full, 8);
  row("vcvtuqq2pd", evex, pf3, m0f, 0x7a, W::one, "rV mV", full, 8);
  row("vcvtpd2qq", evex, p66, m0f, 0x7b, W::one, "rV mV", full, 8);
  row("vcvttpd2qq", evex, p66, m0f, 0x7a, W::one, "rV mV", full, 8);
  row("vcvttpd2uqq", evex, p66, m0f, 0x78, W::one, "rV mV", full, 8);
  row("vcvttps2qq", evex, p66, m0f, 0x7a, W::zero, "rV mH", half, 4);
  row("vcvtps2pd", either, none, m0f, 0x5a, W::zero, "rV mH", half, 4);
  row("vcvtpd2ps", either, p66, m0f, 0x5a, W::evex_one, "rH mV", full, 8);
  row("vcvtdq2pd", either, pf3, m0f, 0xe6, W::zero, "rV mH", half, 4);
  row("vcvttpd2dq", either, p66, m0f, 0xe6, W::evex_one, "rH mV", full, 8);
  row("vcvtqq2ps", evex, none, m0f, 0x5b, W::one, "rH mV", full, 8);
  row("vcvtuqq2ps", evex, pf2, m0f, 0x7a, W::one, "rH mV", full, 8);
  row("vcvtph2ps", either, p66, m0f38, 0x13, W::zero, "rV mH", half);
  row("vcvtneps2bf16", evex, pf3, m0f38, 0x72, W::zero, "rH mV", full, 4);
  row("vcvtps2ph", either, p66, m0f3a, 0x1d, W::zero, "mH rV i", half);
  row("vcvtss2sd", either, pf3, m0f, 0x5a, W::zero, "rX vX mX", b4);
  row("vcvtsd2ss", either, pf2, m0f, 0x5a, W::evex_one, "rX vX mX", b8);
  unmasked("vcvtsi2ss", either, pf3, m0f, 0x2a, W::by_operand, "rX vX mG", general);
  unmasked("vcvtsi2sd", either, pf2, m0f, 0x2a, W::by_operand, "rX vX mG", general);
  unmasked("vcvttss2si", either, pf3, m0f, 0x2c, W::by_operand, "rG mX", b4);
  unmasked("vcvttsd2si", either, pf2, m0f, 0x2c, W::by_operand, "rG mX", b8);

  // ---- integers
  row("vpaddb", either, p66, m0f, 0xfc, W::zero, "rV vV mV");
  row("vpaddw", either, p66, m0f, 0xfd, W::zero, "rV vV mV");
  row("vpaddd", either, p66, m0f, 0xfe, W::zero, "rV vV mV", full, 4);
  row("vpaddq", either, p66, m0f, 0xd4, W::evex_one, "rV vV mV", full, 8);
  row("vpsubb", either, p66, m0f, 0xf8, W::zero, "rV vV mV");
  row("vpsubw", either, p66, m0f, 0xf9, W::zero, "rV vV mV");
  row("vpsubd", either, p66, m0f, 0xfa, W::zero, "rV vV mV", full, 4);
  row("vpsubq", either, p66, m0f, 0xfb, W::evex_one, "rV vV mV", full, 8);
  row("vpmullw", either, p66, m0f, 0xd5, W::zero, "rV vV mV");
  row("vpmulld", either, p66, m0f38, 0x40, W::zero, "rV vV mV", full, 4);
  row("vpmullq", evex, p66, m0f38, 0x40, W::one, "rV vV mV", full, 8);
  row("vpmuludq", either, p66, m0f, 0xf4, W::evex_one, "rV vV mV", full, 8);
  row("vpmuldq", either, p66, m0f38, 0x28, W::evex_one, "rV vV mV", full, 8);
  struct {
    std::string_view name;
    int code;
  } constexpr extremes[] = {{"vpmins", 0x39}, {"vpmaxs", 0x3d}, {"vpminu", 0x3b}, {"vpmaxu", 0x3f}};
  for (auto [name, code] : extremes) {
    t.row(name, "d", {{}, either, m0f38, p66, uint8_t(code), W::zero, "rV vV mV", full, 4});
    t.row(name, "q", {{}, evex, m0f38, p66, uint8_t(code), W::one, "rV vV mV", full, 8});
  }
  row("vpabsd", either, p66, m0f38, 0x1e, W::zero, "rV mV", full, 4);
  row("vpabsq", evex, p66, m0f38, 0x1f, W::one, "rV mV", full, 8);
  row("vpand", vex, p66, m0f, 0xdb, W::zero, "rV vV mV");
  row("vpandn", vex, p66, m0f, 0xdf, W::zero, "rV vV mV");
  row("vpor", vex, p66, m0f, 0xeb, W::zero, "rV vV mV");
  row("vpxor", vex, p66, m0f, 0xef, W::zero, "rV vV mV");
  pair("vpand", false, evex, p66, m0f, 0xdb, "rV vV mV");
  pair("vpandn", false, evex, p66, m0f, 0xdf, "rV vV mV");
  pair("vpor", false, evex, p66, m0f, 0xeb, "rV vV mV");
  pair("vpxor", false, evex, p66, m0f, 0xef, "rV vV mV");
  pair("vpternlog", false, evex, p66, m0f3a, 0x25, "rV vV mV i");
  for (bool wide : {false, true}) {
    const std::string_view suffix = wide ? "q" : "d";
    const uint8_t base = wide ? 0x73 : 0x72, item = wide ? 8 : 4;
    const W w = wide ? W::evex_one : W::zero;
    t.row("vpsll", suffix, {{}, vex, m0f, p66, base, w, "vV nV i", full, 0, 6});
    t.row("vpsll", suffix, {{}, evex, m0f, p66, base, w, "vV mV i", full, item, 6});
    t.row("vpsrl", suffix, {{}, vex, m0f, p66, base, w, "vV nV i", full, 0, 2});
    t.row("vpsrl", suffix, {{}, evex, m0f, p66, base, w, "vV mV i", full, item, 2});
    if (!wide) t.row("vpsra", suffix, {{}, vex, m0f, p66, 0x72, w, "vV nV i", full, 0, 4});
    t.row("vpsra", suffix, {{}, evex, m0f, p66, 0x72, w, "vV mV i", full, item, 4});
    t.row("vprol", suffix, {{}, evex, m0f, p66, 0x72, w, "vV mV i", full, item, 1});
    t.row("vpsllv", suffix, {{}, either, m0f38, p66, 0x47, wide ? W::one : W::zero, "rV vV mV", full, item});
    t.row("vpsrlv", suffix, {{}, either, m0f38, p66, 0x45, wide ? W::one : W::zero, "rV vV mV", full, item});
    t.row("vpsrav", suffix,
          {{}, wide ? evex : either, m0f38, p66, 0x46, wide ? W::one : W::zero, "rV vV mV", full, item});
    t.row("vprolv", suffix, {{}, evex, m0f38, p66, 0x15, wide ? W::one : W::zero, "rV vV mV", full, item});
  }
  row("vpsllw", vex, p66, m0f, 0x71, W::zero, "vV nV i", full, 0, 6);
  row("vpsllw", evex, p66, m0f, 0x71, W::zero, "vV mV i", full, 0, 6);
  row("vpsrlw", vex, p66, m0f, 0x71, W::zero, "vV nV i", full, 0, 2);
  row("vpsrlw", evex, p66, m0f, 0x71, W::zero, "vV mV i", full, 0, 2);
  row("vpsraw", vex, p66, m0f, 0x71, W::zero, "vV nV i", full, 0, 4);
  row("vpsraw", evex, p66, m0f, 0x71, W::zero, "vV mV i", full, 0, 4);
  row("vpslldq", vex, p66, m0f, 0x73, W::zero, "vV nV i", full, 0, 7);
  unmasked("vpslldq", evex, p66, m0f, 0x73, W::zero, "vV mV i", full, 0, 7);
  row("vpsrldq", vex, p66, m0f, 0x73, W::zero, "vV nV i", full, 0, 3);
  unmasked("vpsrldq", evex, p66, m0f, 0x73, W::zero, "vV mV i", full, 0, 3);
  struct {
    std::string_view name;
    Map map;
    uint8_t code;
    uint8_t item;
  } constexpr comparisons[] = {{"vpcmpeqb", m0f, 0x74, 1},   {"vpcmpeqw", m0f, 0x75, 2},  {"vpcmpeqd", m0f, 0x76, 4},
                               {"vpcmpeqq", m0f38, 0x29, 8}, {"vpcmpgtb", m0f, 0x64, 1},  {"vpcmpgtw", m0f, 0x65, 2},
                               {"vpcmpgtd", m0f, 0x66, 4},   {"vpcmpgtq", m0f38, 0x37, 8}};
  for (auto [name, map, code, item] : comparisons) {
    t.row(name, "", {{}, vex, map, p66, code, W::zero, "rV vV mV"});
    const uint8_t broadcast = item >= 4 ? item : 0;
    t.row(name, "", {{}, evex, map, p66, code, item == 8 ? W::one : W::zero, "rK vV mV", full, broadcast});
  }
  pair("vfpclass", true, evex, p66, m0f3a, 0x66, "rK mV i");
  pair("vpcmp", false, evex, p66, m0f3a, 0x1f, "rK vV mV i");
  pair("vpcmpu", false, evex, p66, m0f3a, 0x1e, "rK vV mV i");
  pair("vptestm", false, evex, p66, m0f38, 0x27, "rK vV mV");
  pair("vptestnm", false, evex, pf3, m0f38, 0x27, "rK vV mV");
  row("vptest", vex, p66, m0f38, 0x17, W::zero, "rV mV");

  // ---- choices
  row("vblendvps", vex, p66, m0f3a, 0x4a, W::zero, "rV vV mV sV");
  row("vblendvpd", vex, p66, m0f3a, 0x4b, W::zero, "rV vV mV sV");
  row("vpblendvb", vex, p66, m0f3a, 0x4c, W::zero, "rV vV mV sV");
  row("vblendps", vex, p66, m0f3a, 0x0c, W::zero, "rV vV mV i");
  row("vblendpd", vex, p66, m0f3a, 0x0d, W::zero, "rV vV mV i");
  row("vpblendd", vex, p66, m0f3a, 0x02, W::zero, "rV vV mV i");
  pair("vblendm", true, evex, p66, m0f38, 0x65, "rV vV mV");
  pair("vpblendm", false, evex, p66, m0f38, 0x64, "rV vV mV");

  // ---- wider and narrower integers
  struct {
    std::string_view name;
    uint8_t code;
    std::string_view operands, back;
    Extent extent;
  } constexpr widths[] = {{"bw", 0, "rV mH", "mH rV", half},    {"bd", 1, "rV mQ", "mQ rV", quarter},
                          {"bq", 2, "rV mE", "mE rV", eighth},  {"wd", 3, "rV mH", "mH rV", half},
                          {"wq", 4, "rV mQ", "mQ rV", quarter}, {"dq", 5, "rV mH", "mH rV", half}};
  for (const auto& o : widths) {
    t.row("vpmovzx", o.name, {{}, either, m0f38, p66, uint8_t(0x30 + o.code), W::zero, o.operands, o.extent});
    t.row("vpmovsx", o.name, {{}, either, m0f38, p66, uint8_t(0x20 + o.code), W::zero, o.operands, o.extent});
    const char back[2] = {o.name[1], o.name[0]};
    t.row("vpmov", {back, 2}, {{}, evex, m0f38, pf3, uint8_t(0x30 + o.code), W::zero, o.back, o.extent});
  }
  row("vpacksswb", either, p66, m0f, 0x63, W::zero, "rV vV mV");
  row("vpackuswb", either, p66, m0f, 0x67, W::zero, "rV vV mV");
  row("vpackssdw", either, p66, m0f, 0x6b, W::zero, "rV vV mV", full, 4);
  row("vpackusdw", either, p66, m0f38, 0x2b, W::zero, "rV vV mV", full, 4);

  // ---- shuffles
  row("vpshufb", either, p66, m0f38, 0x00, W::zero, "rV vV mV");
  row("vpshufd", either, p66, m0f, 0x70, W::zero, "rV mV i", full, 4);
  row("vshufps", either, none, m0f, 0xc6, W::zero, "rV vV mV i", full, 4);
  row("vshufpd", either, p66, m0f, 0xc6, W::evex_one, "rV vV mV i", full, 8);
  packed("vunpckl", 0x14, "rV vV mV");
  packed("vunpckh", 0x15, "rV vV mV");
  row("vpunpcklbw", either, p66, m0f, 0x60, W::zero, "rV vV mV");
  row("vpunpcklwd", either, p66, m0f, 0x61, W::zero, "rV vV mV");
  row("vpunpckhbw", either, p66, m0f, 0x68, W::zero, "rV vV mV");
  row("vpunpckhwd", either, p66, m0f, 0x69, W::zero, "rV vV mV");
  row("vpunpckldq", either, p66, m0f, 0x62, W::zero, "rV vV mV", full, 4);
  row("vpunpckhdq", either, p66, m0f, 0x6a, W::zero, "rV vV mV", full, 4);
  row("vpunpcklqdq", either, p66, m0f, 0x6c, W::evex_one, "rV vV mV", full, 8);
  row("vpunpckhqdq", either, p66, m0f, 0x6d, W::evex_one, "rV vV mV", full, 8);
  row("vpermilps", either, p66, m0f3a, 0x04, W::zero, "rV mV i", full, 4);
  row("vpermilps", either, p66, m0f38, 0x0c, W::zero, "rV vV mV", full, 4);
  row("vpermilpd", either, p66, m0f3a, 0x05, W::evex_one, "rV mV i", full, 8);
  row("vpermilpd", either, p66, m0f38, 0x0d, W::evex_one, "rV vV mV", full, 8);
  row("vpermq", either, p66, m0f3a, 0x00, W::one, "rW mW i", full, 8);
  row("vpermq", evex, p66, m0f38, 0x36, W::one, "rW vW mW", full, 8);
  row("vpermpd", either, p66, m0f3a, 0x01, W::one, "rW mW i", full, 8);
  row("vpermpd", evex, p66, m0f38, 0x16, W::one, "rW vW mW", full, 8);
  row("vpermd", either, p66, m0f38, 0x36, W::zero, "rW vW mW", full, 4);
  row("vpermps", either, p66, m0f38, 0x16, W::zero, "rW vW mW", full, 4);
  row("vperm2f128", vex, p66, m0f3a, 0x06, W::zero, "rY vY mY i");
  row("vperm2i128", vex, p66, m0f3a, 0x46, W::zero, "rY vY mY i");
  row("vextractf128", vex, p66, m0f3a, 0x19, W::zero, "mX rY i", b16);
  row("vextracti128", vex, p66, m0f3a, 0x39, W::zero, "mX rY i", b16);
  row("vinsertf128", vex, p66, m0f3a, 0x18, W::zero, "rY vY mX i", b16);
  row("vinserti128", vex, p66, m0f3a, 0x38, W::zero, "rY vY mX i", b16);
  for (bool wide : {false, true}) {
    const W w = wide ? W::one : W::zero;
    const uint8_t item = wide ? 8 : 4;
    for (bool floats : {true, false}) {
      const std::string_view quad = floats ? wide ? "f64x2" : "f32x4" : wide ? "i64x2" : "i32x4";
      const std::string_view half_of = floats ? wide ? "f64x4" : "f32x8" : wide ? "i64x4" : "i32x8";
      const uint8_t base = floats ? 0x18 : 0x38;
      t.row("vextract", quad, {{}, evex, m0f3a, p66, uint8_t(base + 1), w, "mX rW i", b16});
      t.row("vextract", half_of, {{}, evex, m0f3a, p66, uint8_t(base + 3), w, "mY rZ i", b32});
      t.row("vinsert", quad, {{}, evex, m0f3a, p66, base, w, "rW vW mX i", b16});
      t.row("vinsert", half_of, {{}, evex, m0f3a, p66, uint8_t(base + 2), w, "rZ vZ mY i", b32});
      t.row("vshuf", quad, {{}, evex, m0f3a, p66, uint8_t(floats ? 0x23 : 0x43), w, "rW vW mW i", full, item});
    }
  }
  pair("valign", false, evex, p66, m0f3a, 0x03, "rV vV mV i");
  unmasked("vpextrb", either, p66, m0f3a, 0x14, W::zero, "m4 rX i", b1);
  unmasked("vpextrw", either, p66, m0f3a, 0x15, W::zero, "m4 rX i", b2);
  unmasked("vpextrd", either, p66, m0f3a, 0x16, W::zero, "m4 rX i", b4);
  unmasked("vpextrq", either, p66, m0f3a, 0x16, W::one, "m8 rX i", b8);
  unmasked("vpinsrb", either, p66, m0f3a, 0x20, W::zero, "rX vX m4 i", b1);
  unmasked("vpinsrw", either, p66, m0f, 0xc4, W::zero, "rX vX m4 i", b2);
  unmasked("vpinsrd", either, p66, m0f3a, 0x22, W::zero, "rX vX m4 i", b4);
  unmasked("vpinsrq", either, p66, m0f3a, 0x22, W::one, "rX vX m8 i", b8);

  // ---- masks
  row("vmovmskps", vex, none, m0f, 0x50, W::zero, "r4 nV");
  row("vmovmskpd", vex, p66, m0f, 0x50, W::zero, "r4 nV");
  row("vpmovmskb", vex, p66, m0f, 0xd7, W::zero, "r4 nV");
  unmasked("vpmovm2b", evex, pf3, m0f38, 0x28, W::zero, "rV nK");
  unmasked("vpmovm2w", evex, pf3, m0f38, 0x28, W::one, "rV nK");
  unmasked("vpmovm2d", evex, pf3, m0f38, 0x38, W::zero, "rV nK");
  unmasked("vpmovm2q", evex, pf3, m0f38, 0x38, W::one, "rV nK");
  unmasked("vpmovb2m", evex, pf3, m0f38, 0x29, W::zero, "rK nV");
  unmasked("vpmovw2m", evex, pf3, m0f38, 0x29, W::one, "rK nV");
  unmasked("vpmovd2m", evex, pf3, m0f38, 0x39, W::zero, "rK nV");
  unmasked("vpmovq2m", evex, pf3, m0f38, 0x39, W::one, "rK nV");
  struct {
    std::string_view name;
    Prefix prefix;
    W w;
    Prefix general;
    W general_w;
    std::string_view in, out;
    Extent extent;
  } constexpr masks[] = {{"b", p66, W::zero, p66, W::zero, "rK n4", "r4 nK", b1},
                         {"w", none, W::zero, none, W::zero, "rK n4", "r4 nK", b2},
                         {"d", p66, W::one, pf2, W::zero, "rK n4", "r4 nK", b4},
                         {"q", none, W::one, pf2, W::one, "rK n8", "r8 nK", b8}};
  struct {
    std::string_view name;
    uint8_t code;
  } constexpr logic[] = {{"kand", 0x41},  {"kandn", 0x42}, {"kor", 0x45},
                         {"kxnor", 0x46}, {"kxor", 0x47},  {"kadd", 0x4a}};
  for (const auto& o : masks) {
    t.row("kmov", o.name, {{}, vex, m0f, o.prefix, 0x90, o.w, "rK mK", o.extent});
    t.row("kmov", o.name, {{}, vex, m0f, o.prefix, 0x91, o.w, "MK rK", o.extent});
    t.row("kmov", o.name, {{}, vex, m0f, o.general, 0x92, o.general_w, o.in});
    t.row("kmov", o.name, {{}, vex, m0f, o.general, 0x93, o.general_w, o.out});
    for (auto [name, code] : logic) t.row(name, o.name, {{}, vex_long, m0f, o.prefix, code, o.w, "rK vK nK"});
    t.row("knot", o.name, {{}, vex, m0f, o.prefix, 0x44, o.w, "rK nK"});
    t.row("kortest", o.name, {{}, vex, m0f, o.prefix, 0x98, o.w, "rK nK"});
    t.row("ktest", o.name, {{}, vex, m0f, o.prefix, 0x99, o.w, "rK nK"});
    const bool wide = o.extent == b4 || o.extent == b8;
    const W w = o.extent == b2 || o.extent == b8 ? W::one : W::zero;
    t.row("kshiftl", o.name, {{}, vex, m0f3a, p66, uint8_t(wide ? 0x33 : 0x32), w, "rK nK i"});
    t.row("kshiftr", o.name, {{}, vex, m0f3a, p66, uint8_t(wide ? 0x31 : 0x30), w, "rK nK i"});
  }
  row("vzeroupper", vex, none, m0f, 0x77, W::zero, "");

  // ---- general registers
  struct {
    std::string_view name;
    int number;
  } constexpr sums[] = {{"add", 0}, {"or", 1}, {"and", 4}, {"sub", 5}, {"xor", 6}, {"cmp", 7}};
  for (auto [name, number] : sums) {
    row(name, legacy, none, one_byte, 8 * number + 1, W::by_operand, "mG rG", general);
    row(name, legacy, none, one_byte, 8 * number + 3, W::by_operand, "rG mG", general);
    row(name, legacy, none, one_byte, 0x83, W::by_operand, "mG b", general, 0, number);
    row(name, legacy, none, one_byte, 0x81, W::by_operand, "mG I", general, 0, number);
  }
  row("mov", legacy, none, one_byte, 0x89, W::by_operand, "mG rG", general);
  row("mov", legacy, none, one_byte, 0x8b, W::by_operand, "rG mG", general);
  row("mov", legacy, none, one_byte, 0xc7, W::by_operand, "mG I", general, 0, 0);
  row("mov", legacy, none, one_byte, 0x88, W::zero, "M1 r1", b1);
  row("mov", legacy, p66, one_byte, 0x89, W::zero, "M2 r2", b2);
  row("movabs", legacy, none, one_byte, 0xb8, W::one, "o8 j");
  row("movzx", legacy, none, m0f, 0xb6, W::by_operand, "rG m1", b1);
  row("movzx", legacy, none, m0f, 0xb7, W::by_operand, "rG m2", b2);
  row("movsx", legacy, none, m0f, 0xbe, W::by_operand, "rG m1", b1);
  row("movsx", legacy, none, m0f, 0xbf, W::by_operand, "rG m2", b2);
  row("movsxd", legacy, none, one_byte, 0x63, W::one, "r8 m4", b4);
  row("lea", legacy, none, one_byte, 0x8d, W::by_operand, "rG MG", general);
  row("test", legacy, none, one_byte, 0x85, W::by_operand, "mG rG", general);
  row("test", legacy, none, one_byte, 0xf7, W::by_operand, "mG I", general, 0, 0);
  row("not", legacy, none, one_byte, 0xf7, W::by_operand, "mG", general, 0, 2);
  row("neg", legacy, none, one_byte, 0xf7, W::by_operand, "mG", general, 0, 3);
  row("inc", legacy, none, one_byte, 0xff, W::by_operand, "mG", general, 0, 0);
  row("dec", legacy, none, one_byte, 0xff, W::by_operand, "mG", general, 0, 1);
  row("imul", legacy, none, m0f, 0xaf, W::by_operand, "rG mG", general);
  row("imul", legacy, none, one_byte, 0x6b, W::by_operand, "rG mG b", general);
  row("imul", legacy, none, one_byte, 0x69, W::by_operand, "rG mG I", general);
  row("shl", legacy, none, one_byte, 0xc1, W::by_operand, "mG i", general, 0, 4);
  row("shr", legacy, none, one_byte, 0xc1, W::by_operand, "mG i", general, 0, 5);
  row("sar", legacy, none, one_byte, 0xc1, W::by_operand, "mG i", general, 0, 7);
  // BMI2, which a processor with AVX2 need not have.
  row("bzhi", vex, none, m0f38, 0xf5, W::by_operand, "rG mG vG", general);
  row("shlx", vex, p66, m0f38, 0xf7, W::by_operand, "rG mG vG", general);
  row("shrx", vex, pf2, m0f38, 0xf7, W::by_operand, "rG mG vG", general);
  row("sarx", vex, pf3, m0f38, 0xf7, W::by_operand, "rG mG vG", general);
  row("push", legacy, none, one_byte, 0x50, W::zero, "o8");
  row("pop", legacy, none, one_byte, 0x58, W::zero, "o8");
  constexpr std::string_view conditions[] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                             "s", "ns", "p", "np", "l", "ge", "le", "g"};
  for (int c = 0; c < 16; ++c) {
    t.row("j", conditions[c], {{}, legacy, m0f, none, uint8_t(0x80 + c), W::zero, "J"});
    t.row("set", conditions[c], {{}, legacy, m0f, none, uint8_t(0x90 + c), W::zero, "m1", b1, 0, 0});
    t.row("cmov", conditions[c], {{}, legacy, m0f, none, uint8_t(0x40 + c), W::by_operand, "rG mG", general});
  }
  row("jmp", legacy, none, one_byte, 0xe9, W::zero, "J");
  row("jmp", legacy, none, one_byte, 0xff, W::zero, "m8", b8, 0, 4);
  row("call", legacy, none, one_byte, 0xe8, W::zero, "J");
  row("call", legacy, none, one_byte, 0xff, W::zero, "m8", b8, 0, 2);
  row("ret", legacy, none, one_byte, 0xc3, W::zero, "");
  row("int3", legacy, none, one_byte, 0xcc, W::zero, "");
  row("prefetcht0", legacy, none, m0f, 0x18, W::zero, "M1", b1, 0, 1);
  row("prefetcht1", legacy, none, m0f, 0x18, W::zero, "M1", b1, 0, 2);
  row("prefetcht2", legacy, none, m0f, 0x18, W::zero, "M1", b1, 0, 3);
  row("prefetchnta", legacy, none, m0f, 0x18, W::zero, "M1", b1, 0, 0);
  row("prefetchw", legacy, none, m0f, 0x0d, W::zero, "M1", b1, 0, 1);
  return t;
}

}  // namespace detail

inline constexpr detail::Rows kTable = detail::make_rows();

// The first encoding of that name, or the number of encodings; those of one name follow each other.
constexpr size_t find_encoding(std::string_view name) {
  for (size_t i = 0; i < kTable.count; ++i)
    if (kTable.rows[i].text() == name) return i;
  return kTable.count;
}

}  // namespace funcnn::cpu::jit::x86
