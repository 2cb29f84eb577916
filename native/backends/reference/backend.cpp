// The reference back end: slow, plain, with memory and a queue that take nothing for granted.
#include <cstring>
#include <optional>
#include <vector>

#include "backends/reference/element.h"
#include "backends/reference/interpreter.h"
#include "backends/reference/memory.h"
#include "backends/reference/primitives.h"
#include "base/error.h"

namespace funcnn::reference {
namespace {

// Where the operands of a command are; buffers stay alive until it has run.
class Bound {
 public:
  explicit Bound(std::span<const Operand> operands) : places_(operands.begin(), operands.end()) {
    scalars_.resize(places_.size());
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].buffer)
        kept_.emplace_back(places_[i].buffer);
      else
        std::memcpy(scalars_[i].bits, places_[i].scalar, sizeof(scalars_[i].bits));
    }
  }
  std::vector<std::byte*> pointers() {
    std::vector<std::byte*> out;
    for (size_t i = 0; i < places_.size(); ++i)
      out.push_back(places_[i].buffer ? HiddenMemory::bytes_of(places_[i].buffer->block()) + places_[i].offset
                                      : scalars_[i].bits);
    return out;
  }

 private:
  struct Scalar {
    alignas(8) std::byte bits[8];
  };
  std::vector<Operand> places_;
  std::vector<Scalar> scalars_;
  std::vector<Ref<Buffer>> kept_;
};

// Kernels outlive the commands that run them: plans may be dropped while their work waits.
template <class F>
class LateKernel final : public Kernel {
 public:
  explicit LateKernel(F f) : f_(std::make_shared<F>(std::move(f))) {}
  void encode(Queue& queue, std::span<const Operand> operands) override {
    static_cast<LateQueue&>(queue).submit(
        [f = f_, bound = std::make_shared<Bound>(operands)] { (*f)(bound->pointers()); });
  }

 private:
  std::shared_ptr<F> f_;
};
template <class F>
std::unique_ptr<Kernel> late(F f) {
  return std::make_unique<LateKernel<F>>(std::move(f));
}

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend() { register_backend(*this); }
  Device device() const override { return {DeviceKind::reference, 0}; }
  DeviceMemory& memory() override { return *memory_; }
  Queue& queue() override { return *queue_; }
  const Limits& limits() const override { return limits_; }

  std::unique_ptr<Kernel> make_fused(const KernelProgram& program) override {
    return late([program](const std::vector<std::byte*>& at) { interpret(program, at); });
  }
  std::unique_ptr<Kernel> make_primitive(const Primitive& primitive, std::span<const Layout> inputs,
                                         std::span<const Layout> outputs, const KernelProgram* epilogue) override {
    PrimitiveFn function = find_primitive(primitive.name());
    if (!function) throw Error(cat(primitive.name(), ": has no kernel on the reference device"));
    return late([function, kept = Ref<const Primitive>(&primitive),
                 in = std::vector<Layout>(inputs.begin(), inputs.end()),
                 out = std::vector<Layout>(outputs.begin(), outputs.end()),
                 after = epilogue ? std::optional(*epilogue) : std::nullopt](const std::vector<std::byte*>& at) {
      std::span<std::byte* const> all(at);
      function(*kept, in, out, all.first(in.size() + out.size()));
      if (after) interpret(*after, all.subspan(in.size()));
    });
  }
  std::unique_ptr<Kernel> make_copy(const Layout& from, const Layout& to) override {
    return late([from, to](const std::vector<std::byte*>& at) {
      int64_t item = int64_t(item_size(from.dtype));
      for (int64_t i = 0; i < element_count(from.shape); ++i)
        std::memcpy(at[1] + offset_of(to.shape, to.strides, i) * item,
                    at[0] + offset_of(from.shape, from.strides, i) * item, size_t(item));
    });
  }
  bool accepts_epilogue(const Primitive& primitive, const Shape&, const KernelProgram&) const override {
    // Any kernel of one output will do: the program follows it.
    return find_primitive(primitive.name()) != nullptr;
  }

 private:
  // Never destroyed: buffers may outlive static destruction.
  LateQueue* queue_ = new LateQueue;
  HiddenMemory* memory_ = new HiddenMemory(*queue_);
  // Tighter than any machine's, so that the planner's ways round them are taken.
  Limits limits_{.operands = 16, .longest_row = 48, .mixed_reductions = false};
};

ReferenceBackend instance;

}  // namespace
}  // namespace funcnn::reference
