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
  if (node.what < Do::store) {
    auto [known, made] = numbers_.try_emplace(node, number);
    if (!made) return known->second;
  }
  nodes.push_back(node);
  return number;
}

}  // namespace funcnn::cpu::jit
