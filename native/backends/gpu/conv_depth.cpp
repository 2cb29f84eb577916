#include "backends/gpu/conv_depth.h"

#include <algorithm>

#include "backends/gpu/conv_text.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kMostHeld = 24;   // elements of a line that a thread holds
constexpr int64_t kMostTaps = 128;  // whose factors a group keeps
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
  uint32_t across = 1;
  while (across < kChannels && across < channels) across *= 2;
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
  std::string decode, loops, meet, inside, line_place, first_tap = "0";
  if (axes.size() > 1) decode += remainder_text("t_h", "count_h");
  decode += "const I strip = rest % I(p.strips);\nrest /= I(p.strips);\n";
  if (axes.size() > 2) decode += remainder_text("t_d", "count_d");
  for (size_t i = 0; i + 1 < axes.size(); ++i) {
    const std::string& a = axes[i];
    loops += cat("  for (I k_", a, " = 0; k_", a, " < p.taps_", a, "; ++k_", a, ")\n");
    meet += cat("    const I i_", a, " = t_", a, " * p.move_", a, " + p.offset_", a, " + k_", a, " * p.tap_move_", a,
                ";\n");
    inside += cat(inside.empty() ? "" : " && ", "i_", a, " >= 0 && i_", a, " < p.in_", a);
    line_place += cat(" + i_", a, " * p.x_", a);
    first_tap = cat("(", first_tap, " * p.taps_", a, " + k_", a, ")");
  }
  if (loops.empty()) loops = "  for (I once = 0; once < 1; ++once)\n";
  meet += cat("    const bool inside = ", inside.empty() ? "true" : inside, ";");

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
                               {"meet", meet},
                               {"line_place", line_place},
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

}  // namespace funcnn::gpu
