// The gradient of a convolution by its weight: sums over all places of products of input and cotangent. The places are
// split among groups; what they find is added up in a second launch, in their order.
#include <algorithm>

#include "backends/gpu/conv_text.h"
#include "backends/gpu/dot_problem.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int kRows = 64, kColumns = 64, kTileThreads = 128;

// Rows are channels of the result, columns elements of the kernel.
constexpr std::string_view kTile = R"text(
  SHARED T a[CHUNK * (ROWS + 1)];
  SHARED T b[CHUNK * (COLUMNS + 1)];
  SHARED I x_at[CHUNK], y_at[CHUNK];  // where the places that are summed over begin in input and cotangent
#{shared}
  SHARED I element[COLUMNS];  // of the weight of a channel
  const u32 me = item.x, column_tiles = u32(p.column_tiles);
  const I part = I(group.x % u32(p.groups)), tile = I(group.x / u32(p.groups));
  const I first = tile / p.column_tiles * ROWS, column = tile % p.column_tiles * COLUMNS + I(me % COLUMNS);
  const I width = p.in_channels * #{taps}, channels = p.groups * p.out_channels;
  x += part * p.in_channels * p.x_c;
  ct += (part * p.out_channels + first) * p.y_c;
  const bool counts = column < width;
  I rest = counts ? column : 0;
  const I c = rest % p.in_channels;
  rest /= p.in_channels;
#{tap}
  const I tap_x = c * p.x_c#{tap_x};
  if (me < COLUMNS) element[me] = counts ? #{dense_tap} * p.in_channels + c : -1;
  T acc[4][8];
  UNROLL for (i32 i = 0; i < 4; ++i)
    UNROLL for (i32 n = 0; n < 8; ++n) acc[i][n] = T(0);
  const i32 r0 = i32(me / 8 * 4), c0 = i32(me % 8), row = i32(me % ROWS);
  const bool has_row = first + row < p.out_channels;
  const I from = I(group.y) * p.part_places, all = p.n * #{outputs};
  const I end = all - from < p.part_places ? all : from + p.part_places;
  for (I begin = from; begin < end; begin += CHUNK) {
    BARRIER();
    if (me < CHUNK) {
      I rest = begin + I(me) < end ? begin + I(me) : 0;
#{decode}
      x_at[me] = rest * p.x_n#{x_base};
      y_at[me] = rest * p.y_n#{y_base};
#{keep}
    }
    BARRIER();
    for (i32 r = i32(me / ROWS); r < CHUNK; r += 2) {
      a[r * (ROWS + 1) + row] = has_row && begin + r < end ? load(ct[y_at[r] + I(row) * p.y_c]) : T(0);
      T value = T(0);
      if (counts && begin + r < end) {
#{meet}
        if (inside) value = load(x[x_at[r] + tap_x#{hole_place}]);
      }
      b[r * (COLUMNS + 1) + row] = value;
    }
    BARRIER();
    const i32 steps = end - begin < CHUNK ? i32(end - begin) : i32(CHUNK);
    for (i32 k = 0; k < steps; ++k) {
      T from_a[4];
      UNROLL for (i32 i = 0; i < 4; ++i) from_a[i] = a[k * (ROWS + 1) + r0 + i];
      UNROLL for (i32 n = 0; n < 8; ++n) {
        const T from_b = b[k * (COLUMNS + 1) + c0 + 8 * n];
        UNROLL for (i32 i = 0; i < 4; ++i) acc[i][n] = fma(from_a[i], from_b, acc[i][n]);
      }
    }
  }
  UNROLL for (i32 i = 0; i < 4; ++i)
    if (first + r0 + i < p.out_channels) {
      UNROLL for (i32 n = 0; n < 8; ++n)
        if (element[c0 + 8 * n] >= 0) {
          const Flat index = (part * p.out_channels + first + r0 + i) * width + element[c0 + 8 * n];
          const T value = acc[i][n];
#{store}
        }
    }
)text";

// A thread has an element; neighbours have neighbouring channels of the result.
constexpr std::string_view kEach = R"text(
  I rest = I(group.x) * 256 + I(item.x);
  const I channels = p.groups * p.out_channels, width = p.in_channels * #{taps};
  if (rest >= channels * width) return;
  const I channel = rest % channels;
  rest /= channels;
  const I c = rest % p.in_channels;
  rest /= p.in_channels;
#{tap}
  const Flat index = channel * width + #{dense_tap} * p.in_channels + c;
  x += (channel / p.out_channels * p.in_channels + c) * p.x_c;
  ct += channel * p.y_c;
  const I from = I(group.y) * p.part_places, all = p.n * #{outputs};
  const I end = all - from < p.part_places ? all : from + p.part_places;
  T value = T(0);
  for (I number = from; number < end; ++number) {
    I rest = number;
#{decode}
#{meet}
    if (inside)
      value = fma(load(x[rest * p.x_n + #{x_place}]), load(ct[rest * p.y_n#{y_base}]), value);
  }
#{store}
)text";

constexpr std::string_view kAddParts = R"text(
  const I number = I(group.x) * 256 + I(item.x);
  if (number >= p.count) return;
  const Flat index = Flat(number);
  T value = T(0);
  for (I i = 0; i < p.parts; ++i) value += found[i64(i) * p.count + number];
#{store}
)text";

// How many places a group sums over, so that there is work for the whole machine.
int64_t part_places(const Traits& traits, int64_t places, int64_t groups) {
  constexpr int64_t least = 256;
  const int64_t wanted = std::max<int64_t>(1, 4 * int64_t(traits.cores) / std::max<int64_t>(groups, 1));
  const int64_t parts = std::clamp<int64_t>(places / least, 1, wanted), chunk = 32;
  return ((places + parts - 1) / parts + chunk - 1) / chunk * chunk;
}

std::unique_ptr<Kernel> make_by_weight(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                       const KernelProgram* epilogue) {
  const Traits& traits = machine.traits();
  const ConvProblem p(static_cast<const ConvPrimitive&>(primitive), in[0], out[0], in[1]);
  const DotResult result(p.dtype, epilogue, 2);
  const ConvText t(p);
  const bool each = p.out_channels <= 8 || p.in_channels * p.taps() <= 4;
  const int64_t count = element_count(out[0].shape), places = p.n * p.outputs(), width = p.in_channels * p.taps();
  const int64_t row_tiles = (p.out_channels + kRows - 1) / kRows, column_tiles = (width + kColumns - 1) / kColumns;
  const int64_t groups = each ? (count + kThreadsEach - 1) / kThreadsEach : p.groups * row_tiles * column_tiles;
  const int64_t part = part_places(traits, places, groups), parts = (places + part - 1) / part;
  const std::string type(register_type(p.dtype));

  KernelText text(traits, cat("conv_weight_", each ? "each_" : "", type_name(p.dtype), p.holes() ? "_holes" : ""),
                  each ? kThreadsEach : kTileThreads);
  read_operand(text, in[0], "x");
  read_operand(text, in[1], "ct");
  Stage stage;
  stage.operands = {{0}, {1}};
  std::string store;
  if (parts == 1) {
    result.declare(text);
    for (Place place : result.reads()) stage.operands.push_back(place);
    stage.read_only = stage.operands.size();
    for (Place place : result.writes()) stage.operands.push_back(place);
    store = result.statements("value", "index");
  } else {
    text.write(type, "found");
    stage.read_only = 2;
    stage.operands.push_back({result.scratch()});
    store = cat("found[i64(group.y) * ", p.far ? "" : "i64(", "p.elements", p.far ? "" : ")", " + index] = value;\n");
  }
  Values values;
  p.fields(text, values);
  auto field = [&](KernelText& text, Values& values, std::string_view name, int64_t value) {
    text.value(p.far ? "i64" : "i32", name);
    if (p.far)
      values.add(value);
    else
      values.add(int32_t(value));
  };
  field(text, values, "part_places", part);
  field(text, values, "elements", count);
  field(text, values, "column_tiles", column_tiles);
  text.before(p.types());
  if (each) {
    text.body(filled_in(kEach, {{"taps", t.taps()},
                                {"tap", indented(t.decode_tap(), 2)},
                                {"dense_tap", t.dense_tap()},
                                {"outputs", t.outputs()},
                                {"decode", indented(t.decode_output(), 4)},
                                {"meet", indented(t.meet(), 4)},
                                {"x_place", t.x_place()},
                                {"y_base", t.y_base()},
                                {"store", indented(store, each ? 2 : 10)}}));
    stage.groups = {uint32_t(groups), uint32_t(parts), 1};
    stage.threads = {kThreadsEach, 1, 1};
  } else {
    text.before("enum { ROWS = 64, COLUMNS = 64, CHUNK = 32 };\n");
    text.body(filled_in(kTile, {{"shared", t.shared_places("CHUNK")},
                                {"taps", t.taps()},
                                {"tap", indented(t.decode_tap(), 2)},
                                {"tap_x", t.tap_x()},
                                {"dense_tap", t.dense_tap()},
                                {"outputs", t.outputs()},
                                {"decode", indented(t.decode_output(), 6)},
                                {"x_base", t.x_base()},
                                {"y_base", t.y_base()},
                                {"keep", indented(t.keep_places("me"), 6)},
                                {"meet", indented(t.meet_kept("r"), 8)},
                                {"hole_place", t.hole_place()},
                                {"store", indented(store, each ? 2 : 10)}}));
    stage.groups = {uint32_t(groups), uint32_t(parts), 1};
    stage.threads = {kTileThreads, 1, 1};
  }
  stage.pipeline = machine.pipeline(text.finish());
  stage.values = values.bytes();
  std::vector<Stage> stages{std::move(stage)};
  if (parts == 1) return std::make_unique<StagedLaunches>(machine, std::move(stages));

  KernelText sum(traits, cat("conv_weight_sum_", type_name(p.dtype)), kThreadsEach);
  sum.read(type, "found");
  result.declare(sum);
  std::vector<Place> operands{{result.scratch()}};
  for (Place place : result.reads()) operands.push_back(place);
  const size_t read_only = operands.size();
  for (Place place : result.writes()) operands.push_back(place);
  Values sum_values;
  field(sum, sum_values, "count", count);
  field(sum, sum_values, "parts", parts);
  sum.before(p.types());
  sum.body(filled_in(kAddParts, {{"store", indented(result.statements("value", "index"), 2)}}));
  stages.push_back(one_each(machine.pipeline(sum.finish()), count, std::move(operands), read_only, sum_values));
  return std::make_unique<StagedLaunches>(machine, std::move(stages),
                                          size_t(parts * count) * (p.dtype == Dtype::float64 ? 8 : 4));
}

bool takes_epilogue(const Primitive&, Dtype, const KernelProgram&) { return true; }

const RegisterKernel by_weight_kernel("conv_weight_gradient", make_by_weight, takes_epilogue);

}  // namespace
}  // namespace funcnn::gpu
