// Tests reach the loops of the code generator: spelled out in Python, made into code, and evaluated in plain C++.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/emit_arm.h"
#include "backends/cpu/jit/evaluate.h"
#include "backends/cpu/jit/functions.h"
#include "bindings/jit.h"
#include "bindings/memory.h"

namespace funcnn {
namespace {

using cpu::jit::Do;
using cpu::jit::Fold;
using cpu::jit::Loop;
using cpu::jit::Node;
using cpu::jit::Stage;
using cpu::jit::Stream;
using cpu::jit::Walk;

// In the order of Do.
constexpr const char* kNames[] = {"constant",
                                  "uniform",
                                  "load",
                                  "index",
                                  "add",
                                  "subtract",
                                  "multiply",
                                  "divide",
                                  "fma",
                                  "fms",
                                  "fnma",
                                  "square_root",
                                  "least",
                                  "greatest",
                                  "floor",
                                  "ceil",
                                  "truncate",
                                  "nearest",
                                  "scale",
                                  "half",
                                  "int_add",
                                  "int_subtract",
                                  "int_multiply",
                                  "int_least",
                                  "int_greatest",
                                  "uint_least",
                                  "uint_greatest",
                                  "bit_and",
                                  "bit_or",
                                  "bit_xor",
                                  "shift_left",
                                  "shift_right",
                                  "shift_right_signed",
                                  "shift_left_by",
                                  "shift_right_by",
                                  "shift_right_signed_by",
                                  "from_int",
                                  "to_int",
                                  "widen_first",
                                  "widen_second",
                                  "narrow",
                                  "widen_int_first",
                                  "widen_int_second",
                                  "narrow_to_int",
                                  "less",
                                  "less_equal",
                                  "equal",
                                  "not_equal",
                                  "int_less",
                                  "int_equal",
                                  "mask_and",
                                  "mask_or",
                                  "mask_xor",
                                  "mask_not",
                                  "mask_first",
                                  "mask_second",
                                  "mask_of_load",
                                  "select",
                                  "choose",
                                  "store",
                                  "mask_store",
                                  "reduce"};
static_assert(std::size(kNames) == size_t(Do::reduce) + 1);
constexpr const char* kWalks[] = {"element", "column", "row", "scalar"};

template <size_t n>
size_t find(const char* const (&names)[n], const std::string& name) {
  for (size_t i = 0; i < n; ++i)
    if (names[i] == name) return i;
  throw ValueError(cat("unknown name ", name));
}
ReduceOp parse_reduce_op(const std::string& name) {
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::prod, ReduceOp::max, ReduceOp::min})
    if (reduce_name(op) == name) return op;
  throw ValueError(cat("unknown reduction ", name));
}

// (wide, [stage], [(walk, dtype)]), where a stage is ([(name, a, b, c, stream, bits)], [(reduction, squares, dtype,
// stream)])
Loop parse(const nb::tuple& spec) {
  Loop loop;
  loop.wide = nb::cast<bool>(spec[0]);
  for (nb::handle item : nb::cast<nb::list>(spec[2])) {
    const nb::tuple t = nb::cast<nb::tuple>(item);
    loop.streams.push_back({Walk(find(kWalks, nb::cast<std::string>(t[0]))), parse_dtype(nb::cast<std::string>(t[1]))});
  }
  for (nb::handle one : nb::cast<nb::list>(spec[1])) {
    Stage stage;
    stage.line.wide = loop.wide;
    for (nb::handle item : nb::cast<nb::list>(nb::cast<nb::tuple>(one)[1])) {
      const nb::tuple t = nb::cast<nb::tuple>(item);
      stage.folds.push_back({parse_reduce_op(nb::cast<std::string>(t[0])), nb::cast<bool>(t[1]),
                             parse_dtype(nb::cast<std::string>(t[2])), nb::cast<int>(t[3])});
    }
    for (nb::handle item : nb::cast<nb::list>(nb::cast<nb::tuple>(one)[0])) {
      const nb::tuple t = nb::cast<nb::tuple>(item);
      Node n{Do(find(kNames, nb::cast<std::string>(t[0])))};
      n.a = nb::cast<int>(t[1]), n.b = nb::cast<int>(t[2]), n.c = nb::cast<int>(t[3]);
      n.stream = nb::cast<int>(t[4]);
      n.bits = nb::cast<uint64_t>(t[5]);
      const int number = int(stage.line.nodes.size());
      if (n.a >= number || n.b >= number || n.c >= number) throw ValueError("an operand that comes later");
      if (n.stream >= int(n.what == Do::reduce ? stage.folds.size() : loop.streams.size()))
        throw ValueError("a stream that is not there");
      stage.line.nodes.push_back(n);
    }
    loop.stages.push_back(std::move(stage));
  }
  return loop;
}

nb::tuple print(const Loop& loop) {
  nb::list stages, streams;
  for (const Stage& stage : loop.stages) {
    nb::list nodes, folds;
    for (const Node& n : stage.line.nodes)
      nodes.append(nb::make_tuple(kNames[size_t(n.what)], n.a, n.b, n.c, n.stream, n.bits));
    for (const Fold& f : stage.folds)
      folds.append(
          nb::make_tuple(std::string(reduce_name(f.op)), f.squares, std::string(dtype_name(f.dtype)), f.stream));
    stages.append(nb::make_tuple(nodes, folds));
  }
  for (const Stream& s : loop.streams)
    streams.append(nb::make_tuple(kWalks[size_t(s.walk)], std::string(dtype_name(s.memory))));
  return nb::make_tuple(loop.wide, stages, streams);
}

// Of every operation of the kernel tables that is recorded: its number, dtype, and a loop over dense operands.
nb::list operation_loops() {
  nb::list out;
  for (int op = 0; op < cpu::simd::kOpCount; ++op)
    for (int d = 0; d < kDtypeCount; ++d) {
      const Dtype dtype = Dtype(d);
      if (dtype == Dtype::complex64) continue;
      const bool opcode = op < kOpcodeCount;
      const int arity = opcode ? opcode_info(Opcode(op)).arity
                        : op == cpu::simd::kDivideRow || op == cpu::simd::kExpOfDifference ? 2
                                                                                           : 3;
      Loop loop;
      Stage& stage = loop.stages.emplace_back();
      loop.wide = stage.line.wide = item_size(dtype) == 8;
      int args[3] = {-1, -1, -1};
      for (int k = 0; k < arity; ++k) {
        const Dtype operand = opcode && Opcode(op) == Opcode::select && k == 0 ? Dtype::bool_ : dtype;
        loop.streams.push_back({Walk::element, operand});
        args[k] = stage.line.make({.what = operand == Dtype::bool_ ? Do::mask_of_load : Do::load, .stream = k});
      }
      if (!cpu::active_table().compute[op][d][op == cpu::simd::kDivideRow ? 2 : 0]) continue;
      const int value = cpu::jit::record(stage.line, op, dtype, args);
      if (value < 0) continue;
      const bool mask = dtype == Dtype::bool_ || (opcode && opcode_info(Opcode(op)).gives_bool());
      loop.streams.push_back({Walk::element, mask ? Dtype::bool_ : dtype});
      stage.line.make({.what = mask ? Do::mask_store : Do::store, .a = value, .stream = arity});
      out.append(nb::make_tuple(op, std::string(dtype_name(dtype)), print(loop)));
    }
  return out;
}

nb::tuple emit_arm(const nb::tuple& spec) {
  std::string why;
  const std::vector<uint8_t> code = cpu::jit::emit_arm(parse(spec), &why);
  return nb::make_tuple(nb::bytes(code.data(), code.size()), why);
}

// ---- evaluation

uint64_t widened(Dtype dtype, const std::byte* p) {
  return visit_dtype(dtype, [&]<class T>(TypeTag<T>) -> uint64_t {
    T x;
    std::memcpy(&x, p, sizeof(T));
    uint64_t bits = 0;
    if constexpr (std::is_same_v<T, complex64_t>) {
      throw TypeError("lines hold no complex numbers");
    } else if constexpr (sizeof(T) == 8) {
      std::memcpy(&bits, &x, 8);
    } else if constexpr (std::is_integral_v<T>) {
      bits = uint32_t(x);
    } else {
      const float wide = float(x);
      std::memcpy(&bits, &wide, 4);
    }
    return bits;
  });
}
void narrowed(Dtype dtype, uint64_t bits, std::byte* p) {
  if (!is_half(dtype)) {
    std::memcpy(p, &bits, item_size(dtype));
    return;
  }
  float x;
  std::memcpy(&x, &bits, 4);
  const uint16_t half = dtype == Dtype::float16 ? float_to_float16_bits(x) : float_to_bfloat16_bits(x);
  std::memcpy(p, &half, 2);
}

// One buffer for each stream; results are written into theirs. Reductions are those of the table in use.
void evaluate(const nb::tuple& spec, int64_t rows, int64_t cols, const nb::list& buffers) {
  const Loop loop = parse(spec);
  std::vector<std::unique_ptr<Memory>> memory;
  for (nb::handle buffer : buffers) memory.push_back(std::make_unique<Memory>(buffer, true));
  const auto at = [&](int stream, int64_t row, int64_t col) {
    const Stream& s = loop.streams[size_t(stream)];
    const int64_t index = s.walk == Walk::element  ? row * cols + col
                          : s.walk == Walk::column ? col
                          : s.walk == Walk::row    ? row
                                                   : 0;
    const int64_t item = int64_t(item_size(s.memory));
    if ((index + 1) * item > memory.at(size_t(stream))->size()) throw ValueError("a buffer is too small");
    return memory[size_t(stream)]->data() + index * item;
  };
  std::vector<uint64_t> streams(loop.streams.size());
  for (int64_t row = 0; row < rows; ++row)
    for (const Stage& stage : loop.stages) {
      std::vector<uint64_t> values(stage.line.nodes.size());
      std::vector<std::vector<std::byte>> lines(stage.folds.size(), std::vector<std::byte>(size_t(cols) * 8));
      for (int64_t col = 0; col < cols; ++col) {
        for (size_t s = 0; s < streams.size(); ++s) streams[s] = widened(loop.streams[s].memory, at(int(s), row, col));
        cpu::jit::evaluate(stage.line, streams, uint64_t(col), values);
        for (size_t n = 0; n < values.size(); ++n) {
          const Node& node = stage.line.nodes[n];
          if (node.what == Do::store || node.what == Do::mask_store)
            narrowed(loop.streams[size_t(node.stream)].memory, values[n], at(node.stream, row, col));
          if (node.what != Do::reduce) continue;
          const size_t item = item_size(stage.folds[size_t(node.stream)].dtype);
          std::memcpy(&lines[size_t(node.stream)][size_t(col) * item], &values[n], item);
        }
      }
      for (size_t f = 0; f < stage.folds.size(); ++f) {
        const Fold& fold = stage.folds[f];
        std::byte* out = at(fold.stream, row, 0);
        const cpu::simd::Table& table = cpu::active_table();
        if (fold.squares)
          table.sum_squares[int(fold.dtype)](out, lines[f].data(), nullptr, 1, cols, cols);
        else
          table.reduce_row[int(fold.op)][int(fold.dtype)](out, lines[f].data(), 1, cols, cols);
      }
    }
}

}  // namespace

void bind_jit_loop(nb::module_& m) {
  m.def("_operation_loops", &operation_loops);
  m.def("_arm_emit", &emit_arm);
  m.def("_loop_evaluate", &evaluate);
}

}  // namespace funcnn
