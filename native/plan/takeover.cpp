#include "plan/takeover.h"

#include <algorithm>

namespace funcnn {
namespace {

int reads_of(const Ir& ir, const Operation& op, int base) {
  return int(std::count_if(op.inputs.begin(), op.inputs.end(),
                           [&](int input) { return ir.values[size_t(input)].view.base == base; }));
}

}  // namespace

bool may_take_over(const Ir& ir, const PlannedStep& step, int from, size_t index) {
  const Value& dying = ir.values[size_t(from)];
  const Value& result = ir.values[size_t(step.work->writes[index])];
  if (dying.device != result.device) return false;
  if (const Epilogue* epilogue = step.epilogue) {
    // The product passes through the target's memory; the other results are written as their rows are finished.
    auto read = std::find(epilogue->reads.begin(), epilogue->reads.end(), from);
    return index > 0 && reads_of(ir, *step.operation, from) == 0 && read != epilogue->reads.end() &&
           can_share(epilogue->program, 1 + int(read - epilogue->reads.begin()), int(epilogue->reads.size() + index));
  }
  if (const Operation* op = step.operation) {
    int reusable = op->primitive->reusable_input();
    if (reusable < 0 || index != 0) return false;
    const Value& input = ir.values[size_t(op->inputs[size_t(reusable)])];
    return input.view.base == from && input.view.offset == 0 && is_contiguous(input.shape, input.view.strides) &&
           reads_of(ir, *op, from) == 1;
  }
  const std::vector<int>& reads = step.work->reads;
  int read = int(std::find(reads.begin(), reads.end(), from) - reads.begin());
  return can_share(step.emitted->program, read, int(reads.size() + index));
}

}  // namespace funcnn
