#include "backends/cpu/jit/x86_assembler.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace funcnn::cpu::jit::x86 {

using Kind = Operand::Kind;

// Which operand goes where.
struct Assembler::Parts {
  const Operand *reg = nullptr, *vvvv = nullptr, *rm = nullptr, *low = nullptr, *high = nullptr, *immediate = nullptr,
                *label = nullptr;
  int immediate_bytes = 0;
  int bits = 128;         // of the vector
  int general_bits = 64;  // of what `G` stands for
  int under = 0;
  bool zeroed = false;
  bool evex = false;
};

namespace {

int fraction(char size) { return size == 'H' ? 2 : size == 'Q' ? 4 : size == 'E' ? 8 : 1; }

// The length of the vector that these operands are parts of.
int vector_bits(const Encoding& e, std::span<const Operand> operands) {
  int bits = 0, part = 0;
  for (size_t i = 0, at = 0; i < operands.size(); ++i, at += 3) {
    if (at + 1 >= e.operands.size()) break;
    const char size = e.operands[at + 1];
    if (size == 'Y' && !bits) bits = 256;
    if (operands[i].kind != Kind::vector) continue;
    if (size == 'V' || size == 'W' || size == 'Z') bits = operands[i].bits;
    if (size == 'H' || size == 'Q' || size == 'E') part = std::min(512, operands[i].bits * fraction(size));
  }
  return bits ? bits : part ? part : 128;
}

int extent_bytes(const Encoding& e, int vector, int general) {
  switch (e.extent) {
    case Extent::full:
      return vector / 8;
    case Extent::half:
      return vector / 16;
    case Extent::quarter:
      return vector / 32;
    case Extent::eighth:
      return vector / 64;
    case Extent::general:
      return general / 8;
    default:
      return 1 << (int(e.extent) - int(Extent::b1));
  }
}

bool vector_fits(char size, int bits, int vector) {
  switch (size) {
    case 'X':
      return bits == 128;
    case 'Y':
      return bits == 256;
    case 'V':
      return bits == vector;
    case 'W':
      return bits == vector && vector >= 256;
    case 'Z':
      return bits == vector && vector == 512;
    case 'H':
    case 'Q':
    case 'E':
      return bits == std::max(128, vector / fraction(size));
    default:
      return false;
  }
}

bool general_fits(char size, int bits, int wanted) {
  switch (size) {
    case 'G':
      return bits == wanted;
    case '1':
      return bits == 8;
    case '2':
      return bits == 16;
    case '4':
      return bits == 32;
    case '8':
      return bits == 64;
    default:
      return false;
  }
}

// The width of general registers and of memory that stands for them, 0 where they disagree.
int general_width(const Encoding& e, std::span<const Operand> operands) {
  int bits = 0, memory = 0;
  for (size_t i = 0, at = 0; i < operands.size() && at + 1 < e.operands.size(); ++i, at += 3) {
    if (e.operands[at + 1] != 'G') continue;
    const Operand& o = operands[i];
    if (o.kind == Kind::memory) memory = o.memory.bits;
    if (o.kind != Kind::general) continue;
    if (bits && bits != o.bits) return 0;
    bits = o.bits;
  }
  if (!bits) bits = memory;
  return bits == 32 || bits == 64 ? bits : 0;
}

bool memory_is_sound(const Memory& m) {
  if (m.constant >= 0) return !m.base && !m.index;
  if (!m.base || m.base->bits != 64 || m.base->number > 15) return false;
  if (m.index && (m.index->bits != 64 || m.index->number > 15 || *m.index == rsp)) return false;
  return m.scale == 1 || m.scale == 2 || m.scale == 4 || m.scale == 8;
}

// Nothing is cut off: values of either sign that the field can hold.
bool immediate_fits(char role, int64_t value) {
  switch (role) {
    case 'i':
      return value >= -128 && value <= 255;
    case 'b':
      return value >= -128 && value <= 127;
    case 'I':
      return value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max();
    default:
      return true;
  }
}

Operand masked(Operand x, Mask m, bool zero) {
  if (m.number == 0) throw EncodingError("k0 masks nothing out");
  x.under = m.number;
  x.zeroed = zero;
  return x;
}

constexpr Gpr kSystemVSaved[] = {rbx, rbp, r12, r13, r14, r15};
constexpr Gpr kWindowsSaved[] = {rbx, rbp, rdi, rsi, r12, r13, r14, r15};

}  // namespace

Operand under(const Operand& x, Mask m) { return masked(x, m, false); }
Operand zeroed(const Operand& x, Mask m) { return masked(x, m, true); }

const Convention& Convention::system_v() {
  static constexpr Convention it{{rdi, rsi, rdx, rcx}, kSystemVSaved, 16, 0};
  return it;
}
const Convention& Convention::windows() {
  static constexpr Convention it{{rcx, rdx, r8, r9}, kWindowsSaved, 6, 32};
  return it;
}
const Convention& Convention::host() {
#if defined(_WIN32)
  return windows();
#else
  return system_v();
#endif
}

std::optional<Assembler::Parts> Assembler::match(const Encoding& e, std::span<const Operand> operands) const {
  const std::string_view form = e.operands;
  Parts p;
  p.bits = vector_bits(e, operands);
  p.general_bits = form.find('G') == std::string_view::npos ? 64 : general_width(e, operands);
  if (!p.general_bits) return std::nullopt;
  bool high_registers = false, repeats = false;
  size_t at = 0;
  for (const Operand& o : operands) {
    if (at >= form.size()) return std::nullopt;
    const char role = form[at], size = at + 1 < form.size() ? form[at + 1] : ' ';
    const bool sized = size != ' ';
    at += sized ? 3 : 2;
    switch (role) {
      case 'i':
      case 'b':
      case 'I':
      case 'j':
        if (o.kind != Kind::immediate || !immediate_fits(role, o.value)) return std::nullopt;
        p.immediate = &o;
        p.immediate_bytes = role == 'I' ? 4 : role == 'j' ? 8 : 1;
        continue;
      case 'J':
        if (o.kind != Kind::label) return std::nullopt;
        p.label = &o;
        continue;
      default:
        break;
    }
    if (o.kind == Kind::memory) {
      if ((role != 'm' && role != 'M') || !memory_is_sound(o.memory)) return std::nullopt;
      if (o.memory.repeated && o.memory.repeated != e.broadcast) return std::nullopt;
      repeats = o.memory.repeated != 0;
      p.rm = &o;
    } else {
      if (role == 'M') return std::nullopt;
      const bool fits = o.kind == Kind::vector    ? vector_fits(size, o.bits, p.bits) && o.number < 32
                        : o.kind == Kind::general ? general_fits(size, o.bits, p.general_bits) && o.number < 16
                        : o.kind == Kind::mask    ? size == 'K' && o.number < 8
                                                  : false;
      if (!fits) return std::nullopt;
      high_registers |= o.kind == Kind::vector && o.number >= 16;
      (role == 'r' ? p.reg : role == 'v' ? p.vvvv : role == 'o' ? p.low : role == 's' ? p.high : p.rm) = &o;
    }
    if (o.under) {
      const bool destination = &o == operands.data();
      const bool is_mask = o.kind == Kind::mask, is_memory = o.kind == Kind::memory;
      if (!e.masks || !destination || o.under > 7 || (o.zeroed && (is_mask || is_memory))) return std::nullopt;
      p.under = o.under;
      p.zeroed = o.zeroed;
    } else if (o.zeroed) {
      return std::nullopt;
    }
  }
  if (at < form.size()) return std::nullopt;
  const bool needs_evex = high_registers || repeats || p.under || p.bits == 512;
  switch (e.scheme) {
    case Scheme::legacy:
    case Scheme::vex:
    case Scheme::vex_long:
      if (needs_evex) return std::nullopt;
      break;
    case Scheme::either:
      p.evex = needs_evex;
      break;
    case Scheme::evex:
      p.evex = true;
      break;
  }
  if (p.evex && !evex_) return std::nullopt;
  return p;
}

const Encoding& Assembler::emit(Name name, std::span<const Operand> operands) {
  for (size_t i = name.first(); i < kTable.count && kTable.rows[i].text() == name.text(); ++i) {
    const Encoding& e = kTable.rows[i];
    if (std::optional<Parts> parts = match(e, operands)) {
      if (parts->label)
        write_jump(e, {int(parts->label->value)});
      else
        write(e, *parts);
      return e;
    }
  }
  throw EncodingError(cat(text(kTable.rows[name.first()], operands), ": no encoding", evex_ ? "" : " without AVX-512"));
}

void Assembler::prefixes(const Encoding& e, const Parts& p) {
  const auto number = [](const Operand* o) { return o && o->kind != Kind::memory ? int(o->number) : 0; };
  const Memory* m = p.rm && p.rm->kind == Kind::memory ? &p.rm->memory : nullptr;
  const int reg = number(p.reg), v = number(p.vvvv), rm = p.rm ? number(p.rm) : number(p.low);
  const bool wide = e.w == W::one || (e.w == W::evex_one && p.evex) || (e.w == W::by_operand && p.general_bits == 64);
  const bool r = reg & 8, x = m ? m->index && m->index->number >= 8 : rm & 16,
             b = m ? m->base && m->base->number >= 8 : rm & 8;
  if (e.scheme == Scheme::legacy) {
    if (e.prefix == Prefix::p66) byte(0x66);
    if (e.prefix == Prefix::pf3) byte(0xf3);
    if (e.prefix == Prefix::pf2) byte(0xf2);
    // The low bytes of rsp, rbp, rsi and rdi have a name only with a prefix.
    const auto low_byte = [](const Operand* o) {
      return o && o->kind == Kind::general && o->bits == 8 && o->number >= 4;
    };
    const bool needed = low_byte(p.reg) || low_byte(p.rm);
    if (const int rex = wide << 3 | r << 2 | x << 1 | b; rex || needed) byte(0x40 | rex);
    if (e.map != Map::one_byte) byte(0x0f);
    return;
  }
  if (!p.evex) {
    const int rest = (~v & 15) << 3 | (p.bits == 256 || e.scheme == Scheme::vex_long) << 2 | int(e.prefix);
    if (!x && !b && !wide && e.map == Map::m0f) {
      byte(0xc5);
      byte((r ? 0 : 0x80) | rest);
    } else {
      byte(0xc4);
      byte((r ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | int(e.map));
      byte(wide << 7 | rest);
    }
    return;
  }
  byte(0x62);
  byte((r ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | (reg & 16 ? 0 : 0x10) | int(e.map));
  byte(wide << 7 | (~v & 15) << 3 | 4 | int(e.prefix));
  const int length = p.bits == 512 ? 2 : p.bits == 256 ? 1 : 0;
  byte(p.zeroed << 7 | length << 5 | (m && m->repeated ? 0x10 : 0) | (v & 16 ? 0 : 8) | p.under);
}

void Assembler::write(const Encoding& e, const Parts& p) {
  prefixes(e, p);
  byte(e.code | (p.low ? p.low->number & 7 : 0));
  const size_t references = to_constants_.size();
  if (p.rm) {
    const int reg = e.digit >= 0 ? e.digit : p.reg->number & 7;
    if (p.rm->kind == Kind::memory) {
      const Memory& m = p.rm->memory;
      address(reg, m, !p.evex ? 1 : m.repeated ? m.repeated : extent_bytes(e, p.bits, p.general_bits));
    } else {
      byte(0xc0 | reg << 3 | (p.rm->number & 7));
    }
  }
  if (p.high) byte(p.high->number << 4);
  if (p.immediate) bytes(p.immediate->value, p.immediate_bytes);
  if (to_constants_.size() > references) to_constants_.back().after = code_.size();
}

void Assembler::address(int reg, const Memory& m, int unit) {
  reg <<= 3;
  if (m.constant >= 0) {
    byte(0x05 | reg);
    to_constants_.push_back({code_.size(), 0, m.constant});
    bytes(m.displacement, 4);
    return;
  }
  const int base = m.base->number & 7, d = m.displacement;
  const bool sib = m.index || base == 4;
  const bool none = d == 0 && base != 5;
  const bool small = d % unit == 0 && d / unit >= -128 && d / unit <= 127;
  byte((none ? 0 : small ? 0x40 : 0x80) | reg | (sib ? 4 : base));
  if (sib) {
    const int scale = m.scale == 8 ? 3 : m.scale == 4 ? 2 : m.scale == 2 ? 1 : 0;
    byte(scale << 6 | (m.index ? m.index->number & 7 : 4) << 3 | base);
  }
  if (none) return;
  if (small)
    byte(d / unit);
  else
    bytes(d, 4);
}

// Backwards the distance is known and often short; forwards it is not.
void Assembler::write_jump(const Encoding& e, Label to) {
  const bool condition = e.map == Map::m0f, call = e.code == 0xe8, known = labels_.bound(to.number);
  const int64_t distance = known ? labels_.place(to.number) - int64_t(code_.size() + 2) : 0;
  if (known && distance >= -128 && !call) {
    byte(condition ? e.code - 0x10 : 0xeb);
    byte(int(distance));
    return;
  }
  if (condition) byte(0x0f);
  byte(e.code);
  to_labels_.push_back({code_.size(), code_.size() + 4, to.number});
  bytes(0, 4);
}

Memory Assembler::constant(std::span<const uint8_t> bytes) {
  const size_t n = bytes.size();
  if (n == 0 || n > 64 || (n & (n - 1))) throw EncodingError(cat("a constant of ", n, " bytes"));
  Memory m;
  m.constant = constants_.add(bytes);
  return m;
}

Memory Assembler::repeated4(uint32_t bits, int bytes) {
  std::vector<uint8_t> all(static_cast<size_t>(bytes));
  for (size_t i = 0; i + 4 <= all.size(); i += 4) std::memcpy(&all[i], &bits, 4);
  return constant(all);
}

Memory Assembler::repeated8(uint64_t bits, int bytes) {
  std::vector<uint8_t> all(static_cast<size_t>(bytes));
  for (size_t i = 0; i + 8 <= all.size(); i += 8) std::memcpy(&all[i], &bits, 8);
  return constant(all);
}

void Assembler::align(size_t bytes) {
  static constexpr uint8_t kNothing[9][9] = {{0x90},
                                             {0x66, 0x90},
                                             {0x0f, 0x1f, 0x00},
                                             {0x0f, 0x1f, 0x40},
                                             {0x0f, 0x1f, 0x44},
                                             {0x66, 0x0f, 0x1f, 0x44},
                                             {0x0f, 0x1f, 0x80},
                                             {0x0f, 0x1f, 0x84},
                                             {0x66, 0x0f, 0x1f, 0x84}};
  if (bytes == 0 || bytes > 64 || (bytes & (bytes - 1))) throw EncodingError(cat("code aligned to ", bytes, " bytes"));
  while (code_.size() % bytes) {
    const size_t n = std::min<size_t>(9, bytes - code_.size() % bytes);
    code_.insert(code_.end(), kNothing[n - 1], kNothing[n - 1] + n);
  }
}

std::vector<uint8_t> Assembler::finish() {
  const auto patch = [&](const Reference& r, int64_t place) {
    const int64_t distance = place - int64_t(r.after);
    if (distance != int32_t(distance)) throw EncodingError("code of more than two gigabytes");
    int32_t known;
    std::memcpy(&known, &code_[r.at], 4);
    known += int32_t(distance);
    std::memcpy(&code_[r.at], &known, 4);
  };
  for (const Reference& r : to_labels_) patch(r, labels_.place(r.target));
  if (!constants_.empty()) code_.resize((code_.size() + 63) / 64 * 64, 0xcc);
  const std::vector<int64_t> places = constants_.places(code_.size());
  for (const Reference& r : to_constants_) patch(r, places[size_t(r.target)]);
  constants_.append_to(code_);
  std::vector<uint8_t> out = std::move(code_);
  *this = Assembler(evex_);
  return out;
}

// ---- text

namespace {

constexpr const char* kNames64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

std::string register_text(const Operand& o) {
  if (o.kind == Kind::mask) return cat("k", int(o.number));
  if (o.kind == Kind::vector) return cat(o.bits == 128 ? "x" : o.bits == 256 ? "y" : "z", "mm", int(o.number));
  if (o.number > 15) return cat("general register ", int(o.number));
  std::string name = kNames64[o.number];
  if (o.number >= 8) return name + (o.bits == 32 ? "d" : o.bits == 16 ? "w" : o.bits == 8 ? "b" : "");
  if (o.bits == 32) name[0] = 'e';
  if (o.bits == 16) name = name.substr(1);
  if (o.bits == 8) name = o.number < 4 ? cat(name[1], 'l') : name.substr(1) + "l";
  return name;
}

std::string hex(int64_t value) {
  std::ostringstream out;
  out << "0x" << std::hex << uint64_t(value);
  return out.str();
}

std::string memory_text(const Memory& m, const char* size) {
  std::string out = m.repeated ? m.repeated == 4 ? "DWORD BCST " : "QWORD BCST " : size;
  if (m.constant >= 0) return cat(out, "[constant ", m.constant, "]");
  out += '[';
  if (m.base) out += kNames64[m.base->number & 15];
  if (m.index) out += cat("+", kNames64[m.index->number & 15], "*", int(m.scale));
  const int64_t d = m.displacement;
  if (d || (m.base && (m.base->number & 7) == 5)) out += (d < 0 ? "-" : "+") + hex(d < 0 ? -d : d);
  return out + "]";
}

const char* size_text(int bytes) {
  switch (bytes) {
    case 1:
      return "BYTE PTR ";
    case 2:
      return "WORD PTR ";
    case 4:
      return "DWORD PTR ";
    case 8:
      return "QWORD PTR ";
    case 16:
      return "XMMWORD PTR ";
    case 32:
      return "YMMWORD PTR ";
    default:
      return "ZMMWORD PTR ";
  }
}

}  // namespace

std::string text(const Encoding& e, std::span<const Operand> operands) {
  const int general = general_width(e, operands), memory = extent_bytes(e, vector_bits(e, operands), general);
  const char* size = e.text() == "lea" ? "" : size_text(memory);
  std::string out(e.text());
  for (size_t i = 0; i < operands.size(); ++i) {
    const Operand& o = operands[i];
    out += i ? "," : " ";
    switch (o.kind) {
      case Kind::memory:
        out += memory_text(o.memory, size);
        break;
      case Kind::immediate:
        out += hex(general == 32 && o.value < 0 ? int64_t(uint32_t(o.value)) : o.value);
        break;
      case Kind::label:
        out += cat("label ", o.value);
        break;
      default:
        out += register_text(o);
    }
    if (o.under) out += cat("{k", int(o.under), "}");
    if (o.zeroed) out += "{z}";
  }
  return out;
}

}  // namespace funcnn::cpu::jit::x86
