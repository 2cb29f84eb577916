// Convolutions element by element: for compilers without vector types, and for kernels that reach much further than
// what there is.
#include "backends/cpu/conv_kernels.h"

namespace funcnn::cpu {
namespace {

template <class S>
class PlainConv final : public HostKernel {
 public:
  using T = ConvSum<S>;
  PlainConv(const ConvProblem& problem, const KernelProgram* epilogue) : p_(problem), epilogue_(epilogue) {}

  void run(std::span<std::byte* const> operands) override {
    const S *x = reinterpret_cast<const S*>(operands[0]), *weight = reinterpret_cast<const S*>(operands[1]);
    S* y = reinterpret_cast<S*>(operands[2]);
    int64_t channels = p_.groups * p_.out_channels, count = p_.rows() * p_.axes[2].out * channels;
    parallel_for(count, 256, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t channel = i % channels, rest = i / channels, place[3];
        for (int d = 2; d >= 0; --d) {
          place[d] = rest % p_.axes[d].out;
          rest /= p_.axes[d].out;
        }
        const S* from = x + rest * p_.x.first + channel / p_.out_channels * p_.in_channels * p_.x.last;
        y[i] = S(sum(from, weight + channel * p_.weight.first, place));
      }
    });
    epilogue_.run_all(operands.subspan(2), count);
  }

 private:
  T sum(const S* x, const S* weight, const int64_t place[3], int axis = 0) const {
    T total = 0;
    if (axis == 3) {
      for (int64_t c = 0; c < p_.in_channels; ++c) total += T(x[c * p_.x.last]) * T(weight[c * p_.weight.last]);
      return total;
    }
    const ConvAxis& a = p_.axes[axis];
    for (const ConvTap& tap : a.phases[size_t(place[axis] % a.step)].taps) {
      int64_t i = place[axis] / a.step * a.move + tap.offset;
      if (i >= 0 && i < a.in)
        total += sum(x + i * p_.x.spatial[axis], weight + tap.at * p_.weight.spatial[axis], place, axis + 1);
    }
    return total;
  }

  ConvProblem p_;
  ConvEpilogue epilogue_;
};

template <class S>
class PlainConvWeight final : public HostKernel {
 public:
  using T = ConvSum<S>;
  PlainConvWeight(const ConvProblem& problem, const KernelProgram* epilogue) : p_(problem), epilogue_(epilogue) {}

  void run(std::span<std::byte* const> operands) override {
    const S *x = reinterpret_cast<const S*>(operands[0]), *y = reinterpret_cast<const S*>(operands[1]);
    S* out = reinterpret_cast<S*>(operands[2]);
    int64_t taps = p_.axes[0].kernel * p_.axes[1].kernel * p_.axes[2].kernel;
    int64_t count = p_.groups * p_.out_channels * taps * p_.in_channels;
    parallel_for(count, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t c = i % p_.in_channels, rest = i / p_.in_channels, at[3];
        for (int d = 2; d >= 0; --d) {
          at[d] = rest % p_.axes[d].kernel;
          rest /= p_.axes[d].kernel;
        }
        T total = 0;
        for (int64_t n = 0; n < p_.n; ++n)
          total += sum(x + n * p_.x.first + (rest / p_.out_channels * p_.in_channels + c) * p_.x.last,
                       y + n * p_.y.first + rest * p_.y.last, at);
        out[i] = S(total);
      }
    });
    epilogue_.run_all(operands.subspan(2), count);
  }

 private:
  T sum(const S* x, const S* y, const int64_t at[3], int axis = 0) const {
    if (axis == 3) return T(*x) * T(*y);
    const ConvAxis& a = p_.axes[axis];
    T total = 0;
    for (size_t r = 0; r < a.phases.size(); ++r)
      for (const ConvTap& tap : a.phases[r].taps) {
        if (tap.at != at[axis]) continue;
        for (int64_t t = 0; t < a.phases[r].count; ++t) {
          int64_t i = t * a.move + tap.offset;
          if (i >= 0 && i < a.in)
            total += sum(x + i * p_.x.spatial[axis], y + (t * a.step + int64_t(r)) * p_.y.spatial[axis], at, axis + 1);
        }
      }
    return total;
  }

  ConvProblem p_;
  ConvEpilogue epilogue_;
};

}  // namespace

template <class S>
std::unique_ptr<HostKernel> make_plain_conv(const ConvProblem& problem, const KernelProgram* epilogue) {
  return std::make_unique<PlainConv<S>>(problem, epilogue);
}
template <class S>
std::unique_ptr<HostKernel> make_plain_conv_weight(const ConvProblem& problem, const KernelProgram* epilogue) {
  return std::make_unique<PlainConvWeight<S>>(problem, epilogue);
}
template std::unique_ptr<HostKernel> make_plain_conv<float>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv<double>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv<float16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv<bfloat16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv_weight<float>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv_weight<double>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv_weight<float16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_plain_conv_weight<bfloat16_t>(const ConvProblem&, const KernelProgram*);

}  // namespace funcnn::cpu
