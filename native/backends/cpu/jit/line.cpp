#include "backends/cpu/jit/line.h"

#include "base/hash.h"

namespace funcnn::cpu::jit {

size_t NodeHash::operator()(const Node& node) const {
  Hasher h;
  h.add(uint64_t(node.what) | uint64_t(node.eight) << 8 | uint64_t(uint32_t(node.stream)) << 32);
  h.add(uint64_t(uint32_t(node.a)) | uint64_t(uint32_t(node.b)) << 32);
  h.add(node.c);
  h.add(node.bits);
  return size_t(h.finish().low);
}

int Line::make(const Node& node) {
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
