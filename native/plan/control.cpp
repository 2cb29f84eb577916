#include "plan/control.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "graph/control.h"
#include "plan/bound_control.h"
#include "plan/cond.h"
#include "plan/kept_loop.h"
#include "plan/measure.h"

namespace funcnn {
namespace {

// Steps over few bytes run on memory that stays, where there are enough of them.
constexpr int64_t kLeastBound = 4;
// Steps of a loop that may be the last at any time.
constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

// What a scan stacks is written where it belongs as it is computed. A carry that is stacked before each step lies in
// the stack from the start: each step writes the row that the next one reads. One that is stacked after each step is
// read there by the next. Others are overwritten in place. A stack may lie over a sequence that ends here, row by row.
class ScanKernel final : public ControlKernel {
 public:
  ScanKernel(const Graph& body, const Control& c, std::span<const Layout> inputs, Backend& backend, bool fusion)
      : control_(c),
        layouts_(inputs.begin(), inputs.end()),
        carries_(backend, inputs.first(size_t(c.carries))),
        hosts_(find_hosts(body, size_t(c.carries))),
        classes_(classes(body, inputs, backend.device())),
        body_(std::make_unique<Body>(body, classes_, backend, fusion, Runs::again)),
        alignment_(backend.device() == kCpu ? 1 : kPack) {
    overwritten_ = overwritten(*body_);
    over_.assign(body_->output_count() - carries_.size(), -1);
    put_stacks_over_sequences(body, inputs, backend, fusion);
    goes_to_ = body_->placed_for(carries_.size());
    bindable_ = carries_.bytes() <= BoundPlan::kMostBytes && BoundPlan::fits(body_->plan());
    binds_ = bindable_ && control_.length >= kLeastBound;
    std::vector<size_t> results;
    for (size_t i = 0; i < body_->output_count(); ++i)
      results.push_back(body_->bytes(i) * (i < carries_.size() ? 1 : size_t(control_.length)));
    kept_.emplace(backend, inputs, carries_.size() + size_t(control_.sequences), results, bound_bytes());
  }

  int reusable_input(size_t index) const override {
    if (index >= carries_.size()) return over_[index - carries_.size()];
    return overwritten_[index] ? int(index) : -1;
  }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    if (binds_ && kept_->run(*this, queue, operands)) return;
    size_t carries = carries_.size(), sequences = size_t(control_.sequences), inputs = layouts_.size();
    const Carries::Run run(carries_, operands, operands.subspan(inputs));
    if (control_.length == 0) {
      for (size_t i = 0; i < carries; ++i)
        if (!same_place(operands[i], operands[inputs + i])) carries_.copy_in(i, operands[i], operands[inputs + i]);
      return;
    }
    std::vector<Storage> leaves(inputs), outputs;
    std::vector<Operand> places(body_->result_count());
    const int64_t first = control_.reverse ? control_.length - 1 : 0, step_by = control_.reverse ? -1 : 1;
    // Element `at` of what output `i` is stacked into.
    auto row = [&](size_t i, int64_t at) {
      Operand to = operands[inputs + i];
      to.offset += at * int64_t(body_->bytes(i));
      return to;
    };
    for (size_t i = 0; i < carries; ++i) {
      if (hosts_[i] < 0) {
        leaves[i] = run.start(i);
        continue;
      }
      Operand to = row(size_t(hosts_[i]), first);
      carries_.copy_in(i, operands[i], to);
      leaves[i] = storage_at(to, carries_.strides(i));
    }
    for (size_t i = carries; i < inputs; ++i) leaves[i] = storage_at(operands[i], classes_[i].strides);
    // Whatever the plan may do with an element of a sequence, what is written over it is named as a place.
    std::vector<const Buffer*> kept;
    for (size_t i = carries; i < carries + sequences; ++i) kept.push_back(operands[i].buffer);
    const Body::Prepared prepared = body_->prepare(leaves);
    const int64_t bound = binds_ ? control_.length - 1 : 0;
    if (bound) encode_bound(operands, leaves, prepared, bound);
    for (int64_t step = bound; step < control_.length; ++step) {
      const int64_t at = first + step * step_by;
      const bool last = step + 1 == control_.length;
      for (size_t i = carries; i < carries + sequences; ++i)
        leaves[i].offset = operands[i].offset + at * layouts_[i].strides[0] * int64_t(item_size(layouts_[i].dtype));
      // Where the carries go.
      auto next = [&](size_t i) {
        if (last) return run.can_end(i, leaves) ? operands[inputs + i] : Operand{};
        return hosts_[i] >= 0 ? row(size_t(hosts_[i]), at + step_by) : Operand{};
      };
      for (size_t r = 0; r < places.size(); ++r)
        places[r] = goes_to_[r] < 0              ? Operand{}
                    : goes_to_[r] < int(carries) ? next(size_t(goes_to_[r]))
                                                 : row(size_t(goes_to_[r]), at);
      for (Operand& place : places)
        if (place.offset % alignment_ != 0) place = {};
      body_->encode(leaves, prepared, outputs, places, kept);
      for (size_t i = carries; i < outputs.size(); ++i) body_->copy_out(i, outputs[i], row(i, at));
      if (last) {
        run.end(*body_, outputs);
        break;
      }
      for (size_t i = 0; i < carries; ++i) {
        if (hosts_[i] < 0) continue;
        Operand to = next(i);
        body_->copy_out(i, outputs[i], to);
        outputs[i] = storage_at(to, carries_.strides(i));
      }
      for (size_t i = 0; i < carries; ++i) leaves[i] = {};
      outputs.resize(carries);
      for (size_t i = 0; i < carries; ++i)
        if (hosts_[i] < 0) run.own(*body_, i, outputs[i], !overwritten_[i]);
      for (size_t i = 0; i < carries; ++i) leaves[i] = std::move(outputs[i]);
    }
  }
  std::unique_ptr<BoundKernel> bind(Queue&, std::span<const Course> operands) override {
    class Bound final : public BoundKernel {
     public:
      Bound(Backend& backend, int64_t length) : operands(backend), length(length) {}
      void encode(int64_t step) override {
        operands.before(step);
        steps->begin();
        for (int64_t i = 0; i < length;) i += steps->encode(i, length - i);
        operands.after(step);
      }
      FixedOperands operands;
      std::optional<BoundSteps> steps;
      int64_t length;
    };
    if (!bindable_ || control_.length == 0) return nullptr;
    const size_t carries = carries_.size(), sequences = size_t(control_.sequences), inputs = layouts_.size();
    const int64_t first = control_.reverse ? control_.length - 1 : 0, step_by = control_.reverse ? -1 : 1;
    auto bound = std::make_unique<Bound>(body_->backend(), control_.length);
    std::vector<Course> from, to;
    for (size_t i = 0; i < carries; ++i) {
      const Operand even = bound->operands.copied(carries_.in(i), carries_.bytes(i), operands[i]).places[0];
      const bool stays = body_->hands_on(i);
      const Operand odd = stays ? even : bound->operands.fresh(carries_.bytes(i)).places[0];
      from.emplace_back(even, odd);
      to.emplace_back(odd, even);
      bound->operands.bring(carries_.layout(i), Course(from.back().at(control_.length)), operands[inputs + i]);
    }
    for (size_t i = carries; i < inputs; ++i) {
      std::optional<Course> at = bound->operands.input(layouts_[i], operands[i]);
      if (!at) return nullptr;
      if (i < carries + sequences) {
        const int64_t element = layouts_[i].strides[0] * int64_t(item_size(layouts_[i].dtype));
        at = Course(at->places[0], step_by * element);
        for (Operand& place : at->places) place.offset += first * element;
      }
      from.push_back(*at);
    }
    for (size_t k = carries; k < body_->output_count(); ++k) {
      Layout stack = dense(body_->output(k));
      stack.shape.insert(stack.shape.begin(), control_.length);
      stack.strides = contiguous_strides(stack.shape);
      const auto bytes = int64_t(body_->bytes(k));
      Operand row = bound->operands.output(stack, operands[inputs + k]).places[0];
      row.offset += first * bytes;
      to.emplace_back(row, step_by * bytes);
    }
    if (bound->operands.bytes() > 4 * BoundPlan::kMostBytes) return nullptr;
    bound->steps.emplace(*body_, from, carries + sequences, to, goes_to_, alignment_);
    return bound;
  }
  size_t inner_bytes() const override {
    size_t kept = 0;  // what the plan takes for memory that it is given
    for (size_t i = carries_.size(); i < carries_.size() + size_t(control_.sequences); ++i)
      if (body_->plan().overwrites(i)) kept += block_capacity(element_bytes(i));
    return body_->plan().peak_bytes() + kept + carries_.bytes() + (bindable_ ? bound_bytes() : 0) + kept_->bytes();
  }
  size_t inner_live_bytes() const override { return body_->plan().live_beyond_results(); }
  Effort inner_effort() const override { return body_->plan().effort(double(control_.length)); }
  void describe(std::ostream& out, const std::string& indent) const override {
    out << indent << "body, " << control_.length << (control_.length == 1 ? " time:\n" : " times:\n")
        << body_->plan().describe(indent);
  }

 private:
  // For each carry, the output that stacks it as it is before each step; -1: none does.
  static std::vector<int> find_hosts(const Graph& body, size_t carries) {
    std::vector<int> hosts(carries, -1);
    NodeMap<int> stacked(body.outputs.size());  // by what: one more than the first output that does
    for (size_t i = carries; i < body.outputs.size(); ++i)
      if (int& first = stacked[body.outputs[i].node()]; first == 0) first = int(i) + 1;
    for (size_t k = 0; k < carries; ++k)
      if (const int* first = stacked.find(body.inputs[k].node())) hosts[k] = *first - 1;
    return hosts;
  }
  std::vector<LeafClass> classes(const Graph& body, std::span<const Layout> inputs, Device device) const {
    std::vector<LeafClass> all;
    size_t carries = carries_.size(), sequences = size_t(control_.sequences);
    for (size_t i = 0; i < inputs.size(); ++i)
      all.push_back(i < carries               ? carries_.leaf(i)
                    : i < carries + sequences ? slice_class(inputs[i], device)
                                              : constant_class(inputs[i], device));
    // A carry that lies in a stack is not to be overwritten.
    NodeMap<char> stacked(body.outputs.size());
    for (size_t i = carries; i < body.outputs.size(); ++i) stacked[body.outputs[i].node()] = 1;
    for (size_t i = 0; i < carries; ++i) all[i].disposable = hosts_[i] < 0 && !stacked.contains(body.outputs[i].node());
    return all;
  }
  std::vector<char> overwritten(const Body& body) const {
    std::vector<char> out;
    for (size_t i = 0; i < carries_.size(); ++i) out.push_back(body.plan().overwrites(i));
    return out;
  }

  // Let steps write their rows of a stack over the elements of a sequence that they have read, where they can. A carry
  // that then no longer lies over the one before has memory of its own in each step.
  void put_stacks_over_sequences(const Graph& graph, std::span<const Layout> inputs, Backend& backend, bool fusion) {
    const size_t carries = carries_.size(), sequences = size_t(control_.sequences);
    auto fits = [&](size_t output, size_t sequence) {
      return element_bytes(sequence) == body_->bytes(output) && body_->result(output) >= 0 &&
             is_contiguous(inputs[sequence].shape, inputs[sequence].strides);
    };
    // Each looks for a stack of its own; what may go into any of several goes into the first that is left.
    std::vector<LeafClass> classes = classes_;
    std::vector<char> taken_stacks(body_->result_count(), 0);
    bool any = false;
    for (size_t i = carries; i < carries + sequences; ++i)
      for (size_t k = carries; k < body_->output_count() && !classes[i].disposable; ++k) {
        if (!fits(k, i) || std::exchange(taken_stacks[size_t(body_->result(k))], 1)) continue;
        any = classes[i].disposable = true;
        classes[i].heir = body_->result(k);
      }
    if (!any) return;
    auto body = std::make_unique<Body>(graph, classes, backend, fusion, Runs::again);
    std::vector<int> over;
    std::vector<char> written_over(inputs.size(), 0);
    for (size_t k = carries; k < body->output_count(); ++k) {
      const int below = body->result(k) < 0 ? -1 : body->input_below(k);
      const bool of_sequence = below >= int(carries) && below < int(carries + sequences);
      const bool goes = of_sequence && !written_over[size_t(below)] && fits(k, size_t(below));
      if (goes) written_over[size_t(below)] = 1;
      over.push_back(goes ? below : -1);
    }
    if (over == over_) return;
    classes_ = std::move(classes);
    body_ = std::move(body);
    over_ = std::move(over);
    overwritten_ = overwritten(*body_);
  }
  size_t element_bytes(size_t sequence) const {
    return size_t(element_count(classes_[sequence].shape)) * item_size(classes_[sequence].dtype);
  }

  // What it takes to be bound.
  size_t bound_bytes() const { return carries_.bytes() + BoundPlan::bytes(body_->plan()); }
  // The first steps on memory that stays. `leaves` are those of the first, and become those of the step after them.
  void encode_bound(std::span<const Operand> operands, std::vector<Storage>& leaves, const Body::Prepared& prepared,
                    int64_t steps) const {
    const size_t carries = carries_.size(), sequences = size_t(control_.sequences), inputs = layouts_.size();
    const int64_t first = control_.reverse ? control_.length - 1 : 0, step_by = control_.reverse ? -1 : 1;
    auto rows = [&](size_t i, int64_t at) {
      const auto bytes = int64_t(body_->bytes(i));
      Operand to = operands[inputs + i];
      to.offset += at * bytes;
      return Course(to, step_by * bytes);
    };
    std::vector<Course> from, to(body_->output_count());
    std::vector<Storage> second(carries);
    for (size_t i = 0; i < carries; ++i) {
      if (hosts_[i] >= 0) {
        from.push_back(rows(size_t(hosts_[i]), first));
        to[i] = rows(size_t(hosts_[i]), first + step_by);
      } else {
        std::tie(from.emplace_back(), to[i]) = carries_.by_turns(*body_, i, leaves[i], second[i]);
      }
    }
    for (size_t i = carries; i < inputs; ++i) {
      Operand at = operand_at(leaves[i]);
      int64_t stride = 0;
      if (i < carries + sequences) {
        const int64_t element = layouts_[i].strides[0] * int64_t(item_size(layouts_[i].dtype));
        at.offset += first * element;
        stride = step_by * element;
      }
      from.emplace_back(at, stride);
      from.back().lasting = i >= carries + sequences;
    }
    for (size_t i = carries; i < to.size(); ++i) to[i] = rows(i, first);
    BoundBody body(*body_, from, prepared, to, goes_to_, alignment_);
    for (int64_t step = 0; step < steps;) step += body.encode(step, steps - step);
    for (size_t i = 0; i < carries; ++i) leaves[i] = storage_at(from[i].at(steps), carries_.strides(i));
  }

  // Kernels of other devices than the CPU may write packs of so many bytes.
  static constexpr int64_t kPack = 16;

  Control control_;
  std::vector<Layout> layouts_;
  Carries carries_;
  std::vector<int> hosts_;
  std::vector<LeafClass> classes_;
  std::unique_ptr<Body> body_;
  int64_t alignment_;              // of places in stacks
  bool bindable_ = false;          // steps can run on memory that stays,
  bool binds_ = false;             // and do
  std::vector<int> goes_to_;       // the output that a result of the body's plan is written in place for; -1: none
  std::vector<char> overwritten_;  // carries whose memory a step may take over
  std::vector<int> over_;          // by stack: the sequence whose memory it may take over; -1: none
  std::optional<KeptLoop> kept_;
};

class WhileKernel final : public ControlKernel {
 public:
  WhileKernel(const std::vector<const Graph*>& graphs, const Control& c, std::span<const Layout> inputs,
              Backend& backend, bool fusion)
      : carries_(backend, inputs.first(size_t(c.carries))),
        classes_(classes(inputs, backend.device())),
        condition_(*graphs[0], kept(classes_), backend, fusion, Runs::again),
        body_(*graphs[1], classes_, backend, fusion, Runs::again) {
    for (size_t i = 0; i < carries_.size(); ++i) overwritten_.push_back(body_.plan().overwrites(i));
    goes_to_ = body_.placed_for(0);
    binds_ = carries_.bytes() <= BoundPlan::kMostBytes && BoundPlan::fits(body_.plan()) &&
             BoundPlan::fits(condition_.plan());
    std::vector<size_t> results;
    for (size_t i = 0; i < carries_.size(); ++i) results.push_back(carries_.bytes(i));
    kept_.emplace(backend, inputs, carries_.size(), results, bound_bytes());
  }

  int reusable_input(size_t index) const override { return overwritten_[index] ? int(index) : -1; }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    if (binds_ && kept_->run(*this, queue, operands)) return;
    size_t inputs = classes_.size(), carries = carries_.size();
    const Carries::Run run(carries_, operands, operands.subspan(inputs));
    std::vector<Storage> leaves(inputs), outputs;
    for (size_t i = 0; i < carries; ++i) leaves[i] = run.start(i);
    for (size_t i = carries; i < inputs; ++i) leaves[i] = storage_at(operands[i], classes_[i].strides);
    const Body::Prepared for_condition = condition_.prepare(leaves);
    std::optional<Body::Prepared> for_body;  // not before a first step
    for (;;) {
      condition_.encode(leaves, for_condition, outputs);
      bool go_on = is_true(operand_at(outputs[0]), queue);
      outputs.clear();
      if (!go_on) break;
      if (!for_body) for_body = body_.prepare(leaves);
      if (binds_) {
        encode_bound(queue, leaves, for_condition, *for_body);
        break;
      }
      body_.encode(leaves, *for_body, outputs);
      for (size_t i = 0; i < carries; ++i) leaves[i] = {};
      for (size_t i = 0; i < carries; ++i) run.own(body_, i, outputs[i], !overwritten_[i]);
      for (size_t i = 0; i < carries; ++i) leaves[i] = std::move(outputs[i]);
    }
    leaves.resize(carries);
    run.end(body_, leaves);
  }
  std::unique_ptr<BoundKernel> bind(Queue& queue, std::span<const Course> operands) override {
    class Bound final : public BoundKernel {
     public:
      Bound(Backend& backend, Queue& queue) : operands(backend), queue(&queue) {}
      void encode(int64_t step) override {
        operands.before(step);
        condition->begin();
        condition->encode(0, 1);
        int64_t steps = 0;
        while (is_true(condition->output(0, steps), *queue)) {
          if (steps == 0) body->begin();
          steps += body->encode(steps, kUnknown);
        }
        ends[steps & 1].encode(step);
      }
      FixedOperands operands;
      std::deque<Copy> copies;
      BoundPlan ends[2];  // after an even number of steps, and after an odd one
      std::optional<BoundSteps> condition, body;
      Queue* queue;
    };
    if (!binds_) return nullptr;
    const size_t inputs = classes_.size(), carries = carries_.size();
    Backend& backend = body_.backend();
    auto bound = std::make_unique<Bound>(backend, queue);
    std::vector<Course> from, to;
    for (size_t i = 0; i < carries; ++i) {
      const Course even = bound->operands.copied(carries_.in(i), carries_.bytes(i), operands[i]);
      const Course odd = body_.hands_on(i) ? even : bound->operands.fresh(carries_.bytes(i));
      from.emplace_back(even.places[0], odd.places[0]);
      to.emplace_back(odd.places[0], even.places[0]);
      bound->copies.emplace_back(backend, carries_.layout(i), carries_.layout(i));
      bound->copies.back().add_to(bound->ends[0], even, operands[inputs + i]);
      bound->copies.back().add_to(bound->ends[1], odd, operands[inputs + i]);
    }
    for (size_t i = carries; i < inputs; ++i) {
      const Layout layout{classes_[i].shape, classes_[i].dtype, classes_[i].strides};
      std::optional<Course> at = bound->operands.input(layout, operands[i]);
      if (!at) return nullptr;
      from.push_back(*at);
    }
    if (bound->operands.bytes() > 4 * BoundPlan::kMostBytes) return nullptr;
    bound->condition.emplace(condition_, from, carries, std::span<const Course>(), std::span<const int>(), 1);
    bound->body.emplace(body_, from, carries, to, goes_to_, 1);
    bound->body->follow(*bound->condition);
    return bound;
  }
  size_t inner_bytes() const override {
    size_t bound = (binds_ ? bound_bytes() : 0) + kept_->bytes();
    return std::max(body_.plan().peak_bytes(), condition_.plan().peak_bytes()) + carries_.bytes() + bound;
  }
  size_t inner_live_bytes() const override { return body_.plan().live_beyond_results(); }
  // Of one step: nobody knows how many there will be.
  Effort inner_effort() const override {
    Effort a = condition_.plan().effort(), b = body_.plan().effort();
    return {a.bytes + b.bytes, a.flops + b.flops};
  }
  void describe(std::ostream& out, const std::string& indent) const override {
    out << indent << "condition, once a step:\n" << condition_.plan().describe(indent);
    out << indent << "body, once a step:\n" << body_.plan().describe(indent);
  }

 private:
  std::vector<LeafClass> classes(std::span<const Layout> inputs, Device device) const {
    std::vector<LeafClass> all;
    for (size_t i = 0; i < inputs.size(); ++i)
      all.push_back(i < carries_.size() ? carries_.leaf(i) : constant_class(inputs[i], device));
    return all;
  }
  // What it takes to be bound.
  size_t bound_bytes() const {
    return carries_.bytes() + BoundPlan::bytes(body_.plan()) + BoundPlan::bytes(condition_.plan());
  }
  // All steps, where there is one, on memory that stays; `leaves` then hold the carries after them.
  void encode_bound(Queue& queue, std::vector<Storage>& leaves, const Body::Prepared& for_condition,
                    const Body::Prepared& for_body) const {
    const size_t carries = carries_.size();
    std::vector<Course> from, to(carries);
    std::vector<Storage> second(carries);
    for (size_t i = 0; i < carries; ++i)
      std::tie(from.emplace_back(), to[i]) = carries_.by_turns(body_, i, leaves[i], second[i]);
    for (size_t i = carries; i < leaves.size(); ++i) from.push_back(Course::lasts(operand_at(leaves[i])));
    BoundBody body(body_, from, for_body, to, goes_to_), condition(condition_, from, for_condition, {}, {});
    body.follow(condition);
    int64_t step = 0;
    do step += body.encode(step, kUnknown);
    while (is_true(condition.output(0, step), queue));
    for (size_t i = 0; i < carries; ++i) leaves[i] = storage_at(from[i].at(step), carries_.strides(i));
  }

  // The condition reads carries that the body still needs.
  static std::vector<LeafClass> kept(std::vector<LeafClass> classes) {
    for (LeafClass& c : classes) c.disposable = false;
    return classes;
  }

  Carries carries_;
  std::vector<LeafClass> classes_;
  Body condition_, body_;
  std::vector<char> overwritten_;  // carries whose memory a step may take over
  std::vector<int> goes_to_;       // the carry that a result of the body's plan is written in place for; -1: none
  bool binds_ = false;             // steps run on memory that stays
  std::optional<KeptLoop> kept_;
};

}  // namespace

std::unique_ptr<ControlKernel> make_control_kernel(const Primitive& primitive, std::span<const Layout> inputs,
                                                   Backend& backend, bool fusion) {
  const Control& control = *primitive.control();
  std::vector<const Graph*> graphs = primitive.graphs();
  switch (control.form) {
    case Control::Form::scan:
      return std::make_unique<ScanKernel>(*graphs[0], control, inputs, backend, fusion);
    case Control::Form::cond:
      return make_cond_kernel(graphs, inputs, backend, fusion);
    case Control::Form::while_loop:
      break;
  }
  return std::make_unique<WhileKernel>(graphs, control, inputs, backend, fusion);
}

}  // namespace funcnn
