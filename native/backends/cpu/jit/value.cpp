#include "backends/cpu/jit/value.h"

#include "base/error.h"

namespace funcnn::cpu::jit {
namespace {

constexpr bool widens(Do what) {
  return what == Do::widen_first || what == Do::widen_second || what == Do::widen_int_first ||
         what == Do::widen_int_second || what == Do::mask_first || what == Do::mask_second;
}
constexpr bool narrows(Do what) { return what == Do::narrow || what == Do::narrow_to_int; }

// What an integer was before its top bit was flipped, which makes the order of signed numbers that of unsigned ones.
int unflipped(const Line& line, int n) {
  const Node& node = line.nodes[size_t(n)];
  if (node.what != Do::bit_xor) return -1;
  const Node& sign = line.nodes[size_t(node.b)];
  bool flips = sign.what == Do::constant && sign.bits == uint64_t(1) << (line.wide || node.eight ? 63 : 31);
  return flips ? node.a : -1;
}

}  // namespace

Value make(Do what, std::initializer_list<Value> operands, uint64_t bits) {
  Line* line = nullptr;
  bool eight = false;
  for (const Value& v : operands)
    if (v.line) line = v.line, eight = eight || line->nodes[size_t(v.node)].eight;
  if (!line) throw Error("jit::make: an operation on constants alone has no line to go into");
  Node node{.what = what, .eight = (eight || widens(what)) && !narrows(what), .bits = bits};
  int* places[] = {&node.a, &node.b, &node.c};
  size_t i = 0;
  for (const Value& v : operands) *places[i++] = v.in(*line, eight);
  return {line, line->make(node)};
}

const uint64_t* constant_of(const Value& value) {
  if (!value.line) return &value.constant;
  const Node& node = value.line->nodes[size_t(value.node)];
  return node.what == Do::constant ? &node.bits : nullptr;
}

Value make_select(const Value& mask, const Value& yes, const Value& no) {
  Line& line = *mask.line;
  const Node test = line.nodes[size_t(mask.node)];
  const int a = yes.in(line, test.eight), b = no.in(line, test.eight);
  const bool smaller = test.a == a && test.b == b, larger = test.a == b && test.b == a;
  if (test.what == Do::less && (smaller || larger)) return make(smaller ? Do::least : Do::greatest, {yes, no});
  if (test.what == Do::int_less) {
    if (smaller || larger) return make(smaller ? Do::int_least : Do::int_greatest, {yes, no});
    const int x = unflipped(line, test.a), y = unflipped(line, test.b);
    if (x >= 0 && x == a && y == b) return make(Do::uint_least, {yes, no});
    if (x >= 0 && x == b && y == a) return make(Do::uint_greatest, {yes, no});
  }
  return make(Do::select, {mask, yes, no});
}

}  // namespace funcnn::cpu::jit
