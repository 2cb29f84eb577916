#include "plan/control.h"

#include <algorithm>
#include <cstring>

#include "base/small_vector.h"
#include "graph/control.h"
#include "plan/capture.h"
#include "plan/plan.h"

namespace funcnn {
namespace {

class OffsetKernel final : public Kernel {
 public:
  OffsetKernel(std::unique_ptr<Kernel> kernel, std::vector<int64_t> offsets)
      : kernel_(std::move(kernel)), offsets_(std::move(offsets)) {}
  void run(std::span<std::byte* const> operands) override {
    SmallVector<std::byte*, 16> moved(operands);
    for (size_t i = 0; i < offsets_.size(); ++i) moved[i] += offsets_[i];
    kernel_->run({moved.data(), moved.size()});
  }
  size_t scratch_bytes() const override { return kernel_->scratch_bytes(); }

 private:
  std::unique_ptr<Kernel> kernel_;
  std::vector<int64_t> offsets_;
};

LeafClass leaf_class(const Layout& layout) {
  LeafClass c;
  c.shape = layout.shape;
  c.dtype = layout.dtype;
  c.strides = layout.strides;
  return c;
}

// One element along axis 0.
LeafClass slice_class(const Layout& layout) {
  LeafClass c = leaf_class(layout);
  c.shape.erase(c.shape.begin());
  c.strides.erase(c.strides.begin());
  return c;
}

size_t bytes_of(const LeafClass& c) { return size_t(element_count(c.shape)) * item_size(c.dtype); }

// Copy elements with these strides to dense memory.
void copy_dense(const std::byte* from, const Shape& shape, const Strides& strides, size_t item, std::byte* to) {
  int64_t count = element_count(shape);
  if (is_contiguous(shape, strides)) {
    std::memcpy(to, from, size_t(count) * item);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, at = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      at += rest % shape[d] * strides[d];
      rest /= shape[d];
    }
    std::memcpy(to + size_t(i) * item, from + at * int64_t(item), item);
  }
}

// The plan of a graph that a control primitive holds, run on raw memory.
class Body {
 public:
  Body(const Graph& graph, std::vector<LeafClass> inputs, bool fusion)
      : inputs_(inputs.size()), capture_(capture_graph(graph, std::move(inputs))), plan_(capture_, fusion) {
    from_ = output_places(graph, capture_);
    for (const Array& output : graph.outputs) {
      shapes_.push_back(output.shape());
      dtypes_.push_back(output.dtype());
    }
  }

  // Storages of the inputs, in order; the outputs may share memory with them and with each other.
  void run(std::span<const Storage> inputs, std::vector<Storage>& outputs) const {
    SmallVector<const Storage*, 16> leaves;
    for (const Storage& s : inputs) leaves.push_back(&s);
    for (size_t i = inputs_; i < capture_.leaves.size(); ++i) leaves.push_back(&capture_.leaves[i]->storage);
    std::vector<SmallVector<Storage, 1>> results;
    plan_.run({leaves.data(), leaves.size()}, results);
    outputs.clear();
    for (int from : from_) outputs.push_back(from >= 0 ? results[size_t(from)][0] : *leaves[size_t(-1 - from)]);
  }

  // Copy output `index` to dense memory.
  void copy_out(size_t index, const Storage& from, std::byte* to) const {
    copy_dense(from.data, shapes_[index], from.strides, item_size(dtypes_[index]), to);
  }
  // Make an output the sole owner of dense memory, so that the next step may overwrite it.
  void own(size_t index, Storage& storage) const {
    const Ref<Buffer>& buffer = storage.buffer;
    if (buffer && buffer->use_count() == 1 && buffer->owned() && storage.data == buffer->data() &&
        is_contiguous(shapes_[index], storage.strides))
      return;
    Storage dense;
    dense.buffer = Buffer::allocate(bytes(index));
    dense.data = dense.buffer->data();
    dense.strides = contiguous_strides(shapes_[index]);
    copy_out(index, storage, dense.data);
    storage = std::move(dense);
  }
  size_t bytes(size_t index) const { return size_t(element_count(shapes_[index])) * item_size(dtypes_[index]); }
  size_t peak_bytes() const { return plan_.peak_bytes(); }

 private:
  size_t inputs_;
  Capture capture_;
  Plan plan_;
  std::vector<int> from_;
  std::vector<Shape> shapes_;
  std::vector<Dtype> dtypes_;
};

Storage at_memory(std::byte* data, const LeafClass& c) {
  Storage s;
  s.data = data;
  s.strides = c.strides;
  return s;
}

// The carries of a loop: memory of its own from the start, overwritten in place from step to step.
std::vector<LeafClass> carry_classes(std::span<const Layout> inputs, size_t carries) {
  std::vector<LeafClass> classes;
  for (size_t i = 0; i < carries; ++i) {
    classes.push_back(leaf_class(inputs[i]));
    classes.back().strides = contiguous_strides(inputs[i].shape);
    classes.back().disposable = true;
  }
  return classes;
}

void copy_in(const std::byte* from, const Layout& layout, Storage& to) {
  size_t item = item_size(layout.dtype);
  to.buffer = Buffer::allocate(size_t(element_count(layout.shape)) * item);
  to.data = to.buffer->data();
  to.strides = contiguous_strides(layout.shape);
  copy_dense(from, layout.shape, layout.strides, item, to.data);
}

class ScanKernel final : public Kernel {
 public:
  ScanKernel(const Graph& body, const Control& c, std::span<const Layout> inputs, bool fusion)
      : control_(c),
        layouts_(inputs.begin(), inputs.end()),
        classes_(classes(c, inputs)),
        body_(body, classes_, fusion) {}

  void run(std::span<std::byte* const> operands) override {
    size_t carries = size_t(control_.carries), sequences = size_t(control_.sequences), inputs = layouts_.size();
    std::vector<Storage> leaves(inputs), outputs;
    for (size_t i = 0; i < carries; ++i) copy_in(operands[i], layouts_[i], leaves[i]);
    for (size_t i = carries; i < inputs; ++i) leaves[i] = at_memory(operands[i], classes_[i]);
    for (int64_t step = 0; step < control_.length; ++step) {
      int64_t at = control_.reverse ? control_.length - 1 - step : step;
      for (size_t i = carries; i < carries + sequences; ++i)
        leaves[i].data = operands[i] + at * layouts_[i].strides[0] * int64_t(item_size(layouts_[i].dtype));
      body_.run(leaves, outputs);
      for (size_t i = carries; i < outputs.size(); ++i)
        body_.copy_out(i, outputs[i], operands[inputs + i] + size_t(at) * body_.bytes(i));
      for (size_t i = 0; i < carries; ++i) leaves[i] = {};
      for (size_t i = outputs.size(); i-- > carries;) outputs.pop_back();
      for (size_t i = 0; i < carries; ++i) body_.own(i, outputs[i]);
      for (size_t i = 0; i < carries; ++i) leaves[i] = std::move(outputs[i]);
    }
    for (size_t i = 0; i < carries; ++i) std::memcpy(operands[inputs + i], leaves[i].data, bytes_of(classes_[i]));
  }
  size_t scratch_bytes() const override {
    size_t total = body_.peak_bytes();
    for (size_t i = 0; i < size_t(control_.carries); ++i) total += block_capacity(bytes_of(classes_[i]));
    return total;
  }

 private:
  static std::vector<LeafClass> classes(const Control& c, std::span<const Layout> inputs) {
    std::vector<LeafClass> all = carry_classes(inputs, size_t(c.carries));
    for (size_t i = size_t(c.carries); i < inputs.size(); ++i)
      all.push_back(i < size_t(c.carries + c.sequences) ? slice_class(inputs[i]) : leaf_class(inputs[i]));
    return all;
  }

  Control control_;
  std::vector<Layout> layouts_;
  std::vector<LeafClass> classes_;
  Body body_;
};

class CondKernel final : public Kernel {
 public:
  CondKernel(const std::vector<const Graph*>& graphs, std::span<const Layout> inputs, bool fusion)
      : classes_(classes(inputs)), branches_{{*graphs[0], classes_, fusion}, {*graphs[1], classes_, fusion}} {}

  void run(std::span<std::byte* const> operands) override {
    const Body& body = branches_[*operands[0] == std::byte(0) ? 1 : 0];
    std::vector<Storage> leaves, outputs;
    for (size_t i = 0; i < classes_.size(); ++i) leaves.push_back(at_memory(operands[i + 1], classes_[i]));
    body.run(leaves, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) body.copy_out(i, outputs[i], operands[1 + classes_.size() + i]);
  }
  size_t scratch_bytes() const override { return std::max(branches_[0].peak_bytes(), branches_[1].peak_bytes()); }

 private:
  static std::vector<LeafClass> classes(std::span<const Layout> inputs) {
    std::vector<LeafClass> all;
    for (const Layout& layout : inputs.subspan(1)) all.push_back(leaf_class(layout));
    return all;
  }

  std::vector<LeafClass> classes_;
  Body branches_[2];
};

class WhileKernel final : public Kernel {
 public:
  WhileKernel(const std::vector<const Graph*>& graphs, const Control& c, std::span<const Layout> inputs, bool fusion)
      : carries_(size_t(c.carries)),
        layouts_(inputs.begin(), inputs.end()),
        classes_(classes(c, inputs)),
        condition_(*graphs[0], kept(classes_), fusion),
        body_(*graphs[1], classes_, fusion) {}

  void run(std::span<std::byte* const> operands) override {
    std::vector<Storage> leaves(layouts_.size()), outputs;
    for (size_t i = 0; i < carries_; ++i) copy_in(operands[i], layouts_[i], leaves[i]);
    for (size_t i = carries_; i < layouts_.size(); ++i) leaves[i] = at_memory(operands[i], classes_[i]);
    for (;;) {
      condition_.run(leaves, outputs);
      bool go_on = *outputs[0].data != std::byte(0);
      outputs.clear();
      if (!go_on) break;
      body_.run(leaves, outputs);
      for (size_t i = 0; i < carries_; ++i) leaves[i] = {};
      for (size_t i = 0; i < carries_; ++i) body_.own(i, outputs[i]);
      for (size_t i = 0; i < carries_; ++i) leaves[i] = std::move(outputs[i]);
    }
    for (size_t i = 0; i < carries_; ++i)
      std::memcpy(operands[layouts_.size() + i], leaves[i].data, bytes_of(classes_[i]));
  }
  size_t scratch_bytes() const override {
    size_t total = std::max(body_.peak_bytes(), condition_.peak_bytes());
    for (size_t i = 0; i < carries_; ++i) total += block_capacity(bytes_of(classes_[i]));
    return total;
  }

 private:
  static std::vector<LeafClass> classes(const Control& c, std::span<const Layout> inputs) {
    std::vector<LeafClass> all = carry_classes(inputs, size_t(c.carries));
    for (size_t i = size_t(c.carries); i < inputs.size(); ++i) all.push_back(leaf_class(inputs[i]));
    return all;
  }
  // The condition reads carries that the body still needs.
  static std::vector<LeafClass> kept(std::vector<LeafClass> classes) {
    for (LeafClass& c : classes) c.disposable = false;
    return classes;
  }

  size_t carries_;
  std::vector<Layout> layouts_;
  std::vector<LeafClass> classes_;
  Body condition_, body_;
};

}  // namespace

std::unique_ptr<Kernel> with_offsets(std::unique_ptr<Kernel> kernel, std::vector<int64_t> offsets) {
  return std::make_unique<OffsetKernel>(std::move(kernel), std::move(offsets));
}

std::unique_ptr<Kernel> make_control_kernel(const Primitive& primitive, std::span<const Layout> inputs, bool fusion) {
  const Control& control = *primitive.control();
  std::vector<const Graph*> graphs = primitive.graphs();
  switch (control.form) {
    case Control::Form::scan:
      return std::make_unique<ScanKernel>(*graphs[0], control, inputs, fusion);
    case Control::Form::cond:
      return std::make_unique<CondKernel>(graphs, inputs, fusion);
    case Control::Form::while_loop:
      break;
  }
  return std::make_unique<WhileKernel>(graphs, control, inputs, fusion);
}

}  // namespace funcnn
