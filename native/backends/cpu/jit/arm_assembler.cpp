#include "backends/cpu/jit/arm_assembler.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace funcnn::cpu::jit::arm {
namespace {

using Kind = Operand::Kind;

bool fits(int64_t value, int64_t least, int64_t most) { return value >= least && value <= most; }
int log2(int n) { return std::countr_zero(unsigned(n)); }

bool is_vector(const Operand& o) { return o.kind == Kind::vector && o.reg < 32; }
bool same_arrangement(const Operand& a, const Operand& b) { return a.lane == b.lane && a.bytes == b.bytes; }
// A general register; the stack pointer only where the encoding means it by number 31.
bool is_general(const Operand& o, bool stack = false) {
  if (o.kind != Kind::general || o.reg > 31) return false;
  return o.reg < 31 || o.stack == stack;
}

// The bits for an arrangement, which some instructions do not have.
std::optional<uint32_t> arrangement(Lanes lanes, int lane, int bytes) {
  if (lane == 8 && bytes == 8) return std::nullopt;
  const uint32_t whole = uint32_t(bytes == 16) << 30;
  switch (lanes) {
    case Lanes::integer:
      return whole | uint32_t(log2(lane)) << 22;
    case Lanes::small:
      if (lane == 8) return std::nullopt;
      return whole | uint32_t(log2(lane)) << 22;
    case Lanes::real:
      if (lane < 4) return std::nullopt;
      return whole | uint32_t(lane == 8) << 22;
    case Lanes::bytes:
      if (lane != 1) return std::nullopt;
      return whole;
    case Lanes::none:
      return 0;
  }
  return std::nullopt;
}

// Of a load or store of a register: bits for its kind and size, and the bytes.
struct Access {
  uint32_t word;
  int bytes;
};
std::optional<Access> access(const Operand& o) {
  if (o.kind == Kind::scalar && o.reg < 32) {
    if (o.bytes == 16) return Access{0x3c800000, 16};
    return Access{0x3c000000 | uint32_t(log2(o.bytes)) << 30, o.bytes};
  }
  if (!is_general(o)) return std::nullopt;
  return Access{o.bytes == 64 ? 0xf8000000 : 0xb8000000, o.bytes / 8};
}

}  // namespace

std::optional<uint32_t> Assembler::encode(const Encoding& e, std::span<const Operand> o) {
  uint32_t word = e.word;
  const auto registers = [&](int d, int n, int m) { word |= uint32_t(d) | uint32_t(n) << 5 | uint32_t(m) << 16; };
  const auto with = [&](std::optional<uint32_t> more) -> std::optional<uint32_t> {
    return more ? std::optional(word | *more) : std::nullopt;
  };
  const size_t count = o.size();
  switch (e.form) {
    case Form::three:
    case Form::extract: {
      if (count != (e.form == Form::extract ? 4 : 3) || !is_vector(o[0]) || !is_vector(o[1]) || !is_vector(o[2])) break;
      if (!same_arrangement(o[0], o[1]) || !same_arrangement(o[0], o[2])) break;
      registers(o[0].reg, o[1].reg, o[2].reg);
      if (e.form == Form::extract) {
        if (o[3].kind != Kind::number || !fits(o[3].value, 0, o[0].bytes - 1)) break;
        word |= uint32_t(o[3].value) << 11;
      }
      return with(arrangement(e.lanes, o[0].lane, o[0].bytes));
    }
    case Form::two:
      if (count != 2 || !is_vector(o[0]) || !is_vector(o[1]) || !same_arrangement(o[0], o[1])) break;
      registers(o[0].reg, o[1].reg, 0);
      return with(arrangement(e.lanes, o[0].lane, o[0].bytes));
    case Form::shift_left:
    case Form::shift_right: {
      if (count != 3 || !is_vector(o[0]) || !is_vector(o[1]) || !same_arrangement(o[0], o[1])) break;
      const int bits = o[0].lane * 8;
      const bool left = e.form == Form::shift_left;
      if (o[2].kind != Kind::number || !fits(o[2].value, left ? 0 : 1, left ? bits - 1 : bits)) break;
      if (o[0].lane == 8 && o[0].bytes == 8) break;
      registers(o[0].reg, o[1].reg, 0);
      return word | uint32_t(o[0].bytes == 16) << 30 | uint32_t(left ? bits + o[2].value : 2 * bits - o[2].value) << 16;
    }
    case Form::widen: {
      if (count != 3 || !is_vector(o[0]) || !is_vector(o[1]) || o[2].kind != Kind::number) break;
      if (o[0].lane != 2 * o[1].lane || o[0].bytes != 16 || o[1].bytes != 8) break;
      const int bits = o[1].lane * 8;
      if (!fits(o[2].value, 0, bits - 1)) break;
      registers(o[0].reg, o[1].reg, 0);
      return word | uint32_t(bits + o[2].value) << 16;
    }
    case Form::narrow:
      if (count != 2 || !is_vector(o[0]) || !is_vector(o[1])) break;
      if (o[1].lane != 2 * o[0].lane || o[1].bytes != 16 || o[0].bytes != 8) break;
      registers(o[0].reg, o[1].reg, 0);
      return with(arrangement(e.lanes, o[0].lane, o[0].bytes));
    case Form::widen_float:
    case Form::narrow_float: {
      if (count != 2 || !is_vector(o[0]) || !is_vector(o[1])) break;
      const Operand& wide = o[e.form == Form::widen_float ? 0 : 1];
      const Operand& narrow = o[e.form == Form::widen_float ? 1 : 0];
      if (wide.lane != 2 * narrow.lane || wide.lane < 4 || wide.bytes != 16 || narrow.bytes != 8) break;
      registers(o[0].reg, o[1].reg, 0);
      return word | uint32_t(wide.lane == 8) << 22;
    }
    case Form::lane_to_all:
      if (count != 2 || !is_vector(o[0]) || o[1].kind != Kind::lane || o[1].reg > 31 || o[0].lane != o[1].lane) break;
      if (!fits(o[1].value, 0, 16 / o[1].lane - 1) || (o[0].lane == 8 && o[0].bytes == 8)) break;
      registers(o[0].reg, o[1].reg, int(2 * o[1].value + 1) << log2(o[1].lane));
      return word | uint32_t(o[0].bytes == 16) << 30;
    case Form::general_to_all:
      if (count != 2 || !is_vector(o[0]) || !is_general(o[1]) || (o[1].bytes == 64) != (o[0].lane == 8)) break;
      if (o[0].lane == 8 && o[0].bytes == 8) break;
      registers(o[0].reg, o[1].reg, o[0].lane);
      return word | uint32_t(o[0].bytes == 16) << 30;
    case Form::general_to_lane:
    case Form::lane_to_general: {
      const bool in = e.form == Form::general_to_lane;
      if (count != 2) break;
      const Operand &lane = o[in ? 0 : 1], &general = o[in ? 1 : 0];
      if (lane.kind != Kind::lane || lane.reg > 31 || !is_general(general)) break;
      if (!fits(lane.value, 0, 16 / lane.lane - 1) || (general.bytes == 64) != (lane.lane == 8)) break;
      registers(o[0].reg, o[1].reg, int(2 * lane.value + 1) << log2(lane.lane));
      return word | (in ? 0 : uint32_t(lane.lane == 8) << 30);
    }
    case Form::zero:
      if (count != 2 || !is_vector(o[0]) || o[0].lane != 8 || o[0].bytes != 16) break;
      if (o[1].kind != Kind::number || o[1].value != 0) break;
      return word | o[0].reg;
    case Form::one_to_all:
      if (count != 2 || !is_vector(o[0]) || o[1].kind != Kind::address) break;
      if (o[1].address.index || o[1].address.offset || !is_general(o[1].address.base, true)) break;
      registers(o[0].reg, o[1].address.base.number, 0);
      return word | uint32_t(o[0].bytes == 16) << 30 | uint32_t(log2(o[0].lane)) << 10;
    case Form::memory: {
      if (count != 2 || o[1].kind != Kind::address) break;
      const std::optional<Access> a = access(o[0]);
      const Address& m = o[1].address;
      if (!a || m.base.bits != 64 || !is_general(m.base, true)) break;
      word |= a->word;
      registers(o[0].reg, m.base.number, 0);
      if (m.index) {
        if (m.offset || m.index->bits != 64 || !is_general(*m.index)) break;
        return word | 0x00206800 | uint32_t(m.index->number) << 16;
      }
      if (m.offset % a->bytes || !fits(m.offset / a->bytes, 0, 4095)) break;
      return word | 0x01000000 | uint32_t(m.offset / a->bytes) << 10;
    }
    case Form::literal:
      if (count != 2 || o[0].kind != Kind::scalar || o[0].reg > 31 || o[1].kind != Kind::constant) break;
      if (o[0].bytes < 4 || int(constants_.size(int(o[1].value))) != o[0].bytes) break;
      refer(to_constants_, o[1], 5, 19);
      return word | uint32_t(log2(o[0].bytes) - 2) << 30 | o[0].reg;
    case Form::address_of:
      if (count != 2 || !is_general(o[0]) || o[0].bytes != 64 || o[1].kind != Kind::label) break;
      refer(to_labels_, o[1], 5, 19, false);
      return word | o[0].reg;
    case Form::pair: {
      if (count != 3 || o[0].kind != o[1].kind || o[0].bytes != o[1].bytes || o[2].kind != Kind::address) break;
      const std::optional<Access> a = access(o[0]);
      const Address& m = o[2].address;
      if (!a || !access(o[1]) || a->bytes < 4 || m.index || m.base.bits != 64 || !is_general(m.base, true)) break;
      if (m.offset % a->bytes || !fits(m.offset / a->bytes, -64, 63)) break;
      const bool general = o[0].kind == Kind::general;
      word |= general ? (a->bytes == 8 ? 0xa9000000 : 0x29000000) : 0x2d000000 | uint32_t(log2(a->bytes) - 2) << 30;
      registers(o[0].reg, m.base.number, 0);
      return word | uint32_t(o[1].reg) << 10 | (uint32_t(m.offset / a->bytes) & 127) << 15;
    }
    case Form::add_number: {
      // The flags' destination is a register or zero, the others' may be the stack pointer.
      const bool flags = e.word >> 29 & 1;
      if (count != 3 || !is_general(o[0], !flags) || !is_general(o[1], true) || o[0].bytes != o[1].bytes) break;
      if (o[2].kind != Kind::number || !fits(o[2].value, 0, 4095)) break;
      registers(o[0].reg, o[1].reg, 0);
      return word | uint32_t(o[2].value) << 10 | uint32_t(o[0].bytes == 64) << 31;
    }
    case Form::registers:
    case Form::multiply: {
      if (count != (e.form == Form::multiply ? 4 : 3)) break;
      bool sound = true;
      for (const Operand& r : o) sound &= is_general(r) && r.bytes == o[0].bytes;
      if (!sound) break;
      registers(o[0].reg, o[1].reg, o[2].reg);
      if (e.form == Form::multiply) word |= uint32_t(o[3].reg) << 10;
      return word | uint32_t(o[0].bytes == 64) << 31;
    }
    case Form::bits: {
      if (count != 4 || !is_general(o[0]) || !is_general(o[1]) || o[0].bytes != o[1].bytes) break;
      if (o[2].kind != Kind::number || o[3].kind != Kind::number) break;
      if (!fits(o[2].value, 0, o[0].bytes - 1) || !fits(o[3].value, 0, o[0].bytes - 1)) break;
      registers(o[0].reg, o[1].reg, int(o[2].value));
      return word | uint32_t(o[3].value) << 10 | (o[0].bytes == 64 ? 0x80400000 : 0);
    }
    case Form::wide_number: {
      if (count < 2 || count > 3 || !is_general(o[0]) || o[1].kind != Kind::number) break;
      const int64_t shift = count == 3 ? o[2].value : 0;
      if (count == 3 && o[2].kind != Kind::number) break;
      if (!fits(o[1].value, 0, 65535) || shift % 16 || !fits(shift, 0, o[0].bytes - 16)) break;
      return word | o[0].reg | uint32_t(o[1].value) << 5 | uint32_t(shift / 16) << 21 |
             uint32_t(o[0].bytes == 64) << 31;
    }
    case Form::jump:
      if (count != 1 || o[0].kind != Kind::label) break;
      refer(to_labels_, o[0], 0, 26);
      return word;
    case Form::jump_if:
      if (count != 2 || o[0].kind != Kind::condition || o[1].kind != Kind::label) break;
      refer(to_labels_, o[1], 5, 19);
      return word | uint32_t(o[0].value);
    case Form::jump_if_zero:
      if (count != 2 || !is_general(o[0]) || o[1].kind != Kind::label) break;
      refer(to_labels_, o[1], 5, 19);
      return word | o[0].reg | uint32_t(o[0].bytes == 64) << 31;
    case Form::call:
      if (count != 1 || !is_general(o[0]) || o[0].bytes != 64) break;
      return word | uint32_t(o[0].reg) << 5;
    case Form::none:
      if (count) break;
      return word;
  }
  return std::nullopt;
}

void Assembler::emit(Name name, std::span<const Operand> operands) {
  for (const Encoding& e : kTable) {
    if (e.name != name.text()) continue;
    if (const std::optional<uint32_t> word = encode(e, operands)) {
      code_.push_back(*word);
      return;
    }
  }
  throw EncodingError(cat(text(name, operands), ": no encoding"));
}

Constant Assembler::constant(std::span<const uint8_t> bytes) {
  const size_t n = bytes.size();
  if (n != 4 && n != 8 && n != 16) throw EncodingError(cat("a constant of ", n, " bytes"));
  return {constants_.add(bytes)};
}

std::vector<uint8_t> Assembler::finish() {
  const auto patch = [&](const Reference& r, int64_t place) {
    const int64_t distance = place - int64_t(r.at * 4);
    if (!r.words) {  // the low two bits lie apart
      if (!fits(distance, -(1 << 20), (1 << 20) - 1)) throw EncodingError("an address too far away");
      code_[r.at] |= (uint32_t(distance) & 3) << 29 | (uint32_t(distance >> 2) & 0x7ffff) << 5;
      return;
    }
    const int64_t words = distance / 4, most = int64_t(1) << (r.width - 1);
    if (!fits(words, -most, most - 1)) throw EncodingError("a jump or a constant too far away");
    code_[r.at] |= (uint32_t(words) & ((uint32_t(1) << r.width) - 1)) << r.low;
  };
  for (const Reference& r : to_labels_) patch(r, labels_.place(r.target));
  if (!constants_.empty())
    while (code_.size() % 4) code_.push_back(0);
  const std::vector<int64_t> places = constants_.places(size());
  for (const Reference& r : to_constants_) patch(r, places[size_t(r.target)]);
  std::vector<uint8_t> out;
  for (uint32_t word : code_)
    for (int i = 0; i < 4; ++i) out.push_back(uint8_t(word >> (8 * i)));  // little-endian, on whatever machine
  constants_.append_to(out);
  *this = Assembler();
  return out;
}

// ---- text

namespace {

constexpr const char* kConditions[] = {"eq", "ne", "cs", "cc", "mi", "pl", "vs",
                                       "vc", "hi", "ls", "ge", "lt", "gt", "le"};

const char* letter(int bytes) {
  return bytes == 16 ? "q" : bytes == 8 ? "d" : bytes == 4 ? "s" : bytes == 2 ? "h" : "b";
}
std::string general_text(int number, int bits, bool stack) {
  if (number == 31) return stack ? "sp" : bits == 64 ? "xzr" : "wzr";
  return cat(bits == 64 ? "x" : "w", number);
}
std::string operand_text(const Operand& o) {
  switch (o.kind) {
    case Kind::vector:
      return cat("v", int(o.reg), ".", o.bytes / o.lane, letter(o.lane));
    case Kind::lane:
      return cat("v", int(o.reg), ".", letter(o.lane), "[", o.value, "]");
    case Kind::scalar:
      return cat(letter(o.bytes), int(o.reg));
    case Kind::general:
      return general_text(o.reg, o.bytes, o.stack);
    case Kind::address: {
      const Address& m = o.address;
      std::string out = "[" + general_text(m.base.number, 64, m.base.stack);
      if (m.index) out += ", " + general_text(m.index->number, 64, false);
      if (m.offset) out += cat(", #", m.offset);
      return out + "]";
    }
    case Kind::number:
      return cat("#", o.value);
    case Kind::label:
      return cat("label ", o.value);
    case Kind::constant:
      return cat("constant ", o.value);
    case Kind::condition:
      return kConditions[o.value];
  }
  return "";
}

}  // namespace

std::string text(Name name, std::span<const Operand> operands) {
  std::string out(name.text());
  for (size_t i = 0; i < operands.size(); ++i) out += (i ? ", " : " ") + operand_text(operands[i]);
  return out;
}

}  // namespace funcnn::cpu::jit::arm
