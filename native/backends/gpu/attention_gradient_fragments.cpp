// The derivatives of attention by fragments. A warp owns 16 queries, or 16 keys, whose features it holds; the scores
// are computed again, tile by tile, with what the warp owns in their rows.
#include <algorithm>

#include "backends/gpu/attention_fragments.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Of scores in s and products of the cotangent in ds: the probabilities, and the derivatives by score. Products that
// are not numbers do not matter where nothing is seen.
constexpr std::string_view kWeights = R"text(UNROLL for (u32 h = 0; h < 2; ++h) {
  UNROLL for (i32 n = 0; n < WALKED / 8; ++n) {
    UNROLL for (u32 e = 0; e < 2; ++e) {
      const i32 column = n * 8 + i32(fragment_column(lane, e));
      const f32 w = fragment_exp2(#{exponent});
      s[n].v[2 * h + e] = w;
#{by_score}
    }
  }
}
)text";
constexpr std::string_view kByScore = "ds[n].v[2 * h + e] = w * (ds[n].v[2 * h + e] - #{less}) * scale;";
constexpr std::string_view kUnseen = R"text(UNROLL for (i32 n = 0; n < WALKED / 8; ++n)
  UNROLL for (u32 i = 0; i < 4; ++i)
    if (s[n].v[i] == 0.0f) ds[n].v[i] = 0.0f;
)text";

std::string weights_text(const FragmentScores& scores, std::string_view at, bool by_score_too) {
  const std::string less = cat("less[", at, "]");
  const std::string exponent = scores.probability("s[n].v[2 * h + e]", cat("shifts[", at, "]"), cat("logs[", at, "]"));
  const std::string by_score = by_score_too ? filled_in(kByScore, {{"less", less}}) : "";
  return cat(scores.whole, scores.settle,
             filled_in(kWeights, {{"exponent", exponent}, {"by_score", indented(by_score, 6)}}),
             by_score_too ? scores.if_unseen(kUnseen) : "");
}

constexpr std::string_view kZeros = R"text(  UNROLL for (i32 c = 0; c < #{count}; ++c) fill(#{name}[c], 0.0f);
)text";

// The products of owned rows `a`, fragments, with the rows of a tile.
std::string products_text(std::string_view into, std::string_view a, std::string_view tile, std::string_view width) {
  return filled_in(R"text(    FragmentC #{into}[WALKED / 8];
    UNROLL for (i32 n = 0; n < WALKED / 8; ++n) fill(#{into}[n], 0.0f);
    UNROLL for (i32 d = 0; d < #{width} / 16; ++d) {
      UNROLL for (i32 n = 0; n < WALKED / 8; n += 2) {
        FragmentB<S> b[2];
        load_b_pair_transposed(b, #{tile} + n * 8 * (#{width} + 8) + d * 16, #{width} + 8, lane);
        UNROLL for (i32 i = 0; i < 2; ++i) multiply_add(#{into}[n + i], #{a}[d], b[i]);
      }
    }
)text",
                   {{"into", into}, {"a", a}, {"tile", tile}, {"width", width}});
}

// `acc` and the weights, rounded, times columns of a tile from `first`.
std::string weighted_text(std::string_view acc, std::string_view weights, std::string_view tile, std::string_view width,
                          std::string_view first, std::string_view columns) {
  return filled_in(
      R"text(    UNROLL for (i32 n = 0; n < WALKED / 16; ++n) {
      FragmentA<S> a;
      as_a(a, #{weights}[2 * n], #{weights}[2 * n + 1]);
      UNROLL for (i32 c = 0; c < #{columns} / 8; c += 2) {
        FragmentB<S> b[2];
        load_b_pair(b, #{tile} + n * 16 * (#{width} + 8) + #{first} + c * 8, #{width} + 8, lane);
        UNROLL for (i32 i = 0; i < 2; ++i) multiply_add(#{acc}[c + i], a, b[i]);
      }
    }
)text",
      {{"acc", acc}, {"weights", weights}, {"tile", tile}, {"width", width}, {"first", first}, {"columns", columns}});
}

std::string store_text(std::string_view to, std::string_view head, std::string_view acc, std::string_view columns,
                       std::string_view count, std::string_view length, std::string_view first) {
  return filled_in(R"text(  UNROLL for (u32 h = 0; h < 2; ++h) {
    const i32 r = first + i32(warp * 16 + fragment_row(lane, 2 * h));
    if (r < #{count}) {
      UNROLL for (i32 c = 0; c < #{columns} / 8; ++c) {
        const i32 column = #{first} + c * 8 + i32(fragment_column(lane, 0));
        store_pair(#{to} + (I(#{head}) * p.#{to}_head + I(r) * p.#{to}_row + I(column)), #{length} - column,
                   p.wide_#{to}, #{acc}[c].v[2 * h], #{acc}[c].v[2 * h + 1]);
      }
    }
  }
)text",
                   {{"to", to},
                    {"head", head},
                    {"acc", acc},
                    {"columns", columns},
                    {"count", count},
                    {"length", length},
                    {"first", first}});
}

// ---- by queries

constexpr std::string_view kByQuery = R"text(  SHARED Pack<u32, 4> memory[MEMORY];
  SHARED_POINTER S* const tiles = (SHARED_POINTER S*)memory;
  const u32 me = item.x, pair = group.x % u32(p.pairs), head = pair % u32(p.heads);
  // The last queries first: under a causal mask they see the most keys.
  const i32 first = i32(u32(p.tiles) - 1 - group.x / u32(p.pairs)) * 64, c0 = i32(group.y) * COLUMNS;
#{batch}
  q += I(head) * p.q_head + I(first) * p.q_row;
  ct += I(head) * p.ct_head + I(first) * p.ct_row;
  k += I(head / u32(p.group)) * p.k_head;
  v += I(head / u32(p.group)) * p.v_head;
#{mask}
#{end}
#{unit}
#{before}
#{owned}
  FragmentC acc[COLUMNS / 8];
#{zeros}
  f32 shifts[2], logs[2], less[2];
  UNROLL for (u32 h = 0; h < 2; ++h) {
    const i32 t = first + i32(warp * 16 + fragment_row(lane, 2 * h));
    const I at = I(head) * p.sums_head + I(t) * p.sums_row;
    const f32 total = t < p.queries ? sums[at] : 0.0f;
    const f32 #{statistics};
    shifts[h] = shift;
    logs[h] = log2_total;
    less[h] = t < p.queries ? rows[I(head) * p.rows_head + I(t) * p.rows_row] : 0.0f;
  }
  for (i32 start = 0; start < end; start += WALKED) {
#{step}
#{products}
#{weights}
#{weighted}
  }
#{store}
)text";

// ---- by keys and values

constexpr std::string_view kByKey = R"text(  SHARED Pack<u32, 4> memory[MEMORY];
  SHARED f32 shifts[WALKED], logs[WALKED], less[WALKED];
  SHARED_POINTER S* const tiles = (SHARED_POINTER S*)memory;
  const u32 me = item.x, key_heads = u32(p.heads / p.group), pair = group.x % u32(p.pairs), key_head = pair % key_heads;
  const u32 head = key_head * u32(p.group);
  const i32 first = i32(group.x / u32(p.pairs)) * 64, c0 = i32(group.y) * COLUMNS;
#{batch}
  k += I(key_head) * p.k_head + I(first) * p.k_row;
  v += I(key_head) * p.v_head + I(first) * p.v_row;
  q += I(head) * p.q_head;
  ct += I(head) * p.ct_head;
  most += I(head) * p.most_head;
  sums += I(head) * p.sums_head;
  rows += I(head) * p.rows_head;
#{mask}
#{unit}
#{owned}
#{zeros}
#{begin}
  for (i32 g = 0; g < p.group; ++g) {
#{before}
    for (i32 start = begin; start < p.queries; start += WALKED) {
#{step}
#{products}
#{weights}
#{weighted}
    }
    q += p.q_head;
    ct += p.ct_head;
    most += p.most_head;
    sums += p.sums_head;
    rows += p.rows_head;
#{next_mask}
  }
#{store}
)text";

constexpr std::string_view kStatistics = R"text(if (me < WALKED) {
  const i32 t = start + i32(me);
  const f32 total = t < p.queries ? sums[I(t) * p.sums_row] : 0.0f;
  const f32 #{statistics};
  shifts[me] = shift;
  logs[me] = log2_total;
  less[me] = t < p.queries ? rows[I(t) * p.rows_row] : 0.0f;
}
)text";

struct Declared {
  AttentionKernelText out;
  Stage stage;
  std::vector<std::string_view> names;

  Declared(Machine& machine, const AttentionProblem& p, std::string_view name,
           std::initializer_list<std::string_view> written)
      : out(machine.traits(), cat("attention_", name, p.suffix()), kAttentionThreads), names{"q", "k", "v"} {
    if (p.mask != AttentionMask::none) names.push_back("mask");
    for (std::string_view name : {"most", "sums", "rows", "ct"}) names.push_back(name);
    for (std::string_view name : names) {
      p.operand(name).read(out.text, name);
      stage.operands.push_back({int(stage.operands.size())});
    }
    stage.read_only = names.size();
    for (std::string_view name : written) {
      out.text.write(p.operand(name).type, name);
      stage.operands.push_back({p.inputs + (name == "dq" ? 0 : name == "dk" ? 1 : 2)});
      names.push_back(name);
    }
    p.fields(out, names);
    for (std::string_view name : {"q", "k", "v"}) add_wide(p, out, stage, name, name == "q" ? 0 : name == "k" ? 1 : 2);
    add_wide(p, out, stage, "ct", int(stage.read_only) - 1);
    for (int at = int(stage.read_only); std::string_view name : written) add_wide(p, out, stage, name, at++);
    out.text.use(Section::fragments);
    out.text.before(p.types());
  }

  Stage finish(Machine& machine, uint32_t groups, uint32_t columns) {
    stage.pipeline = machine.pipeline(out.text.finish());
    stage.groups = {groups, columns, 1};
    stage.threads = {kAttentionThreads, 1, 1};
    stage.values = out.values.bytes();
    return std::move(stage);
  }
};

constexpr int kMostColumns = 128;

// How many columns of a tile so wide, a multiple of 16, a group takes: as many as any other, so that none reads beyond.
int shared_columns(int width) {
  int groups = 1;
  while (width % (8 * groups) || width / groups > kMostColumns) ++groups;
  return width / groups;
}

Stage by_query(Machine& machine, const AttentionProblem& p, const FragmentTiles& tiles) {
  const bool masked = p.mask != AttentionMask::none;
  const int columns = shared_columns(tiles.depth);
  const int64_t pairs = p.batches * p.heads, blocks = (p.queries + kFragmentRows - 1) / kFragmentRows;
  Declared d(machine, p, "dq", {"dq"});
  d.out.field("pairs", pairs);
  d.out.field("tiles", blocks);
  d.out.text.before(tiles.text());
  d.out.text.before(cat("enum { COLUMNS = ", columns, " };\n"));
  const FragmentScores scores(p, "owned", "walked");
  const WalkedTiles walked{"k", "v", "p.keys", "p.depth", "p.values", "end"};
  d.out.text.body(filled_in(
      kByQuery,
      {{"batch", indented(p.to_batch("pair / u32(p.heads)", d.names) + p.scale_text(), 0)},
       {"mask", masked ? "  mask += I(head) * p.mask_head;" : ""},
       {"unit", indented(scores.unit, 0)},
       {"owned", indented(owned_rows_text(tiles, {{"query", "q", tiles.depth, "p.queries - first", "p.depth"},
                                                  {"cotangent", "ct", tiles.values, "p.queries - first", "p.values"}}),
                          0)},
       {"zeros", indented(filled_in(kZeros, {{"count", "COLUMNS / 8"}, {"name", "acc"}}), 0)},
       {"end", p.causal ? "  const i32 seen_last = first + 64 + p.keys - p.queries;\n"
                          "  const i32 end = seen_last < p.keys ? seen_last : p.keys;"
                        : "  const i32 end = p.keys;"},
       {"before", indented(walked.before(tiles, "0"), 2)},
       {"step", indented(walked.step(tiles, ""), 4)},
       {"products",
        indented(products_text("s", "query", "tile_k", "DEPTH") + products_text("ds", "cotangent", "tile_v", "VALUES"),
                 0)},
       {"statistics", scores.statistics("most[I(head) * p.most_head + I(t) * p.most_row]")},
       {"weights", indented(weights_text(scores, "h", true), 4)},
       {"weighted", indented(weighted_text("acc", "ds", "tile_k", "DEPTH", "c0", "COLUMNS"), 0)},
       {"store", indented(store_text("dq", "head", "acc", "COLUMNS", "p.queries", "p.depth", "c0"), 0)}}));
  return d.finish(machine, uint32_t(pairs * blocks), groups_for(tiles.depth, columns));
}

// By keys, by values, or, where registers hold both, at once.
Stage by_key(Machine& machine, const AttentionProblem& p, FragmentTiles tiles, bool want_k, bool want_v) {
  // Both for a short step of the walk: three groups then have room where two had.
  const bool narrow = want_k && want_v && tiles.depth + tiles.values <= 128;
  if (narrow) tiles.walked = std::min(tiles.walked, 32);
  const bool masked = p.mask != AttentionMask::none;
  const int width = want_k ? tiles.depth : tiles.values, columns = shared_columns(width);
  const int64_t pairs = p.batches * p.key_heads(), blocks = (p.keys + kFragmentRows - 1) / kFragmentRows;
  Declared d = want_k && want_v ? Declared(machine, p, "dk_dv", {"dk", "dv"})
               : want_k         ? Declared(machine, p, "dk", {"dk"})
                                : Declared(machine, p, "dv", {"dv"});
  if (narrow && tiles.item == 2) d.out.text.beside(3);
  d.out.field("pairs", pairs);
  d.out.text.before(tiles.text());
  d.out.text.before(cat("enum { COLUMNS = ", columns, " };\n"));
  const OwnedRows key{"key", "k", tiles.depth, "p.keys - first", "p.depth"};
  const OwnedRows value{"value", "v", tiles.values, "p.keys - first", "p.values"};
  const FragmentScores scores(p, "walked", "owned");
  std::string products = products_text("s", "key", "tile_q", "DEPTH"), zeros, weighted, store;
  if (want_v) {
    // Alone it walks over columns by groups; both together have all of theirs.
    const std::string_view all = want_k ? "VALUES" : "COLUMNS", from = want_k ? "0" : "c0";
    zeros += cat("  FragmentC by_value[", all, " / 8];\n",
                 filled_in(kZeros, {{"count", cat(all, " / 8")}, {"name", "by_value"}}));
    weighted += weighted_text("by_value", "s", "tile_ct", "VALUES", from, all);
    store += store_text("dv", "key_head", "by_value", all, "p.keys", "p.values", from);
  }
  if (want_k) {
    products += products_text("ds", "value", "tile_ct", "VALUES");
    zeros +=
        cat("  FragmentC by_key[COLUMNS / 8];\n", filled_in(kZeros, {{"count", "COLUMNS / 8"}, {"name", "by_key"}}));
    weighted += weighted_text("by_key", "ds", "tile_q", "DEPTH", "c0", "COLUMNS");
    store += store_text("dk", "key_head", "by_key", "COLUMNS", "p.keys", "p.depth", "c0");
  }
  const WalkedTiles walked{"q", "ct", "p.queries", "p.depth", "p.values", "p.queries"};
  d.out.text.body(filled_in(
      kByKey,
      {{"batch", indented(p.to_batch("pair / key_heads", d.names) + p.scale_text(), 0)},
       {"mask", masked ? "  mask += I(head) * p.mask_head;" : ""},
       {"unit", indented(scores.unit, 0)},
       {"owned", indented(want_k ? owned_rows_text(tiles, {key, value}) : owned_rows_text(tiles, {key}), 0)},
       {"zeros", indented(zeros, 0)},
       {"begin", p.causal ? "  const i32 seen_first = first - (p.keys - p.queries);\n"
                            "  const i32 begin = seen_first > 0 ? seen_first : 0;"
                          : "  const i32 begin = 0;"},
       {"before", indented(walked.before(tiles, "begin"), 4)},
       {"step", indented(walked.step(tiles, filled_in(kStatistics,
                                                      {{"statistics", scores.statistics("most[I(t) * p.most_row]")}})),
                         6)},
       {"products", indented(products, 2)},
       {"weights", indented(weights_text(scores, "column", want_k), 6)},
       {"weighted", indented(weighted, 2)},
       {"next_mask", masked ? "    mask += p.mask_head;" : ""},
       {"store", indented(store, 0)}}));
  return d.finish(machine, uint32_t(pairs * blocks), want_k && want_v ? 1 : groups_for(width, columns));
}

}  // namespace

std::vector<Stage> attention_gradient_fragment_stages(Machine& machine, const AttentionProblem& p) {
  const FragmentTiles tiles = fragment_tiles(machine.traits(), p, kGradientColumns);
  std::vector<Stage> stages;
  if (p.queries) stages.push_back(by_query(machine, p, tiles));
  if (p.keys == 0) return stages;
  // What a lane holds grows with the lengths of both.
  if (tiles.depth + tiles.values <= 192 && tiles.depth <= kMostColumns) {
    stages.push_back(by_key(machine, p, tiles, true, true));
  } else {
    stages.push_back(by_key(machine, p, tiles, true, false));
    stages.push_back(by_key(machine, p, tiles, false, true));
  }
  return stages;
}

}  // namespace funcnn::gpu
