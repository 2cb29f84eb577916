#include "transforms/checkpoint.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "graph/primitive.h"
#include "graph/record.h"
#include "graph/trace.h"
#include "ops/annotate.h"
#include "ops/rules.h"
#include "transforms/budget.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"
#include "transforms/vmap.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

// Inputs: arguments of the graph, outputs, saved values.
class Checkpoint final : public Primitive {
 public:
  Checkpoint(Graph graph, size_t outputs, std::string label)
      : graph_(std::move(graph)), outputs_(outputs), label_(std::move(label)) {}
  std::string_view name() const override { return "checkpoint"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int output) const override { return int(arguments()) + output; }
  void hash(Hasher& h) const override {
    h.add(std::string_view(label_));
    h.add(uint64_t(graph_.outputs.size() - outputs_));
  }
  std::string parameters() const override {
    std::string text = label_;
    if (size_t saved = graph_.outputs.size() - outputs_) text += cat(text.empty() ? "" : ", ", "saves ", saved);
    return text;
  }
  std::vector<const Graph*> graphs() const override { return {&graph_}; }

  Arrays vjp(const VjpContext& v) const override {
    Arrays after;
    for (const Array& ct : v.cotangents)
      if (ct) after.push_back(ct);
    // Nothing is computed again before a cotangent arrives, nor merged with the first computation.
    NodeMap<Array> values(64);
    for (size_t i = 0; i < arguments(); ++i) values[graph_.inputs[i].node()] = barrier(v.inputs[i], after);
    std::vector<std::pair<const Node*, Arrays>> shared;  // nodes with several outputs, and those that are saved
    for (size_t i = outputs_; i < graph_.outputs.size(); ++i) {
      const Node* node = graph_.outputs[i].node();
      if (values.contains(node)) continue;
      Array saved = barrier(v.inputs[arguments() + i], after);
      values[node] = saved;
      if (int index = output_index(*node); index >= 0) {
        const Node* owner = node->inputs[0].get();
        if (shared.empty() || shared.back().first != owner) shared.emplace_back(owner, Arrays(owner->outputs->size()));
        shared.back().second[size_t(index)] = saved;
      }
    }
    for (const auto& [owner, outputs] : shared)
      if (std::all_of(outputs.begin(), outputs.end(), [](const Array& x) { return bool(x); }))
        values[owner] = Array(together(outputs)[0].node()->inputs[0]);
    recompute(values);
    Arrays by, to(v.inputs.size());
    for (size_t i = 0; i < arguments(); ++i)
      if (v.needed[i]) by.push_back(graph_.inputs[i]);
    Arrays found = pull_back(by, Span(graph_.outputs).first(outputs_), v.cotangents, graph_trace(graph_), &values);
    for (size_t i = 0, next = 0; i < arguments(); ++i)
      if (v.needed[i]) to[i] = found[next++];
    return to;
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span) const override {
    std::vector<bool> moving, moved;
    Arrays primals(inputs.begin(), inputs.begin() + std::ptrdiff_t(arguments()));
    for (size_t i = 0; i < arguments(); ++i) {
      moving.push_back(bool(tangents[i]));
      if (tangents[i]) primals.push_back(tangents[i]);
    }
    Graph wider = jvp_graph(graph_, moving, moved);
    // The engine has mapped the outputs already: their tangents are those of our inputs.
    Graph ordered{wider.inputs, {}};
    Arrays outputs, saved;
    auto take = [&](size_t from, size_t to, Arrays& values) {
      for (size_t i = from; i < to; ++i) {
        ordered.outputs.push_back(wider.outputs[i]);
        values.push_back(inputs[arguments() + i]);
      }
      size_t next = size_t(std::count(moved.begin(), moved.begin() + std::ptrdiff_t(from), true));
      for (size_t i = from; i < to; ++i) {
        if (!moved[i]) continue;
        ordered.outputs.push_back(wider.outputs[moved.size() + next++]);
        values.push_back(or_zeros(tangents[arguments() + i], inputs[arguments() + i].aval()));
      }
    };
    take(0, outputs_, outputs);
    take(outputs_, moved.size(), saved);
    Arrays made = recomputed(std::move(ordered), primals, outputs, saved, label_);
    Arrays result;
    size_t next = outputs_;
    for (size_t i = 0; i < outputs_; ++i) result.push_back(moved[i] ? made[next++] : Array());
    return result;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    std::vector<bool> mask(batched.begin(), batched.begin() + std::ptrdiff_t(arguments()));
    std::vector<bool> mapped(batched.begin() + std::ptrdiff_t(arguments()), batched.end());
    Graph wider = batch_graph(graph_, mask, size, mapped);
    Arrays values;
    for (size_t i = 0; i < mapped.size(); ++i) {
      const Array& x = inputs[arguments() + i];
      values.push_back(mapped[i] ? with_batch_axis(x, batched[arguments() + i], size) : x);
    }
    Batched result;
    result.outputs = recomputed(std::move(wider), inputs.first(arguments()), Span(values).first(outputs_),
                                Span(values).subspan(outputs_), label_);
    for (size_t i = 0; i < outputs_; ++i) result.batched.push_back(mapped[i]);
    return result;
  }

 private:
  size_t arguments() const { return graph_.inputs.size(); }

  // Values of all nodes of the graph from those of its inputs, keeping those that are given.
  void recompute(NodeMap<Array>& values) const {
    Walk walk = walk_between(graph_.inputs, graph_.outputs, graph_trace(graph_), true);
    Arrays in;
    for (Node* node : walk.nodes) {
      if (values.contains(node)) continue;
      in.clear();
      for (const NodeRef& input : node->inputs) {
        const Array* value = values.find(input.get());
        in.push_back(value ? *value : Array(input));
      }
      OriginScope origin(*node, OriginScope::Rule::copy);
      values[node] = Array(remake_node(*node, in));
    }
  }

  Graph graph_;
  size_t outputs_;
  std::string label_;
};

}  // namespace

bool is_dot(const Node& node) { return node.primitive && node.primitive->dear(); }

void append_values(const NodeRef& node, Arrays& values) {
  if (!node->multi()) return values.push_back(Array(node));
  for (size_t k = 0; k < node->outputs->size(); ++k) values.push_back(make_output(node, int(k)));
}

Arrays recomputed(Graph graph, Span arguments, Span outputs, Span saved, std::string label) {
  std::vector<Aval> avals;
  TraceId id = 0;
  Arrays inputs(arguments.begin(), arguments.end());
  for (const Array& x : arguments) id = join_traces(id, x.node()->trace);
  for (const Array& x : outputs) {
    inputs.push_back(x);
    avals.push_back(x.aval());
  }
  inputs.insert(inputs.end(), saved.begin(), saved.end());
  if (outputs.empty()) return {};
  Arrays made = make_nodes(Ref<const Primitive>(new Checkpoint(std::move(graph), outputs.size(), std::move(label))),
                           inputs, std::move(avals));
  // The trace of the graph has ended; walks of outer traces need not enter on its account.
  made[0].node()->inputs[0]->trace = id;
  for (const Array& x : made) x.node()->trace = id;
  return made;
}

Arrays checkpoint(const std::function<Arrays(Span)>& f, Span arguments, const CheckpointPolicy& policy) {
  using Keep = CheckpointPolicy::Keep;
  if (policy.keep == Keep::everything ||
      (!current_trace() && std::none_of(arguments.begin(), arguments.end(), is_traced))) {
    Arrays given(arguments.begin(), arguments.end());
    return f(given);
  }
  TraceScope scope;
  Arrays inputs;
  for (const Array& x : arguments) inputs.push_back(trace_input(x, scope.id()));
  uint64_t since = next_node_sequence();
  Arrays outputs = f(inputs), saved;
  if (policy.keep == Keep::dots || policy.keep == Keep::names) {
    std::lock_guard past(past_mutex());
    for (Node* node : topological_order(outputs, [&](Node& n) { return n.sequence >= since; })) {
      bool wanted = policy.keep == Keep::dots ? is_dot(*node) : policy.names.contains(checkpoint_name_of(*node));
      if (wanted) append_values(NodeRef(node), saved);
    }
  }
  Arrays all = outputs, captured;
  all.insert(all.end(), saved.begin(), saved.end());
  Graph graph = close_graph(inputs, all, scope.id(), captured, new Placeholder::Trace("checkpoint"), since);
  Arrays primals(arguments.begin(), arguments.end());
  primals.insert(primals.end(), captured.begin(), captured.end());
  if (policy.keep == Keep::budget) return within_budget(graph, primals, policy);
  return recomputed(std::move(graph), primals, outputs, saved);
}

}  // namespace funcnn
