// Windows added where they come from: a thread sums what covers an element, windows and their places in order.
#include "ops/windows.h"

#include "backends/gpu/operand.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

std::unique_ptr<Kernel> make_sum_windows(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                         const KernelProgram*) {
  auto& op = static_cast<const SumWindows&>(primitive);
  const size_t spatial = op.window().size();
  const Dtype dtype = out[0].dtype;
  const int64_t count = element_count(out[0].shape);
  if (count == 0) return std::make_unique<StagedLaunches>(machine, std::vector<Stage>());
  const bool far = index_type({&in[0], &out[0]}) == "i64" || count > INT32_MAX - int64_t(kThreadsEach);
  const std::string index = far ? "i64" : "i32";
  KernelText text(machine.traits(), cat("sum_windows_", type_name(dtype)), kThreadsEach);
  read_operand(text, in[0], "x").write(type_name(dtype), "y");
  Values values;
  auto field = [&](std::string_view name, int64_t value) {
    text.value(index, name);
    if (far)
      values.add(value);
    else
      values.add(int32_t(value));
  };
  field("count", count);
  field("channels", out[0].shape.back());
  field("x_n", in[0].strides[0]);
  field("x_c", in[0].strides.back());
  std::string decode, cover, loops, place = "example + ";
  for (size_t d = spatial; d-- > 0;) {
    field(cat("length", d), out[0].shape[d + 1]);
    field(cat("windows", d), in[0].shape[d + 1]);
    field(cat("window", d), op.window()[d]);
    field(cat("stride", d), op.stride()[d]);
    field(cat("x_window", d), in[0].strides[d + 1]);
    field(cat("x_place", d), in[0].strides[d + 1 + spatial]);
    decode += cat("  const I at", d, " = rest % p.length", d, ";\n  rest /= p.length", d, ";\n");
  }
  for (size_t d = 0; d < spatial; ++d) {
    cover += filled_in(
        "  const I last#{d} = at#{d} / p.stride#{d} < p.windows#{d} ? at#{d} / p.stride#{d} : p.windows#{d} - 1;\n"
        "  const I first#{d} = at#{d} < p.window#{d} ? 0 : (at#{d} - p.window#{d}) / p.stride#{d} + 1;\n",
        {{"d", std::to_string(d)}});
    loops += filled_in("  for (I n#{d} = first#{d}; n#{d} <= last#{d}; ++n#{d})\n", {{"d", std::to_string(d)}});
    place += filled_in("#{plus}n#{d} * p.x_window#{d} + (at#{d} - n#{d} * p.stride#{d}) * p.x_place#{d}",
                       {{"d", std::to_string(d)}, {"plus", d ? " + " : ""}});
  }
  const std::string sum = dtype == Dtype::complex64
                              ? "{\n    const c64 part = x[at];\n    sum.re += part.re;\n    sum.im += part.im;\n  }\n"
                              : "sum = plus(sum, load(x[at]));\n";
  text.before(cat("typedef ", index, " I;\n"));
  text.body(
      cat("  I rest = I(group.x) * 256 + I(item.x);\n"
          "  const I index = rest;\n"
          "  if (rest >= p.count) return;\n"
          "  const I c = rest % p.channels;\n"
          "  rest /= p.channels;\n",
          decode, "  const I example = rest * p.x_n + c * p.x_c;\n", cover, "  ", register_type(dtype),
          " sum = ", zero_of(dtype), ";\n", loops, "  {\n    const I at = ", place, ";\n    ", sum, "  }\n",
          "  y[index] = ", narrowed(dtype, "sum"), ";\n"));
  std::vector<Stage> stages{one_each(machine.pipeline(text.finish()), count, {{0}, {1}}, 1, values)};
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

const RegisterKernel sum_windows_kernel("sum_windows", make_sum_windows);

}  // namespace
}  // namespace funcnn::gpu
