#include "backends/gpu/conv_tiles.h"

#include <algorithm>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kLeastPlaces = 256;  // of a part

std::string number(int64_t n) { return std::to_string(n); }

// How a thread comes to its share of a tile of `outer` lines: pack v, of which there are `held`.
struct Share {
  int held, threads, row;
  std::string guard, position;

  Share(const TileText& tiles, int outer, bool along_depth) {
    const int each = tiles.pack(), packs = outer * tiles.shape().k / each;
    threads = int(tiles.shape().threads());
    held = (packs + threads - 1) / threads;
    row = along_depth ? tiles.shape().k / each : outer / each;
    if (packs % threads) guard = cat("      if (v >= ", packs, ") break;\n");
    position = along_depth ? cat("local = v / ", row, ", d = depth + v % ", row, " * ", each)
                           : cat("local = v % ", row, " * ", each, ", d = depth + v / ", row);
  }
  std::string walk(std::string_view body) const {
    return cat("    UNROLL for (u32 i = 0; i < ", held, "; ++i) {\n      const u32 v = item.x + i * ", threads, ";\n",
               guard, "      const u32 ", position, ";\n", body, "    }\n");
  }
};

// Whether packs of channels lie side by side, and begin at whole ones, if the operand does.
bool whole_packs(const ConvStrides& s, int64_t pack) {
  bool whole = s.last == 1 && s.first % pack == 0;
  for (int64_t step : s.spatial) whole = whole && step % pack == 0;
  return whole;
}

// The tap and channel of number `of` among the elements of the weight of a channel: k_d, k_h, k_w, c.
std::string tap_of(const ConvText& t, std::string_view of) {
  return cat("I rest = I(", of, ");\n", remainder_text("c", "in_channels"), t.decode_tap());
}

// An operand whose fetch is still to be written.
TileOperand operand(const TileText& tiles, std::string_view name, Dtype dtype, bool along_depth) {
  TileText::Memory memory{};
  memory.dtype = dtype;
  memory.along_depth = along_depth;
  memory.index = "I";
  return tiles.operand(name, memory);
}

void begin(const ConvProblem& p, KernelText& text, Values& values, const TileShape& shape, int64_t rows,
           int64_t columns) {
  text.before(p.types());
  p.fields(text, values);
  text.value("u32", "tiles_m").value("u32", "tiles_n").value("u32", "rows").value("u32", "columns");
  values.add(groups_for(rows, shape.m)).add(groups_for(columns, shape.n)).add(uint32_t(rows)).add(uint32_t(columns));
}

void add_wide(KernelText& text, Values& values, Stage& stage, std::string_view name, int operand, bool wide) {
  text.value("u32", cat("wide_", name));
  stage.aligned.push_back({operand, values.bytes().size()});
  values.add(uint32_t(wide));
}

}  // namespace

bool takes_tiles(const ConvProblem& p) { return p.n * p.outputs() < int64_t(1) << 31; }

Stage conv_tile_stage(Machine& machine, const ConvProblem& p, const DotResult& result, const Layout& x,
                      const Layout& weight) {
  const ConvText t(p);
  const int64_t rows = p.n * p.outputs();
  const TileShape shape = choose_tiles(machine.traits(), p.dtype, rows, p.out_channels, p.groups);
  const TileText tiles(machine.traits(), p.dtype, shape);
  const int each = tiles.pack();
  // Packs of one tap's channels, else elements one by one.
  const bool packed = p.in_channels % each == 0;
  // The way in which neighbours of the weight lie: along channels of the input, or of the result.
  const bool along = p.weight.last == 1 || p.weight.first != 1;

  KernelText text(machine.traits(),
                  cat("conv_", type_name(p.dtype), packed ? "_packed" : "", p.holes() ? "_holes" : ""),
                  shape.threads());
  read_operand(text, x, "x");
  read_operand(text, weight, "weight");
  result.declare(text);
  Stage stage;
  stage.operands = {{0}, {1}};
  stage.read_only = result.append_to(stage.operands);
  Values values;
  begin(p, text, values, shape, rows, p.out_channels);
  add_wide(text, values, stage, "x", 0, packed && whole_packs(p.x, each));
  bool wide_weight = packed && whole_packs(p.weight, each);
  if (!along) {
    ConvStrides turned = p.weight;
    std::swap(turned.first, turned.last);
    wide_weight = p.out_channels % each == 0 && whole_packs(turned, each);
  }
  add_wide(text, values, stage, "weight", 1, wide_weight);

  const std::string before = filled_in(
      R"text(  SHARED I x_at[#{m}], y_at[#{m}];  // where the rows of the tile begin in the input, and go in the result
#{shared}
  const u32 tile = group.x % (p.tiles_m * p.tiles_n);
#{tile}
  const I part = I(group.x / (p.tiles_m * p.tiles_n)), channels = p.groups * p.out_channels;
  x += part * p.in_channels * p.x_c;
  weight += part * p.out_channels * p.weight_n;
  for (u32 r = item.x; r < #{m}; r += #{threads}) {
    I rest = row0 + r < p.rows ? I(row0 + r) : 0;
#{decode}
    x_at[r] = rest * p.x_n#{x_base};
    y_at[r] = #{y_place} * channels + part * p.out_channels;
#{keep}
  }
  BARRIER();
  const u32 begin = 0, end = u32(p.in_channels * #{taps});
)text",
      {{"m", number(shape.m)},
       {"threads", number(shape.threads())},
       {"shared", t.shared_places(number(shape.m))},
       {"tile", indented(tile_place(shape), 0)},
       {"decode", indented(t.decode_output(), 4)},
       {"x_base", t.x_base()},
       {"y_place", t.output_place()},
       {"keep", indented(t.keep_places("r"), 4)},
       {"taps", t.taps()}});

  TileOperand a = operand(tiles, "a", p.dtype, true);
  const std::string meet =
      cat(t.meet_kept("local"), "const I place = x_at[local] + c * p.x_c", t.tap_x(), t.hole_place(), ";\n");
  const Share share_a(tiles, shape.m, true);
  if (packed) {
    a.fetch =
        share_a.walk(cat("      u32 count = 0;\n      I place_x = 0;\n      if (row0 + local < p.rows && d < end) {\n",
                         indented(cat(tap_of(t, "d"), meet), 8), "\n        if (inside) {\n          count = ", each,
                         ";\n          place_x = place;\n        }\n      }\n"
                         "      held_a[i] = fetch_a(x + place_x, p.x_c, count, p.wide_x);\n"));
  } else {
    a.fetch = share_a.walk(
        cat("      UNROLL for (u32 e = 0; e < ", each, "; ++e) {\n        held_a[i].v[e] = ", zero_element(p.dtype),
            ";\n        if (row0 + local < p.rows && d + e < end) {\n", indented(cat(tap_of(t, "d + e"), meet), 10),
            "\n          if (inside) held_a[i].v[e] = x[place];\n        }\n      }\n"));
  }

  TileOperand b = operand(tiles, "b", p.dtype, along);
  const std::string place_b = cat("c * p.weight_c", t.tap_weight(), ";\n");
  const Share share_b(tiles, shape.n, along);
  if (!along) {
    b.fetch = share_b.walk(
        cat("      u32 count = 0;\n      I place = 0;\n      if (column0 + local < p.columns && d < end) {\n",
            indented(tap_of(t, "d"), 8),
            "\n        count = p.columns - column0 - local;\n        place = I(column0 + local) * "
            "p.weight_n + ",
            place_b, "      }\n      held_b[i] = fetch_b(weight + place, p.weight_n, count, p.wide_weight);\n"));
  } else if (packed) {
    b.fetch = share_b.walk(
        cat("      u32 count = 0;\n      I place = 0;\n      if (column0 + local < p.columns && d < end) {\n",
            indented(tap_of(t, "d"), 8), "\n        count = ", each,
            ";\n        place = I(column0 + local) * p.weight_n + ", place_b,
            "      }\n      held_b[i] = fetch_b(weight + place, p.weight_c, count, p.wide_weight);\n"));
  } else {
    b.fetch = share_b.walk(
        cat("      UNROLL for (u32 e = 0; e < ", each, "; ++e) {\n        held_b[i].v[e] = ", zero_element(p.dtype),
            ";\n        if (column0 + local < p.columns && d + e < end) {\n", indented(tap_of(t, "d + e"), 10),
            "\n          held_b[i].v[e] = weight[I(column0 + local) * p.weight_n + ",
            std::string_view(place_b).substr(0, place_b.size() - 2), "];\n        }\n      }\n"));
  }
  tiles.write(text, a, b, before, "row < p.rows && column < p.columns",
              cat("const Flat index = Flat(y_at[row - row0] + I(column));\n    ",
                  indented(result.statements("value", "index"), 4)));
  stage.pipeline = machine.pipeline(text.finish());
  stage.groups = {groups_for(rows, shape.m) * groups_for(p.out_channels, shape.n) * uint32_t(p.groups), 1, 1};
  stage.threads = {shape.threads(), 1, 1};
  stage.values = values.bytes();
  return stage;
}

ConvWeightSplit split_places(const Traits& traits, const ConvProblem& p, int64_t groups, int64_t step) {
  const int64_t places = p.n * p.outputs();
  const int64_t wanted = std::max<int64_t>(1, 4 * int64_t(traits.cores) / std::max<int64_t>(groups, 1));
  const int64_t parts = std::clamp<int64_t>(places / kLeastPlaces, 1, wanted);
  const int64_t part = ((places + parts - 1) / parts + step - 1) / step * step;
  return {{}, part, (places + part - 1) / part};
}

ConvWeightSplit conv_weight_split(const Traits& traits, const ConvProblem& p) {
  const int64_t width = p.in_channels * p.taps(), places = p.n * p.outputs();
  // Tiles may be as large as those of so many products.
  const int64_t most = std::clamp<int64_t>(places / kLeastPlaces, 1, 2 * int64_t(traits.cores));
  const TileShape shape = choose_tiles(traits, p.dtype, p.out_channels, width, p.groups * most);
  const int64_t groups = p.groups * groups_for(p.out_channels, shape.m) * groups_for(width, shape.n);
  ConvWeightSplit split = split_places(traits, p, groups, shape.k);
  split.shape = shape;
  return split;
}

Stage conv_weight_tile_stage(Machine& machine, const ConvProblem& p, const ConvWeightSplit& split,
                             const DotResult& result, const Layout& x, const Layout& ct) {
  const ConvText t(p);
  const TileShape& shape = split.shape;
  const TileText tiles(machine.traits(), p.dtype, shape);
  const int each = tiles.pack();
  const int64_t width = p.in_channels * p.taps();
  const bool packed = p.in_channels % each == 0;
  const bool flipped = std::any_of(p.axes, p.axes + 3, [](const ConvAxis& a) { return a.weight_step != 1; });

  KernelText text(machine.traits(),
                  cat("conv_weight_", type_name(p.dtype), packed ? "_packed" : "", p.holes() ? "_holes" : ""),
                  shape.threads());
  read_operand(text, x, "x");
  read_operand(text, ct, "ct");
  Stage stage;
  stage.operands = {{0}, {1}};
  if (split.parts == 1) {
    result.declare(text);
    stage.read_only = result.append_to(stage.operands);
  } else {
    text.write(register_type(p.dtype), "found");
    stage.read_only = 2;
    stage.operands.push_back({result.scratch()});
  }
  Values values;
  begin(p, text, values, shape, p.out_channels, width);
  add_wide(text, values, stage, "x", 0, packed && whole_packs(p.x, each));
  add_wide(text, values, stage, "ct", 1, p.out_channels % each == 0 && whole_packs(p.y, each));
  text.value("u32", "places").value("u32", "part").value("i64", "elements");
  values.add(uint32_t(p.n * p.outputs())).add(uint32_t(split.part)).add(p.groups * p.out_channels * width);

  const std::string before = filled_in(R"text(  const u32 tile = group.x % (p.tiles_m * p.tiles_n);
#{tile}
  const I part = I(group.x / (p.tiles_m * p.tiles_n));
  x += part * p.in_channels * p.x_c;
  ct += part * p.out_channels * p.y_c;
  const u32 split = group.y, begin = split * p.part;
  const u32 end = p.places - begin < p.part ? p.places : begin + p.part;
)text",
                                       {{"tile", indented(tile_place(shape), 0)}});

  TileOperand a = operand(tiles, "a", p.dtype, false);
  const Share share_a(tiles, shape.m, false), share_b(tiles, shape.n, false);
  a.fetch = share_a.walk(
      cat("      u32 count = 0;\n      I place = 0;\n      if (row0 + local < p.rows && d < end) {\n",
          "        I rest = I(d);\n", indented(t.decode_output(), 8),
          "\n        count = p.rows - row0 - local;\n        place = rest * p.y_n", t.y_base(),
          " + I(row0 + local) * p.y_c;\n      }\n      held_a[i] = fetch_a(ct + place, p.y_c, count, p.wide_ct);\n"));

  TileOperand b = operand(tiles, "b", p.dtype, false);
  std::string place_x = cat("example * p.x_n + c * p.x_c");
  for (const std::string& axis : t.axes()) place_x += cat(" + i_", axis, " * p.x_", axis);
  const std::string output = cat("I rest = I(d);\n", t.decode_output(), "const I example = rest;\n");
  auto meet = [&](std::string_view column, std::string_view then) {
    return cat("{\n", indented(cat(tap_of(t, column), t.meet(), then), 2), "\n}\n");
  };
  if (packed) {
    b.fetch = share_b.walk(
        cat("      u32 count = 0;\n      I place = 0;\n      if (column0 + local < p.columns && d < end) {\n",
            indented(cat(output, meet("column0 + local",
                                      cat("if (inside) {\n  count = ", each, ";\n  place = ", place_x, ";\n}\n"))),
                     8),
            "\n      }\n      held_b[i] = fetch_b(x + place, p.x_c, count, p.wide_x);\n"));
  } else {
    b.fetch = share_b.walk(cat(
        "      UNROLL for (u32 e = 0; e < ", each, "; ++e) held_b[i].v[e] = ", zero_element(p.dtype),
        ";\n      if (d < end) {\n",
        indented(cat(output, "UNROLL for (u32 e = 0; e < ", each, "; ++e)\n  if (column0 + local + e < p.columns)\n",
                     indented(meet("column0 + local + e", cat("if (inside) held_b[i].v[e] = x[", place_x, "];\n")), 4),
                     "\n"),
                 8),
        "\n      }\n"));
  }
  const std::string element =
      flipped ? cat("I number = 0;\n    {\n",
                    indented(cat(tap_of(t, "column"), "number = ", t.dense_tap(), " * p.in_channels + c;\n"), 6),
                    "\n    }\n    ")
              : "const I number = I(column);\n    ";
  tiles.write(text, a, b, before, "row < p.rows && column < p.columns",
              cat(element, "const Flat index = Flat((part * p.out_channels + I(row)) * I(p.columns) + number);\n    ",
                  split.parts == 1 ? result.statements("value", "index") : std::string(kStorePart)));
  stage.pipeline = machine.pipeline(text.finish());
  stage.groups = {groups_for(p.out_channels, shape.m) * groups_for(width, shape.n) * uint32_t(p.groups),
                  uint32_t(split.parts), 1};
  stage.threads = {shape.threads(), 1, 1};
  stage.values = values.bytes();
  return stage;
}

}  // namespace funcnn::gpu
