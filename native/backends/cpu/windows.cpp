// Windows added where they come from: every element of the result sums what covers it.
#include "ops/windows.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/kernels.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// The windows of an axis that cover a position: window `first` at place position - first * stride, and those before it.
struct Cover {
  int64_t first, last;
  Cover(int64_t position, int64_t windows, int64_t window, int64_t stride)
      : first(std::min(position / stride, windows - 1)),
        last(position < window ? 0 : (position - window) / stride + 1) {}
};

template <class T, class A>
class SumWindowsKernel final : public HostKernel {
 public:
  SumWindowsKernel(const SumWindows& op, const Layout& in, const Layout& out) {
    size_t spatial = op.window().size();
    channels_ = out.shape.back();
    channel_step_ = in.strides.back();
    examples_ = out.shape[0];
    example_step_ = in.strides[0];
    for (size_t d = 0; d < spatial; ++d)
      axes_[3 - spatial + d] = {out.shape[d + 1], in.shape[d + 1],   op.window()[d],
                                op.stride()[d],   in.strides[d + 1], in.strides[d + 1 + spatial]};
  }

  void run(std::span<std::byte* const> operands) override {
    const T* from = reinterpret_cast<const T*>(operands[0]);
    T* to = reinterpret_cast<T*>(operands[1]);
    const Axis &d = axes_[0], &h = axes_[1], &w = axes_[2];
    int64_t row = w.length * channels_;
    parallel_for(examples_ * d.length * h.length, std::max<int64_t>(1, 4096 / row), [&](int64_t begin, int64_t end) {
      std::vector<A> total(static_cast<size_t>(channels_));
      for (int64_t i = begin; i < end; ++i) {
        int64_t ih = i % h.length, id = i / h.length % d.length;
        const T* example = from + i / h.length / d.length * example_step_;
        Cover over_d = d.cover(id), over_h = h.cover(ih);
        for (int64_t iw = 0; iw < w.length; ++iw) {
          Cover over_w = w.cover(iw);
          std::fill(total.begin(), total.end(), A{});
          for (int64_t a = over_d.last; a <= over_d.first; ++a)
            for (int64_t b = over_h.last; b <= over_h.first; ++b)
              for (int64_t c = over_w.last; c <= over_w.first; ++c)
                add(example + d.at(a, id) + h.at(b, ih) + w.at(c, iw), total.data());
          T* out = to + i * row + iw * channels_;
          for (int64_t q = 0; q < channels_; ++q) out[q] = T(total[size_t(q)]);
        }
      }
    });
  }

 private:
  struct Axis {
    int64_t length = 1, windows = 1, window = 1, stride = 1, window_step = 0, place_step = 0;
    Cover cover(int64_t position) const { return {position, windows, window, stride}; }
    int64_t at(int64_t number, int64_t position) const {
      return number * window_step + (position - number * stride) * place_step;
    }
  };

  void add(const T* from, A* total) const {
    if (channel_step_ == 1) {
      for (int64_t q = 0; q < channels_; ++q) total[q] += A(from[q]);
    } else {
      for (int64_t q = 0; q < channels_; ++q) total[q] += A(from[q * channel_step_]);
    }
  }

  Axis axes_[3];
  int64_t examples_, example_step_, channels_, channel_step_;
};

std::unique_ptr<Kernel> make_sum_windows(const Primitive& primitive, std::span<const Layout> in,
                                         std::span<const Layout> out, const KernelProgram*) {
  auto& op = static_cast<const SumWindows&>(primitive);
  return visit_dtype(out[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    constexpr bool half = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;
    using A = std::conditional_t<half, float, std::conditional_t<std::is_same_v<T, bool>, int, T>>;
    return std::make_unique<SumWindowsKernel<T, A>>(op, in[0], out[0]);
  });
}

const RegisterKernel sum_windows_kernel("sum_windows", make_sum_windows);

}  // namespace
}  // namespace funcnn::cpu
