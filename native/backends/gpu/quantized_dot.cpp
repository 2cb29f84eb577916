// The kernel of quantized_dot, and how quantised matrices enter tiles.
#include "ops/quantized_dot.h"

#include "backends/gpu/dense.h"
#include "backends/gpu/dot_kernels.h"
#include "backends/gpu/quantized_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Codes of a thread at a time on their way into a tile: the smallest group there is.
constexpr int kRun = 16;

}  // namespace

Dtype tile_dtype(const DotProblem& p) {
  // Powers of two may leave what float16 can hold.
  const bool wide = p.quantized && p.dtype == Dtype::float16 &&
                    (p.quantized->format.mode == QuantMode::mxfp4 || p.quantized->format.mode == QuantMode::mxfp8);
  return wide ? Dtype::float32 : p.dtype;
}

TileOperand quantized_operand(const TileText& tiles, const DotProblem& p, std::string_view wide) {
  const QuantFormat& format = p.quantized->format;
  const bool transpose = p.quantized->transpose;
  const Dtype stored = tile_dtype(p);
  const TileShape& shape = tiles.shape();
  const int runs = shape.n * shape.k / kRun, threads = int(shape.threads()), held = (runs + threads - 1) / threads;
  const std::string guard = runs % threads ? cat("    if (v >= ", runs, ") break;\n") : "";
  const int row = (transpose ? shape.k : shape.n) / kRun;
  const std::string position = transpose ? cat("const u32 local = v / ", row, ", at = v % ", row, " * ", kRun, ";")
                                         : cat("const u32 local = v % ", row, " * ", kRun, ", at = v / ", row, ";");
  TileOperand out;
  out.outer_first = tiles.outer_first(transpose);
  out.functions = reading_text(format) + run_text(format, kRun, "u16");
  out.registers = cat("  Codes held_b[", held, "];\n  f32 scale_b[", held, "], bias_b[", held, "];\n");
  out.fetch = filled_in(R"text(    UNROLL for (u32 i = 0; i < #{held}; ++i) {
      const u32 v = item.x + i * #{threads};
#{guard}      #{position}
      const u32 outer = column0 + local, d = depth + at;
      scale_b[i] = bias_b[i] = 0.0f;
      if (outer >= p.n || d >= end) {
        held_b[i] = Codes{};
        continue;
      }
      const i64 row_b = at_b + #{row};
      held_b[i] = fetch_codes((DEVICE const u16*)words + (row_b * (p.columns / #{run}) + #{column} / #{run}) * #{units},
                              #{wide});
      const i64 group_b = row_b * (p.columns / #{group}) + #{column} / #{group};
#{scale}    }
)text",
                        {{"held", std::to_string(held)},
                         {"threads", std::to_string(threads)},
                         {"guard", guard},
                         {"position", position},
                         {"row", transpose ? "outer" : "d"},
                         {"column", transpose ? "d" : "outer"},
                         {"run", std::to_string(kRun)},
                         {"units", std::to_string(kRun * format.bits / 16)},
                         {"wide", wide},
                         {"group", std::to_string(format.group)},
                         {"scale", format.affine() ? "      scale_b[i] = load(scales[group_b]);\n"
                                                     "      bias_b[i] = load(biases[group_b]);\n"
                                                   : "      scale_b[i] = scale_value(scales[group_b]);\n"}});
  // What is not there is zero: codes too, which could be those of NaN.
  const int pitch = tiles.pitch(out.outer_first, shape.n);
  const std::string first = out.outer_first ? cat("local * ", pitch, " + at") : cat("at * ", pitch, " + local");
  const bool whole = out.outer_first == transpose;
  const int each = tiles.pack();
  std::string store =
      whole ? filled_in(R"text(UNROLL for (u32 j = 0; j < #{run}; j += #{each}) {
        Pack<#{T}, #{each}> some;
        UNROLL for (u32 k = 0; k < #{each}; ++k) some.v[k] = #{value};
        *(SHARED_POINTER Pack<#{T}, #{each}>*)(tile + #{first} + j) = some;
      })text",
                        {{"run", std::to_string(kRun)},
                         {"each", std::to_string(each)},
                         {"T", type_name(stored)},
                         {"first", first},
                         {"value", narrowed(stored, "fma(run_value(held_b[i], j + k), scale_b[i], bias_b[i])")}})
            : cat("UNROLL for (u32 j = 0; j < ", kRun, "; ++j) tile[", first, " + j * ", pitch,
                  "] = ", narrowed(stored, "fma(run_value(held_b[i], j), scale_b[i], bias_b[i])"), ";");
  out.put = filled_in(R"text(    UNROLL for (u32 i = 0; i < #{held}; ++i) {
      const u32 v = item.x + i * #{threads};
#{guard}      #{position}
      #{store}
    }
)text",
                      {{"held", std::to_string(held)},
                       {"threads", std::to_string(threads)},
                       {"guard", guard},
                       {"position", position},
                       {"store", store}});
  return out;
}

std::unique_ptr<Kernel> make_quantized_small(Machine& machine, const DotProblem& p, const DotResult& result) {
  KernelText text(machine.traits(), "quantized_dot_small", kThreadsEach);
  p.declare_inputs(text);
  result.declare(text);
  text.value("i64", "count").value("u32", "m").value("u32", "n").value("u32", "k").value("i64", "columns");
  p.declare_values(text);
  const QuantFormat& format = p.quantized->format;
  const bool transpose = p.quantized->transpose;
  const std::string sum(register_type(p.dtype));
  text.before(reading_text(format));
  text.body(filled_in(R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
  const u32 column = u32(index % p.n), row = u32(index / p.n % p.m);
  u32 batch = u32(index / p.n / p.m);
#{place}  #{S} value = 0;
  for (u32 i = first; i < last; ++i) {
    const i64 row_b = at_b + #{row}, column_b = #{column};
    const i64 at = row_b * (p.columns / #{group}) + column_b / #{group};
    const u32 code = code_at(words + at * #{words}, u32(column_b % #{group}));
    const #{S} y = #{y};
    value = fma(#{S}(load(a[at_a + i64(row) * p.k + i])), y, value);
  }
  #{store}
)text",
                      {{"place", p.place_text()},
                       {"S", sum},
                       {"row", transpose ? "column" : "i"},
                       {"column", transpose ? "i" : "column"},
                       {"group", std::to_string(format.group)},
                       {"words", std::to_string(format.words(format.group))},
                       {"y", format.affine() ? cat("fma(", sum, "(code_value(code)), ", sum, "(load(scales[at])), ",
                                                   sum, "(load(biases[at])))")
                                             : cat(sum, "(code_value(code)) * ", sum, "(scale_value(scales[at]))")},
                       {"store", result.statements("value", "index")}}));
  Values values;
  values.add(p.count()).add(uint32_t(p.m)).add(uint32_t(p.n)).add(uint32_t(p.k)).add(p.quantized->columns);
  p.add_values(values);
  std::vector<Place> places = p.input_places();
  const size_t read_only = result.append_to(places);
  std::vector<Stage> stages;
  stages.push_back(one_each(machine.pipeline(text.finish()), p.count(), std::move(places), read_only, values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

namespace {

std::unique_ptr<Kernel> make_quantized_dot(Machine& machine, const Primitive& primitive, Layouts inputs,
                                           Layouts outputs, const KernelProgram* epilogue) {
  if (element_count(outputs[0].shape) == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs, [&](Layouts in) {
    return make_products(machine, DotProblem::of_quantized(static_cast<const QuantizedDot&>(primitive), in), epilogue);
  });
}

bool takes_epilogue(const Primitive&, const Shape&, const KernelProgram& epilogue) {
  return epilogue.operand_count <= 16;
}

const RegisterKernel registered("quantized_dot", make_quantized_dot, takes_epilogue);

}  // namespace
}  // namespace funcnn::gpu
