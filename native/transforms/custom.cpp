#include "transforms/custom.h"

#include <algorithm>

#include "base/error.h"
#include "graph/primitive.h"
#include "graph/trace.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"
#include "transforms/vmap.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

std::vector<Aval> avals_of(Span arrays) {
  std::vector<Aval> avals;
  for (const Array& x : arrays) avals.push_back(x.aval());
  return avals;
}

Shape without_axis(const Shape& shape) { return Shape(shape.begin() + 1, shape.end()); }

// f mapped over axis 0 of the arguments marked in `batched`; null results stay null.
template <class F>
Batched map_function(F&& f, Span arguments, const std::vector<bool>& batched, int64_t size) {
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("vmap"));
  Arrays inputs, values, given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!batched[i]) {
      given.push_back(arguments[i]);
      continue;
    }
    values.push_back(arguments[i]);
    inputs.push_back(make_placeholder(without_axis(arguments[i].shape()), arguments[i].dtype(), trace, scope.id()));
    given.push_back(inputs.back());
  }
  Arrays all = f(Span(given)), outputs;
  trace->ended = true;
  for (const Array& x : all)
    if (x) outputs.push_back(x);
  Batched some = map_batch(inputs, outputs, values, size, scope.id()), result;
  size_t next = 0;
  for (const Array& x : all) {
    result.outputs.push_back(x ? some.outputs[next] : Array());
    result.batched.push_back(x && some.batched[next]);
    next += bool(x);
  }
  return result;
}

void check(std::string_view rule, std::string_view what, size_t index, const Array& got, const Aval& expected) {
  if (got && got.aval() != expected)
    throw ValueError(cat(rule, " gave a ", what, " of shape ", got.shape(), " and dtype ", got.dtype(), " at position ",
                         index, "; expected shape ", expected.shape, " and dtype ", expected.dtype));
}

Span part(Span all, size_t first, size_t count) { return all.subspan(first, count); }

std::vector<bool> flags(std::span<const bool> all, size_t first, size_t count) {
  return std::vector<bool>(all.begin() + std::ptrdiff_t(first), all.begin() + std::ptrdiff_t(first + count));
}

template <class T>
std::vector<T> joined(std::initializer_list<std::span<const T>> groups) {
  std::vector<T> all;
  for (auto group : groups) all.insert(all.end(), group.begin(), group.end());
  return all;
}

template <class Rule>
const Held* held_by(const std::shared_ptr<const Rule>& rule, bool* alone) {
  const std::shared_ptr<const Rule>* at = &rule;
  bool sole = at->use_count() == 1;
  for (; (*at)->inner; sole &= at->use_count() == 1) at = &(*at)->inner;
  if (alone) *alone = sole && (*at)->held.use_count() == 1;
  return (*at)->held.get();
}

// Inputs: arguments, values used from outside, outputs, saved values.
class Custom : public Primitive {
 public:
  explicit Custom(const RuleCall& call)
      : arguments_(call.arguments.size()), outside_(call.outside.size()), outputs_(call.outputs.size()) {}
  Kind kind() const override { return Kind::alias; }
  int alias_of(int output) const override { return int(first_output()) + output; }
  int derivative_inputs() const override { return int(first_output()); }

 protected:
  size_t first_output() const { return arguments_ + outside_; }
  size_t first_saved() const { return first_output() + outputs_; }
  // The parts of the inputs, with outputs that are all mapped: an output that is not can still get a different
  // cotangent from every row.
  RuleCall mapped_call(Span inputs, std::span<const bool> batched, int64_t size) const {
    RuleCall call;
    Span arguments = part(inputs, 0, arguments_), outside = part(inputs, arguments_, outside_),
         saved = inputs.subspan(first_saved());
    call.arguments.assign(arguments.begin(), arguments.end());
    call.outside.assign(outside.begin(), outside.end());
    call.saved.assign(saved.begin(), saved.end());
    for (size_t i = first_output(); i < first_saved(); ++i)
      call.outputs.push_back(with_batch_axis(inputs[i], batched[i], size));
    return call;
  }
  [[noreturn]] void refuse(const std::string& function, const Array& value) const {
    throw ValueError(cat(name(), ": the derivative of ", function, " is asked for by a value of shape ", value.shape(),
                         " and dtype ", value.dtype(),
                         " that it uses from outside, while its rule is for the arguments: make the value an argument, "
                         "or a constant with fn.stop_gradient"));
  }

  size_t arguments_, outside_, outputs_;
};

class CustomVjp final : public Custom {
 public:
  CustomVjp(std::shared_ptr<const BackwardRule> rule, const RuleCall& call) : Custom(call), rule_(std::move(rule)) {}
  std::string_view name() const override { return "custom_vjp"; }
  const Held* held(bool* alone) const override { return held_by(rule_, alone); }

  Arrays vjp(const VjpContext& v) const override {
    for (size_t i = arguments_; i < first_output(); ++i)
      if (v.needed[i]) refuse(rule_->name, v.inputs[i]);
    Arrays cotangents;
    for (size_t i = 0; i < outputs_; ++i) cotangents.push_back(or_zeros(v.cotangents[i], v.outputs[i].aval()));
    Arrays to = rule_->apply(v.inputs.subspan(first_saved()), cotangents);
    if (to.size() != arguments_)
      throw ValueError(
          cat("custom_vjp: the backward rule gave ", to.size(), " cotangents for ", arguments_, " arrays"));
    for (size_t i = 0; i < arguments_; ++i)
      if (v.needed[i]) check("custom_vjp: the backward rule", "cotangent", i, to[i], v.inputs[i].aval());
    to.resize(v.inputs.size());
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    size_t saved = inputs.size() - first_saved();
    std::vector<bool> moving = flags(batched, first_saved(), saved), mapped = flags(batched, 0, arguments_);
    moving.resize(saved + outputs_, true);
    auto apply = [rule = rule_.get(), moving, mapped, saved, size](Span values, Span cotangents) {
      Batched to = map_function([&](Span given) { return rule->apply(given.first(saved), given.subspan(saved)); },
                                joined<Array>({values, cotangents}), moving, size);
      for (size_t i = 0; i < to.outputs.size(); ++i) {
        Array& x = to.outputs[i];
        if (!x) continue;
        x = with_batch_axis(x, to.batched[i], size);
        const int axes[] = {0};
        if (i < mapped.size() && !mapped[i] && is_inexact(x.dtype())) x = reduce(ReduceOp::sum, x, axes, false);
      }
      return to.outputs;
    };
    auto rule = std::make_shared<const BackwardRule>(BackwardRule{std::move(apply), rule_->name, {}, rule_});
    Batched result{with_backward_rule(std::move(rule), mapped_call(inputs, batched, size)), {}};
    for (size_t i = 0; i < outputs_; ++i) result.batched.push_back(true);
    return result;
  }

 private:
  std::shared_ptr<const BackwardRule> rule_;
};

class CustomJvp final : public Custom {
 public:
  CustomJvp(std::shared_ptr<const ForwardRule> rule, const RuleCall& call) : Custom(call), rule_(std::move(rule)) {}
  std::string_view name() const override { return "custom_jvp"; }
  const Held* held(bool* alone) const override { return held_by(rule_, alone); }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    for (size_t i = arguments_; i < first_output(); ++i)
      if (tangents[i]) refuse(rule_->name, inputs[i]);
    Arrays filled;
    for (size_t i = 0; i < arguments_; ++i) filled.push_back(or_zeros(tangents[i], inputs[i].aval()));
    return apply(inputs, filled, outputs);
  }

  Arrays vjp(const VjpContext& v) const override {
    for (size_t i = arguments_; i < first_output(); ++i)
      if (v.needed[i]) refuse(rule_->name, v.inputs[i]);
    TraceScope scope;
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("the transpose of custom_jvp"));
    Arrays inputs, tangents;
    for (size_t i = 0; i < arguments_; ++i) {
      Array stand_in = make_placeholder(v.inputs[i].shape(), v.inputs[i].dtype(), trace, scope.id());
      inputs.push_back(stand_in);
      tangents.push_back(v.needed[i] ? stand_in : or_zeros({}, v.inputs[i].aval()));
    }
    Arrays moved = apply(v.inputs, tangents, v.outputs), along(v.cotangents.begin(), v.cotangents.end());
    trace->ended = true;
    for (size_t i = 0; i < moved.size(); ++i) {
      if (moved[i]) continue;
      moved[i] = v.outputs[i];  // does not depend on the stand-ins
      along[i] = {};
    }
    Arrays to = transpose_rule({"reverse mode", "tangents", name(), rule_->name}, inputs, moved, along, scope.id());
    to.resize(v.inputs.size());
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    std::vector<bool> moving = flags(batched, 0, arguments_), all = moving;
    all.insert(all.end(), moving.begin(), moving.end());
    std::vector<bool> saved = flags(batched, first_saved(), inputs.size() - first_saved());
    all.insert(all.end(), saved.begin(), saved.end());
    auto apply = [rule = rule_.get(), all, count = arguments_, size](Span primals, Span tangents, Span values) {
      Batched to = map_function(
          [&](Span given) {
            return rule->apply(given.first(count), part(given, count, count), given.subspan(2 * count));
          },
          joined<Array>({primals, tangents, values}), all, size);
      for (size_t i = 0; i < to.outputs.size(); ++i)
        if (to.outputs[i]) to.outputs[i] = with_batch_axis(to.outputs[i], to.batched[i], size);
      return to.outputs;
    };
    auto rule = std::make_shared<const ForwardRule>(ForwardRule{std::move(apply), rule_->name, {}, rule_});
    Batched result{with_forward_rule(std::move(rule), mapped_call(inputs, batched, size)), {}};
    for (size_t i = 0; i < outputs_; ++i) result.batched.push_back(true);
    return result;
  }

 private:
  Arrays apply(Span inputs, Span tangents, Span outputs) const {
    Arrays to = rule_->apply(inputs.first(arguments_), tangents, inputs.subspan(first_saved()));
    if (to.size() != outputs.size())
      throw ValueError(cat("custom_jvp: the rule gave ", to.size(), " tangents for ", outputs.size(), " arrays"));
    for (size_t i = 0; i < to.size(); ++i) check("custom_jvp: the rule", "tangent", i, to[i], outputs[i].aval());
    return to;
  }

  std::shared_ptr<const ForwardRule> rule_;
};

class CustomFunction final : public Custom {
 public:
  CustomFunction(std::shared_ptr<const FunctionRules> rules, Graph graph, const RuleCall& call)
      : Custom(call), rules_(std::move(rules)), graph_(std::move(graph)) {}
  std::string_view name() const override { return "custom_function"; }
  const Held* held(bool* alone) const override { return held_by(rules_, alone); }
  std::vector<const Graph*> graphs() const override { return {&graph_}; }

  Arrays vjp(const VjpContext& v) const override {
    Arrays to;
    if (rules_->vjp) {
      Arrays cotangents;
      for (size_t i = 0; i < outputs_; ++i) cotangents.push_back(or_zeros(v.cotangents[i], v.outputs[i].aval()));
      to = rules_->vjp(v.inputs.first(arguments_), cotangents, v.outputs, v.inputs.subspan(first_saved()));
      for (size_t i = 0; i < arguments_; ++i)
        if (v.needed[i]) check(rules_->name + ": the vjp rule", "cotangent", i, to[i], v.inputs[i].aval());
    } else {
      TraceScope scope;
      Arrays arguments, outputs = traced(v.inputs, scope.id(), arguments);
      to = pull_back(arguments, outputs, v.cotangents, scope.id());
    }
    to.resize(v.inputs.size());
    return to;
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    if (!rules_->jvp) {
      TraceScope scope;
      Arrays arguments, made = traced(inputs, scope.id(), arguments);
      return push_forward(arguments, made, tangents.first(arguments_), scope.id());
    }
    Arrays to = rules_->jvp(inputs.first(arguments_), tangents.first(arguments_), inputs.subspan(first_saved()));
    for (size_t i = 0; i < outputs_; ++i)
      check(rules_->name + ": the jvp rule", "tangent", i, to[i], outputs[i].aval());
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    if (rules_->batch)
      return rules_->batch(inputs.first(arguments_), batched.first(arguments_), size, inputs.subspan(first_saved()));
    std::vector<bool> moving = flags(batched, 0, first_output()), all(outputs_, true);
    std::vector<bool> arguments = flags(batched, 0, arguments_),
                      saved = flags(batched, first_saved(), inputs.size() - first_saved());
    Graph graph = batch_graph(graph_, moving, size, all);
    auto mapped = std::make_shared<FunctionRules>(FunctionRules{{}, {}, {}, rules_->name, {}, rules_});
    const FunctionRules* rules = rules_.get();
    size_t count = arguments_, outputs = outputs_;
    if (rules->vjp) {
      std::vector<bool> axes = arguments;
      axes.resize(count + 2 * outputs, true);
      axes.insert(axes.end(), saved.begin(), saved.end());
      mapped->vjp = [=](Span given, Span cotangents, Span made, Span values) {
        Batched to = map_function(
            [&](Span x) {
              return rules->vjp(x.first(count), part(x, count, outputs), part(x, count + outputs, outputs),
                                x.subspan(count + 2 * outputs));
            },
            joined<Array>({given, cotangents, made, values}), axes, size);
        for (size_t i = 0; i < to.outputs.size(); ++i) {
          Array& x = to.outputs[i];
          if (!x) continue;
          x = with_batch_axis(x, to.batched[i], size);
          const int first[] = {0};
          if (!arguments[i]) x = reduce(ReduceOp::sum, x, first, false);
        }
        return to.outputs;
      };
    }
    if (rules->jvp) {
      mapped->jvp = [=](Span given, Span tangents, Span values) {
        std::vector<bool> axes = arguments;
        Arrays moved;
        for (size_t i = 0; i < count; ++i) {
          if (!tangents[i]) continue;
          moved.push_back(tangents[i]);
          axes.push_back(arguments[i]);
        }
        axes.insert(axes.end(), saved.begin(), saved.end());
        Batched to = map_function(
            [&](Span x) {
              Arrays along;
              for (size_t i = 0, next = count; i < count; ++i) along.push_back(tangents[i] ? x[next++] : Array());
              return rules->jvp(x.first(count), along, x.subspan(count + moved.size()));
            },
            joined<Array>({given, moved, values}), axes, size);
        for (size_t i = 0; i < to.outputs.size(); ++i)
          if (to.outputs[i]) to.outputs[i] = with_batch_axis(to.outputs[i], to.batched[i], size);
        return to.outputs;
      };
    }
    Batched result{with_function_rules(std::move(mapped), std::move(graph), mapped_call(inputs, batched, size)), {}};
    for (size_t i = 0; i < outputs_; ++i) result.batched.push_back(true);
    return result;
  }

 private:
  // The outputs made again of traced arguments.
  Arrays traced(Span inputs, TraceId id, Arrays& arguments) const {
    for (size_t i = 0; i < arguments_; ++i) arguments.push_back(trace_input(inputs[i], id));
    Arrays all = arguments;
    all.insert(all.end(), inputs.begin() + std::ptrdiff_t(arguments_), inputs.begin() + std::ptrdiff_t(first_output()));
    return substitute(graph_, all);
  }

  std::shared_ptr<const FunctionRules> rules_;
  Graph graph_;
};

Arrays inputs_of(const RuleCall& call) {
  return joined<Array>({call.arguments, call.outside, call.outputs, call.saved});
}

}  // namespace

Arrays with_backward_rule(std::shared_ptr<const BackwardRule> rule, const RuleCall& call) {
  return make_nodes(Ref<const Primitive>(new CustomVjp(std::move(rule), call)), inputs_of(call),
                    avals_of(call.outputs));
}

Arrays with_forward_rule(std::shared_ptr<const ForwardRule> rule, const RuleCall& call) {
  return make_nodes(Ref<const Primitive>(new CustomJvp(std::move(rule), call)), inputs_of(call),
                    avals_of(call.outputs));
}

Arrays with_function_rules(std::shared_ptr<const FunctionRules> rules, Graph graph, const RuleCall& call) {
  return make_nodes(Ref<const Primitive>(new CustomFunction(std::move(rules), std::move(graph), call)), inputs_of(call),
                    avals_of(call.outputs));
}

}  // namespace funcnn
