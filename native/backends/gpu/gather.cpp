#include "ops/gather.h"

#include <mutex>

#include "backends/gpu/positions.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

// Elements or whole rows at computed positions. Elements that lie side by side are moved several at a time, in units
// of up to 8 bytes, where the operand happens to begin at a multiple of them.
class GatherKernel final : public Kernel {
 public:
  GatherKernel(Machine& machine, const Gather& op, Layouts inputs, const Layout& out)
      : machine_(machine), axes_(op.axes()), inputs_(inputs.begin(), inputs.end()), out_(out) {
    Axes whole = axes_.whole(inputs[0].shape.size());
    common_ = Shape(out.shape.begin(), out.shape.end() - ptrdiff_t(whole.size()));
    for (int axis : whole) {
      rest_.push_back(inputs[0].shape[size_t(axis)]);
      strides_.push_back(inputs[0].strides[size_t(axis)]);
    }
    merge_axes(rest_, {&strides_});
    unit_ = widest_unit();
    stages_ = make(unit_);
  }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    StagedLaunches* chosen = stages_.get();
    if (operands[0].buffer && operands[0].offset % int64_t(unit_) != 0) {
      if (!narrow_) narrow_ = make(item_size(out_.dtype));
      chosen = narrow_.get();
    }
    chosen->encode(queue, operands);
  }
  void describe(std::ostream& out, const std::string& indent) const override { stages_->describe(out, indent); }

 private:
  size_t widest_unit() const {
    size_t item = item_size(out_.dtype);
    if (rest_.empty() || strides_.back() != 1) return item;
    auto fits = [&](size_t unit) {
      const auto per = int64_t(unit / item);
      if (rest_.back() % per != 0) return false;
      for (size_t d = 0; d + 1 < rest_.size(); ++d)
        if (strides_[d] % per != 0) return false;
      for (const Axes& axes : {axes_.indexed, axes_.x_batch})
        for (int axis : axes)
          if (inputs_[0].strides[size_t(axis)] % per != 0) return false;
      return true;
    };
    for (size_t unit : {size_t(8), size_t(4), size_t(2)})
      if (unit > item && fits(unit)) return unit;
    return item;
  }

  std::unique_ptr<StagedLaunches> make(size_t unit) const {
    const auto per = int64_t(unit / item_size(out_.dtype));
    const bool wide = needs_wide(inputs_[0]) || needs_wide(out_);
    // Everything in units.
    Layout x = inputs_[0];
    Shape rest = rest_;
    Strides strides = strides_;
    if (per > 1) {
      for (int64_t& stride : x.strides) stride /= per;
      for (int64_t& stride : strides) stride /= per;
      rest.back() /= per;
      strides.back() = 1;
    }
    Layouts indices = Layouts(inputs_).subspan(1);
    Positions positions(x, indices, axes_, common_, nullptr, wide);
    Shape lengths = positions.lengths();
    const size_t lead = lengths.size();
    for (int64_t length : rest) lengths.push_back(length);
    Nest nest(lengths, wide);

    const std::string type(unit_type(unit));
    KernelText text(machine_.traits(), "gather", Nest::kThreads);
    declare_read(text, inputs_[0], type, "x");
    positions.declare_indices(text);
    text.write(type, "out");
    Numbers numbers(wide);
    numbers.add(text, nest);
    positions.declare(text, numbers);
    for (size_t d = 0; d < rest.size(); ++d) numbers.add(text, cat("stride", d), strides[d]);
    std::string body = positions.place_text("from", "i");
    if (!rest.empty()) body += cat("    from += ", offset_text("stride", lead, rest.size()), ";\n");
    body += cat("    out[", nest.flat(), "] = from_inside ? x[from] : (", type, ")0;\n");
    text.body(nest.around(body));

    std::vector<Place> places;
    for (int k = 0; k <= int(inputs_.size()); ++k) places.push_back({k, 0});
    std::vector<Stage> stages{
        stage_of(machine_, text, nest.groups(), nest.threads(), places, inputs_.size(), numbers.bytes())};
    return std::make_unique<StagedLaunches>(machine_, std::move(stages));
  }

  Machine& machine_;
  IndexedAxes axes_;
  std::vector<Layout> inputs_;
  Layout out_;
  Shape common_, rest_;
  Strides strides_;
  size_t unit_;
  std::unique_ptr<StagedLaunches> stages_, narrow_;
};

std::unique_ptr<Kernel> make_gather(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                    const KernelProgram*) {
  return std::make_unique<GatherKernel>(machine, static_cast<const Gather&>(primitive), inputs, outputs[0]);
}

const RegisterKernel registered("gather", make_gather);

}  // namespace
}  // namespace funcnn::gpu
