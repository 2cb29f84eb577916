// A warp has 16 queries, whose features it holds as fragments; four warps walk together over tiles of keys and values
// in shared memory. Scores, their exponentials and the sums stay in registers: the result of one product is, rounded,
// an operand of the next.
#include "backends/gpu/attention_fragments.h"

#include <algorithm>

#include "backends/gpu/tiles.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int kMostDepth = 256;

// Few lengths, since each is a text of its own.
int length_class(int64_t n) {
  for (int most : {32, 64, 96, 128, 192})
    if (n <= most) return most;
  return kMostDepth;
}

size_t room_for_tiles(const Traits& traits) { return std::min<size_t>(traits.shared_bytes, 48 << 10) - 1024; }

constexpr std::string_view kBegin = R"text(  SHARED Pack<u32, 4> memory[MEMORY];
  SHARED_POINTER S* const tiles = (SHARED_POINTER S*)memory;
  const u32 me = item.x, pair = group.x % u32(p.pairs), head = pair % u32(p.heads);
  // The last queries first: under a causal mask they see the most keys.
  const i32 first = i32(u32(p.tiles) - 1 - group.x / u32(p.pairs)) * 64;
  const i32 c0 = i32(group.y) * VALUES;
#{batch}
  q += I(head) * p.q_head + I(first) * p.q_row;
  k += I(head / u32(p.group)) * p.k_head;
  v += I(head / u32(p.group)) * p.v_head + I(c0) * p.v_column;
#{mask}
#{end}
#{unit}
#{before}
#{queries}
  // A lane has parts of two rows.
  f32 best[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  FragmentC acc[VALUES / 8];
  UNROLL for (i32 c = 0; c < VALUES / 8; ++c) fill(acc[c], 0.0f);
  for (i32 start = 0; start < end; start += WALKED) {
#{step}
    FragmentC s[WALKED / 8];
    UNROLL for (i32 n = 0; n < WALKED / 8; ++n) fill(s[n], 0.0f);
    UNROLL for (i32 d = 0; d < DEPTH / 16; ++d) {
      UNROLL for (i32 n = 0; n < WALKED / 8; n += 2) {
        FragmentB<S> b[2];
        load_b_pair_transposed(b, tile_k + n * 8 * (DEPTH + 8) + d * 16, DEPTH + 8, lane);
        UNROLL for (i32 i = 0; i < 2; ++i) multiply_add(s[n + i], query[d], b[i]);
      }
    }
#{scores}
    UNROLL for (u32 h = 0; h < 2; ++h) {
      f32 top = best[h];
      UNROLL for (i32 n = 0; n < WALKED / 8; ++n) top = largest(top, largest(s[n].v[2 * h], s[n].v[2 * h + 1]));
      top = fragment_row_max(top);
      // A query that sees nothing so far has no largest score to subtract.
      const f32 shift = top == -INFINITY ? 0.0f : #{shift};
      const f32 factor = fragment_exp2(#{best_exponent});
      best[h] = top;
      sum[h] *= factor;
      UNROLL for (i32 n = 0; n < WALKED / 8; ++n) {
        UNROLL for (u32 e = 0; e < 2; ++e) {
          const f32 x = fragment_exp2(#{exponent});
          s[n].v[2 * h + e] = x;
          sum[h] += x;
        }
      }
      UNROLL for (i32 c = 0; c < VALUES / 8; ++c) {
        acc[c].v[2 * h] *= factor;
        acc[c].v[2 * h + 1] *= factor;
      }
    }
    UNROLL for (i32 n = 0; n < WALKED / 16; ++n) {
      FragmentA<S> a;
      as_a(a, s[2 * n], s[2 * n + 1]);
      UNROLL for (i32 c = 0; c < VALUES / 8; c += 2) {
        FragmentB<S> b[2];
        load_b_pair(b, tile_v + n * 16 * (VALUES + 8) + c * 8, VALUES + 8, lane);
        UNROLL for (i32 i = 0; i < 2; ++i) multiply_add(acc[c + i], a, b[i]);
      }
    }
  }
  UNROLL for (u32 h = 0; h < 2; ++h) {
    const i32 t = first + i32(warp * 16 + fragment_row(lane, 2 * h));
    f32 total = fragment_row_sum(sum[h]), top = #{score_of_best};
#{sink}
    const f32 over = total == 0.0f ? 0.0f : factor / total;
    if (t < p.queries) {
      UNROLL for (i32 c = 0; c < VALUES / 8; ++c) {
        const i32 column = c0 + c * 8 + i32(fragment_column(lane, 0));
        store_pair(result + (I(head) * p.result_head + I(t) * p.result_row + I(column)), p.values - column,
                   p.wide_result, total == 0.0f ? 0.0f : acc[c].v[2 * h] * over,
                   total == 0.0f ? 0.0f : acc[c].v[2 * h + 1] * over);
      }
      if (fragment_column(lane, 0) == 0 && c0 == 0) {
        most[I(head) * p.most_head + I(t)] = top;
        sums[I(head) * p.sums_head + I(t)] = total;
      }
    }
  }
)text";

constexpr std::string_view kSink = R"text(    const f32 sink = load(sinks[I(head) * p.sinks_head]), score = top;
    top = sink > top ? sink : top;
    const f32 shift = top == -INFINITY ? 0.0f : top;
    const f32 factor = exp(score - shift);
    total = total * factor + exp(sink - shift);
)text";

}  // namespace

bool takes_fragments(const Traits& traits, const AttentionProblem& p, int columns) {
  return has_fragments(traits, p.dtype) && p.depth <= kMostDepth &&
         fragment_tiles(traits, p, columns).bytes() <= room_for_tiles(traits);
}

size_t FragmentTiles::bytes() const { return size_t(halves * half()) * item; }

int FragmentTiles::staged() const {
  const int room = half() / kFragmentRows - 8;
  return std::min(std::max(depth, values), room / 16 * 16);
}

FragmentTiles fragment_tiles(const Traits& traits, const AttentionProblem& p, int columns) {
  const int depth = length_class(p.depth), values = length_class(std::max(p.depth, p.values));
  FragmentTiles out{depth, std::min(values, columns), 64, traits.language == Language::cuda ? 2 : 1,
                    item_size(p.dtype)};
  while (out.walked > 16 && out.bytes() > room_for_tiles(traits)) out.walked /= 2;
  return out;
}

std::string FragmentTiles::text() const {
  // What is copied without a detour through registers arrives later.
  constexpr std::string_view later = R"text(
FUNCTION void copy_pack(void* to, const void* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :: "r"(shared_address(to)), "l"(from), "r"(inside ? 16 : 0) : "memory");
}
FUNCTION void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
FUNCTION void await_copies_but_last() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }
FUNCTION void await_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
)text";
  constexpr std::string_view put_whole_later = "copy_pack(tile + r * pitch, from, true)";
  constexpr std::string_view put_whole = "*(SHARED_POINTER Pack<S, PACK>*)(tile + r * pitch) = load_pack<PACK>(from)";
  constexpr std::string_view put_later = R"text(    if (wide && c + PACK <= length) {
      // Rows that are not there are zeros: nothing of them is read.
      copy_pack(tile + r * pitch + c, r < count ? from + (I(r) * row + I(c)) : from, r < count);
      continue;
    }
)text";
  return filled_in(R"text(enum { DEPTH = #{depth}, VALUES = #{values}, WALKED = #{walked}, PACK = 16 / sizeof(S) };
enum { MEMORY = #{memory}, STAGED = #{staged}, HALF = WALKED * (DEPTH + VALUES + 16) };
CONSTANT f32 LOG2E = 1.4426950408889634f;
#{later}
// `width` elements, and `rows` rows, of what has `length` and `count`; beyond are zeros. `wide`: rows are whole packs.
FUNCTION void fill_tile(SHARED_POINTER S* tile, i32 rows, i32 width, i32 pitch, DEVICE const S* from, i32 count,
                        i32 length, I row, I column, i32 wide, u32 me) {
  const i32 packs = width / PACK;
  if (wide && rows <= count && width <= length) {
    // Every thread has the same columns in each of its rows.
    const i32 at_once = 128 / packs, r0 = i32(me) / packs, c0 = i32(me) % packs * PACK;
    if (r0 >= at_once) return;
    tile += c0;
    from += I(r0) * row + I(c0);
    UNROLL for (i32 step = 0; step < (rows + at_once - 1) / at_once; ++step) {
      const i32 r = r0 + step * at_once;
      if (rows % at_once == 0 || r < rows) #{put_whole};
      from += I(at_once) * row;
    }
    return;
  }
  for (i32 n = i32(me); n < rows * packs; n += 128) {
    const i32 r = n / packs, c = n % packs * PACK;
#{put}    Pack<S, PACK> x;
    if (wide && r < count && c + PACK <= length) {
      x = load_pack<PACK>(from + (I(r) * row + I(c)));
    } else {
      UNROLL for (i32 e = 0; e < PACK; ++e)
        x.v[e] = r < count && c + e < length ? from[I(r) * row + I(c + e) * column] : S(0);
    }
    *(SHARED_POINTER Pack<S, PACK>*)(tile + r * pitch + c) = x;
  }
}
// Two neighbours, of which `left` are there. `wide`: pairs begin at multiples of their size.
FUNCTION void store_pair(DEVICE S* to, i32 left, i32 wide, f32 a, f32 b) {
  if (wide && left >= 2) {
    Pack<S, 2> pair;
    pair.v[0] = from_float<S>(a);
    pair.v[1] = from_float<S>(b);
    store_pack(to, pair);
    return;
  }
  if (left >= 1) store(to, 0, a);
  if (left >= 2) store(to, 1, b);
}

)text",
                   {{"depth", std::to_string(depth)},
                    {"values", std::to_string(values)},
                    {"walked", std::to_string(walked)},
                    {"memory", std::to_string((bytes() + 15) / 16)},
                    {"staged", std::to_string(staged())},
                    {"later", halves == 2 ? later : "FUNCTION void await_copies() {}\n"},
                    {"put_whole", halves == 2 ? put_whole_later : put_whole},
                    {"put", halves == 2 ? put_later : ""}});
}

std::string owned_rows_text(const FragmentTiles& tiles, std::initializer_list<OwnedRows> all) {
  // The first tiles of a walk may be on their way to the other half.
  const std::string half = tiles.halves == 2 ? "tiles + HALF" : "tiles";
  std::string out;
  int room = tiles.half();
  for (const OwnedRows& x : all) {
    out += cat("  FragmentA<S> ", x.into, "[", x.width / 16, "];\n");
    room -= kFragmentRows * FragmentTiles::pitch(x.width);
  }
  const auto fill = [](const OwnedRows& x, std::string_view to, std::string_view width, std::string_view begin) {
    return filled_in(
        "fill_tile(#{to}, 64, #{width}, #{width} + 8, #{x} + I(#{begin}) * p.#{x}_column, #{count},\n"
        "          #{length} - #{begin}, p.#{x}_row, p.#{x}_column, p.wide_#{x}, me);\n",
        {{"to", to}, {"width", width}, {"x", x.operand}, {"begin", begin}, {"count", x.count}, {"length", x.length}});
  };
  if (room >= 0) {
    std::string fills, loads;
    int begin = 0;
    for (const OwnedRows& x : all) {
      const std::string at = cat(half, " + ", begin), width = std::to_string(x.width);
      fills += fill(x, at, width, "0");
      loads += cat("UNROLL for (i32 d = 0; d < ", x.width / 16, "; ++d)\n  load_a(", x.into, "[d], ", at,
                   " + warp * 16 * (", width, " + 8) + d * 16, ", width, " + 8, lane);\n");
      begin += kFragmentRows * FragmentTiles::pitch(x.width);
    }
    return out + indented(cat("BARRIER();\n", fills, "await_copies();\nBARRIER();\n", loads), 2) + "\n";
  }
  for (const OwnedRows& x : all)
    out += filled_in(R"text(  UNROLL for (i32 begin = 0; begin < #{width}; begin += STAGED) {
    BARRIER();
#{fill}
    await_copies();
    BARRIER();
    UNROLL for (i32 d = 0; d < STAGED / 16; ++d)
      if (begin / 16 + d < #{width} / 16)
        load_a(#{into}[begin / 16 + d], #{half} + warp * 16 * (STAGED + 8) + d * 16, STAGED + 8, lane);
  }
)text",
                     {{"into", x.into},
                      {"half", half},
                      {"width", std::to_string(x.width)},
                      {"fill", indented(fill(x, half, "STAGED", "begin"), 4)}});
  return out;
}

FragmentScores::FragmentScores(const AttentionProblem& p, std::string_view query, std::string_view key)
    : direct_(p.mask == AttentionMask::none && p.scale > 0) {
  const std::string begin = filled_in(R"text(UNROLL for (u32 h = 0; h < 2; ++h) {
  UNROLL for (i32 n = 0; n < WALKED / 8; ++n) {
    UNROLL for (u32 e = 0; e < 2; ++e) {
      const i32 owned = first + i32(warp * 16 + fragment_row(lane, 2 * h));
      const i32 walked = start + n * 8 + i32(fragment_column(lane, e)), t = #{query}, j = #{key};
      f32 x = s[n].v[2 * h + e];
)text",
                                      {{"query", query}, {"key", key}});
  const std::string_view end = "      s[n].v[2 * h + e] = seen ? x : -INFINITY;\n    }\n  }\n}\n";
  if (direct_) unit = "  const f32 unit = scale * LOG2E;\n";
  if (p.mask != AttentionMask::none) {
    settle = cat(begin, indented(p.score(), 6), "\n", end);
    return;
  }
  whole = cat("const bool whole = start + WALKED <= p.", query == "walked" ? "queries" : "keys",
              !p.causal           ? ""
              : query == "walked" ? " && first + 63 <= start + p.keys - p.queries"
                                  : " && start + WALKED - 1 <= first + p.keys - p.queries",
              ";\n");
  if (!direct_)
    settle = "UNROLL for (i32 n = 0; n < WALKED / 8; ++n)\n  UNROLL for (u32 i = 0; i < 4; ++i) s[n].v[i] *= scale;\n";
  settle += cat("if (!whole) {\n",
                indented(cat(begin, "      const bool seen = t < p.queries && j < p.keys",
                             p.causal ? " && j <= t + p.keys - p.queries" : "", ";\n", end),
                         2),
                "\n}\n");
}

std::string FragmentScores::of(std::string_view x) const { return direct_ ? cat("(", x, " * scale)") : std::string(x); }

// Of scores that a mask has a part in, any may be the largest number there is: their difference is taken first.
std::string FragmentScores::shift(std::string_view x) const {
  return direct_ ? cat("(", x, " * scale) * LOG2E") : std::string(x);
}

std::string FragmentScores::exponent(std::string_view x, std::string_view shift) const {
  return direct_ ? cat("fma(", x, ", unit, -", shift, ")") : cat("(", x, " - ", shift, ") * LOG2E");
}

std::string FragmentScores::probability(std::string_view x, std::string_view shift, std::string_view log) const {
  return direct_ ? exponent(x, shift) : cat("fma(", x, " - ", shift, ", LOG2E, -", log, ")");
}

std::string FragmentScores::statistics(std::string_view most) const {
  if (direct_)
    return cat("shift = total == 0.0f ? INFINITY : fma(", most, ", LOG2E, log(total) * LOG2E), log2_total = 0.0f");
  return cat("shift = total == 0.0f ? 0.0f : ", most, ", log2_total = total == 0.0f ? INFINITY : log(total) * LOG2E");
}

std::string FragmentScores::if_unseen(std::string_view statements) const {
  return whole.empty() ? std::string(statements) : cat("if (!whole) {\n", indented(statements, 2), "\n}\n");
}

std::string WalkedTiles::fill(std::string_view half, std::string_view start) const {
  auto one = [&](std::string_view x, std::string_view width, std::string_view at, std::string_view length) {
    return filled_in(
        R"text(fill_tile(tiles + #{half}#{at}, WALKED, #{width}, #{width} + 8, #{x} + I(#{start}) * p.#{x}_row,
          #{count} - (#{start}), #{length}, p.#{x}_row, p.#{x}_column, p.wide_#{x}, me);
)text",
        {{"x", x},
         {"width", width},
         {"half", half},
         {"at", at},
         {"start", start},
         {"count", count},
         {"length", length}});
  };
  return one(x, "DEPTH", "", length_x) + one(y, "VALUES", " + WALKED * (DEPTH + 8)", length_y);
}

std::string WalkedTiles::before(const FragmentTiles& tiles, std::string_view begin) const {
  if (tiles.halves == 1) return "";
  return cat("u32 half = 0;\nBARRIER();\n", fill("0", begin), "end_copies();\n");
}

std::string WalkedTiles::step(const FragmentTiles& tiles, std::string_view also) const {
  const std::string names =
      cat("SHARED_POINTER S* const tile_", x, " = tiles", tiles.halves == 2 ? " + half * HALF" : "",
          ";\nSHARED_POINTER S* const tile_", y, " = tile_", x, " + WALKED * (DEPTH + 8);\n");
  if (tiles.halves == 1) return cat("BARRIER();\n", fill("0", "start"), also, "BARRIER();\n", names);
  return cat("BARRIER();\nif (start + WALKED < ", last, ") {\n",
             indented(fill("(half ^ 1) * HALF", "start + WALKED"), 2), "\n}\nend_copies();\n", also,
             "await_copies_but_last();\nBARRIER();\n", names, "half ^= 1;\n");
}

void add_wide(const AttentionProblem& p, AttentionKernelText& out, Stage& stage, std::string_view name, int at) {
  const AttentionOperand& o = p.operand(name);
  const int64_t pack = int64_t(16 / item_size(p.dtype));
  bool whole = o.column == 1 && o.row % pack == 0 && o.head % pack == 0;
  for (int64_t step : o.lead) whole = whole && step % pack == 0;
  stage.aligned.push_back({at, out.values.bytes().size()});
  out.field(cat("wide_", name), whole);
}

Stage attention_fragment_stage(Machine& machine, const AttentionProblem& p, bool sinks) {
  const bool masked = p.mask != AttentionMask::none;
  const FragmentTiles tiles = fragment_tiles(machine.traits(), p, kForwardColumns);
  AttentionKernelText out(machine.traits(), cat("attention", p.suffix(), sinks ? "_sinks" : ""), kAttentionThreads);
  std::vector<std::string_view> names{"q", "k", "v"};
  Stage stage;
  if (masked) names.push_back("mask");
  if (sinks) names.push_back("sinks");
  for (std::string_view name : names) p.operand(name).read(out.text, name);
  stage.read_only = names.size();
  for (std::string_view name : {"result", "most", "sums"}) {
    out.text.write(p.operand(name).type, name);
    names.push_back(name);
  }
  for (size_t i = 0; i < names.size(); ++i) stage.operands.push_back({int(i)});
  p.fields(out, names);
  const int64_t pairs = p.batches * p.heads, blocks = (p.queries + kFragmentRows - 1) / kFragmentRows;
  const FragmentScores scores(p, "owned", "walked");
  out.field("pairs", pairs);
  out.field("tiles", blocks);
  add_wide(p, out, stage, "q", 0);
  add_wide(p, out, stage, "k", 1);
  add_wide(p, out, stage, "v", 2);
  add_wide(p, out, stage, "result", int(stage.read_only));

  // Four groups have room beside each other where three had: a few registers less for each thread.
  if (tiles.item == 2 && tiles.depth + tiles.values <= 128) out.text.beside(4);
  const WalkedTiles walked{"k", "v", "p.keys", "p.depth", "p.values - c0", "end"};
  out.text.use(Section::fragments);
  out.text.before(p.types());
  out.text.before(tiles.text());
  out.text.body(filled_in(
      kBegin,
      {{"batch", indented(p.to_batch("pair / u32(p.heads)", names) + p.scale_text(), 0)},
       {"mask", masked ? "  mask += I(head) * p.mask_head;" : ""},
       {"unit", indented(scores.unit, 0)},
       {"queries", indented(owned_rows_text(tiles, {{"query", "q", tiles.depth, "p.queries - first", "p.depth"}}), 0)},
       {"end", p.causal ? "  const i32 seen_last = first + 64 + p.keys - p.queries;\n"
                          "  const i32 end = seen_last < p.keys ? seen_last : p.keys;"
                        : "  const i32 end = p.keys;"},
       {"before", indented(walked.before(tiles, "0"), 2)},
       {"step", indented(walked.step(tiles, ""), 4)},
       {"scores", indented(scores.whole + scores.settle, 4)},
       {"shift", scores.shift("top")},
       {"best_exponent", scores.exponent("best[h]", "shift")},
       {"exponent", scores.exponent("s[n].v[2 * h + e]", "shift")},
       {"score_of_best", scores.of("best[h]")},
       {"sink", indented(sinks ? kSink : "    const f32 factor = 1.0f;", 0)}}));
  stage.pipeline = machine.pipeline(out.text.finish());
  stage.groups = {uint32_t(pairs * blocks), groups_for(p.values, tiles.values), 1};
  stage.threads = {kAttentionThreads, 1, 1};
  stage.values = out.values.bytes();
  return stage;
}

}  // namespace funcnn::gpu
