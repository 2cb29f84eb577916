#include <algorithm>

#include "base/error.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"
#include "transforms/control.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"
#include "transforms/vmap.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

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
        Graph graph = batch_graph(branches_[b], mask, size, mapped[b]);
        sides[b].outputs = substitute(graph, operands);
      }
      for (size_t i = 0; i < sides[0].outputs.size(); ++i) {
        Array a = with_batch_axis(sides[0].outputs[i], mapped[0][i], size);
        Array b = with_batch_axis(sides[1].outputs[i], mapped[1][i], size);
        Shape column = a.shape();
        std::fill(column.begin() + 1, column.end(), 1);
        out.outputs.push_back(where(reshape(inputs[0], column), a, b));
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
  return make_nodes(Ref<const Primitive>(new Cond(std::move(if_true), std::move(if_false))), inputs, std::move(avals));
}

}  // namespace funcnn
