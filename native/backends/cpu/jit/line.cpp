#include "backends/cpu/jit/line.h"

#include <iterator>

#include "base/hash.h"

namespace funcnn::cpu::jit {

namespace {

// In the order of Do.
constexpr std::string_view kNames[] = {"constant",
                                       "uniform",
                                       "load",
                                       "pick",
                                       "index",
                                       "add",
                                       "subtract",
                                       "multiply",
                                       "divide",
                                       "fma",
                                       "fms",
                                       "fnma",
                                       "square_root",
                                       "least",
                                       "greatest",
                                       "floor",
                                       "ceil",
                                       "truncate",
                                       "nearest",
                                       "half",
                                       "brain",
                                       "int_add",
                                       "int_subtract",
                                       "int_multiply",
                                       "int_least",
                                       "int_greatest",
                                       "uint_least",
                                       "uint_greatest",
                                       "bit_and",
                                       "bit_or",
                                       "bit_xor",
                                       "shift_left",
                                       "shift_right",
                                       "shift_right_signed",
                                       "shift_left_by",
                                       "shift_right_by",
                                       "shift_right_signed_by",
                                       "from_int",
                                       "to_int",
                                       "widen_first",
                                       "widen_second",
                                       "narrow",
                                       "widen_int_first",
                                       "widen_int_second",
                                       "narrow_to_int",
                                       "less",
                                       "less_equal",
                                       "equal",
                                       "not_equal",
                                       "int_less",
                                       "int_equal",
                                       "mask_and",
                                       "mask_or",
                                       "mask_xor",
                                       "mask_not",
                                       "mask_first",
                                       "mask_second",
                                       "mask_of_load",
                                       "select",
                                       "choose",
                                       "seldom",
                                       "store",
                                       "mask_store",
                                       "leave",
                                       "reduce"};
static_assert(std::size(kNames) == size_t(kDoCount));

}  // namespace

std::string_view do_name(Do what) { return kNames[size_t(what)]; }

size_t NodeHash::operator()(const Node& node) const {
  Hasher h;
  h.add(uint64_t(node.what) | uint64_t(node.eight) << 8 | uint64_t(uint32_t(node.stream)) << 32);
  h.add(uint64_t(uint32_t(node.a)) | uint64_t(uint32_t(node.b)) << 32);
  h.add(node.c);
  h.add(node.bits);
  return size_t(h.finish().low);
}

int Line::make(const Node& made_of) {
  Node node = made_of;
  if (single) {
    if (node.what == Do::widen_second) node.what = Do::widen_first;
    if (node.what == Do::widen_int_second) node.what = Do::widen_int_first;
    if (node.what == Do::mask_second) node.what = Do::mask_first;
  }
  const int number = int(nodes.size());
  if (!is_result(node.what)) {
    auto [known, made] = numbers_.try_emplace(node, number);
    if (!made) return known->second;
  }
  nodes.push_back(node);
  return number;
}

std::vector<char> Line::needed() const {
  std::vector<char> needed(nodes.size());
  for (size_t n = nodes.size(); n-- > 0;) {
    if (is_result(nodes[n].what)) needed[n] = 1;
    if (!needed[n]) continue;
    for (int a : {nodes[n].a, nodes[n].b, nodes[n].c})
      if (a >= 0) needed[size_t(a)] = 1;
  }
  return needed;
}

}  // namespace funcnn::cpu::jit
