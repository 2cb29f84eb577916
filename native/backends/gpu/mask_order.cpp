#include "ops/index.h"

#include <vector>

#include "backends/gpu/nest.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// A group goes over a row in tiles of 8 elements a thread: it counts them, sums the counts up over the threads, and
// goes on from the total.
constexpr std::string_view kTiles = R"text(  i32 before = 0;
  for (INDEX begin = 0; begin < p.length; begin += 2048) {
    const INDEX first = begin + (INDEX)item.x * 8;
    i32 mine = 0;
    for (INDEX k = 0; k < 8; ++k) {
      if (first + k < p.length && mask[from + (first + k) * p.step]) ++mine;
    }
    counts[item.x] = mine;
    BARRIER();
    for (u32 apart = 1; apart < 256; apart *= 2) {
      const i32 add = item.x >= apart ? counts[item.x - apart] : 0;
      BARRIER();
      counts[item.x] += add;
      BARRIER();
    }
    i32 place = before + counts[item.x] - mine;
    for (INDEX k = 0; k < 8; ++k) {
      if (first + k < p.length) {
        out[row * p.length + first + k] = place;
        if (mask[from + (first + k) * p.step]) ++place;
      }
    }
    before += counts[255];
    BARRIER();
  }
  if (item.x == 0) totals[row] = before;
)text";

// The counts are checked here: the host waits for them.
class MaskOrderKernel final : public Kernel {
 public:
  MaskOrderKernel(const MaskOrder& op, StagedLaunches stages, int64_t rows)
      : given_(op.count()), at_most_(op.at_most()), stages_(std::move(stages)), totals_(size_t(rows)) {}
  void encode(Queue& queue, std::span<const Operand> operands) override {
    stages_.encode(queue, operands);
    if (Ref<Event> ready = queue.record()) ready->wait();
    const Operand& totals = operands[2];
    totals.buffer->memory().download(totals.buffer->block(), size_t(totals.offset), totals_.size() * sizeof(int32_t),
                                     totals_.data());
    for (int32_t total : totals_) check_mask_count(given_, at_most_, total);
  }
  size_t scratch_bytes() const override { return stages_.scratch_bytes(); }
  void describe(std::ostream& out, const std::string& indent) const override { stages_.describe(out, indent); }

 private:
  int64_t given_;
  bool at_most_;
  StagedLaunches stages_;
  std::vector<int32_t> totals_;
};

std::unique_ptr<Kernel> make_mask_order(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts,
                                        const KernelProgram*) {
  const Layout& in = inputs[0];
  const size_t lead = in.shape.size() - 1;
  const int64_t length = in.shape[lead];
  Shape rows(in.shape.begin(), in.shape.end() - 1);
  Strides strides(in.strides.begin(), in.strides.end() - 1);
  const int64_t count = element_count(rows);
  merge_axes(rows, {&strides});

  const bool wide = needs_wide(in);
  const std::string index = wide ? "i64" : "i32";
  KernelText text(machine.traits(), "mask_order", 256);
  declare_read(text, in, "bool", "mask");
  text.write("i32", "out").write("i32", "totals");
  Numbers numbers(wide);
  numbers.add(text, "length", length);
  numbers.add(text, "step", in.strides[lead]);
  std::string body = cat("  SHARED i32 counts[256];\n  const ", index, " row = (", index, ")group.x;\n  ", index,
                         " from = 0, left = row;\n");
  for (size_t d = rows.size(); d-- > 0;) {
    numbers.add(text, cat("n", d), rows[d]);
    numbers.add(text, cat("stride", d), strides[d]);
    body += cat("  from += left % p.n", d, " * p.stride", d, ";\n  left /= p.n", d, ";\n");
  }
  std::string tiles(kTiles);
  for (size_t at; (at = tiles.find("INDEX")) != std::string::npos;) tiles.replace(at, 5, index);
  text.body(body + tiles);
  std::vector<Stage> stages{
      stage_of(machine, text, {uint32_t(count)}, {256}, {{0, 0}, {1, 0}, {2, 0}}, 1, numbers.bytes())};
  return std::make_unique<MaskOrderKernel>(static_cast<const MaskOrder&>(primitive),
                                           StagedLaunches(machine, std::move(stages), size_t(count) * sizeof(int32_t)),
                                           count);
}

const RegisterKernel registered("mask_order", make_mask_order);

}  // namespace
}  // namespace funcnn::gpu
