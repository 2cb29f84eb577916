#include "backends/gpu/program.h"

#include <algorithm>

#include "backends/gpu/program_kernel.h"
#include "base/error.h"

namespace funcnn::gpu {

ProgramKernel::ProgramKernel(Machine& machine, const KernelProgram& program) : machine_(machine), program_(program) {
  make(packed_, true);
}

void ProgramKernel::encode(Queue& queue, std::span<const Operand> operands) {
  Variant& chosen = aligned(operands, packed_.aligned) ? packed_ : plain_;
  if (!chosen.launches) make(chosen, false);
  chosen.launches->encode(queue, operands);
}

void ProgramKernel::describe(std::ostream& out, const std::string& indent) const {
  packed_.launches->describe(out, indent);
}

void ProgramKernel::make(Variant& variant, bool packs) {
  PrintedProgram printed = print_program(machine_.traits(), program_, packs);
  std::vector<Stage> stages;
  for (Printed& p : printed.launches) {
    Stage stage;
    stage.pipeline = machine_.pipeline(p.source);
    stage.groups = p.groups;
    stage.threads = p.threads;
    stage.operands = std::move(p.operands);
    stage.read_only = p.read_only;
    stage.values = std::move(p.values);
    stages.push_back(std::move(stage));
    variant.aligned.insert(variant.aligned.end(), p.aligned.begin(), p.aligned.end());
  }
  scratch_ = printed.scratch_bytes;
  variant.launches = std::make_unique<StagedLaunches>(machine_, std::move(stages), printed.scratch_bytes);
}

bool aligned(std::span<const Operand> operands, std::span<const Printed::Aligned> wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const Printed::Aligned& a) {
    const Operand& operand = operands[size_t(a.place.operand)];
    if (!operand.buffer) return true;
    auto host = reinterpret_cast<uintptr_t>(operand.buffer->host());
    return (int64_t(host % 64) + operand.offset + a.place.offset) % a.bytes == 0;
  });
}

bool binds_partials(const Traits& traits, const KernelProgram& program) {
  const auto partials = std::count_if(program.code.begin(), program.code.end(), [](const Instruction& i) {
    return i.kind == InstructionKind::reduce_row || i.kind == InstructionKind::reduce_col;
  });
  return size_t(program.operand_count) + size_t(partials) <= traits.most_operands;
}

PrintedProgram print_program(const Traits& traits, const KernelProgram& program, bool packs) {
  const bool by_row = program.has_row_reduction() || std::any_of(program.code.begin(), program.code.end(), [](auto& i) {
                        return i.kind == InstructionKind::store && i.space == Space::row;
                      });
  if (program.has_col_reduction()) {
    if (program.has_row_reduction()) throw Error("gpu: a program reduces rows and columns");
    return program.cols ? print_columns(traits, program, packs) : PrintedProgram{};
  }
  PrintedProgram out;
  if (program.rows == 0 || (program.cols == 0 && !by_row)) return out;
  if (by_row) return print_rows(traits, program, packs);
  out.launches.push_back(print_elementwise(traits, program, {}, packs));
  return out;
}

std::unique_ptr<Kernel> make_program_kernel(Machine& machine, const KernelProgram& program) {
  return std::make_unique<ProgramKernel>(machine, program);
}

std::unique_ptr<Kernel> make_copy_kernel(Machine& machine, const Layout& from, const Layout& to) {
  // Elements go where they go in any order: that of memory at the target.
  std::vector<size_t> order;
  for (size_t axis = 0; axis < to.shape.size(); ++axis) order.push_back(axis);
  auto step = [&](size_t axis) { return to.strides[axis] < 0 ? -to.strides[axis] : to.strides[axis]; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return step(a) > step(b); });
  Shape shape;
  Strides read, written;
  for (size_t axis : order) {
    shape.push_back(to.shape[axis]);
    read.push_back(from.strides[axis]);
    written.push_back(to.strides[axis]);
  }
  merge_axes(shape, {&read, &written});
  // Bits, whatever they mean.
  const size_t item = item_size(from.dtype);
  const Dtype dtype = item == 1 ? Dtype::uint8 : item == 2 ? Dtype::uint16 : item == 4 ? Dtype::uint32 : Dtype::uint64;
  KernelProgram program;
  program.cols = element_count(shape);
  program.operand_count = 2;
  program.accesses = {{0, dtype, 0, shape, read}, {1, dtype, 0, shape, written}};
  Instruction load, store;
  load.kind = InstructionKind::load;
  store.kind = InstructionKind::store;
  load.dtype = store.dtype = dtype;
  load.access = store.args[0] = 0;
  store.access = 1;
  program.code = {load, store};
  return make_program_kernel(machine, program);
}

}  // namespace funcnn::gpu
