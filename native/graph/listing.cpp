#include "graph/listing.h"

#include <sstream>

#include "base/quoted.h"

namespace funcnn {
namespace {

std::string aval_text(const Node& node) {
  std::ostringstream out;
  if (node.multi()) {
    const char* separator = "";
    for (const Aval& a : node.outputs->avals) {
      out << separator << a.dtype << a.shape;
      separator = ", ";
    }
  } else {
    out << node.dtype << node.shape;
  }
  return out.str();
}

// What a node without inputs is: a small constant by its value, other data by its shape.
std::string constant_text(const Node& node) {
  double value;
  std::ostringstream out;
  if (known_scalar(Array(NodeRef(const_cast<Node*>(&node))), value))
    out << value;
  else
    out << "data";
  return out.str();
}

std::string operation_text(const Node& node) {
  std::string text(node.primitive->name());
  if (std::string parameters = node.primitive->parameters(); !parameters.empty()) text += "[" + parameters + "]";
  return text;
}

class Lister {
 public:
  void list(const Graph& graph, const std::string& indent) {
    NodeMap<int> numbers;
    int next = 0;
    out_ << indent << "(";
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      const Node& node = *graph.inputs[i].node();
      numbers[&node] = next;
      out_ << (i ? ", " : "") << '%' << next++ << ": " << aval_text(node);
    }
    out_ << ")\n";
    auto order = topological_order(graph.outputs, [](Node&) { return true; });
    auto reference = [&](const Node& node) {
      const int* number = numbers.find(&node);
      return number ? "%" + std::to_string(*number) : constant_text(node);
    };
    for (const Node* node : order) {
      if (numbers.contains(node)) continue;
      double value;
      if (known_scalar(Array(NodeRef(const_cast<Node*>(node))), value)) continue;  // shown where it is used
      numbers[node] = next;
      out_ << indent << "  %" << next++ << ": " << aval_text(*node) << " = ";
      if (node->available() || !node->primitive) {
        out_ << "constant\n";
        continue;
      }
      out_ << operation_text(*node) << "(";
      for (size_t i = 0; i < node->inputs.size(); ++i) out_ << (i ? ", " : "") << reference(*node->inputs[i]);
      out_ << ")\n";
      if (node->primitive->kind() == Kind::control)
        for (const Graph* held : node->primitive->graphs()) list(*held, indent + "    ");
    }
    out_ << indent << "  return ";
    for (size_t i = 0; i < graph.outputs.size(); ++i) out_ << (i ? ", " : "") << reference(*graph.outputs[i].node());
    out_ << "\n";
  }
  std::string str() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

}  // namespace

std::string list_graph(const Graph& graph) {
  Lister lister;
  lister.list(graph, "");
  return lister.str();
}

std::string graph_to_dot(const Graph& graph) {
  std::ostringstream out;
  out << "digraph {\n  node [shape=box, fontname=\"Helvetica\"];\n";
  NodeMap<int> numbers;
  auto declare = [&](const Node& node, const std::string& label, const char* style) {
    int id = int(numbers.size());
    numbers[&node] = id;
    out << "  n" << id << " [label=" << quoted(label) << style << "];\n";
  };
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Node& node = *graph.inputs[i].node();
    declare(node, "input " + std::to_string(i) + "\n" + aval_text(node), ", style=filled, fillcolor=lightblue");
  }
  auto order = topological_order(graph.outputs, [](Node&) { return true; });
  for (const Node* node : order) {
    if (numbers.contains(node)) continue;
    bool data = node->available() || !node->primitive;
    declare(*node, (data ? constant_text(*node) : operation_text(*node)) + "\n" + aval_text(*node),
            data ? ", style=filled, fillcolor=lightgrey" : "");
  }
  for (const Node* node : order)
    for (const NodeRef& input : node->inputs)
      if (const int* from = numbers.find(input.get())) out << "  n" << *from << " -> n" << *numbers.find(node) << ";\n";
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    out << "  out" << i << " [label=\"output " << i << "\", style=filled, fillcolor=palegreen];\n  n"
        << *numbers.find(graph.outputs[i].node()) << " -> out" << i << ";\n";
  out << "}\n";
  return out.str();
}

}  // namespace funcnn
