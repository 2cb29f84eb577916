// The derivatives of attention. A group owns what it writes: the derivatives by 64 queries, keys or values, for which
// it walks over tiles of what they meet and computes the scores again; or the derivative by a piece of the mask.
#include "backends/gpu/attention_fragments.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Of a score of query `t` and key `j`: `w`, its probability, or the derivative by it. `x` is the product of query and
// key, `dp` that of value and cotangent.
std::string weight_text(const AttentionProblem& p, bool by_score) {
  return cat(p.score(),
             "T w = T(0);\n"
             "if (seen) {\n"
             "  const T total = sums[I(t) * p.sums_row];\n"
             "  w = total == T(0) ? T(0) : exp(x - most[I(t) * p.most_row]) / total;\n",
             by_score ? "  w *= dp - rows[I(t) * p.rows_row];\n" : "", "}\n");
}

enum class By : uint8_t { query, key, value };

// ---- by queries, keys or values

constexpr std::string_view kBegin = R"text(
  SHARED T stage[STAGE];
  SHARED T weights[ROWS * (KEYS + 1)];
  const u32 me = item.x, pair = group.x % u32(p.pairs);
  const i32 first = i32(group.x / u32(p.pairs)) * ROWS;
  const i32 r0 = i32(me / 8 * 4), k0 = i32(me % 8), c0 = i32(group.y) * COLUMNS;
)text";

constexpr std::string_view kByQuery = R"text(
  const u32 head = pair % u32(p.heads), key_head = head / u32(p.group);
  const i32 begin = 0;
)text";
constexpr std::string_view kByKey = R"text(
  const u32 key_head = pair % u32(p.heads / p.group);
)text";

constexpr std::string_view kKeys = R"text(
  k += I(key_head) * p.k_head;
  v += I(key_head) * p.v_head;
)text";
constexpr std::string_view kQueries = R"text(
  q += I(head) * p.q_head;
  ct += I(head) * p.ct_head;
  most += I(head) * p.most_head;
  sums += I(head) * p.sums_head;
  rows += I(head) * p.rows_head;
)text";
constexpr std::string_view kNextHead = R"text(
    q += p.q_head;
    ct += p.ct_head;
    most += p.most_head;
    sums += p.sums_head;
    rows += p.rows_head;
)text";

constexpr std::string_view kClear = R"text(
  Sums acc;
  UNROLL for (i32 i = 0; i < 4; ++i)
    UNROLL for (i32 c = 0; c < EACH; ++c) acc.v[i][c] = T(0);
)text";

// Of a tile: the products, the weights, what they add. The text says whether rows are queries.
std::string tile_text(const AttentionProblem& p, By by) {
  const bool query = by == By::query;
  auto products = [&](std::string_view into, std::string_view of_query, std::string_view of_key,
                      std::string_view length) {
    std::string own(query ? of_query : of_key), other(query ? of_key : of_query);
    return cat("    Block ", into,
               ";\n"
               "    UNROLL for (i32 i = 0; i < 4; ++i)\n"
               "      UNROLL for (i32 n = 0; n < 4; ++n) ",
               into, ".v[i][n] = T(0);\n    ", into, " = add_products(", into, ", ", own, " + I(first) * p.", own,
               "_row, p.", query ? "queries" : "keys", " - first, p.", own, "_row, p.", own, "_column, ", other,
               " + I(start) * p.", other, "_row,\n                     p.", query ? "keys" : "queries", " - start, p.",
               other, "_row, p.", other, "_column, p.", length, ", stage, me);\n");
  };
  std::string out = products("s", "q", "k", "depth");
  if (by != By::value) out += products("d", "ct", "v", "values");
  out +=
      cat("    UNROLL for (i32 i = 0; i < 4; ++i)\n"
          "      UNROLL for (i32 n = 0; n < 4; ++n) {\n",
          query ? "        const i32 t = first + r0 + i, j = start + k0 + 8 * n;\n"
                : "        const i32 j = first + r0 + i, t = start + k0 + 8 * n;\n",
          "        T x = s.v[i][n];\n", by == By::value ? "" : "        const T dp = d.v[i][n];\n",
          indented(weight_text(p, by != By::value), 8), "\n        weights[(r0 + i) * (KEYS + 1) + k0 + 8 * n] = w",
          by == By::value ? "" : " * scale", ";\n      }\n");
  std::string y = query ? "k" : by == By::key ? "q" : "ct";
  out += cat("    acc = add_weighted(acc, weights, ", y, " + I(start) * p.", y, "_row + I(c0) * p.", y, "_column, p.",
             query ? "keys" : "queries", " - start, p.", y, "_row, p.", y, "_column,\n                       p.",
             by == By::value ? "values" : "depth", " - c0, stage, me);\n");
  return out;
}

std::string store_text(By by) {
  std::string to = by == By::query ? "dq" : by == By::key ? "dk" : "dv";
  return cat(
      "  UNROLL for (i32 i = 0; i < 4; ++i) {\n"
      "    const i32 r = first + r0 + i;\n"
      "    if (r < p.",
      by == By::query ? "queries" : "keys",
      ")\n"
      "      UNROLL for (i32 c = 0; c < EACH; ++c) {\n"
      "        const i32 column = c0 + k0 + 8 * c;\n"
      "        if (column < p.",
      by == By::value ? "values" : "depth", ") store(", to, ", I(", by == By::query ? "head" : "key_head", ") * p.", to,
      "_head + I(r) * p.", to, "_row + I(column), acc.v[i][c]);\n      }\n  }\n");
}

std::vector<std::string_view> input_names(const AttentionProblem& p) {
  std::vector<std::string_view> names{"q", "k", "v"};
  if (p.mask != AttentionMask::none) names.push_back("mask");
  for (std::string_view name : {"most", "sums", "rows", "ct"}) names.push_back(name);
  return names;
}

Stage gradient_stage(Machine& machine, const AttentionProblem& p, By by) {
  const bool query = by == By::query, masked = p.mask != AttentionMask::none;
  const std::string_view written = query ? "dq" : by == By::key ? "dk" : "dv";
  const int64_t length = by == By::value ? p.values : p.depth;
  const int columns = attention_columns(length, p.wide());
  AttentionKernelText out(machine.traits(), cat("attention_", written, p.suffix()), kAttentionThreads);
  std::vector<std::string_view> names = input_names(p);
  Stage stage;
  for (std::string_view name : names) {
    p.operand(name).read(out.text, name);
    stage.operands.push_back({int(stage.operands.size())});
  }
  stage.read_only = names.size();
  out.text.write(p.operand(written).type, written);
  stage.operands.push_back({p.inputs + int(by)});
  names.push_back(written);
  p.fields(out, names);
  const int64_t pairs = p.batches * (query ? p.heads : p.key_heads());
  const int64_t tiles = ((query ? p.queries : p.keys) + kAttentionRows - 1) / kAttentionRows;
  out.field("pairs", pairs);

  out.text.before(p.types());
  out.text.before(attention_tiles(columns));
  out.text.body(kBegin);
  out.text.body(query ? kByQuery : kByKey);
  out.text.body(p.to_batch(query ? "pair / u32(p.heads)" : "pair / u32(p.heads / p.group)", names));
  out.text.body(p.scale_text());
  out.text.body(kKeys);
  if (!query) out.text.body("  const u32 head = key_head * u32(p.group);\n");
  out.text.body(kQueries);
  if (masked) out.text.body("  mask += I(head) * p.mask_head;\n");
  out.text.body(kClear);
  if (query) {
    out.text.body(p.causal ? "  const i32 seen_last = first + ROWS + p.keys - p.queries;\n"
                             "  const i32 end = seen_last < p.keys ? seen_last : p.keys;\n"
                           : "  const i32 end = p.keys;\n");
    out.text.body("  for (i32 start = begin; start < end; start += KEYS) {\n");
    out.text.body(tile_text(p, by));
    out.text.body("  }\n");
  } else {
    out.text.body(p.causal ? "  const i32 seen_first = first - (p.keys - p.queries);\n"
                             "  const i32 begin = seen_first > 0 ? seen_first : 0;\n"
                           : "  const i32 begin = 0;\n");
    out.text.body("  for (i32 g = 0; g < p.group; ++g) {\n");
    out.text.body("  for (i32 start = begin; start < p.queries; start += KEYS) {\n");
    out.text.body(tile_text(p, by));
    out.text.body("  }\n");
    out.text.body(kNextHead);
    if (masked) out.text.body("    mask += p.mask_head;\n");
    out.text.body("  }\n");
  }
  out.text.body(store_text(by));
  stage.pipeline = machine.pipeline(out.text.finish());
  stage.groups = {uint32_t(pairs * tiles), groups_for(length, columns), 1};
  stage.threads = {kAttentionThreads, 1, 1};
  stage.values = out.values.bytes();
  return stage;
}

std::unique_ptr<Kernel> make_gradient(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                      const KernelProgram*) {
  auto& op = static_cast<const AttentionGradient&>(primitive);
  AttentionProblem p(op.scores(), in);
  add_attention_gradient_inputs(p, in);
  p.add("dq", out[0], 3, op.exchanged().q);
  p.add("dk", out[1], 3, op.exchanged().k);
  p.add("dv", out[2], 3, op.exchanged().v);
  p.settle();
  if (p.values <= kGradientColumns && takes_fragments(machine.traits(), p, kGradientColumns))
    return std::make_unique<StagedLaunches>(machine, attention_gradient_fragment_stages(machine, p));
  std::vector<Stage> stages;
  for (By by : {By::query, By::key, By::value})
    if (element_count(out[size_t(by)].shape) != 0) stages.push_back(gradient_stage(machine, p, by));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

// ---- by the mask

// Batches and heads whose scores share an element of the mask are walked over: of the leading axes those along which
// the mask has length 1.
constexpr std::string_view kMaskBegin = R"text(
  SHARED T stage[STAGE];
  SHARED T weights[ROWS * (KEYS + 1)];
  const u32 me = item.x;
  const i32 r0 = i32(me / 8 * 4), k0 = i32(me % 8);
  u32 number = group.x;
  const i32 key_tile = i32(number % u32(p.key_tiles)) * KEYS;
  number /= u32(p.key_tiles);
  const i32 row_tile = i32(number % u32(p.row_tiles)) * ROWS;
  number /= u32(p.row_tiles);
  const u32 mask_head = number % u32(p.mask_heads);
  number /= u32(p.mask_heads);
  const bool one_row = p.mask_rows == 1, one_key = p.mask_keys == 1, one_head = p.mask_heads == 1;
  const i32 last_row = one_row ? p.queries : row_tile + 1, last_key = one_key ? p.keys : key_tile + 1;
  const u32 last_head = one_head ? u32(p.heads) : mask_head + 1;
  Block total;
  UNROLL for (i32 i = 0; i < 4; ++i)
    UNROLL for (i32 n = 0; n < 4; ++n) total.v[i][n] = T(0);
)text";

constexpr std::string_view kMaskWalk = R"text(
  for (u32 head = mask_head; head < last_head; ++head) {
    const I of_head = I(head), of_key_head = I(head / u32(p.group));
    DEVICE const S* q = q_batch + of_head * p.q_head;
    DEVICE const S* ct = ct_batch + of_head * p.ct_head;
    DEVICE const S* mask = mask_batch + of_head * p.mask_head;
    DEVICE const T* most = most_batch + of_head * p.most_head;
    DEVICE const T* sums = sums_batch + of_head * p.sums_head;
    DEVICE const T* rows = rows_batch + of_head * p.rows_head;
    DEVICE const S* k = k_batch + of_key_head * p.k_head;
    DEVICE const S* v = v_batch + of_key_head * p.v_head;
    for (i32 first = row_tile; first < last_row; first += ROWS)
      for (i32 start = key_tile; start < last_key; start += KEYS) {
        Block s, d;
        UNROLL for (i32 i = 0; i < 4; ++i)
          UNROLL for (i32 n = 0; n < 4; ++n) s.v[i][n] = d.v[i][n] = T(0);
        s = add_products(s, q + I(first) * p.q_row, p.queries - first, p.q_row, p.q_column, k + I(start) * p.k_row,
                         p.keys - start, p.k_row, p.k_column, p.depth, stage, me);
        d = add_products(d, ct + I(first) * p.ct_row, p.queries - first, p.ct_row, p.ct_column,
                         v + I(start) * p.v_row, p.keys - start, p.v_row, p.v_column, p.values, stage, me);
        UNROLL for (i32 i = 0; i < 4; ++i)
          UNROLL for (i32 n = 0; n < 4; ++n) {
            const i32 t = first + r0 + i, j = start + k0 + 8 * n;
            T x = s.v[i][n];
            const T dp = d.v[i][n];
#{weight}
            total.v[i][n] += w;
          }
      }
  }
)text";

constexpr std::string_view kMaskFinish = R"text(
  UNROLL for (i32 i = 0; i < 4; ++i)
    UNROLL for (i32 n = 0; n < 4; ++n) weights[(r0 + i) * (KEYS + 1) + k0 + 8 * n] = total.v[i][n];
  BARRIER();
  const i32 rows_left = one_row ? 1 : p.mask_rows - row_tile, keys_left = one_key ? 1 : p.mask_keys - key_tile;
  for (i32 e = i32(me); e < ROWS * KEYS; e += 128) {
    const i32 r = e / KEYS, k = e % KEYS;
    if (r < rows_left && k < keys_left) {
      T sum = T(0);
      for (i32 i = r; i < (one_row ? ROWS : r + 1); ++i)
        for (i32 n = k; n < (one_key ? KEYS : k + 1); ++n) sum += weights[i * (KEYS + 1) + n];
      const i64 at = (i64(group.x / u32(p.key_tiles) / u32(p.row_tiles)) * p.mask_rows + row_tile + r) * p.mask_keys;
      store(dmask, at + key_tile + k, sum);
    }
  }
)text";

std::unique_ptr<Kernel> make_mask_gradient(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                           const KernelProgram*) {
  AttentionProblem p(static_cast<const AttentionMaskGradient&>(primitive).scores(), in);
  add_attention_gradient_inputs(p, in);
  if (element_count(out[0].shape) == 0) return std::make_unique<StagedLaunches>(machine, std::vector<Stage>());
  // Leading axes stay as they are: the mask has some of them, and walks over the others.
  const Shape& shape = out[0].shape;
  const size_t rank = shape.size(), leads = rank - 3;
  const int64_t mask_heads = shape[rank - 3], mask_rows = shape[rank - 2], mask_keys = shape[rank - 1];
  AttentionKernelText text(machine.traits(), cat("attention_dmask", p.suffix()), kAttentionThreads);
  std::vector<std::string_view> names = input_names(p);
  Stage stage;
  for (std::string_view name : names) {
    p.operand(name).read(text.text, cat("given_", name));
    stage.operands.push_back({int(stage.operands.size())});
  }
  stage.read_only = names.size();
  text.text.write(type_name(p.dtype), "dmask");
  stage.operands.push_back({int(names.size())});
  p.fields(text, names);
  const int64_t row_tiles = mask_rows == 1 ? 1 : (mask_rows + kAttentionRows - 1) / kAttentionRows;
  const int64_t key_tiles = mask_keys == 1 ? 1 : (mask_keys + kAttentionKeys - 1) / kAttentionKeys;
  text.field("row_tiles", row_tiles);
  text.field("key_tiles", key_tiles);
  text.field("mask_heads", mask_heads);
  text.field("mask_rows", mask_rows);
  text.field("mask_keys", mask_keys);

  int64_t walked = 1, own = 1;
  std::string kept, others;
  for (size_t d = leads; d-- > 0;) {
    const bool walks = shape[d] == 1 && p.lead[d] != 1;
    std::string axis =
        cat("  ", walks ? "  " : "", "const I at", d, " = I(", walks ? "rest" : "number", " % u32(p.lead", d, "));\n  ",
            walks ? "  " : "", walks ? "rest" : "number", " /= u32(p.lead", d, ");\n");
    (walks ? others : kept) += axis;
    (walks ? walked : own) *= p.lead[d];
  }
  text.field("walked", walked);
  text.text.before(p.types());
  text.text.before(attention_tiles(32));
  text.text.body(kMaskBegin);
  text.text.body(p.scale_text());
  text.text.body(kept);
  text.text.body("  for (u32 batch = 0; batch < u32(p.walked); ++batch) {\n");
  if (!others.empty()) text.text.body(cat("    u32 rest = batch;\n", others));
  for (std::string_view name : names) {
    text.text.body(cat("    DEVICE const ", p.operand(name).type, "* ", name, "_batch = given_", name));
    for (size_t d = 0; d < leads; ++d) text.text.body(cat(" + at", d, " * p.", name, "_lead", d));
    text.text.body(";\n");
  }
  text.text.body(indented(filled_in(kMaskWalk, {{"weight", indented(weight_text(p, true), 12)}}), 2));
  text.text.body("\n");
  text.text.body("  }\n");
  text.text.body(kMaskFinish);
  stage.pipeline = machine.pipeline(text.text.finish());
  stage.groups = {uint32_t(own * mask_heads * row_tiles * key_tiles), 1, 1};
  stage.threads = {kAttentionThreads, 1, 1};
  stage.values = text.values.bytes();
  return std::make_unique<StagedLaunches>(machine, std::vector<Stage>{std::move(stage)});
}

const RegisterKernel gradient_kernel("attention_gradient", make_gradient);
const RegisterKernel mask_gradient_kernel("attention_mask_gradient", make_mask_gradient);

}  // namespace
}  // namespace funcnn::gpu
