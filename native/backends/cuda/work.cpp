#include "backends/cuda/work.h"

namespace funcnn::cuda {

Hash Work::shape() const {
  Hasher h;
  for (const Item& item : items_) {
    if (item.is_product) {
      const ProductCall& p = item.product;
      h.add(p.product->number());
      for (uint64_t word : p.algorithm->data) h.add(word);
      const ProductOperands& o = p.operands;
      for (Address address : {o.a, o.b, o.d, o.workspace, o.matrix, o.vector}) h.add(address);
      continue;
    }
    const Launch& l = item.launch;
    h.add(static_cast<const void*>(l.function));
    h.add(uint64_t(l.groups.x) << 32 | l.groups.y);
    h.add(uint64_t(l.groups.z) << 32 | l.threads.x);
    h.add(uint64_t(l.threads.y) << 32 | l.threads.z);
    h.add(uint64_t(l.shared_bytes) << 32 | item.bytes);
  }
  return h.finish();
}

void Work::parameters(const Item& item, std::byte* bytes, Parameters& out) {
  out.clear();
  std::byte* at = bytes + item.at;
  for (uint32_t i = 0; i < item.launch.pointers; ++i, at += 8) out.push_back(at);
  if (item.launch.ones) out.push_back(at);
  at += 8 * size_t(item.launch.ones);
  if (item.launch.value_bytes) out.push_back(at);
}

}  // namespace funcnn::cuda
