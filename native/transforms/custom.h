// Derivative rules supplied by the user. The core knows them as functions of flat lists of arrays.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "graph/array.h"
#include "graph/graph.h"
#include "graph/primitive.h"

namespace funcnn {

struct BackwardRule {
  // (saved values, cotangents of the outputs) -> cotangents of the arguments, null where zero.
  std::function<Arrays(Span saved, Span cotangents)> apply;
  std::string name;                           // of the function that has the rule
  std::shared_ptr<const Held> held;           // what `apply` needs of the language around the library
  std::shared_ptr<const BackwardRule> inner;  // the rule that `apply` maps
};
struct ForwardRule {
  // (arguments, their tangents, saved values) -> tangents of the outputs, null where zero.
  std::function<Arrays(Span arguments, Span tangents, Span saved)> apply;
  std::string name;
  std::shared_ptr<const Held> held;
  std::shared_ptr<const ForwardRule> inner;
};

// Rules that may be there or not: the derivatives of the function itself stand in for those that are not.
struct FunctionRules {
  // (arguments, cotangents of the outputs, outputs, saved values) -> cotangents of the arguments, null where zero.
  std::function<Arrays(Span arguments, Span cotangents, Span outputs, Span saved)> vjp;
  // (arguments, their tangents, null where zero, saved values) -> tangents of the outputs, null where zero.
  std::function<Arrays(Span arguments, Span tangents, Span saved)> jvp;
  // (arguments, those that have the batch axis in front, its length, saved values) -> the outputs.
  std::function<Batched(Span arguments, std::span<const bool> batched, int64_t size, Span saved)> batch;
  std::string name;
  std::shared_ptr<const Held> held;
  std::shared_ptr<const FunctionRules> inner;  // the rules that these map
};

// What a function that has a rule was called with and what came out.
struct RuleCall {
  Arrays arguments;
  Arrays outside;  // traced values that the function used beside its arguments: the rule has no derivative by them
  Arrays outputs;
  Arrays saved;  // what the rule needs of the forward pass
};

// The outputs, whose derivative by the arguments is what the rule says. Under jvp the rule is transposed, so it must be
// linear in the cotangents.
Arrays with_backward_rule(std::shared_ptr<const BackwardRule> rule, const RuleCall& call);
// The same from a rule for tangents, which must be linear in them. Under vjp it is transposed.
Arrays with_forward_rule(std::shared_ptr<const ForwardRule> rule, const RuleCall& call);

// The outputs with the rules of `rules`, and else as `graph` makes them of the arguments and of the values from
// outside. The latter are constants.
Arrays with_function_rules(std::shared_ptr<const FunctionRules> rules, Graph graph, const RuleCall& call);

}  // namespace funcnn
