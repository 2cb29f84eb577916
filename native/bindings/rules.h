// What functions with rules of the user's own share.
#pragma once

#include <functional>
#include <string>

#include "bindings/transforms.h"

namespace funcnn {

// Whether no transformation will ask for a rule.
bool no_trace_sees(Span arguments);
// The name of a function, for errors.
std::string name_of(nb::handle function);
// Whether a rule of this function is being tried out on this thread: calls of the function inside say nothing new.
bool tried_now(nb::handle owner);
// Whether what a rule uses has to be found. Only graphs that may be rebuilt need to know; without a trace of our own
// nobody knows.
bool must_try(nb::handle rule);

// Traced values that a rule uses beside what it is given. When the graph around is rebuilt over other inputs, they must
// be too, so the rule is tried out while they are there. A rule that fails uses nothing: it will fail again when
// somebody needs it.
Arrays used_by_rule(nb::handle owner, const std::string& name, Span like, const std::function<Arrays(Span)>& rule);
// Runs a rule of the user's own where `used` may have become `now`.
Arrays run_rule(const std::string& name, const char* which, const Arrays& used, Span now, Span given,
                const std::function<Arrays()>& rule);

Arrays joined(Span a, Span b);

}  // namespace funcnn
