// The gradient of a convolution by its weight: sums over all places of products of input and cotangent. The places are
// split among groups; what they find is added up in a second launch, in their order.
#include "backends/gpu/conv_depth.h"
#include "backends/gpu/conv_tiles.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// A thread has an element; neighbours have neighbouring channels of the result.
constexpr std::string_view kEach = R"text(
  I rest = I(group.x) * 256 + I(item.x);
  const I channels = p.groups * p.out_channels, width = p.in_channels * #{taps};
  if (rest >= channels * width) return;
  const I channel = rest % channels;
  rest /= channels;
#{tap}
  const u32 split = group.y;
  const Flat index = channel * width + #{dense_tap} * p.in_channels + c;
  x += (channel / p.out_channels * p.in_channels + c) * p.x_c;
  ct += channel * p.y_c;
  const I from = I(split * p.part_places), all = p.n * #{outputs};
  const I end = all - from < p.part_places ? all : from + p.part_places;
  T value = T(0);
  for (I number = from; number < end; ++number) {
    I rest = number;
#{decode}
#{meet}
    if (inside)
      value = fma(load(x[rest * p.x_n + #{x_place}]), load(ct[rest * p.y_n#{y_base}]), value);
  }
#{store}
)text";

constexpr std::string_view kAddParts = R"text(
  const Flat index = Flat(group.x) * 256 + item.x;
  if (index >= Flat(p.count)) return;
  T value = T(0);
  for (i32 i = 0; i < p.parts; ++i) value += found[i * p.count + index];
#{store}
)text";

// The same without tiles.
ConvWeightSplit split_each(const Traits& traits, const ConvProblem& p) {
  const int64_t groups = groups_for(p.groups * p.out_channels * p.in_channels * p.taps(), kThreadsEach);
  return split_places(traits, p, groups, 32);
}

Stage each_stage(Machine& machine, const ConvProblem& p, const ConvWeightSplit& split, const DotResult& result,
                 const Layout& x, const Layout& ct) {
  const ConvText t(p);
  const int64_t elements = p.groups * p.out_channels * p.in_channels * p.taps();
  KernelText text(machine.traits(), cat("conv_weight_each_", type_name(p.dtype), p.holes() ? "_holes" : ""),
                  kThreadsEach);
  read_operand(text, x, "x");
  read_operand(text, ct, "ct");
  std::vector<Place> operands{{0}, {1}};
  size_t read_only = 2;
  if (split.parts == 1) {
    result.declare(text);
    read_only = result.append_to(operands);
  } else {
    text.write(register_type(p.dtype), "found");
    operands.push_back({result.scratch()});
  }
  Values values;
  p.fields(text, values);
  text.value("i64", "part_places").value("i64", "elements");
  values.add(split.part).add(elements);
  text.before(p.types());
  text.body(filled_in(
      kEach,
      {{"taps", t.taps()},
       {"tap", indented(remainder_text("c", "in_channels") + t.decode_tap(), 2)},
       {"dense_tap", t.dense_tap()},
       {"outputs", t.outputs()},
       {"decode", indented(t.decode_output(), 4)},
       {"meet", indented(t.meet(), 4)},
       {"x_place", t.x_place()},
       {"y_base", t.y_base()},
       {"store", indented(split.parts == 1 ? result.statements("value", "index") : std::string(kStorePart), 2)}}));
  Stage stage = one_each(machine.pipeline(text.finish()), elements, std::move(operands), read_only, values);
  stage.groups.y = uint32_t(split.parts);
  return stage;
}

std::unique_ptr<Kernel> make_by_weight(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                       const KernelProgram* epilogue) {
  const Traits& traits = machine.traits();
  const ConvProblem p(static_cast<const ConvPrimitive&>(primitive), in[0], out[0], in[1]);
  const DotResult result(p.dtype, epilogue, 2);
  const bool each = p.out_channels <= 8 || p.in_channels * p.taps() <= 4 || !takes_tiles(p);
  const bool depth = takes_depth_weight(p);
  const ConvWeightSplit split = depth  ? conv_depth_weight_split(traits, p)
                                : each ? split_each(traits, p)
                                       : conv_weight_split(traits, p);
  std::vector<Stage> stages;
  stages.push_back(depth  ? conv_depth_weight_stage(machine, p, split, result, in[0], in[1])
                   : each ? each_stage(machine, p, split, result, in[0], in[1])
                          : conv_weight_tile_stage(machine, p, split, result, in[0], in[1]));
  if (split.parts == 1) return std::make_unique<StagedLaunches>(machine, std::move(stages));

  const std::string type(register_type(p.dtype));
  const int64_t count = element_count(out[0].shape);
  KernelText sum(traits, cat("conv_weight_sum_", type_name(p.dtype)), kThreadsEach);
  sum.read(type, "found");
  result.declare(sum);
  std::vector<Place> operands{{result.scratch()}};
  const size_t read_only = result.append_to(operands);
  Values values;
  sum.value("i64", "count").value("i32", "parts");
  values.add(count).add(int32_t(split.parts));
  sum.before(p.types());
  sum.body(filled_in(kAddParts, {{"store", indented(result.statements("value", "index"), 2)}}));
  stages.push_back(one_each(machine.pipeline(sum.finish()), count, std::move(operands), read_only, values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages),
                                          size_t(split.parts * count) * (p.dtype == Dtype::float64 ? 8 : 4));
}

bool takes_epilogue(const Primitive&, const Shape&, const KernelProgram&) { return true; }

const RegisterKernel by_weight_kernel("conv_weight_gradient", make_by_weight, takes_epilogue);

}  // namespace
}  // namespace funcnn::gpu
