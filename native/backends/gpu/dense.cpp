#include "backends/gpu/dense.h"

#include "backends/gpu/program.h"

namespace funcnn::gpu {
namespace {

size_t rounded_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

// Operands are the kernel's; the scratch memory holds the copies and then the kernel's own.
class DenseFirst final : public Kernel {
 public:
  struct Copy {
    size_t input;
    std::unique_ptr<Kernel> kernel;
    size_t offset;
  };
  DenseFirst(std::vector<Copy> copies, size_t bytes, std::unique_ptr<Kernel> kernel)
      : copies_(std::move(copies)), bytes_(bytes), kernel_(std::move(kernel)) {}

  size_t scratch_bytes() const override { return bytes_ + kernel_->scratch_bytes(); }
  void encode(Queue& queue, std::span<const Operand> operands) override {
    SmallVector<Operand, 16> bound(operands.begin(), operands.end());
    const Operand scratch = operands.back();
    for (const Copy& copy : copies_) {
      Operand dense = scratch;
      dense.offset += int64_t(copy.offset);
      const Operand ends[] = {operands[copy.input], dense};
      copy.kernel->encode(queue, ends);
      bound[copy.input] = dense;
    }
    bound.back().offset += int64_t(bytes_);
    kernel_->encode(queue, {bound.data(), bound.size() - (kernel_->scratch_bytes() ? 0 : 1)});
  }
  void describe(std::ostream& out, const std::string& indent) const override {
    for (const Copy& copy : copies_) copy.kernel->describe(out, indent);
    kernel_->describe(out, indent);
  }

 private:
  std::vector<Copy> copies_;
  size_t bytes_;
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace

bool any_backwards(Layouts inputs) {
  for (const Layout& l : inputs)
    for (size_t d = 0; d < l.shape.size(); ++d)
      if (l.shape[d] > 1 && l.strides[d] < 0) return true;
  return false;
}

std::unique_ptr<Kernel> with_dense_inputs(Machine& machine, Layouts inputs,
                                          const std::function<std::unique_ptr<Kernel>(Layouts)>& make) {
  std::vector<Layout> dense(inputs.begin(), inputs.end());
  std::vector<DenseFirst::Copy> copies;
  size_t bytes = 0;
  for (size_t i = 0; i < dense.size(); ++i) {
    Layout& l = dense[i];
    int64_t count = element_count(l.shape);
    bool copied = count > 1 && !is_contiguous(l.shape, l.strides);
    l.strides = contiguous_strides(l.shape);
    if (!copied) continue;
    copies.push_back({i, make_copy_kernel(machine, inputs[i], l), bytes});
    bytes += rounded_up(size_t(count) * item_size(l.dtype));
  }
  std::unique_ptr<Kernel> kernel = make(dense);
  if (copies.empty()) return kernel;
  return std::make_unique<DenseFirst>(std::move(copies), bytes, std::move(kernel));
}

}  // namespace funcnn::gpu
