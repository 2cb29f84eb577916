#include "plan/control.h"

#include "base/error.h"
#include "base/small_vector.h"

namespace funcnn {
namespace {

class OffsetKernel final : public Kernel {
 public:
  OffsetKernel(std::unique_ptr<Kernel> kernel, std::vector<int64_t> offsets)
      : kernel_(std::move(kernel)), offsets_(std::move(offsets)) {}
  void run(std::span<std::byte* const> operands) override {
    SmallVector<std::byte*, 16> moved(operands);
    for (size_t i = 0; i < offsets_.size(); ++i) moved[i] += offsets_[i];
    kernel_->run({moved.data(), moved.size()});
  }
  size_t scratch_bytes() const override { return kernel_->scratch_bytes(); }

 private:
  std::unique_ptr<Kernel> kernel_;
  std::vector<int64_t> offsets_;
};

}  // namespace

std::unique_ptr<Kernel> with_offsets(std::unique_ptr<Kernel> kernel, std::vector<int64_t> offsets) {
  return std::make_unique<OffsetKernel>(std::move(kernel), std::move(offsets));
}

std::unique_ptr<Kernel> make_control_kernel(const Primitive& primitive, std::span<const Layout>,
                                            std::span<const Layout>, bool) {
  throw Error(cat(primitive.name(), ": has no control kernel"));
}

}  // namespace funcnn
