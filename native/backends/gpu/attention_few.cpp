// A warp takes a stretch of the keys and all rows, queries of heads that share these keys. Its lanes lie along
// features; 32 scores at a time (so many keys that with the rows it makes 32) are added up over lanes such that each
// lane ends with one of them. A second kernel puts together what was found in the stretches, in their order.
#include "backends/gpu/attention_few.h"

#include <algorithm>

#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kMostRows = 8, kMostFeatures = 256, kMostParts = 256;
constexpr uint32_t kWarps = 4;

constexpr std::string_view kBegin = R"text(
  const u32 pair = group.x, part = group.y * (items.x / 32) + warp;
  const u32 key_heads = u32(p.heads / p.group), key_head = pair % key_heads;
  if (part >= u32(p.parts)) return;
  found += (i64(pair) * p.parts + part) * (i64(p.group) * p.queries) * (p.values + 2);
)text";

constexpr std::string_view kWalk = R"text(
  q += I(key_head * u32(p.group)) * p.q_head;
  k += I(key_head) * p.k_head;
  v += I(key_head) * p.v_head;
  const i32 rows = p.group * p.queries, begin = i32(part) * p.part_keys;
  const i32 end = p.keys - begin < p.part_keys ? p.keys : begin + p.part_keys;
  T from_q[ROWS][DEPTH], acc[ROWS][VALUES];
  UNROLL for (i32 r = 0; r < ROWS; ++r) {
    UNROLL for (i32 i = 0; i < DEPTH; ++i) {
      const i32 d = i32(lane) + 32 * i;
      from_q[r][i] = r < rows && d < p.depth ? load(q[I(r / p.queries) * p.q_head + I(r % p.queries) * p.q_row +
                                                      I(d) * p.q_column])
                                             : T(0);
    }
    UNROLL for (i32 i = 0; i < VALUES; ++i) acc[r][i] = T(0);
  }
  // The score that this lane gets: of row `own`, of key `nth` of those looked at.
  const i32 own = i32(lane) % ROWS, nth = i32(lane) / ROWS, t = own % p.queries;
  T best = -INFINITY, sum = T(0);
  for (i32 start = begin; start < end; start += KEYS) {
    T s[32];
    UNROLL for (i32 n = 0; n < KEYS; ++n) {
      UNROLL for (i32 r = 0; r < ROWS; ++r) s[n * ROWS + r] = T(0);
      UNROLL for (i32 i = 0; i < DEPTH; ++i) {
        const i32 d = i32(lane) + 32 * i;
        const T x = start + n < end && d < p.depth ? load(k[I(start + n) * p.k_row + I(d) * p.k_column]) : T(0);
        UNROLL for (i32 r = 0; r < ROWS; ++r) s[n * ROWS + r] = fma(x, from_q[r][i], s[n * ROWS + r]);
      }
    }
    // Halve the scores and the lanes that hold parts of each, until a lane has the whole of one.
    UNROLL for (u32 m = 16; m; m /= 2) {
      const bool upper = lane & m;
      UNROLL for (u32 i = 0; i < 16; ++i) {  // of a fixed length: else the scores go to memory
        if (i >= m) break;
        const T given = upper ? s[i] : s[i + m];
        s[i] = (upper ? s[i + m] : s[i]) + warp_shuffle_xor(given, m);
      }
    }
    const i32 j = own < rows && start + nth < end ? start + nth : p.keys;
    T x = s[0];
#{score}
    if (!seen) x = -INFINITY;
    T top = x > best ? x : best;
    UNROLL for (u32 m = ROWS; m < 32; m *= 2) {
      const T other = warp_shuffle_xor(top, m);
      top = other > top ? other : top;
    }
    const T shift = top == -INFINITY ? T(0) : top, factor = exp(best - shift), e = exp(x - shift);
    best = top;
    sum = sum * factor + e;
    UNROLL for (i32 r = 0; r < ROWS; ++r) {
      const T f = warp_shuffle(factor, u32(r));
      UNROLL for (i32 i = 0; i < VALUES; ++i) acc[r][i] *= f;
    }
    UNROLL for (i32 n = 0; n < KEYS; ++n) {
      T from_v[VALUES];
      UNROLL for (i32 i = 0; i < VALUES; ++i) {
        const i32 d = i32(lane) + 32 * i;
        from_v[i] = start + n < end && d < p.values ? load(v[I(start + n) * p.v_row + I(d) * p.v_column]) : T(0);
      }
      UNROLL for (i32 r = 0; r < ROWS; ++r) {
        const T w = warp_shuffle(e, u32(n * ROWS + r));
        UNROLL for (i32 i = 0; i < VALUES; ++i) acc[r][i] = fma(w, from_v[i], acc[r][i]);
      }
    }
  }
  UNROLL for (u32 m = ROWS; m < 32; m *= 2) sum += warp_shuffle_xor(sum, m);
  UNROLL for (i32 r = 0; r < ROWS; ++r) {
    if (r < rows) {
      DEVICE T* to = found + i64(r) * (p.values + 2);
      if (i32(lane) == r) {
        to[0] = best;
        to[1] = sum;
      }
      UNROLL for (i32 i = 0; i < VALUES; ++i)
        if (i32(lane) + 32 * i < p.values) to[2 + i32(lane) + 32 * i] = acc[r][i];
    }
  }
)text";

constexpr std::string_view kCombine = R"text(
  const i32 rows = p.group * p.queries, r = i32(group.x) % rows;
  const u32 pair = group.x / u32(rows), key_heads = u32(p.heads / p.group);
  const i32 t = r % p.queries, head = i32(pair % key_heads) * p.group + r / p.queries;
  const i64 size = i64(rows) * (p.values + 2);
  found += i64(pair) * p.parts * size + i64(r) * (p.values + 2);
)text";
constexpr std::string_view kCombineRest = R"text(
  T top = sink;
  for (i32 i = 0; i < p.parts; ++i) {
    const T best = found[i * size];
    top = best > top ? best : top;
  }
  const T shift = top == -INFINITY ? T(0) : top;
  T total = exp(sink - shift);
  for (i32 i = 0; i < p.parts; ++i) total = fma(exp(found[i * size] - shift), found[i * size + 1], total);
  for (i32 c = i32(item.x); c < p.values; c += 128) {
    T acc = T(0);
    for (i32 i = 0; i < p.parts; ++i) acc = fma(exp(found[i * size] - shift), found[i * size + 2 + c], acc);
    store(result, I(head) * p.result_head + I(t) * p.result_row + I(c), total == T(0) ? T(0) : acc / total);
  }
  if (item.x == 0) {
    most[I(head) * p.most_head + I(t)] = top;
    sums[I(head) * p.sums_head + I(t)] = total;
  }
)text";

// How many of so many features a lane has, in steps: each is a text of its own.
int lane_share(int64_t features) {
  for (int share : {1, 2, 3, 4})
    if (features <= 32 * share) return share;
  return 8;
}

}  // namespace

bool is_few(const AttentionProblem& p) {
  return p.group * p.queries <= kMostRows && p.depth <= kMostFeatures && p.values <= kMostFeatures;
}

std::unique_ptr<Kernel> make_few_attention(Machine& machine, const AttentionProblem& p, bool sinks) {
  const Traits& traits = machine.traits();
  const bool masked = p.mask != AttentionMask::none;
  const int64_t rows = p.group * p.queries, pairs = p.batches * p.key_heads();
  int64_t room = 1;  // rows that the text has room for
  while (room < rows) room *= 2;
  // As many stretches as keep the machine busy, each long enough to be worth being put together.
  const int64_t block = 32 / room, least = std::max<int64_t>(32, block);
  const int64_t wanted = std::clamp<int64_t>(int64_t(traits.cores) * 16 / pairs, 1, kMostParts);
  int64_t parts = std::clamp<int64_t>(p.keys / least, 1, wanted);
  const int64_t part_keys = ((p.keys + parts - 1) / parts + block - 1) / block * block;
  parts = (p.keys + part_keys - 1) / part_keys;
  const int scratch = (masked ? 4 : 3) + sinks + 3;

  const int depth = lane_share(p.depth), values = lane_share(std::max(p.depth, p.values));
  const std::string type(register_type(p.dtype));
  std::vector<Stage> stages(2);
  {
    AttentionKernelText out(traits, cat("attention_few", p.suffix()), kWarps * 32);
    std::vector<std::string_view> names{"q", "k", "v"};
    if (masked) names.push_back("mask");
    Stage& stage = stages[0];
    for (std::string_view name : names) {
      p.operand(name).read(out.text, name);
      stage.operands.push_back({int(stage.operands.size())});
    }
    stage.read_only = names.size();
    out.text.write(type, "found");
    stage.operands.push_back({scratch});
    p.fields(out, names);
    out.field("parts", parts);
    out.field("part_keys", part_keys);
    out.text.before(p.types());
    out.text.before(cat("enum { ROWS = ", room, ", KEYS = 32 / ROWS, DEPTH = ", depth, ", VALUES = ", values, " };\n"));
    out.text.body(kBegin);
    out.text.body(p.to_batch("pair / key_heads", names));
    out.text.body(p.scale_text());
    if (masked) out.text.body("  mask += I(key_head * u32(p.group) + lane % ROWS / u32(p.queries)) * p.mask_head;\n");
    out.text.body(filled_in(kWalk, {{"score", indented(p.score(), 4)}}));
    const uint32_t warps = uint32_t(std::min<int64_t>(parts, kWarps));
    stage.pipeline = machine.pipeline(out.text.finish());
    stage.groups = {uint32_t(pairs), groups_for(parts, warps), 1};
    stage.threads = {warps * 32, 1, 1};
    stage.values = out.values.bytes();
  }
  {
    AttentionKernelText out(traits, cat("attention_combine_", type_name(p.dtype), sinks ? "_sinks" : ""), 128);
    std::vector<std::string_view> names;
    Stage& stage = stages[1];
    out.text.read(type, "found");
    stage.operands.push_back({scratch});
    if (sinks) {
      names.push_back("sinks");
      p.operand("sinks").read(out.text, "sinks");
      stage.operands.push_back({masked ? 4 : 3});
    }
    stage.read_only = stage.operands.size();
    int next = scratch - 3;
    for (std::string_view name : {"result", "most", "sums"}) {
      names.push_back(name);
      out.text.write(p.operand(name).type, name);
      stage.operands.push_back({next++});
    }
    p.fields(out, names);
    out.field("parts", parts);
    out.text.before(p.types());
    out.text.body(kCombine);
    out.text.body(p.to_batch("pair / key_heads", names));
    out.text.body(sinks ? "  const T sink = load(sinks[I(head) * p.sinks_head]);\n" : "  const T sink = -INFINITY;\n");
    out.text.body(kCombineRest);
    stage.pipeline = machine.pipeline(out.text.finish());
    stage.groups = {uint32_t(pairs * rows), 1, 1};
    stage.threads = {128, 1, 1};
    stage.values = out.values.bytes();
  }
  const size_t bytes = size_t(pairs * parts * rows * (p.values + 2)) * (p.wide() ? 8 : 4);
  return std::make_unique<StagedLaunches>(machine, std::move(stages), bytes);
}

}  // namespace funcnn::gpu
