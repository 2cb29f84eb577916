// Writes instructions of x86-64. Names are those of the manuals and are looked up when this is compiled:
//
//   as("vaddps", zmm(0), zmm(1), at(rdi, rax));
//   as("vmovups", under(at(rdi, rax), k(1)), zmm(0));
//   as("vmulps", zeroed(zmm(2), k(3)), zmm(2), as.constant4(bits).broadcast(4));
//
// What no encoding can say throws EncodingError.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/jit/assembly.h"
#include "backends/cpu/jit/x86_instructions.h"

namespace funcnn::cpu::jit::x86 {

using jit::EncodingError;
using jit::Label;

struct Gpr {
  uint8_t number = 0;
  uint8_t bits = 64;
  constexpr Gpr part(int width) const { return {number, uint8_t(width)}; }  // its low 32, 16 or 8 bits
  bool operator==(const Gpr&) const = default;
};
inline constexpr Gpr rax{0}, rcx{1}, rdx{2}, rbx{3}, rsp{4}, rbp{5}, rsi{6}, rdi{7}, r8{8}, r9{9}, r10{10}, r11{11},
    r12{12}, r13{13}, r14{14}, r15{15};

struct Vector {
  uint8_t number = 0;
  uint16_t bits = 512;
  bool operator==(const Vector&) const = default;
};
constexpr Vector xmm(int number) { return {uint8_t(number), 128}; }
constexpr Vector ymm(int number) { return {uint8_t(number), 256}; }
constexpr Vector zmm(int number) { return {uint8_t(number), 512}; }

struct Mask {
  uint8_t number = 0;
  bool operator==(const Mask&) const = default;
};
constexpr Mask k(int number) { return {uint8_t(number)}; }

// Base, index and displacement, or a constant.
struct Memory {
  std::optional<Gpr> base, index;
  uint8_t scale = 1;
  int32_t displacement = 0;
  int constant = -1;
  uint8_t repeated = 0;  // bytes of the element that is read once and repeated
  uint8_t bits = 64;     // of what an instruction works on that has no register to tell

  constexpr Memory broadcast(int bytes) const {
    Memory m = *this;
    m.repeated = uint8_t(bytes);
    return m;
  }
  constexpr Memory of(int width) const {
    Memory m = *this;
    m.bits = uint8_t(width);
    return m;
  }
  constexpr Memory plus(int32_t bytes) const {
    Memory m = *this;
    m.displacement += bytes;
    return m;
  }
};
constexpr Memory at(Gpr base, int32_t displacement = 0) {
  Memory m;
  m.base = base;
  m.displacement = displacement;
  return m;
}
constexpr Memory at(Gpr base, Gpr index, int scale = 1, int32_t displacement = 0) {
  Memory m = at(base, displacement);
  m.index = index;
  m.scale = uint8_t(scale);
  return m;
}

struct Operand {
  enum class Kind : uint8_t { general, vector, mask, memory, immediate, label };
  Kind kind;
  uint8_t number = 0;
  uint16_t bits = 0;
  uint8_t under = 0;    // the mask of what is written, 0: all of it
  bool zeroed = false;  // what is masked out
  Memory memory;
  int64_t value = 0;

  Operand(Gpr r) : kind(Kind::general), number(r.number), bits(r.bits) {}
  Operand(Vector r) : kind(Kind::vector), number(r.number), bits(r.bits) {}
  Operand(Mask r) : kind(Kind::mask), number(r.number) {}
  Operand(const Memory& m) : kind(Kind::memory), bits(m.bits), memory(m) {}
  Operand(int64_t immediate) : kind(Kind::immediate), value(immediate) {}
  Operand(int immediate) : Operand(int64_t(immediate)) {}
  Operand(Label l) : kind(Kind::label), value(l.number) {}
};
// A destination of which only the elements under the mask are written; the others stay, or become zero.
Operand under(const Operand& x, Mask m);
Operand zeroed(const Operand& x, Mask m);

// An instruction by its name; one that is not in the table does not compile.
class Name {
 public:
  consteval Name(const char* text) : first_(find_encoding(text)) {
    if (first_ == kTable.count) throw "no such instruction in x86_instructions.h";
  }
  static std::optional<Name> find(std::string_view text) {
    const size_t first = find_encoding(text);
    return first == kTable.count ? std::nullopt : std::optional(Name(first));
  }
  size_t first() const { return first_; }
  std::string_view text() const { return kTable.rows[first_].text(); }

 private:
  explicit Name(size_t first) : first_(first) {}
  size_t first_;
};

// As a disassembler writes it in the syntax of Intel.
std::string text(const Encoding& encoding, std::span<const Operand> operands);

// How the platform passes arguments, and what a function has to leave as it found it.
struct Convention {
  std::array<Gpr, 4> arguments;
  std::span<const Gpr> saved;
  int first_saved_vector;  // low 128 bits of vector registers from this one to 15; 16: none
  int shadow_bytes;        // above the return address, owned by the function that is called

  static const Convention& system_v();
  static const Convention& windows();
  static const Convention& host();
};

class Assembler {
 public:
  // Without `evex` only what AVX2, FMA and F16C have.
  explicit Assembler(bool evex) : evex_(evex) {}

  template <class... T>
  void operator()(Name name, const T&... operands) {
    if constexpr (sizeof...(operands) == 0) {
      emit(name, {});
    } else {
      const Operand all[] = {Operand(operands)...};
      emit(name, all);
    }
  }
  // Gives the encoding that was chosen.
  const Encoding& emit(Name name, std::span<const Operand> operands);

  // Constants lie behind the code, equal ones once, each at a multiple of its size.
  Memory constant4(uint32_t bits) { return constant({reinterpret_cast<const uint8_t*>(&bits), 4}); }
  Memory constant8(uint64_t bits) { return constant({reinterpret_cast<const uint8_t*>(&bits), 8}); }
  Memory constant(std::span<const uint8_t> bytes);  // 1, 2, 4, 8, 16, 32 or 64
  Memory repeated4(uint32_t bits, int bytes);       // a whole vector of them
  Memory repeated8(uint64_t bits, int bytes);

  Label label() { return labels_.make(); }  // to be bound later
  void bind(Label l) { labels_.bind(l, size()); }
  Label bound() {
    const Label l = label();
    bind(l);
    return l;
  }
  void align(size_t bytes);  // a power of two up to 64, with instructions that do nothing
  size_t size() const { return code_.size(); }

  // The code and its constants, for memory at a multiple of 64 bytes.
  std::vector<uint8_t> finish();

 private:
  struct Parts;
  struct Reference {
    size_t at, after;
    int target;
  };

  std::optional<Parts> match(const Encoding& e, std::span<const Operand> operands) const;
  void write(const Encoding& e, const Parts& p);
  void write_jump(const Encoding& e, Label to);
  void prefixes(const Encoding& e, const Parts& p);
  void address(int reg, const Memory& m, int unit);
  void byte(int value) { code_.push_back(uint8_t(value)); }
  void bytes(int64_t value, int count) {
    for (int i = 0; i < count; ++i) byte(int(value >> (8 * i) & 0xff));
  }

  bool evex_;
  std::vector<uint8_t> code_;
  Constants constants_;
  Labels labels_;
  std::vector<Reference> to_constants_, to_labels_;
};

}  // namespace funcnn::cpu::jit::x86
