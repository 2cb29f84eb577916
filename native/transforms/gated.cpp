#include "transforms/gated.h"

#include "base/error.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "transforms/custom.h"
#include "transforms/jvp.h"

namespace funcnn {
namespace {

struct Gate {
  const char* name;
  Array (*of)(const Array& x);
  double far;  // at minus and plus that, the gate has reached 0 and 1 in every dtype
};

Array times(const Array& x, double factor) { return multiply(x, constant(factor, x.dtype())); }
Array plus(const Array& x, double term) { return add(x, constant(term, x.dtype())); }
Array at_least(const Array& x, double low) { return maximum(x, constant(low, x.dtype())); }
Array at_most(const Array& x, double high) { return minimum(x, constant(high, x.dtype())); }
Array sigmoid(const Array& x) { return unary(Opcode::sigmoid, x); }

// The derivative is taken between the limits: at infinity it would be infinity times 0.
Array slope_at(const Gate& gate, const Array& x) {
  Array far = constant(gate.far, x.dtype()), near = constant(-gate.far, x.dtype());
  // Unlike clip, it has a slope at NaN.
  Array within = where(greater(x, far), far, where(less(x, near), near, x));
  TraceScope scope(TraceScope::Nodes::kept);
  Array v = trace_input(within, scope.id()), y = multiply(v, gate.of(v)),
        along = full(x.shape(), constant(1, x.dtype()));
  return push_forward(Span(&v, 1), Span(&y, 1), Span(&along, 1), scope.id())[0];
}

Array gated(const Gate& gate, const Array& given) {
  if (is_complex(given.dtype()))
    throw ValueError(cat(gate.name, ": is not defined for ", given.dtype(), ", the dtype of x"));
  Array x = is_inexact(given.dtype()) ? given : astype(given, Dtype::float32);
  Array low = at_least(x, -gate.far), y = multiply(low, gate.of(low));
  if (current_trace() == 0 && !is_traced(x)) return y;
  // The rule of its transpose is the same.
  auto rule = std::make_shared<const BackwardRule>(BackwardRule{
      [gate](Span saved, Span cotangents) { return Arrays{multiply(cotangents[0], slope_at(gate, saved[0]))}; },
      gate.name,
      {},
      {}});
  return with_backward_rule(std::move(rule), {{x}, {}, {y}, {x}})[0];
}

// (1 + tanh(u)) / 2 = sigmoid(2 u), which keeps its digits where it is small.
Array tanh_gate(const Array& x) {
  constexpr double kSqrt8OverPi = 1.5957691216057308;
  Array y = at_most(x, 22);
  return sigmoid(times(add(y, times(multiply(multiply(y, y), y), 0.044715)), kSqrt8OverPi));
}
Array fast_gate(const Array& x) { return sigmoid(times(x, 1.702)); }
Array hard_gate(const Array& x) { return divide(at_most(at_least(plus(x, 3), 0), 6), constant(6, x.dtype())); }
Array mish_gate(const Array& x) { return unary(Opcode::tanh, binary(Opcode::logaddexp, x, constant(0, x.dtype()))); }

}  // namespace

Array silu(const Array& x) { return gated({"silu", sigmoid, 1000}, x); }
Array gelu_approx(const Array& x) { return gated({"gelu_approx", tanh_gate, 22}, x); }
Array gelu_fast_approx(const Array& x) { return gated({"gelu_fast_approx", fast_gate, 1000}, x); }
Array hardswish(const Array& x) { return gated({"hardswish", hard_gate, 1000}, x); }
Array mish(const Array& x) { return gated({"mish", mish_gate, 1000}, x); }

}  // namespace funcnn
