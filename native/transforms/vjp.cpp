#include "transforms/vjp.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "graph/integers.h"
#include "graph/primitive.h"
#include "graph/record.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/pad.h"
#include "ops/rules.h"
#include "transforms/jvp.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

void check_rule(const Primitive& primitive, const Array& cotangent, const Array& input) {
  if (cotangent.shape() != input.shape() || cotangent.dtype() != input.dtype())
    throw Error(cat("the vjp rule of ", primitive.name(), " gave a cotangent of shape ", cotangent.shape(),
                    " and dtype ", cotangent.dtype(), " for an input of shape ", input.shape(), " and dtype ",
                    input.dtype()));
}

bool depend(const Walk& walk, Span inputs, Span values) {
  std::vector<char> moving = moving_values(walk, inputs, Follow::value);
  return std::any_of(values.begin(), values.end(), [&](const Array& x) {
    const uint32_t* slot = x ? walk.find(x.node()) : nullptr;
    return slot && moving[*slot];
  });
}

// What comes to each slot, added up. What slices and reading at computed places give is nothing but zero in most
// places: it is added when all is there.
class Sums {
 public:
  explicit Sums(size_t slots) : sums_(slots) {}
  void add(uint32_t slot, const Array& x) {
    const bool moves = moves_elements(x);
    if (moves && is_zero_padded(x))
      padded_[slot].push_back(x);
    else if (moves && is_scattered(x))
      scattered_[slot].push_back(x);
    else
      sums_[slot] = add_or_null(sums_[slot], x);
  }
  // Null if nothing came.
  Array take(uint32_t slot) {
    Array sum = std::move(sums_[slot]);
    add_all(sum, padded_, slot, add_padded);
    add_all(sum, scattered_, slot, add_scattered);
    return sum;
  }

 private:
  using Terms = std::unordered_map<uint32_t, Arrays>;
  static bool moves_elements(const Array& x) {
    std::lock_guard past(past_mutex());
    const Node& node = *x.node();
    return !node.available() && node.primitive && node.primitive->only_moves();
  }
  static void add_all(Array& sum, Terms& terms, uint32_t slot, Array (*total)(Span)) {
    auto mine = terms.find(slot);
    if (mine == terms.end()) return;
    sum = add_or_null(sum, total(mine->second));
    terms.erase(mine);
  }

  Arrays sums_;
  Terms padded_, scattered_;
};

}  // namespace

Arrays pull_back(Span inputs, Span outputs, Span cotangents, TraceId id, const NodeMap<Array>* values) {
  Walk walk = walk_between(inputs, outputs, id, values != nullptr);
  std::vector<char> moving = moving_values(walk, inputs);
  Sums sums(walk.size());
  std::vector<Arrays> shared;  // by slot: cotangents of the outputs of nodes with several
  auto value = [&](const NodeRef& node) {
    const Array* replaced = values ? values->find(node.get()) : nullptr;
    return replaced ? *replaced : Array(node);
  };
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!cotangents[i] || !has_derivative(outputs[i].dtype())) continue;
    if (const uint32_t* slot = walk.find(outputs[i].node())) sums.add(*slot, cotangents[i]);
  }
  Arrays in, out, from;
  SmallVector<bool, 8> needed;
  for (size_t i = walk.nodes.size(); i-- > 0;) {
    Node& node = *walk.nodes[i];
    size_t slot = walk.inputs + i;
    if (int index = output_index(node); index >= 0) {
      const Array ct = sums.take(uint32_t(slot));
      if (!ct || !moving[slot]) continue;
      uint32_t owner = *walk.find(node.inputs[0].get());
      if (shared.empty()) shared.resize(walk.size());
      shared[owner].resize(node.inputs[0]->outputs->size());
      Array& mine = shared[owner][size_t(index)];
      mine = add_or_null(mine, ct);
      continue;
    }
    from.clear();
    if (node.multi()) {
      if (shared.empty() || shared[slot].empty()) continue;
      from = std::move(shared[slot]);
    } else {
      Array ct = sums.take(uint32_t(slot));
      if (!ct) continue;
      from.push_back(std::move(ct));
    }
    in.clear();
    needed.clear();
    bool any = false;
    for (const NodeRef& input : node.inputs) {
      in.push_back(value(input));
      const uint32_t* from_slot = walk.find(input.get());
      needed.push_back(from_slot && moving[*from_slot]);
      any |= needed.back();
    }
    if (!any) continue;
    check_indices(*node.primitive, needed, "vjp");
    out.clear();
    Array self = value(NodeRef(&node));
    if (node.multi())
      for (size_t k = 0; k < node.outputs->size(); ++k) out.push_back(make_output(self.ref(), int(k)));
    else
      out.push_back(self);
    OriginScope origin(node, OriginScope::Rule::derivative);
    Arrays to = node.primitive->vjp({in, out, from, needed});
    for (size_t k = 0; k < to.size(); ++k) {
      if (!to[k] || !needed[k]) continue;
      // Rules for floats may leave the integers that they are asked about.
      if (IntegersMove::now() && to[k].dtype() != in[k].dtype()) to[k] = astype(to[k], in[k].dtype());
      check_rule(*node.primitive, to[k], in[k]);
      sums.add(*walk.find(node.inputs[k].get()), to[k]);
    }
  }
  Arrays result;
  result.reserve(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) result.push_back(sums.take(*walk.find(inputs[i].node())));
  return result;
}

Arrays transpose_rule(const TransposedRule& rule, Span stand_ins, Span outputs, Span cotangents, TraceId id) {
  Arrays results = pull_back(stand_ins, outputs, cotangents, id);
  Walk walk = walk_between(stand_ins, results, id, true);
  if (depend(walk, stand_ins, results))
    throw ValueError(cat(rule.primitive, rule.function.empty() ? "" : " of ", rule.function, ": ", rule.mode,
                         " transposes the rule, which is not linear in the ", rule.arguments,
                         ": it may scale and add them, but not multiply one by another, compare them or apply a "
                         "function that bends"));
  if (walk.nodes.empty()) return results;
  // A loop, for one, may mention them without use.
  Graph graph{Arrays(stand_ins.begin(), stand_ins.end()), {}};
  for (const Array& x : results)
    if (x) graph.outputs.push_back(x);
  Arrays zeros;
  for (const Array& x : stand_ins) zeros.push_back(zeros_like(x));
  Arrays replaced = substitute(graph, zeros);
  size_t next = 0;
  for (Array& x : results)
    if (x) x = replaced[next++];
  return results;
}

Graph vjp_graph(const Graph& graph, const std::vector<bool>& wanted) {
  Graph made{graph.inputs, {}};
  TraceId id = graph_trace(graph);
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the derivative of a graph"));
  Arrays cotangents;
  for (const Array& x : graph.outputs) {
    made.inputs.push_back(make_placeholder(x.shape(), x.dtype(), trace, id));
    cotangents.push_back(has_derivative(x.dtype()) ? made.inputs.back() : Array());
  }
  Arrays by;
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    if (wanted[i]) by.push_back(graph.inputs[i]);
  Arrays all = pull_back(by, graph.outputs, cotangents, id);
  for (size_t i = 0; i < all.size(); ++i) made.outputs.push_back(or_zeros(all[i], by[i].aval()));
  return made;
}

LinearMap::LinearMap(Span inputs, Span outputs, std::vector<Aval> out_avals, TraceId id)
    : out_avals_(std::move(out_avals)) {
  Arrays nonzero;
  for (const Array& x : outputs) {
    zero_.push_back(!x);
    if (x) nonzero.push_back(x);
  }
  graph_ = close_graph(inputs, nonzero, id, captured_, new Placeholder::Trace("a linearised function"));
}

Arrays LinearMap::operator()(Span arguments) const {
  Arrays all(arguments.begin(), arguments.end());
  all.insert(all.end(), captured_.begin(), captured_.end());
  Arrays nonzero = substitute(graph_, all), result;
  size_t next = 0;
  for (size_t i = 0; i < zero_.size(); ++i) result.push_back(zero_[i] ? or_zeros({}, out_avals_[i]) : nonzero[next++]);
  return result;
}

LinearMap vjp_map(Span inputs, Span outputs, TraceId id) {
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("vjp"));
  Arrays cotangents;
  for (const Array& x : outputs) cotangents.push_back(make_placeholder(x.shape(), x.dtype(), trace, scope.id()));
  std::vector<Aval> avals;
  for (const Array& x : inputs) avals.push_back(x.aval());
  Arrays back = pull_back(inputs, outputs, cotangents, id);
  trace->ended = true;
  return LinearMap(cotangents, back, std::move(avals), scope.id());
}

LinearMap jvp_map(Span inputs, Span outputs, TraceId id) {
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("linearize"));
  Arrays tangents, given;
  for (const Array& x : inputs) {
    tangents.push_back(make_placeholder(x.shape(), x.dtype(), trace, scope.id()));
    given.push_back(is_inexact(x.dtype()) ? tangents.back() : Array());
  }
  std::vector<Aval> avals;
  for (const Array& x : outputs) avals.push_back(x.aval());
  Arrays forward = push_forward(inputs, outputs, given, id);
  trace->ended = true;
  return LinearMap(tangents, forward, std::move(avals), scope.id());
}

}  // namespace funcnn
