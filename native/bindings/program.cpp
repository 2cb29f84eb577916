// Tests reach the CPU interpreter without a graph: a KernelProgram spelled out in Python runs on raw pointers.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <string>
#include <vector>

#include "backends/cpu/interpreter.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "bindings/bindings.h"
#include "bindings/interpreter.h"

namespace funcnn {
namespace {

Dtype parse_dtype(const std::string& name) {
  for (int i = 0; i < kDtypeCount; ++i)
    if (dtype_name(Dtype(i)) == name) return Dtype(i);
  throw ValueError(cat("unknown dtype ", name));
}
Opcode parse_opcode(const std::string& name) {
  for (int i = 0; i < kOpcodeCount; ++i)
    if (opcode_name(Opcode(i)) == name) return Opcode(i);
  throw ValueError(cat("unknown opcode ", name));
}
ReduceOp parse_reduce(const std::string& name) {
  for (int i = 0; i < 6; ++i)
    if (reduce_name(ReduceOp(i)) == name) return ReduceOp(i);
  throw ValueError(cat("unknown reduction ", name));
}
Space parse_space(const std::string& name) {
  return name == "scalar" ? Space::scalar : name == "row" ? Space::row : Space::element;
}

// {"rows", "cols", "operands", "accesses": [(operand, dtype, offset, shape, strides)],
//  "code": [(kind, name of the operation or "", space, dtype, args, access)]}
KernelProgram parse(const nb::dict& spec) {
  KernelProgram p;
  p.rows = nb::cast<int64_t>(spec["rows"]);
  p.cols = nb::cast<int64_t>(spec["cols"]);
  p.operand_count = nb::cast<int>(spec["operands"]);
  for (nb::handle item : nb::cast<nb::list>(spec["accesses"])) {
    nb::tuple t = nb::cast<nb::tuple>(item);
    Access a;
    a.operand = nb::cast<int>(t[0]);
    a.dtype = parse_dtype(nb::cast<std::string>(t[1]));
    a.offset = nb::cast<int64_t>(t[2]);
    for (int64_t n : nb::cast<std::vector<int64_t>>(t[3])) a.shape.push_back(n);
    for (int64_t n : nb::cast<std::vector<int64_t>>(t[4])) a.strides.push_back(n);
    p.accesses.push_back(a);
  }
  for (nb::handle item : nb::cast<nb::list>(spec["code"])) {
    nb::tuple t = nb::cast<nb::tuple>(item);
    std::string kind = nb::cast<std::string>(t[0]), name = nb::cast<std::string>(t[1]);
    Instruction i;
    if (kind == "load") i.kind = InstructionKind::load;
    if (kind == "index") i.kind = InstructionKind::index;
    if (kind == "compute") i.op = parse_opcode(name);
    if (kind == "reduce_row") i.kind = InstructionKind::reduce_row;
    if (kind == "reduce_col") i.kind = InstructionKind::reduce_col;
    if (kind == "store") i.kind = InstructionKind::store;
    if (i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col) i.reduce = parse_reduce(name);
    i.space = parse_space(nb::cast<std::string>(t[2]));
    i.dtype = parse_dtype(nb::cast<std::string>(t[3]));
    int k = 0;
    for (int a : nb::cast<std::vector<int>>(t[4])) i.args[k++] = a;
    i.access = nb::cast<int>(t[5]);
    p.code.push_back(i);
  }
  return p;
}

class Program {
 public:
  explicit Program(const nb::dict& spec) : prepared_(parse(spec)) {}

  // Addresses of the operands' memory; `repeat` for benchmarks.
  void run(const std::vector<uintptr_t>& addresses, int repeat) const {
    std::vector<std::byte*> operands;
    for (uintptr_t a : addresses) operands.push_back(reinterpret_cast<std::byte*>(a));
    Unlocked release;
    for (int i = 0; i < repeat; ++i) prepared_.run(operands);
  }
  void run_range(const std::vector<uintptr_t>& addresses, int64_t begin, int64_t end) const {
    std::vector<std::byte*> operands;
    for (uintptr_t a : addresses) operands.push_back(reinterpret_cast<std::byte*>(a));
    Unlocked release;
    prepared_.run_range(operands, begin, end);
  }

 private:
  cpu::PreparedProgram prepared_;
};

}  // namespace

void bind_program(nb::module_& m) {
  nb::class_<Program>(m, "_Program")
      .def(nb::init<const nb::dict&>())
      .def("run", &Program::run, nb::arg("addresses"), nb::arg("repeat") = 1)
      .def("run_range", &Program::run_range);
  m.def("_instruction_set", &cpu::instruction_set);
  m.def("_set_instruction_set", &cpu::set_instruction_set);
  m.def("_set_thread_count", &set_thread_count);
}

}  // namespace funcnn
