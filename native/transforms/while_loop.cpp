#include <algorithm>

#include "base/error.h"
#include "graph/trace.h"
#include "ops/callback.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"
#include "transforms/control.h"
#include "transforms/jvp.h"
#include "transforms/vmap.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

class WhileLoop final : public Primitive {
 public:
  WhileLoop(Graph condition, Graph body, int carries) : condition_(std::move(condition)), body_(std::move(body)) {
    control_.carries = carries;
    Hasher h;
    h.add(carries);
    h.add(hash_graph(condition_));
    h.add(hash_graph(body_));
    hash_ = h.finish();
  }

  std::string_view name() const override { return "while_loop"; }
  Kind kind() const override { return Kind::control; }
  void hash(Hasher& h) const override { h.add(hash_); }
  std::vector<const Graph*> graphs() const override { return {&condition_, &body_}; }
  const Control* control() const override { return &control_; }

  Arrays vjp(const VjpContext&) const override {
    throw_not_differentiable(
        *this,
        "reverse mode would need every step of a loop of unknown length: use scan, whose length is known, or jvp");
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span) const override {
    size_t carries = size_t(control_.carries);
    if (has_effects(body_))
      return WhileLoop(condition_, without_effects(body_), control_.carries).jvp(inputs, tangents, {});
    std::vector<bool> moving, moved;
    for (size_t i = 0; i < inputs.size(); ++i) moving.push_back(bool(tangents[i]) && is_inexact(inputs[i].dtype()));
    Graph both;
    for (bool settled = false; !settled;) {
      both = jvp_graph(body_, moving, moved);
      settled = true;
      for (size_t i = 0; i < carries; ++i)
        if (moved[i] && !moving[i]) {
          moving[i] = true;
          settled = false;
        }
    }
    // Inputs (carries, constants, moving tangents) become (carries, their tangents, constants, their tangents).
    std::vector<Array> in_tangent(inputs.size()), out_tangent(carries);
    size_t next = inputs.size();
    for (size_t i = 0; i < inputs.size(); ++i)
      if (moving[i]) in_tangent[i] = both.inputs[next++];
    next = carries;
    for (size_t i = 0; i < carries; ++i)
      if (moved[i]) out_tangent[i] = both.outputs[next++];
    Arrays in, init, constants, out;
    std::vector<int> place(carries, -1);
    for (size_t i = 0; i < carries; ++i) {
      in.push_back(both.inputs[i]);
      init.push_back(inputs[i]);
      out.push_back(both.outputs[i]);
    }
    for (size_t i = 0; i < carries; ++i) {
      if (!moving[i]) continue;
      in.push_back(in_tangent[i]);
      init.push_back(or_zeros(tangents[i], inputs[i].aval()));
      place[i] = int(out.size());
      out.push_back(or_zeros(out_tangent[i], inputs[i].aval()));
    }
    for (size_t i = carries; i < inputs.size(); ++i) {
      in.push_back(both.inputs[i]);
      constants.push_back(inputs[i]);
    }
    for (size_t i = carries; i < inputs.size(); ++i) {
      if (!moving[i]) continue;
      in.push_back(in_tangent[i]);
      constants.push_back(tangents[i]);
    }
    // The condition sees the new inputs too, and reads the old ones among them.
    Arrays condition_inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      auto at = std::find(in.begin(), in.end(), both.inputs[i]);
      condition_inputs.push_back(*at);
    }
    Graph condition{in, substitute(condition_, condition_inputs)};
    Arrays result = funcnn::while_loop(std::move(condition), Graph{in, out}, init, constants), to(carries);
    for (size_t i = 0; i < carries; ++i)
      if (place[i] >= 0) to[i] = result[size_t(place[i])];
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    size_t carries = size_t(control_.carries);
    std::vector<bool> mask(batched.begin(), batched.end()), mapped, chooses;
    Graph body, condition;
    for (bool settled = false; !settled;) {
      chooses.assign(1, false);
      condition = batch_graph(condition_, mask, size, chooses);
      mapped.assign(carries, false);
      // Rows that stop at different steps all become batched.
      for (size_t i = 0; i < carries; ++i) mapped[i] = mask[i] || chooses[0];
      body = batch_graph(body_, mask, size, mapped);
      settled = true;
      for (size_t i = 0; i < carries; ++i)
        if (mapped[i] && !mask[i]) {
          mask[i] = true;
          settled = false;
        }
    }
    Arrays init, constants;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (i >= carries)
        constants.push_back(inputs[i]);
      else
        init.push_back(mask[i] ? with_batch_axis(inputs[i], batched[i], size) : inputs[i]);
    }
    if (chooses[0]) {
      // Rows that are done keep their carries while others go on.
      Arrays going = substitute(condition, body.inputs);
      for (size_t i = 0; i < carries; ++i) {
        Shape column = body.outputs[i].shape();
        std::fill(column.begin() + 1, column.end(), 1);
        body.outputs[i] = where(reshape(going[0], column), body.outputs[i], body.inputs[i]);
      }
      condition.outputs[0] = reduce(ReduceOp::any, condition.outputs[0], Axes{0}, false);
    }
    Batched out{funcnn::while_loop(std::move(condition), std::move(body), init, constants), {}};
    for (size_t i = 0; i < carries; ++i) out.batched.push_back(mask[i]);
    return out;
  }

 private:
  Graph condition_, body_;
  Control control_{Control::Form::while_loop};
  Hash hash_;
};

}  // namespace

Arrays while_loop(Graph condition, Graph body, Span init, Span constants) {
  std::vector<Aval> avals;
  for (const Array& x : init) avals.push_back(x.aval());
  if (avals.empty()) return {};
  Arrays inputs(init.begin(), init.end());
  inputs.insert(inputs.end(), constants.begin(), constants.end());
  int carries = int(init.size());
  for (Graph* part : {&condition, &body}) end_where_it_began(*part, {inputs});
  return make_nodes(Ref<const Primitive>(new WhileLoop(std::move(condition), std::move(body), carries)), inputs,
                    std::move(avals));
}

}  // namespace funcnn
