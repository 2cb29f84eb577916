#include "backends/gpu/fft_prepare.h"

#include "backends/gpu/nest.h"
#include "base/error.h"

namespace funcnn::gpu {

std::unique_ptr<Kernel> make_fft_operand(Machine& machine, const Fft& op, const Layout& in) {
  const bool complex = in.dtype == Dtype::complex64, half = op.fft_kind() == FftKind::half_to_real;
  Shape lengths = in.shape;
  Strides from = in.strides, place(lengths.size(), 0);
  // What is a step along the axis of the transform is one along no other: it stays an axis.
  if (half) place[size_t(op.axis())] = 1;
  merge_axes(lengths, {&from, &place});
  const bool wide = needs_wide(in);
  const Nest nest(lengths, wide);
  KernelText text(machine.traits(), "fft_operand", Nest::kThreads);
  if (complex) text.use(Section::complex);
  const std::string type(type_name(in.dtype));
  declare_read(text, in, type, "x");
  text.write(type, "out");
  Numbers numbers(wide);
  numbers.add(text, nest);
  std::string k = "0";
  for (size_t d = 0; d < from.size(); ++d) {
    numbers.add(text, cat("stride", d), from[d]);
    if (place[d]) k = cat("i", d);
  }
  if (half) numbers.add(text, "length", op.length());
  text.value("f32", "scale");
  std::vector<std::byte> values = numbers.bytes();
  const auto scale = float(op.scale());
  const auto* bytes = reinterpret_cast<const std::byte*>(&scale);
  values.insert(values.end(), bytes, bytes + sizeof(scale));
  std::string body = cat("    const ", type, " value = x[", offset_text("stride", 0, from.size()), "];\n    out[",
                         nest.flat(), "] = ");
  if (!complex)
    body += "value * p.scale;\n";
  else if (!half)
    body += "c64{value.re * p.scale, value.im * p.scale};\n";
  else
    body += cat("c64{value.re * p.scale, ", k, " == 0 || 2 * ", k, " == p.length ? 0.0f : value.im * p.scale};\n");
  text.body(nest.around(body));
  std::vector<Stage> stages{stage_of(machine, text, nest.groups(), nest.threads(), {{0, 0}, {1, 0}}, 1, values)};
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

}  // namespace funcnn::gpu
