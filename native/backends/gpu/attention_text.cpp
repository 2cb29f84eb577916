#include "backends/gpu/attention_text.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/error.h"

namespace funcnn::gpu {

AttentionProblem::AttentionProblem(const AttentionScores& scores, Layouts in)
    : dtype(in[0].dtype), scale(scores.scale), causal(scores.causal), inputs(int(in.size())) {
  const Shape &q = in[0].shape, &k = in[1].shape;
  const size_t rank = q.size();
  lead = Shape(q.begin(), q.end() - 3);
  batches = element_count(lead);
  heads = q[rank - 3];
  group = heads / k[rank - 3];
  queries = q[rank - 2];
  keys = k[rank - 2];
  depth = q[rank - 1];
  values = in[2].shape[rank - 1];
  add("q", in[0], 3);
  add("k", in[1], 3);
  add("v", in[2], 3);
  if (scores.mask) {
    mask = in[3].dtype == Dtype::bool_ ? AttentionMask::boolean : AttentionMask::added;
    add("mask", in[3], 3);
  }
}

void AttentionProblem::add(std::string_view name, const Layout& layout, int last_axes, bool exchanged) {
  const size_t rank = layout.shape.size(), first = rank - size_t(last_axes);
  Strides strides = layout.strides;
  int64_t reach = 0;
  for (size_t i = 0; i < rank; ++i) {
    if (layout.shape[i] == 1) strides[i] = 0;
    reach += std::abs(strides[i]) * (layout.shape[i] - 1);
  }
  far |= reach > INT32_MAX;
  AttentionOperand operand{std::string(name), std::string(type_name(layout.dtype)),
                           Strides(strides.begin(), strides.begin() + ptrdiff_t(first))};
  operand.one = reach == 0;
  operand.head = strides[first + (exchanged ? 1 : 0)];
  if (last_axes > 1) operand.row = strides[first + (exchanged ? 0 : 1)];
  if (last_axes > 2) operand.column = strides[first + 2];
  operands.push_back(std::move(operand));
}

void AttentionProblem::settle() {
  std::vector<Strides*> steps;
  for (AttentionOperand& o : operands) steps.push_back(&o.lead);
  merge_axes(lead, std::span<Strides* const>(steps));
}

const AttentionOperand& AttentionProblem::operand(std::string_view name) const {
  return *std::find_if(operands.begin(), operands.end(), [&](const AttentionOperand& o) { return o.name == name; });
}

std::string AttentionProblem::suffix() const {
  return cat("_", type_name(dtype), causal ? "_causal" : "",
             mask == AttentionMask::boolean ? "_masked"
             : mask == AttentionMask::added ? "_biased"
                                            : "");
}

std::string AttentionProblem::types() const {
  return cat("typedef ", type_name(dtype), " S;\ntypedef ", register_type(dtype), " T;\ntypedef ", far ? "i64" : "i32",
             " I;\n");
}

void AttentionProblem::fields(AttentionKernelText& out, const std::vector<std::string_view>& names) const {
  auto step = [&](std::string_view name, const char* axis, int64_t value) {
    out.text.value(far ? "i64" : "i32", cat(name, "_", axis));
    if (far)
      out.values.add(value);
    else
      out.values.add(int32_t(value));
  };
  out.field("heads", heads);
  out.field("group", group);
  out.field("queries", queries);
  out.field("keys", keys);
  out.field("depth", depth);
  out.field("values", values);
  if (wide()) {
    out.text.value("i64", "scale");  // the bits of a number
    out.values.add(std::bit_cast<int64_t>(scale));
  } else {
    out.text.value("f32", "scale");
    out.values.add(float(scale));
  }
  for (size_t d = 0; d < lead.size(); ++d) out.field(cat("lead", d), lead[d]);
  for (std::string_view name : names) {
    const AttentionOperand& o = operand(name);
    for (size_t d = 0; d < lead.size(); ++d) step(name, cat("lead", d).c_str(), o.lead[d]);
    step(name, "head", o.head);
    step(name, "row", o.row);
    step(name, "column", o.column);
  }
}

std::string AttentionProblem::to_batch(std::string_view batch, const std::vector<std::string_view>& names) const {
  if (lead.empty()) return "";
  std::string out = cat("  u32 rest = u32(", batch, ");\n");
  for (size_t d = lead.size(); d-- > 0;) {
    std::string number = d ? cat("rest % u32(p.lead", d, ")") : "rest";
    out += cat("  const I at", d, " = I(", number, ");\n");
    if (d) out += cat("  rest /= u32(p.lead", d, ");\n");
    for (std::string_view name : names) out += cat("  ", name, " += at", d, " * p.", name, "_lead", d, ";\n");
  }
  return out;
}

std::string AttentionProblem::scale_text() const {
  return cat("  const T scale = ", wide() ? "bits<f64>(p.scale)" : "p.scale", ";\n");
}

std::string AttentionProblem::score() const {
  std::string out = cat("bool seen = t < p.queries && j < p.keys", causal ? " && j <= t + p.keys - p.queries" : "",
                        ";\nx *= scale;\n");
  if (mask == AttentionMask::boolean) out += "if (seen) seen = mask[I(t) * p.mask_row + I(j) * p.mask_column];\n";
  if (mask == AttentionMask::added) out += "if (seen) x += load(mask[I(t) * p.mask_row + I(j) * p.mask_column]);\n";
  return out;
}

int attention_columns(int64_t columns, bool wide) {
  if (columns <= 32) return 32;
  if (columns <= 64 || wide) return 64;
  return columns <= 96 ? 96 : 128;
}

std::string attention_tiles(int columns) {
  constexpr std::string_view text = R"text(enum { ROWS = 64, KEYS = 32, CHUNK = 32, EACH = COLUMNS / 8 };
enum { OPERANDS = CHUNK * (ROWS + KEYS + 2), RESULTS = KEYS * COLUMNS };
enum { STAGE = OPERANDS > RESULTS ? OPERANDS : RESULTS };

struct Block { T v[4][4]; };
struct Sums { T v[4][EACH]; };

// s and the products of ROWS rows of x with KEYS rows of y. Rows beyond `rows` and `keys` are zeros.
FUNCTION Block add_products(Block s, DEVICE const S* x, i32 rows, I x_row, I x_column, DEVICE const S* y, i32 keys,
                            I y_row, I y_column, i32 length, SHARED_POINTER T* stage, u32 me) {
  // Features go along rows, so that threads read what lies side by side and write to different banks.
  SHARED_POINTER T* a = stage;
  SHARED_POINTER T* b = stage + CHUNK * (ROWS + 1);
  const i32 r0 = i32(me / 8 * 4), k0 = i32(me % 8), d = i32(me % CHUNK);
  for (i32 begin = 0; begin < length; begin += CHUNK) {
    const bool inside = begin + d < length;
    BARRIER();
    for (i32 r = i32(me / CHUNK); r < ROWS; r += 4)
      a[d * (ROWS + 1) + r] = inside && r < rows ? load(x[I(r) * x_row + I(begin + d) * x_column]) : T(0);
    for (i32 k = i32(me / CHUNK); k < KEYS; k += 4)
      b[d * (KEYS + 1) + k] = inside && k < keys ? load(y[I(k) * y_row + I(begin + d) * y_column]) : T(0);
    BARRIER();
    const i32 count = length - begin < CHUNK ? length - begin : i32(CHUNK);
    for (i32 c = 0; c < count; ++c) {
      T from_a[4], from_b[4];
      UNROLL for (i32 i = 0; i < 4; ++i) from_a[i] = a[c * (ROWS + 1) + r0 + i];
      UNROLL for (i32 i = 0; i < 4; ++i) from_b[i] = b[c * (KEYS + 1) + k0 + 8 * i];
      UNROLL for (i32 i = 0; i < 4; ++i)
        UNROLL for (i32 n = 0; n < 4; ++n) s.v[i][n] = fma(from_a[i], from_b[n], s.v[i][n]);
    }
  }
  return s;
}

// acc and `weights` (ROWS x KEYS, in rows of KEYS + 1) times KEYS rows of y, of which `columns` columns count.
FUNCTION Sums add_weighted(Sums acc, SHARED_POINTER const T* weights, DEVICE const S* y, i32 keys, I y_row, I y_column,
                           i32 columns, SHARED_POINTER T* stage, u32 me) {
  const i32 r0 = i32(me / 8 * 4), c0 = i32(me % 8);
  BARRIER();
  for (i32 i = i32(me); i < RESULTS; i += 128) {
    const i32 k = i / COLUMNS, c = i % COLUMNS;
    stage[i] = k < keys && c < columns ? load(y[I(k) * y_row + I(c) * y_column]) : T(0);
  }
  BARRIER();
  const i32 count = keys < KEYS ? keys : i32(KEYS);
  for (i32 k = 0; k < count; ++k) {
    T w[4];
    UNROLL for (i32 i = 0; i < 4; ++i) w[i] = weights[(r0 + i) * (KEYS + 1) + k];
    UNROLL for (i32 c = 0; c < EACH; ++c) {
      const T from_y = stage[k * COLUMNS + c0 + 8 * c];
      UNROLL for (i32 i = 0; i < 4; ++i) acc.v[i][c] = fma(w[i], from_y, acc.v[i][c]);
    }
  }
  return acc;
}

)text";
  return cat("enum { COLUMNS = ", columns, " };\n", text);
}

void add_attention_gradient_inputs(AttentionProblem& problem, Layouts in) {
  const size_t first = problem.mask == AttentionMask::none ? 3 : 4;
  problem.add("most", in[first], 2);
  problem.add("sums", in[first + 1], 2);
  problem.add("rows", in[first + 2], 2);
  problem.add("ct", in[first + 3], 3);
}

}  // namespace funcnn::gpu
