// Convolutions. Many channels: products of tiles, of places of the input (gathered while they are read) and of the
// kernel, 64 outputs by 64 channels to a group. Few channels to a group of channels: an element a thread.
#include <algorithm>

#include "backends/gpu/conv_text.h"
#include "backends/gpu/dot_problem.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int kRows = 64, kColumns = 64, kTileThreads = 128;

// ---- forward

constexpr std::string_view kTileTypes = R"text(enum { ROWS = 64, COLUMNS = 64, CHUNK = 16 };
)text";

constexpr std::string_view kTileBegin = R"text(
  SHARED T a[CHUNK * (ROWS + 1)];
  SHARED T b[CHUNK * (COLUMNS + 1)];
  SHARED I x_at[ROWS], y_at[ROWS];  // where the rows of the tile begin in the input, and go in the result
#{shared}
  const u32 me = item.x;
  const I part = I(group.x % u32(p.groups)), first = I(group.x / u32(p.groups)) * ROWS;
  const I rows = p.n * #{outputs} - first, o0 = I(group.y) * COLUMNS, channels = p.groups * p.out_channels;
  x += part * p.in_channels * p.x_c;
  weight += part * p.out_channels * p.weight_n;
  if (me < ROWS) {
    I rest = I(me) < rows ? first + I(me) : 0;
#{decode}
    x_at[me] = rest * p.x_n#{x_base};
    y_at[me] = #{y_place} * channels + part * p.out_channels;
#{keep}
  }
  T acc[4][8];
  UNROLL for (i32 i = 0; i < 4; ++i)
    UNROLL for (i32 c = 0; c < 8; ++c) acc[i][c] = T(0);
  const i32 r0 = i32(me / 8 * 4), c0 = i32(me % 8), depth = i32(me % CHUNK);
  const I count = p.in_channels * #{taps};
  for (I begin = 0; begin < count; begin += CHUNK) {
    const bool counts = begin + depth < count;
    I rest = begin + depth;
    const I c = rest % p.in_channels;
    rest /= p.in_channels;
#{tap}
    const I tap_x = c * p.x_c#{tap_x}, tap_weight = c * p.weight_c#{tap_weight};
    BARRIER();
    for (i32 r = i32(me / CHUNK); r < ROWS; r += 8) {
      T value = T(0);
      if (counts && r < rows) {
#{meet}
        if (inside) value = load(x[x_at[r] + tap_x#{hole_place}]);
      }
      a[depth * (ROWS + 1) + r] = value;
    }
    for (i32 o = i32(me / CHUNK); o < COLUMNS; o += 8)
      b[depth * (COLUMNS + 1) + o] =
          counts && o0 + o < p.out_channels ? load(weight[(o0 + o) * p.weight_n + tap_weight]) : T(0);
    BARRIER();
    const i32 steps = count - begin < CHUNK ? i32(count - begin) : i32(CHUNK);
    for (i32 k = 0; k < steps; ++k) {
      T from_a[4];
      UNROLL for (i32 i = 0; i < 4; ++i) from_a[i] = a[k * (ROWS + 1) + r0 + i];
      UNROLL for (i32 c = 0; c < 8; ++c) {
        const T from_b = b[k * (COLUMNS + 1) + c0 + 8 * c];
        UNROLL for (i32 i = 0; i < 4; ++i) acc[i][c] = fma(from_a[i], from_b, acc[i][c]);
      }
    }
  }
  // Also without taps what the rows have stored is to be seen.
  BARRIER();
  UNROLL for (i32 i = 0; i < 4; ++i)
    if (r0 + i < rows) {
      UNROLL for (i32 c = 0; c < 8; ++c)
        if (o0 + c0 + 8 * c < p.out_channels) {
          const Flat index = y_at[r0 + i] + o0 + c0 + 8 * c;
          const T value = acc[i][c];
#{store}
        }
    }
)text";

constexpr std::string_view kEach = R"text(
  I rest = I(group.x) * 256 + I(item.x);
  const I channels = p.groups * p.out_channels;
  if (rest >= p.n * #{outputs} * channels) return;
  const I channel = rest % channels;
  rest /= channels;
#{decode}
  x += rest * p.x_n + channel / p.out_channels * p.in_channels * p.x_c;
  weight += channel * p.weight_n;
  const Flat index = #{y_place} * channels + channel;
  T value = T(0);
#{loops}
  {
#{meet}
    if (inside) {
      const I x_at = #{x_place}, weight_at = #{weight_place};
      for (I c = 0; c < p.in_channels; ++c) value = fma(load(x[x_at + c * p.x_c]), load(weight[weight_at + c * p.weight_c]), value);
    }
  }
#{store}
)text";

Stage forward_stage(Machine& machine, const ConvProblem& p, const DotResult& result, const Layout& x,
                    const Layout& weight) {
  const ConvText t(p);
  const bool each = p.out_channels <= 8;
  const int64_t rows = p.n * p.outputs();
  KernelText text(machine.traits(), cat("conv_", each ? "each_" : "", type_name(p.dtype), p.holes() ? "_holes" : ""),
                  each ? kThreadsEach : kTileThreads);
  read_operand(text, x, "x");
  read_operand(text, weight, "weight");
  result.declare(text);
  Stage stage;
  stage.operands = {{0}, {1}};
  for (Place place : result.reads()) stage.operands.push_back(place);
  stage.read_only = stage.operands.size();
  for (Place place : result.writes()) stage.operands.push_back(place);
  Values values;
  p.fields(text, values);
  text.before(p.types());
  const std::string store = indented(result.statements("value", "index"), each ? 2 : 10);
  if (each) {
    text.body(filled_in(kEach, {{"outputs", t.outputs()},
                                {"decode", indented(t.decode_output(), 2)},
                                {"y_place", t.output_place()},
                                {"loops", indented(t.tap_loops(), 2)},
                                {"meet", indented(t.meet(), 4)},
                                {"x_place", t.x_place()},
                                {"weight_place", t.weight_place()},
                                {"store", store}}));
    stage.groups = {groups_for(rows * p.groups * p.out_channels, kThreadsEach), 1, 1};
    stage.threads = {kThreadsEach, 1, 1};
  } else {
    text.before(kTileTypes);
    text.body(filled_in(kTileBegin, {{"shared", t.shared_places("ROWS")},
                                     {"outputs", t.outputs()},
                                     {"decode", indented(t.decode_output(), 4)},
                                     {"x_base", t.x_base()},
                                     {"y_place", t.output_place()},
                                     {"keep", indented(t.keep_places("me"), 4)},
                                     {"taps", t.taps()},
                                     {"tap", indented(t.decode_tap(), 4)},
                                     {"tap_x", t.tap_x()},
                                     {"tap_weight", t.tap_weight()},
                                     {"meet", indented(t.meet_kept("r"), 8)},
                                     {"hole_place", t.hole_place()},
                                     {"store", store}}));
    stage.groups = {uint32_t(p.groups * ((rows + kRows - 1) / kRows)), groups_for(p.out_channels, kColumns), 1};
    stage.threads = {kTileThreads, 1, 1};
  }
  stage.pipeline = machine.pipeline(text.finish());
  stage.values = values.bytes();
  return stage;
}

std::unique_ptr<Kernel> make_forward(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                     const KernelProgram* epilogue) {
  const ConvProblem problem(static_cast<const ConvPrimitive&>(primitive), in[0], in[1], out[0]);
  const DotResult result(problem.dtype, epilogue, 2);
  std::vector<Stage> stages;
  for (const ConvProblem& p : problem.phases()) stages.push_back(forward_stage(machine, p, result, in[0], in[1]));
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

// Any: outputs that a launch computes are all that its epilogue sees, and it sees each once.
bool takes_epilogue(const Primitive&, Dtype, const KernelProgram&) { return true; }

const RegisterKernel forward_kernel("conv_general", make_forward, takes_epilogue);

}  // namespace
}  // namespace funcnn::gpu
