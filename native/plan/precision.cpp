#include "plan/precision.h"

namespace funcnn {
namespace {

// Sums of such values are as good as their terms.
bool is_never_negative(const Instruction& i) {
  return i.kind == InstructionKind::compute && (i.op == Opcode::exp || i.op == Opcode::exp2 || i.op == Opcode::sigmoid);
}

// Whether `reader`, of whose own value half precision suffices (`half`), asks no more of an operand.
bool asks_for_half(const KernelProgram& p, const Instruction& reader, bool half, const Instruction& operand) {
  switch (reader.kind) {
    case InstructionKind::store:
      return is_half(p.accesses[size_t(reader.access)].dtype);
    case InstructionKind::reduce_row:
      return half && reader.reduce == ReduceOp::sum && is_never_negative(operand);
    case InstructionKind::compute:
      switch (reader.op) {
        case Opcode::round_float16:
        case Opcode::round_bfloat16:
          return true;
        case Opcode::copy:
          return half && operand.dtype == Dtype::float32;
        case Opcode::multiply:
        case Opcode::divide:
        case Opcode::reciprocal:
        case Opcode::negative:
        case Opcode::abs:
          return half;
        default:
          return false;
      }
    default:
      return false;
  }
}

}  // namespace

std::vector<char> half_suffices(const KernelProgram& p) {
  std::vector<char> out(p.code.size(), 1), read(p.code.size(), 0);
  for (size_t n = p.code.size(); n-- > 0;) {
    const Instruction& i = p.code[n];
    out[n] = i.dtype == Dtype::float32 && (i.half || (out[n] && read[n]));
    for (int a : i.args) {
      if (a < 0) continue;
      read[size_t(a)] = 1;
      out[size_t(a)] = out[size_t(a)] && asks_for_half(p, i, out[n], p.code[size_t(a)]);
    }
  }
  return out;
}

}  // namespace funcnn
