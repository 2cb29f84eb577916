// The kernel of segments_spread.
#include <algorithm>

#include "backends/gpu/dense.h"
#include "backends/gpu/operand.h"

namespace funcnn::gpu {
namespace {

// Where a segment begins and ends within the inner axis; one that stops before it starts is empty.
constexpr std::string_view kBounds =
    R"text(FUNCTION i64 first_of(DEVICE const i64* segment, i64 inner) { return min(max(segment[0], i64(0)), inner); }
FUNCTION i64 end_of(DEVICE const i64* segment, i64 inner) { return min(max(segment[1], i64(0)), inner); }
)text";

std::unique_ptr<Kernel> make_spread(Machine& machine, const Primitive&, Layouts inputs, Layouts out,
                                    const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  const int64_t count = element_count(out[0].shape);
  if (count == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs, [&](Layouts in) -> std::unique_ptr<Kernel> {
    const Dtype dtype = out[0].dtype;
    const size_t r = in[1].shape.size();
    KernelText text(machine.traits(), "segments_spread_small", kThreadsEach);
    read_operand(text, in[0], "c");
    read_operand(text, in[1], "b");
    text.read("i64", "segments").write(type_name(dtype), "out");
    text.value("i64", "count").value("i64", "m").value("i64", "n").value("i64", "k").value("i64", "each");
    text.before(kBounds);
    text.body(filled_in(R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
  const i64 inner = index % p.k, row = index / p.k % p.m, batch = index / p.k / p.m;
  #{S} value = 0;
  for (i64 number = batch * p.each; number < (batch + 1) * p.each; ++number) {
    DEVICE const i64* segment = segments + 2 * number;
    if (inner < first_of(segment, p.k) || inner >= end_of(segment, p.k)) continue;
    for (i64 i = 0; i < p.n; ++i) {
      const #{S} x = load(c[(number * p.m + row) * p.n + i]), y = load(b[(batch * p.k + inner) * p.n + i]);
      #{add}
    }
  }
  out[index] = #{value};
)text",
                        {{"S", register_type(dtype)},
                         {"add", multiply_add(dtype, "value", "x", "y")},
                         {"value", narrowed(dtype, "value")}}));
    Values values;
    values.add(count).add(out[0].shape[r - 2]).add(in[1].shape[r - 1]).add(in[1].shape[r - 2]);
    values.add(in[2].shape[r - 2]);
    std::vector<Stage> stages;
    stages.push_back(one_each(machine.pipeline(text.finish()), count, {{0}, {1}, {2}, {3}}, 3, values));
    return std::make_unique<StagedLaunches>(machine, std::move(stages));
  });
}

const RegisterKernel registered("segments_spread", make_spread);

}  // namespace
}  // namespace funcnn::gpu
