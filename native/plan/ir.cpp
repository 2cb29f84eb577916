#include "plan/ir.h"

#include <algorithm>
#include <bit>
#include <map>
#include <unordered_map>

#include "base/device_dtypes.h"
#include "base/error.h"
#include "graph/control.h"
#include "graph/transfer.h"
#include "plan/backend.h"
#include "plan/reduce_form.h"

namespace funcnn {
namespace {

constexpr int64_t kFewOnGpu = 16;  // elements that a thread reduces by itself

// Numbers by hash. There is room for `most` from the start, so that places stay.
class Merged {
 public:
  explicit Merged(size_t most) : entries_(std::bit_ceil(2 * most + 2)) {}
  // -1: there was none.
  int& operator[](const Hash& key) {
    for (size_t i = key.low;; ++i) {
      Entry& entry = entries_[i & (entries_.size() - 1)];
      if (entry.number >= -1 && !(entry.key == key)) continue;
      if (entry.number < -1) entry = {key, -1};
      return entry.number;
    }
  }

 private:
  struct Entry {
    Hash key;
    int number = -2;
  };
  std::vector<Entry> entries_;
};

class Builder {
 public:
  explicit Builder(const Capture& capture)
      : capture_(capture),
        numbers_(capture.order.size(), -1),
        merged_(capture.order.size()),
        merged_operations_(capture.order.size()) {
    ir_.leaves = capture.classes;
    ir_.values.reserve(capture.leaves.size() + capture.order.size() + capture.order.size() / 8 + 4);
  }

  Ir build() {
    first_.reserve(capture_.order.size());
    int first = 0;
    for (size_t i = 0; i < capture_.order.size(); ++i) {
      const Node& node = *capture_.order[i];
      first_.push_back(first);
      first += int(node.inputs.size());
      if (const Extension* e = node.primitive->extends()) extensions_[extension_key(e->of, node)] = int(i);
    }
    for (size_t i = 0; i < capture_.leaves.size(); ++i) leaf(i);
    for (size_t i = 0; i < capture_.order.size(); ++i) numbers_[i] = node(i).multi() ? shared(i) : single(i);
    for (int place : capture_.places) {
      size_t at = size_t(place);
      SmallVector<int, 1> values;
      if (node(at).multi()) {
        for (size_t i = 0; i < node(at).outputs->size(); ++i) values.push_back(owned(output_of(at, int(i)), node(at)));
      } else {
        values.push_back(owned(numbers_[at], node(at)));
      }
      ir_.results.push_back(std::move(values));
    }
    return std::move(ir_);
  }

 private:
  const Node& node(size_t at) const { return *capture_.order[at]; }
  std::span<const int> inputs_of(size_t at) const {
    return {capture_.inputs.data() + first_[at], node(at).inputs.size()};
  }
  // The value of a node of the capture by its number there.
  int value_of(int number) const { return number < 0 ? -1 - number : numbers_[size_t(number)]; }
  int value_of_input(size_t at, int index) const { return value_of(inputs_of(at)[size_t(index)]); }

  int push(Value value) {
    int id = int(ir_.values.size());
    if (value.kind != ValueKind::view) {
      value.view.base = id;
      if (value.kind != ValueKind::leaf) value.view.strides = contiguous_strides(value.shape);
    }
    ir_.values.push_back(std::move(value));
    return id;
  }

  // Leaves are the first values.
  void leaf(size_t index) {
    const LeafClass& c = capture_.classes[index];
    Value value;
    value.shape = c.shape;
    value.dtype = c.dtype;
    value.leaf = int(index);
    value.device = c.scalar || c.device.placed() ? c.device : capture_.home;
    value.floating = c.floating;
    value.view.strides = c.strides;
    push(std::move(value));
  }

  static Hasher key_of(const Primitive& primitive, std::span<const int> inputs) {
    Hasher h;
    h.add(static_cast<const void*>(primitive.name().data()));
    primitive.hash(h);
    for (int input : inputs) h.add(input);
    return h;
  }

  // The inputs of a node, all where it is computed.
  struct Placed {
    SmallVector<int, 4> inputs;
    Device device;
    bool floating = true;
  };
  Placed place_inputs(size_t at) {
    Placed out;
    const Node& node = this->node(at);
    for (int number : inputs_of(at)) {
      int v = value_of(number);
      out.inputs.push_back(v);
      const Value& value = ir_.values[size_t(v)];
      if (!value.device.placed()) continue;
      // What floats in memory of the host draws nothing there.
      const bool draws = out.floating && (!value.floating || out.device == kCpu);
      if (!out.device.placed() || draws) out.device = value.device;
      out.floating &= value.floating;
    }
    if (out.floating && node.device.placed()) {
      out.device = node.device;
      out.floating = false;
    }
    if (!out.device.placed() || (out.floating && out.device == kCpu)) out.device = capture_.home;
    if (out.floating && !has_dtypes(out.device, node, out.inputs)) out.device = kCpu;
    for (int& v : out.inputs)
      if (Device d = ir_.values[size_t(v)].device; d.placed() && d != out.device) v = moved(v, out.device, node);
    return out;
  }

  bool has_dtypes(Device device, const Node& node, const SmallVector<int, 4>& inputs) const {
    return device_has(device, node.dtype) && std::all_of(inputs.begin(), inputs.end(), [&](int v) {
             return device_has(device, ir_.values[size_t(v)].dtype);
           });
  }

  // A value that may be anywhere, where `reader` needs it.
  int moved(int v, Device device, const Node& reader) {
    if (!ir_.values[size_t(v)].floating)
      throw ValueError(cat(reader.primitive->name(), ": arguments are on ", device_name(ir_.values[size_t(v)].device),
                           " and on ", device_name(device), "; move them to one device with fn.device_put"));
    return transferred(v, device, reader.sequence, true);
  }

  int transferred(int v, Device device, uint64_t sequence, bool floating) {
    const Value& from = ir_.values[size_t(v)];
    if (from.device == device) return v;
    if (!from.device.placed()) {
      int id = dense_copy(v, sequence);
      ir_.values[size_t(id)].device = device;
      return id;
    }
    bool dense = is_contiguous(from.shape, from.view.strides);
    auto [it, fresh] = transfers_.try_emplace({v, int(device.kind) << 8 | device.index}, -1);
    if (!fresh) {
      Operation& before = ir_.operations[size_t(ir_.values[size_t(it->second)].operation)];
      keep_earliest(before, sequence);
      keep_earliest(before.inputs[0], sequence);  // a dense copy, made for it
      return it->second;
    }
    Operation op;
    op.primitive = Ref<const Primitive>(new Transfer(device));
    op.device = device;
    op.sequence = sequence;
    op.inputs.push_back(dense ? v : dense_copy(v, sequence));
    Value value;
    value.kind = ValueKind::operation;
    value.shape = ir_.values[size_t(v)].shape;
    value.dtype = ir_.values[size_t(v)].dtype;
    value.device = device;
    value.floating = floating;
    value.operation = int(ir_.operations.size());
    value.sequence = sequence;
    ir_.operations.push_back(std::move(op));
    int id = push(std::move(value));
    ir_.operations.back().outputs.push_back(id);
    return it->second = id;
  }

  // The first input where the second is, or anywhere, as that may be.
  int transferred_like(size_t place) {
    const Node& node = this->node(place);
    const Value& like = ir_.values[size_t(value_of_input(place, 1))];
    const bool anywhere = like.floating || !like.device.placed();
    int id = value_of_input(place, 0);
    if (like.device.placed()) id = transferred(id, like.device, node.sequence, anywhere);
    if (!anywhere || ir_.values[size_t(id)].floating) return id;
    id = view_value(node, ir_.values[size_t(id)].view, id);
    ir_.values[size_t(id)].floating = true;
    return id;
  }

  // The value of output `index` of the shared node at `at`.
  int output_of(size_t at, int index) {
    int op = numbers_[at];
    if (op < 0) return value_of_input(at, node(at).primitive->alias_of(index));
    if (auto more = extended_.find(at); more != extended_.end())
      index = more->second->primitive->extends()->outputs[size_t(index)];
    return ir_.operations[size_t(op)].outputs[size_t(index)];
  }

  // A primitive named by the hash of its parameters, over these inputs.
  static Hash extension_key(const Hash& primitive, const Node& node) {
    Hasher h;
    h.add(primitive);
    for (const NodeRef& input : node.inputs) h.add(static_cast<const void*>(input.get()));
    return h.finish();
  }

  // The node that computes all of `node` and more, if the capture has one. It reads the same inputs, so it can be
  // computed in the place of `node`.
  int extension_of(size_t at) {
    if (extensions_.empty() || !node(at).primitive->control()) return -1;
    Hasher h;
    node(at).primitive->hash(h);
    auto it = extensions_.find(extension_key(h.finish(), node(at)));
    return it == extensions_.end() || it->second == int(at) ? -1 : it->second;
  }

  // The operation of a node of several outputs; -1 where they only repeat inputs.
  int shared(size_t at) {
    const Node& node = this->node(at);
    if (int more = extension_of(at); more >= 0) {
      const Node& larger = this->node(size_t(more));
      int op = operation(size_t(more), larger.outputs->avals);
      Operation& made = ir_.operations[size_t(op)];
      made.sequence = std::min(made.sequence, node.sequence);
      for (int id : made.outputs) keep_earliest(id, node.sequence);
      extended_[at] = &larger;
      return op;
    }
    return node.primitive->kind() == Kind::alias ? -1 : operation(at, node.outputs->avals);
  }

  int operation(size_t place, std::span<const Aval> outputs) {
    const Node& node = this->node(place);
    Placed at = place_inputs(place);
    copy_constants(node, at);
    Hasher h = key_of(*node.primitive, at.inputs);
    for (const Aval& aval : outputs) {
      h.add(int(aval.dtype));
      h.add(aval.shape);
    }
    int& known = merged_operations_[h.finish()];
    if (known >= 0) {
      keep_earliest(ir_.operations[size_t(known)], node.sequence);
      return known;
    }
    int index = known = int(ir_.operations.size());
    Operation op;
    op.primitive = node.primitive;
    op.device = at.device;
    op.sequence = node.sequence;
    op.inputs = at.inputs;
    ir_.operations.push_back(std::move(op));
    for (const Aval& aval : outputs) {
      Value value;
      value.kind = ValueKind::operation;
      value.shape = aval.shape;
      value.dtype = aval.dtype;
      value.device = at.device;
      value.floating = at.floating;
      value.operation = index;
      value.sequence = node.sequence;
      int id = push(std::move(value));
      ir_.operations[size_t(index)].outputs.push_back(id);
    }
    return index;
  }

  // What is the same in every step of a loop lies as its readers prefer it: the copy is made once.
  void copy_constants(const Node& node, Placed& at) {
    if (node.primitive->kind() != Kind::opaque || at.device.kind == DeviceKind::any) return;
    auto constant = [&](const Value& v) {
      const Value& base = ir_.values[size_t(v.view.base)];
      return base.kind == ValueKind::leaf && ir_.leaves[size_t(base.leaf)].constant && v.inputs.empty() &&
             !is_contiguous(v.shape, v.view.strides);
    };
    std::vector<Layout> layouts;
    for (size_t i = 0; i < at.inputs.size(); ++i) {
      if (!constant(ir_.values[size_t(at.inputs[i])])) continue;
      if (layouts.empty())
        for (int input : at.inputs) {
          const Value& v = ir_.values[size_t(input)];
          layouts.push_back({v.shape, v.dtype, v.view.strides});
        }
      if (!backend(at.device).prefers_dense(*node.primitive, layouts, i)) continue;
      auto [it, fresh] = copies_.try_emplace(at.inputs[i], -1);
      if (fresh) it->second = dense_copy(at.inputs[i], node.sequence);
      keep_earliest(it->second, node.sequence);
      at.inputs[i] = it->second;
    }
  }

  int single(size_t place) {
    const Node& node = this->node(place);
    const Primitive& p = *node.primitive;
    Kind kind = p.kind();
    if (int index = output_index(node); index >= 0) return output_of(size_t(inputs_of(place)[0]), index);
    if (kind == Kind::alias) {
      int value = value_of_input(place, p.alias_of(0));
      return p.orders() ? barrier(place, value) : value;
    }
    if (kind == Kind::opaque || kind == Kind::control) {
      if (auto* transfer = dynamic_cast<const Transfer*>(&p))
        return transferred(value_of_input(place, 0), transfer->target(), node.sequence, false);
      if (dynamic_cast<const TransferLike*>(&p)) return transferred_like(place);
      Aval aval{node.shape, node.dtype};
      return ir_.operations[size_t(operation(place, {&aval, 1}))].outputs[0];
    }
    Placed at = place_inputs(place);
    Hasher h = key_of(p, at.inputs);
    h.add(int(node.dtype));
    h.add(node.shape);
    int& known = merged_[h.finish()];
    if (known >= 0)
      keep_earliest(known, node.sequence);
    else
      known = kind == Kind::view ? view(node, at.inputs[0]) : compute(node, kind, at);
    return known;
  }

  // Merged values count as created with the first of them, so that sequence order stays topological.
  void keep_earliest(int id, uint64_t sequence) {
    Value& value = ir_.values[size_t(id)];
    if (value.kind == ValueKind::leaf || value.sequence <= sequence) return;
    value.sequence = sequence;
    if (value.view.base != id) keep_earliest(value.view.base, sequence);
    if (value.kind == ValueKind::reduce) keep_earliest(value.inputs[0], sequence);  // the first part of a reduction
  }

  void keep_earliest(Operation& op, uint64_t sequence) {
    op.sequence = std::min(op.sequence, sequence);
    for (int id : op.outputs) keep_earliest(id, sequence);
  }

  int compute(const Node& node, Kind kind, const Placed& at) {
    if (kind == Kind::reduce && reduces_nothing(node)) return drop_axes(node, at.inputs[0]);
    Value value;
    value.kind = kind == Kind::reduce  ? ValueKind::reduce
                 : kind == Kind::index ? ValueKind::index
                                       : ValueKind::elementwise;
    value.opcode = node.primitive->opcode();
    value.dtype = node.dtype;
    value.shape = node.shape;
    value.sequence = node.sequence;
    value.device = at.device;
    value.floating = at.floating;
    value.inputs = SmallVector<int, 3>(at.inputs.begin(), at.inputs.end());
    if (kind == Kind::reduce) {
      value.reduce = node.primitive->reduce_op();
      for (int axis : node.primitive->reduce_axes()) value.axes.push_back(axis);
      split_reduction(value);
    }
    return push(std::move(value));
  }

  // Several reductions where one would not read in order. Short floats would be rounded in between. On a GPU threads
  // side by side read what is side by side, in whatever order each of them reads what is for one element.
  void split_reduction(Value& value) {
    if (is_half(value.dtype)) return;
    std::sort(value.axes.begin(), value.axes.end());
    int64_t reduced = 1;
    for (int axis : value.axes) reduced *= ir_.values[size_t(value.inputs[0])].shape[size_t(axis)];
    if (value.device.kind == DeviceKind::gpu && reduced <= kFewOnGpu) return;
    while (size_t first = axes_in_order(ir_.values[size_t(value.inputs[0])], value.axes)) {
      Value part = value;
      part.axes.resize(first);
      part.shape.clear();
      const Shape& shape = ir_.values[size_t(value.inputs[0])].shape;
      for (size_t i = 0; i < shape.size(); ++i)
        if (std::find(part.axes.begin(), part.axes.end(), int(i)) == part.axes.end()) part.shape.push_back(shape[i]);
      SmallVector<int, 4> rest;
      for (size_t i = first; i < value.axes.size(); ++i) rest.push_back(value.axes[i] - int(first));
      value.axes = std::move(rest);
      value.inputs[0] = push(std::move(part));
    }
  }

  static bool reduces_nothing(const Node& node) {
    for (int axis : node.primitive->reduce_axes())
      if (node.inputs[0]->shape[size_t(axis)] != 1) return false;
    return true;
  }

  // A reduction over axes of length 1 is a view, and a conversion where the dtype changes.
  int drop_axes(const Node& node, int input) {
    const Value& from = ir_.values[size_t(input)];
    View view{from.view.base, from.view.offset, {}};
    auto axes = node.primitive->reduce_axes();
    for (size_t i = 0; i < from.shape.size(); ++i)
      if (std::find(axes.begin(), axes.end(), int(i)) == axes.end()) view.strides.push_back(from.view.strides[i]);
    Dtype dtype = from.dtype;
    int id = view_value(node, std::move(view), input);
    if (dtype == node.dtype) return id;
    ir_.values[size_t(id)].dtype = dtype;
    id = dense_copy(id, node.sequence);
    ir_.values[size_t(id)].dtype = node.dtype;
    return id;
  }

  int view(const Node& node, int input) {
    View out;
    if (!place(node, input, out)) {
      input = dense_copy(input, node.sequence);
      if (!place(node, input, out))
        throw Error(cat(node.primitive->name(), ": cannot place shape ", node.shape, " over dense memory"));
    }
    return view_value(node, std::move(out), input);
  }

  bool place(const Node& node, int input, View& out) {
    const Value& from = ir_.values[size_t(input)];
    out.base = from.view.base;
    return node.primitive->view(from.shape, from.view.strides, from.view.offset, node.shape, out.strides, out.offset);
  }

  int view_value(const Node& node, View view, int input) {
    Value value;
    value.kind = ValueKind::view;
    value.dtype = node.dtype;
    value.shape = node.shape;
    value.sequence = node.sequence;
    value.view = std::move(view);
    const Value& from = ir_.values[size_t(input)];
    value.device = from.device;
    value.floating = from.floating;
    if (from.kind == ValueKind::view) value.inputs = from.inputs;
    return push(std::move(value));
  }

  // The same memory under a new number, so that what is computed from it is never merged with what came before.
  int barrier(size_t place, int input) {
    int id = view_value(node(place), ir_.values[size_t(input)].view, input);
    Value& value = ir_.values[size_t(id)];
    for (size_t i = 1; i < node(place).inputs.size(); ++i) value.inputs.push_back(value_of_input(place, int(i)));
    return id;
  }

  int dense_copy(int input, uint64_t sequence) {
    Value value;
    value.kind = ValueKind::elementwise;
    value.dtype = ir_.values[size_t(input)].dtype;
    value.shape = ir_.values[size_t(input)].shape;
    value.device = ir_.values[size_t(input)].device;
    if (!value.device.placed()) value.device = capture_.home;
    value.floating = ir_.values[size_t(input)].floating;
    value.sequence = sequence;
    value.inputs.push_back(input);
    return push(std::move(value));
  }

  // Results must not repeat elements in memory, nor lie inside a scalar's node.
  int owned(int id, const Node& node) {
    // What may be anywhere ends where its node says.
    const Device wanted = capture_.ends_at_home ? capture_.home : node.device;
    if (Device d = ir_.values[size_t(id)].device; d.placed() && wanted.placed() && d != wanted)
      id = transferred(id, wanted, node.sequence, false);
    const Value& value = ir_.values[size_t(id)];
    bool copied = false;
    for (size_t i = 0; i < value.shape.size(); ++i) copied |= value.view.strides[i] == 0 && value.shape[i] > 1;
    const Value& base = ir_.values[size_t(value.view.base)];
    if (base.kind == ValueKind::leaf && ir_.leaves[size_t(base.leaf)].scalar) copied |= !value.shape.empty();
    if (!copied) return id;
    auto [it, fresh] = copies_.try_emplace(id, -1);
    if (fresh) it->second = dense_copy(id, value.sequence);
    return it->second;
  }

  const Capture& capture_;
  Ir ir_;
  std::vector<int> first_;    // of the inputs of a node, among those of the capture
  std::vector<int> numbers_;  // values; of nodes of several outputs: operations, -1 for those that only repeat inputs
  Merged merged_, merged_operations_;
  std::unordered_map<int, int> copies_;
  std::map<std::pair<int, int>, int> transfers_;
  std::unordered_map<Hash, int, HashOfHash> extensions_;
  std::unordered_map<size_t, const Node*> extended_;
};

}  // namespace

Ir build_ir(const Capture& capture) { return Builder(capture).build(); }

View broadcast_view(const View& view, const Shape& from, const Shape& to) {
  View out;
  out.base = view.base;
  out.offset = view.offset;
  out.strides = Strides(to.size(), 0);
  size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) out.strides[lead + i] = from[i] == 1 ? 0 : view.strides[i];
  return out;
}

void collapse(const Shape& shape, const Strides& strides, Shape& out_shape, Strides& out_strides) {
  out_shape = shape;
  out_strides = strides;
  merge_axes(out_shape, {&out_strides});
}

}  // namespace funcnn
