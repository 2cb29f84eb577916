#include "transforms/segments.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "graph/primitive.h"
#include "transforms/checkpoint.h"

namespace funcnn {
namespace {

Array value(const NodeMap<Array>& values, const NodeRef& node) {
  const Array* found = values.find(node.get());
  return found ? *found : Array(node);
}

// Of a dear node, about.
double multiplications(const Node& node) {
  const Shape& first = node.multi() ? node.outputs->avals[0].shape : node.shape;
  if (double flops = node.primitive->flops(node.inputs[0]->shape, first)) return flops / 2;
  // Of matrices of m k, k n and m n elements m k n.
  double size = double(element_count(first)), product = size;
  for (size_t i = 0; i < 2; ++i) product *= double(i < node.inputs.size() ? node.inputs[i]->size() : size);
  return std::sqrt(product);
}

}  // namespace

Segmented::Segmented(const Graph& graph)
    : graph_(graph), id_(graph_trace(graph)), walk_(walk_between(graph.inputs, graph.outputs, id_, true)) {
  size_t n = nodes().size();
  last_use_.assign(n, 0);
  for (size_t i = 0; i < n; ++i)
    for (const NodeRef& input : nodes()[i]->inputs)
      if (auto at = position(input.get())) last_use_[*at] = std::max(last_use_[*at], i);
  for (const Array& output : graph.outputs)
    if (auto at = position(output.node())) last_use_[*at] = n;
}

Arrays Segmented::build(Span arguments, const Choice& choice) const {
  NodeMap<Array> values(nodes().size() * 2);
  for (size_t i = 0; i < arguments.size(); ++i) values[graph_.inputs[i].node()] = arguments[i];
  run(choice, values);
  Arrays outputs;
  for (const Array& x : graph_.outputs) outputs.push_back(value(values, x.ref()));
  return outputs;
}

std::vector<std::optional<size_t>> Segmented::live_bytes() const {
  size_t n = nodes().size();
  std::vector<int64_t> change(n + 2, 0);
  std::vector<int> blocked(n + 2, 0);
  for (size_t i = 0; i < n; ++i) {
    const Node& node = *nodes()[i];
    if (node.multi()) {
      ++blocked[i + 1];
      --blocked[last_use_[i] + 1];
      continue;
    }
    size_t from = i + 1;
    Kind kind = node.primitive->kind();
    if (kind == Kind::view || kind == Kind::alias)  // while its base lives it takes no memory of its own
      if (auto base = position(node.inputs[0].get()); base && !nodes()[*base]->multi())
        from = std::max(from, last_use_[*base] + 1);
    if (from > last_use_[i]) continue;
    int64_t bytes = node.size() * int64_t(item_size(node.dtype));
    change[from] += bytes;
    change[last_use_[i] + 1] -= bytes;
  }
  std::vector<std::optional<size_t>> live(n + 1);
  int64_t bytes = 0;
  int blocks = 0;
  for (size_t p = 1; p <= n; ++p) {
    bytes += change[p];
    blocks += blocked[p];
    if (blocks == 0) live[p] = size_t(bytes);
  }
  return live;
}

double Segmented::work(size_t begin, size_t end, bool dots) const {
  constexpr double elementwise = 16;  // memory is slower than arithmetic
  double total = 0;
  for (size_t i = begin; i < end; ++i) {
    const Node& node = *nodes()[i];
    Kind kind = node.primitive->kind();
    double size = double(node.size());
    if (is_dot(node))
      total += dots ? multiplications(node) : 0;
    else if (kind != Kind::view && kind != Kind::alias)
      total += elementwise * size;
  }
  return total;
}

std::optional<size_t> Segmented::position(const Node* node) const {
  const uint32_t* slot = walk_.find(node);
  if (!slot || *slot < walk_.inputs) return std::nullopt;
  return *slot - walk_.inputs;
}

void Segmented::run_plainly(size_t begin, size_t end, NodeMap<Array>& values) const {
  Arrays inputs;
  for (size_t i = begin; i < end; ++i) {
    inputs.clear();
    for (const NodeRef& input : nodes()[i]->inputs) inputs.push_back(value(values, input));
    values[nodes()[i]] = Array(remake_node(*nodes()[i], inputs));
  }
}

void Segmented::run(const Choice& choice, NodeMap<Array>& values) const {
  for (size_t i = 0; i < choice.size(); ++i) {
    const Segment& segment = choice[i];
    if (segment.mode == Mode::store && segment.parts.empty())
      run_plainly(segment.begin, segment.end, values);
    else
      run_checkpointed(segment, cat("recompute segment ", i + 1, " of ", choice.size()), values);
  }
}

void Segmented::run_checkpointed(const Segment& segment, std::string label, NodeMap<Array>& values) const {
  // The segment as a graph of its own.
  Graph graph;
  NodeMap<Array> inner((segment.end - segment.begin) * 2);
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("checkpoint"));
  Arrays arguments;
  std::vector<const Node*> outputs, saved;
  auto stand_in = [&](const NodeRef& node) {
    const Array* outer = values.find(node.get());
    if (!outer || inner.contains(node.get())) return;
    auto at = position(node.get());
    if (at && *at >= segment.begin) return;
    graph.inputs.push_back(make_placeholder(node->shape, node->dtype, trace, id_));
    inner[node.get()] = graph.inputs.back();
    arguments.push_back(*outer);
  };
  for (size_t i = segment.begin; i < segment.end; ++i) {
    Node* node = nodes()[i];
    for (const NodeRef& input : node->inputs) stand_in(input);
    if (last_use_[i] >= segment.end && !node->multi())
      outputs.push_back(node);
    else if (segment.mode == Mode::save_dots && is_dot(*node))
      saved.push_back(node);
  }
  if (segment.parts.empty())
    run_plainly(segment.begin, segment.end, inner);
  else
    run(segment.parts, inner);
  for (const Node* node : outputs) graph.outputs.push_back(*inner.find(node));
  for (const Node* node : saved) append_values(inner.find(node)->ref(), graph.outputs);

  Arrays computed = substitute(graph, arguments);
  Span all(computed);
  Arrays made =
      recomputed(std::move(graph), arguments, all.first(outputs.size()), all.subspan(outputs.size()), std::move(label));
  for (size_t i = 0; i < outputs.size(); ++i) values[outputs[i]] = made[i];
}

}  // namespace funcnn
