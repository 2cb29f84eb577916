#include "plan/kernel_program.h"

#include <algorithm>

namespace funcnn {

void Instruction::hash(Hasher& h) const {
  h.add(uint64_t(kind) | uint64_t(op) << 8 | uint64_t(reduce) << 24 | uint64_t(space) << 32 | uint64_t(dtype) << 40 |
        uint64_t(half) << 48);
  h.add(uint64_t(uint32_t(args[0])) << 32 | uint32_t(args[1]));
  h.add(uint64_t(uint32_t(args[2])) << 32 | uint32_t(access));
}

bool KernelProgram::has_row_reduction() const {
  return std::any_of(code.begin(), code.end(), [](auto& i) { return i.kind == InstructionKind::reduce_row; });
}
bool KernelProgram::has_col_reduction() const {
  return std::any_of(code.begin(), code.end(), [](auto& i) { return i.kind == InstructionKind::reduce_col; });
}

std::ostream& operator<<(std::ostream& out, const KernelProgram& p) {
  static constexpr const char* spaces[] = {"scalar", "row", "element"};
  auto place = [&](int index) -> std::ostream& {
    const Access& a = p.accesses[size_t(index)];
    out << '%' << a.operand << ':' << a.dtype;
    if (a.offset) out << '+' << a.offset;
    out << '[';
    for (size_t i = 0; i < a.shape.size(); ++i) out << (i ? ", " : "") << a.shape[i] << ':' << a.strides[i];
    return out << ']';
  };
  out << "for " << p.rows << " rows x " << p.cols << " cols";
  if (p.bands != 1) out << " in " << p.bands << " bands";
  out << '\n';
  for (size_t n = 0; n < p.code.size(); ++n) {
    const Instruction& i = p.code[n];
    out << "  ";
    if (i.kind == InstructionKind::store || i.kind == InstructionKind::reduce_col) {
      if (i.kind == InstructionKind::reduce_col)
        out << "col_" << reduce_name(i.reduce) << ' ';
      else
        out << "store ";
      out << 'v' << i.args[0] << " -> ";
      place(i.access) << '\n';
      continue;
    }
    out << 'v' << n << ": " << i.dtype << ' ' << spaces[int(i.space)] << " = ";
    if (i.kind == InstructionKind::load) {
      out << "load ";
      place(i.access);
    } else if (i.kind == InstructionKind::index) {
      out << "index";
    } else {
      if (i.kind == InstructionKind::reduce_row)
        out << "row_" << reduce_name(i.reduce);
      else
        out << opcode_info(i.op).name;
      for (int a : i.args)
        if (a >= 0) out << " v" << a;
    }
    out << '\n';
  }
  return out;
}

}  // namespace funcnn
