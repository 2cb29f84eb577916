#include "backends/gpu/conv_depth.h"

#include <algorithm>

#include "backends/gpu/conv_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kMostHeld = 24;   // elements of a line that a thread holds
constexpr int64_t kMostTaps = 128;  // whose factors a group keeps
constexpr int64_t kMostSums = 50;   // of a thread
constexpr int64_t kChannels = 32;   // of a group, at most

// Threads side by side have channels side by side; those of a group share the factors, which lie in its memory.
constexpr std::string_view kDepth = R"text(
  SHARED T factors[#{room}];
  const u32 own = item.x & (p.across - 1);
  const I channels = p.groups * p.out_channels, channel0 = I(group.x % p.blocks) * I(p.across);
  for (u32 i = item.x; i < p.across * #{all_taps}; i += 256) {
    const u32 tap = i / p.across;
    const I among = channel0 + I(i - tap * p.across);
    I rest = I(tap);
#{tap}
    factors[i] = among < channels ? load(weight[among * p.weight_n#{tap_weight}]) : T(0);
  }
  BARRIER();
  const I channel = channel0 + I(own);
  I rest = I(group.x / p.blocks * (256 / p.across) + item.x / p.across);
  if (channel >= channels || rest >= I(p.units)) return;
#{decode}
  x += rest * p.x_n + #{x_channel} * p.x_c;
  const I first = strip * #{outputs}, left = first * #{move} + p.offset_w;
  const bool whole = left >= 0 && left + #{held} <= p.in_w;
  T value[#{outputs}];
  UNROLL for (u32 r = 0; r < #{outputs}; ++r) value[r] = T(0);
#{loops}
  {
#{meet}
    if (!inside) continue;
    DEVICE const S* line = x#{line_place};
    SHARED_POINTER const T* factor = factors + u32(#{first_tap} * #{taps}) * p.across + own;
    T at[#{held}];
    if (whole) {
      UNROLL for (u32 i = 0; i < #{held}; ++i) at[i] = load(line[(left + I(i)) * p.x_w]);
      UNROLL for (u32 k = 0; k < #{taps}; ++k) {
        const T by = factor[k * p.across];
        UNROLL for (u32 r = 0; r < #{outputs}; ++r) value[r] = fma(at[r * #{move} + k * #{tap_move}], by, value[r]);
      }
    } else {
      UNROLL for (u32 i = 0; i < #{held}; ++i)
        at[i] = left + I(i) >= 0 && left + I(i) < p.in_w ? load(line[(left + I(i)) * p.x_w]) : T(0);
      UNROLL for (u32 k = 0; k < #{taps}; ++k) {
        const T by = factor[k * p.across];
        UNROLL for (u32 r = 0; r < #{outputs}; ++r) {
          const I i = left + I(r * #{move} + k * #{tap_move});
          if (i >= 0 && i < p.in_w) value[r] = fma(at[r * #{move} + k * #{tap_move}], by, value[r]);
        }
      }
    }
  }
  UNROLL for (u32 r = 0; r < #{outputs}; ++r) {
    const I t_w = first + I(r);
    if (t_w < p.count_w) {
      const Flat index = #{y_place} * channels + channel;
#{store}
    }
  }
)text";

// The gradient by the weight: a thread goes over lines of outputs with a sum for each tap; those of a group that have
// the same channel are added up.
constexpr std::string_view kDepthWeight = R"text(
  SHARED T sums[256];
  const u32 own = item.x & (p.across - 1), pair = item.x / p.across, pairs = 256 / p.across, split = group.y;
  const I channels = p.groups * p.out_channels, channel = I(group.x) * I(p.across) + I(own);
  const bool live = channel < channels;
  T sum[#{all_taps}];
  UNROLL for (u32 k = 0; k < #{all_taps}; ++k) sum[k] = T(0);
  if (live) {
    x += #{x_channel} * p.x_c;
    ct += channel * p.y_c;
    const u32 begin = split * u32(p.part), end = begin + u32(p.part) < p.units ? begin + u32(p.part) : p.units;
    for (u32 unit = begin + pair; unit < end; unit += pairs) {
      I rest = I(unit);
#{decode}
      DEVICE const S* from = x + rest * p.x_n;
      DEVICE const S* ct_line = ct + rest * p.y_n#{ct_place};
      for (I first = 0; first < p.count_w; first += #{outputs}) {
        const I left = first * #{move} + p.offset_w;
        const bool whole = first + #{outputs} <= p.count_w && left >= 0 && left + #{held} <= p.in_w;
        T by[#{outputs}];
        UNROLL for (u32 r = 0; r < #{outputs}; ++r)
          by[r] = first + I(r) < p.count_w ? load(ct_line[(first + I(r)) * p.y_w]) : T(0);
        UNROLL for (u32 above = 0; above < #{lines}; ++above) {
#{meet}
          if (!inside) continue;
          DEVICE const S* line = from#{line_place};
          T at[#{held}];
          if (whole) {
            UNROLL for (u32 i = 0; i < #{held}; ++i) at[i] = load(line[(left + I(i)) * p.x_w]);
            UNROLL for (u32 k = 0; k < #{taps}; ++k) {
              UNROLL for (u32 r = 0; r < #{outputs}; ++r)
                sum[above * #{taps} + k] = fma(at[r * #{move} + k * #{tap_move}], by[r], sum[above * #{taps} + k]);
            }
          } else {
            UNROLL for (u32 i = 0; i < #{held}; ++i)
              at[i] = left + I(i) >= 0 && left + I(i) < p.in_w ? load(line[(left + I(i)) * p.x_w]) : T(0);
            UNROLL for (u32 k = 0; k < #{taps}; ++k) {
              UNROLL for (u32 r = 0; r < #{outputs}; ++r) {
                const I i = left + I(r * #{move} + k * #{tap_move});
                if (i >= 0 && i < p.in_w && first + I(r) < p.count_w)
                  sum[above * #{taps} + k] = fma(at[r * #{move} + k * #{tap_move}], by[r], sum[above * #{taps} + k]);
              }
            }
          }
        }
      }
    }
  }
  UNROLL for (u32 tap = 0; tap < #{all_taps}; ++tap) {
    sums[item.x] = sum[tap];
    BARRIER();
    if (live && pair == 0) {
      T value = sums[own];
      for (u32 i = 1; i < pairs; ++i) value += sums[i * p.across + own];
      I rest = I(tap);
#{tap}
      const Flat index = channel * #{all_taps} + #{dense_tap};
#{store}
    }
    BARRIER();
  }
)text";

int64_t held_by(const ConvAxis& a, int64_t outputs) { return (outputs - 1) * a.move + (a.taps - 1) * a.tap_move + 1; }

// Outputs of a thread: as many as leave few threads with less to do.
int64_t outputs_of(const ConvAxis& a) {
  int64_t best = 1, waste = a.count + 1;
  for (int64_t r = 8; r >= 1; --r) {
    if (held_by(a, r) > kMostHeld) continue;
    const int64_t computed = (a.count + r - 1) / r * r - a.count;
    if (computed < waste && (r >= 4 || best == 1)) {
      best = r;
      waste = computed;
    }
  }
  return best;
}

uint32_t across_of(int64_t channels) {
  uint32_t across = 1;
  while (across < kChannels && across < channels) across *= 2;
  return across;
}

// Statements that tell whether line k_d, k_h of the kernel meets the input: `inside`, and the line's place.
struct LineText {
  std::string meet, place;
};
LineText line_text(const std::vector<std::string>& axes) {
  LineText out;
  std::string inside;
  for (size_t i = 0; i + 1 < axes.size(); ++i) {
    const std::string& a = axes[i];
    out.meet +=
        cat("const I i_", a, " = t_", a, " * p.move_", a, " + p.offset_", a, " + k_", a, " * p.tap_move_", a, ";\n");
    inside += cat(inside.empty() ? "" : " && ", "i_", a, " >= 0 && i_", a, " < p.in_", a);
    out.place += cat(" + i_", a, " * p.x_", a);
  }
  out.meet += cat("const bool inside = ", inside.empty() ? "true" : inside, ";\n");
  return out;
}

}  // namespace

bool takes_depth(const ConvProblem& p) {
  const ConvAxis& w = p.axes[2];
  return p.in_channels == 1 && p.groups > 1 && p.out_channels <= 8 && !p.holes() && p.taps() > 0 &&
         p.taps() <= kMostTaps && p.outputs() > 0 && held_by(w, 1) <= kMostHeld && p.n * p.outputs() < int64_t(1) << 31;
}

Stage conv_depth_stage(Machine& machine, const ConvProblem& p, const DotResult& result, const Layout& x,
                       const Layout& weight) {
  const ConvText t(p);
  const ConvAxis& w = p.axes[2];
  const int64_t outputs = outputs_of(w), channels = p.groups * p.out_channels;
  const uint32_t across = across_of(channels);
  const auto blocks = uint32_t((channels + across - 1) / across);
  const int64_t strips = (w.count + outputs - 1) / outputs;
  const int64_t units = p.n * p.axes[0].count * p.axes[1].count * strips;

  KernelText text(machine.traits(), cat("conv_depth_", type_name(p.dtype)), kThreadsEach);
  read_operand(text, x, "x");
  read_operand(text, weight, "weight");
  result.declare(text);
  std::vector<Place> operands{{0}, {1}};
  const size_t read_only = result.append_to(operands);
  Values values;
  p.fields(text, values);
  text.value("u32", "across").value("u32", "blocks").value("u32", "units").value("u32", "strips");
  values.add(across).add(blocks).add(uint32_t(units)).add(uint32_t(strips));

  // Units of a group are neighbours along h, whose lines meet the same elements.
  const std::vector<std::string>& axes = t.axes();
  const LineText line = line_text(axes);
  std::string decode, loops, first_tap = "0";
  if (axes.size() > 1) decode += remainder_text("t_h", "count_h");
  decode += "const I strip = rest % I(p.strips);\nrest /= I(p.strips);\n";
  if (axes.size() > 2) decode += remainder_text("t_d", "count_d");
  for (size_t i = 0; i + 1 < axes.size(); ++i) {
    const std::string& a = axes[i];
    loops += cat("  for (I k_", a, " = 0; k_", a, " < p.taps_", a, "; ++k_", a, ")\n");
    first_tap = cat("(", first_tap, " * p.taps_", a, " + k_", a, ")");
  }
  if (loops.empty()) loops = "  for (I once = 0; once < 1; ++once)\n";

  int64_t room = 16;
  while (room < p.taps()) room *= 2;
  text.before(p.types());
  text.body(filled_in(kDepth, {{"room", std::to_string(room * kChannels)},
                               {"all_taps", cat("u32(", t.taps(), ")")},
                               {"tap", indented(t.decode_tap(), 4)},
                               {"tap_weight", t.tap_weight()},
                               {"decode", indented(decode, 2)},
                               {"x_channel", p.out_channels == 1 ? "channel" : "channel / p.out_channels"},
                               {"outputs", std::to_string(outputs)},
                               {"move", std::to_string(w.move)},
                               {"tap_move", std::to_string(w.tap_move)},
                               {"taps", std::to_string(w.taps)},
                               {"held", std::to_string(held_by(w, outputs))},
                               {"loops", loops},
                               {"meet", indented(line.meet, 4)},
                               {"line_place", line.place},
                               {"first_tap", first_tap},
                               {"y_place", t.output_place()},
                               {"store", indented(result.statements("value[r]", "index"), 6)}}));
  Stage stage;
  stage.pipeline = machine.pipeline(text.finish());
  stage.groups = {groups_for(units, kThreadsEach / across) * blocks};
  stage.threads = {kThreadsEach};
  stage.operands = std::move(operands);
  stage.read_only = read_only;
  stage.values = values.bytes();
  return stage;
}

bool takes_depth_weight(const ConvProblem& p) { return takes_depth(p) && p.taps() <= kMostSums; }

ConvWeightSplit conv_depth_weight_split(const Traits& traits, const ConvProblem& p) {
  const int64_t channels = p.groups * p.out_channels, across = across_of(channels), pairs = kThreadsEach / across;
  const int64_t blocks = (channels + across - 1) / across, units = p.n * p.axes[0].count * p.axes[1].count;
  const int64_t wanted = std::max<int64_t>(1, 4 * int64_t(traits.cores) / blocks);
  const int64_t parts = std::clamp<int64_t>(units / pairs, 1, wanted);
  const int64_t part = (units + parts - 1) / parts;
  return {{}, part, (units + part - 1) / part};
}

Stage conv_depth_weight_stage(Machine& machine, const ConvProblem& p, const ConvWeightSplit& split,
                              const DotResult& result, const Layout& x, const Layout& ct) {
  const ConvText t(p);
  const ConvAxis& w = p.axes[2];
  const int64_t outputs = outputs_of(w), channels = p.groups * p.out_channels, taps = p.taps();
  const uint32_t across = across_of(channels);
  KernelText text(machine.traits(), cat("conv_depth_weight_", type_name(p.dtype)), kThreadsEach);
  read_operand(text, x, "x");
  read_operand(text, ct, "ct");
  Stage stage;
  stage.operands = {{0}, {1}};
  stage.read_only = 2;
  if (split.parts == 1) {
    result.declare(text);
    stage.read_only = result.append_to(stage.operands);
  } else {
    text.write(register_type(p.dtype), "found");
    stage.operands.push_back({result.scratch()});
  }
  Values values;
  p.fields(text, values);
  text.value("i64", "part").value("i64", "elements").value("u32", "across").value("u32", "units");
  values.add(split.part).add(channels * taps).add(across);
  values.add(uint32_t(p.n * p.axes[0].count * p.axes[1].count));

  const std::vector<std::string>& axes = t.axes();
  const LineText line = line_text(axes);
  std::string decode, ct_place, meet = "I rest = I(above);\n";
  for (size_t i = axes.size() - 1; i-- > 0;) {
    const std::string& a = axes[i];
    decode += remainder_text("t_" + a, "count_" + a);
    ct_place += cat(" + t_", a, " * p.y_", a);
    // Known when the loop is unrolled.
    const int64_t length = p.axes[3 - axes.size() + i].taps;
    meet += cat("const I k_", a, " = rest % ", length, ";\nrest /= ", length, ";\n");
  }
  text.before(p.types());
  text.body(filled_in(
      kDepthWeight,
      {{"all_taps", std::to_string(taps)},
       {"x_channel", p.out_channels == 1 ? "channel" : "channel / p.out_channels"},
       {"decode", indented(decode, 6)},
       {"ct_place", ct_place},
       {"outputs", std::to_string(outputs)},
       {"move", std::to_string(w.move)},
       {"tap_move", std::to_string(w.tap_move)},
       {"taps", std::to_string(w.taps)},
       {"lines", std::to_string(taps / w.taps)},
       {"held", std::to_string(held_by(w, outputs))},
       {"meet", indented(meet + line.meet, 10)},
       {"line_place", line.place},
       {"tap", indented(t.decode_tap(), 6)},
       {"dense_tap", t.dense_tap()},
       {"store", indented(split.parts == 1 ? result.statements("value", "index") : std::string(kStorePart), 6)}}));
  stage.pipeline = machine.pipeline(text.finish());
  stage.groups = {groups_for(channels, across), uint32_t(split.parts)};
  stage.threads = {kThreadsEach};
  stage.values = values.bytes();
  return stage;
}

}  // namespace funcnn::gpu
