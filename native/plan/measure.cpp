#include "plan/measure.h"

#include <sstream>

#include "base/profile.h"
#include "plan/eval.h"
#include "plan/evaluation.h"
#include "plan/measured.h"

namespace funcnn {
namespace {

double touched_bytes(const Access& a) {
  double n = 1;
  for (size_t i = 0; i < a.shape.size(); ++i)
    if (a.strides[i] != 0) n *= double(a.shape[i]);
  return n * double(item_size(a.dtype));
}

}  // namespace

Effort effort_of(const KernelProgram& p) {
  Effort total;
  for (const Access& a : p.accesses) total.bytes += touched_bytes(a);
  for (const Instruction& i : p.code) {
    if (i.kind == InstructionKind::compute && i.op == Opcode::copy) continue;
    bool whole = i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col;
    if (i.kind != InstructionKind::compute && !whole) continue;
    total.flops += whole || i.space == Space::element ? double(p.rows) * double(p.cols)
                   : i.space == Space::row            ? double(p.rows)
                                                      : 1.0;
  }
  return total;
}

Effort measure_ceilings(Device device) {
  auto lock = interruptible_evaluation_lock();
  auto* measured = dynamic_cast<MeasuredBackend*>(&backend(device));
  return measured ? measured->measure_ceilings() : Effort{};
}

void settle(Recorder& recorder) {
  while (!recorder.wait_for_asked(kPatience)) check_interrupt();
  auto lock = interruptible_evaluation_lock();
  recorder.settle();
}

std::string amount(double x) {
  const char* units[] = {"", "k", "M", "G", "T"};
  int u = 0;
  while (x >= 1000 && u < 4) {
    x /= 1000;
    ++u;
  }
  std::ostringstream out;
  out.precision(3);
  out << x << ' ' << units[u];
  return out.str();
}

}  // namespace funcnn
