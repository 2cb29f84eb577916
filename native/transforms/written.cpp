#include "transforms/written.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "graph/control.h"
#include "graph/primitive.h"
#include "graph/trace.h"
#include "transforms/control.h"
#include "transforms/written_operations.h"

namespace funcnn {
namespace {

// ---- control flow

std::string control_text(const Control& c) {
  return cat("carries=", c.carries, ", sequences=", c.sequences, ", length=", c.length,
             c.reverse ? ", reverse=True" : "");
}

Graph closed(const WrittenGraph& graph) {
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the body of an imported loop"));
  Arrays inputs, captured;
  for (const Aval& a : graph.inputs) inputs.push_back(make_placeholder(a.shape, a.dtype, trace, scope.id()));
  Graph made = close_graph(inputs, read_graph(graph, inputs), scope.id(), captured, trace);
  require(captured.empty(), "a loop");
  return made;
}

bool same_avals(Span a, Span b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const Array& x, const Array& y) { return x.aval() == y.aval(); });
}

Arrays remake_scan(const Parameters& p, Span in, Graph body) {
  size_t carries = size_t(p.integer("carries")), sequences = size_t(p.integer("sequences"));
  int64_t length = p.integer("length");
  require(carries <= in.size() && sequences <= in.size() - carries && body.inputs.size() == in.size() && length >= 0 &&
              body.outputs.size() >= carries,
          "scan");
  Span given(body.inputs), made(body.outputs);
  require(same_avals(in.first(carries), given.first(carries)) && same_avals(in.first(carries), made.first(carries)),
          "scan");
  require(same_avals(in.subspan(carries + sequences), given.subspan(carries + sequences)), "scan");
  for (size_t i = carries; i < carries + sequences; ++i) {
    Aval element = given[i].aval();
    element.shape.insert(element.shape.begin(), length);
    require(in[i].aval() == element, "scan");
  }
  return scan(std::move(body), in.first(carries), in.subspan(carries, sequences), in.subspan(carries + sequences),
              length, p.has("reverse=True"));
}

Arrays remake_cond(Span in, Graph if_true, Graph if_false) {
  require(!in.empty() && in[0].aval() == Aval{{}, Dtype::bool_} && same_avals(in.subspan(1), if_true.inputs) &&
              same_avals(in.subspan(1), if_false.inputs) && same_avals(if_true.outputs, if_false.outputs),
          "cond");
  return cond(in[0], std::move(if_true), std::move(if_false), in.subspan(1));
}

Arrays remake_while(const Parameters& p, Span in, Graph condition, Graph body) {
  size_t carries = size_t(p.integer("carries"));
  require(carries <= in.size() && same_avals(in, condition.inputs) && same_avals(in, body.inputs) &&
              same_avals(in.first(carries), body.outputs) && condition.outputs.size() == 1 &&
              condition.outputs[0].aval() == Aval{{}, Dtype::bool_},
          "while_loop");
  return while_loop(std::move(condition), std::move(body), in.first(carries), in.subspan(carries));
}

Arrays remake_control(const WrittenNode& n, Span in) {
  std::vector<Graph> graphs;
  for (const WrittenGraph& g : n.graphs) graphs.push_back(closed(g));
  Parameters p(n.parameters);
  require(graphs.size() == (n.name == "scan" ? 1 : 2), n.name.c_str());
  Arrays made = n.name == "scan"   ? remake_scan(p, in, std::move(graphs[0]))
                : n.name == "cond" ? remake_cond(in, std::move(graphs[0]), std::move(graphs[1]))
                                   : remake_while(p, in, std::move(graphs[0]), std::move(graphs[1]));
  require(made.size() == n.outputs.size(), n.name.c_str());
  for (size_t i = 0; i < made.size(); ++i) require(made[i].aval() == n.outputs[i], n.name.c_str());
  return made;
}

bool is_control(const std::string& name) { return name == "scan" || name == "cond" || name == "while_loop"; }

Hash hash_of(const Primitive& primitive) {
  Hasher h;
  h.add(primitive.name());
  primitive.hash(h);
  return h.finish();
}

// The value that an alias stands for.
const NodeRef& aliased(const Node& node) {
  int output = std::max(output_index(node), 0);
  const Node& owner = output_index(node) >= 0 ? *node.inputs[0] : node;
  return owner.inputs[size_t(owner.primitive->alias_of(output))];
}
bool is_alias(const Node& node) {
  const Node& owner = output_index(node) >= 0 ? *node.inputs[0] : node;
  return owner.primitive->kind() == Kind::alias && (&owner == &node || owner.primitive->name() != "output");
}

}  // namespace

WrittenGraph write_graph(const Graph& graph) {
  WrittenGraph written;
  NodeMap<int> number;
  int next = 0;
  for (const Array& x : graph.inputs) {
    written.inputs.push_back(x.aval());
    number[x.node()] = next++;
  }
  auto order = topological_order(graph.outputs, [](Node&) { return true; });
  auto is_data = [](const Node& n) { return !n.primitive || n.available(); };
  for (Node* n : order)
    if (!number.contains(n) && is_data(*n)) {
      written.constants.push_back(Array(NodeRef(n)));
      number[n] = next++;
    }
  for (Node* n : order) {
    if (number.contains(n)) continue;
    int output = output_index(*n);
    if (output >= 0 && !is_alias(*n)) {
      number[n] = *number.find(n->inputs[0].get()) + output;
      continue;
    }
    if (is_alias(*n)) {
      // A node with several outputs has no value of its own.
      number[n] = n->multi() ? -1 : *number.find(aliased(*n).get());
      continue;
    }
    WrittenNode made{std::string(n->primitive->name()), n->primitive->parameters(), {}, {}, {}};
    Arrays inputs;
    for (const NodeRef& input : n->inputs) {
      made.inputs.push_back(*number.find(input.get()));
      inputs.emplace_back(input);
    }
    made.outputs = n->multi() ? n->outputs->avals : std::vector<Aval>{{n->shape, n->dtype}};
    if (const Control* control = n->primitive->control()) {
      made.parameters = control_text(*control);
      for (const Graph* held : n->primitive->graphs()) made.graphs.push_back(write_graph(*held));
      remake_control(made, inputs);
      number[n] = next;
      next += int(made.outputs.size());
      written.nodes.push_back(std::move(made));
      continue;
    }
    Arrays again = remake(made.name, made.parameters, inputs, made.outputs);
    const Node& other = n->multi() ? *again[0].node()->inputs[0] : *again[0].node();
    if (!other.primitive || hash_of(*other.primitive) != hash_of(*n->primitive))
      throw ValueError(cat("the operation ", made.name, "[", made.parameters, "] cannot be written to a file"));
    number[n] = next;
    next += int(made.outputs.size());
    written.nodes.push_back(std::move(made));
  }
  for (const Array& x : graph.outputs) written.outputs.push_back(*number.find(x.node()));
  return written;
}

Arrays read_graph(const WrittenGraph& graph, Span inputs) {
  Arrays values(inputs.begin(), inputs.end());
  values.insert(values.end(), graph.constants.begin(), graph.constants.end());
  auto value = [&](int number) {
    if (number < 0 || size_t(number) >= values.size())
      throw ValueError("a written graph is malformed: a value is missing");
    return values[size_t(number)];
  };
  for (const WrittenNode& n : graph.nodes) {
    Arrays in;
    for (int number : n.inputs) in.push_back(value(number));
    if (n.outputs.empty()) throw ValueError("a written graph is malformed: an operation gives nothing");
    Arrays made = is_control(n.name) ? remake_control(n, in) : remake(n.name, n.parameters, in, n.outputs);
    made.resize(n.outputs.size());
    for (Array& x : made) values.push_back(std::move(x));
  }
  Arrays outputs;
  for (int number : graph.outputs) outputs.push_back(value(number));
  return outputs;
}

}  // namespace funcnn
