#include "backends/gpu/conv_problem.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <numeric>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr size_t kMostPhases = 64;
constexpr const char* kAxisNames[] = {"d", "h", "w"};

// The residues of outputs along an axis, each with the taps that meet elements and not the holes between them.
std::vector<ConvAxis> phases_of(const ConvAxis& whole, int64_t most) {
  if (whole.holes == 1) return {whole};
  const int64_t common = std::gcd(whole.move, whole.holes), step = whole.holes / common;
  const int64_t count = std::min(step, whole.out);
  if (count > most) return {whole};
  const int64_t spacing = whole.holes / std::gcd(whole.tap_move, whole.holes);  // of taps that meet elements
  std::vector<ConvAxis> out;
  for (int64_t r = 0; r < count; ++r) {
    ConvAxis a = whole;
    a.first = r;
    a.step = step;
    a.count = (whole.out - r + step - 1) / step;
    a.move = whole.move * step / whole.holes;
    a.holes = 1;
    a.taps = 0;
    a.offset = 0;
    a.tap_move = spacing * whole.tap_move / whole.holes;
    a.weight_step = spacing * whole.weight_step;
    for (int64_t k = 0; k < std::min(spacing, whole.taps); ++k) {
      const int64_t place = r * whole.move + whole.offset + k * whole.tap_move;
      if (place % whole.holes != 0) continue;
      a.taps = (whole.taps - k + spacing - 1) / spacing;
      a.offset = place / whole.holes;
      a.weight_first = whole.weight_first + k * whole.weight_step;
      break;
    }
    out.push_back(a);
  }
  return out;
}

ConvStrides strides_of(const Layout& l) {
  const size_t rank = l.strides.size();
  ConvStrides out{l.strides[0], {0, 0, 0}, l.strides.back()};
  for (size_t d = 0; d + 2 < rank; ++d) out.spatial[d + 5 - rank] = l.strides[d + 1];
  return out;
}

bool reaches_far(const Layout& l) {
  int64_t reach = 0;
  for (size_t i = 0; i < l.shape.size(); ++i) reach += std::abs(l.strides[i]) * (l.shape[i] - 1);
  return reach > INT32_MAX - 4096;
}

}  // namespace

ConvAxis::ConvAxis(const ConvGeometry& g, size_t axis, int64_t in, int64_t kernel)
    : in(in),
      out(g.output(axis, in, kernel)),
      count(out),
      taps(kernel),
      weight_first(g.flip ? kernel - 1 : 0),
      weight_step(g.flip ? -1 : 1),
      move(g.stride[axis]),
      offset(-g.low[axis]),
      tap_move(g.kernel_dilation[axis]),
      holes(in == 1 ? 1 : g.input_dilation[axis]) {
  // Steps that are never taken, however long, are none.
  if (out == 1) move = 1;
  if (kernel == 1) tap_move = 1;
}

ConvProblem::ConvProblem(const ConvPrimitive& op, const Layout& x, const Layout& weight, const Layout& y)
    : dtype(x.dtype),
      n(x.shape[0]),
      groups(op.geometry().groups),
      in_channels(x.shape.back() / groups),
      out_channels(y.shape.back() / groups),
      x(strides_of(x)),
      weight(strides_of(weight)),
      y(strides_of(y)),
      far(reaches_far(x) || reaches_far(weight) || reaches_far(y)) {
  const size_t spatial = op.kernel().size();
  for (size_t d = 0; d < spatial; ++d)
    axes[3 - spatial + d] = ConvAxis(op.geometry(), d, x.shape[d + 1], op.kernel()[d]);
  for (const ConvAxis& a : axes)
    far |= std::max({a.count * a.move, a.taps * a.tap_move, std::abs(a.offset), a.in * a.holes}) > (1 << 29);
}

bool ConvProblem::holes() const {
  return std::any_of(axes, axes + 3, [](const ConvAxis& a) { return a.holes != 1; });
}

std::vector<ConvProblem> ConvProblem::phases() const {
  std::vector<ConvProblem> out{*this};
  for (int d = 0; d < 3; ++d) {
    std::vector<ConvAxis> along = phases_of(axes[d], int64_t(kMostPhases / out.size()));
    std::vector<ConvProblem> all;
    for (const ConvProblem& p : out)
      for (const ConvAxis& a : along) {
        all.push_back(p);
        all.back().axes[d] = a;
      }
    out = std::move(all);
  }
  return out;
}

std::string ConvProblem::types() const {
  return cat("typedef ", type_name(dtype), " S;\ntypedef ", register_type(dtype), " T;\ntypedef ",
             far ? "i64 I, Flat;\nFUNCTION I quotient(I number, I by, u32, u32) { return number / by; }\n"
                 : "i32 I;\ntypedef u32 Flat;\nFUNCTION I quotient(I number, I, u32 factor, u32 shift) {\n"
                   "  return I(multiply_high(u32(number) * 2, factor) >> shift);\n}\n");
}

// T. Granlund, P. L. Montgomery, "Division by invariant integers using multiplication", 1994: for numbers below 2^31
// floor(n / d) is floor(n m / 2^(31 + s)) with 2^s >= d and m = ceil(2^(31 + s) / d), which is less than 2^32.
std::string quotient_text(std::string_view number, std::string_view field) {
  return cat("quotient(", number, ", p.", field, ", p.factor_", field, ", p.shift_", field, ")");
}

void ConvProblem::fields(KernelText& text, Values& values) const {
  auto field = [&](std::string_view name, int64_t value) {
    text.value(far ? "i64" : "i32", name);
    if (far)
      values.add(value);
    else
      values.add(int32_t(value));
  };
  // With what quotient_text wants.
  auto divisor = [&](const std::string& name, int64_t value) {
    field(name, value);
    const auto d = uint64_t(far ? 1 : std::max<int64_t>(value, 1));  // of 64 bits divided as it is
    const auto shift = uint32_t(std::bit_width(d - 1));
    text.value("u32", cat("factor_", name)).value("u32", cat("shift_", name));
    values.add(uint32_t(((uint64_t(1) << (31 + shift)) + d - 1) / d)).add(shift);
  };
  field("n", n);
  field("groups", groups);
  divisor("in_channels", in_channels);
  field("out_channels", out_channels);
  for (int d = 0; d < 3; ++d) {
    const ConvAxis& a = axes[d];
    const std::string at = cat("_", kAxisNames[d]);
    for (auto [name, value] : std::initializer_list<std::pair<const char*, int64_t>>{{"in", a.in},
                                                                                     {"out", a.out},
                                                                                     {"first", a.first},
                                                                                     {"step", a.step},
                                                                                     {"weight_first", a.weight_first},
                                                                                     {"weight_step", a.weight_step},
                                                                                     {"move", a.move},
                                                                                     {"offset", a.offset},
                                                                                     {"tap_move", a.tap_move},
                                                                                     {"holes", a.holes}})
      field(name + at, value);
    divisor("count" + at, a.count);
    divisor("taps" + at, a.taps);
  }
  for (auto [name, s] : {std::pair<std::string, const ConvStrides&>{"x", x}, {"weight", weight}, {"y", y}}) {
    field(name + "_n", s.first);
    for (int d = 0; d < 3; ++d) field(cat(name, "_", kAxisNames[d]), s.spatial[d]);
    field(name + "_c", s.last);
  }
}

}  // namespace funcnn::gpu
