// Products of chosen matrices where many items of few rows meet each matrix: the rows of all of them become tiles.
#include <algorithm>

#include "backends/gpu/dot_kernels.h"
#include "backends/gpu/grouped.h"
#include "base/error.h"

namespace funcnn::gpu {

bool suits_grouping(const DotProblem& p) {
  if (p.kind != DotProblem::Kind::chosen || p.m >= 32 || p.dtype == Dtype::float64) return false;
  const int64_t rows = p.batches * p.m, matrices = p.inputs[1].shape[0];
  return rows >= 32 && rows >= 4 * matrices && p.n * p.k >= 1024 && rows < int64_t(1) << 31;
}

std::unique_ptr<Kernel> make_grouped_tiles(Machine& machine, const DotProblem& p, const DotResult& result) {
  const Traits& traits = machine.traits();
  const Dtype stored = tile_dtype(p);
  const int64_t matrices = p.inputs[1].shape[0];
  const TileShape shape = choose_tiles(
      traits, stored, std::max<int64_t>(1, p.batches * p.m / std::max<int64_t>(1, matrices)), p.n, matrices);
  const TileText tiles(traits, stored, shape);
  const size_t lhs = p.inputs.size() - 2, rhs = p.inputs.size() - 1;
  const Grouping grouping{
      .items = p.batches,
      .matrices = matrices,
      .rows = p.m,
      .tile = shape.m,
      .number =
          "const i64 left = lhs[i64(i) * p.lhs_step], right = rhs[i64(i) * p.rhs_step];\n"
          "    const u32 number = left >= 0 && left < p.a_count && right >= 0 && right < i64(p.matrices) "
          "? u32(right) : p.matrices;",
      .operands = {{p.inputs[lhs], "lhs"}, {p.inputs[rhs], "rhs"}},
      .places = {{int(lhs)}, {int(rhs)}},
      .values = {{"lhs_step", p.inputs[lhs].strides[0]},
                 {"rhs_step", p.inputs[rhs].strides[0]},
                 {"a_count", p.inputs[0].shape[0]}},
      .scratch = result.scratch()};

  KernelText text(traits, "dot_grouped_tiles", shape.threads());
  p.declare_inputs(text);
  text.read("u32", "order").read("u32", "tile_table");
  result.declare(text);
  const int64_t tiles_n = groups_for(p.n, shape.n), each = tiles.pack();
  text.value("u32", "m").value("u32", "n").value("u32", "k").value("u32", "tiles_n").value("u32", "matrices");
  text.value("u32", "wide_a").value("u32", "wide_b");
  Values values;
  values.add(uint32_t(p.m)).add(uint32_t(p.n)).add(uint32_t(p.k)).add(uint32_t(tiles_n)).add(uint32_t(matrices));
  const bool b_along = p.b.row == 1 && p.b.column != 1;
  const size_t wide_at = values.bytes().size();
  values.add(uint32_t(p.whole_packs(p.a.column, p.m > 1 ? p.a.row : 0, true, each)));
  values.add(uint32_t(p.quantized ? true
                      : b_along   ? p.whole_packs(p.b.row, p.b.column, false, each)
                                  : p.whole_packs(p.b.column, p.b.row, false, each)));
  for (const char* name : {"a_item", "a_row", "a_column", "b_item", "b_row", "b_column", "lhs_step", "columns"})
    text.value("i64", name);
  for (int64_t step : {p.axes[0].a, p.a.row, p.a.column, p.axes[0].b, p.b.row, p.b.column, p.inputs[lhs].strides[0],
                       p.quantized ? p.quantized->columns : 0})
    values.add(step);

  const TileOperand a = tiles.operand("a", {.pointer = "a",
                                            .dtype = p.dtype,
                                            .along_depth = true,
                                            .place = "(place_a[local] + i64(d) * p.a_column)",
                                            .index = "i64",
                                            .step = "p.a_column",
                                            .count = "end_row",
                                            .wide = "p.wide_a",
                                            .origin = "row0"});
  const TileOperand b = p.quantized ? quantized_operand(tiles, p, "p.wide_b")
                                    : tiles.operand("b", {.pointer = "b_matrix",
                                                          .dtype = p.dtype,
                                                          .along_depth = b_along,
                                                          .place = "(i64(outer) * p.b_column + i64(d) * p.b_row)",
                                                          .index = "i64",
                                                          .step = b_along ? "p.b_row" : "p.b_column",
                                                          .count = "p.n",
                                                          .wide = "p.wide_b",
                                                          .origin = "column0"});
  std::string before = filled_in(
      R"text(  SHARED i64 place_a[#{m}];
  SHARED u32 place_out[#{m}];
  const u32 tile_number = group.x / p.tiles_n, column0 = group.x % p.tiles_n * #{n};
  if (tile_number >= tile_table[0]) return;
  const u32 matrix = tile_table[1 + 3 * tile_number];
  const u32 row0 = tile_table[2 + 3 * tile_number], end_row = tile_table[3 + 3 * tile_number];
  // Items of no matrix are zeros.
  const u32 begin = 0, end = matrix < p.matrices ? p.k : 0;
  const i64 at_b = end ? i64(matrix) * p.b_item : 0;
  for (u32 r = item.x; r < #{m}; r += #{threads}) {
    const u32 row = min(row0 + r, end_row - 1), i = order[row / p.m], part = row % p.m;
    place_a[r] = end ? lhs[i64(i) * p.lhs_step] * p.a_item + i64(part) * p.a_row : 0;
    place_out[r] = i * p.m + part;
  }
  BARRIER();
)text",
      {{"m", std::to_string(shape.m)}, {"n", std::to_string(shape.n)}, {"threads", std::to_string(shape.threads())}});
  if (!p.quantized) before += cat("  DEVICE const ", type_name(p.dtype), "* const b_matrix = b + at_b;\n");
  const std::string_view number = p.count() < int64_t(1) << 31 ? "u32" : "i64";
  tiles.write(text, a, b, before, "row < end_row && column < p.n",
              cat("const ", number, " index = ", number, "(place_out[row - row0]) * p.n + column;\n    ",
                  result.statements("value", "index")));

  std::vector<Stage> stages = grouping.stages(machine);
  Stage stage{machine.pipeline(text.finish()),
              {uint32_t(grouping.most_tiles() * tiles_n)},
              {shape.threads()},
              p.input_places(),
              0,
              values.bytes(),
              {{0, wide_at}, {1, wide_at + 4}}};
  stage.operands.push_back(grouping.order());
  stage.operands.push_back(grouping.tiles());
  stage.read_only = result.append_to(stage.operands);
  stages.push_back(std::move(stage));
  return std::make_unique<StagedLaunches>(machine, std::move(stages), grouping.bytes());
}

// out[to[i]] += a[lhs[i]].T @ c[rhs[i]]: the rows of all items of a target are the depth of its product.
std::unique_ptr<Kernel> make_scatter_tiles(Machine& machine, Layouts in, const Layout& out) {
  const Traits& traits = machine.traits();
  const Dtype dtype = out.dtype;
  const int64_t count = out.shape[0], k = out.shape[1], n = out.shape[2], m = in[0].shape[1];
  const TileShape shape = choose_tiles(traits, dtype, k, n, count);
  const TileText tiles(traits, dtype, shape);
  const Grouping grouping{
      .items = in[2].shape[0],
      .matrices = count,
      .rows = m,
      .tile = shape.m,
      // What is not there adds nothing.
      .number =
          "const i64 left = lhs[i64(i) * p.lhs_step], right = rhs[i64(i) * p.rhs_step];\n"
          "    const i64 target = to[i64(i) * p.to_step];\n"
          "    const u32 number = left >= 0 && left < p.a_count && right >= 0 && right < p.c_count && target >= 0 && "
          "target < i64(p.matrices) ? u32(target) : p.matrices;",
      .operands = {{in[2], "lhs"}, {in[3], "rhs"}, {in[4], "to"}},
      .places = {{2}, {3}, {4}},
      .values = {{"lhs_step", in[2].strides[0]},
                 {"rhs_step", in[3].strides[0]},
                 {"to_step", in[4].strides[0]},
                 {"a_count", in[0].shape[0]},
                 {"c_count", in[1].shape[0]}},
      .scratch = 6};

  KernelText text(traits, "scatter_dot_tiles", shape.threads());
  read_operand(text, in[0], "a");
  read_operand(text, in[1], "c");
  read_operand(text, in[2], "lhs");
  read_operand(text, in[3], "rhs");
  text.read("u32", "order").read("u32", "counts").read("u32", "starts").write(type_name(dtype), "target");
  const int64_t tiles_m = groups_for(k, shape.m), tiles_n = groups_for(n, shape.n), each = tiles.pack();
  text.value("u32", "m").value("u32", "n").value("u32", "k").value("u32", "tiles_m").value("u32", "tiles_n");
  text.value("u32", "wide_a").value("u32", "wide_c");
  Values values;
  values.add(uint32_t(m)).add(uint32_t(n)).add(uint32_t(k)).add(uint32_t(tiles_m)).add(uint32_t(tiles_n));
  const size_t wide_at = values.bytes().size();
  for (const Layout* l : {&in[0], &in[1]})
    values.add(uint32_t(l->strides[2] == 1 && l->strides[1] % each == 0 && l->strides[0] % each == 0));
  for (const char* name : {"a_item", "a_row", "a_column", "c_item", "c_row", "c_column", "lhs_step", "rhs_step"})
    text.value("i64", name);
  for (const Layout* l : {&in[0], &in[1]})
    for (size_t d = 0; d < 3; ++d) values.add(l->strides[d]);
  values.add(in[2].strides[0]).add(in[3].strides[0]);

  auto operand = [&](std::string_view name, std::string_view matrix, std::string_view numbers, std::string_view limit,
                     std::string_view origin) {
    const std::string place = cat("(", numbers, "[i64(order[start + d / p.m]) * p.", numbers, "_step] * p.", matrix,
                                  "_item + i64(d % p.m) * p.", matrix, "_row + i64(outer) * p.", matrix, "_column)");
    const std::string step = cat("p.", matrix, "_column"), wide = cat("p.wide_", matrix);
    return tiles.operand(name, {.pointer = matrix,
                                .dtype = dtype,
                                .along_depth = false,
                                .place = place,
                                .index = "i64",
                                .step = step,
                                .count = limit,
                                .wide = wide,
                                .origin = origin});
  };
  const TileOperand a = operand("a", "a", "lhs", "p.k", "row0"), b = operand("b", "c", "rhs", "p.n", "column0");
  const std::string before = R"text(  const u32 tile = group.x % (p.tiles_m * p.tiles_n);
  const u32 product = group.x / (p.tiles_m * p.tiles_n);
)text" + tile_place(shape) + R"text(  const u32 start = starts[product], begin = 0, end = counts[product] * p.m;
)text";
  tiles.write(text, a, b, before, "row < p.k && column < p.n",
              cat("target[(i64(product) * p.k + row) * p.n + column] = ", narrowed(dtype, "value"), ";"));
  std::vector<Stage> stages = grouping.stages(machine);
  stages.push_back({machine.pipeline(text.finish()),
                    {uint32_t(tiles_m * tiles_n * count)},
                    {shape.threads()},
                    {{0}, {1}, {2}, {3}, grouping.order(), grouping.counts(), grouping.starts(), {5}},
                    7,
                    values.bytes(),
                    {{0, wide_at}, {1, wide_at + 4}}});
  return std::make_unique<StagedLaunches>(machine, std::move(stages), grouping.bytes());
}

}  // namespace funcnn::gpu
