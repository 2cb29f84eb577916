#include "backends/cpu/jit/line.h"

namespace funcnn::cpu::jit {

int Line::make(const Node& node) {
  const bool result = node.what >= Do::store;
  if (!result)
    for (size_t n = 0; n < nodes.size(); ++n)
      if (nodes[n] == node) return int(n);
  nodes.push_back(node);
  return int(nodes.size()) - 1;
}

}  // namespace funcnn::cpu::jit
