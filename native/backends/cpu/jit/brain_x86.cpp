#include "backends/cpu/jit/brain_x86.h"

namespace funcnn::cpu::jit {

bool has_brain_instruction() {
#if (defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has;
#else
  return false;
#endif
}

void join_roundings(Line& line) {
  auto at = [&](int v) -> const Node& { return line.nodes[size_t(v)]; };
  auto is = [&](int v, Do what, int a) { return at(v).what == what && at(v).a == a && !at(v).eight; };
  auto has_constant = [&](int v, uint64_t bits) {
    return at(at(v).b).what == Do::constant && at(at(v).b).bits == bits;
  };
  for (Node& n : line.nodes) {
    if (n.what != Do::select || n.eight) continue;
    const int x = at(n.a).a, up = at(n.c).a, odd = at(n.c).b;
    const bool keeps_nan =
        is(n.a, Do::not_equal, x) && at(n.a).b == x && is(n.b, Do::bit_or, x) && has_constant(n.b, 0x400000);
    if (!keeps_nan || at(n.c).what != Do::int_add || !is(up, Do::int_add, x) || !has_constant(up, 0x7fff)) continue;
    const Node& half = at(odd);  // the last bit that stays, by which ties become even
    if (half.what == Do::bit_and && has_constant(odd, 1) && is(half.a, Do::shift_right, x) && at(half.a).bits == 16)
      n = {.what = Do::brain, .a = x};
  }
}

}  // namespace funcnn::cpu::jit
