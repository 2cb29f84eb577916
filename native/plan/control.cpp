#include "plan/control.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/error.h"
#include "graph/control.h"
#include "plan/capture.h"
#include "plan/measure.h"
#include "plan/plan.h"

namespace funcnn {
namespace {

LeafClass leaf_class(const Layout& layout, Device device) {
  LeafClass c;
  c.shape = layout.shape;
  c.dtype = layout.dtype;
  c.strides = layout.strides;
  c.device = device;
  return c;
}

LeafClass constant_class(const Layout& layout, Device device) {
  LeafClass c = leaf_class(layout, device);
  c.constant = true;
  return c;
}

// One element along axis 0.
LeafClass slice_class(const Layout& layout, Device device) {
  LeafClass c = leaf_class(layout, device);
  c.shape.erase(c.shape.begin());
  c.strides.erase(c.strides.begin());
  return c;
}

Layout dense(const Layout& layout) { return {layout.shape, layout.dtype, contiguous_strides(layout.shape)}; }
size_t bytes_of(const Layout& l) { return size_t(element_count(l.shape)) * item_size(l.dtype); }

Storage storage_at(const Operand& operand, const Strides& strides) {
  Storage s;
  s.buffer = Ref<Buffer>(operand.buffer);
  s.offset = operand.offset;
  s.strides = strides;
  if (operand.scalar) std::memcpy(s.scalar, operand.scalar, sizeof(s.scalar));
  return s;
}
Operand operand_at(const Storage& storage) {
  return {storage.buffer.get(), storage.offset, storage.buffer ? nullptr : storage.scalar};
}
// Whether a result has taken over the memory of an operand. Rows of one stack share a buffer, and are not the same.
bool same_place(const Operand& from, const Operand& to) {
  return from.buffer && from.buffer == to.buffer && from.offset == to.offset;
}

// The one value that the host has to know to go on.
bool is_true(const Operand& predicate, Queue& queue) {
  if (predicate.scalar) return *predicate.scalar != std::byte(0);
  if (Ref<Event> ready = queue.record()) ready->wait();
  if (const std::byte* host = predicate.buffer->host()) return host[predicate.offset] != std::byte(0);
  std::byte value;
  predicate.buffer->memory().download(predicate.buffer->block(), size_t(predicate.offset), 1, &value);
  return value != std::byte(0);
}

// A copy between fixed layouts, made ready once.
class Copy {
 public:
  Copy(Backend& backend, const Layout& from, const Layout& to)
      : kernel_(backend.make_copy(from, to)), empty_(element_count(from.shape) == 0) {}
  void encode(Queue& queue, const Operand& from, const Operand& to) const {
    Operand operands[] = {from, to};
    if (!empty_) kernel_->encode(queue, operands);
  }

 private:
  std::unique_ptr<Kernel> kernel_;
  bool empty_;
};

// How often a graph is run on the same constants.
enum class Runs : uint8_t { once, again };

// The plan of a graph that a control primitive holds, run on memory that the caller provides.
class Body {
 public:
  Body(const Graph& graph, std::vector<LeafClass> inputs, Backend& backend, bool fusion, Runs runs)
      : backend_(&backend),
        inputs_(inputs.size()),
        capture_(captured(graph, std::move(inputs), runs)),
        plan_(capture_, fusion),
        from_(output_places(graph, capture_)) {
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
      const Array& output = graph.outputs[i];
      const Strides& strides =
          from_[i] >= 0 ? plan_.result_strides(size_t(from_[i])) : capture_.classes[size_t(-1 - from_[i])].strides;
      outputs_.push_back({output.shape(), output.dtype(), strides});
      const Layout there = dense(outputs_.back());
      copies_.emplace_back(backend, outputs_.back(), there);
      dense_copies_.emplace_back();
      if (!is_contiguous(there.shape, outputs_.back().strides)) dense_copies_.back().emplace(backend, there, there);
    }
  }

  using Prepared = std::vector<Ref<Buffer>>;
  // What depends on constants alone, once for all steps of a loop.
  Prepared prepare(std::span<const Storage> inputs) const {
    Leaves leaves = leaves_of(inputs);
    return plan_.prepare({leaves.data(), leaves.size()});
  }

  // Storages of the inputs, in order; the outputs may share memory with them and with each other. `places`: as of
  // `Plan::encode`.
  void encode(std::span<const Storage> inputs, const Prepared& prepared, std::vector<Storage>& outputs,
              std::span<const Operand> places = {}, std::span<const Buffer* const> kept = {}) const {
    Leaves leaves = leaves_of(inputs);
    Results results;
    plan_.encode({leaves.data(), leaves.size()}, results, prepared, places, kept);
    outputs.clear();
    for (int from : from_) outputs.push_back(from >= 0 ? results[size_t(from)][0] : *leaves[size_t(-1 - from)]);
  }

  // See to it that output `index` lies densely at `to`.
  void copy_out(size_t index, const Storage& from, const Operand& to) const {
    if (is_at(index, from, to)) return;
    // It has been made dense already, or lies as the plan leaves it.
    bool moved = dense_copies_[index] && is_dense(index, from);
    (moved ? *dense_copies_[index] : copies_[index]).encode(backend_->queue(), operand_at(from), to);
  }
  bool is_at(size_t index, const Storage& storage, const Operand& place) const {
    return storage.buffer.get() == place.buffer && storage.offset == place.offset && is_dense(index, storage);
  }
  bool is_dense(size_t index, const Storage& storage) const {
    return storage.buffer && is_contiguous(outputs_[index].shape, storage.strides);
  }
  // Which result of the plan output `index` is; -1: none.
  int result(size_t index) const { return std::max(from_[index], -1); }
  size_t result_count() const { return capture_.results.size(); }
  // The input in whose memory output `index` comes to lie, if it may; -1: in none.
  int input_below(size_t index) const {
    int leaf = from_[index] >= 0 ? plan_.leaf_below(size_t(from_[index])) : -1 - from_[index];
    return leaf < int(inputs_) ? leaf : -1;
  }
  // Make an output the sole owner of dense memory, so that the next step may overwrite it.
  void own(size_t index, Storage& storage) const {
    if (is_sole_owner(storage, outputs_[index].shape)) return;
    copy_to_own(index, storage);
  }
  void copy_to_own(size_t index, Storage& storage) const {
    Storage owned;
    owned.buffer = Buffer::allocate(backend_->memory(), bytes(index));
    owned.strides = contiguous_strides(outputs_[index].shape);
    copy_out(index, storage, operand_at(owned));
    storage = std::move(owned);
  }
  size_t bytes(size_t index) const { return bytes_of(outputs_[index]); }
  const Plan& plan() const { return plan_; }

 private:
  using Leaves = SmallVector<const Storage*, 16>;
  Leaves leaves_of(std::span<const Storage> inputs) const {
    Leaves leaves;
    for (const Storage& s : inputs) leaves.push_back(&s);
    for (size_t i = inputs_; i < capture_.leaves.size(); ++i) leaves.push_back(&capture_.leaves[i]->storage);
    return leaves;
  }
  static Capture captured(const Graph& graph, std::vector<LeafClass> inputs, Runs runs) {
    size_t given = inputs.size();
    Capture capture = capture_graph(graph, std::move(inputs));
    if (runs == Runs::again)
      for (size_t i = given; i < capture.classes.size(); ++i) capture.classes[i].constant = true;
    return capture;
  }

  Backend* backend_;
  size_t inputs_;
  Capture capture_;
  Plan plan_;
  std::vector<int> from_;
  std::vector<Layout> outputs_;
  std::vector<Copy> copies_;
  std::vector<std::optional<Copy>> dense_copies_;  // where the plan leaves an output otherwise
};

// The carries of a loop: memory of their own from the start, overwritten in place from step to step.
class Carries {
 public:
  Carries(Backend& backend, std::span<const Layout> layouts) : backend_(&backend) {
    for (const Layout& l : layouts) {
      layouts_.push_back(dense(l));
      in_.emplace_back(backend, l, layouts_.back());
    }
  }
  size_t size() const { return layouts_.size(); }
  LeafClass leaf(size_t i) const {
    LeafClass c = leaf_class(layouts_[i], backend_->device());
    c.disposable = true;
    return c;
  }

  // A run of the loop, from the operands for carries before it to those after it.
  class Run {
   public:
    Run(const Carries& carries, std::span<const Operand> from, std::span<const Operand> to)
        : carries_(&carries), from_(from), to_(to) {
      for (size_t i = 0; i < carries.size(); ++i) {
        bool given = same_place(from[i], to[i]);
        given_.push_back(given ? from[i].buffer : nullptr);
        references_.push_back(given ? int(from[i].buffer->use_count()) : 0);
      }
    }
    // Memory that carry `i` begins in: that of its operand where it was given, else a copy.
    Storage start(size_t i) const {
      if (given_[i]) return storage_at(from_[i], carries_->layouts_[i].strides);
      Storage s;
      s.buffer = Buffer::allocate(carries_->backend_->memory(), bytes_of(carries_->layouts_[i]));
      s.strides = carries_->layouts_[i].strides;
      carries_->copy_in(i, from_[i], operand_at(s));
      return s;
    }
    // Whether a step may write carry `i` where it is to be in the end, while `leaves` are read.
    bool can_end(size_t i, const std::vector<Storage>& leaves) const {
      return !given_[i] || leaves[i].buffer.get() != given_[i];
    }
    // Make the next carry one that a step may overwrite; `kept`: none does.
    void own(const Body& body, size_t i, Storage& storage, bool kept) const {
      const Buffer* buffer = storage.buffer.get();
      if (lies_at_home(body, i, storage) && int(buffer->use_count()) == references_[i] + 1) return;
      if (kept && body.is_dense(i, storage) && !is_given(buffer)) return;
      body.own(i, storage);
    }
    void end(const Body& body, std::vector<Storage>& outputs) const {
      // What lies in the place of another makes way first.
      for (size_t i = 0; i < carries_->size(); ++i)
        if (is_given(outputs[i].buffer.get()) && !body.is_at(i, outputs[i], to_[i])) body.copy_to_own(i, outputs[i]);
      for (size_t i = 0; i < carries_->size(); ++i) body.copy_out(i, outputs[i], to_[i]);
    }

   private:
    bool is_given(const Buffer* buffer) const {
      return buffer && std::find(given_.begin(), given_.end(), buffer) != given_.end();
    }
    bool lies_at_home(const Body& body, size_t i, const Storage& storage) const {
      return given_[i] && body.is_at(i, storage, to_[i]);
    }
    const Carries* carries_;
    std::span<const Operand> from_, to_;
    std::vector<const Buffer*> given_;  // the memory that a carry has from its operand and ends in
    std::vector<int> references_;       // to that, of others
  };

  void copy_in(size_t i, const Operand& from, const Operand& to) const { in_[i].encode(backend_->queue(), from, to); }
  const Strides& strides(size_t i) const { return layouts_[i].strides; }
  size_t bytes() const {
    size_t total = 0;
    for (const Layout& l : layouts_) total += block_capacity(bytes_of(l));
    return total;
  }

 private:
  Backend* backend_;
  std::vector<Layout> layouts_;
  std::vector<Copy> in_;
};

// What a scan stacks is written where it belongs as it is computed. A carry that is stacked before each step lies in
// the stack from the start: each step writes the row that the next one reads. One that is stacked after each step is
// read there by the next. Others are overwritten in place.
class ScanKernel final : public ControlKernel {
 public:
  ScanKernel(const Graph& body, const Control& c, std::span<const Layout> inputs, Backend& backend, bool fusion)
      : control_(c),
        layouts_(inputs.begin(), inputs.end()),
        carries_(backend, inputs.first(size_t(c.carries))),
        hosts_(find_hosts(body, size_t(c.carries))),
        classes_(classes(body, inputs, backend.device())),
        body_(body, classes_, backend, fusion, Runs::again),
        alignment_(backend.device() == kCpu ? 1 : kPack) {
    find_places(body.outputs.size());
  }

  int reusable_input(size_t index) const override {
    return index < carries_.size() && overwritten_[index] ? int(index) : -1;
  }

  void encode(Queue&, std::span<const Operand> operands) override {
    size_t carries = carries_.size(), sequences = size_t(control_.sequences), inputs = layouts_.size();
    const Carries::Run run(carries_, operands, operands.subspan(inputs));
    if (control_.length == 0) {
      for (size_t i = 0; i < carries; ++i)
        if (!same_place(operands[i], operands[inputs + i])) carries_.copy_in(i, operands[i], operands[inputs + i]);
      return;
    }
    std::vector<Storage> leaves(inputs), outputs;
    std::vector<Operand> places(body_.result_count());
    const int64_t first = control_.reverse ? control_.length - 1 : 0, step_by = control_.reverse ? -1 : 1;
    // Element `at` of what output `i` is stacked into.
    auto row = [&](size_t i, int64_t at) {
      Operand to = operands[inputs + i];
      to.offset += at * int64_t(body_.bytes(i));
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
    const Body::Prepared prepared = body_.prepare(leaves);
    for (int64_t step = 0; step < control_.length; ++step) {
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
      body_.encode(leaves, prepared, outputs, places);
      for (size_t i = carries; i < outputs.size(); ++i) body_.copy_out(i, outputs[i], row(i, at));
      if (last) {
        run.end(body_, outputs);
        break;
      }
      for (size_t i = 0; i < carries; ++i) {
        if (hosts_[i] < 0) continue;
        Operand to = next(i);
        body_.copy_out(i, outputs[i], to);
        outputs[i] = storage_at(to, carries_.strides(i));
      }
      for (size_t i = 0; i < carries; ++i) leaves[i] = {};
      outputs.resize(carries);
      for (size_t i = 0; i < carries; ++i)
        if (hosts_[i] < 0) run.own(body_, i, outputs[i], !overwritten_[i]);
      for (size_t i = 0; i < carries; ++i) leaves[i] = std::move(outputs[i]);
    }
  }
  size_t inner_bytes() const override { return body_.plan().peak_bytes() + carries_.bytes(); }
  Effort inner_effort() const override { return body_.plan().effort(double(control_.length)); }
  void describe(std::ostream& out, const std::string& indent) const override {
    out << indent << "body, " << control_.length << (control_.length == 1 ? " time:\n" : " times:\n")
        << body_.plan().describe(indent);
  }

 private:
  // For each carry, the output that stacks it as it is before each step; -1: none does.
  static std::vector<int> find_hosts(const Graph& body, size_t carries) {
    std::vector<int> hosts(carries, -1);
    for (size_t i = carries; i < body.outputs.size(); ++i)
      for (size_t k = 0; k < carries; ++k)
        if (hosts[k] < 0 && body.outputs[i] == body.inputs[k]) hosts[k] = int(i);
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
    for (size_t i = 0; i < carries; ++i)
      all[i].disposable = hosts_[i] < 0 && std::find(body.outputs.begin() + ptrdiff_t(carries), body.outputs.end(),
                                                     body.outputs[i]) == body.outputs.end();
    return all;
  }
  void find_places(size_t outputs) {
    size_t carries = carries_.size();
    goes_to_.assign(body_.result_count(), -1);
    auto claim = [&](size_t i) {
      int r = body_.result(i);
      if (r >= 0 && body_.plan().can_place(size_t(r)) && goes_to_[size_t(r)] < 0) goes_to_[size_t(r)] = int(i);
    };
    for (size_t i = carries; i < outputs; ++i) claim(i);
    for (size_t i = 0; i < carries; ++i) claim(i);
    for (size_t i = 0; i < carries; ++i) overwritten_.push_back(body_.plan().overwrites(i));
  }

  // Kernels of other devices than the CPU may write packs of so many bytes.
  static constexpr int64_t kPack = 16;

  Control control_;
  std::vector<Layout> layouts_;
  Carries carries_;
  std::vector<int> hosts_;
  std::vector<LeafClass> classes_;
  Body body_;
  int64_t alignment_;              // of places in stacks
  std::vector<int> goes_to_;       // the output that a result of the body's plan is written in place for; -1: none
  std::vector<char> overwritten_;  // carries whose memory a step may take over
};

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
    auto is_given = [&](const Buffer* buffer) {
      for (size_t i = 0; i < reused_.size(); ++i)
        if (reused_[i] >= 0 && to[i].buffer == buffer && same_place(operands[size_t(reused_[i])], to[i])) return true;
      return false;
    };
    for (size_t i = 0; i < classes_.size(); ++i) {
      leaves.push_back(storage_at(operands[i + 1], classes_[i].strides));
      if (const Buffer* buffer = operands[i + 1].buffer; buffer && !is_given(buffer)) kept.push_back(buffer);
    }
    std::vector<Operand> places(body.result_count());
    for (size_t i = 0; i < reused_.size(); ++i)
      if (int r = body.result(i); r >= 0 && !places[size_t(r)].buffer && !is_given(to[i].buffer))
        places[size_t(r)] = to[i];
    body.encode(leaves, {}, outputs, places, kept);
    // What lies in memory that is another's place, or its own in another order, makes way first.
    for (size_t i = 0; i < outputs.size(); ++i)
      if (is_given(outputs[i].buffer.get()) && !body.is_at(i, outputs[i], to[i])) body.copy_to_own(i, outputs[i]);
    for (size_t i = 0; i < outputs.size(); ++i) body.copy_out(i, outputs[i], to[i]);
  }
  size_t inner_bytes() const override {
    size_t taken = 0;  // what the branches expect to find
    for (size_t i = 0; i < classes_.size(); ++i)
      if (branches_[0].plan().overwrites(i) || branches_[1].plan().overwrites(i))
        taken += block_capacity(size_t(element_count(classes_[i].shape)) * item_size(classes_[i].dtype));
    return taken + std::max(branches_[0].plan().peak_bytes(), branches_[1].plan().peak_bytes());
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

class WhileKernel final : public ControlKernel {
 public:
  WhileKernel(const std::vector<const Graph*>& graphs, const Control& c, std::span<const Layout> inputs,
              Backend& backend, bool fusion)
      : carries_(backend, inputs.first(size_t(c.carries))),
        classes_(classes(inputs, backend.device())),
        condition_(*graphs[0], kept(classes_), backend, fusion, Runs::again),
        body_(*graphs[1], classes_, backend, fusion, Runs::again) {
    for (size_t i = 0; i < carries_.size(); ++i) overwritten_.push_back(body_.plan().overwrites(i));
  }

  int reusable_input(size_t index) const override { return overwritten_[index] ? int(index) : -1; }

  void encode(Queue& queue, std::span<const Operand> operands) override {
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
      body_.encode(leaves, *for_body, outputs);
      for (size_t i = 0; i < carries; ++i) leaves[i] = {};
      for (size_t i = 0; i < carries; ++i) run.own(body_, i, outputs[i], !overwritten_[i]);
      for (size_t i = 0; i < carries; ++i) leaves[i] = std::move(outputs[i]);
    }
    leaves.resize(carries);
    run.end(body_, leaves);
  }
  size_t inner_bytes() const override {
    return std::max(body_.plan().peak_bytes(), condition_.plan().peak_bytes()) + carries_.bytes();
  }
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
  // The condition reads carries that the body still needs.
  static std::vector<LeafClass> kept(std::vector<LeafClass> classes) {
    for (LeafClass& c : classes) c.disposable = false;
    return classes;
  }

  Carries carries_;
  std::vector<LeafClass> classes_;
  Body condition_, body_;
  std::vector<char> overwritten_;  // carries whose memory a step may take over
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
      return std::make_unique<CondKernel>(graphs, inputs, backend, fusion);
    case Control::Form::while_loop:
      break;
  }
  return std::make_unique<WhileKernel>(graphs, control, inputs, backend, fusion);
}

}  // namespace funcnn
