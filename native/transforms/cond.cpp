#include <algorithm>

#include "base/error.h"
#include "graph/control.h"
#include "graph/trace.h"
#include "ops/annotate.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"
#include "transforms/control.h"
#include "transforms/custom.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"
#include "transforms/vmap.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

// A vector, to stand beside the rows of `like`.
Array column(const Array& rows, const Array& like) {
  Shape shape = like.shape();
  std::fill(shape.begin() + 1, shape.end(), 1);
  return reshape(rows, shape);
}

// Which row is the last that has chosen a branch; -1: none.
Array last_of(const Array& chosen, int64_t size) {
  if (size == 0) return constant(-1, Dtype::int32);
  Dtype dtype = size < int64_t(1) << 31 ? Dtype::int32 : Dtype::int64;
  return reduce(ReduceOp::max, where(chosen, iota({size}, dtype), constant(-1, dtype)), Axes{0}, false);
}
Array exists(const Array& row) { return binary(Opcode::greater_equal, row, constant(0, row.dtype())); }

// The operands of a branch for all rows, of which those `chosen` take it. The others repeat the `last` that does, so
// that nothing overflows, divides by zero or loops for ever on values that were not meant for the branch; and they have
// no part in its derivatives, where no row takes it either.
Arrays kept_harmless(const Array& chosen, const Array& last, Span operands, std::span<const bool> batched) {
  Arrays given(operands.begin(), operands.end());
  Array at = maximum(last, constant(0, last.dtype()));
  RuleCall shared;
  std::vector<size_t> places;
  for (size_t i = 0; i < given.size(); ++i) {
    if (batched[i]) {
      Array row = stop_gradient(take(given[i], at, 0));
      given[i] = where(column(chosen, given[i]), given[i], row);
    } else if (is_inexact(given[i].dtype())) {
      places.push_back(i);
      shared.arguments.push_back(given[i]);
    }
  }
  if (places.empty()) return given;
  shared.outputs = shared.arguments;
  shared.saved = {exists(last)};
  auto rule =
      std::make_shared<const BackwardRule>(BackwardRule{[](Span saved, Span cotangents) {
                                                          Arrays to;
                                                          for (const Array& ct : cotangents)
                                                            to.push_back(where(saved[0], ct, constant(0, ct.dtype())));
                                                          return to;
                                                        },
                                                        "a branch of cond",
                                                        {},
                                                        {}});
  Arrays masked = with_backward_rule(std::move(rule), shared);
  for (size_t i = 0; i < places.size(); ++i) given[places[i]] = masked[i];
  return given;
}

bool may_not_end(const Graph& graph) {
  auto nodes = topological_order(graph.outputs, [](Node& n) { return n.primitive && !n.available(); });
  return std::any_of(nodes.begin(), nodes.end(), [](const Node* n) {
    const Control* control = n->primitive->control();
    std::vector<const Graph*> below = n->primitive->graphs();
    return (control && control->form == Control::Form::while_loop) ||
           std::any_of(below.begin(), below.end(), [](const Graph* g) { return may_not_end(*g); });
  });
}

// The graph's outputs where a row has chosen it, else zeros.
Arrays where_any(const Array& last, Graph graph, Span operands) {
  Graph nothing{graph.inputs, {}};
  for (const Array& x : graph.outputs) nothing.outputs.push_back(zeros_like(x));
  return cond(exists(last), std::move(graph), std::move(nothing), operands);
}

class Cond final : public Primitive {
 public:
  Cond(Graph if_true, Graph if_false) : branches_{std::move(if_true), std::move(if_false)} {
    Hasher h;
    for (const Graph& g : branches_) h.add(hash_graph(g));
    hash_ = h.finish();
  }

  std::string_view name() const override { return "cond"; }
  Kind kind() const override { return Kind::control; }
  void hash(Hasher& h) const override { h.add(hash_); }
  std::vector<const Graph*> graphs() const override { return {&branches_[0], &branches_[1]}; }
  const Control* control() const override { return &control_; }

  Arrays vjp(const VjpContext& v) const override {
    std::vector<bool> wanted;
    for (size_t i = 1; i < v.inputs.size(); ++i) wanted.push_back(v.needed[i] && is_inexact(v.inputs[i].dtype()));
    Arrays operands(v.inputs.begin() + 1, v.inputs.end());
    for (size_t i = 0; i < v.outputs.size(); ++i) operands.push_back(or_zeros(v.cotangents[i], v.outputs[i].aval()));
    Arrays result =
        funcnn::cond(v.inputs[0], vjp_graph(branches_[0], wanted), vjp_graph(branches_[1], wanted), operands);
    Arrays to(v.inputs.size());
    size_t next = 0;
    for (size_t i = 0; i < wanted.size(); ++i)
      if (wanted[i]) to[i + 1] = result[next++];
    return to;
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    std::vector<bool> moving, moved[2];
    Arrays operands(inputs.begin() + 1, inputs.end());
    for (size_t i = 1; i < inputs.size(); ++i) {
      moving.push_back(bool(tangents[i]) && is_inexact(inputs[i].dtype()));
      if (moving.back()) operands.push_back(tangents[i]);
    }
    size_t count = outputs.size();
    Graph graphs[2];
    for (int b : {0, 1}) graphs[b] = jvp_graph(branches_[b], moving, moved[b]);
    // A tangent that only one branch has is zero in the other.
    for (int b : {0, 1}) {
      Arrays tangent_outputs;
      size_t next = count;
      for (size_t i = 0; i < count; ++i) {
        Array mine = moved[b][i] ? graphs[b].outputs[next++] : Array();
        if (moved[0][i] || moved[1][i]) tangent_outputs.push_back(or_zeros(mine, outputs[i].aval()));
      }
      graphs[b].outputs = std::move(tangent_outputs);
    }
    Arrays result = funcnn::cond(inputs[0], std::move(graphs[0]), std::move(graphs[1]), operands), to(count);
    size_t next = 0;
    for (size_t i = 0; i < count; ++i)
      if (moved[0][i] || moved[1][i]) to[i] = result[next++];
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    std::vector<bool> mask(batched.begin() + 1, batched.end()), mapped[2];
    Span operands = inputs.subspan(1);
    if (batched[0]) {
      // Every row chooses for itself: compute both and select.
      Batched out, sides[2];
      for (int b : {0, 1}) {
        Array chosen = b == 0 ? inputs[0] : logical_not(inputs[0]);
        Graph graph = batch_graph(branches_[b], mask, size, mapped[b]);
        Array last = last_of(chosen, size);
        Arrays given(operands.begin(), operands.end());
        if (size > 0) given = kept_harmless(chosen, last, operands, batched.subspan(1));
        sides[b].outputs =
            may_not_end(branches_[b]) ? where_any(last, std::move(graph), given) : substitute(graph, given);
      }
      for (size_t i = 0; i < sides[0].outputs.size(); ++i) {
        Array a = with_batch_axis(sides[0].outputs[i], mapped[0][i], size);
        Array b = with_batch_axis(sides[1].outputs[i], mapped[1][i], size);
        out.outputs.push_back(where(column(inputs[0], a), a, b));
        out.batched.push_back(true);
      }
      return out;
    }
    for (int b : {0, 1}) batch_graph(branches_[b], mask, size, mapped[b]);
    for (size_t i = 0; i < mapped[0].size(); ++i) mapped[0][i] = mapped[1][i] = mapped[0][i] || mapped[1][i];
    Graph graphs[2];
    for (int b : {0, 1}) graphs[b] = batch_graph(branches_[b], mask, size, mapped[b]);
    Batched out{funcnn::cond(inputs[0], std::move(graphs[0]), std::move(graphs[1]), operands), {}};
    for (size_t i = 0; i < out.outputs.size(); ++i) out.batched.push_back(mapped[0][i]);
    return out;
  }

 private:
  Graph branches_[2];
  Control control_{Control::Form::cond};
  Hash hash_;
};

}  // namespace

Arrays cond(const Array& predicate, Graph if_true, Graph if_false, Span operands) {
  std::vector<Aval> avals;
  for (const Array& x : if_true.outputs) avals.push_back(x.aval());
  if (avals.empty()) return {};
  Arrays inputs{predicate};
  inputs.insert(inputs.end(), operands.begin(), operands.end());
  for (Graph* branch : {&if_true, &if_false}) end_where_it_began(*branch, {inputs});
  return make_nodes(Ref<const Primitive>(new Cond(std::move(if_true), std::move(if_false))), inputs, std::move(avals));
}

}  // namespace funcnn
