// dot where one operand has few rows: each element of the other is read once.
#include "backends/gpu/dot_few.h"

#include <algorithm>

#include "backends/gpu/dot_kernels.h"
#include "base/error.h"

namespace funcnn::gpu {

FewVectors::FewVectors(const DotProblem& p) : k(p.k), of_a(p.m <= p.n) {
  vectors = of_a ? p.m : p.n;
  outer = of_a ? p.n : p.m;
  x_vector = of_a ? p.a.row : p.b.column;
  x_depth = of_a ? p.a.column : p.b.row;
  w_outer = of_a ? p.b.column : p.a.row;
  w_depth = of_a ? p.b.row : p.a.column;
  slots = vectors <= 1 ? 1 : vectors <= 2 ? 2 : vectors <= 4 ? 4 : 8;
  along_depth = w_outer != 1 || (w_depth == 1 && k > 1);
}

FewForm::FewForm(const Traits& traits, const DotProblem& p, const FewVectors& f) {
  const int64_t cores = traits.cores;
  const int item = int(item_size(p.dtype)), sum = std::max(4, item);
  each = 16 / item;
  steps = f.slots <= 2 ? 8 : 4;
  across = 32;
  rows = f.slots <= 2 ? 4 : 2;
  int64_t work;  // bytes of the matrix that are a group's
  if (f.along_depth) {
    most_warps = 4;
    while (rows > 1 && f.outer * p.batches < 8 * cores * rows) rows /= 2;
    steps = std::min(steps / rows, 16 / f.slots);
    while (steps > 1 && 32 * each * steps / 2 >= f.k) steps /= 2;
    together = each;
    warps = most_warps;
    blocks = groups_for(f.outer, warps * rows);
    work = f.k * warps * rows * item;
  } else {
    auto groups = [&] { return groups_for(f.outer, across * each) * p.batches; };
    auto room = [&] { return f.slots * each * across * sum; };  // of a warp's sums
    while (across > 2 && (room() > 2048 || groups() * 3 < cores * 2)) across /= 2;
    most_warps = std::min(f.slots >= 4 ? 8 : 16, 16384 / room());
    while (steps > 1 && 32 / across * steps / 2 >= f.k) steps /= 2;
    together = std::min(steps, each);
    blocks = groups_for(f.outer, across * each);
    work = f.k * across * each * item;
  }
  // Parts need a second kernel: only where few groups would read much each.
  parts = std::clamp<int64_t>(std::min(cores / std::max<int64_t>(1, blocks * p.batches), work >> 17), 1, 32);
  const int64_t step = f.along_depth ? 32 * each : steps;
  part = groups_for(groups_for(f.k, parts), step) * step;
  parts = groups_for(f.k, part);
  if (!f.along_depth) {
    const int64_t lines = 32 / across * steps, turns = groups_for(part, most_warps * lines);
    warps = groups_for(part, turns * lines);
  }
}

std::unique_ptr<Kernel> make_dot_few(Machine& machine, const DotProblem& p, const DotResult& result) {
  const FewVectors f(p);
  const FewForm form(machine.traits(), p, f);
  const int64_t parts = form.parts;

  KernelText text(machine.traits(), f.along_depth ? "dot_few_along_depth" : "dot_few_along_outer",
                  uint32_t(form.most_warps) * 32);
  p.declare_inputs(text);
  if (parts > 1)
    text.write(register_type(p.dtype), "parts");
  else
    result.declare(text);
  text.value("u32", "vectors").value("u32", "outer").value("u32", "k").value("u32", "blocks");
  text.value("u32", "vector_step").value("u32", "outer_step").value("u32", "wide_x").value("u32", "wide_w");
  if (parts > 1) text.value("u32", "parts").value("u32", "part").value("i64", "count");
  for (const char* name : {"x_vector", "x_depth", "w_outer", "w_depth"}) text.value(p.index, name);
  p.declare_values(text);
  Values values;
  values.add(uint32_t(f.vectors)).add(uint32_t(f.outer)).add(uint32_t(f.k)).add(uint32_t(form.blocks));
  values.add(uint32_t(f.of_a ? p.n : 1)).add(uint32_t(f.of_a ? 1 : p.n));
  const size_t wide_at = values.bytes().size();
  values.add(uint32_t(p.whole_packs(f.x_depth, f.vectors > 1 ? f.x_vector : 0, f.of_a, form.together)));
  values.add(uint32_t(f.along_depth
                          ? p.whole_packs(f.w_depth, f.w_outer, !f.of_a, form.each)
                          : f.outer % form.each == 0 && p.whole_packs(f.w_outer, f.w_depth, !f.of_a, form.each)));
  if (parts > 1) values.add(uint32_t(parts)).add(uint32_t(form.part)).add(p.count());
  for (int64_t s : {f.x_vector, f.x_depth, f.w_outer, f.w_depth})
    p.index == "i64" ? values.add(s) : values.add(int32_t(s));
  p.add_values(values);

  if (p.dtype == Dtype::complex64) text.use(Section::complex);
  const FewText few = few_text(p, f, form);
  text.before(few.before);
  text.body("  const u32 block = group.x % p.blocks;\n  u32 batch = group.x / p.blocks;\n");
  if (parts > 1)
    text.body(R"text(  const u32 part_number = batch % p.parts;
  const u32 part_begin = part_number * p.part;
  batch /= p.parts;
)text");
  text.body("  const i64 product = batch;\n").body(p.place_text());
  text.body(parts > 1 ? "  const u32 begin = max(first, part_begin), end = min(last, part_begin + p.part);\n"
                      : "  const u32 begin = first, end = last;\n");
  text.body(cat("  DEVICE const T* const vectors = ", f.x(), " + at_", f.x(), ";\n"));
  text.body(cat("  DEVICE const T* const matrix = ", f.w(), " + at_", f.w(), ";\n"));
  text.body(few.body);
  const bool far = p.count() >= int64_t(1) << 31;
  text.body(far ? "    const i64 index = product * p.vectors * p.outer + i64(vector) * p.vector_step + i64(outer) * "
                  "p.outer_step;\n    "
                : "    const u32 index = u32(product) * p.vectors * p.outer + vector * p.vector_step + outer * "
                  "p.outer_step;\n    ");
  text.body(parts > 1 ? "parts[part_number * p.count + index] = value;" : result.statements("value", "index"));
  text.body("\n  }\n");

  Stage stage{machine.pipeline(text.finish()),
              {uint32_t(form.blocks * p.batches * parts)},
              {uint32_t(form.warps) * 32},
              p.input_places(),
              p.inputs.size(),
              values.bytes(),
              {{f.of_a ? 0 : 1, wide_at}, {f.of_a ? 1 : 0, wide_at + 4}}};
  return in_parts(machine, p, result, std::move(stage), parts);
}

}  // namespace funcnn::gpu
