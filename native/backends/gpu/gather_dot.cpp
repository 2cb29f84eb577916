// The kernels of gather_dot and scatter_dot.
#include <algorithm>

#include "backends/gpu/dense.h"
#include "backends/gpu/dot_kernels.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// A matrix operand (count, rows, columns): its strides as values NAME_item, NAME_row and NAME_column.
void declare_strides(KernelText& text, std::string_view name) {
  for (const char* axis : {"_item", "_row", "_column"}) text.value("i64", cat(name, axis));
}
void add_strides(Values& values, const Layout& l) { values.add(l.strides[0]).add(l.strides[1]).add(l.strides[2]); }

std::unique_ptr<Kernel> make_gather_dot(Machine& machine, const Primitive&, Layouts in, Layouts out,
                                        const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  if (element_count(out[0].shape) == 0) return nothing(machine);
  auto make = [&](Layouts inputs) { return make_products(machine, DotProblem::chosen(inputs), nullptr); };
  return any_backwards(in) ? with_dense_inputs(machine, in, make) : make(in);
}

std::unique_ptr<Kernel> make_scatter(Machine& machine, Layouts in, Layouts out) {
  int64_t count = element_count(out[0].shape);
  if (count == 0) return nothing(machine);
  const Dtype dtype = out[0].dtype;
  const int64_t depth = in[0].shape[1] * in[2].shape[0];
  if (out[0].shape[1] > 8 && out[0].shape[2] > 8 && count * std::max<int64_t>(depth, 1) >= 32768 &&
      depth < int64_t(1) << 31 && depth > 0)
    return make_scatter_tiles(machine, in, out[0]);
  KernelText text(machine.traits(), "scatter_dot_small", kThreadsEach);
  const char* names[] = {"a", "c", "lhs", "rhs", "to"};
  for (size_t i = 0; i < 5; ++i) read_operand(text, in[i], names[i]);
  text.write(type_name(dtype), "out");
  text.value("i64", "count").value("u32", "m").value("u32", "n").value("u32", "k").value("u32", "items");
  text.value("i64", "a_count").value("i64", "c_count");
  text.value("i64", "lhs_step").value("i64", "rhs_step").value("i64", "to_step");
  declare_strides(text, "a");
  declare_strides(text, "c");
  if (dtype == Dtype::complex64) text.use(Section::complex);
  text.body(filled_in(R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
  const u32 column = u32(index % p.n);
  const u32 row = u32(index / p.n % p.k);
  const i64 target = index / p.n / p.k;
  #{S} value = #{zero};
  for (u32 number = 0; number < p.items; ++number) {
    if (to[i64(number) * p.to_step] != target) continue;
    const i64 left = lhs[i64(number) * p.lhs_step], right = rhs[i64(number) * p.rhs_step];
    // What is not there adds nothing.
    if (left < 0 || left >= p.a_count || right < 0 || right >= p.c_count) continue;
    DEVICE const #{T}* x = a + (left * p.a_item + i64(row) * p.a_column);
    DEVICE const #{T}* y = c + (right * p.c_item + i64(column) * p.c_column);
    for (u32 i = 0; i < p.m; ++i) {
      const #{S} x_i = load(x[i64(i) * p.a_row]), y_i = load(y[i64(i) * p.c_row]);
      #{add}
    }
  }
  out[index] = #{value};
)text",
                      {{"T", type_name(dtype)},
                       {"S", register_type(dtype)},
                       {"zero", zero_of(dtype)},
                       {"add", multiply_add(dtype, "value", "x_i", "y_i")},
                       {"value", narrowed(dtype, "value")}}));
  Values values;
  values.add(count).add(uint32_t(in[0].shape[1])).add(uint32_t(in[1].shape[2])).add(uint32_t(in[0].shape[2]));
  values.add(uint32_t(in[2].shape[0])).add(in[0].shape[0]).add(in[1].shape[0]);
  values.add(in[2].strides[0]).add(in[3].strides[0]).add(in[4].strides[0]);
  add_strides(values, in[0]);
  add_strides(values, in[1]);
  std::vector<Stage> stages;
  stages.push_back(one_each(machine.pipeline(text.finish()), count, {{0}, {1}, {2}, {3}, {4}, {5}}, 5, values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

std::unique_ptr<Kernel> make_scatter_dot(Machine& machine, const Primitive&, Layouts in, Layouts out,
                                         const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  auto make = [&](Layouts inputs) { return make_scatter(machine, inputs, out); };
  return any_backwards(in) ? with_dense_inputs(machine, in, make) : make(in);
}

const RegisterKernel registered[] = {{"gather_dot", make_gather_dot}, {"scatter_dot", make_scatter_dot}};

}  // namespace
}  // namespace funcnn::gpu
