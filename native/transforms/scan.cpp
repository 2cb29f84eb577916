#include <algorithm>

#include "base/error.h"
#include "graph/trace.h"
#include "graph/transfer.h"
#include "ops/callback.h"
#include "ops/rules.h"
#include "ops/views.h"
#include "transforms/control.h"
#include "transforms/jvp.h"
#include "transforms/loop_products.h"
#include "transforms/residuals.h"
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

// The backward pass of a scan: what it needs of the forward one, and a scan the other way round.
class ScanVjp {
 public:
  ScanVjp(const Graph& body, const Control& control, const VjpContext& v)
      : body_(body), control_(control), v_(v), wanted_(wanted()), back_(vjp_graph(body, wanted_)) {
    Span all(back_.inputs);
    carry_inputs_ = all.subspan(0, carries());
    elements_ = all.subspan(carries(), sequences());
    constants_ = all.subspan(first_constant(), body.inputs.size() - first_constant());
    cotangents_ = all.subspan(body.inputs.size());
    size_t next = 0;
    ct_of_.resize(body.inputs.size());
    for (size_t i = 0; i < wanted_.size(); ++i)
      if (wanted_[i]) ct_of_[i] = back_.outputs[next++];
  }

  Arrays run(const Extension& extension) {
    run_forward(extension);
    list_carries_and_elements();
    list_sums();
    return run_backward();
  }

 private:
  // Values inside the backward body and what they are outside.
  struct Pairs {
    Arrays inside, outside;
    void add(const Array& in, const Array& out) {
      inside.push_back(in);
      outside.push_back(out);
    }
  };
  // A cotangent of a constant: a carry of the loop (-1: none) and products that are computed after it.
  struct Sum {
    int carry = -1;
    std::vector<StepProduct> after;
  };

  size_t carries() const { return size_t(control_.carries); }
  size_t sequences() const { return size_t(control_.sequences); }
  size_t first_constant() const { return carries() + sequences(); }

  std::vector<bool> wanted() const {
    std::vector<bool> wanted(body_.inputs.size());
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = is_inexact(body_.inputs[i].dtype()) && v_.needed[i];
    moving_after_steps(body_, wanted, carries());
    return wanted;
  }

  // Elements are at hand already; the rest of what is needed is stacked by a scan that extends the forward one.
  void run_forward(const Extension& extension) {
    Arrays stacked;
    for (const Array& r : residuals(back_.outputs, {carry_inputs_, elements_, constants_, cotangents_})) {
      auto at = std::find(elements_.begin(), elements_.end(), r);
      if (at == elements_.end())
        stacked.push_back(r);
      else
        sequence_.add(r, v_.inputs[carries() + size_t(at - elements_.begin())]);
    }
    Arrays outputs = body_.outputs;
    outputs.insert(outputs.end(), stacked.begin(), stacked.end());
    Arrays kept = funcnn::scan(with_fresh_inputs({body_.inputs, outputs}, graph_trace(body_), device_of(v_.inputs)),
                               v_.inputs.subspan(0, carries()), v_.inputs.subspan(carries(), sequences()),
                               v_.inputs.subspan(first_constant()), control_.length, control_.reverse, &extension);
    for (size_t i = 0; i < stacked.size(); ++i) {
      sequence_.add(stacked[i], kept[body_.outputs.size() + i]);
      kept_bytes_ += kept[body_.outputs.size() + i].nbytes();
    }
  }

  void list_carries_and_elements() {
    for (size_t i = 0; i < carries(); ++i) {
      if (!wanted_[i]) continue;
      init_.add(cotangents_[i], or_zeros(v_.cotangents[i], v_.outputs[i].aval()));
      out_carry_.push_back(ct_of_[i]);
    }
    for (size_t i = carries(); i < body_.outputs.size(); ++i)
      if (is_inexact(body_.outputs[i].dtype()))
        sequence_.add(cotangents_[i], or_zeros(v_.cotangents[i], v_.outputs[i].aval()));
    for (size_t i = carries(); i < first_constant(); ++i)
      if (wanted_[i]) out_elements_.push_back(ct_of_[i]);
    for (size_t i = 0; i < sequence_.inside.size(); ++i) known_[sequence_.inside[i].node()] = sequence_.outside[i];
    for (const Array& x : out_elements_) known_[x.node()];
  }

  // The cotangents of constants are sums over the steps. Products are added up by one product after the loop where
  // their operands are stacked anyway, or where to stack them moves no more memory than to add to the sum in every step
  // and takes no more of it than the forward pass keeps.
  void list_sums() {
    TraceId id = graph_trace(back_);
    Arrays changing(carry_inputs_.begin(), carry_inputs_.end());
    changing.insert(changing.end(), elements_.begin(), elements_.end());
    changing.insert(changing.end(), cotangents_.begin(), cotangents_.end());
    Walk walk = walk_between(changing, back_.outputs, id, true);
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("the derivative of a scan"));
    TraceScope scope;
    sums_.resize(body_.inputs.size());
    for (size_t i = first_constant(); i < wanted_.size(); ++i) {
      if (!wanted_[i]) continue;
      Array inside;
      for (const Array& term : terms_of(ct_of_[i])) {
        std::optional<StepProduct> product = step_product(term, known_);
        if (product && walk.find(product->left.from.node()) && walk.find(product->right.from.node()) &&
            stack_operands(*product))
          sums_[i].after.push_back(std::move(*product));
        else
          inside = add_or_null(inside, term);
      }
      if (!inside) continue;
      if (sums_[i].after.empty()) inside = ct_of_[i];
      const Array& k = body_.inputs[i];
      Array sum = make_placeholder(k.shape(), k.dtype(), trace, id);
      sums_[i].carry = int(out_carry_.size());
      init_.add(sum, zeros_like(v_.inputs[i]));
      out_carry_.push_back(add_or_null(sum, inside));
    }
  }

  bool stack_operands(const StepProduct& product) {
    Arrays more;
    for (const Array& x : {product.left.from, product.right.from})
      if (!known_.contains(x.node()) && (more.empty() || !(more[0] == x))) more.push_back(x);
    size_t step = 0;
    for (const Array& x : more) step += x.nbytes();
    size_t all = more_bytes_ + step * size_t(control_.length);
    if (!more.empty() && (step > 2 * product.product.nbytes() || all > kept_bytes_)) return false;
    more_bytes_ = all;
    for (const Array& x : more) {
      known_[x.node()];
      out_elements_.push_back(x);
    }
    return true;
  }

  Arrays run_backward() {
    Arrays inputs = init_.inside, outputs = out_carry_;
    inputs.insert(inputs.end(), sequence_.inside.begin(), sequence_.inside.end());
    inputs.insert(inputs.end(), constants_.begin(), constants_.end());
    outputs.insert(outputs.end(), out_elements_.begin(), out_elements_.end());
    TraceId id = graph_trace(back_);
    // Cotangents of outputs without a derivative appear nowhere, but every input of the graph must be given.
    Arrays result =
        funcnn::scan(with_fresh_inputs({inputs, outputs}, id, device_of(v_.inputs)), init_.outside, sequence_.outside,
                     v_.inputs.subspan(first_constant()), control_.length, !control_.reverse);
    for (size_t i = 0; i < out_elements_.size(); ++i) {
      Array& stack = known_[out_elements_[i].node()];
      if (!stack) stack = result[out_carry_.size() + i];
    }
    Arrays to(v_.inputs.size());
    size_t next = 0;
    for (size_t i = 0; i < carries(); ++i)
      if (wanted_[i]) to[i] = result[next++];
    for (size_t i = first_constant(); i < wanted_.size(); ++i) {
      if (!wanted_[i]) continue;
      if (sums_[i].carry >= 0) to[i] = result[size_t(sums_[i].carry)];
      for (const StepProduct& product : sums_[i].after)
        to[i] = add_or_null(to[i], over_all_steps(product, known_[product.left.from.node()],
                                                  known_[product.right.from.node()], v_.inputs[i], id));
    }
    next = out_carry_.size();
    for (size_t i = carries(); i < first_constant(); ++i)
      if (wanted_[i]) to[i] = result[next++];
    for (size_t i = 0; i < to.size(); ++i)
      if (!v_.needed[i]) to[i] = {};
    return to;
  }

  const Graph& body_;
  const Control& control_;
  const VjpContext& v_;
  std::vector<bool> wanted_;  // inputs whose cotangents are computed
  Graph back_;
  Span carry_inputs_, elements_, constants_, cotangents_;  // inputs of `back_`
  Arrays ct_of_;
  // Of the backward scan.
  Pairs init_, sequence_;
  Arrays out_carry_, out_elements_;
  std::vector<Sum> sums_;
  NodeMap<Array> known_;  // what is stacked, null until the backward scan has done it
  size_t kept_bytes_ = 0, more_bytes_ = 0;
};

Arrays Scan::vjp(const VjpContext& v) const {
  if (has_effects(body_)) return Scan(without_effects(body_), control_, nullptr).vjp(v);
  SmallVector<int, 4> same;
  for (size_t i = 0; i < body_.outputs.size(); ++i) same.push_back(int(i));
  return ScanVjp(body_, control_, v).run(extended_by(std::move(same)));
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
  Arrays result = funcnn::scan(with_fresh_inputs({in, out}, graph_trace(both), device_of(inputs)), init, sequence,
                               constants, control_.length, control_.reverse);
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
  end_where_it_began(body, {inputs});
  return make_nodes(Ref<const Primitive>(new Scan(std::move(body), control, extends)), inputs, std::move(avals));
}

}  // namespace funcnn
