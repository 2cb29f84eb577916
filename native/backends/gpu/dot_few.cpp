// dot where one operand has few rows: each element of the other is read once, in its own order.
#include <algorithm>

#include "backends/gpu/dot_kernels.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// The product as vectors against a matrix, whichever side that is: `outer` numbers the matrix's rows or columns.
struct Few {
  int64_t vectors, outer, k;
  int64_t x_vector, x_depth, w_outer, w_depth;
  bool of_a;         // the vectors are rows of a; else columns of b
  int slots;         // vectors that the text has room for
  bool along_depth;  // which way neighbours of the matrix lie

  explicit Few(const DotProblem& p) : k(p.k), of_a(p.m <= p.n) {
    vectors = of_a ? p.m : p.n;
    outer = of_a ? p.n : p.m;
    x_vector = of_a ? p.a.row : p.b.column;
    x_depth = of_a ? p.a.column : p.b.row;
    w_outer = of_a ? p.b.column : p.a.row;
    w_depth = of_a ? p.b.row : p.a.column;
    slots = vectors <= 1 ? 1 : vectors <= 2 ? 2 : vectors <= 4 ? 4 : 8;
    along_depth = w_outer != 1 || (w_depth == 1 && k > 1);
  }
  std::string_view x() const { return of_a ? "a" : "b"; }
  std::string_view w() const { return of_a ? "b" : "a"; }
};

// Lanes go along the depth together, a warp having a few of the outer elements.
std::string along_depth_text(const DotProblem& p, const Few& f, int each, int warps, int rows) {
  return filled_in(R"text(  const u32 outer0 = (block * #{warps} + warp) * #{rows};
  #{S} sum[#{slots}][#{rows}] = {};
  for (u32 d = begin + lane * #{V}; d < end; d += #{V} * 32) {
    Pack<#{T}, #{V}> x[#{slots}];
    UNROLL for (u32 r = 0; r < #{slots}; ++r)
      x[r] = fetch_x(vectors + (#{I}(min(r, p.vectors - 1)) * p.x_vector + #{I}(d) * p.x_depth), p.x_depth, end - d,
                     p.wide_x#{whole});
    UNROLL for (u32 o = 0; o < #{rows}; ++o) {
      const Pack<#{T}, #{V}> w = fetch_w(
          matrix + (#{I}(min(outer0 + o, p.outer - 1)) * p.w_outer + #{I}(d) * p.w_depth), p.w_depth, end - d, p.wide_w#{whole});
      UNROLL for (u32 i = 0; i < #{V}; ++i) {
        const #{S} w_i = load(w.v[i]);
        UNROLL for (u32 r = 0; r < #{slots}; ++r) {
          const #{S} x_i = load(x[r].v[i]);
          #{add}
        }
      }
    }
  }
  UNROLL for (u32 r = 0; r < #{slots}; ++r) {
    UNROLL for (u32 o = 0; o < #{rows}; ++o) {
      const #{S} all = warp_sum(sum[r][o]);
      if (lane == 0) found[warp * #{found} + r * #{rows} + o] = all;
    }
  }
  WARP_BARRIER();
  const u32 vector = lane / #{rows}, outer = outer0 + lane % #{rows};
  if (lane < #{found} && vector < p.vectors && outer < p.outer) {
    const #{S} value = found[warp * #{found} + lane];
)text",
                   {{"warps", std::to_string(warps)},
                    {"rows", std::to_string(rows)},
                    {"S", register_type(p.dtype)},
                    {"T", type_name(p.dtype)},
                    {"V", std::to_string(each)},
                    {"I", p.index},
                    {"slots", std::to_string(f.slots)},
                    {"found", std::to_string(f.slots * rows)},
                    {"whole", p.begins_whole(each)},
                    {"add", multiply_add(p.dtype, "sum[r][o]", "x_i", "w_i")}});
}

// Lanes lie along the outer axis, a few elements each; warps share the depth.
std::string along_outer_text(const DotProblem& p, const Few& f, int each, int warps) {
  return filled_in(R"text(  const u32 outer0 = block * #{width}, mine = outer0 + lane * #{V};
  const u32 count = mine < p.outer ? p.outer - mine : 0;
  DEVICE const #{T}* const columns = matrix + #{I}(count ? mine : 0) * p.w_outer;
  #{S} sum[#{slots}][#{V}] = {};
  for (u32 first = begin + warp; first < end; first += #{warps} * 4) {
    Pack<#{T}, #{V}> w[4];
    UNROLL for (u32 u = 0; u < 4; ++u) {
      const u32 d = first + u * #{warps};
      w[u] = fetch_w(columns + #{I}(min(d, end - 1)) * p.w_depth, p.w_outer, d < end ? count : 0, p.wide_w);
    }
    UNROLL for (u32 u = 0; u < 4; ++u) {
      const u32 d = first + u * #{warps};
      if (d >= end) break;
      UNROLL for (u32 r = 0; r < #{slots}; ++r) {
        const #{S} x_i = load(vectors[#{I}(min(r, p.vectors - 1)) * p.x_vector + #{I}(d) * p.x_depth]);
        UNROLL for (u32 i = 0; i < #{V}; ++i) {
          const #{S} w_i = load(w[u].v[i]);
          #{add}
        }
      }
    }
  }
  UNROLL for (u32 r = 0; r < #{slots}; ++r) {
    UNROLL for (u32 i = 0; i < #{V}; ++i) found[(r * #{warps} + warp) * #{width} + lane * #{V} + i] = sum[r][i];
  }
  BARRIER();
  for (u32 e = item.x; e < #{slots} * #{width}; e += #{warps} * 32) {
    const u32 vector = e / #{width}, outer = outer0 + e % #{width};
    if (vector >= p.vectors || outer >= p.outer) continue;
    #{S} value = found[vector * #{warps} * #{width} + e % #{width}];
    for (u32 i = 1; i < #{warps}; ++i) value = value + found[(vector * #{warps} + i) * #{width} + e % #{width}];
)text",
                   {{"width", std::to_string(32 * each)},
                    {"warps", std::to_string(warps)},
                    {"S", register_type(p.dtype)},
                    {"T", type_name(p.dtype)},
                    {"V", std::to_string(each)},
                    {"I", p.index},
                    {"slots", std::to_string(f.slots)},
                    {"add", multiply_add(p.dtype, "sum[r][i]", "x_i", "w_i")}});
}

}  // namespace

std::unique_ptr<Kernel> make_dot_few(Machine& machine, const DotProblem& p, const DotResult& result) {
  const Few f(p);
  const int item = int(item_size(p.dtype));
  // Elements of a pack, warps of a group, outer elements of a warp.
  const int each = f.along_depth ? 16 / item : item == 8 ? 2 : 4;
  const int warps = f.along_depth || f.slots == 8 ? 4 : 8;
  const int rows = f.slots <= 2 ? 4 : 2;
  const int64_t width = f.along_depth ? warps * rows : 32 * each;
  const int64_t blocks = groups_for(f.outer, width);
  const int64_t wanted = 4 * int64_t(machine.traits().cores) / std::max<int64_t>(1, blocks * p.batches);
  const int64_t step = f.along_depth ? 32 * each : 4 * warps;
  const int64_t most = std::min(f.k / (f.along_depth ? 1024 : 64), f.k / step);
  const int64_t parts = std::clamp<int64_t>(wanted, 1, std::clamp<int64_t>(most, 1, 32));
  const int64_t part = (groups_for(f.k, step) + parts - 1) / parts * step;

  KernelText text(machine.traits(), f.along_depth ? "dot_few_along_depth" : "dot_few_along_outer",
                  uint32_t(warps) * 32);
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
  values.add(uint32_t(f.vectors)).add(uint32_t(f.outer)).add(uint32_t(f.k)).add(uint32_t(blocks));
  values.add(uint32_t(f.of_a ? p.n : 1)).add(uint32_t(f.of_a ? 1 : p.n));
  const size_t wide_at = values.bytes().size();
  values.add(uint32_t(p.whole_packs(f.x_depth, f.vectors > 1 ? f.x_vector : 0, f.of_a, each)));
  values.add(uint32_t(f.along_depth ? p.whole_packs(f.w_depth, f.w_outer, !f.of_a, each)
                                    : p.whole_packs(f.w_outer, f.w_depth, !f.of_a, each)));
  if (parts > 1) values.add(uint32_t(parts)).add(uint32_t(part)).add(p.count());
  for (int64_t s : {f.x_vector, f.x_depth, f.w_outer, f.w_depth})
    p.index == "i64" ? values.add(s) : values.add(int32_t(s));
  p.add_values(values);

  if (p.dtype == Dtype::complex64) text.use(Section::complex);
  if (f.along_depth) text.before(fetch_text("x", p.dtype, each, p.index));
  text.before(fetch_text("w", p.dtype, each, p.index));
  const int found = f.along_depth ? warps * f.slots * rows : f.slots * warps * 32 * each;
  text.body(cat("  SHARED ", register_type(p.dtype), " found[", found, "];\n"));
  text.body("  const u32 block = group.x % p.blocks;\n  u32 batch = group.x / p.blocks;\n");
  if (parts > 1)
    text.body(R"text(  const u32 part_number = batch % p.parts;
  const u32 part_begin = part_number * p.part;
  batch /= p.parts;
)text");
  text.body("  const i64 product = batch;\n").body(p.place_text());
  text.body(parts > 1 ? "  const u32 begin = max(first, part_begin), end = min(last, part_begin + p.part);\n"
                      : "  const u32 begin = first, end = last;\n");
  text.body(cat("  DEVICE const ", type_name(p.dtype), "* const vectors = ", f.x(), " + at_", f.x(), ";\n"));
  text.body(cat("  DEVICE const ", type_name(p.dtype), "* const matrix = ", f.w(), " + at_", f.w(), ";\n"));
  text.body(f.along_depth ? along_depth_text(p, f, each, warps, rows) : along_outer_text(p, f, each, warps));
  const bool far = p.count() >= int64_t(1) << 31;
  text.body(far ? "    const i64 index = product * p.vectors * p.outer + i64(vector) * p.vector_step + i64(outer) * "
                  "p.outer_step;\n    "
                : "    const u32 index = u32(product) * p.vectors * p.outer + vector * p.vector_step + outer * "
                  "p.outer_step;\n    ");
  text.body(parts > 1 ? "parts[part_number * p.count + index] = value;" : result.statements("value", "index"));
  text.body("\n  }\n");

  Stage stage{machine.pipeline(text.finish()),
              {uint32_t(blocks * p.batches * parts)},
              {uint32_t(warps) * 32},
              p.input_places(),
              p.inputs.size(),
              values.bytes(),
              {{f.of_a ? 0 : 1, wide_at}, {f.of_a ? 1 : 0, wide_at + 4}}};
  return in_parts(machine, p, result, std::move(stage), parts);
}

}  // namespace funcnn::gpu
