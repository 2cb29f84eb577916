// Tests reach single operations of the kernel tables, and the same as lines of the code generator that are evaluated in
// plain C++.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/evaluate.h"
#include "backends/cpu/jit/functions.h"
#include "backends/cpu/program_rewrite.h"
#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/memory.h"
#include "bindings/named.h"

namespace funcnn {
namespace {

using cpu::arity_of;
using cpu::simd::kOpCount;

// Opcodes by their names, then the operations that are none.
std::string name_of(int op) {
  constexpr const char* others[] = {
      "fms",          "fnma",      "divide_row", "exp_of_difference", "scaled_difference",   "half_exp",
      "half_sigmoid", "half_tanh", "half_erf",   "half_gelu",         "half_gelu_derivative"};
  static_assert(kOpCount == kOpcodeCount + std::size(others));
  return op < kOpcodeCount ? std::string(opcode_info(Opcode(op)).name) : others[op - kOpcodeCount];
}
int parse_operation(const std::string& name) { return named<int>(name, kOpCount, name_of, "operation"); }
Dtype operand_dtype(int op, Dtype dtype, int k) { return op == int(Opcode::select) && k == 0 ? Dtype::bool_ : dtype; }
Dtype result_dtype(int op, Dtype dtype) {
  return op < kOpcodeCount && opcode_info(Opcode(op)).gives_bool() ? Dtype::bool_ : dtype;
}
// A divisor of rows is one value.
int mask_of(int op) { return op == cpu::simd::kDivideRow ? 2 : 0; }

// Operands hold as many elements as the result, or one.
class Operands {
 public:
  Operands(const nb::list& arrays, nb::handle out, const std::vector<Dtype>& dtypes, Dtype result)
      : dtypes_(dtypes), result_(result), out_(std::make_unique<Memory>(out, true)) {
    if (nb::len(arrays) != dtypes.size())
      throw ValueError(cat("expected ", dtypes.size(), " operands, got ", nb::len(arrays)));
    count_ = out_->size() / int64_t(item_size(result));
    for (size_t k = 0; k < dtypes.size(); ++k) {
      memory_.push_back(std::make_unique<Memory>(arrays[k], false));
      const int64_t count = memory_[k]->size() / int64_t(item_size(dtypes[k]));
      if (count != 1 && count != count_) throw ValueError(cat("an operand of ", count, " elements for ", count_));
      repeated_.push_back(count == 1);
    }
  }
  int64_t count() const { return count_; }
  const std::byte* at(size_t k, int64_t i) const {
    return memory_[k]->data() + (repeated_[k] ? 0 : i) * int64_t(item_size(dtypes_[k]));
  }
  std::byte* out(int64_t i) const { return out_->data() + i * int64_t(item_size(result_)); }

  // The last node of the line for every element.
  void evaluate(const cpu::jit::Line& line, int node) const {
    std::vector<uint64_t> streams(dtypes_.size()), values(line.nodes.size());
    for (int64_t i = 0; i < count_; ++i) {
      for (size_t k = 0; k < dtypes_.size(); ++k) streams[k] = cpu::jit::to_lane(dtypes_[k], at(k, i));
      cpu::jit::evaluate(line, streams, uint64_t(i), values);
      cpu::jit::from_lane(result_, values[size_t(node)], out(i));
    }
  }

 private:
  std::vector<Dtype> dtypes_;
  Dtype result_;
  std::unique_ptr<Memory> out_;
  std::vector<std::unique_ptr<Memory>> memory_;
  std::vector<bool> repeated_;
  int64_t count_ = 0;
};

std::vector<Dtype> dtypes_of(int op, Dtype dtype) {
  std::vector<Dtype> out;
  for (int k = 0; k < arity_of(op); ++k) out.push_back(operand_dtype(op, dtype, k));
  return out;
}

cpu::jit::Line line_of(Dtype dtype) {
  cpu::jit::Line line;
  line.wide = item_size(dtype) == 8;
  line.halves = true;
  return line;
}

int load(cpu::jit::Line& line, Dtype dtype, int stream) {
  using cpu::jit::Do;
  return line.make({.what = dtype == Dtype::bool_ ? Do::mask_of_load : Do::load, .stream = stream});
}

// The node of an operation in a line of its own, or -1.
int record(cpu::jit::Line& line, int op, Dtype dtype) {
  std::array<int, 3> args{-1, -1, -1};
  for (int k = 0; k < arity_of(op); ++k) args[size_t(k)] = load(line, operand_dtype(op, dtype, k), k);
  return cpu::jit::record(line, op, dtype, args);
}

// ---- bindings

// Of the table in use, or those that are recorded: name, dtype, dtypes of the operands, dtype of the result.
nb::list operations(bool recorded) {
  nb::list out;
  for (int op = 0; op < kOpCount; ++op)
    for (int d = 0; d < kDtypeCount; ++d) {
      const Dtype dtype = Dtype(d);
      if (!cpu::active_table().compute[op][d][mask_of(op)]) continue;
      cpu::jit::Line line = line_of(dtype);
      if (recorded && record(line, op, dtype) < 0) continue;
      nb::list operands;
      for (Dtype operand : dtypes_of(op, dtype)) operands.append(std::string(dtype_name(operand)));
      out.append(nb::make_tuple(name_of(op), std::string(dtype_name(dtype)), operands,
                                std::string(dtype_name(result_dtype(op, dtype)))));
    }
  return out;
}

void run_entry(const std::string& name, const std::string& dtype_text, const nb::list& arrays, nb::handle out) {
  const int op = parse_operation(name);
  const Dtype dtype = parse_dtype(dtype_text);
  const Operands operands(arrays, out, dtypes_of(op, dtype), result_dtype(op, dtype));
  int mask = 0;
  std::array<const std::byte*, 3> p{};
  for (int k = 0; k < arity_of(op); ++k) {
    p[size_t(k)] = operands.at(size_t(k), 0);
    if (operands.count() > 1 && operands.at(size_t(k), 1) == p[size_t(k)]) mask |= 1 << k;
  }
  if (operands.count() == 1) mask = mask_of(op);
  cpu::simd::ComputeFn fn = cpu::active_table().compute[op][int(dtype)][mask];
  if (!fn) throw TypeError(cat(name, ": has no entry for ", dtype_text, " and these operands"));
  fn(operands.out(0), p[0], p[1], p[2], operands.count());
}

void run_line(const std::string& name, const std::string& dtype_text, const nb::list& arrays, nb::handle out) {
  const int op = parse_operation(name);
  const Dtype dtype = parse_dtype(dtype_text);
  cpu::jit::Line line = line_of(dtype);
  const int node = record(line, op, dtype);
  if (node < 0) throw TypeError(cat(name, ": is not recorded for ", dtype_text));
  Operands(arrays, out, dtypes_of(op, dtype), result_dtype(op, dtype)).evaluate(line, node);
}

void run_cast(const std::string& to, const std::string& from, nb::handle in, nb::handle out, bool recorded) {
  const Dtype target = parse_dtype(to), source = parse_dtype(from);
  nb::list arrays;
  arrays.append(in);
  const Operands operands(arrays, out, {source}, target);
  if (!recorded) {
    cpu::active_table().cast[int(target)][int(source)](operands.out(0), operands.at(0, 0), operands.count());
    return;
  }
  cpu::jit::Line line = line_of(source == Dtype::bool_ ? target : source);
  const int node = cpu::jit::record_cast(line, target, source, load(line, source, 0));
  if (node < 0) throw TypeError(cat("no cast from ", from, " to ", to, " is recorded"));
  operands.evaluate(line, node);
}

}  // namespace

void bind_lines(nb::module_& m) {
  m.def("_operations", &operations);
  m.def("_run_entry", &run_entry);
  m.def("_run_line", &run_line);
  m.def("_run_cast", &run_cast);
}

}  // namespace funcnn
