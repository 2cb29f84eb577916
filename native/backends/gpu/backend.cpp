#include "backends/gpu/backend.h"

#include <array>
#include <atomic>
#include <map>

#include "backends/gpu/ceilings.h"
#include "backends/gpu/kernel.h"
#include "backends/gpu/program.h"
#include "backends/gpu/program_length.h"
#include "base/device_dtypes.h"
#include "base/error.h"
#include "plan/instead_of_host.h"
#include "plan/log.h"
#include "plan/measured.h"
#include "plan/staged.h"

namespace funcnn::gpu {
namespace {

struct Registered {
  KernelFactory factory;
  EpilogueTest accepts_epilogue;
};
struct Factories {
  std::vector<Registered> of_language[2], of_both;
};

std::map<std::string_view, Factories>& registry() {
  static auto* factories = new std::map<std::string_view, Factories>;
  return *factories;
}

// The factories for a primitive on a machine, in the order in which they are asked.
std::vector<Registered> factories_for(std::string_view name, Language language) {
  auto it = registry().find(name);
  if (it == registry().end()) return {};
  std::vector<Registered> all = it->second.of_language[int(language)];
  all.insert(all.end(), it->second.of_both.begin(), it->second.of_both.end());
  return all;
}

class GpuBackend final : public MeasuredBackend, public InsteadOfHost {
 public:
  explicit GpuBackend(Machine& machine) : machine_(machine) {
    // The planner counts what a kernel might take at most, several times what it does; CUDA has room for that.
    if (machine.traits().language == Language::cuda) limits_.operands = 128;
    if (!machine.traits().float64) limits_.dtypes &= ~(1u << unsigned(Dtype::float64));
    set_device_dtypes(device(), limits_.dtypes);
    register_backend(*this);
  }
  Device device() const override { return machine_.device(); }
  DeviceMemory& memory() override { return machine_.memory(); }
  Queue& queue() override { return machine_.queue(); }
  const Limits& limits() const override { return limits_; }
  Machine& machine() { return machine_; }

  std::unique_ptr<Kernel> make_fused(const KernelProgram& program) override {
    return make_program_kernel(machine_, program);
  }
  std::unique_ptr<Kernel> make_primitive(const Primitive& primitive, std::span<const Layout> inputs,
                                         std::span<const Layout> outputs, const KernelProgram* epilogue) override {
    for (const Layout& l : outputs)
      if (!limits_.has(l.dtype)) throw_no_dtype(primitive.name(), device(), l.dtype);
    for (const Registered& entry : factories_for(primitive.name(), machine_.traits().language))
      if (auto kernel = entry.factory(machine_, primitive, inputs, outputs, epilogue)) return kernel;
    if (epilogue) throw Error(cat(primitive.name(), ": no kernel of the gpu takes its epilogue"));
    if (log_enabled("gpu")) log_line("gpu", cat(primitive.name(), " runs on the CPU: the gpu has no kernel for it"));
    return make_staged_kernel(primitive, inputs, outputs, *this);
  }
  std::unique_ptr<Kernel> make_instead_of_host(const Primitive& primitive, std::span<const Layout> inputs,
                                               std::span<const Layout> outputs) override {
    for (const Registered& entry : factories_for(primitive.name(), machine_.traits().language))
      if (auto kernel = entry.factory(machine_, primitive, inputs, outputs, nullptr)) return kernel;
    return nullptr;
  }
  std::unique_ptr<Kernel> make_joint(std::span<const std::shared_ptr<Kernel>> kernels) override {
    return make_joint_kernel(machine_, kernels);
  }
  std::unique_ptr<Kernel> make_copy(const Layout& from, const Layout& to) override {
    return make_copy_kernel(machine_, from, to);
  }
  bool accepts_epilogue(const Primitive& primitive, const Shape& shape, const KernelProgram& epilogue) const override {
    // What one factory declines, the next is asked for with the same epilogue.
    std::vector<Registered> entries = factories_for(primitive.name(), machine_.traits().language);
    for (const Registered& entry : entries)
      if (!entry.accepts_epilogue || !entry.accepts_epilogue(primitive, shape, epilogue)) return false;
    return !entries.empty();
  }
  Effort measure_ceilings() override { return gpu::measure_ceilings(*this); }
  void clear_cache() override { machine_.clear_cache(); }
  void clear_tables() override { machine_.clear_cache(); }

 private:
  Machine& machine_;
  // A launch binds few buffers, and rows longer than a group can hold in registers are read twice.
  Limits limits_{.operands = 24,
                 .length = kLongestKernel,
                 .lengths = kInstructionLengths,
                 .length_of_complex = kLengthOfComplex,
                 .longest_row = 1 << 16,
                 .mixed_reductions = false};
};

std::array<std::atomic<Machine*>, kMostDevices> machines{};

}  // namespace

void register_machine(Machine& machine) {
  machines[machine.device().index].store(&machine, std::memory_order_release);
  new GpuBackend(machine);  // never destroyed: buffers may outlive static destruction
}

Machine* machine_of(Device device) {
  return device.kind == DeviceKind::gpu ? machines[device.index].load(std::memory_order_acquire) : nullptr;
}

RegisterKernel::RegisterKernel(std::string_view name, KernelFactory factory, EpilogueTest accepts_epilogue) {
  registry()[name].of_both.push_back({factory, accepts_epilogue});
}
RegisterKernel::RegisterKernel(Language language, std::string_view name, KernelFactory factory,
                               EpilogueTest accepts_epilogue) {
  registry()[name].of_language[int(language)].push_back({factory, accepts_epilogue});
}

}  // namespace funcnn::gpu
