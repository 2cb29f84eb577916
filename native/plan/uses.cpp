#include "plan/uses.h"

#include <utility>

namespace funcnn {

Uses::Uses(const Ir& ir) {
  size_t n = ir.values.size();
  users_.resize(n);
  needed_.assign(n, 0);
  result_.assign(n, 0);
  form_of_.assign(n, -1);
  for (const auto& result : ir.results)
    for (int v : result) {
      need(ir, v);
      result_[size_t(ir.values[size_t(v)].view.base)] = 1;
    }
  std::vector<char> listed(ir.operations.size(), 0);
  while (!work_.empty()) {
    int v = work_.back();
    work_.pop_back();
    const Value& value = ir.values[size_t(v)];
    if (value.kind == ValueKind::operation) {
      if (std::exchange(listed[size_t(value.operation)], 1)) continue;
      const Operation& op = ir.operations[size_t(value.operation)];
      for (int o : op.outputs) needed_[size_t(o)] = 1;
      for (int input : op.inputs) {
        need(ir, input);
        add(ir, input, -1 - value.operation, ir.values[size_t(input)].view);
      }
    } else if (value.kind == ValueKind::reduce) {
      need(ir, value.inputs[0]);
      form_of_[size_t(v)] = int(forms_.size());
      forms_.push_back(reduce_form(ir, value));
      add(ir, value.inputs[0], v, forms_.back().view);
    } else if (value.kind == ValueKind::elementwise) {
      for (int input : value.inputs) {
        need(ir, input);
        const Value& from = ir.values[size_t(input)];
        add(ir, input, v, broadcast_view(from.view, from.shape, value.shape));
      }
    }
  }
}

void Uses::need(const Ir& ir, int v) {
  const Value& value = ir.values[size_t(v)];
  need_base(value.view.base);
  if (value.kind == ValueKind::view)
    for (int dep : value.inputs) need_base(ir.values[size_t(dep)].view.base);
}

void Uses::need_base(int base) {
  if (std::exchange(needed_[size_t(base)], 1)) return;
  work_.push_back(base);
}

void Uses::add(const Ir& ir, int operand, int reader, View view) {
  const Value& value = ir.values[size_t(operand)];
  users_[size_t(value.view.base)].push_back({reader, false, std::move(view)});
  if (value.kind == ValueKind::view)
    for (int dep : value.inputs) users_[size_t(ir.values[size_t(dep)].view.base)].push_back({reader, true, {}});
}

void Uses::extend(bool needed) {
  users_.emplace_back();
  needed_.push_back(needed);
  result_.push_back(0);
  form_of_.push_back(-1);
}

}  // namespace funcnn
