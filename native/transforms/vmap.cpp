#include "transforms/vmap.h"

#include <optional>

#include "base/error.h"
#include "graph/record.h"
#include "graph/trace.h"
#include "ops/create.h"
#include "ops/rules.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

Shape with_axis(const Shape& shape, int64_t size) {
  Shape longer{size};
  for (int64_t d : shape) longer.push_back(d);
  return longer;
}

void check_rule(const Node& node, const Batched& got, int64_t size) {
  for (size_t k = 0; k < got.outputs.size(); ++k) {
    const Shape& shape = node.multi() ? node.outputs->avals[k].shape : node.shape;
    const Shape& expected = got.batched[k] ? with_axis(shape, size) : shape;
    if (got.outputs[k].shape() != expected)
      throw Error(cat("the batching rule of ", node.primitive->name(), " gave shape ", got.outputs[k].shape(),
                      " where it should have given ", expected));
  }
}

// What a primitive gives for no rows: rules divide by their number. Those of graphs, and of the bools that order
// effects, do not; null for these.
std::optional<Batched> nothing_of(const Node& node) {
  if (!node.primitive->graphs().empty()) return {};
  Batched made;
  for (size_t k = 0; k < (node.multi() ? node.outputs->size() : 1); ++k) {
    Aval aval = node.multi() ? node.outputs->avals[k] : Aval{node.shape, node.dtype};
    if (aval.dtype == Dtype::bool_) return {};
    made.outputs.push_back(full(with_axis(aval.shape, 0), constant(0, aval.dtype)));
    made.batched.push_back(true);
  }
  return made;
}

}  // namespace

Batched map_batch(Span inputs, Span outputs, Span values, int64_t size, TraceId id) {
  Walk walk = walk_between(inputs, outputs, id, true);
  Arrays value(walk.size());
  std::vector<char> is_batched(walk.size());
  std::vector<Batched> shared;
  for (size_t i = 0; i < inputs.size(); ++i) {
    value[i] = values[i];
    is_batched[i] = 1;
  }
  Arrays in;
  SmallVector<bool, 8> batched;
  for (size_t i = 0; i < walk.nodes.size(); ++i) {
    Node& node = *walk.nodes[i];
    size_t slot = walk.inputs + i;
    if (int index = output_index(node); index >= 0) {
      const Batched& whole = shared[*walk.find(node.inputs[0].get())];
      value[slot] = whole.outputs[size_t(index)];
      is_batched[slot] = whole.batched[size_t(index)];
      continue;
    }
    in.clear();
    batched.clear();
    bool any = false;
    for (const NodeRef& input : node.inputs) {
      const uint32_t* from = walk.find(input.get());
      in.push_back(from ? value[*from] : Array(input));
      batched.push_back(from && is_batched[*from]);
      any |= batched.back();
    }
    Batched mapped;
    OriginScope origin(node, OriginScope::Rule::copy);
    if (any) {
      std::optional<Batched> nothing = size == 0 ? nothing_of(node) : std::nullopt;
      mapped = nothing ? *std::move(nothing) : node.primitive->batch(in, batched, size);
      check_rule(node, mapped, size);
    } else {
      Array remade(remake_node(node, in));
      size_t count = node.multi() ? node.outputs->size() : 1;
      for (size_t k = 0; k < count; ++k) {
        mapped.outputs.push_back(node.multi() ? make_output(remade.ref(), int(k)) : remade);
        mapped.batched.push_back(false);
      }
    }
    if (node.multi()) {
      if (shared.empty()) shared.resize(walk.size());
      shared[slot] = std::move(mapped);
    } else {
      value[slot] = std::move(mapped.outputs[0]);
      is_batched[slot] = mapped.batched[0];
    }
  }
  Batched result;
  for (const Array& x : outputs) {
    const uint32_t* slot = walk.find(x.node());
    result.outputs.push_back(slot ? value[*slot] : x);
    result.batched.push_back(slot && is_batched[*slot]);
  }
  return result;
}

Graph batch_graph(const Graph& graph, const std::vector<bool>& batched, int64_t size, std::vector<bool>& mapped) {
  Graph made{graph.inputs, {}};
  TraceId id = graph_trace(graph);
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("a batched graph"));
  Arrays inputs, values;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    if (!batched[i]) continue;
    const Array& x = graph.inputs[i];
    inputs.push_back(x);
    values.push_back(make_placeholder(with_axis(x.shape(), size), x.dtype(), trace, id));
    made.inputs[i] = values.back();
  }
  Batched out = map_batch(inputs, graph.outputs, values, size, id);
  mapped.resize(graph.outputs.size());
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    bool wanted = mapped[i] || out.batched[i];
    made.outputs.push_back(wanted ? with_batch_axis(out.outputs[i], out.batched[i], size) : out.outputs[i]);
    mapped[i] = wanted;
  }
  return made;
}

}  // namespace funcnn
