// The kernels of dot and segmented_dot, and which way products go.
#include <algorithm>

#include "backends/gpu/dense.h"
#include "backends/gpu/dot_kernels.h"
#include "base/error.h"

namespace funcnn::gpu {

std::unique_ptr<Kernel> make_dot_small(Machine& machine, const DotProblem& p, const DotResult& result) {
  KernelText text(machine.traits(), "dot_small", kThreadsEach);
  p.declare_inputs(text);
  result.declare(text);
  std::string_view number = p.count() < int64_t(1) << 31 ? "u32" : "i64";
  text.value("i64", "count").value("u32", "m").value("u32", "n").value("u32", "k");
  for (const char* name : {"a_row", "a_column", "b_row", "b_column"}) text.value("i64", name);
  p.declare_values(text);
  if (p.dtype == Dtype::complex64) text.use(Section::complex);
  text.body(filled_in(R"text(  const #{number} index = #{number}(group.x) * 256 + item.x;
  if (index >= #{number}(p.count)) return;
  const u32 column = u32(index % p.n);
  const u32 row = u32(index / p.n % p.m);
  u32 batch = u32(index / p.n / p.m);
#{offsets}  DEVICE const #{T}* x = a + (at_a + i64(row) * p.a_row);
  DEVICE const #{T}* y = b + (at_b + i64(column) * p.b_column);
  const #{I} x_step = #{I}(p.a_column), y_step = #{I}(p.b_row);
  #{S} value = #{zero};
  for (u32 i = first; i < last; ++i) {
    const #{S} x_i = load(x[#{I}(i) * x_step]), y_i = load(y[#{I}(i) * y_step]);
    #{add}
  }
  #{store})text",
                      {{"number", number},
                       {"offsets", p.place_text()},
                       {"T", type_name(p.dtype)},
                       {"I", p.index},
                       {"S", register_type(p.dtype)},
                       {"zero", zero_of(p.dtype)},
                       {"add", multiply_add(p.dtype, "value", "x_i", "y_i")},
                       {"store", result.statements("value", "index")}}));
  Values values;
  values.add(p.count()).add(uint32_t(p.m)).add(uint32_t(p.n)).add(uint32_t(p.k));
  values.add(p.a.row).add(p.a.column).add(p.b.row).add(p.b.column);
  p.add_values(values);
  std::vector<Place> operands = p.input_places();
  const size_t read_only = result.append_to(operands);
  std::vector<Stage> stages;
  stages.push_back(one_each(machine.pipeline(text.finish()), p.count(), std::move(operands), read_only, values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

namespace {

std::unique_ptr<Kernel> make_dot(Machine& machine, const Primitive&, Layouts inputs, Layouts outputs,
                                 const KernelProgram* epilogue) {
  if (element_count(outputs[0].shape) == 0) return nothing(machine);
  auto make = [&](Layouts in) { return make_products(machine, DotProblem::batched(in), epilogue); };
  return any_backwards(inputs) ? with_dense_inputs(machine, inputs, make) : make(inputs);
}
std::unique_ptr<Kernel> make_segmented(Machine& machine, const Primitive&, Layouts inputs, Layouts outputs,
                                       const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  if (element_count(outputs[0].shape) == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs,
                           [&](Layouts dense) { return make_products(machine, DotProblem::segments(dense), nullptr); });
}

bool takes_epilogue(const Primitive&, const Shape&, const KernelProgram& epilogue) {
  return epilogue.operand_count <= 20;
}

const RegisterKernel registered[] = {{"dot", make_dot, takes_epilogue}, {"segmented_dot", make_segmented}};

}  // namespace

std::unique_ptr<Kernel> make_products(Machine& machine, const DotProblem& p, const KernelProgram* epilogue) {
  const DotResult result(p.dtype, epilogue, p.inputs.size());
  if (p.k == 0) throw Error("dot: sums of nothing are constants");
  if (suits_grouping(p)) return make_grouped_tiles(machine, p, result);
  if (p.quantized) {
    if (p.dtype == Dtype::float64) return make_quantized_small(machine, p, result);
    if (p.m <= kFewRows && p.quantized->transpose) return make_quantized_few(machine, p, result);
    return p.m * p.n * p.k < 32768 ? make_quantized_small(machine, p, result) : make_dot_tiles(machine, p, result);
  }
  const bool inexact = is_inexact(p.dtype);
  const int64_t less = std::min(p.m, p.n), more = std::max(p.m, p.n);
  if (inexact && less <= kFewRows && more * p.k >= 4096) return make_dot_few(machine, p, result);
  if (inexact && less > kFewRows && more * p.k * less >= 32768) return make_dot_tiles(machine, p, result);
  return make_dot_small(machine, p, result);
}

}  // namespace funcnn::gpu
