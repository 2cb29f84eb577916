#include <algorithm>
#include <numeric>

#include "backends/cpu/conv.h"
#include "backends/cpu/instruction_set.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(ConvTable, conv_table);

const ConvTable* conv_table() {
  const ConvTable* table = &FUNCNN_OF_ACTIVE_SET(conv_table);
  return table->f32.along ? table : nullptr;
}

namespace {

// x with a * x = 1 modulo m, for a and m without a common factor.
int64_t inverse(int64_t a, int64_t m) {
  int64_t r0 = m, r1 = a % m, x0 = 0, x1 = 1;
  while (r1) {
    int64_t q = r0 / r1;
    std::swap(r0 -= q * r1, r1);
    std::swap(x0 -= q * x1, x1);
  }
  return x0 < 0 ? x0 + m : x0;
}

}  // namespace

ConvAxis::ConvAxis(const ConvGeometry& g, size_t axis, int64_t in, int64_t kernel)
    : in(in), out(g.output(axis, in, kernel)), kernel(kernel) {
  int64_t stride = g.stride[axis], dilation = g.input_dilation[axis], common = std::gcd(stride, dilation);
  step = dilation / common;
  move = stride / common;
  phases.assign(size_t(std::min(step, out)), {});
  for (size_t r = 0; r < phases.size(); ++r) phases[r].count = (out - int64_t(r) + step - 1) / step;
  int64_t back = step == 1 ? 0 : inverse(move, step);
  bool any = false;
  for (int64_t k = 0; k < kernel; ++k) {
    // The first output that this tap reaches an input from: first * stride + place is a multiple of the dilation.
    int64_t place = k * g.kernel_dilation[axis] - g.low[axis];
    int64_t rest = ((-place) % dilation + dilation) % dilation;
    int64_t first = rest / common * back % step;
    bool meets = rest % common == 0 && first < int64_t(phases.size());
    int64_t offset = meets ? (first * stride + place) / dilation : 0;
    if (meets) {
      // Of the outputs t, those from `begin` on reach the input, those from `end` on have left it.
      int64_t begin = offset >= 0 ? 0 : (-offset + move - 1) / move;
      meets = begin < phases[size_t(first)].count && begin * move + offset < in;
    }
    if (!meets) {
      complete = false;
      continue;
    }
    phases[size_t(first)].taps.push_back({g.flip ? kernel - 1 - k : k, offset});
    lowest = any ? std::min(lowest, offset) : offset;
    highest = any ? std::max(highest, offset) : offset;
    any = true;
  }
}

namespace {

ConvStrides strides_of(const Layout& l) {
  size_t rank = l.strides.size();
  ConvStrides out{l.strides[0], {0, 0, 0}, l.strides.back()};
  for (size_t d = 0; d + 2 < rank; ++d) out.spatial[d + 5 - rank] = l.strides[d + 1];
  return out;
}

}  // namespace

ConvProblem::ConvProblem(const ConvPrimitive& op, const Layout& x, const Layout& weight, const Layout& y)
    : n(x.shape[0]),
      groups(op.geometry().groups),
      in_channels(x.shape.back() / groups),
      out_channels(y.shape.back() / groups),
      x(strides_of(x)),
      weight(strides_of(weight)),
      y(strides_of(y)) {
  size_t spatial = op.kernel().size();
  for (size_t d = 0; d < spatial; ++d)
    axes[3 - spatial + d] = ConvAxis(op.geometry(), d, x.shape[d + 1], op.kernel()[d]);
}

double ConvProblem::work() const {
  double outputs = double(rows()) * double(axes[2].out), taps = 1;
  for (const ConvAxis& a : axes) taps *= double(a.kernel) / double(a.phases.size());
  return outputs * taps * double(in_channels) * double(out_channels * groups);
}

bool ConvProblem::compact() const {
  const ConvAxis& a = axes[2];
  int64_t longest = 0;
  for (const ConvPhase& p : a.phases) longest = std::max(longest, p.count);
  return (longest - 1) * a.move + a.highest - a.lowest <= 8 * (a.in + a.out + a.kernel) + 1024;
}

void ConvProblem::merge() {
  auto plain = [&](int d) {
    const ConvAxis& a = axes[d];
    return a.kernel == 1 && a.step == 1 && a.move == 1 && a.in == a.out && a.lowest == 0 && a.complete;
  };
  auto longer = [&](int64_t factor) {
    ConvAxis& a = axes[2];
    a.in *= factor;
    a.out *= factor;
    a.phases[0].count *= factor;
  };
  if (!plain(2)) return;
  // Axis 1, axis 0, then the first one into the last.
  for (int d = 1; d >= 0; --d) {
    int64_t length = axes[2].in;
    bool one = axes[d].in == 1 && plain(d);
    if (!one) {
      auto same = [&](const ConvStrides& s) { return s.spatial[d] == length * s.spatial[2]; };
      if (!plain(d) || !same(x) || !same(y)) return;
      longer(axes[d].in);
      axes[d] = ConvAxis();
    }
  }
  auto same = [&](const ConvStrides& s) { return s.first == axes[2].in * s.spatial[2]; };
  if (n > 1 && same(x) && same(y)) {
    longer(n);
    n = 1;
  }
}

}  // namespace funcnn::cpu
