// What a running trace is to do beside its results: tokens that callbacks hand on, one after the other.
#pragma once

#include <memory>

#include "graph/trace.h"
#include "ops/callback.h"

namespace funcnn {

// While alive, the effects of functions that are called belong to one trace. Each takes the token of the one before and
// leaves its own, which keeps them in order and makes the last one stand for all.
class EffectScope {
 public:
  // Of a closed graph: its effects come after an input, `first`, that is made when the first one is recorded.
  EffectScope(Ref<Placeholder::Trace> trace, TraceId id);
  // Of a trace within the enclosing scope, whose effects go on.
  explicit EffectScope(Ref<Placeholder::Trace> trace);
  ~EffectScope();
  EffectScope(const EffectScope&) = delete;

  // Closes the scope. The last token, null if nothing was recorded.
  Array end();
  const Array& first() const { return first_; }

  // The token that the next effect on this thread comes after.
  static Array token();
  // An effect has been recorded: a later token. Outside of all scopes it is computed at once.
  static void advance(Array token);
  // Whether a scope is open on this thread.
  static bool open();

 private:
  static void check_scope(const Array& token);

  Ref<Placeholder::Trace> trace_;
  std::optional<TraceId> id_;
  EffectScope* outer_;
  bool ended_ = false, recorded_ = false;
  Array first_, token_;
};

}  // namespace funcnn
