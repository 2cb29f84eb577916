// Tests reach the CPU interpreter without a graph: a KernelProgram spelled out in Python runs on objects that speak the
// buffer protocol. Nothing that Python passes in makes it touch other memory.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/cpu/amx.h"
#include "backends/cpu/interpreter.h"
#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "bindings/memory.h"
#include "bindings/named.h"
#include "plan/eval.h"

namespace funcnn {
namespace {

Space parse_space(const std::string& name) {
  return name == "scalar" ? Space::scalar : name == "row" ? Space::row : Space::element;
}

// {"rows", "cols", "operands", "accesses": [(operand, dtype, offset, shape, strides)],
//  "code": [(kind, name of the operation or "", space, dtype, args, access)]}
KernelProgram parse(const nb::dict& spec) {
  KernelProgram p;
  p.rows = nb::cast<int64_t>(spec["rows"]);
  p.cols = nb::cast<int64_t>(spec["cols"]);
  p.bands = nb::cast<int64_t>(spec["bands"]);
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
    if (kind == "compute")
      i.op = named<Opcode>(name, kOpcodeCount, [](Opcode op) { return opcode_info(op).name; }, "opcode");
    if (kind == "reduce_row") i.kind = InstructionKind::reduce_row;
    if (kind == "reduce_col") i.kind = InstructionKind::reduce_col;
    if (kind == "store") i.kind = InstructionKind::store;
    if (i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col) i.reduce = parse_reduce(name);
    i.space = parse_space(nb::cast<std::string>(t[2]));
    i.dtype = parse_dtype(nb::cast<std::string>(t[3]));
    int k = 0;
    for (int a : nb::cast<std::vector<int>>(t[4])) {
      if (k == 3) throw ValueError("_Program: an instruction with more than three arguments");
      i.args[k++] = a;
    }
    i.access = nb::cast<int>(t[5]);
    p.code.push_back(i);
  }
  return p;
}

int64_t count_of(const KernelProgram& p, Space space) {
  return space == Space::scalar ? 1 : space == Space::row ? p.rows : p.rows * p.cols;
}

// Refuse programs that are none: kernels trust what the planner makes.
void check(const KernelProgram& p) {
  auto expect = [](bool holds, auto&&... what) {
    if (!holds) throw ValueError(cat("_Program: ", what...));
  };
  expect(p.rows >= 0 && p.cols >= 0 && p.operand_count >= 0, "negative sizes");
  expect(p.bands >= 1 && p.rows % p.bands == 0, p.rows, " rows in ", p.bands, " bands");
  for (const Access& a : p.accesses) {
    expect(a.operand >= 0 && a.operand < p.operand_count, "an access to operand ", a.operand, " of ", p.operand_count);
    expect(a.shape.size() == a.strides.size(), "an access with ", a.shape.size(), " axes and ", a.strides.size(),
           " strides");
  }
  for (size_t i = 0; i < p.code.size(); ++i) {
    const Instruction& in = p.code[i];
    bool accesses =
        in.kind == InstructionKind::load || in.kind == InstructionKind::store || in.kind == InstructionKind::reduce_col;
    bool makes = in.kind == InstructionKind::load || in.kind == InstructionKind::index;
    int arity = in.kind == InstructionKind::compute ? opcode_info(in.op).arity : makes ? 0 : 1;
    for (int k = 0; k < 3; ++k)
      expect(k < arity ? in.args[k] >= 0 && in.args[k] < int(i) : in.args[k] == -1, "instruction ", i,
             " has other arguments than ", arity, " earlier values");
    if (!accesses) continue;
    expect(in.access >= 0 && in.access < int(p.accesses.size()), "instruction ", i, " without an access");
    int64_t count = in.kind == InstructionKind::reduce_col ? p.bands * p.cols : count_of(p, in.space);
    expect(element_count(p.accesses[size_t(in.access)].shape) == count, "the access of instruction ", i,
           " does not have the ", count, " elements of its space");
  }
}

class Program {
 public:
  explicit Program(const nb::dict& spec) : program_(parse(spec)), prepared_((check(program_), program_)) {}

  // `repeat` for benchmarks.
  void run(nb::sequence operands, int repeat) const {
    with_memory(operands, [&](std::span<std::byte* const> memory) {
      for (int i = 0; i < repeat; ++i) prepared_.run(memory);
    });
  }
  void run_range(nb::sequence operands, int64_t begin, int64_t end) const {
    bool reduces = program_.has_row_reduction() || program_.has_col_reduction();
    if (reduces || begin < 0 || begin > end || end > program_.rows * program_.cols)
      throw ValueError("_Program: expected a range of the elements of a program without reductions");
    with_memory(operands, [&](std::span<std::byte* const> memory) { prepared_.run_range(memory, begin, end); });
  }

 private:
  template <class F>
  void with_memory(nb::sequence operands, F&& f) const {
    std::vector<char> written(size_t(program_.operand_count));
    for (const Instruction& in : program_.code)
      if (in.kind == InstructionKind::store || in.kind == InstructionKind::reduce_col)
        written[size_t(program_.accesses[size_t(in.access)].operand)] = 1;
    if (nb::len(operands) != written.size())
      throw ValueError(cat("_Program: expected ", written.size(), " operands, got ", nb::len(operands)));
    std::vector<std::unique_ptr<Memory>> held;
    std::vector<std::byte*> pointers;
    for (size_t i = 0; i < written.size(); ++i) {
      held.push_back(std::make_unique<Memory>(operands[i], written[i]));
      pointers.push_back(held.back()->data());
    }
    for (const Access& a : program_.accesses) check_extent(a, *held[size_t(a.operand)]);
    Unlocked release;
    f(std::span<std::byte* const>(pointers));
  }

  static void check_extent(const Access& a, const Memory& memory) {
    if (element_count(a.shape) == 0) return;
    int64_t first = a.offset, last = a.offset;
    for (size_t i = 0; i < a.shape.size(); ++i) (a.strides[i] < 0 ? first : last) += (a.shape[i] - 1) * a.strides[i];
    auto itemsize = int64_t(item_size(a.dtype));
    if (first < 0 || last >= memory.size() / itemsize)
      throw ValueError(cat("_Program: elements ", first, " to ", last, " of ", a.dtype, " are not within the ",
                           memory.size(), " bytes of operand ", a.operand));
    if (reinterpret_cast<uintptr_t>(memory.data()) % size_t(itemsize) != 0)
      throw ValueError(cat("_Program: operand ", a.operand, " is not aligned for ", a.dtype));
  }

  KernelProgram program_;
  cpu::PreparedProgram prepared_;
};

}  // namespace

void bind_program(nb::module_& m) {
  nb::class_<Program>(m, "_Program")
      .def(nb::init<const nb::dict&>())
      .def("run", &Program::run, nb::arg("operands"), nb::arg("repeat") = 1)
      .def("run_range", &Program::run_range);
  m.def("_instruction_set", &cpu::instruction_set);
  m.def(
      "_set_instruction_set",
      [](const char* name) {
        cpu::set_instruction_set(name);
        clear_plan_cache();  // kernels keep the tables that they were made with
      },
      nb::call_guard<Unlocked>());
  m.def("_amx", &cpu::amx_use_name);
  m.def(
      "_set_amx",
      [](const char* name) {
        cpu::set_amx_use(name);
        clear_plan_cache();
      },
      nb::call_guard<Unlocked>());
  bind_lines(m);
}

}  // namespace funcnn
