#include <algorithm>
#include <map>

#include "backends/cpu/ceilings.h"
#include "backends/cpu/copy.h"
#include "backends/cpu/dot.h"
#include "backends/cpu/fft.h"
#include "backends/cpu/interpreter.h"
#include "backends/cpu/jit/options.h"
#include "backends/cpu/jit/straight.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/program_code.h"
#include "base/error.h"
#include "plan/measured.h"

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

class FusedKernel final : public HostKernel {
 public:
  explicit FusedKernel(const KernelProgram& program)
      : program_(program), operand_count_(size_t(program.operand_count)) {}
  void run(std::span<std::byte* const> operands) override { program_.run(operands); }
  bool fix(std::span<std::byte* const> operands, std::span<const char> lasting, std::vector<FixedWork>& out) override {
    const std::optional<bool> fixed = program_.fix(operands, out);
    return (fixed && *fixed) || (HostKernel::fix(operands, lasting, out) && !fixed);
  }
  const PreparedProgram& program() const { return program_; }
  size_t operand_count() const { return operand_count_; }

 private:
  PreparedProgram program_;
  size_t operand_count_;
};

class JointKernel final : public HostKernel {
 public:
  explicit JointKernel(std::span<const std::shared_ptr<Kernel>> kernels) : kernels_(kernels.begin(), kernels.end()) {
    for (const auto& kernel : kernels_) {
      programs_.push_back(&static_cast<FusedKernel&>(*kernel).program());
      operand_counts_.push_back(static_cast<FusedKernel&>(*kernel).operand_count());
    }
    if (PreparedProgram::are_tiles(programs_)) gather_tiles();
  }
  bool fix(std::span<std::byte* const> operands, std::span<const char> lasting, std::vector<FixedWork>& out) override {
    if (tiles_.empty()) return HostKernel::fix(operands, lasting, out);
    bool settled = true;
    size_t first = 0;
    for (size_t i = 0; i < kernels_.size(); ++i) {
      const size_t count = operand_counts_[i], works = out.size();
      settled = static_cast<FusedKernel&>(*kernels_[i])
                    .fix(operands.subspan(first, count), lasting.subspan(first, count), out) &&
                settled;
      for (size_t w = works; w < out.size(); ++w)
        for (FixedWork::Start& start : out[w].starts) start.operand += first;
      first += count;
    }
    return settled;
  }
  void run(std::span<std::byte* const> operands) override {
    if (!tiles_.empty()) {
      SmallVector<std::byte*, 256> gathered(from_.size());
      for (size_t i = 0; i < from_.size(); ++i) gathered[i] = operands[from_[i]];
      if (!from_.empty()) operands = {gathered.data(), gathered.size()};
      for (const Tiles& tiles : tiles_) {
        tiles.program->run(operands.first(tiles.operand_count * tiles.times));
        operands = operands.subspan(tiles.operand_count * tiles.times);
      }
      return;
    }
    std::vector<std::span<std::byte* const>> each;
    each.reserve(kernels_.size());
    for (size_t count : operand_counts_) {
      each.push_back(operands.first(count));
      operands = operands.subspan(count);
    }
    PreparedProgram::run_all(programs_, each);
  }

 private:
  void gather_tiles() {
    std::map<const PreparedProgram*, size_t> places;
    for (size_t i = 0; i < programs_.size(); ++i) {
      const auto [found, added] = places.try_emplace(programs_[i], tiles_.size());
      if (added) tiles_.push_back({programs_[i], operand_counts_[i], 0});
      ++tiles_[found->second].times;
    }
    std::vector<std::vector<size_t>> operands(tiles_.size());
    size_t next = 0;
    for (size_t i = 0; i < programs_.size(); ++i)
      for (size_t k = 0; k < operand_counts_[i]; ++k) operands[places[programs_[i]]].push_back(next++);
    for (const std::vector<size_t>& of_one : operands) from_.insert(from_.end(), of_one.begin(), of_one.end());
    if (std::is_sorted(from_.begin(), from_.end())) from_.clear();
  }

  std::vector<std::shared_ptr<Kernel>> kernels_;
  std::vector<const PreparedProgram*> programs_;
  std::vector<size_t> operand_counts_;
  // Where each program is done in one go: equal ones one after another.
  struct Tiles {
    const PreparedProgram* program;
    size_t operand_count, times;
  };
  std::vector<Tiles> tiles_;
  std::vector<size_t> from_;  // the operands in that order; empty: as they come
};

// Kernels run while they are encoded.
class ImmediateQueue final : public Queue {
 public:
  Ref<Event> record() override { return {}; }
};

class CpuBackend final : public MeasuredBackend, public JointCompiler {
 public:
  CpuBackend() { register_backend(*this); }
  Device device() const override { return kCpu; }
  DeviceMemory& memory() override { return memory_; }
  Queue& queue() override { return queue_; }
  const Limits& limits() const override { return limits_; }
  std::unique_ptr<Kernel> make_fused(const KernelProgram& program) override {
    return std::make_unique<FusedKernel>(program);
  }
  std::unique_ptr<Kernel> make_primitive(const Primitive& primitive, std::span<const Layout> inputs,
                                         std::span<const Layout> outputs, const KernelProgram* epilogue) override {
    auto it = registry().find(primitive.name());
    if (it == registry().end()) throw Error(cat(primitive.name(), ": has no kernel on the CPU"));
    return it->second.factory(primitive, inputs, outputs, epilogue);
  }
  std::unique_ptr<Kernel> make_joint(std::span<const std::shared_ptr<Kernel>> kernels) override {
    return std::make_unique<JointKernel>(kernels);
  }
  std::unique_ptr<Kernel> make_copy(const Layout& from, const Layout& to) override {
    return make_kernel([copy = StridedCopy(from.shape, from.strides, to.strides, item_size(from.dtype))](
                           std::span<std::byte* const> operands) { copy.run(operands[0], operands[1]); });
  }
  bool accepts_epilogue(const Primitive& primitive, const Shape&, const KernelProgram&) const override {
    auto it = registry().find(primitive.name());
    return it != registry().end() && it->second.accepts_epilogue;
  }

  Effort measure_ceilings() override { return cpu::measure_ceilings(); }

  bool takes(const Work& work) override { return jit::can_straighten(work); }
  std::shared_ptr<const JointCode> compile(std::span<const Work> works, std::span<const char> kept,
                                           std::span<const Step> steps) override {
    return jit::straighten(works, kept, steps);
  }
  int64_t compiles_after() const override { return jit::options().always ? 0 : 1000; }

  bool prefers_dense(const Primitive& primitive, std::span<const Layout> inputs, size_t index) const override {
    return primitive.name() == "dot" && index == 1 && dot_prefers_dense(inputs[0], inputs[1]);
  }

  void clear_cache() override { clear_routines(); }
  void clear_tables() override { clear_fft_plans(); }

 private:
  DeviceMemory& memory_ = device_memory(kCpu);
  ImmediateQueue queue_;
  Limits limits_;
};

CpuBackend instance;

}  // namespace

void HostKernel::encode(Queue&, std::span<const Operand> operands) {
  SmallVector<std::byte*, 256> pointers;
  pointers.reserve(operands.size());
  for (const Operand& o : operands)
    pointers.push_back(o.buffer ? o.buffer->host() + o.offset : const_cast<std::byte*>(o.scalar));
  run(std::span<std::byte* const>(pointers.data(), pointers.size()));
}

RegisterKernel::RegisterKernel(std::string_view name, KernelFactory factory, bool accepts_epilogue) {
  registry()[name] = {factory, accepts_epilogue};
}

}  // namespace funcnn::cpu
