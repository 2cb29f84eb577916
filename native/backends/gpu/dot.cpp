// The kernel of dot.
#include <algorithm>

#include "backends/gpu/dot_problem.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

std::vector<Place> joined(std::vector<Place> a, const std::vector<Place>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Small products: each thread computes an element.
std::unique_ptr<Kernel> make_plain(Machine& machine, const DotProblem& p, const DotResult& result) {
  KernelText text(machine.traits(), "dot_small", kThreadsEach);
  read_operand(text, p.left, "a");
  read_operand(text, p.right, "b");
  result.declare(text);
  std::string_view number = p.count() < int64_t(1) << 31 ? "u32" : "i64";
  text.value("i64", "count").value("u32", "m").value("u32", "n").value("u32", "k");
  for (const char* name : {"a_row", "a_column", "b_row", "b_column"}) text.value("i64", name);
  p.declare_batch(text);
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
  for (u32 i = 0; i < p.k; ++i) {
    const #{S} x_i = load(x[#{I}(i) * x_step]), y_i = load(y[#{I}(i) * y_step]);
    #{add}
  }
  #{store})text",
                      {{"number", number},
                       {"offsets", p.batch_offsets()},
                       {"T", type_name(p.dtype)},
                       {"I", p.index},
                       {"S", register_type(p.dtype)},
                       {"zero", zero_of(p.dtype)},
                       {"add", multiply_add(p.dtype, "value", "x_i", "y_i")},
                       {"store", result.statements("value", "index")}}));
  Values values;
  values.add(p.count()).add(uint32_t(p.m)).add(uint32_t(p.n)).add(uint32_t(p.k));
  values.add(p.a.row).add(p.a.column).add(p.b.row).add(p.b.column);
  p.add_batch(values);
  std::vector<Place> reads = joined({{0}, {1}}, result.reads());
  size_t read_only = reads.size();
  std::vector<Stage> stages;
  stages.push_back(one_each(machine.pipeline(text.finish()), p.count(), joined(std::move(reads), result.writes()),
                            read_only, values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

// Sums of nothing: there may be no memory to read.
std::unique_ptr<Kernel> make_zero(Machine& machine, const DotProblem& p, const DotResult& result) {
  KernelText text(machine.traits(), "dot_of_nothing", kThreadsEach);
  result.declare(text);
  text.value("i64", "count");
  if (p.dtype == Dtype::complex64) text.use(Section::complex);
  text.body(filled_in(
      R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
  const #{S} value = #{zero};
  #{store})text",
      {{"S", register_type(p.dtype)}, {"zero", zero_of(p.dtype)}, {"store", result.statements("value", "index")}}));
  std::vector<Place> reads = result.reads();
  size_t read_only = reads.size();
  std::vector<Stage> stages;
  stages.push_back(one_each(machine.pipeline(text.finish()), p.count(), joined(std::move(reads), result.writes()),
                            read_only, Values().add(p.count())));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

std::unique_ptr<Kernel> make_dot(Machine& machine, const Primitive&, Layouts inputs, Layouts outputs,
                                 const KernelProgram* epilogue) {
  if (element_count(outputs[0].shape) == 0) return std::make_unique<StagedLaunches>(machine, std::vector<Stage>{});
  DotProblem p(inputs[0], inputs[1]);
  DotResult result(p.dtype, epilogue);
  if (p.k == 0) return make_zero(machine, p, result);
  return make_plain(machine, p, result);
}

const RegisterKernel registered("dot", make_dot);

}  // namespace
}  // namespace funcnn::gpu
