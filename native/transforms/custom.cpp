#include "transforms/custom.h"

#include <algorithm>

#include "base/error.h"
#include "graph/primitive.h"
#include "graph/trace.h"
#include "ops/reduce.h"
#include "ops/rules.h"
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

uint8_t highest_level(Span arrays) {
  uint8_t level = 0;
  for (const Array& x : arrays)
    if (x) level = std::max(level, x.node()->level);
  return level;
}

Shape without_axis(const Shape& shape) { return Shape(shape.begin() + 1, shape.end()); }

// f mapped over axis 0 of the arguments marked in `batched`; null results stay null.
template <class F>
Batched map_function(F&& f, Span arguments, const std::vector<bool>& batched, int64_t size) {
  TraceScope scope(highest_level(arguments));
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("vmap"));
  Arrays inputs, values, given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!batched[i]) {
      given.push_back(arguments[i]);
      continue;
    }
    values.push_back(arguments[i]);
    inputs.push_back(make_placeholder(without_axis(arguments[i].shape()), arguments[i].dtype(), trace, scope.level()));
    given.push_back(inputs.back());
  }
  Arrays all = f(Span(given)), outputs;
  trace->ended = true;
  for (const Array& x : all)
    if (x) outputs.push_back(x);
  Batched some = map_batch(inputs, outputs, values, size, scope.level()), result;
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

// Inputs: arguments, outputs, residuals.
class CustomVjp final : public Primitive {
 public:
  CustomVjp(std::shared_ptr<const BackwardRule> rule, size_t arguments, size_t outputs)
      : rule_(std::move(rule)), arguments_(arguments), outputs_(outputs) {}
  std::string_view name() const override { return "custom_vjp"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int output) const override { return int(arguments_) + output; }
  int derivative_inputs() const override { return int(arguments_); }

  Arrays vjp(const VjpContext& v) const override {
    Arrays cotangents;
    for (size_t i = 0; i < outputs_; ++i) cotangents.push_back(or_zeros(v.cotangents[i], v.outputs[i].aval()));
    Arrays to = (*rule_)(v.inputs.subspan(arguments_ + outputs_), cotangents);
    if (to.size() != arguments_)
      throw ValueError(
          cat("custom_vjp: the backward rule gave ", to.size(), " cotangents for ", arguments_, " arrays"));
    for (size_t i = 0; i < arguments_; ++i)
      if (v.needed[i]) check("custom_vjp: the backward rule", "cotangent", i, to[i], v.inputs[i].aval());
    to.resize(v.inputs.size());
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    std::vector<bool> moving(batched.begin() + std::ptrdiff_t(arguments_ + outputs_), batched.end());
    size_t residuals = moving.size();
    moving.insert(moving.end(), batched.begin() + std::ptrdiff_t(arguments_),
                  batched.begin() + std::ptrdiff_t(arguments_ + outputs_));
    std::vector<bool> mapped(batched.begin(), batched.begin() + std::ptrdiff_t(arguments_));
    auto rule = std::make_shared<const BackwardRule>([rule = rule_, moving, mapped, residuals, size](Span saved,
                                                                                                     Span cotangents) {
      Arrays arguments(saved.begin(), saved.end());
      arguments.insert(arguments.end(), cotangents.begin(), cotangents.end());
      Batched to = map_function([&](Span given) { return (*rule)(given.first(residuals), given.subspan(residuals)); },
                                arguments, moving, size);
      for (size_t i = 0; i < to.outputs.size(); ++i) {
        Array& x = to.outputs[i];
        if (!x) continue;
        x = with_batch_axis(x, to.batched[i], size);
        const int axes[] = {0};
        if (i < mapped.size() && !mapped[i] && is_inexact(x.dtype())) x = reduce(ReduceOp::sum, x, axes, false);
      }
      return to.outputs;
    });
    Batched result;
    result.outputs = with_backward_rule(std::move(rule), inputs.first(arguments_), inputs.subspan(arguments_, outputs_),
                                        inputs.subspan(arguments_ + outputs_));
    for (size_t i = 0; i < outputs_; ++i) result.batched.push_back(batched[arguments_ + i]);
    return result;
  }

 private:
  std::shared_ptr<const BackwardRule> rule_;
  size_t arguments_, outputs_;
};

// Inputs: arguments, outputs.
class CustomJvp final : public Primitive {
 public:
  CustomJvp(std::shared_ptr<const ForwardRule> rule, size_t arguments)
      : rule_(std::move(rule)), arguments_(arguments) {}
  std::string_view name() const override { return "custom_jvp"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int output) const override { return int(arguments_) + output; }
  int derivative_inputs() const override { return int(arguments_); }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    Arrays filled;
    for (size_t i = 0; i < arguments_; ++i) filled.push_back(or_zeros(tangents[i], inputs[i].aval()));
    return apply(inputs.first(arguments_), filled, outputs);
  }

  Arrays vjp(const VjpContext& v) const override {
    TraceScope scope(std::max({highest_level(v.inputs), highest_level(v.outputs), highest_level(v.cotangents)}));
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("the transpose of custom_jvp"));
    Arrays inputs, tangents;
    for (size_t i = 0; i < arguments_; ++i) {
      Array stand_in = make_placeholder(v.inputs[i].shape(), v.inputs[i].dtype(), trace, scope.level());
      inputs.push_back(stand_in);
      tangents.push_back(v.needed[i] ? stand_in : or_zeros({}, v.inputs[i].aval()));
    }
    Arrays moved = apply(v.inputs.first(arguments_), tangents, v.outputs),
           along(v.cotangents.begin(), v.cotangents.end());
    trace->ended = true;
    for (size_t i = 0; i < moved.size(); ++i) {
      if (moved[i]) continue;
      moved[i] = v.outputs[i];  // does not depend on the stand-ins
      along[i] = {};
    }
    Arrays to = forget(inputs, pull_back(inputs, moved, along, scope.level()), scope.level());
    to.resize(v.inputs.size());
    return to;
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    // The tangents of an unbatched argument are batched too: other arguments may make them so.
    std::vector<bool> moving(batched.begin(), batched.begin() + std::ptrdiff_t(arguments_));
    std::vector<bool> mapped(batched.begin() + std::ptrdiff_t(arguments_), batched.end());
    size_t count = arguments_;
    auto rule =
        std::make_shared<const ForwardRule>([rule = rule_, moving, mapped, count, size](Span primals, Span tangents) {
          Arrays arguments(primals.begin(), primals.end());
          arguments.insert(arguments.end(), tangents.begin(), tangents.end());
          std::vector<bool> both = moving;
          both.insert(both.end(), moving.begin(), moving.end());
          Batched to = map_function([&](Span given) { return (*rule)(given.first(count), given.subspan(count)); },
                                    arguments, both, size);
          for (size_t i = 0; i < to.outputs.size(); ++i)
            if (to.outputs[i] && i < mapped.size() && mapped[i])
              to.outputs[i] = with_batch_axis(to.outputs[i], to.batched[i], size);
          return to.outputs;
        });
    Batched result;
    result.outputs = with_forward_rule(std::move(rule), inputs.first(arguments_), inputs.subspan(arguments_));
    for (size_t i = arguments_; i < inputs.size(); ++i) result.batched.push_back(batched[i]);
    return result;
  }

 private:
  Arrays apply(Span arguments, Span tangents, Span outputs) const {
    Arrays to = (*rule_)(arguments, tangents);
    if (to.size() != outputs.size())
      throw ValueError(cat("custom_jvp: the rule gave ", to.size(), " tangents for ", outputs.size(), " arrays"));
    for (size_t i = 0; i < to.size(); ++i) check("custom_jvp: the rule", "tangent", i, to[i], outputs[i].aval());
    return to;
  }

  std::shared_ptr<const ForwardRule> rule_;
  size_t arguments_;
};

Arrays concatenated(std::initializer_list<Span> groups) {
  Arrays all;
  for (Span group : groups) all.insert(all.end(), group.begin(), group.end());
  return all;
}

}  // namespace

Arrays with_backward_rule(std::shared_ptr<const BackwardRule> rule, Span arguments, Span outputs, Span residuals) {
  Ref<const Primitive> primitive(new CustomVjp(std::move(rule), arguments.size(), outputs.size()));
  return make_nodes(std::move(primitive), concatenated({arguments, outputs, residuals}), avals_of(outputs));
}

Arrays with_forward_rule(std::shared_ptr<const ForwardRule> rule, Span arguments, Span outputs) {
  Ref<const Primitive> primitive(new CustomJvp(std::move(rule), arguments.size()));
  return make_nodes(std::move(primitive), concatenated({arguments, outputs}), avals_of(outputs));
}

}  // namespace funcnn
