#include "plan/kernels.h"

#include <algorithm>

namespace funcnn {
namespace {

void add(Hasher& h, const KernelProgram& program) {
  h.add(program.rows);
  h.add(program.cols);
  h.add(program.bands);
  h.add(uint64_t(program.accesses.size()) << 32 | uint64_t(program.code.size()));
  for (const Access& a : program.accesses) {
    h.add(uint64_t(uint32_t(a.operand)) << 32 | uint64_t(a.dtype));
    h.add(a.offset);
    h.add(a.shape);
    h.add(a.strides);
  }
  for (const Instruction& i : program.code) i.hash(h);
}

void add(Hasher& h, std::span<const Layout> layouts) {
  h.add(uint64_t(layouts.size()));
  for (const Layout& layout : layouts) {
    h.add(unsigned(layout.dtype));
    h.add(layout.shape);
    h.add(layout.strides);
  }
}

}  // namespace

template <class Make>
std::shared_ptr<Kernel> Kernels::get(const Hasher& h, Make&& make) {
  std::weak_ptr<Kernel>& known = known_[h.finish()];
  if (std::shared_ptr<Kernel> kernel = known.lock()) return kernel;
  std::shared_ptr<Kernel> kernel = make();
  known = kernel;
  if (known_.size() > sweep_at_) {
    std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(256, 2 * known_.size());
  }
  return kernel;
}

std::shared_ptr<Kernel> Kernels::fused(Backend& backend, const KernelProgram& program) {
  Hasher h;
  h.add(static_cast<const void*>(&backend));
  add(h, program);
  return get(h, [&] { return backend.make_fused(program); });
}

std::shared_ptr<Kernel> Kernels::primitive(Backend& backend, const Ref<const Primitive>& primitive,
                                           std::span<const Layout> inputs, std::span<const Layout> outputs,
                                           const KernelProgram* epilogue) {
  auto make = [&] { return backend.make_primitive(*primitive, inputs, outputs, epilogue); };
  // What holds objects of others is let go with its plan.
  if (primitive->held()) return make();
  Hasher h;
  h.add(static_cast<const void*>(&backend));
  h.add(static_cast<const void*>(primitive->name().data()));
  primitive->hash(h);
  add(h, inputs);
  add(h, outputs);
  if (epilogue) add(h, *epilogue);
  return get(h, make);
}

Kernels& kernels() {
  static auto* all = new Kernels;
  return *all;
}

}  // namespace funcnn
