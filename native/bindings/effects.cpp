#include "bindings/effects.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "bindings/gil.h"
#include "graph/graph.h"
#include "plan/eval.h"

namespace funcnn {
namespace {

thread_local EffectScope* innermost = nullptr;

}  // namespace

EffectScope::EffectScope(Ref<Placeholder::Trace> trace, TraceId id)
    : trace_(std::move(trace)), id_(id), outer_(innermost) {
  innermost = this;
}

EffectScope::EffectScope(Ref<Placeholder::Trace> trace) : trace_(std::move(trace)), outer_(innermost) {
  innermost = this;
}

EffectScope::~EffectScope() {
  if (!ended_) innermost = outer_;
}

Array EffectScope::end() {
  innermost = outer_;
  ended_ = true;
  return recorded_ ? token_ : Array();
}

bool EffectScope::open() { return innermost != nullptr; }

Array EffectScope::token() {
  EffectScope* scope = innermost;
  if (!scope) return constant(int64_t(0), Dtype::bool_);
  if (!scope->token_) {
    if (scope->id_) {
      scope->token_ = scope->first_ = make_placeholder({}, Dtype::bool_, scope->trace_, *scope->id_);
    } else {
      innermost = scope->outer_;
      scope->token_ = token();
      innermost = scope;
    }
  }
  return scope->token_;
}

void EffectScope::advance(Array token) {
  check_scope(token);
  if (innermost) {
    innermost->token_ = std::move(token);
    innermost->recorded_ = true;
    return;
  }
  Unlocked unlocked;
  eval(Span(&token, 1));
}

// Tokens of traces that no scope collects for (derivatives of the bodies of loops, functions made by vjp) would be
// lost.
void EffectScope::check_scope(const Array& token) {
  if (!token.node()->abstract) return;
  std::vector<const Placeholder::Trace*> open;
  for (EffectScope* scope = innermost; scope; scope = scope->outer_) open.push_back(scope->trace_.get());
  topological_order(Span(&token, 1), [&](Node& n) {
    if (!n.abstract) return false;
    auto* placeholder = dynamic_cast<const Placeholder*>(n.primitive.get());
    if (placeholder && std::find(open.begin(), open.end(), &placeholder->trace()) == open.end())
      throw ValueError(cat("debug: nothing can be printed in ", placeholder->trace().what,
                           ", which may be computed several times or never; print outside of the rule or function "
                           "that is transformed"));
    return true;
  });
}

}  // namespace funcnn
