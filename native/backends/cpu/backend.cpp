#include "backends/cpu/interpreter.h"
#include "backends/cpu/kernels.h"
#include "base/error.h"

#include <map>

namespace funcnn::cpu {
namespace {

struct Entry {
  KernelFactory factory;
  bool accepts_epilogue;
};
std::map<std::string_view, Entry>& registry() {
  static std::map<std::string_view, Entry> entries;
  return entries;
}

class FusedKernel final : public Kernel {
 public:
  explicit FusedKernel(const KernelProgram& program) : program_(program) {}
  void run(std::span<std::byte* const> operands) override { program_.run(operands); }

 private:
  PreparedProgram program_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend() { register_backend(*this); }
  Device device() const override { return Device::cpu; }
  std::unique_ptr<Kernel> make_fused(const KernelProgram& program) override {
    return std::make_unique<FusedKernel>(program);
  }
  std::unique_ptr<Kernel> make_primitive(const Primitive& primitive, std::span<const Layout> inputs,
                                         std::span<const Layout> outputs, const KernelProgram* epilogue) override {
    auto it = registry().find(primitive.name());
    if (it == registry().end()) throw Error(cat(primitive.name(), ": has no kernel on the CPU"));
    return it->second.factory(primitive, inputs, outputs, epilogue);
  }
  bool accepts_epilogue(const Primitive& primitive) const override {
    auto it = registry().find(primitive.name());
    return it != registry().end() && it->second.accepts_epilogue;
  }
};

CpuBackend instance;

}  // namespace

RegisterKernel::RegisterKernel(std::string_view name, KernelFactory factory, bool accepts_epilogue) {
  registry()[name] = {factory, accepts_epilogue};
}

}  // namespace funcnn::cpu
