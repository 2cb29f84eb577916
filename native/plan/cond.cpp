#include "plan/cond.h"

#include <algorithm>
#include <optional>

#include "plan/bound_control.h"

namespace funcnn {

bool is_true(const Operand& predicate, Queue& queue) {
  if (predicate.scalar) return *predicate.scalar != std::byte(0);
  if (Ref<Event> ready = queue.record()) ready->wait();
  if (const std::byte* host = predicate.buffer->host()) return host[predicate.offset] != std::byte(0);
  std::byte value;
  predicate.buffer->memory().download(predicate.buffer->block(), size_t(predicate.offset), 1, &value);
  return value != std::byte(0);
}

namespace {

// Each branch writes the outputs where they belong. One that some branch would compute in the memory of an operand, or
// hand on, takes that over where the operand ends here.
class CondKernel final : public ControlKernel {
 public:
  CondKernel(const std::vector<const Graph*>& graphs, std::span<const Layout> inputs, Backend& backend, bool fusion)
      : classes_(classes(inputs, backend.device())),
        branches_{{*graphs[0], classes_, backend, fusion, Runs::once},
                  {*graphs[1], classes_, backend, fusion, Runs::once}} {
    std::vector<char> taken(classes_.size(), 0);
    for (size_t i = 0; i < graphs[0]->outputs.size(); ++i) {
      int from = branches_[0].input_below(i);
      if (from < 0) from = branches_[1].input_below(i);
      bool fits = from >= 0 && !taken[size_t(from)] && classes_[size_t(from)].shape == graphs[0]->outputs[i].shape() &&
                  classes_[size_t(from)].dtype == graphs[0]->outputs[i].dtype();
      reused_.push_back(fits ? from + 1 : -1);
      if (fits) taken[size_t(from)] = 1;
    }
  }

  int reusable_input(size_t index) const override { return reused_[index]; }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    const Body& body = branches_[is_true(operands[0], queue) ? 0 : 1];
    std::vector<Storage> leaves, outputs;
    std::vector<const Buffer*> kept;  // operands that others read later
    std::span<const Operand> to = operands.subspan(1 + classes_.size());
    std::vector<const Buffer*> reused;
    for (size_t i = 0; i < reused_.size(); ++i)
      if (reused_[i] >= 0 && same_place(operands[size_t(reused_[i])], to[i])) reused.push_back(to[i].buffer);
    const BufferSet given(reused);
    for (size_t i = 0; i < classes_.size(); ++i) {
      leaves.push_back(storage_at(operands[i + 1], classes_[i].strides));
      if (const Buffer* buffer = operands[i + 1].buffer; buffer && !given.contains(buffer)) kept.push_back(buffer);
    }
    std::vector<Operand> places(body.result_count());
    for (size_t i = 0; i < reused_.size(); ++i)
      if (int r = body.result(i); r >= 0 && !places[size_t(r)].buffer && !given.contains(to[i].buffer))
        places[size_t(r)] = to[i];
    body.encode(leaves, {}, outputs, places, kept);
    // What lies in memory that is another's place, or its own in another order, makes way first.
    for (size_t i = 0; i < outputs.size(); ++i)
      if (given.contains(outputs[i].buffer.get()) && !body.is_at(i, outputs[i], to[i])) body.copy_to_own(i, outputs[i]);
    for (size_t i = 0; i < outputs.size(); ++i) body.copy_out(i, outputs[i], to[i]);
  }
  std::unique_ptr<BoundKernel> bind(Queue& queue, std::span<const Course> operands) override {
    class Bound final : public BoundKernel {
     public:
      Bound(Backend& backend, Queue& queue, const Course& predicate)
          : operands(backend), queue(&queue), predicate(predicate) {}
      void encode(int64_t step) override {
        operands.before(step);
        std::optional<BoundSteps>& branch = branches[is_true(predicate.at(step), *queue) ? 0 : 1];
        branch->begin();
        branch->encode(0, 1);
        operands.after(step);
      }
      FixedOperands operands;
      std::optional<BoundSteps> branches[2];
      Queue* queue;
      Course predicate;
    };
    for (const Body& branch : branches_)
      if (!BoundPlan::fits(branch.plan())) return nullptr;
    auto bound = std::make_unique<Bound>(branches_[0].backend(), queue, operands[0]);
    const std::span<const Course> results = operands.subspan(1 + classes_.size());
    std::vector<Course> from, to;
    for (size_t i = 0; i < classes_.size(); ++i) {
      const Layout layout{classes_[i].shape, classes_[i].dtype, classes_[i].strides};
      // One in whose memory a result comes to lie would be overwritten while it is still read.
      const Course& at = operands[i + 1];
      const bool meets = std::any_of(results.begin(), results.end(), [&](const Course& c) {
        for (const Operand& in : at.places)
          for (const Operand& out : c.places)
            if (in.buffer && in.buffer == out.buffer) return true;
        return false;
      });
      std::optional<Course> fixed = bound->operands.input(layout, at, meets);
      if (!fixed) return nullptr;
      from.push_back(*fixed);
    }
    for (size_t k = 0; k < branches_[0].output_count(); ++k)
      to.push_back(bound->operands.output(dense(branches_[0].output(k)), results[k]));
    if (bound->operands.bytes() > 4 * BoundPlan::kMostBytes) return nullptr;
    for (int b = 0; b < 2; ++b) bound->branches[b].emplace(branches_[b], from, 0, to, branches_[b].placed_for(0), 1);
    return bound;
  }
  size_t inner_bytes() const override {
    size_t taken = 0;  // what the branches expect to find
    for (size_t i = 0; i < classes_.size(); ++i)
      if (branches_[0].plan().overwrites(i) || branches_[1].plan().overwrites(i))
        taken += block_capacity(size_t(element_count(classes_[i].shape)) * item_size(classes_[i].dtype));
    return taken + std::max(branches_[0].plan().peak_bytes(), branches_[1].plan().peak_bytes());
  }
  size_t inner_live_bytes() const override {
    return std::max(branches_[0].plan().live_beyond_results(), branches_[1].plan().live_beyond_results());
  }
  // Of the dearer branch.
  Effort inner_effort() const override {
    Effort a = branches_[0].plan().effort(), b = branches_[1].plan().effort();
    return {std::max(a.bytes, b.bytes), std::max(a.flops, b.flops)};
  }
  void describe(std::ostream& out, const std::string& indent) const override {
    out << indent << "if true:\n" << branches_[0].plan().describe(indent);
    out << indent << "if false:\n" << branches_[1].plan().describe(indent);
  }

 private:
  static std::vector<LeafClass> classes(std::span<const Layout> inputs, Device device) {
    std::vector<LeafClass> all;
    for (const Layout& layout : inputs.subspan(1)) {
      all.push_back(leaf_class(layout, device));
      all.back().disposable = is_contiguous(layout.shape, layout.strides);
    }
    return all;
  }

  std::vector<LeafClass> classes_;
  Body branches_[2];
  std::vector<int> reused_;  // by output: the input whose memory it takes over, if that is given
};

}  // namespace

std::unique_ptr<ControlKernel> make_cond_kernel(const std::vector<const Graph*>& graphs, std::span<const Layout> inputs,
                                                Backend& backend, bool fusion) {
  return std::make_unique<CondKernel>(graphs, inputs, backend, fusion);
}

}  // namespace funcnn
