// The kernel of quantized_dot.
#include "ops/quantized_dot.h"

#include "backends/gpu/dense.h"
#include "backends/gpu/operand.h"
#include "backends/gpu/quantized_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// What the shapes decide.
struct Sizes {
  QuantFormat format;
  bool transpose, indexed;
  int64_t x_count, x_rows, inner, matrices, w_rows, w_columns, items;
  Dtype dtype, scales;

  Sizes(const QuantizedDot& op, Layouts in, const Layout& out)
      : format(op.format()),
        transpose(op.transpose()),
        indexed(op.indexed()),
        x_count(in[0].shape[0]),
        x_rows(in[0].shape[1]),
        inner(in[0].shape[2]),
        matrices(in[1].shape[0]),
        w_rows(in[1].shape[1]),
        w_columns(format.elements(in[1].shape[2])),
        items(out.shape[0]),
        dtype(in[0].dtype),
        scales(in[2].dtype) {}
  int64_t columns() const { return transpose ? w_rows : w_columns; }
  int64_t count() const { return items * x_rows * columns(); }
};

// x, words, scales, biases, lhs and rhs where there are any; then out.
void declare_operands(KernelText& text, const Sizes& s, Layouts in) {
  read_operand(text, in[0], "x");
  read_operand(text, in[1], "words");
  read_operand(text, in[2], "scales");
  if (s.format.affine()) read_operand(text, in[3], "biases");
  if (s.indexed) {
    read_operand(text, in[in.size() - 2], "lhs");
    read_operand(text, in[in.size() - 1], "rhs");
  }
  text.write(type_name(s.dtype), "out");
}
std::vector<Place> operands_of(Layouts in) {
  std::vector<Place> places;
  for (size_t i = 0; i <= in.size(); ++i) places.push_back({int(i)});
  return places;
}

// `left` and `right`, the numbers of x and of the matrix for item `number`, and whether they are `there`: a number that
// is not of the axis stands for zeros.
std::string chosen_text(const Sizes& s) {
  if (!s.indexed) return "  const i64 left = 0, right = 0;\n  const bool there = true;\n";
  return "  const i64 left = lhs[number], right = rhs[number];\n"
         "  const bool there = left >= 0 && left < p.x_count && right >= 0 && right < p.matrices;\n";
}

// Each thread computes an element.
std::unique_ptr<Kernel> make_plain(Machine& machine, const Sizes& s, Layouts in) {
  KernelText text(machine.traits(), "quantized_dot_small", kThreadsEach);
  declare_operands(text, s, in);
  text.value("i64", "count").value("i64", "m").value("i64", "n").value("i64", "k");
  text.value("i64", "x_count").value("i64", "matrices").value("i64", "rows").value("i64", "columns");
  text.before(reading_text(s.format));
  std::string_view sum = register_type(s.dtype);
  text.body(filled_in(R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
  const i64 column = index % p.n, m = index / p.n % p.m, number = index / p.n / p.m;
#{chosen}  #{S} value = 0;
  for (i64 i = 0; there && i < p.k; ++i) {
    const i64 row = right * p.rows + #{row}, place = #{place};
    const i64 at = row * (p.columns / #{group}) + place / #{group};
    const u32 code = code_at(words + at * #{words}, u32(place % #{group}));
    const #{S} y = #{y};
    value = fma(#{S}(load(x[(left * p.m + m) * p.k + i])), y, value);
  }
  out[index] = #{value};
)text",
                      {{"chosen", chosen_text(s)},
                       {"S", sum},
                       {"row", s.transpose ? "column" : "i"},
                       {"place", s.transpose ? "i" : "column"},
                       {"group", std::to_string(s.format.group)},
                       {"words", std::to_string(s.format.words(s.format.group))},
                       {"y", s.format.affine() ? cat("fma(", sum, "(code_value(code)), ", sum, "(load(scales[at])), ",
                                                     sum, "(load(biases[at])))")
                                               : cat(sum, "(code_value(code)) * ", sum, "(scale_value(scales[at]))")},
                       {"value", narrowed(s.dtype, "value")}}));
  Values values;
  values.add(s.count()).add(s.x_rows).add(s.columns()).add(s.inner);
  values.add(s.x_count).add(s.matrices).add(s.w_rows).add(s.w_columns);
  std::vector<Stage> stages;
  stages.push_back(one_each(machine.pipeline(text.finish()), s.count(), operands_of(in), in.size(), values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

std::unique_ptr<Kernel> make_quantized_dot(Machine& machine, const Primitive& primitive, Layouts inputs,
                                           Layouts outputs, const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  const Sizes s(static_cast<const QuantizedDot&>(primitive), inputs, outputs[0]);
  if (s.count() == 0) return std::make_unique<StagedLaunches>(machine, std::vector<Stage>{});
  return with_dense_inputs(machine, inputs, [&](Layouts in) { return make_plain(machine, s, in); });
}

const RegisterKernel registered("quantized_dot", make_quantized_dot);

}  // namespace
}  // namespace funcnn::gpu
