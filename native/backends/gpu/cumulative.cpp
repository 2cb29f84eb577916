// Running reductions: many lines by one thread each; long lines by a warp or a group each, or in pieces by several.
// What is combined with what depends on the shapes alone.
#include "ops/cumulative.h"

#include <algorithm>

#include "backends/gpu/lines.h"
#include "backends/gpu/operand.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int64_t kShort = 16;    // lines that a thread runs through in any case
constexpr int64_t kPiece = 2048;  // the least of a line that is worth a piece
constexpr int64_t kPiecesOfCore = 16;

std::string combine_text(CumulativeOp op, Dtype dtype) {
  const std::string type(register_type(dtype));
  std::string_view call;
  switch (op) {
    case CumulativeOp::sum:
      call = "plus(a, b)";
      break;
    case CumulativeOp::prod:
      call = "times(a, b)";
      break;
    case CumulativeOp::max:
      call = "larger(a, b)";
      break;
    case CumulativeOp::min:
      call = "smaller(a, b)";
      break;
    case CumulativeOp::logaddexp:
      call = dtype == Dtype::float64 ? "logaddexp_f64(a, b)" : "logaddexp_f32(a, b)";
      break;
  }
  return cat("FUNCTION ", type, " combine(", type, " a, ", type, " b) { return ", call, "; }\n");
}

// What changes no element: of sums of floats -0, which leaves the sign of zeros.
std::string identity_text(CumulativeOp op, Dtype dtype) {
  const std::string type(register_type(dtype));
  const bool floating = is_float(dtype), integral = is_integer(dtype);
  auto number = [&](std::string_view real) {
    return dtype == Dtype::complex64 ? cat("c64{", real, ", ", real == "1.0f" ? "0.0f" : real, "}")
                                     : cat(type, "(", real, ")");
  };
  switch (op) {
    case CumulativeOp::sum:
      return floating || dtype == Dtype::complex64 ? number("-0.0f") : cat(type, "(0)");
    case CumulativeOp::prod:
      return number(dtype == Dtype::complex64 ? "1.0f" : "1");
    case CumulativeOp::max:
    case CumulativeOp::min: {
      const bool largest = op == CumulativeOp::max;
      if (dtype == Dtype::bool_) return largest ? "false" : "true";
      if (!integral) return number(largest ? "-INFINITY" : "INFINITY");
      if (is_unsigned(dtype)) return largest ? cat(type, "(0)") : cat(type, "(~(u64)0)");
      const std::string least = cat("(u64)1 << ", item_size(dtype) * 8 - 1);
      return largest ? cat(type, "(", least, ")") : cat(type, "((", least, ") - 1)");
    }
    case CumulativeOp::logaddexp:
      break;
  }
  return number("-INFINITY");
}

// Elements that a lane takes at a time: `rows` times four, of rows of 128 that a warp works through side by side.
constexpr std::string_view kScan = R"text(#{unit}
  const i64 line = unit / p.pieces, begin = unit % p.pieces * p.piece;
  const i64 end = begin + p.piece < p.length ? begin + p.piece : p.length;
  #{T} carry = IDENTITY;
#{before}
  for (i64 base = begin; base < end; base += #{step}) {
    const i64 first = base + part * (128 * #{rows}) + lane * 4;
    #{T} v[#{rows}][4], left[#{rows}], all = IDENTITY;
    UNROLL for (u32 r = 0; r < #{rows}; ++r) {
      const i64 k = first + r * 128;
#{load}
    }
    UNROLL for (u32 r = 0; r < #{rows}; ++r) {
      UNROLL for (u32 e = 1; e < 4; ++e) v[r][e] = combine(v[r][e - 1], v[r][e]);
      #{T} sum = v[r][3];
      for (u32 by = 1; by < 32; by *= 2) {
        const #{T} other = warp_shuffle_up(sum, by);
        if (lane >= by) sum = combine(other, sum);
      }
      const #{T} lower = warp_shuffle_up(sum, 1), row = warp_shuffle(sum, 31);
      left[r] = lane == 0 ? all : r == 0 ? lower : combine(all, lower);
      all = r == 0 ? row : combine(all, row);
    }
    #{T} prior = carry;
#{meet}#{output}    carry = combine(carry, all);
  }
)text";
constexpr std::string_view kMeet = R"text(    if (lane == 0) totals[part] = all;
    BARRIER();
    all = totals[0];
    for (u32 w = 0; w < 8; ++w) {
      if (w < part) prior = combine(prior, totals[w]);
      if (w) all = combine(all, totals[w]);
    }
    BARRIER();
)text";
// What the pieces in front come to, in their order.
constexpr std::string_view kPiecesBefore = R"text(  {
    const i64 many = unit % p.pieces, each = (many + 255) / 256, from = line * p.pieces + item.x * each;
    #{T} sum = IDENTITY;
    for (i64 i = 0; i < each && item.x * each + i < many; ++i) sum = combine(sum, sums[from + i]);
    for (u32 by = 1; by < 32; by *= 2) {
      const #{T} other = warp_shuffle_down(sum, by);
      sum = combine(sum, other);
    }
    if (lane == 0) totals[warp] = sum;
    BARRIER();
    for (u32 w = 0; w < 8; ++w) carry = combine(carry, totals[w]);
    BARRIER();
  }
)text";
constexpr std::string_view kLoadEach = "v[r][e] = k + e < end ? load(x[at + PLACE * p.x_step]) : IDENTITY;";
constexpr std::string_view kStoreEach = "if (k + e < end) store(out, to + PLACE * p.inner, combine(before, v[r][e]));";

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

class CumulativeMaker {
 public:
  CumulativeMaker(Machine& machine, const Cumulative& op, const Layout& in, const Layout& out)
      : machine_(machine), op_(op), in_(in), out_(out), lines_(in, size_t(op.axis())), type_(register_type(in.dtype)) {
    for (size_t d = size_t(op.axis()) + 1; d < out.shape.size(); ++d) inner_ *= out.shape[d];
  }

  std::unique_ptr<Kernel> make() {
    if (element_count(out_.shape) == 0) return std::make_unique<StagedLaunches>(machine_, std::move(stages_));
    const int64_t cores = machine_.traits().cores, n = lines_.length;
    if (n <= kShort || (lines_.step != 1 && lines_.count >= 256 * cores)) {
      add_threads();
      return std::make_unique<StagedLaunches>(machine_, std::move(stages_));
    }
    // Groups of 8 warps, one of which may do for a line of its own.
    whole_group_ = n > 512 && lines_.count < 32 * cores;
    rows_ = whole_group_ && n > 2048 && item_size(in_.dtype) <= 4 ? 4 : 1;
    const int64_t tile = whole_group_ ? 1024 * rows_ : 128;
    int64_t pieces = 1;
    if (whole_group_ && n >= 2 * kPiece && lines_.count < 2 * cores)
      pieces = std::min((kPiecesOfCore * cores + lines_.count - 1) / lines_.count, n / kPiece);
    piece_ = ((n + pieces - 1) / pieces + tile - 1) / tile * tile;
    pieces_ = (n + piece_ - 1) / piece_;
    if (pieces_ > 1) add_scan(true);
    add_scan(false);
    const size_t word = is_half(in_.dtype) ? 4 : item_size(in_.dtype);
    return std::make_unique<StagedLaunches>(machine_, std::move(stages_),
                                            pieces_ > 1 ? size_t(pieces_ * lines_.count) * word : 0);
  }

 private:
  void start(KernelText& text) const {
    declare_read(text, in_, type_name(in_.dtype), "x");
    if (is_complex(in_.dtype)) text.use(Section::complex);
    if (op_.op() == CumulativeOp::logaddexp) text.use(Section::math);
    text.before(combine_text(op_.op(), in_.dtype));
  }
  void declare(KernelText& text, Numbers& numbers) const {
    numbers.add(text, "lines", lines_.count);
    numbers.add(text, "length", lines_.length);
    lines_.declare(text, numbers, "x");
    numbers.add(text, "inner", inner_);
  }
  // Where the line of the output starts; its elements are p.inner apart.
  std::string to_text() const {
    return inner_ == 1 ? "  const i64 to = line * p.length;\n"
                       : "  const i64 to = line / p.inner * p.length * p.inner + line % p.inner;\n";
  }
  std::string filled(std::string text) const {
    text = replaced(std::move(text), "PLACE", op_.reverse() ? "(p.length - 1 - k - e)" : "(k + e)");
    return replaced(std::move(text), "IDENTITY", identity_text(op_.op(), in_.dtype));
  }

  void add_threads() {
    KernelText text(machine_.traits(), "cumulative_lines", kThreads);
    start(text);
    text.write(type_name(out_.dtype), "out");
    Numbers numbers(true);
    declare(text, numbers);
    std::string body = "  const i64 line = (i64)group.x * 256 + item.x;\n  if (line >= p.lines) return;\n";
    body += lines_.offset_text("i64", "at", "line", "x") + to_text();
    body += cat(
        "  ", type_,
        " total = IDENTITY;\n"
        "  for (i64 k = 0; k < p.length; k += 4) {\n    ",
        type_,
        " v[4];\n"
        "    UNROLL for (u32 e = 0; e < 4; ++e) v[e] = k + e < p.length ? load(x[at + PLACE * p.x_step]) : IDENTITY;\n"
        "    UNROLL for (u32 e = 0; e < 4; ++e) {\n"
        "      total = combine(total, v[e]);\n"
        "      if (k + e < p.length) store(out, to + PLACE * p.inner, total);\n"
        "    }\n  }\n");
    text.body(filled(body));
    finish(text, groups_for(lines_.count, kThreads), {{0, 0}, {1, 0}}, 1, numbers);
  }

  // `totals_only`: what the pieces come to, into the scratch memory.
  void add_scan(bool totals_only) {
    KernelText text(machine_.traits(), totals_only ? "cumulative_totals" : "cumulative", kThreads);
    start(text);
    std::vector<Place> places{{0, 0}};
    if (totals_only) {
      text.write(type_, "sums");
      places.push_back({2, 0});
    } else {
      if (pieces_ > 1) {
        text.read(type_, "sums");
        places.push_back({2, 0});
      }
      text.write(type_name(out_.dtype), "out");
      places.push_back({1, 0});
    }
    Numbers numbers(true);
    declare(text, numbers);
    numbers.add(text, "pieces", pieces_);
    numbers.add(text, "piece", piece_);
    std::vector<Stage::Aligned> aligned;
    auto packs = [&](const char* name, int operand, bool wide) {
      aligned.push_back({operand, numbers.bytes().size()});
      numbers.add(text, name, wide);
      return cat(name, " && k + 4 <= end");
    };
    const bool packed = rows_ > 1 && lines_.step == 1 && inner_ == 1;
    const std::string order = op_.reverse() ? "3 - e" : "e", place = op_.reverse() ? "(p.length - 4 - k)" : "k";
    const bool whole = lines_.length % 4 == 0;
    std::string load = cat("      UNROLL for (u32 e = 0; e < 4; ++e) ", kLoadEach), output;
    if (packed)
      load = cat("      if (p.", packs("wide_x", 0, whole_packs() && (whole || !op_.reverse())), ") {\n",
                 "        const auto pack = load_pack<4>(x + at + ", place, ");\n",
                 "        UNROLL for (u32 e = 0; e < 4; ++e) v[r][e] = load(pack.v[", order, "]);\n      } else {\n  ",
                 load, "\n      }");
    std::string before = lines_.offset_text("i64", "at", "line", "x");
    if (!totals_only) {
      before += to_text();
      if (pieces_ > 1) before += kPiecesBefore;
      const std::string each = cat("UNROLL for (u32 e = 0; e < 4; ++e)\n        ", kStoreEach);
      output = cat("    UNROLL for (u32 r = 0; r < ", rows_, "; ++r) {\n      const i64 k = first + r * 128;\n",
                   "      const ", type_, " before = combine(prior, left[r]);\n");
      if (packed)
        output += cat("      if (p.", packs("wide_out", 1, whole || (lines_.count == 1 && !op_.reverse())), ") {\n",
                      "        Pack<", type_name(out_.dtype), ", 4> pack;\n",
                      "        UNROLL for (u32 e = 0; e < 4; ++e) pack.v[", order, "] = ", type_name(out_.dtype),
                      "(combine(before, v[r][e]));\n        store_pack(out + to + ", place,
                      ", pack);\n        continue;\n      }\n");
      output += cat("      ", each, "\n    }\n");
    }
    std::string unit = whole_group_ ? cat("  SHARED ", type_, " totals[8];\n  const u32 part = warp;\n")
                                    : std::string("  const u32 part = 0;\n");
    // The second launch begins with what the first has read last, which a cache may still hold.
    unit += !whole_group_ ? "  const i64 unit = (i64)group.x * 8 + warp;\n  if (unit >= p.lines) return;"
            : pieces_ > 1 && !totals_only ? "  const i64 unit = (i64)(groups.x - 1 - group.x);"
                                          : "  const i64 unit = group.x;";
    std::string body = filled_in(kScan, {{"unit", unit},
                                         {"before", replaced(before, "#{T}", type_)},
                                         {"rows", std::to_string(rows_)},
                                         {"step", std::to_string((whole_group_ ? 1024 : 128) * rows_)},
                                         {"load", load},
                                         {"meet", whole_group_ ? kMeet : ""},
                                         {"output", output},
                                         {"T", type_}});
    if (totals_only) body += "  if (item.x == 0) sums[unit] = carry;\n";
    text.body(filled(body));
    const size_t read_only = places.size() - 1;
    const int64_t units = lines_.count * pieces_;
    finish(text, whole_group_ ? uint32_t(units) : groups_for(units, 8), std::move(places), read_only, numbers);
    stages_.back().aligned = std::move(aligned);
  }
  // Whether lines of the input begin at multiples of four elements.
  bool whole_packs() const {
    for (size_t d = 0; d < in_.shape.size(); ++d)
      if (d != size_t(op_.axis()) && in_.shape[d] > 1 && in_.strides[d] % 4 != 0) return false;
    return true;
  }

  void finish(const KernelText& text, uint32_t groups, std::vector<Place> places, size_t read_only,
              const Numbers& numbers) {
    stages_.push_back(stage_of(machine_, text, {groups}, {kThreads}, std::move(places), read_only, numbers.bytes()));
  }

  Machine& machine_;
  const Cumulative& op_;
  Layout in_, out_;
  Lines lines_;
  std::string type_;
  int64_t inner_ = 1, pieces_ = 1, piece_ = 0, rows_ = 1;
  bool whole_group_ = false;
  std::vector<Stage> stages_;
};

std::unique_ptr<Kernel> make_cumulative(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                        const KernelProgram*) {
  return CumulativeMaker(machine, static_cast<const Cumulative&>(primitive), in[0], out[0]).make();
}

// A thread runs through a line, eight elements at a time. Products of factors would say more than float holds, where
// the states that they are meant for are small.
std::unique_ptr<Kernel> make_linear_recurrence(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                               const KernelProgram*) {
  std::vector<Stage> stages;
  if (element_count(out[0].shape) > 0) {
    const auto& op = static_cast<const LinearRecurrence&>(primitive);
    const auto axis = size_t(op.axis());
    const std::string type(register_type(out[0].dtype));
    Lines a(in[0], axis), x(in[1], axis);
    int64_t inner = 1;
    for (size_t d = axis + 1; d < out[0].shape.size(); ++d) inner *= out[0].shape[d];
    KernelText text(machine.traits(), "linear_recurrence", kThreads);
    declare_read(text, in[0], type_name(in[0].dtype), "a");
    declare_read(text, in[1], type_name(in[1].dtype), "x");
    text.write(type_name(out[0].dtype), "out");
    if (is_complex(out[0].dtype)) text.use(Section::complex);
    Numbers numbers(true);
    numbers.add(text, "lines", x.count);
    numbers.add(text, "length", x.length);
    numbers.add(text, "inner", inner);
    a.declare(text, numbers, "a");
    x.declare(text, numbers, "x");
    const std::string place = op.reverse() ? "(p.length - 1 - i - e)" : "(i + e)";
    const std::string zero = is_complex(out[0].dtype) ? "c64{0.0f, 0.0f}" : cat(type, "(0)");
    text.body(cat("  const i64 line = (i64)group.x * 256 + item.x;\n  if (line >= p.lines) return;\n",
                  a.offset_text("i64", "at_a", "line", "a"), x.offset_text("i64", "at_x", "line", "x"),
                  "  const i64 to = line / p.inner * p.length * p.inner + line % p.inner;\n  ", type, " total = ", zero,
                  ";\n  for (i64 i = 0; i < p.length; i += 8) {\n    ", type, " factor[8], value[8];\n",
                  "    UNROLL for (u32 e = 0; e < 8; ++e) {\n      const bool there = i + e < p.length;\n"
                  "      factor[e] = there ? load(a[at_a + ",
                  place, " * p.a_step]) : ", zero, ";\n      value[e] = there ? load(x[at_x + ", place,
                  " * p.x_step]) : ", zero,
                  ";\n    }\n"
                  "    UNROLL for (u32 e = 0; e < 8; ++e) {\n"
                  "      // A factor of zero forgets even what is infinite.\n"
                  "      total = i + e == 0 || factor[e] == ",
                  zero,
                  " ? value[e] : plus(times(factor[e], total), value[e]);\n"
                  "      if (i + e < p.length) store(out, to + ",
                  place, " * p.inner, total);\n    }\n  }\n"));
    stages.push_back(stage_of(machine, text, {groups_for(x.count, kThreads)}, {kThreads}, {{0, 0}, {1, 0}, {2, 0}}, 2,
                              numbers.bytes()));
  }
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

const RegisterKernel sum_registered("cumsum", make_cumulative);
const RegisterKernel prod_registered("cumprod", make_cumulative);
const RegisterKernel max_registered("cummax", make_cumulative);
const RegisterKernel min_registered("cummin", make_cumulative);
const RegisterKernel logaddexp_registered("logcumsumexp", make_cumulative);
const RegisterKernel recurrence_registered("linear_recurrence", make_linear_recurrence);

}  // namespace
}  // namespace funcnn::gpu
