// Kernels that several plans run: equal work on equal layouts is made ready once. Used under the evaluation lock.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>

#include "base/hash.h"
#include "graph/primitive.h"
#include "plan/backend.h"

namespace funcnn {

class Kernels {
 public:
  std::shared_ptr<Kernel> fused(Backend& backend, const KernelProgram& program);
  // See `Backend::make_primitive`.
  std::shared_ptr<Kernel> primitive(Backend& backend, const Ref<const Primitive>& primitive,
                                    std::span<const Layout> inputs, std::span<const Layout> outputs,
                                    const KernelProgram* epilogue);

  void clear() { known_.clear(); }

 private:
  template <class Make>
  std::shared_ptr<Kernel> get(const Hasher& h, Make&& make);

  // The plans own their kernels.
  std::unordered_map<Hash, std::weak_ptr<Kernel>, HashOfHash> known_;
  size_t sweep_at_ = 256;
};

Kernels& kernels();

}  // namespace funcnn
