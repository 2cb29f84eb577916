// Writes instructions of AArch64, by the names of Arm's manual, which are looked up when this is compiled:
//
//   as("ldr", q(0), at(x(1), x(2)));
//   as("fmla", s4(0), s4(1), s4(2));
//   as("b", Condition::lo, top);
//
// What no encoding can say throws EncodingError.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/jit/arm_instructions.h"
#include "backends/cpu/jit/assembly.h"

namespace funcnn::cpu::jit::arm {

using jit::EncodingError;
using jit::Label;

// Bytes of a lane and of all lanes.
struct Vector {
  uint8_t number = 0, lane = 4, bytes = 16;
  bool operator==(const Vector&) const = default;
};
constexpr Vector b16(int n) { return {uint8_t(n), 1, 16}; }
constexpr Vector b8(int n) { return {uint8_t(n), 1, 8}; }
constexpr Vector h8(int n) { return {uint8_t(n), 2, 16}; }
constexpr Vector h4(int n) { return {uint8_t(n), 2, 8}; }
constexpr Vector s4(int n) { return {uint8_t(n), 4, 16}; }
constexpr Vector s2(int n) { return {uint8_t(n), 4, 8}; }
constexpr Vector d2(int n) { return {uint8_t(n), 8, 16}; }

// One lane of a vector.
struct Lane {
  uint8_t number = 0, lane = 4, index = 0;
};

// The low bytes of a vector register, as memory is read and written.
struct Scalar {
  uint8_t number = 0, bytes = 16;
};
constexpr Scalar q(int n) { return {uint8_t(n), 16}; }
constexpr Scalar d(int n) { return {uint8_t(n), 8}; }
constexpr Scalar s(int n) { return {uint8_t(n), 4}; }
constexpr Scalar h(int n) { return {uint8_t(n), 2}; }
constexpr Scalar b(int n) { return {uint8_t(n), 1}; }

// Number 31 is the stack pointer or zero.
struct General {
  uint8_t number = 0, bits = 64;
  bool stack = false;
  bool operator==(const General&) const = default;
};
constexpr General x(int n) { return {uint8_t(n), 64}; }
constexpr General w(int n) { return {uint8_t(n), 32}; }
inline constexpr General sp{31, 64, true}, xzr{31, 64}, wzr{31, 32};

struct Address {
  General base;
  std::optional<General> index;
  int32_t offset = 0;
};
constexpr Address at(General base, int32_t offset = 0) { return {base, std::nullopt, offset}; }
constexpr Address at(General base, General index) { return {base, index, 0}; }

enum class Condition : uint8_t { eq, ne, hs, lo, mi, pl, vs, vc, hi, ls, ge, lt, gt, le };

struct Constant {
  int number = -1;
};

struct Operand {
  enum class Kind : uint8_t { vector, lane, scalar, general, address, number, label, constant, condition };
  Kind kind;
  uint8_t reg = 0, lane = 0, bytes = 0;  // `bytes`: bits of general registers
  bool stack = false;
  Address address;
  int64_t value = 0;

  Operand(Vector r) : kind(Kind::vector), reg(r.number), lane(r.lane), bytes(r.bytes) {}
  Operand(Lane r) : kind(Kind::lane), reg(r.number), lane(r.lane), value(r.index) {}
  Operand(Scalar r) : kind(Kind::scalar), reg(r.number), bytes(r.bytes) {}
  Operand(General r) : kind(Kind::general), reg(r.number), bytes(r.bits), stack(r.stack) {}
  Operand(const Address& a) : kind(Kind::address), address(a) {}
  Operand(int64_t number) : kind(Kind::number), value(number) {}
  Operand(int number) : Operand(int64_t(number)) {}
  Operand(Label l) : kind(Kind::label), value(l.number) {}
  Operand(Constant c) : kind(Kind::constant), value(c.number) {}
  Operand(Condition c) : kind(Kind::condition), value(int(c)) {}
};

// An instruction by its name; one that is not in the table does not compile.
class Name {
 public:
  consteval Name(const char* text) : first_(find_encoding(text)) {
    if (first_ == kCount) throw "no such instruction in arm_instructions.h";
  }
  static std::optional<Name> find(std::string_view text) {
    const size_t first = find_encoding(text);
    return first == kCount ? std::nullopt : std::optional(Name(first));
  }
  std::string_view text() const { return kTable[first_].name; }

 private:
  explicit Name(size_t first) : first_(first) {}
  size_t first_;
};

// As a disassembler writes it that does not use aliases.
std::string text(Name name, std::span<const Operand> operands);

class Assembler {
 public:
  template <class... T>
  void operator()(Name name, const T&... operands) {
    if constexpr (sizeof...(operands) == 0) {
      emit(name, {});
    } else {
      const Operand all[] = {Operand(operands)...};
      emit(name, all);
    }
  }
  void emit(Name name, std::span<const Operand> operands);

  // 4, 8 or 16 bytes behind the code, equal ones once, read by "ldr".
  Constant constant(std::span<const uint8_t> bytes);

  Label label() { return labels_.make(); }  // to be bound later
  void bind(Label l) { labels_.bind(l, size()); }
  Label bound() {
    const Label l = label();
    bind(l);
    return l;
  }
  size_t size() const { return code_.size() * 4; }

  // The code and its constants, for memory at a multiple of 16 bytes.
  std::vector<uint8_t> finish();

 private:
  struct Reference {
    size_t at;
    int target;
    int low, width;  // the field that takes the distance
    bool words;      // in instructions, else in bytes as "adr" has it
  };

  std::optional<uint32_t> encode(const Encoding& e, std::span<const Operand> operands);
  void refer(std::vector<Reference>& list, const Operand& to, int low, int width, bool words = true) {
    list.push_back({code_.size(), int(to.value), low, width, words});
  }

  std::vector<uint32_t> code_;
  Constants constants_;
  Labels labels_;
  std::vector<Reference> to_labels_, to_constants_;
};

}  // namespace funcnn::cpu::jit::arm
