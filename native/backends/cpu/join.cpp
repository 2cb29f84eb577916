// Kernels of concatenate and pad.
#include "ops/join.h"

#include <algorithm>

#include "backends/cpu/copy.h"
#include "backends/cpu/kernels.h"
#include "base/thread_pool.h"
#include "ops/pad.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_concatenate(const Primitive& primitive, std::span<const Layout> inputs,
                                         std::span<const Layout> outputs, const KernelProgram*) {
  size_t axis = size_t(static_cast<const Concatenate&>(primitive).axis());
  int64_t item = int64_t(item_size(outputs[0].dtype)), at = 0;
  JointCopy copies;
  std::vector<int64_t> offsets;
  for (const Layout& in : inputs) {
    copies.add(StridedCopy(in.shape, in.strides, outputs[0].strides, size_t(item)));
    offsets.push_back(at * outputs[0].strides[axis] * item);
    at += in.shape[axis];
  }
  return make_kernel([copies = std::move(copies), offsets = std::move(offsets)](std::span<std::byte* const> operands) {
    copies.run(
        [&](size_t i) { return std::pair<const std::byte*, std::byte*>(operands[i], operands.back() + offsets[i]); });
  });
}

// What the rows of a dense array leave free of a larger one.
class Gaps {
 public:
  // `steps` of the larger one, of so many elements; the first row begins at `offset`.
  Gaps(const Shape& shape, const Strides& steps, int64_t offset, int64_t count)
      : shape_(shape), steps_(steps), offset_(offset), count_(count) {}

  // Whether that is quicker than to fill all of it.
  bool pays(size_t item) const {
    constexpr int64_t kLongRow = 512;  // bytes
    return !shape_.empty() && steps_.back() == 1 && shape_.back() * int64_t(item) >= kLongRow &&
           2 * element_count(shape_) >= count_;
  }
  void fill_with(const std::byte* value, std::byte* to, size_t item) const {
    const int64_t row = shape_.back(), rows = element_count(shape_) / row;
    parallel_for(rows, std::max<int64_t>(1, kGrain / row), [&](int64_t begin, int64_t end) {
      int64_t at = begin ? place(begin - 1) + row : 0;
      auto up_to = [&](int64_t next) { fill(to + at * int64_t(item), next - at, item, value); };
      for (; begin < end; ++begin) {
        up_to(place(begin));
        at = place(begin) + row;
      }
      if (end == rows) up_to(count_);
    });
  }

 private:
  static constexpr int64_t kGrain = 1 << 15;
  int64_t place(int64_t row) const {
    int64_t at = offset_;
    for (size_t axis = shape_.size() - 1; axis-- > 0; row /= shape_[axis]) at += row % shape_[axis] * steps_[axis];
    return at;
  }
  Shape shape_;
  Strides steps_;
  int64_t offset_, count_;
};

std::unique_ptr<Kernel> make_pad(const Primitive& primitive, std::span<const Layout> inputs,
                                 std::span<const Layout> outputs, const KernelProgram*) {
  auto& pad = static_cast<const Pad&>(primitive);
  const Layout &in = inputs[0], &out = outputs[0];
  size_t item = item_size(out.dtype);
  Strides steps = out.strides;
  int64_t offset = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    offset += pad.low()[i] * out.strides[i];
    steps[i] *= pad.interior()[i] + 1;
  }
  const int64_t count = element_count(out.shape);
  const Gaps gaps(in.shape, steps, offset, count);
  return make_kernel([copy = StridedCopy(in.shape, in.strides, steps, item), offset, item, count, gaps,
                      by_gaps = gaps.pays(item)](std::span<std::byte* const> operands) {
    if (by_gaps)
      gaps.fill_with(operands[1], operands[2], item);
    else
      fill(operands[2], count, item, operands[1]);
    copy.run(operands[0], operands[2] + offset * int64_t(item));
  });
}

const RegisterKernel concatenate_kernel("concatenate", make_concatenate);
const RegisterKernel pad_kernel("pad", make_pad);

}  // namespace
}  // namespace funcnn::cpu
