// The kernels of quantize, quantized_values, dequantize, to_fp8 and from_fp8.
#include "ops/quantize.h"

#include "backends/gpu/dense.h"
#include "backends/gpu/operand.h"
#include "backends/gpu/quantized_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr uint32_t kWarps = 4;  // of a group that quantises; each has 32 elements at a time

// Sets `group_number`, `part` (the position in the group of elements, first of some 32 apart), x[] and, whatever the
// group has, what its lanes find together. A warp has a group, or two of 16.
std::string load_group(const QuantFormat& format) {
  const int lanes = std::min(32, format.group), each = format.group / lanes;
  return filled_in(R"text(  const i64 first_group = (i64(group.x) * #{warps} + warp) * #{pair};
  if (first_group >= p.groups) return;
  // Where there is no second group, the lanes repeat the last.
  const i64 group_number = min(first_group + lane / #{lanes}, p.groups - 1);
  const bool there = first_group + lane / #{lanes} < p.groups;
  const u32 part = lane % #{lanes};
  f32 x[#{each}];
  UNROLL for (u32 i = 0; i < #{each}; ++i) x[i] = load(w[group_number * #{group} + part + i * 32]);
)text",
                   {{"warps", std::to_string(kWarps)},
                    {"pair", std::to_string(32 / lanes)},
                    {"lanes", std::to_string(lanes)},
                    {"each", std::to_string(each)},
                    {"group", std::to_string(format.group)}});
}

// A step over all lanes of a group: `NAME = of(NAME, another lane's)`.
std::string across(const QuantFormat& format, std::string_view name, std::string_view of) {
  return cat("  for (u32 by = ", std::min(32, format.group) / 2, "; by > 0; by /= 2) ", name, " = ", of, "(", name,
             ", warp_shuffle_xor(", name, ", by));\n");
}

// Sets code[i], `scale` and `bias`: MLX's rule, which makes the end of the range of larger magnitude exact. Rounds half
// to even.
std::string affine_codes(const QuantFormat& format) {
  std::string most = cat((1 << format.bits) - 1, ".0f"), each = std::to_string(format.group / 32);
  std::string out = filled_in(R"text(  f32 low = INFINITY, high = -INFINITY;
  bool lost = false;
  UNROLL for (u32 i = 0; i < #{each}; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    lost = lost || x[i] != x[i];
  }
  lost = warp_any(lost);
)text",
                              {{"each", each}});
  out += across(format, "low", "smaller") + across(format, "high", "larger");
  if (format.bits == 1)
    out += R"text(  f32 scale = larger(high - low, 1e-7f), bias = low;
)text";
  else
    out += filled_in(R"text(  const bool below = fabs(low) > fabs(high);
  f32 scale = larger((high - low) / #{most}, 1e-7f), bias = 0.0f;
  if (!below) scale = -scale;
  const f32 edge = below ? low : high, steps = rint(edge / scale);
  if (steps != 0.0f) {
    scale = edge / steps;
    bias = edge;
  }
)text",
                     {{"most", most}});
  out += filled_in(R"text(  u32 code[#{each}];
  UNROLL for (u32 i = 0; i < #{each}; ++i) {
    f32 q = rint((x[i] - bias) / scale);
    q = q > 0.0f ? q : 0.0f;  // NaN too
    code[i] = u32(q < #{most} ? q : #{most});
  }
  if (lost) scale = bias = NAN;
)text",
                   {{"most", most}, {"each", each}});
  return out;
}

// Sets code[i], `stored`, and `global` (0: none).
std::string float_codes(const QuantFormat& format, bool global) {
  const std::string each = std::to_string(format.group / std::min(32, format.group));
  std::string out =
      global ? "  const f32 global = globals[group_number / p.groups_each];\n" : "  const f32 global = 0.0f;\n";
  out += filled_in(R"text(  const f32 factor = global != 0.0f ? 2688.0f / global : 1.0f;
  f32 top = 0.0f;
  UNROLL for (u32 i = 0; i < #{each}; ++i) top = larger(top, fabs(x[i]));
)text",
                   {{"each", each}});
  out += across(format, "top", "larger");
  out += filled_in(R"text(  const bool finite = top < INFINITY;  // of NaN false
  u32 stored = #{nan};
  f32 divisor = 0.0f;
  if (finite) {
    stored = scale_code(rounded(top / #{largest}), factor);
    divisor = rounded(scale_value(stored));
  }
  u32 code[#{each}];
  UNROLL for (u32 i = 0; i < #{each}; ++i)
    code[i] = divisor == 0.0f ? 0u : value_code(rounded(x[i] / divisor)#{factor});
)text",
                   {{"each", each},
                    {"nan", format.mode == QuantMode::nvfp4 ? "127u" : "255u"},
                    {"largest", format.bits == 8 ? "448.0f" : "6.0f"},
                    {"factor", format.bits == 8 ? "" : " * factor"}});
  return out;
}

int64_t groups_of(const Layout& l, const QuantFormat& format) { return element_count(l.shape) / format.group; }

struct GroupLaunch {
  int64_t groups;
  Values values;
  GroupLaunch(const QuantFormat& format, Layouts in) : groups(groups_of(in[0], format)) {
    values.add(groups);
    if (in.size() > 1) values.add(groups / element_count(in[1].shape));
  }
  std::unique_ptr<Kernel> make(Machine& machine, const KernelText& text, const QuantFormat& format, size_t reads,
                               size_t writes) const {
    std::vector<Place> places;
    for (size_t i = 0; i < reads + writes; ++i) places.push_back({int(i)});
    std::vector<Stage> stages;
    stages.push_back({machine.pipeline(text.finish()),
                      {groups_for(groups, kWarps * (32 / std::min(32, format.group)))},
                      {kWarps * 32},
                      std::move(places),
                      reads,
                      values.bytes()});
    return std::make_unique<StagedLaunches>(machine, std::move(stages));
  }
};

void declare_groups(KernelText& text, Layouts in) {
  read_operand(text, in[0], "w");
  if (in.size() > 1) read_operand(text, in[1], "globals");
  text.value("i64", "groups");
  if (in.size() > 1) text.value("i64", "groups_each");
}

std::unique_ptr<Kernel> make_quantize(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                      const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  const QuantFormat format = static_cast<const Quantize&>(primitive).format();
  if (element_count(inputs[0].shape) == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs, [&](Layouts in) {
    const Dtype dtype = in[0].dtype;
    const int lanes = std::min(32, format.group), each = format.group / lanes;
    KernelText text(machine.traits(), "quantize", kWarps * 32);
    declare_groups(text, in);
    text.write("u32", "words").write(type_name(outputs[1].dtype), "scales");
    if (format.affine()) text.write(type_name(outputs[2].dtype), "biases");
    if (!format.affine()) text.before(reading_text(format));
    text.before(writing_text(format, dtype));
    text.body(cat("  SHARED u32 codes[", kWarps, "][", 32 * each, "];\n"));
    text.body(load_group(format));
    text.body(format.affine() ? affine_codes(format) : float_codes(format, in.size() > 1));
    // Each lane then puts a word together.
    text.body(filled_in(R"text(  UNROLL for (u32 i = 0; i < #{each}; ++i) codes[warp][lane + i * 32] = code[i];
  WARP_BARRIER();
  for (u32 word = part; there && word < #{words}; word += #{lanes}) {
    u32 packed = 0;
    SHARED_POINTER const u32* mine = codes[warp] + lane / #{lanes} * #{lanes};
    for (u32 i = word * 32 / #{bits}; i * #{bits} < word * 32 + 32; ++i) {
      const i32 shift = i32(i * #{bits}) - i32(word * 32);
      packed |= shift < 0 ? mine[i] >> u32(-shift) : mine[i] << u32(shift);
    }
    words[group_number * #{words} + word] = packed;
  }
  if (there && part == 0) {
)text",
                        {{"each", std::to_string(each)},
                         {"words", std::to_string(format.words(format.group))},
                         {"bits", cat(format.bits, "u")},
                         {"lanes", std::to_string(lanes)}}));
    if (format.affine())
      text.body(cat("    scales[group_number] = ", narrowed(dtype, "scale"),
                    ";\n    biases[group_number] = ", narrowed(dtype, "bias"), ";\n  }\n"));
    else
      text.body("    scales[group_number] = u8(stored);\n  }\n");
    return GroupLaunch(format, in).make(machine, text, format, in.size(), outputs.size());
  });
}

std::unique_ptr<Kernel> make_values(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                    const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  const QuantFormat format = static_cast<const QuantizedValues&>(primitive).format();
  if (element_count(inputs[0].shape) == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs, [&](Layouts in) {
    const Dtype dtype = in[0].dtype;
    const int lanes = std::min(32, format.group), each = format.group / lanes;
    KernelText text(machine.traits(), "quantized_values", kWarps * 32);
    declare_groups(text, in);
    text.write(type_name(outputs[0].dtype), "out");
    text.before(reading_text(format)).before(writing_text(format, dtype));
    text.body(load_group(format)).body(float_codes(format, in.size() > 1));
    text.body(filled_in(R"text(  f32 scale = scale_value(stored);
  if (global != 0.0f) scale *= global / 2688.0f;
  UNROLL for (u32 i = 0; i < #{each}; ++i)
    if (there) out[group_number * #{group} + part + i * 32] = #{value};
)text",
                        {{"each", std::to_string(each)},
                         {"group", std::to_string(format.group)},
                         {"value", narrowed(dtype, "scale * code_value(code[i])")}}));
    return GroupLaunch(format, in).make(machine, text, format, in.size(), 1);
  });
}

std::unique_ptr<Kernel> make_dequantize(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                        const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  const QuantFormat format = static_cast<const Dequantize&>(primitive).format();
  const Layout& out = outputs[0];
  const int64_t count = element_count(out.shape);
  if (count == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs, [&](Layouts in) {
    KernelText text(machine.traits(), "dequantize", kThreadsEach);
    const bool wide = out.dtype == Dtype::float64, global = !format.affine() && in.size() > 2;
    read_operand(text, in[0], "words");
    read_operand(text, in[1], "scales");
    if (in.size() > 2) read_operand(text, in[2], global ? "globals" : "biases");
    text.write(type_name(out.dtype), "out");
    text.value("i64", "count").value("i64", "groups_each");
    text.before(reading_text(format)).before(writing_text(format, out.dtype));
    text.body(
        filled_in(R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
  const i64 group_number = index / #{group};
  const u32 code = code_at(words + group_number * #{words}, u32(index % #{group}));
)text",
                  {{"group", std::to_string(format.group)}, {"words", std::to_string(format.words(format.group))}}));
    if (format.affine()) {
      // The product and the sum are rounded one after the other, as separate operations would be.
      if (wide)
        text.body("  out[index] = f64(code_value(code)) * scales[group_number] + biases[group_number];\n");
      else
        text.body(cat("  const f32 scaled = rounded(code_value(code) * load(scales[group_number]));\n  out[index] = ",
                      narrowed(out.dtype, "scaled + load(biases[group_number])"), ";\n"));
    } else {
      text.body("  f32 scale = scale_value(scales[group_number]);\n");
      if (global)
        text.body(
            "  const f32 global = globals[group_number / p.groups_each];\n"
            "  scale = global != 0.0f ? scale * (global / 2688.0f) : rounded(scale);\n");
      else
        text.body("  scale = rounded(scale);\n");
      text.body(cat("  out[index] = ", narrowed(out.dtype, "code_value(code) * scale"), ";\n"));
    }
    const int64_t groups = count / format.group;
    Values values;
    values.add(count).add(global ? groups / element_count(in[2].shape) : groups);
    std::vector<Place> places;
    for (size_t i = 0; i <= in.size(); ++i) places.push_back({int(i)});
    std::vector<Stage> stages;
    stages.push_back(one_each(machine.pipeline(text.finish()), count, std::move(places), in.size(), values));
    return std::unique_ptr<Kernel>(std::make_unique<StagedLaunches>(machine, std::move(stages)));
  });
}

std::unique_ptr<Kernel> make_convert(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                     const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  const int64_t count = element_count(outputs[0].shape);
  if (count == 0) return nothing(machine);
  return with_dense_inputs(machine, inputs, [&](Layouts in) {
    const bool to = primitive.name() == "to_fp8";
    KernelText text(machine.traits(), primitive.name(), kThreadsEach);
    read_operand(text, in[0], "x");
    text.write(type_name(outputs[0].dtype), "out").value("i64", "count").before(kE4m3);
    text.body(R"text(  const i64 index = i64(group.x) * 256 + item.x;
  if (index >= p.count) return;
)text");
    if (!to)
      text.body(cat("  out[index] = ", narrowed(outputs[0].dtype, "e4m3_value(x[index])"), ";\n"));
    else if (in[0].dtype == Dtype::float64)
      // Rounded once: a float in between keeps the side of a tie that a number is on if it is rounded to odd.
      text.body(R"text(  const f64 exact = x[index];
  f32 near = f32(exact);
  if (f64(near) != exact && fabs(near) < INFINITY) {
    u32 all = bits<u32>(near);
    if (fabs(f64(near)) > fabs(exact)) --all;
    near = bits<f32>(all | 1u);
  }
  out[index] = u8(e4m3_code(near));
)text");
    else
      text.body("  out[index] = u8(e4m3_code(load(x[index])));\n");
    std::vector<Stage> stages;
    stages.push_back(one_each(machine.pipeline(text.finish()), count, {{0}, {1}}, 1, Values().add(count)));
    return std::unique_ptr<Kernel>(std::make_unique<StagedLaunches>(machine, std::move(stages)));
  });
}

const RegisterKernel registered[] = {{"quantize", make_quantize},
                                     {"dequantize", make_dequantize},
                                     {"quantized_values", make_values},
                                     {"to_fp8", make_convert},
                                     {"from_fp8", make_convert}};

}  // namespace
}  // namespace funcnn::gpu
