// dot by tiles. Where there are few of them the depth is split: parts of sums go through scratch memory.
#include "backends/gpu/dot_kernels.h"
#include "backends/gpu/tiles.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

Stage add_parts(Machine& machine, const DotProblem& p, const DotResult& result, int64_t parts) {
  KernelText text(machine.traits(), "dot_add_parts", kThreadsEach);
  text.read(register_type(p.dtype), "parts");
  result.declare(text);
  text.value("i64", "count").value("u32", "parts");
  if (p.dtype == Dtype::complex64) text.use(Section::complex);
  const std::string_view number = p.count() < int64_t(1) << 31 ? "u32" : "i64";
  text.body(
      filled_in(R"text(  const #{number} index = #{number}(group.x) * 256 + item.x;
  if (index >= #{number}(p.count)) return;
  #{S} value = parts[index];
  for (u32 i = 1; i < p.parts; ++i) value = value + parts[i * p.count + index];
  #{store}
)text",
                {{"number", number}, {"S", register_type(p.dtype)}, {"store", result.statements("value", "index")}}));
  std::vector<Place> places{{result.scratch()}};
  const size_t read_only = result.append_to(places);
  return one_each(machine.pipeline(text.finish()), p.count(), std::move(places), read_only,
                  Values().add(p.count()).add(uint32_t(parts)));
}

}  // namespace

std::unique_ptr<Kernel> in_parts(Machine& machine, const DotProblem& p, const DotResult& result, Stage stage,
                                 int64_t parts) {
  std::vector<Stage> stages;
  if (parts == 1) {
    stage.read_only = result.append_to(stage.operands);
    stages.push_back(std::move(stage));
    return std::make_unique<StagedLaunches>(machine, std::move(stages));
  }
  stage.operands.push_back({result.scratch()});
  stages.push_back(std::move(stage));
  stages.push_back(add_parts(machine, p, result, parts));
  const size_t item = std::max<size_t>(4, item_size(p.dtype));
  return std::make_unique<StagedLaunches>(machine, std::move(stages), size_t(parts * p.count()) * item);
}

std::unique_ptr<Kernel> make_dot_tiles(Machine& machine, const DotProblem& p, const DotResult& result) {
  const Traits& traits = machine.traits();
  const Dtype stored = tile_dtype(p);
  const TileShape shape = choose_tiles(traits, stored, p.m, p.n, p.batches);
  const TileText tiles(traits, stored, shape);
  const int64_t tiles_m = groups_for(p.m, shape.m), tiles_n = groups_for(p.n, shape.n);
  const int64_t parts = choose_parts(traits, tiles_m * tiles_n * p.batches, p.k, shape.k);
  const int64_t part = (groups_for(p.k, shape.k) + parts - 1) / parts * shape.k;

  KernelText text(traits, "dot_tiles", shape.threads());
  p.declare_inputs(text);
  if (parts > 1)
    text.write(register_type(p.dtype), "parts");
  else
    result.declare(text);
  text.value("u32", "m").value("u32", "n").value("u32", "k").value("u32", "tiles_m").value("u32", "tiles_n");
  text.value("u32", "wide_a").value("u32", "wide_b");
  if (parts > 1) text.value("u32", "parts").value("u32", "part").value("i64", "count");
  for (const char* name : {"a_row", "a_column", "b_row", "b_column"}) text.value(p.index, name);
  p.declare_values(text);
  Values values;
  values.add(uint32_t(p.m)).add(uint32_t(p.n)).add(uint32_t(p.k)).add(uint32_t(tiles_m)).add(uint32_t(tiles_n));
  const bool a_along = p.a.column == 1 || (p.a.row != 1 && p.k > 1), b_along = p.b.row == 1 && p.b.column != 1;
  const int64_t each = tiles.pack();
  const size_t wide_at = values.bytes().size();
  values.add(uint32_t(a_along ? p.whole_packs(p.a.column, p.a.row, true, each)
                              : p.whole_packs(p.a.row, p.a.column, true, each)));
  values.add(uint32_t(p.quantized ? true
                      : b_along   ? p.whole_packs(p.b.row, p.b.column, false, each)
                                  : p.whole_packs(p.b.column, p.b.row, false, each)));
  if (parts > 1) values.add(uint32_t(parts)).add(uint32_t(part)).add(p.count());
  for (int64_t step : {p.a.row, p.a.column, p.b.row, p.b.column})
    p.index == "i64" ? values.add(step) : values.add(int32_t(step));
  p.add_values(values);
  if (p.quantized) {
    text.value("i64", "columns");
    values.add(p.quantized->columns);
  }

  const std::string index(p.index);
  const std::string place_a = cat("(", index, "(outer) * p.a_row + ", index, "(d) * p.a_column)");
  const std::string place_b = cat("(", index, "(outer) * p.b_column + ", index, "(d) * p.b_row)");
  const std::string wide_a = cat("p.wide_a", a_along ? p.begins_whole(each) : "");
  const std::string wide_b = cat("p.wide_b", b_along ? p.begins_whole(each) : "");
  const TileOperand a = tiles.operand("a", {.pointer = "a_matrix",
                                            .dtype = p.dtype,
                                            .along_depth = a_along,
                                            .place = place_a,
                                            .index = index,
                                            .step = a_along ? "p.a_column" : "p.a_row",
                                            .count = "p.m",
                                            .wide = wide_a,
                                            .origin = "row0"});
  const TileOperand b = p.quantized ? quantized_operand(tiles, p, "p.wide_b")
                                    : tiles.operand("b", {.pointer = "b_matrix",
                                                          .dtype = p.dtype,
                                                          .along_depth = b_along,
                                                          .place = place_b,
                                                          .index = index,
                                                          .step = b_along ? "p.b_row" : "p.b_column",
                                                          .count = "p.n",
                                                          .wide = wide_b,
                                                          .origin = "column0"});
  std::string before = R"text(  const u32 tile = group.x % (p.tiles_m * p.tiles_n);
  u32 batch = group.x / (p.tiles_m * p.tiles_n);
)text";
  if (parts > 1)
    before +=
        R"text(  const u32 part_number = batch % p.parts, part_begin = part_number * p.part;
  batch /= p.parts;
)text";
  before += "  const i64 product = batch;\n" + tile_place(shape) + p.place_text();
  before += parts > 1 ? "  const u32 begin = max(first, part_begin), end = min(last, part_begin + p.part);\n"
                      : "  const u32 begin = first, end = last;\n";
  before += cat("  DEVICE const ", type_name(p.dtype), "* const a_matrix = a + at_a;\n");
  if (!p.quantized) before += cat("  DEVICE const ", type_name(p.dtype), "* const b_matrix = b + at_b;\n");
  const bool far = p.count() >= int64_t(1) << 31;
  std::string store = far ? "const i64 index = (product * p.m + row) * p.n + column;\n    "
                          : "const u32 index = (u32(product) * p.m + row) * p.n + column;\n    ";
  if (parts > 1)
    store += "parts[part_number * p.count + index] = value;";
  else
    store += result.statements("value", "index");
  tiles.write(text, a, b, before, "row < p.m && column < p.n", store);

  Stage stage{machine.pipeline(text.finish()),
              {uint32_t(tiles_m * tiles_n * p.batches * parts)},
              {shape.threads()},
              p.input_places(),
              p.inputs.size(),
              values.bytes(),
              {{0, wide_at}, {1, wide_at + 4}}};
  return in_parts(machine, p, result, std::move(stage), parts);
}

}  // namespace funcnn::gpu
