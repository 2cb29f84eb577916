#include "plan/capture.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "graph/trace.h"
#include "graph/transfer.h"
#include "plan/backend.h"

namespace funcnn {
namespace {

// A leaf's number is -1 - index, a computed node's its index.
constexpr int leaf_number(size_t index) { return -1 - int(index); }

class Collector {
 public:
  explicit Collector(Capture& out) : out_(out) {
    constexpr size_t kFew = 16;
    out_.order.reserve(kFew);
    out_.inputs.reserve(2 * kFew);
    out_.leaves.reserve(kFew);
    out_.classes.reserve(kFew / 2);  // so little that the allocator has it at hand
  }

  void add_leaf(Node* node, LeafClass c) {
    bool fresh;
    Entry& entry = entries_.insert(node, fresh);
    entry.number = leaf_number(out_.leaves.size());
    out_.leaves.push_back(node);
    out_.classes.push_back(std::move(c));
  }

  // `evaluating`: refuse abstract nodes and adopt results that shared nodes already have.
  void run(Span roots, bool evaluating) {
    for (const Array& root : roots) {
      if (!root) continue;
      enter(root.node(), evaluating);
      while (!stack_.empty()) {
        auto& [node, next] = stack_.back();
        if (next < node->inputs.size()) {
          Node* input = node->inputs[next++].get();
          enter(input, evaluating);
        } else {
          finish(node);
          stack_.pop_back();
        }
      }
    }
  }

  int uses(const Node* node) const { return entries_.find(node)->uses; }
  int number(const Node* node) const { return entries_.find(node)->number; }
  Hasher hasher;

 private:
  struct Entry {
    int number = 0;
    int uses = 0;
  };

  void enter(Node* node, bool evaluating) {
    bool fresh;
    Entry& entry = entries_.insert(node, fresh);
    ++entry.uses;
    if (!fresh) return;
    if (!node->available() && evaluating) {
      if (node->abstract) throw_traced_value(*node, "eval");
      adopt_result(*node);
    }
    if (node->lost())
      throw ValueError(
          cat("an array of shape ", node->shape, " and dtype ", dtype_name(node->dtype),
              " holds nothing any more: it was donated to a compiled function, whose result to use instead, or an "
              "evaluation that was to overwrite it was interrupted"));
    bool computed = node->available() && !node->multi();
    if (node->multi() && !node->primitive) throw Error("eval: an output of a node that was let go");
    if (computed || !node->primitive || node->primitive->kind() == Kind::leaf) {
      entry.number = leaf_number(out_.leaves.size());
      out_.leaves.push_back(node);
      out_.classes.push_back(classify(*node));
      return;
    }
    stack_.emplace_back(node, 0);
  }

  void adopt_result(Node& node) {
    if (node.output < 0 || node.inputs.empty() || !node.inputs[0]->available()) return;
    // A value whose readers had gone when it was computed is computed again.
    const std::optional<Storage>& computed = node.inputs[0]->outputs->values[size_t(node.output)];
    if (!computed) return;
    node.publish(*computed);
    out_.adopted.push_back(&node);
  }

  void finish(Node* node) {
    entries_[node].number = int(out_.order.size());
    out_.order.push_back(node);
    hasher.add(static_cast<const void*>(node->primitive->name().data()));
    node->primitive->hash(hasher);
    uint64_t packed = uint64_t(node->dtype) | uint64_t(node->inputs.size()) << 8 | uint64_t(node->shape.size()) << 32;
    hasher.add(packed);
    for (int64_t d : node->shape) hasher.add(d);
    for (const NodeRef& input : node->inputs) {
      out_.inputs.push_back(entries_.find(input.get())->number);
      hasher.add(out_.inputs.back());
    }
  }

  Capture& out_;
  NodeMap<Entry> entries_{32};
  SmallVector<std::pair<Node*, uint32_t>, 16> stack_;
};

bool is_transfer(const Node* node) {
  const Primitive* p = node->primitive.get();
  return p->kind() == Kind::opaque && (dynamic_cast<const Transfer*>(p) || dynamic_cast<const TransferLike*>(p));
}

// Where most of what is asked for is likely to be. Where something is moved says nothing of where the rest is computed,
// and what is moved from the host nothing of the host.
Device home_of(Span roots, const Capture& c) {
  std::optional<bool> known;  // which most evaluations need not find out
  auto moves = [&] {
    if (!known) known = std::any_of(c.order.begin(), c.order.end(), is_transfer);
    return *known;
  };
  for (const Array& root : roots)
    if (root && root.node()->device.placed() && !moves()) return root.node()->device;
  for (const LeafClass& leaf : c.classes)
    if (leaf.device.placed() && !leaf.floating && !(leaf.device == kCpu && moves())) return leaf.device;
  Device home = default_device();
  // What nothing places, and the device does not have the dtype of.
  for (const Array& root : roots)
    if (root && !root.node()->device.placed() && root.dtype() == Dtype::float64 &&
        !backend(home).limits().has(Dtype::float64))
      return kCpu;
  return home;
}

void hash_classes(Hasher& h, const Capture& c) {
  h.add(unsigned(c.home.kind) | unsigned(c.home.index) << 8 | unsigned(c.ends_at_home) << 16);
  for (const LeafClass& leaf : c.classes) {
    bool dense = is_contiguous(leaf.shape, leaf.strides);
    h.add(uint64_t(leaf.dtype) | uint64_t(leaf.scalar) << 8 | uint64_t(leaf.disposable) << 9 | uint64_t(dense) << 10 |
          uint64_t(leaf.floating) << 11 | uint64_t(leaf.constant) << 12 | uint64_t(leaf.device.kind) << 16 |
          uint64_t(leaf.device.index) << 24 | uint64_t(leaf.shape.size()) << 32);
    for (int64_t d : leaf.shape) h.add(d);
    if (!dense)
      for (int64_t s : leaf.strides) h.add(s);
  }
}

}  // namespace

bool is_sole_owner(const Storage& storage, const Shape& shape) {
  const Ref<Buffer>& buffer = storage.buffer;
  return buffer && buffer->use_count() == 1 && buffer->owned() && storage.offset == 0 &&
         is_contiguous(shape, storage.strides);
}

LeafClass classify(const Node& leaf) {
  LeafClass c;
  c.shape = leaf.shape;
  c.dtype = leaf.dtype;
  c.scalar = leaf.is_scalar();
  bool placed = leaf.state() == NodeState::computed;
  if (!c.scalar) c.device = placed ? leaf.storage.buffer->device() : leaf.device;
  c.floating = placed && !leaf.device.placed();
  c.strides = placed ? leaf.storage.strides : contiguous_strides(leaf.shape);
  return c;
}

Capture capture_eval(Span roots) {
  Capture out;
  Collector collector(out);
  collector.run(roots, true);
  if (out.order.empty()) return out;
  Hasher& h = collector.hasher;
  NodeMap<char> asked(roots.size() * 2 + 1);
  for (const Array& root : roots)
    if (root) asked[root.node()] = 1;
  bool tracing = false;
  for (size_t i = 0; i < out.order.size(); ++i) {
    Node* node = out.order[i];
    bool root = asked.contains(node);
    // The collector itself counts one use for each root.
    int held = int(node->use_count()) - collector.uses(node);
    if (root || held > 0) {
      out.results.push_back(node);
      out.places.push_back(int(i));
      h.add(uint64_t(i));
      h.add(unsigned(node->device.kind) | unsigned(node->device.index) << 8);
    }
    tracing |= keeps_past(*node);
  }
  for (size_t i = 0; i < out.leaves.size(); ++i) {
    const Node& leaf = *out.leaves[i];
    LeafClass& c = out.classes[i];
    c.disposable = !tracing && int(leaf.use_count()) == collector.uses(&leaf) &&
                   is_sole_owner(leaf.storage, leaf.shape) && !asked.contains(&leaf);
    c.asked_again = true;
  }
  out.home = home_of(roots, out);
  hash_classes(h, out);
  out.key = h.finish();
  return out;
}

Capture capture_graph(const Graph& graph, std::vector<LeafClass> input_classes, Device home) {
  Capture out;
  Collector collector(out);
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    collector.add_leaf(graph.inputs[i].node(), std::move(input_classes[i]));
  collector.run(graph.outputs, false);
  NodeMap<char> asked(graph.outputs.size() * 2 + 1);
  for (const Array& output : graph.outputs) {
    bool fresh;
    asked.insert(output.node(), fresh);
    int number = fresh ? collector.number(output.node()) : -1;
    if (number < 0) continue;
    out.results.push_back(output.node());
    out.places.push_back(number);
  }
  // An input that is also an output stays as it is.
  for (size_t i = 0; i < out.leaves.size(); ++i)
    if (asked.contains(out.leaves[i])) out.classes[i].disposable = false;
  for (int place : out.places) collector.hasher.add(place);
  out.ends_at_home = home.placed();
  out.home = home.placed() ? home : home_of(graph.outputs, out);
  hash_classes(collector.hasher, out);
  out.key = collector.hasher.finish();
  return out;
}

std::vector<int> output_places(const Graph& graph, const Capture& capture) {
  NodeMap<int> places(capture.leaves.size() + capture.results.size());
  for (size_t i = 0; i < capture.leaves.size(); ++i) places[capture.leaves[i]] = leaf_number(i);
  for (size_t i = 0; i < capture.results.size(); ++i) places[capture.results[i]] = int(i);
  std::vector<int> out;
  for (const Array& output : graph.outputs) out.push_back(*places.find(output.node()));
  return out;
}

}  // namespace funcnn
