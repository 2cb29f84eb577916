// Runs the kernels of users: what they need densified or filled comes first, then a launch for each example.
#include "backends/gpu/custom_kernel.h"

#include <algorithm>
#include <cstring>

#include "backends/gpu/kernel.h"
#include "backends/gpu/program.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr size_t kAlignment = 256;

size_t bytes_of(const Layout& l) { return size_t(element_count(l.shape)) * item_size(l.dtype); }

// Whether all elements lie in one place, where a scalar of the host may stand.
bool is_one_place(const Layout& l) {
  for (size_t i = 0; i < l.shape.size(); ++i)
    if (l.shape[i] > 1 && l.strides[i] != 0) return false;
  return true;
}

// Fills memory with copies of one element, of which only the bits count.
class Fill {
 public:
  Fill(Machine& machine, size_t item) : machine_(machine), item_(item) {
    const char* type = item == 1 ? "u8" : item == 2 ? "u16" : item == 4 ? "u32" : "u64";
    pipeline_ = machine.pipeline(KernelText(machine.traits(), cat("fill_", type), kThreads)
                                     .read_one(type, "element")
                                     .write(type, "out")
                                     .value("i64", "n")
                                     .body("  const i64 step = i64(groups.x) * items.x;\n"
                                           "  for (i64 i = i64(group.x) * items.x + item.x; i < p.n; i += step) out[i] "
                                           "= element[0];\n")
                                     .finish());
  }
  void operator()(Buffer* to, int64_t offset, const Operand& element, int64_t count) {
    const Operand operands[] = {element, {to, offset}};
    const Values values = Values().add(count);
    machine_.launch({.pipeline = pipeline_.get(),
                     .groups = {std::min(groups_for(count, kThreads), 4096u)},
                     .threads = {kThreads},
                     .operands = operands,
                     .read_only = 1,
                     .values = values.bytes()});
  }
  size_t item() const { return item_; }

 private:
  static constexpr uint32_t kThreads = 256;
  Machine& machine_;
  size_t item_;
  Ref<Pipeline> pipeline_;
};

class CustomRun final : public Kernel {
 public:
  CustomRun(Machine& machine, const CustomKernel& primitive, Layouts inputs, Layouts outputs)
      : machine_(machine), primitive_(&primitive), outputs_(outputs.begin(), outputs.end()) {
    for (const Layout& given : inputs) add_input(given);
    for (const Layout& out : outputs) {
      Layout one = out;
      one.shape = Shape(out.shape.begin() + ptrdiff_t(primitive.loops().size()), out.shape.end());
      example_bytes_.push_back(int64_t(bytes_of(one)));
      if (primitive.call().initial) fill(item_size(out.dtype));
    }
    if (primitive.call().initial)
      for (const Layout& out : outputs) {
        const Array value = constant(*primitive.call().initial, out.dtype);
        initial_.emplace_back();
        std::memcpy(initial_.back().bits, value.node()->storage.scalar, sizeof(Bits::bits));
      }
    compile();
  }

  size_t scratch_bytes() const override { return scratch_; }
  void describe(std::ostream& out, const std::string& indent) const override {
    const std::string& text = pipeline_->source().text;
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      out << indent << text.substr(at, end - at) << '\n';
      at = end + 1;
    }
  }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    std::vector<Operand> at(operands.begin(), operands.begin() + ptrdiff_t(inputs_.size() + outputs_.size()));
    for (size_t i = 0; i < inputs_.size(); ++i) {
      Input& input = inputs_[i];
      const bool spread = at[i].scalar && element_count(input.given.shape) > 1 && primitive_->source().dense_inputs;
      if (!input.copy && !spread) continue;
      const Operand to{operands.back().buffer, operands.back().offset + input.scratch};
      if (at[i].scalar) {
        fill(item_size(input.given.dtype))(to.buffer, to.offset, at[i], element_count(input.given.shape));
      } else {
        const Operand copied[] = {at[i], to};
        input.copy->encode(queue, copied);
      }
      at[i] = to;
    }
    for (size_t k = 0; k < initial_.size(); ++k) {
      const Operand& out = at[inputs_.size() + k];
      if (element_count(outputs_[k].shape) > 0)
        fill(item_size(outputs_[k].dtype))(out.buffer, out.offset, {nullptr, 0, initial_[k].bits},
                                           element_count(outputs_[k].shape));
    }
    int64_t examples = 1;
    for (const CustomKernel::Loop& loop : primitive_->loops()) examples *= loop.size;
    std::vector<Operand> bound(at.size());
    for (int64_t example = 0; example < examples; ++example) {
      for (size_t k = 0; k < at.size(); ++k) bound[k] = of_example(at[k], k, example);
      const Size3 grid = size_of(primitive_->call().grid), threads = threads_of_group();
      Launch launch{
          .pipeline = pipeline_.get(),
          .groups = {groups_for(grid.x, threads.x), groups_for(grid.y, threads.y), groups_for(grid.z, threads.z)},
          .threads = threads,
          .operands = bound,
          .read_only = inputs_.size(),
          .values = values_};
      if (machine_.traits().language == Language::metal) launch.grid = grid;
      launch.shared_bytes = primitive_->call().shared_bytes;
      machine_.launch(launch);
    }
  }

 private:
  struct Input {
    Layout given;
    Layout example;                   // without the axes of vmap, as the kernel finds it
    SmallVector<int64_t, 4> strides;  // bytes from one example to the next, of each loop
    std::unique_ptr<Kernel> copy;     // null: read where it lies
    int64_t scratch = 0;
  };
  struct Bits {
    alignas(8) std::byte bits[8];
  };

  static Size3 size_of(const CustomCall::Size& s) { return {s[0], s[1], s[2]}; }
  Size3 threads_of_group() const {
    const auto& [grid, threads] = std::pair(size_of(primitive_->call().grid), size_of(primitive_->call().threads));
    auto within = [](uint32_t t, uint32_t g) { return std::max(std::min(t, g), 1u); };
    return {within(threads.x, grid.x), within(threads.y, grid.y), within(threads.z, grid.z)};
  }

  Fill& fill(size_t item) {
    for (Fill& made : fills_)
      if (made.item() == item) return made;
    return fills_.emplace_back(machine_, item);
  }

  void add_input(const Layout& given) {
    const size_t k = inputs_.size(), axes = primitive_->mapped_axes(k);
    Input input{given, given, {}, nullptr, 0};
    Layout lying = given;
    const bool one = is_one_place(given);
    if (primitive_->source().dense_inputs && !is_contiguous(given.shape, given.strides)) {
      lying.strides = contiguous_strides(given.shape);
      input.copy = make_copy_kernel(machine_, given, lying);
      if (one) fill(item_size(given.dtype));
      input.scratch = int64_t(scratch_);
      scratch_ += (bytes_of(lying) + kAlignment - 1) / kAlignment * kAlignment;
    }
    input.example.shape = Shape(lying.shape.begin() + ptrdiff_t(axes), lying.shape.end());
    input.example.strides = Strides(lying.strides.begin() + ptrdiff_t(axes), lying.strides.end());
    size_t axis = 0;
    for (const CustomKernel::Loop& loop : primitive_->loops())
      input.strides.push_back(loop.batched[k] ? lying.strides[axis++] * int64_t(item_size(given.dtype)) : 0);
    inputs_.push_back(std::move(input));
  }

  Operand of_example(Operand at, size_t k, int64_t example) const {
    if (!at.buffer) return at;
    if (k >= inputs_.size()) {
      at.offset += example * example_bytes_[k - inputs_.size()];
      return at;
    }
    for (size_t l = primitive_->loops().size(); l-- > 0; example /= primitive_->loops()[l].size)
      at.offset += example % primitive_->loops()[l].size * inputs_[k].strides[l];
    return at;
  }

  void compile() {
    const CustomSource& source = primitive_->source();
    std::vector<Aval> avals;
    std::vector<uint16_t> scalars;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      avals.push_back({inputs_[i].example.shape, inputs_[i].example.dtype});
      if (is_one_place(inputs_[i].given)) scalars.push_back(uint16_t(i));
    }
    const MathMode math = source.math == CustomSource::Math::safe      ? MathMode::safe
                          : source.math == CustomSource::Math::relaxed ? MathMode::relaxed
                                                                       : MathMode::fast;
    pipeline_ = machine_.pipeline(
        {custom_kernel_name(source), custom_kernel_text(source, primitive_->call(), avals, scalars), scalars, math});
    auto add = [&](auto value) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      values_.insert(values_.end(), bytes, bytes + sizeof(value));
    };
    // In the order of the structure in the text: what has 8 bytes first.
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (custom_fields(source, i, avals[i].shape.size()).strides)
        for (int64_t stride : inputs_[i].example.strides) add(int64_t(stride));
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const CustomFields fields = custom_fields(source, i, avals[i].shape.size());
      if (fields.shape)
        for (int64_t n : avals[i].shape) add(int32_t(n));
      if (fields.ndim) add(int32_t(avals[i].shape.size()));
    }
  }

  Machine& machine_;
  Ref<const CustomKernel> primitive_;
  std::vector<Input> inputs_;
  std::vector<Layout> outputs_;
  std::vector<int64_t> example_bytes_;  // of each output
  std::vector<Bits> initial_;           // what each output holds at first; none: nothing
  std::vector<Fill> fills_;
  Ref<Pipeline> pipeline_;
  std::vector<std::byte> values_;
  size_t scratch_ = 0;
};

std::unique_ptr<Kernel> make(Machine& machine, const Primitive& primitive, Layouts inputs, Layouts outputs,
                             const KernelProgram* epilogue) {
  if (epilogue) return nullptr;
  return std::make_unique<CustomRun>(machine, static_cast<const CustomKernel&>(primitive), inputs, outputs);
}

const RegisterKernel metal(Language::metal, "metal_kernel", make);
const RegisterKernel cuda(Language::cuda, "cuda_kernel", make);

}  // namespace
}  // namespace funcnn::gpu
