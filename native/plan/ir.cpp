#include "plan/ir.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "graph/control.h"
#include "graph/transfer.h"

namespace funcnn {
namespace {

class Builder {
 public:
  explicit Builder(const Capture& capture) : capture_(capture) { ir_.leaves = capture.classes; }

  Ir build() {
    for (Node* node : capture_.order)
      if (const Extension* e = node->primitive->extends()) extensions_[extension_key(e->of, *node)] = node;
    for (size_t i = 0; i < capture_.leaves.size(); ++i) numbers_[capture_.leaves[i]] = leaf(i);
    for (Node* node : capture_.order) {
      if (node->multi())
        shared(*node);
      else
        numbers_[node] = single(*node);
    }
    for (Node* node : capture_.results) {
      SmallVector<int, 1> values;
      if (node->multi()) {
        for (size_t i = 0; i < node->outputs->size(); ++i) values.push_back(owned(output_of(*node, int(i)), *node));
      } else {
        values.push_back(owned(*numbers_.find(node), *node));
      }
      ir_.results.push_back(std::move(values));
    }
    return std::move(ir_);
  }

 private:
  int push(Value value) {
    int id = int(ir_.values.size());
    if (value.kind != ValueKind::view) {
      value.view.base = id;
      if (value.kind != ValueKind::leaf) value.view.strides = contiguous_strides(value.shape);
    }
    ir_.values.push_back(std::move(value));
    return id;
  }

  int leaf(size_t index) {
    const LeafClass& c = capture_.classes[index];
    Value value;
    value.shape = c.shape;
    value.dtype = c.dtype;
    value.leaf = int(index);
    value.device = c.scalar || c.device.placed() ? c.device : capture_.home;
    value.floating = c.floating;
    value.view.strides = c.strides;
    return push(std::move(value));
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
  Placed place_inputs(const Node& node) {
    Placed out;
    for (const NodeRef& input : node.inputs) {
      int v = *numbers_.find(input.get());
      out.inputs.push_back(v);
      const Value& value = ir_.values[size_t(v)];
      if (!value.device.placed()) continue;
      if (!out.device.placed() || (out.floating && !value.floating)) out.device = value.device;
      out.floating &= value.floating;
    }
    if (out.floating && node.device.placed()) {
      out.device = node.device;
      out.floating = false;
    }
    if (!out.device.placed()) out.device = capture_.home;
    for (int& v : out.inputs)
      if (Device d = ir_.values[size_t(v)].device; d.placed() && d != out.device) v = moved(v, out.device, node);
    return out;
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
      keep_earliest(it->second, sequence);
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

  int operation_of(const Node& shared) { return *operations_.find(&shared); }

  // The value of output `index` of a shared node.
  int output_of(const Node& shared, int index) {
    int op = operation_of(shared);
    if (op < 0) return *numbers_.find(shared.inputs[size_t(shared.primitive->alias_of(index))].get());
    if (Node const* const* more = extended_.find(&shared))
      index = (*more)->primitive->extends()->outputs[size_t(index)];
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
  const Node* extension_of(const Node& node) {
    if (extensions_.empty() || !node.primitive->control()) return nullptr;
    Hasher h;
    node.primitive->hash(h);
    auto it = extensions_.find(extension_key(h.finish(), node));
    return it == extensions_.end() || it->second == &node ? nullptr : it->second;
  }

  void shared(const Node& node) {
    if (const Node* more = extension_of(node)) {
      int op = operation(*more, more->outputs->avals);
      operations_[more] = op;
      Operation& made = ir_.operations[size_t(op)];
      made.sequence = std::min(made.sequence, node.sequence);
      for (int id : made.outputs) keep_earliest(id, node.sequence);
      operations_[&node] = op;
      extended_[&node] = more;
      return;
    }
    if (node.primitive->kind() == Kind::alias) {
      operations_[&node] = -1;
      return;
    }
    operations_[&node] = operation(node, node.outputs->avals);
  }

  int operation(const Node& node, const std::vector<Aval>& outputs) {
    Placed at = place_inputs(node);
    Hasher h = key_of(*node.primitive, at.inputs);
    for (const Aval& aval : outputs) {
      h.add(int(aval.dtype));
      h.add(aval.shape);
    }
    auto [it, fresh] = merged_operations_.try_emplace(h.finish(), int(ir_.operations.size()));
    if (!fresh) {
      Operation& op = ir_.operations[size_t(it->second)];
      op.sequence = std::min(op.sequence, node.sequence);
      for (int id : op.outputs) keep_earliest(id, node.sequence);
      return it->second;
    }
    int index = int(ir_.operations.size());
    Operation op;
    op.primitive = node.primitive;
    op.device = at.device;
    op.sequence = node.sequence;
    op.inputs = at.inputs;
    ir_.operations.push_back(op);
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

  int single(const Node& node) {
    const Primitive& p = *node.primitive;
    Kind kind = p.kind();
    if (int index = output_index(node); index >= 0) return output_of(*node.inputs[0], index);
    if (kind == Kind::alias) {
      int value = *numbers_.find(node.inputs[size_t(p.alias_of(0))].get());
      return p.orders() ? barrier(node, value) : value;
    }
    if (auto* transfer = dynamic_cast<const Transfer*>(&p))
      return transferred(*numbers_.find(node.inputs[0].get()), transfer->target(), node.sequence, false);
    if (kind == Kind::opaque || kind == Kind::control) {
      int op = operation(node, {Aval{node.shape, node.dtype}});
      return ir_.operations[size_t(op)].outputs[0];
    }
    Placed at = place_inputs(node);
    Hasher h = key_of(p, at.inputs);
    h.add(int(node.dtype));
    h.add(node.shape);
    auto [it, fresh] = merged_.try_emplace(h.finish(), -1);
    if (!fresh) {
      keep_earliest(it->second, node.sequence);
      return it->second;
    }
    // `it` may move while values are added.
    Hash key = it->first;
    int made = kind == Kind::view ? view(node, at.inputs[0]) : compute(node, kind, at);
    return merged_[key] = made;
  }

  // Merged values count as created with the first of them, so that sequence order stays topological.
  void keep_earliest(int id, uint64_t sequence) {
    Value& value = ir_.values[size_t(id)];
    if (value.kind == ValueKind::leaf || value.sequence <= sequence) return;
    value.sequence = sequence;
    if (value.view.base != id) keep_earliest(value.view.base, sequence);
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
    }
    return push(std::move(value));
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
  int barrier(const Node& node, int input) {
    int id = view_value(node, ir_.values[size_t(input)].view, input);
    Value& value = ir_.values[size_t(id)];
    for (size_t i = 1; i < node.inputs.size(); ++i) value.inputs.push_back(*numbers_.find(node.inputs[i].get()));
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
    if (Device d = ir_.values[size_t(id)].device; d.placed() && node.device.placed() && d != node.device)
      id = transferred(id, node.device, node.sequence, false);
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
  NodeMap<int> numbers_{64};
  NodeMap<int> operations_{16};  // shared nodes: their operation, -1 for those that only repeat inputs
  std::unordered_map<Hash, int, HashOfHash> merged_, merged_operations_;
  std::unordered_map<int, int> copies_;
  std::map<std::pair<int, int>, int> transfers_;
  std::unordered_map<Hash, const Node*, HashOfHash> extensions_;
  NodeMap<const Node*> extended_{16};
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
