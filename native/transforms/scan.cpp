#include <algorithm>

#include "base/error.h"
#include "graph/trace.h"
#include "ops/callback.h"
#include "ops/rules.h"
#include "ops/views.h"
#include "transforms/control.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"
#include "transforms/vmap.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

Hash parameters_hash(const Control& c, const Hash& body) {
  Hasher h;
  h.add(c.carries);
  h.add(c.sequences);
  h.add(c.length);
  h.add(c.reverse);
  h.add(body);
  return h.finish();
}

// The same graph over placeholders of its own; its inputs may be any nodes.
Graph with_fresh_inputs(Span inputs, Span outputs, TraceId id) {
  Graph made;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the body of a scan"));
  for (const Array& x : inputs) made.inputs.push_back(make_placeholder(x.shape(), x.dtype(), trace, id));
  made.outputs =
      substitute(Graph{Arrays(inputs.begin(), inputs.end()), Arrays(outputs.begin(), outputs.end())}, made.inputs);
  return made;
}

class Scan final : public Primitive {
 public:
  Scan(Graph body, Control control, const Extension* extends)
      : body_(std::move(body)), control_(control), hash_(parameters_hash(control, hash_graph(body_))) {
    if (extends) {
      extension_ = *extends;
      extended_ = true;
    }
  }

  std::string_view name() const override { return "scan"; }
  Kind kind() const override { return Kind::control; }
  void hash(Hasher& h) const override { h.add(hash_); }
  // What names this primitive to one that extends it.
  Extension extended_by(SmallVector<int, 4> outputs) const {
    Hasher h;
    hash(h);
    return {h.finish(), std::move(outputs)};
  }
  std::string parameters() const override {
    return cat("length=", control_.length, control_.reverse ? ", reverse" : "");
  }
  std::vector<const Graph*> graphs() const override { return {&body_}; }
  const Control* control() const override { return &control_; }
  const Extension* extends() const override { return extended_ ? &extension_ : nullptr; }

  Arrays vjp(const VjpContext& v) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  size_t carries() const { return size_t(control_.carries); }
  size_t sequences() const { return size_t(control_.sequences); }
  size_t first_constant() const { return carries() + sequences(); }

  Graph body_;
  Control control_;
  Hash hash_;
  Extension extension_;
  bool extended_ = false;
};

// Which values of a body's derivative must be kept from the forward pass: those it needs that depend on the carries or
// elements, seen through views. What depends on constants alone is computed again.
class Residuals {
 public:
  Residuals(Span kept_inputs, Span given_inputs, Span cotangents) {
    for (const Array& x : given_inputs) state_[x.node()] = given;
    for (const Array& x : kept_inputs) state_[x.node()] = kept;
    for (const Array& x : cotangents) state_[x.node()] = moving;
  }

  Arrays of(Span outputs) {
    auto order = topological_order(outputs, [&](Node& n) { return n.abstract && !state_.contains(&n); });
    for (Node* node : order) {
      char state = given;
      for (const NodeRef& input : node->inputs) {
        if (!input->abstract) continue;
        state = std::max(state, *state_.find(input.get()));
      }
      state_[node] = state;
    }
    for (Node* node : order)
      if (*state_.find(node) == moving)
        for (const NodeRef& input : node->inputs) need(*input);
    for (const Array& x : outputs)
      if (x.node()->abstract && *state_.find(x.node()) != moving) need(*x.node());
    return std::move(found_);
  }

 private:
  enum : char { given = 1, kept = 2, moving = 3 };

  void need(Node& node) {
    if (!node.abstract || *state_.find(&node) != kept) return;
    bool fresh;
    seen_.insert(&node, fresh);
    if (!fresh) return;
    bool through = node.primitive && (node.primitive->kind() == Kind::view) && !node.inputs.empty();
    if (through)
      need(*node.inputs[0]);
    else
      found_.push_back(Array(NodeRef(&node)));
  }

  NodeMap<char> state_, seen_;
  Arrays found_;
};

Arrays Scan::vjp(const VjpContext& v) const {
  if (has_effects(body_)) return Scan(without_effects(body_), control_, nullptr).vjp(v);
  size_t constants = body_.inputs.size() - first_constant();
  std::vector<bool> wanted(body_.inputs.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    bool inexact = is_inexact(body_.inputs[i].dtype());
    wanted[i] = inexact && v.needed[i];
  }
  // A carry has a derivative if it moves after any step.
  for (bool settled = false; !settled;) {
    settled = true;
    std::vector<bool> moved = moving_outputs(body_, wanted);
    for (size_t i = 0; i < carries(); ++i)
      if (moved[i] && !wanted[i]) {
        wanted[i] = true;
        settled = false;
      }
  }
  Graph back = vjp_graph(body_, wanted);
  Span all(back.inputs);
  Span carry_inputs = all.subspan(0, carries()), elements = all.subspan(carries(), sequences());
  Span constant_inputs = all.subspan(first_constant(), constants);
  Span cotangents = all.subspan(body_.inputs.size());
  Arrays changing(carry_inputs.begin(), carry_inputs.end());
  changing.insert(changing.end(), elements.begin(), elements.end());
  Arrays residuals = Residuals(changing, constant_inputs, cotangents).of(back.outputs);
  // Elements are at hand already; the rest is stacked by the forward scan.
  Arrays stacked;
  std::vector<size_t> used_elements;
  for (const Array& r : residuals) {
    auto at = std::find(elements.begin(), elements.end(), r);
    if (at == elements.end())
      stacked.push_back(r);
    else
      used_elements.push_back(size_t(at - elements.begin()));
  }

  Arrays forward_out = body_.outputs;
  forward_out.insert(forward_out.end(), stacked.begin(), stacked.end());
  Graph forward = with_fresh_inputs(body_.inputs, forward_out, graph_trace(body_));
  SmallVector<int, 4> same;
  for (size_t i = 0; i < body_.outputs.size(); ++i) same.push_back(int(i));
  Extension extension = extended_by(std::move(same));
  Arrays kept =
      funcnn::scan(std::move(forward), v.inputs.subspan(0, carries()), v.inputs.subspan(carries(), sequences()),
                   v.inputs.subspan(first_constant()), control_.length, control_.reverse, &extension);

  // The backward scan carries the cotangents of the carries and sums those of the constants.
  Arrays in_carry, in_elements, out_carry, out_elements, init, sequence;
  size_t next = 0;
  std::vector<Array> ct_of(body_.inputs.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i]) ct_of[i] = back.outputs[next++];
  for (size_t i = 0; i < carries(); ++i) {
    if (!wanted[i]) continue;
    in_carry.push_back(cotangents[i]);
    out_carry.push_back(ct_of[i]);
    init.push_back(or_zeros(v.cotangents[i], v.outputs[i].aval()));
  }
  TraceId id = graph_trace(back);
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the derivative of a scan"));
  TraceScope scope;
  for (size_t i = first_constant(); i < wanted.size(); ++i) {
    if (!wanted[i]) continue;
    const Array& k = body_.inputs[i];
    Array sum = make_placeholder(k.shape(), k.dtype(), trace, id);
    in_carry.push_back(sum);
    out_carry.push_back(add_or_null(sum, ct_of[i]));
    init.push_back(zeros_like(v.inputs[i]));
  }
  for (size_t i = 0; i < stacked.size(); ++i) {
    in_elements.push_back(stacked[i]);
    sequence.push_back(kept[body_.outputs.size() + i]);
  }
  for (size_t i : used_elements) {
    in_elements.push_back(elements[i]);
    sequence.push_back(v.inputs[carries() + i]);
  }
  for (size_t i = carries(); i < body_.outputs.size(); ++i) {
    if (!is_inexact(body_.outputs[i].dtype())) continue;
    in_elements.push_back(cotangents[i]);
    sequence.push_back(or_zeros(v.cotangents[i], v.outputs[i].aval()));
  }
  for (size_t i = carries(); i < first_constant(); ++i)
    if (wanted[i]) out_elements.push_back(ct_of[i]);
  Arrays inputs = in_carry, outputs = out_carry;
  inputs.insert(inputs.end(), in_elements.begin(), in_elements.end());
  inputs.insert(inputs.end(), constant_inputs.begin(), constant_inputs.end());
  outputs.insert(outputs.end(), out_elements.begin(), out_elements.end());
  // Cotangents of outputs without a derivative appear nowhere, but every input of the graph must be given.
  Arrays result = funcnn::scan(with_fresh_inputs(inputs, outputs, id), init, sequence,
                               v.inputs.subspan(first_constant()), control_.length, !control_.reverse);
  Arrays to(v.inputs.size());
  next = 0;
  for (size_t i = 0; i < carries(); ++i)
    if (wanted[i]) to[i] = result[next++];
  for (size_t i = first_constant(); i < wanted.size(); ++i)
    if (wanted[i]) to[i] = result[next++];
  for (size_t i = carries(); i < first_constant(); ++i)
    if (wanted[i]) to[i] = result[next++];
  for (size_t i = 0; i < to.size(); ++i)
    if (!v.needed[i]) to[i] = {};
  return to;
}

std::optional<Arrays> Scan::jvp(Span inputs, Span tangents, Span results) const {
  if (has_effects(body_)) return Scan(without_effects(body_), control_, nullptr).jvp(inputs, tangents, results);
  std::vector<bool> moving(inputs.size()), moved;
  for (size_t i = 0; i < inputs.size(); ++i) moving[i] = bool(tangents[i]) && is_inexact(inputs[i].dtype());
  Graph both;
  // A carry moves from the first step on if it moves after any.
  for (bool settled = false; !settled;) {
    both = jvp_graph(body_, moving, moved);
    settled = true;
    for (size_t i = 0; i < carries(); ++i)
      if (moved[i] && !moving[i]) {
        moving[i] = true;
        settled = false;
      }
  }
  size_t outputs = body_.outputs.size();
  std::vector<Array> in_tangent(inputs.size()), out_tangent(outputs);
  size_t next = inputs.size();
  for (size_t i = 0; i < inputs.size(); ++i)
    if (moving[i]) in_tangent[i] = both.inputs[next++];
  next = outputs;
  for (size_t i = 0; i < outputs; ++i)
    if (moved[i]) out_tangent[i] = both.outputs[next++];

  Arrays in, out, init, sequence, constants;
  auto gather = [&](size_t first, size_t last, Arrays& values) {
    for (size_t i = first; i < last; ++i) {
      in.push_back(both.inputs[i]);
      values.push_back(inputs[i]);
    }
    for (size_t i = first; i < last; ++i) {
      if (!moving[i]) continue;
      in.push_back(in_tangent[i]);
      values.push_back(or_zeros(tangents[i], inputs[i].aval()));
    }
  };
  gather(0, carries(), init);
  gather(carries(), first_constant(), sequence);
  gather(first_constant(), inputs.size(), constants);
  std::vector<int> place(outputs, -1);  // of output tangents among the new scan's outputs
  for (size_t i = 0; i < carries(); ++i) {
    out.push_back(both.outputs[i]);
  }
  for (size_t i = 0; i < carries(); ++i) {
    if (!moving[i]) continue;
    place[i] = int(out.size());
    out.push_back(or_zeros(out_tangent[i], body_.outputs[i].aval()));
  }
  for (size_t i = carries(); i < outputs; ++i) {
    out.push_back(both.outputs[i]);
  }
  for (size_t i = carries(); i < outputs; ++i) {
    if (!moved[i]) continue;
    place[i] = int(out.size());
    out.push_back(out_tangent[i]);
  }
  Arrays result = funcnn::scan(with_fresh_inputs(in, out, graph_trace(both)), init, sequence, constants,
                               control_.length, control_.reverse);
  Arrays to;
  for (size_t i = 0; i < outputs; ++i) to.push_back(place[i] < 0 ? Array() : result[size_t(place[i])]);
  return to;
}

Batched Scan::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  std::vector<bool> mask(batched.begin(), batched.end()), mapped;
  Graph body;
  for (bool settled = false; !settled;) {
    mapped.assign(body_.outputs.size(), false);
    for (size_t i = 0; i < carries(); ++i) mapped[i] = mask[i];
    body = batch_graph(body_, mask, size, mapped);
    settled = true;
    for (size_t i = 0; i < carries(); ++i)
      if (mapped[i] && !mask[i]) {
        mask[i] = true;
        settled = false;
      }
  }
  Arrays init, sequence, constants;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (i < carries()) {
      init.push_back(mask[i] ? with_batch_axis(inputs[i], batched[i], size) : inputs[i]);
    } else if (i < first_constant()) {
      sequence.push_back(batched[i] ? moveaxis(inputs[i], 0, 1) : inputs[i]);
    } else {
      constants.push_back(inputs[i]);
    }
  }
  Arrays result = funcnn::scan(std::move(body), init, sequence, constants, control_.length, control_.reverse);
  Batched out;
  for (size_t i = 0; i < result.size(); ++i) {
    bool is_batched = mapped[i];
    out.outputs.push_back(i >= carries() && is_batched ? moveaxis(result[i], 1, 0) : result[i]);
    out.batched.push_back(is_batched);
  }
  return out;
}

}  // namespace

Arrays scan(Graph body, Span init, Span sequences, Span constants, int64_t length, bool reverse,
            const Extension* extends) {
  Control control{Control::Form::scan};
  control.carries = int(init.size());
  control.sequences = int(sequences.size());
  control.length = length;
  control.reverse = reverse;
  std::vector<Aval> avals;
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    Aval aval = body.outputs[i].aval();
    if (i >= init.size()) aval.shape.insert(aval.shape.begin(), length);
    avals.push_back(std::move(aval));
  }
  Arrays inputs(init.begin(), init.end());
  inputs.insert(inputs.end(), sequences.begin(), sequences.end());
  inputs.insert(inputs.end(), constants.begin(), constants.end());
  if (avals.empty()) return {};
  return make_nodes(Ref<const Primitive>(new Scan(std::move(body), control, extends)), inputs, std::move(avals));
}

}  // namespace funcnn
