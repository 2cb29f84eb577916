// Kernels of concatenate, pad and slice_update: elements copied into a part of the result.
#include "ops/join.h"

#include "backends/gpu/nest.h"
#include "backends/gpu/program.h"
#include "base/error.h"
#include "ops/pad.h"
#include "ops/slice_update.h"

namespace funcnn::gpu {
namespace {

// Copies of whole operands into parts of the output, one after another.
class Copies final : public Kernel {
 public:
  // Part `k` of the output: where it begins and how it lies there.
  void add(Machine& machine, int operand, const Layout& from, const Layout& to, int64_t offset, bool in_place) {
    if (element_count(from.shape) == 0) return;
    copies_.push_back({make_copy_kernel(machine, from, to), operand, offset * int64_t(item_size(to.dtype)), in_place});
  }
  void encode(Queue& queue, std::span<const Operand> operands) override {
    for (const Copy& copy : copies_) {
      const Operand& from = operands[size_t(copy.operand)];
      Operand to = operands.back();
      if (copy.unless_in_place && from.buffer == to.buffer && from.offset == to.offset) continue;
      to.offset += copy.offset;
      const Operand both[] = {from, to};
      copy.kernel->encode(queue, both);
    }
  }
  void describe(std::ostream& out, const std::string& indent) const override {
    for (const Copy& copy : copies_) copy.kernel->describe(out, indent);
  }

 private:
  struct Copy {
    std::unique_ptr<Kernel> kernel;
    int operand;
    int64_t offset;        // bytes
    bool unless_in_place;  // nothing is to be done where the output took the operand's memory over
  };
  std::vector<Copy> copies_;
};

std::unique_ptr<Kernel> make_concatenate(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                         const KernelProgram*) {
  const auto axis = size_t(static_cast<const Concatenate&>(primitive).axis());
  auto kernel = std::make_unique<Copies>();
  int64_t at = 0;
  for (size_t k = 0; k < inputs.size(); ++k) {
    kernel->add(machine, int(k), inputs[k], {inputs[k].shape, outputs[0].dtype, outputs[0].strides},
                at * outputs[0].strides[axis], false);
    at += inputs[k].shape[axis];
  }
  return kernel;
}

std::unique_ptr<Kernel> make_slice_update(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                          const KernelProgram*) {
  const auto& op = static_cast<const SliceUpdate&>(primitive);
  const Layout& out = outputs[0];
  Layout part{inputs[1].shape, out.dtype, out.strides};
  int64_t offset = 0;
  for (size_t d = 0; d < out.strides.size(); ++d) {
    offset += op.start()[d] * out.strides[d];
    part.strides[d] *= op.step()[d];
  }
  auto kernel = std::make_unique<Copies>();
  kernel->add(machine, 0, inputs[0], out, 0, true);
  kernel->add(machine, 1, inputs[1], part, offset, false);
  return kernel;
}

// Each element of the result asks whether it is one of x. Neighbouring axes of which the inner one is not padded are
// one.
std::unique_ptr<Kernel> make_pad(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                                 const KernelProgram*) {
  const auto& op = static_cast<const Pad&>(primitive);
  const Layout &x = inputs[0], &out = outputs[0];
  Shape lengths, inner, low, spacing;  // of the result, of x, elements before, distance of elements
  Strides strides;
  for (size_t d = 0; d < out.shape.size(); ++d) {
    const bool bare = op.low()[d] == 0 && op.high()[d] == 0 && out.shape[d] == x.shape[d];
    if (bare && x.shape[d] == 1) continue;
    if (bare && !lengths.empty() && spacing.back() == 1 && strides.back() == x.strides[d] * x.shape[d]) {
      lengths.back() *= out.shape[d];
      inner.back() *= x.shape[d];
      low.back() *= x.shape[d];
      strides.back() = x.strides[d];
      continue;
    }
    lengths.push_back(out.shape[d]);
    inner.push_back(x.shape[d]);
    low.push_back(op.low()[d]);
    spacing.push_back(op.interior()[d] + 1);
    strides.push_back(x.strides[d]);
  }
  const bool wide = needs_wide(x) || needs_wide(out);
  Nest nest(lengths, wide);
  const std::string type(unit_type(item_size(out.dtype)));
  KernelText text(machine.traits(), "pad", Nest::kThreads);
  declare_read(text, x, type, "x");
  text.read_one(type, "value").write(type, "out");
  Numbers numbers(wide);
  numbers.add(text, nest);
  std::string body = cat("    bool inside = true;\n    ", nest.index_type(), " from = 0;\n");
  for (size_t d = 0; d < lengths.size(); ++d) {
    for (auto [name, value] : {std::pair{"inner", inner[d]}, {"low", low[d]}, {"stride", strides[d]}})
      numbers.add(text, cat(name, d), value);
    body += cat("    {\n      const ", nest.index_type(), " at = i", d, " - p.low", d, ";\n");
    if (spacing[d] == 1) {
      body += cat("      inside = inside && at >= 0 && at < p.inner", d, ";\n      from += at * p.stride", d, ";\n");
    } else {
      numbers.add(text, cat("spacing", d), spacing[d]);
      body += cat("      inside = inside && at >= 0 && at % p.spacing", d, " == 0 && at / p.spacing", d, " < p.inner",
                  d, ";\n      from += at / p.spacing", d, " * p.stride", d, ";\n");
    }
    body += "    }\n";
  }
  body += cat("    out[", nest.flat(), "] = inside ? x[from] : value[0];\n");
  text.body(nest.around(body));
  std::vector<Stage> stages{
      stage_of(machine, text, nest.groups(), nest.threads(), {{0, 0}, {1, 0}, {2, 0}}, 2, numbers.bytes())};
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

const RegisterKernel concatenate_kernel("concatenate", make_concatenate);
const RegisterKernel slice_update_kernel("slice_update", make_slice_update);
const RegisterKernel pad_kernel("pad", make_pad);

}  // namespace
}  // namespace funcnn::gpu
