// Derivative rules supplied by the user. The core knows them as functions of flat lists of arrays.
#pragma once

#include <functional>
#include <memory>

#include "graph/array.h"

namespace funcnn {

// (residuals, cotangents of the outputs) -> cotangents of the arguments, null where zero.
using BackwardRule = std::function<Arrays(Span residuals, Span cotangents)>;
// (arguments, their tangents) -> tangents of the outputs, null where zero.
using ForwardRule = std::function<Arrays(Span arguments, Span tangents)>;

// `outputs`, whose derivative by `arguments` is what the rule says. Under jvp the rule is transposed, so it must be
// linear in the cotangents.
Arrays with_backward_rule(std::shared_ptr<const BackwardRule> rule, Span arguments, Span outputs, Span residuals);
// The same from a rule for tangents, which must be linear in them. Under vjp it is transposed.
Arrays with_forward_rule(std::shared_ptr<const ForwardRule> rule, Span arguments, Span outputs);

}  // namespace funcnn
