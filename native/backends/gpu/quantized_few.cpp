// quantized_dot where few vectors meet the rows of a matrix, as when a language model decodes: packed codes are read
// once, in packs, and never unpacked to memory.
#include <algorithm>

#include "backends/gpu/dot_kernels.h"
#include "backends/gpu/quantized_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int kWarps = 4;

// Lanes go along the depth together, a run of codes each, a warp having a few rows of the matrix.
std::string body(const DotProblem& p, int slots, int rows, int run) {
  const QuantFormat& format = p.quantized->format;
  return filled_in(
      R"text(  const u32 outer0 = (block * #{warps} + warp) * #{rows};
  f32 sum[#{slots}][#{rows}] = {};
  for (u32 d = lane * #{run}; d < last; d += #{run} * 32) {
    Codes held[#{rows}];
    f32 scale[#{rows}]#{declare_bias};
    UNROLL for (u32 o = 0; o < #{rows}; ++o) {
      const i64 row_b = at_b + min(outer0 + o, p.n - 1);
      held[o] = fetch_codes(words + (row_b * (p.k / #{run}) + d / #{run}) * #{words}, p.wide_w);
      const i64 group_b = row_b * (p.k / #{group}) + d / #{group};
      #{scale}
    }
    UNROLL for (u32 i = 0; i < #{run}; i += 8) {
      f32 x[#{slots}][8];
      UNROLL for (u32 r = 0; r < #{slots}; ++r) {
        DEVICE const #{T}* from = vectors + (i64(min(r, p.m - 1)) * p.k + d + i);
        UNROLL for (u32 j = 0; j < 8; j += #{V}) {
          const Pack<#{T}, #{V}> some = fetch_x(from + j, 1, #{V}, p.wide_x);
          UNROLL for (u32 l = 0; l < #{V}; ++l) x[r][j + l] = load(some.v[l]);
        }
      }
      UNROLL for (u32 o = 0; o < #{rows}; ++o) {
        UNROLL for (u32 j = 0; j < 8; ++j) {
          const f32 y = #{y};
          UNROLL for (u32 r = 0; r < #{slots}; ++r) sum[r][o] = fma(x[r][j], y, sum[r][o]);
        }
      }
    }
  }
  UNROLL for (u32 r = 0; r < #{slots}; ++r) {
    UNROLL for (u32 o = 0; o < #{rows}; ++o) {
      const f32 all = warp_sum(sum[r][o]);
      if (lane == 0) found[warp * #{found} + r * #{rows} + o] = all;
    }
  }
  WARP_BARRIER();
  const u32 row = lane / #{rows}, column = outer0 + lane % #{rows};
  if (lane < #{found} && row < p.m && column < p.n) {
    const f32 value = found[warp * #{found} + lane];
)text",
      {{"warps", std::to_string(kWarps)},
       {"rows", std::to_string(rows)},
       {"slots", std::to_string(slots)},
       {"run", std::to_string(run)},
       {"words", std::to_string(run * format.bits / 32)},
       {"group", std::to_string(format.group)},
       {"T", type_name(p.dtype)},
       {"V", std::to_string(16 / item_size(p.dtype))},
       {"found", std::to_string(slots * rows)},
       {"declare_bias", format.affine() ? cat(", bias[", rows, "]") : ""},
       // Scaled one by one: sums of codes could leave the range of numbers before the result does.
       {"y",
        format.affine() ? "fma(run_value(held[o], i + j), scale[o], bias[o])" : "run_value(held[o], i + j) * scale[o]"},
       {"scale", format.affine() ? "scale[o] = load(scales[group_b]);\n      bias[o] = load(biases[group_b]);"
                                 : "scale[o] = scale_value(scales[group_b]);"}});
}

}  // namespace

std::unique_ptr<Kernel> make_quantized_few(Machine& machine, const DotProblem& p, const DotResult& result) {
  const QuantFormat& format = p.quantized->format;
  const int run = std::min(32, format.group), each = int(16 / item_size(p.dtype));
  const int slots = p.m <= 1 ? 1 : p.m <= 2 ? 2 : p.m <= 4 ? 4 : 8;
  // Rows of a warp share vectors, as long as there are warps for all cores.
  int rows = slots <= 2 ? 4 : 2;
  while (rows > 1 && p.batches * p.n < 2 * int64_t(machine.traits().cores) * kWarps * rows) rows /= 2;
  const int64_t blocks = groups_for(p.n, kWarps * rows);

  KernelText text(machine.traits(), "quantized_dot_few", kWarps * 32);
  p.declare_inputs(text);
  result.declare(text);
  text.value("u32", "m").value("u32", "n").value("u32", "k").value("u32", "blocks");
  text.value("u32", "wide_x").value("u32", "wide_w");
  p.declare_values(text);
  Values values;
  values.add(uint32_t(p.m)).add(uint32_t(p.n)).add(uint32_t(p.k)).add(uint32_t(blocks));
  const size_t wide_at = values.bytes().size();
  values.add(uint32_t(1)).add(uint32_t(1));
  p.add_values(values);
  text.before(reading_text(format)).before(run_text(format, run, "u32"));
  text.before(fetch_text("x", p.dtype, each, "i32"));
  text.body(cat("  SHARED f32 found[", kWarps * slots * rows, "];\n"));
  text.body(
      "  const u32 block = group.x % p.blocks;\n  u32 batch = group.x / p.blocks;\n  const i64 product = batch;\n");
  text.body(p.place_text());
  text.body(cat("  DEVICE const ", type_name(p.dtype), "* const vectors = a + at_a;\n"));
  text.body(body(p, slots, rows, run));
  text.body("    const i64 index = (product * p.m + row) * p.n + column;\n    ");
  text.body(result.statements("value", "index")).body("\n  }\n");

  Stage stage{machine.pipeline(text.finish()),
              {uint32_t(blocks * p.batches)},
              {kWarps * 32},
              p.input_places(),
              0,
              values.bytes(),
              {{0, wide_at}, {1, wide_at + 4}}};
  stage.read_only = result.append_to(stage.operands);
  std::vector<Stage> stages;
  stages.push_back(std::move(stage));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

}  // namespace funcnn::gpu
