#include "plan/takeover.h"

#include <algorithm>

namespace funcnn {

bool may_take_over(const Ir& ir, const PlannedStep& step, int read, size_t index) {
  int from = step.work->reads[size_t(read)];
  const Value& dying = ir.values[size_t(from)];
  const Value& result = ir.values[size_t(step.work->writes[index])];
  if (dying.device != result.device) return false;
  if (const Epilogue* epilogue = step.epilogue) {
    // The product passes through the target's memory; the other results are written as their rows are finished.
    auto at = std::find(epilogue->reads.begin(), epilogue->reads.end(), from);
    return index > 0 && step.times[size_t(from)] == 0 && at != epilogue->reads.end() &&
           epilogue->sharing.possible(epilogue->program, 1 + int(at - epilogue->reads.begin()),
                                      int(epilogue->reads.size() + index));
  }
  if (const Operation* op = step.operation) {
    int reusable = step.control ? step.control->reusable_input(index)
                   : index == 0 ? op->primitive->reusable_input()
                                : -1;
    if (reusable < 0) return false;
    const Value& input = ir.values[size_t(op->inputs[size_t(reusable)])];
    return input.view.base == from && input.view.offset == 0 && is_contiguous(input.shape, input.view.strides) &&
           step.times[size_t(from)] == 1;
  }
  return step.emitted->sharing.possible(step.emitted->program, read, int(step.work->reads.size() + index));
}

}  // namespace funcnn
