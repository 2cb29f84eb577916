// Kernels that read their operands as dense arrays: views that are not are copied first.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backends/cpu/copy.h"
#include "backends/cpu/kernels.h"

namespace funcnn::cpu {

class DenseOperands {
 public:
  explicit DenseOperands(std::span<const Layout> inputs) : copies_(inputs.size()) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Layout& l = inputs[i];
      if (is_contiguous(l.shape, l.strides) || element_count(l.shape) == 0) continue;
      size_t item = item_size(l.dtype);
      copies_[i] = {StridedCopy(l.shape, l.strides, contiguous_strides(l.shape), item), bytes_, true};
      bytes_ += (size_t(element_count(l.shape)) * item + 63) / 64 * 64;
    }
  }
  size_t bytes() const { return bytes_; }
  // Where the dense elements are; `scratch`: bytes() of memory.
  std::vector<const std::byte*> prepare(std::span<std::byte* const> inputs, std::byte* scratch) const {
    std::vector<const std::byte*> out(inputs.begin(), inputs.end());
    for (size_t i = 0; i < copies_.size(); ++i) {
      if (!copies_[i].needed) continue;
      copies_[i].copy.run(inputs[i], scratch + copies_[i].offset);
      out[i] = scratch + copies_[i].offset;
    }
    return out;
  }
  size_t count() const { return copies_.size(); }

 private:
  struct Copy {
    StridedCopy copy;
    size_t offset = 0;
    bool needed = false;
  };
  std::vector<Copy> copies_;
  size_t bytes_ = 0;
};

// A kernel from a callable over dense inputs and outputs.
template <class F>
class DenseKernel final : public HostKernel {
 public:
  DenseKernel(std::span<const Layout> inputs, F f) : dense_(inputs), f_(std::move(f)) {}
  size_t scratch_bytes() const override { return dense_.bytes(); }
  void run(std::span<std::byte* const> operands) override {
    std::vector<const std::byte*> in =
        dense_.prepare(operands.first(dense_.count()), dense_.bytes() ? operands.back() : nullptr);
    f_(in, operands.subspan(dense_.count()));
  }

 private:
  DenseOperands dense_;
  F f_;
};
template <class F>
std::unique_ptr<Kernel> make_dense_kernel(std::span<const Layout> inputs, F f) {
  return std::make_unique<DenseKernel<F>>(inputs, std::move(f));
}

}  // namespace funcnn::cpu
