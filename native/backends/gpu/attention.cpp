// Attention: a group takes 64 queries of a head and walks over tiles of 32 keys, keeping of each query the largest
// score so far and sums relative to it. Matrices of scores exist a tile at a time, in shared memory.
#include "backends/gpu/attention_few.h"
#include "backends/gpu/attention_fragments.h"
#include "backends/gpu/attention_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr std::string_view kBegin = R"text(
  SHARED T stage[STAGE];
  SHARED T weights[ROWS * (KEYS + 1)];
  const u32 me = item.x, pair = group.x % u32(p.pairs), head = pair % u32(p.heads);
  // The last queries first: under a causal mask they see the most keys.
  const i32 first = i32(u32(p.tiles) - 1 - group.x / u32(p.pairs)) * ROWS;
  const i32 r0 = i32(me / 8 * 4), k0 = i32(me % 8), c0 = i32(group.y) * COLUMNS;
)text";

constexpr std::string_view kWalk = R"text(
  q += I(head) * p.q_head + I(first) * p.q_row;
  k += I(head / u32(p.group)) * p.k_head;
  v += I(head / u32(p.group)) * p.v_head + I(c0) * p.v_column;
  T best[4], sum[4];
  Sums acc;
  UNROLL for (i32 i = 0; i < 4; ++i) {
    best[i] = -INFINITY;
    sum[i] = T(0);
    UNROLL for (i32 c = 0; c < EACH; ++c) acc.v[i][c] = T(0);
  }
  for (i32 start = 0; start < end; start += KEYS) {
    Block s;
    UNROLL for (i32 i = 0; i < 4; ++i)
      UNROLL for (i32 n = 0; n < 4; ++n) s.v[i][n] = T(0);
    s = add_products(s, q, p.queries - first, p.q_row, p.q_column, k + I(start) * p.k_row, p.keys - start, p.k_row,
                     p.k_column, p.depth, stage, me);
    UNROLL for (i32 i = 0; i < 4; ++i) {
      const i32 t = first + r0 + i;
      T top = best[i];
      UNROLL for (i32 n = 0; n < 4; ++n) {
        const i32 j = start + k0 + 8 * n;
        T x = s.v[i][n];
#{score}
        if (!seen) x = -INFINITY;
        s.v[i][n] = x;
        top = x > top ? x : top;
      }
      UNROLL for (u32 m = 4; m; m /= 2) {
        const T other = warp_shuffle_xor(top, m);
        top = other > top ? other : top;
      }
      // A query that sees nothing so far has no largest score to subtract.
      const T shift = top == -INFINITY ? T(0) : top, factor = exp(best[i] - shift);
      best[i] = top;
      sum[i] *= factor;
      UNROLL for (i32 c = 0; c < EACH; ++c) acc.v[i][c] *= factor;
      UNROLL for (i32 n = 0; n < 4; ++n) {
        const T e = exp(s.v[i][n] - shift);
        sum[i] += e;
        weights[(r0 + i) * (KEYS + 1) + k0 + 8 * n] = e;
      }
    }
    acc = add_weighted(acc, weights, v + I(start) * p.v_row, p.keys - start, p.v_row, p.v_column, p.values - c0, stage,
                       me);
  }
)text";

constexpr std::string_view kFinish = R"text(
  UNROLL for (i32 i = 0; i < 4; ++i) {
    const i32 t = first + r0 + i;
    T total = sum[i], top = best[i];
    UNROLL for (u32 m = 4; m; m /= 2) total += warp_shuffle_xor(total, m);
#{sink}
    if (t < p.queries) {
      UNROLL for (i32 c = 0; c < EACH; ++c) {
        const i32 column = c0 + k0 + 8 * c;
        if (column < p.values)
          store(result, I(head) * p.result_head + I(t) * p.result_row + I(column),
                total == T(0) ? T(0) : acc.v[i][c] * factor / total);
      }
      if (k0 == 0 && c0 == 0) {
        most[I(head) * p.most_head + I(t)] = top;
        sums[I(head) * p.sums_head + I(t)] = total;
      }
    }
  }
)text";

constexpr std::string_view kSink = R"text(    const T sink = load(sinks[I(head) * p.sinks_head]), score = top;
    top = sink > top ? sink : top;
    const T shift = top == -INFINITY ? T(0) : top;
    const T factor = exp(score - shift);
    total = total * factor + exp(sink - shift);
)text";
constexpr std::string_view kNoSink = "    const T factor = T(1);";

Stage tile_stage(Machine& machine, const AttentionProblem& p, bool sinks) {
  const bool masked = p.mask != AttentionMask::none;
  const int columns = attention_columns(p.values, p.wide());
  AttentionKernelText out(machine.traits(), cat("attention", p.suffix(), sinks ? "_sinks" : ""), kAttentionThreads);
  std::vector<std::string_view> names{"q", "k", "v"};
  Stage stage;
  stage.operands = {{0}, {1}, {2}};
  int next = 3;
  auto also = [&](std::string_view name) {
    names.push_back(name);
    stage.operands.push_back({next++});
  };
  if (masked) also("mask");
  if (sinks) also("sinks");
  for (std::string_view name : names) p.operand(name).read(out.text, name);
  stage.read_only = names.size();
  for (std::string_view name : {"result", "most", "sums"}) {
    out.text.write(p.operand(name).type, name);
    also(name);
  }
  p.fields(out, names);
  const int64_t pairs = p.batches * p.heads, tiles = (p.queries + kAttentionRows - 1) / kAttentionRows;
  out.field("pairs", pairs);
  out.field("tiles", tiles);

  out.text.before(p.types());
  out.text.before(attention_tiles(columns));
  out.text.body(kBegin);
  out.text.body(p.to_batch("pair / u32(p.heads)", names));
  out.text.body(p.scale_text());
  if (masked) out.text.body("  mask += I(head) * p.mask_head;\n");
  out.text.body(p.causal ? "  const i32 seen_last = first + ROWS + p.keys - p.queries;\n"
                           "  const i32 end = seen_last < p.keys ? seen_last : p.keys;\n"
                         : "  const i32 end = p.keys;\n");
  out.text.body(filled_in(kWalk, {{"score", indented(p.score(), 8)}}));
  out.text.body(filled_in(kFinish, {{"sink", indented(sinks ? kSink : kNoSink, 0)}}));
  stage.pipeline = machine.pipeline(out.text.finish());
  stage.groups = {uint32_t(pairs * tiles), groups_for(p.values, columns), 1};
  stage.threads = {kAttentionThreads, 1, 1};
  stage.values = out.values.bytes();
  return stage;
}

std::unique_ptr<Kernel> make_attention(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                       const KernelProgram*) {
  const AttentionScores& scores = static_cast<const Attention&>(primitive).scores();
  AttentionProblem p(scores, in);
  if (scores.sinks) p.add("sinks", in.back(), 1);
  p.add("result", out[0], 3, true);
  p.add("most", out[1], 2);
  p.add("sums", out[2], 2);
  p.settle();
  if (element_count(out[1].shape) == 0) return std::make_unique<StagedLaunches>(machine, std::vector<Stage>());
  if (is_few(p)) return make_few_attention(machine, p, scores.sinks);
  Stage stage = takes_fragments(machine.traits(), p, kForwardColumns)
                    ? attention_fragment_stage(machine, p, scores.sinks)
                    : tile_stage(machine, p, scores.sinks);
  return std::make_unique<StagedLaunches>(machine, std::vector<Stage>{std::move(stage)});
}

const RegisterKernel attention_kernel("attention", make_attention);

}  // namespace
}  // namespace funcnn::gpu
