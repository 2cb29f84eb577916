// What the kernels of loops and branches are made of: graphs with their plans, and carries.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "plan/bound_plan.h"
#include "plan/capture.h"
#include "plan/plan.h"

namespace funcnn {

inline LeafClass leaf_class(const Layout& layout, Device device) {
  LeafClass c;
  c.shape = layout.shape;
  c.dtype = layout.dtype;
  c.strides = layout.strides;
  c.device = device;
  return c;
}

inline LeafClass constant_class(const Layout& layout, Device device) {
  LeafClass c = leaf_class(layout, device);
  c.constant = true;
  return c;
}

// One element along axis 0.
inline LeafClass slice_class(const Layout& layout, Device device) {
  LeafClass c = leaf_class(layout, device);
  c.shape.erase(c.shape.begin());
  c.strides.erase(c.strides.begin());
  return c;
}

inline Layout dense(const Layout& layout) { return {layout.shape, layout.dtype, contiguous_strides(layout.shape)}; }
inline size_t bytes_of(const Layout& l) { return size_t(element_count(l.shape)) * item_size(l.dtype); }

inline Storage storage_at(const Operand& operand, const Strides& strides) {
  Storage s;
  s.buffer = Ref<Buffer>(operand.buffer);
  s.offset = operand.offset;
  s.strides = strides;
  if (operand.scalar) std::memcpy(s.scalar, operand.scalar, sizeof(s.scalar));
  return s;
}
inline Operand operand_at(const Storage& storage) {
  return {storage.buffer.get(), storage.offset, storage.buffer ? nullptr : storage.scalar};
}
// Whether a result has taken over the memory of an operand. Rows of one stack share a buffer, and are not the same.
inline bool same_place(const Operand& from, const Operand& to) {
  return from.buffer && from.buffer == to.buffer && from.offset == to.offset;
}

// A copy between fixed layouts, made ready once.
class Copy {
 public:
  Copy(Backend& backend, const Layout& from, const Layout& to)
      : backend_(&backend), layouts_{from, to}, kernel_(backend.make_copy(from, to)) {}
  void encode(Queue& queue, const Operand& from, const Operand& to) const {
    Operand operands[] = {from, to};
    if (element_count(layouts_[0].shape)) kernel_->encode(queue, operands);
  }
  // After the kernels of a plan, in each step.
  void add_to(BoundPlan& plan, const Course& from, const Course& to) const {
    if (element_count(layouts_[0].shape)) plan.copy(*backend_, *kernel_, layouts_, from, to);
  }

 private:
  Backend* backend_;
  Layout layouts_[2];
  std::unique_ptr<Kernel> kernel_;
};

// How often a graph is run on the same constants.
enum class Runs : uint8_t { once, again };

// The plan of a graph that a control primitive holds, run on memory that the caller provides.
class Body {
 public:
  Body(const Graph& graph, std::vector<LeafClass> inputs, Backend& backend, bool fusion, Runs runs)
      : backend_(&backend),
        inputs_(inputs.size()),
        capture_(captured(graph, std::move(inputs), backend.device(), runs)),
        plan_(capture_, fusion),
        from_(output_places(graph, capture_)),
        below_(plan_.leaves_below()) {
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
    SmallVector<Storage, 4> storages(result_count());
    SmallVector<Storage*, 16> results;
    results.reserve(storages.size());
    for (Storage& storage : storages) results.push_back(&storage);
    plan_.encode({leaves.data(), leaves.size()}, {results.data(), results.size()}, prepared, places, kept);
    outputs.clear();
    for (int from : from_) outputs.push_back(from >= 0 ? storages[size_t(from)] : *leaves[size_t(-1 - from)]);
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
  // For each result of the plan that can be placed, an output that it is, one of those from `first` on if there is one;
  // -1: none.
  std::vector<int> placed_for(size_t first) const {
    std::vector<int> out(result_count(), -1);
    for (size_t k = 0; k < outputs_.size(); ++k) {
      const size_t i = (first + k) % outputs_.size();
      if (int r = result(i); r >= 0 && plan_.can_place(size_t(r)) && out[size_t(r)] < 0) out[size_t(r)] = int(i);
    }
    return out;
  }
  // Whether output `index` is the input of that number.
  bool hands_on(size_t index) const { return from_[index] == -1 - int(index); }
  // The input in whose memory output `index` comes to lie, if it may; -1: in none.
  int input_below(size_t index) const {
    int leaf = from_[index] >= 0 ? below_[size_t(from_[index])] : -1 - from_[index];
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
  size_t output_count() const { return outputs_.size(); }
  const Plan& plan() const { return plan_; }
  Backend& backend() const { return *backend_; }
  const Layout& output(size_t index) const { return outputs_[index]; }

 private:
  friend class BoundBody;
  using Leaves = SmallVector<const Storage*, 16>;
  Leaves leaves_of(std::span<const Storage> inputs) const {
    Leaves leaves;
    for (const Storage& s : inputs) leaves.push_back(&s);
    for (size_t i = inputs_; i < capture_.leaves.size(); ++i) leaves.push_back(&capture_.leaves[i]->storage);
    return leaves;
  }
  static Capture captured(const Graph& graph, std::vector<LeafClass> inputs, Device home, Runs runs) {
    size_t given = inputs.size();
    Capture capture = capture_graph(graph, std::move(inputs), home);
    if (runs == Runs::again)
      for (size_t i = given; i < capture.classes.size(); ++i) capture.classes[i].constant = true;
    return capture;
  }

  Backend* backend_;
  size_t inputs_;
  Capture capture_;
  Plan plan_;
  std::vector<int> from_;
  std::vector<int> below_;  // by result: the leaf in whose memory it comes to lie
  std::vector<Layout> outputs_;
  std::vector<Copy> copies_;
  std::vector<std::optional<Copy>> dense_copies_;  // where the plan leaves an output otherwise
};

// A body on memory that stays for the steps of a loop (see BoundPlan).
class BoundBody {
 public:
  // `to` says where each output is to lie densely (nothing: nowhere in particular), and `goes_to` which of them a
  // result of the plan is to be written in place for (-1: none), at places that are multiples of `alignment`.
  BoundBody(const Body& body, std::span<const Course> inputs, std::span<const Ref<Buffer>> prepared,
            std::span<const Course> to, std::span<const int> goes_to, int64_t alignment = 1);

  // As of BoundPlan.
  int64_t encode(int64_t step, int64_t most) { return plan_.encode(step, most); }
  // As part of each step: those of `next`, made for the step after it, whose output says whether there is one.
  void follow(const BoundBody& next);
  // Where an output lies.
  Operand output(size_t index, int64_t step) const { return outputs_[index].at(step); }

  // Inputs, and behind them what the graph has captured.
  static std::vector<Course> leaves(const Body& body, std::span<const Course> inputs);

 private:
  static std::vector<Course> places(const Body& body, std::span<const Course> to, std::span<const int> goes_to,
                                    int64_t alignment);

  std::vector<Course> leaves_;
  BoundPlan plan_;
  std::vector<Course> outputs_;
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
      all_given_ = BufferSet(given_);
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
    bool is_given(const Buffer* buffer) const { return buffer && all_given_.contains(buffer); }
    bool lies_at_home(const Body& body, size_t i, const Storage& storage) const {
      return given_[i] && body.is_at(i, storage, to_[i]);
    }
    const Carries* carries_;
    std::span<const Operand> from_, to_;
    std::vector<const Buffer*> given_;  // the memory that a carry has from its operand and ends in
    BufferSet all_given_;
    std::vector<int> references_;  // to that, of others
  };

  // Where carry `i` lies from step to step, and where the step puts it: first in `storage`, then by turns in `second`.
  // One that the body hands on as it is stays.
  std::pair<Course, Course> by_turns(const Body& body, size_t i, const Storage& storage, Storage& second) const {
    const Operand even = operand_at(storage);
    if (body.hands_on(i)) return {Course(even), Course(even)};
    second.buffer = Buffer::allocate(backend_->memory(), bytes_of(layouts_[i]));
    const Operand odd = operand_at(second);
    return {Course(even, odd), Course(odd, even)};
  }
  void copy_in(size_t i, const Operand& from, const Operand& to) const { in_[i].encode(backend_->queue(), from, to); }
  const Strides& strides(size_t i) const { return layouts_[i].strides; }
  const Layout& layout(size_t i) const { return layouts_[i]; }
  // What copies carry `i` in.
  const Copy& in(size_t i) const { return in_[i]; }
  size_t bytes(size_t i) const { return bytes_of(layouts_[i]); }
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

}  // namespace funcnn
