// A team of lanes takes a key at a time: packs of its features lie in neighbouring lanes, which add up the products
// with all rows, queries of heads that share these keys, and weigh the value that belongs to the key. Each team keeps
// of each row the largest score so far and sums relative to it; the teams of a group are put together in shared memory.
// Where few groups would read much each, keys are split among groups, and a second kernel puts together what those
// found, in their order.
#include "backends/gpu/attention_few.h"

#include <algorithm>

#include "backends/gpu/lane_sums.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kMostRows = 8, kMostFeatures = 256, kMostParts = 128;

constexpr std::string_view kBegin = R"text(
  const u32 pair = group.x, part = group.y, key_head = pair % u32(p.key_heads);
)text";

constexpr std::string_view kWalk = R"text(
  SHARED T tops[WARPS * ROWS], totals[WARPS * ROWS], row_tops[ROWS], found_here[WARPS * ROWS * WIDTH];
  q += I(key_head * u32(p.group)) * p.q_head;
  k += I(key_head) * p.k_head;
  v += I(key_head) * p.v_head;
  const i32 rows = p.group * QUERIES, begin = i32(part) * p.part_keys, warps = i32(items.x / 32);
  const i32 end = p.keys - begin < p.part_keys ? p.keys : begin + p.part_keys;
  const i32 team = i32(lane) / TEAM, mine = i32(lane) % TEAM;
  // The row whose scores this lane gets. Beyond the last they are the last one's again, which nobody looks at.
  const i32 place = mine / (TEAM / ROWS), own = min(place, rows - 1), t = own % QUERIES;
#{own}
  const bool packs = p.packs;
  T from_q[ROWS][DEPTH * EACH], acc[ROWS * VALUES * EACH];
  UNROLL for (i32 r = 0; r < ROWS; ++r) {
    const i32 row = min(r, rows - 1);
    UNROLL for (i32 i = 0; i < DEPTH * EACH; ++i) {
      const i32 d = feature(i, mine, packs);
      const T x = load(q[I(row / QUERIES) * p.q_head + I(row % QUERIES) * p.q_row + I(min(d, p.depth - 1)) * p.q_column]);
      from_q[r][i] = WHOLE || d < p.depth ? x : T(0);
    }
  }
  UNROLL for (i32 i = 0; i < ROWS * VALUES * EACH; ++i) acc[i] = T(0);
  T best = -INFINITY, sum = T(0);
  if (packs) {
#{in_packs}
  } else {
#{one_by_one}
  }
)text";

// All loads come first; keys and features beyond the last are read from within and left out.
constexpr std::string_view kKeys =
    R"text(    for (i32 start = begin + i32(warp) * TEAMS; start < end; start += warps * (TEAMS * STEPS)) {
      Pack<S, EACH> from_k[STEPS][DEPTH], from_v[STEPS][VALUES];
#{declare}
      UNROLL for (i32 n = 0; n < STEPS; ++n) {
        const i32 j = min(start + n * warps * TEAMS + team, end - 1);
        DEVICE const S* const key = k + I(j) * p.k_row;
        DEVICE const S* const value = v + I(j) * p.v_row;
#{read}
#{look}
      }
      T x[STEPS], top = best;
      UNROLL for (i32 n = 0; n < STEPS; ++n) {
        const i32 j = start + n * warps * TEAMS + team;
        T s[ROWS];
        UNROLL for (i32 r = 0; r < ROWS; ++r) s[r] = T(0);
        UNROLL for (i32 i = 0; i < DEPTH * EACH; ++i) {
          const T y = WHOLE || feature(i, mine, packs) < p.depth ? load(from_k[n][i / EACH].v[i % EACH]) : T(0);
          UNROLL for (i32 r = 0; r < ROWS; ++r) s[r] = fma(y, from_q[r][i], s[r]);
        }
#{add_up}
        x[n] = s[0] * scale;
#{score}
        top = x[n] > top ? x[n] : top;
      }
      const T shift = top == -INFINITY ? T(0) : top, factor = exp(best - shift);
      best = top;
      sum *= factor;
      UNROLL for (i32 r = 0; r < ROWS; ++r) {
        const T f = of_row(factor, r, team);
        UNROLL for (i32 i = 0; i < VALUES * EACH; ++i) acc[r * (VALUES * EACH) + i] *= f;
      }
      UNROLL for (i32 n = 0; n < STEPS; ++n) {
        const T e = exp(x[n] - shift);
        sum += e;
        const bool inside = start + n * warps * TEAMS + team < end;
        UNROLL for (i32 r = 0; r < ROWS; ++r) {
          const T w = of_row(e, r, team);
          if (!inside) continue;
          UNROLL for (i32 i = 0; i < VALUES * EACH; ++i)
            acc[r * (VALUES * EACH) + i] =
                fma(w, load(from_v[n][i / EACH].v[i % EACH]), acc[r * (VALUES * EACH) + i]);
        }
      }
    })text";

constexpr std::string_view kPacks = R"text(        UNROLL for (i32 i = 0; i < DEPTH; ++i) {
          const i32 d = (i * TEAM + mine) * EACH;
          from_k[n][i] = load_pack<EACH>(key + (WHOLE || d < p.depth ? d : 0));
        }
        UNROLL for (i32 i = 0; i < VALUES; ++i) {
          const i32 d = (i * TEAM + mine) * EACH;
          from_v[n][i] = load_pack<EACH>(value + (WHOLE || d < p.values ? d : 0));
        })text";
constexpr std::string_view kOnes = R"text(        UNROLL for (i32 i = 0; i < DEPTH * EACH; ++i)
          from_k[n][i / EACH].v[i % EACH] = key[I(min(i * TEAM + mine, p.depth - 1)) * p.k_column];
        UNROLL for (i32 i = 0; i < VALUES * EACH; ++i)
          from_v[n][i / EACH].v[i % EACH] = value[I(min(i * TEAM + mine, p.values - 1)) * p.v_column];)text";

constexpr std::string_view kFinish = R"text(
  // The largest score of each row, of the warp and then of the group.
  T top = best;
  UNROLL for (u32 m = TEAM; m < 32; m *= 2) {
    const T other = warp_shuffle_xor(top, m);
    top = other > top ? other : top;
  }
  const bool first = team == 0 && mine % (TEAM / ROWS) == 0;
  if (first) tops[i32(warp) * ROWS + place] = top;
  BARRIER();
  for (i32 i = 0; i < warps; ++i) {
    const T other = tops[i * ROWS + place];
    top = other > top ? other : top;
  }
#{sink}
  const T shift = top == -INFINITY ? T(0) : top, factor = exp(best - shift);
  sum *= factor;
  UNROLL for (u32 m = TEAM; m < 32; m *= 2) sum += warp_shuffle_xor(sum, m);
#{add_sink}
  if (first) totals[i32(warp) * ROWS + place] = sum;
  if (first && warp == 0) row_tops[place] = top;
  UNROLL for (i32 r = 0; r < ROWS; ++r) {
    const T f = of_row(factor, r, team);
    UNROLL for (i32 i = 0; i < VALUES * EACH; ++i) acc[r * (VALUES * EACH) + i] *= f;
  }
#{add_up}
  if (team % #{alike} == 0) {
    UNROLL for (i32 i = 0; i < #{held}; ++i) {
      const i32 e = team / #{alike} * #{held} + i;
      found_here[(i32(warp) * ROWS + e / (VALUES * EACH)) * WIDTH + feature(e % (VALUES * EACH), mine, packs)] = acc[i];
    }
  }
  BARRIER();
  for (i32 e = i32(item.x); e < rows * WIDTH; e += i32(items.x)) {
    const i32 r = e / WIDTH, c = e % WIDTH;
    if (c >= p.values) continue;
    T value = found_here[e], total = totals[r];
    for (i32 i = 1; i < warps; ++i) {
      value += found_here[i * (ROWS * WIDTH) + e];
      total += totals[i * ROWS + r];
    }
#{store}
  }
)text";

constexpr std::string_view kStoreResult =
    R"text(    const i32 head = i32(key_head) * p.group + r / QUERIES, row = r % QUERIES;
    store(result, I(head) * p.result_head + I(row) * p.result_row + I(c), total == T(0) ? T(0) : value / total);
    if (c == 0) {
      most[I(head) * p.most_head + I(row)] = row_tops[r];
      sums[I(head) * p.sums_head + I(row)] = total;
    })text";
constexpr std::string_view kStorePart =
    R"text(    DEVICE T* const to = found + ((i64(pair) * p.parts + part) * rows + r) * (p.values + 2);
    to[2 + c] = value;
    if (c == 0) {
      to[0] = row_tops[r];
      to[1] = total;
    })text";

constexpr std::string_view kCombine = R"text(
  SHARED T weights[PARTS];
  const i32 rows = p.group * p.queries, r = i32(group.x) % rows;
  const u32 pair = group.x / u32(rows), key_heads = u32(p.heads / p.group);
  const i32 t = r % p.queries, head = i32(pair % key_heads) * p.group + r / p.queries;
  const i64 size = i64(rows) * (p.values + 2);
  found += i64(pair) * p.parts * size + i64(r) * (p.values + 2);
)text";
constexpr std::string_view kCombineRest = R"text(
  T top = sink;
  for (i32 i = i32(lane); i < p.parts; i += 32) {
    const T best = found[i * size];
    top = best > top ? best : top;
  }
  UNROLL for (u32 m = 16; m; m /= 2) {
    const T other = warp_shuffle_xor(top, m);
    top = other > top ? other : top;
  }
  const T shift = top == -INFINITY ? T(0) : top;
  T total = T(0);
  for (i32 i = i32(lane); i < p.parts; i += 32) {
    const T e = exp(found[i * size] - shift);
    if (warp == 0) weights[i] = e;
    total = fma(e, found[i * size + 1], total);
  }
  total = warp_sum(total) + exp(sink - shift);
  BARRIER();
  for (i32 c = i32(item.x); c < p.values; c += 128) {
    T acc = T(0);
    for (i32 i = 0; i < p.parts; i += 8) {
      T x[8];
      UNROLL for (i32 n = 0; n < 8; ++n) x[n] = found[min(i + n, p.parts - 1) * size + 2 + c];
      UNROLL for (i32 n = 0; n < 8; ++n)
        if (i + n < p.parts) acc = fma(weights[i + n], x[n], acc);
    }
    store(result, I(head) * p.result_head + I(t) * p.result_row + I(c), total == T(0) ? T(0) : acc / total);
  }
  if (item.x == 0) {
    most[I(head) * p.most_head + I(t)] = top;
    sums[I(head) * p.sums_head + I(t)] = total;
  }
)text";

int64_t power_of_two_from(int64_t n) {
  int64_t x = 1;
  while (x < n) x *= 2;
  return x;
}
int64_t steps_of(int64_t n, int64_t step) { return (n + step - 1) / step; }

// How lanes lie and keys are spread.
struct FewForm {
  int64_t each;           // features of a pack
  int64_t rows;           // that the text has room for
  int64_t team;           // lanes of a key
  int64_t depth, values;  // packs of a lane
  int64_t steps;          // keys that a team asks for at once
  int64_t most_warps;
  int64_t warps, parts, part_keys;

  int64_t teams() const { return 32 / team; }
  int64_t width() const { return team * each * values; }

  FewForm(const Traits& traits, const AttentionProblem& p) {
    const int64_t item = int64_t(item_size(p.dtype)), held = p.wide() ? 8 : 4;
    each = 16 / item;
    rows = power_of_two_from(p.group * p.queries);
    team = std::min<int64_t>(
        32, std::max({int64_t(4), rows, power_of_two_from(steps_of(std::max(p.depth, p.values), each))}));
    depth = steps_of(p.depth, team * each);
    values = steps_of(p.values, team * each);
    steps = std::clamp<int64_t>(8 / (depth + values), 1, 4);
    // What a group shares is at most 16 KiB, and registers are for a whole group.
    most_warps =
        std::clamp<int64_t>(16384 / (rows * width() * held), 1, rows * each * (depth + values) * held > 160 ? 8 : 16);

    const int64_t cores = int64_t(traits.cores), pairs = std::max<int64_t>(1, p.batches * p.key_heads());
    // A core can read half as fast again as its share of the memory's bandwidth. A second kernel costs what a core
    // reads of its share in the meantime.
    constexpr int64_t kSecondKernel = 96 << 10;
    const int64_t bytes = p.keys * (p.depth + p.values) * item;
    const bool split = steps_of(pairs, cores) * bytes * 2 / 3 > pairs * bytes / cores + kSecondKernel;
    const int64_t wanted = steps_of(cores * std::max<int64_t>(2, 16 / most_warps), pairs);
    parts = split ? std::clamp<int64_t>(wanted, 1, std::min(kMostParts, steps_of(p.keys, teams() * steps * most_warps)))
                  : 1;
    part_keys = std::max<int64_t>(1, steps_of(p.keys, parts));
    parts = std::max<int64_t>(1, steps_of(p.keys, part_keys));
    warps = std::clamp<int64_t>(steps_of(part_keys, teams() * steps), 1, most_warps);
  }

  std::string text(const AttentionProblem& p) const {
    auto constant = [](std::string_view name, int64_t value) { return cat(name, " = ", value, ", "); };
    const bool whole = p.depth == team * each * depth && p.values == width();
    return cat("enum { ", constant("EACH", each), constant("ROWS", rows), constant("QUERIES", p.queries),
               constant("TEAM", team), constant("TEAMS", teams()), constant("DEPTH", depth), constant("VALUES", values),
               constant("WIDTH", width()), constant("STEPS", steps), constant("WARPS", most_warps),
               constant("WHOLE", whole), R"text(};
// The number of the feature that a lane holds as its i-th.
FUNCTION i32 feature(i32 i, i32 mine, bool packs) {
  return packs ? (i / EACH * TEAM + mine) * EACH + i % EACH : i * TEAM + mine;
}
// What the lane of the team has that gets the scores of a row.
FUNCTION T of_row(T x, i32 r, i32 team) { return ROWS == 1 ? x : warp_shuffle(x, u32(team * TEAM + r * (TEAM / ROWS))); }
)text");
  }
};

// Whether packs of `each` features can be loaded where each begins at such a place.
bool in_packs(const AttentionOperand& o, int64_t features, int64_t each) {
  auto whole = [&](int64_t step) { return step % each == 0; };
  return o.column == 1 && whole(features) && whole(o.row) && whole(o.head) &&
         std::all_of(o.lead.begin(), o.lead.end(), whole);
}

std::string keys_text(const AttentionProblem& p, const FewForm& form, std::string_view read) {
  const std::string type(register_type(p.dtype));
  std::string declare, look,
      score = cat("bool seen = j < end", p.causal ? " && j <= t + p.keys - p.queries" : "", ";\n");
  constexpr std::string_view at = "mask[I(t) * p.mask_row + I(j) * p.mask_column]";
  if (p.mask == AttentionMask::boolean) {
    declare = "bool shown[STEPS];";
    look = cat("shown[n] = ", at, ";");
    score += "seen = seen && shown[n];\n";
  } else if (p.mask == AttentionMask::added) {
    declare = "T more[STEPS];";
    look = cat("more[n] = load(", at, ");");
    score += "x[n] += more[n];\n";
  }
  score += "if (!seen) x[n] = -INFINITY;";
  return filled_in(kKeys,
                   {{"declare", indented(declare, 6)},
                    {"read", read},
                    {"look", indented(look, 8)},
                    {"add_up", indented(summed_over_lanes("s", type, int(form.rows), int(form.team), 1).statements, 6)},
                    {"score", indented(score, 8)}});
}

}  // namespace

bool is_few(const AttentionProblem& p) {
  return p.group * p.queries <= kMostRows && p.depth <= kMostFeatures && p.values <= kMostFeatures;
}

std::unique_ptr<Kernel> make_few_attention(Machine& machine, const AttentionProblem& p, bool sinks) {
  const Traits& traits = machine.traits();
  const bool masked = p.mask != AttentionMask::none;
  const int64_t rows = p.group * p.queries, pairs = p.batches * p.key_heads();
  const FewForm form(traits, p);
  const bool alone = form.parts == 1, sinks_here = sinks && alone;
  const int scratch = (masked ? 4 : 3) + sinks + 3;
  const std::string type(register_type(p.dtype));

  std::vector<Stage> stages(alone ? 1 : 2);
  {
    AttentionKernelText out(traits, cat("attention_few", p.suffix(), sinks_here ? "_sinks" : ""),
                            uint32_t(form.most_warps) * 32);
    std::vector<std::string_view> names{"q", "k", "v"};
    if (masked) names.push_back("mask");
    if (sinks_here) names.push_back("sinks");
    Stage& stage = stages[0];
    for (std::string_view name : names) {
      p.operand(name).read(out.text, name);
      stage.operands.push_back({int(stage.operands.size())});
    }
    stage.read_only = names.size();
    if (alone) {
      for (std::string_view name : {"result", "most", "sums"}) {
        names.push_back(name);
        out.text.write(p.operand(name).type, name);
        stage.operands.push_back({int(stage.operands.size())});
      }
    } else {
      out.text.write(type, "found");
      stage.operands.push_back({scratch});
    }
    p.fields(out, names);
    out.field("parts", form.parts);
    out.field("part_keys", form.part_keys);
    out.field("key_heads", p.key_heads());
    const size_t packs_at = out.values.bytes().size();
    out.field("packs", in_packs(p.operand("q"), p.depth, form.each) && in_packs(p.operand("k"), p.depth, form.each) &&
                           in_packs(p.operand("v"), p.values, form.each));
    stage.aligned = {{0, packs_at}, {1, packs_at}, {2, packs_at}};
    out.text.before(p.types());
    out.text.before(form.text(p));
    out.text.body(kBegin);
    out.text.body(p.to_batch("pair / u32(p.key_heads)", names));
    out.text.body(p.scale_text());
    std::string own;
    if (masked) own += "  mask += I(i32(key_head) * p.group + own / QUERIES) * p.mask_head;\n";
    if (sinks_here) own += "  const T sink = load(sinks[I(i32(key_head) * p.group + own / QUERIES) * p.sinks_head]);\n";
    out.text.body(filled_in(kWalk, {{"own", indented(own, 0)},
                                    {"in_packs", keys_text(p, form, kPacks)},
                                    {"one_by_one", keys_text(p, form, kOnes)}}));
    const LaneSums sums =
        summed_over_lanes("acc", type, int(form.rows * form.values * form.each), int(form.teams()), int(form.team));
    out.text.body(filled_in(kFinish, {{"sink", sinks_here ? "  top = sink > top ? sink : top;" : ""},
                                      {"add_sink", sinks_here ? "  if (warp == 0) sum += exp(sink - shift);" : ""},
                                      {"add_up", indented(sums.statements, 0)},
                                      {"held", std::to_string(sums.held)},
                                      {"alike", std::to_string(sums.alike)},
                                      {"store", alone ? kStoreResult : kStorePart}}));
    stage.pipeline = machine.pipeline(out.text.finish());
    stage.groups = {uint32_t(pairs), uint32_t(form.parts), 1};
    stage.threads = {uint32_t(form.warps) * 32, 1, 1};
    stage.values = out.values.bytes();
  }
  if (alone) return std::make_unique<StagedLaunches>(machine, std::move(stages));
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
    out.field("parts", form.parts);
    out.text.before(p.types());
    out.text.before(cat("enum { PARTS = ", kMostParts, " };\n"));
    out.text.body(kCombine);
    out.text.body(p.to_batch("pair / key_heads", names));
    out.text.body(sinks ? "  const T sink = load(sinks[I(head) * p.sinks_head]);\n" : "  const T sink = -INFINITY;\n");
    out.text.body(kCombineRest);
    stage.pipeline = machine.pipeline(out.text.finish());
    stage.groups = {uint32_t(pairs * rows), 1, 1};
    stage.threads = {128, 1, 1};
    stage.values = out.values.bytes();
  }
  const size_t bytes = size_t(pairs * form.parts * rows * (p.values + 2)) * (p.wide() ? 8 : 4);
  return std::make_unique<StagedLaunches>(machine, std::move(stages), bytes);
}

}  // namespace funcnn::gpu
