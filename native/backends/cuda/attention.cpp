// Attention and its derivatives by cuDNN. It takes matrices of short floats whose rows begin at multiples of 16 bytes,
// where every query sees a key; what begins elsewhere is moved first.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "backends/cuda/cudnn_attention.h"
#include "backends/cuda/cudnn_choice.h"
#include "backends/cuda/machine.h"
#include "backends/cuda/setting.h"
#include "backends/gpu/attention_text.h"
#include "backends/gpu/program.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

using gpu::AttentionOperand;
using gpu::AttentionProblem;

constexpr Address kAlignment = 16;
constexpr int64_t kFeatures = 8;  // of short floats, that are so many bytes
constexpr size_t kScratchAlignment = 256;
// For derivatives the library holds a matrix of scores. Of more heads than fit so many bytes it gets some at a time.
constexpr int64_t kMostScores = int64_t(512) << 20;
// What the fewest at a time may take, those that share keys: beyond it is left to kernels that hold none.
constexpr int64_t kMostOfHead = int64_t(2) << 30;

size_t rounded(size_t bytes) { return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment; }

// The most of `count`, in equal parts, that are not more than `most`.
int64_t part_of(int64_t count, int64_t most) {
  int64_t part = std::clamp<int64_t>(most, 1, count);
  while (count % part != 0) --part;
  return part;
}

// Where an operand lies, for the library; whether it takes that.
bool steps_of(const AttentionOperand& o, const std::array<int64_t, 4>& lengths, AttentionShape::Steps& out) {
  if (o.lead.size() > 1 || (o.column != 1 && lengths[3] != 1)) return false;
  out = {o.lead.empty() ? 0 : o.lead[0], o.head, o.row};
  const AttentionShape::Steps dense = {lengths[1] * lengths[2] * lengths[3], lengths[2] * lengths[3], lengths[3]};
  for (size_t axis = 0; axis < out.size(); ++axis) {
    if (lengths[axis] == 1) out[axis] = dense[axis];
    if (out[axis] <= 0 || out[axis] % kFeatures != 0) return false;
  }
  return true;
}

class LibraryAttention final : public Kernel {
 public:
  // An operand, or (operand -1) a place in the scratch memory. Heads of keys count as one with those that share them.
  struct Bound {
    AttentionTensor tensor;
    int operand;
    int64_t offset = 0;                 // bytes
    int64_t by_batch = 0, by_head = 0;  // bytes
    bool of_keys = false;
    std::optional<Layout> moved = {};  // of all elements, where it has to be moved if it begins in between
    bool written = false;
  };

  LibraryAttention(CudaMachine& machine, const AttentionProblem& p, bool gradient)
      : machine_(machine),
        shape_{.dtype = p.dtype,
               .gradient = gradient,
               .causal = p.causal,
               .batches = p.batches,
               .heads = p.heads,
               .key_heads = p.key_heads(),
               .queries = p.queries,
               .keys = p.keys,
               .depth = p.depth,
               .values = p.values,
               .steps = {}},
        batches_(p.batches),
        heads_(p.heads),
        group_(p.group),
        scale_(float(p.scale)),
        further_(int32_t(p.keys - p.queries)) {}

  // A matrix among the operands; whether the library takes it as it lies.
  bool add(AttentionTensor tensor, int operand, const AttentionOperand& from, bool written = false) {
    const bool of_keys = tensor == AttentionTensor::k || tensor == AttentionTensor::v ||
                         tensor == AttentionTensor::dk || tensor == AttentionTensor::dv;
    const bool by_values = tensor == AttentionTensor::v || tensor == AttentionTensor::dv ||
                           tensor == AttentionTensor::result || tensor == AttentionTensor::cotangent;
    const std::array<int64_t, 4> lengths = {batches_, of_keys ? shape_.key_heads : heads_,
                                            of_keys ? shape_.keys : shape_.queries,
                                            by_values ? shape_.values : shape_.depth};
    AttentionShape::Steps& steps = shape_.steps[size_t(tensor)];
    if (lengths[3] % kFeatures != 0 || !steps_of(from, lengths, steps)) return false;
    int64_t reach = lengths[3];
    for (size_t axis = 0; axis < steps.size(); ++axis) reach += (lengths[axis] - 1) * steps[axis];
    const int64_t item = int64_t(item_size(shape_.dtype));
    bound_.push_back(
        {tensor, operand, 0, steps[0] * item, steps[1] * item, of_keys, Layout{{reach}, shape_.dtype, {1}}, written});
    return true;
  }
  // Numbers of queries to write, without gaps.
  void add_of_queries(AttentionTensor tensor, int operand) {
    Bound& bound = bound_.emplace_back(Bound{tensor, operand});
    bound.moved = Layout{{batches_ * heads_ * shape_.queries}, Dtype::float32, {1}};
    bound.written = true;
  }
  // The logarithms, of two operands.
  void add_logarithms(int most, int sums) {
    const int64_t count = batches_ * heads_ * shape_.queries;
    gpu::KernelText text(machine_.traits(), "attention_logarithms", gpu::kThreadsEach);
    text.read("f32", "most").read("f32", "sums").write("f32", "out").value("i64", "count");
    text.body("  const i64 i = i64(group.x) * 256 + item.x;\n  if (i < p.count) out[i] = most[i] + log(sums[i]);\n");
    std::vector<gpu::Stage> stages;
    stages.push_back(
        gpu::one_each(machine_.pipeline(text.finish()), count, {{0}, {1}, {2}}, 2, gpu::Values().add(count)));
    logarithms_ = std::make_unique<gpu::StagedLaunches>(machine_, std::move(stages));
    statistics_ = {most, sums};
    const int64_t by_head = shape_.queries * int64_t(sizeof(float));
    bound_.push_back({AttentionTensor::logarithms, -1, 0, heads_ * by_head, by_head});
    workspace_at_ = rounded(size_t(count) * sizeof(float));
    // The library writes these for itself, a part after the other.
    bound_.push_back({AttentionTensor::rows, -1, int64_t(workspace_at_)});
    workspace_at_ *= 2;
  }

  // Settle what is computed at a time and make the plan; whether there is one.
  bool plan() {
    if (shape_.gradient) {
      const int64_t each = shape_.queries * shape_.keys * int64_t(item_size(shape_.dtype));
      const int64_t most = setting_has("cudnnparts") ? 1 : kMostScores / each;
      if (most < batches_ * heads_) {
        // Numbers of queries are to begin at such places for each part.
        if (shape_.queries * int64_t(sizeof(float)) % int64_t(kAlignment) != 0) return false;
        shape_.batches = most < heads_ ? 1 : part_of(batches_, most / heads_);
        if (most < heads_) {
          shape_.key_heads = part_of(shape_.key_heads, most / group_);
          shape_.heads = shape_.key_heads * group_;
        }
      }
      if (shape_.batches * shape_.heads * each > kMostOfHead) return false;
    }
    plan_ = find_attention_plan(machine_.stream(), shape_);
    return plan_ != nullptr;
  }

  size_t scratch_bytes() const override { return workspace_at_ + plan_->workspace(); }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    static const std::string names[] = {"cuDNN's attention", "cuDNN's derivatives of attention"};
    const Operand* scratch = scratch_bytes() ? &operands.back() : nullptr;
    if (logarithms_) {
      const Operand three[] = {operands[size_t(statistics_[0])], operands[size_t(statistics_[1])], *scratch};
      logarithms_->encode(queue, three);
    }
    // Memory of the pool is reused in the order of the stream.
    struct Moved {
      const Bound* bound;
      Ref<Buffer> buffer;
    };
    std::vector<Moved> moved;
    std::vector<Address> begin;
    for (const Bound& b : bound_) {
      const Operand& from = b.operand < 0 ? *scratch : operands[size_t(b.operand)];
      begin.push_back(machine_.address(from) + Address(b.offset));
      if (!b.moved || begin.back() % kAlignment == 0) continue;
      moved.push_back({&b, Buffer::allocate(machine_.memory(), size_t(b.moved->shape[0]) * item_size(b.moved->dtype))});
      const Operand to{moved.back().buffer.get(), 0};
      if (!b.written) copy(queue, b, from, to);
      begin.back() = machine_.address(to);
    }
    const Address workspace = plan_->workspace() ? machine_.address(*scratch) + workspace_at_ : 0;
    for (int64_t batch = 0; batch < batches_; batch += shape_.batches)
      for (int64_t head = 0; head < heads_; head += shape_.heads) {
        std::vector<DnnPlan::Argument> arguments;
        for (size_t i = 0; i < bound_.size(); ++i) {
          const Bound& b = bound_[i];
          const int64_t offset = batch * b.by_batch + (b.of_keys ? head / group_ : head) * b.by_head;
          arguments.push_back({number_of(b.tensor), at(begin[i] + Address(offset))});
        }
        add_scalars(arguments);
        plan_->run(arguments, workspace, names[shape_.gradient]);
      }
    for (const Moved& m : moved)
      if (m.bound->written) copy(queue, *m.bound, {m.buffer.get(), 0}, operands[size_t(m.bound->operand)]);
  }

  void describe(std::ostream& out, const std::string& indent) const override {
    const int64_t parts = batches_ / shape_.batches * (heads_ / shape_.heads);
    out << indent << "cuDNN's " << (shape_.gradient ? "derivatives of attention" : "attention");
    if (parts > 1) out << ", in " << parts << " parts";
    out << '\n';
  }

 private:
  void copy(Queue& queue, const Bound& bound, const Operand& from, const Operand& to) {
    const Operand both[] = {from, to};
    gpu::make_copy_kernel(machine_, *bound.moved, *bound.moved)->encode(queue, both);
  }
  void add_scalars(std::vector<DnnPlan::Argument>& arguments) {
    auto add = [&](AttentionTensor tensor, auto& value) { arguments.push_back({number_of(tensor), &value}); };
    add(AttentionTensor::scale, scale_);
    if (shape_.causal) add(AttentionTensor::minus_infinity, minus_infinity_);
    if (shape_.causal && further_ != 0) add(AttentionTensor::further_queries, further_);
    if (shape_.gradient) add(AttentionTensor::one, one_);
  }

  CudaMachine& machine_;
  AttentionShape shape_;  // of what is computed at a time
  const int64_t batches_, heads_, group_;
  float scale_, minus_infinity_ = -std::numeric_limits<float>::infinity(), one_ = 1;
  int32_t further_;
  std::vector<Bound> bound_;
  std::unique_ptr<Kernel> logarithms_;
  std::array<int, 2> statistics_{};
  size_t workspace_at_ = 0;
  std::shared_ptr<const DnnPlan> plan_;
};

// The GPU, where the library may be asked for such attention.
CudaMachine* asked(gpu::Machine& machine, const AttentionScores& scores, const AttentionProblem& p, bool gradient) {
  auto* cuda = dynamic_cast<CudaMachine*>(&machine);
  if (!cuda || setting_has("nocudnn") || scores.mask || scores.sinks || !is_half(p.dtype)) return nullptr;
  // A query that sees nothing has a result all the same, and numbers of the library have 32 bits.
  const int64_t most = INT32_MAX;
  if (p.batches * p.heads == 0 || p.queries == 0 || p.keys == 0 || (p.causal && p.queries > p.keys) || p.far ||
      p.queries > most || p.keys > most)
    return nullptr;
  const bool quicker = cudnn_is_quicker({machine.traits().architecture, gradient, p.group > 1, p.batches * p.heads,
                                         p.queries, p.keys, p.depth, p.values});
  return quicker || setting_has("cudnn") ? cuda : nullptr;
}

std::unique_ptr<Kernel> make_attention(gpu::Machine& machine, const Primitive& primitive, gpu::Layouts in,
                                       gpu::Layouts out, const KernelProgram*) {
  const AttentionScores& scores = static_cast<const Attention&>(primitive).scores();
  AttentionProblem p(scores, in);
  CudaMachine* cuda = asked(machine, scores, p, false);
  if (!cuda) return nullptr;
  p.add("result", out[0], 3, true);
  p.settle();
  auto kernel = std::make_unique<LibraryAttention>(*cuda, p, false);
  const bool taken = kernel->add(AttentionTensor::q, 0, p.operand("q")) &&
                     kernel->add(AttentionTensor::k, 1, p.operand("k")) &&
                     kernel->add(AttentionTensor::v, 2, p.operand("v")) &&
                     kernel->add(AttentionTensor::result, 3, p.operand("result"), true);
  if (!taken) return nullptr;
  kernel->add_of_queries(AttentionTensor::most, 4);
  kernel->add_of_queries(AttentionTensor::sums, 5);
  return kernel->plan() ? std::move(kernel) : nullptr;
}

std::unique_ptr<Kernel> make_gradient(gpu::Machine& machine, const Primitive& primitive, gpu::Layouts in,
                                      gpu::Layouts out, const KernelProgram*) {
  const auto& op = static_cast<const AttentionGradient&>(primitive);
  constexpr size_t kMost = 3, kSums = 4, kCotangent = 6, kResult = 7;
  if (in.size() <= kResult) return nullptr;
  AttentionProblem p(op.scores(), in);
  CudaMachine* cuda = asked(machine, op.scores(), p, true);
  if (!cuda) return nullptr;
  for (size_t i : {kMost, kSums})
    if (!is_contiguous(in[i].shape, in[i].strides)) return nullptr;
  p.add("cotangent", in[kCotangent], 3);
  p.add("result", in[kResult], 3, true);
  p.add("dq", out[0], 3, op.exchanged().q);
  p.add("dk", out[1], 3, op.exchanged().k);
  p.add("dv", out[2], 3, op.exchanged().v);
  p.settle();
  auto kernel = std::make_unique<LibraryAttention>(*cuda, p, true);
  const bool taken = kernel->add(AttentionTensor::q, 0, p.operand("q")) &&
                     kernel->add(AttentionTensor::k, 1, p.operand("k")) &&
                     kernel->add(AttentionTensor::v, 2, p.operand("v")) &&
                     kernel->add(AttentionTensor::cotangent, int(kCotangent), p.operand("cotangent")) &&
                     kernel->add(AttentionTensor::result, int(kResult), p.operand("result")) &&
                     kernel->add(AttentionTensor::dq, p.inputs, p.operand("dq"), true) &&
                     kernel->add(AttentionTensor::dk, p.inputs + 1, p.operand("dk"), true) &&
                     kernel->add(AttentionTensor::dv, p.inputs + 2, p.operand("dv"), true);
  if (!taken) return nullptr;
  kernel->add_logarithms(int(kMost), int(kSums));
  return kernel->plan() ? std::move(kernel) : nullptr;
}

const gpu::RegisterKernel attention(gpu::Language::cuda, "attention", make_attention);
const gpu::RegisterKernel gradient(gpu::Language::cuda, "attention_gradient", make_gradient);

}  // namespace
}  // namespace funcnn::cuda
