// Convolutions: products of tiles, or, of few channels, an element a thread; of single channels, some elements.
#include "backends/gpu/conv_depth.h"
#include "backends/gpu/conv_tiles.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr std::string_view kEach = R"text(
  I rest = I(group.x) * 256 + I(item.x);
  const I channels = p.groups * p.out_channels;
  if (rest >= p.n * #{outputs} * channels) return;
  const I channel = rest % channels;
  rest /= channels;
#{decode}
  x += rest * p.x_n + channel / p.out_channels * p.in_channels * p.x_c;
  weight += channel * p.weight_n;
  const Flat index = #{y_place} * channels + channel;
  T value = T(0);
#{loops}
  {
#{meet}
    if (inside) {
      const I x_at = #{x_place}, weight_at = #{weight_place};
      for (I c = 0; c < p.in_channels; ++c) value = fma(load(x[x_at + c * p.x_c]), load(weight[weight_at + c * p.weight_c]), value);
    }
  }
#{store}
)text";

Stage each_stage(Machine& machine, const ConvProblem& p, const DotResult& result, const Layout& x,
                 const Layout& weight) {
  const ConvText t(p);
  KernelText text(machine.traits(), cat("conv_each_", type_name(p.dtype), p.holes() ? "_holes" : ""), kThreadsEach);
  read_operand(text, x, "x");
  read_operand(text, weight, "weight");
  result.declare(text);
  std::vector<Place> operands{{0}, {1}};
  const size_t read_only = result.append_to(operands);
  Values values;
  p.fields(text, values);
  text.before(p.types());
  text.body(filled_in(kEach, {{"outputs", t.outputs()},
                              {"decode", indented(t.decode_output(), 2)},
                              {"y_place", t.output_place()},
                              {"loops", indented(t.tap_loops(), 2)},
                              {"meet", indented(t.meet(), 4)},
                              {"x_place", t.x_place()},
                              {"weight_place", t.weight_place()},
                              {"store", indented(result.statements("value", "index"), 2)}}));
  return one_each(machine.pipeline(text.finish()), p.n * p.outputs() * p.groups * p.out_channels, std::move(operands),
                  read_only, values);
}

std::unique_ptr<Kernel> make_forward(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                     const KernelProgram* epilogue) {
  const ConvProblem problem(static_cast<const ConvPrimitive&>(primitive), in[0], in[1], out[0]);
  const DotResult result(problem.dtype, epilogue, 2);
  std::vector<Stage> stages;
  for (const ConvProblem& p : problem.phases()) {
    // Few channels would leave most of a tile empty.
    const bool each = p.out_channels <= 8 || !takes_tiles(p);
    stages.push_back(takes_depth(p) ? conv_depth_stage(machine, p, result, in[0], in[1])
                     : each         ? each_stage(machine, p, result, in[0], in[1])
                                    : conv_tile_stage(machine, p, result, in[0], in[1]));
  }
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

// Any: outputs that a launch computes are all that its epilogue sees, and it sees each once.
bool takes_epilogue(const Primitive&, const Shape&, const KernelProgram&) { return true; }

const RegisterKernel forward_kernel("conv_general", make_forward, takes_epilogue);

}  // namespace
}  // namespace funcnn::gpu
