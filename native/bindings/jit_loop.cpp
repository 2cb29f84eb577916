// Tests reach the loops of the code generator: spelled out in Python, made into code, and evaluated in plain C++.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/code_memory.h"
#include "backends/cpu/jit/emit_arm.h"
#include "backends/cpu/jit/emit_x86.h"
#include "backends/cpu/jit/evaluate.h"
#include "backends/cpu/jit/functions.h"
#include "backends/cpu/program_rewrite.h"
#include "bindings/jit.h"
#include "bindings/memory.h"
#include "bindings/named.h"

namespace funcnn {
namespace {

using cpu::jit::Do;
using cpu::jit::Fold;
using cpu::jit::Loop;
using cpu::jit::Node;
using cpu::jit::Stage;
using cpu::jit::Stream;
using cpu::jit::Walk;

// (wide, [stage], [(walk, dtype)]), where a stage is ([(name, a, b, c, stream, bits)], [(reduction, squares, dtype,
// stream)]). A node of half the elements has a further True, and a stream that is an operand of a program.
Loop parse(const nb::tuple& spec) {
  Loop loop;
  loop.wide = nb::cast<bool>(spec[0]);
  for (nb::handle item : nb::cast<nb::list>(spec[2])) {
    const nb::tuple t = nb::cast<nb::tuple>(item);
    loop.streams.push_back({named<Walk>(nb::cast<std::string>(t[0]), 4, cpu::jit::walk_name, "walk"),
                            parse_dtype(nb::cast<std::string>(t[1])), false, t.size() > 2 && nb::cast<bool>(t[2])});
  }
  for (nb::handle one : nb::cast<nb::list>(spec[1])) {
    Stage stage;
    stage.line.wide = loop.wide;
    for (nb::handle item : nb::cast<nb::list>(nb::cast<nb::tuple>(one)[1])) {
      const nb::tuple t = nb::cast<nb::tuple>(item);
      stage.folds.push_back({parse_reduce(nb::cast<std::string>(t[0])), nb::cast<bool>(t[1]),
                             parse_dtype(nb::cast<std::string>(t[2])), nb::cast<int>(t[3])});
    }
    for (nb::handle item : nb::cast<nb::list>(nb::cast<nb::tuple>(one)[0])) {
      const nb::tuple t = nb::cast<nb::tuple>(item);
      Node n{named<Do>(nb::cast<std::string>(t[0]), cpu::jit::kDoCount, cpu::jit::do_name, "operation")};
      n.a = nb::cast<int>(t[1]), n.b = nb::cast<int>(t[2]), n.c = nb::cast<int>(t[3]);
      n.stream = nb::cast<int>(t[4]);
      n.bits = nb::cast<uint64_t>(t[5]);
      n.eight = t.size() > 6 && nb::cast<bool>(t[6]);
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
      nodes.append(nb::make_tuple(std::string(cpu::jit::do_name(n.what)), n.a, n.b, n.c, n.stream, n.bits, n.eight));
    for (const Fold& f : stage.folds)
      folds.append(
          nb::make_tuple(std::string(reduce_name(f.op)), f.squares, std::string(dtype_name(f.dtype)), f.stream));
    stages.append(nb::make_tuple(nodes, folds));
  }
  for (const Stream& s : loop.streams)
    streams.append(nb::make_tuple(std::string(cpu::jit::walk_name(s.walk)), std::string(dtype_name(s.memory))));
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
      const int arity = cpu::arity_of(op);
      Loop loop;
      Stage& stage = loop.stages.emplace_back();
      loop.wide = stage.line.wide = item_size(dtype) == 8;
      stage.line.halves = true;
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

#if defined(__x86_64__) || defined(_M_X64)

// A function of the platform's convention that calls one of another, with patterns in all registers that it has to
// leave as they are; it counts those that it has changed.
std::vector<uint8_t> checked_call(const cpu::jit::x86::Convention& callee) {
  using namespace cpu::jit::x86;
  const Convention& host = Convention::host();
  Assembler as(false);
  const int vectors = 16 - host.first_saved_vector, room = 64 + 16 * vectors + (host.saved.size() % 2 ? 0 : 8);
  const auto pattern = [](int n) { return int64_t(0x1234567890ab0000) + n; };
  for (Gpr r : host.saved) as("push", r);
  as("sub", rsp, room);
  for (int i = 0; i < vectors; ++i) as("vmovups", at(rsp, 64 + 16 * i), xmm(host.first_saved_vector + i));
  as("mov", rax, host.arguments[0]);
  if (callee.arguments[0] != host.arguments[1]) as("mov", callee.arguments[0], host.arguments[1]);
  for (int i = callee.first_saved_vector; i < 16; ++i) {
    as("movabs", r11, pattern(16 + i));
    as("vmovq", xmm(i), r11);
  }
  for (Gpr r : callee.saved) as("movabs", r, pattern(r.number));
  as("call", rax);
  as("mov", rax, 0);
  const auto check = [&](Gpr r, int n) {
    as("movabs", r11, pattern(n));
    as("cmp", r, r11);
    as("setne", r10.part(8));
    as("movzx", r10, r10.part(8));
    as("add", rax, r10);
  };
  for (Gpr r : callee.saved) check(r, r.number);
  for (int i = callee.first_saved_vector; i < 16; ++i) {
    as("vmovq", rcx, xmm(i));
    check(rcx, 16 + i);
  }
  for (int i = 0; i < vectors; ++i) as("vmovups", xmm(host.first_saved_vector + i), at(rsp, 64 + 16 * i));
  as("add", rsp, room);
  for (size_t i = host.saved.size(); i-- > 0;) as("pop", host.saved[i]);
  as("ret");
  return as.finish();
}

// Runs a loop in machine code: what was not kept of registers, or why there is no code.
nb::object run_x86(const nb::tuple& spec, bool wide, bool windows, int64_t rows, int64_t cols, const nb::list& buffers,
                   bool past_caches) {
  using cpu::jit::x86::Convention;
  if (cpu::machine_level() < (wide ? cpu::InstructionLevel::avx512 : cpu::InstructionLevel::avx2))
    throw ValueError("this machine has no such instructions");
  const Loop loop = parse(spec);
  std::string why;
  const Convention& convention = windows ? Convention::windows() : Convention::system_v();
  const std::vector<uint8_t> code = cpu::jit::emit_x86(loop, wide, &why, convention);
  const int64_t lanes = (wide ? 64 : 32) / (loop.wide ? 8 : 4), rest = cols % lanes;
  if (!code.empty() && rest && cpu::jit::whole_vectors_only(loop, wide)) why = "whole vectors only";
  if (!why.empty()) return nb::cast(why);

  cpu::jit::Frame frame;
  frame.rows = rows;
  frame.cols = cols;
  frame.whole = cols - rest;
  frame.past_caches = past_caches;
  frame.tail_mask = (int64_t(1) << rest) - 1;
  int32_t mask[8];
  for (int64_t i = 0; i < 8; ++i) mask[i] = i * lanes / 8 < rest ? -1 : 0;
  static_assert(sizeof(frame.tail_lanes) == sizeof(mask));
  std::memcpy(frame.tail_lanes, mask, sizeof(mask));
  std::vector<std::unique_ptr<Memory>> memory;
  for (nb::handle buffer : buffers) memory.push_back(std::make_unique<Memory>(buffer, true));
  for (size_t s = 0; s < loop.streams.size(); ++s) {
    const Stream& stream = loop.streams[s];
    const int64_t count = stream.walk == Walk::element  ? rows * cols
                          : stream.walk == Walk::column ? cols
                          : stream.walk == Walk::row    ? rows
                                                        : 1;
    if (memory.at(s)->size() < count * int64_t(item_size(stream.memory))) throw ValueError("a buffer is too small");
    frame.stream[s] = memory[s]->data();
  }
  cpu::jit::CodeMemory pages(cpu::jit::PageSource::system());
  const auto function = pages.add(code, "loop"), call = pages.add(checked_call(convention), "call");
  if (!function || !call || !function->entry()) throw Error("the system refuses memory for machine code");
  return nb::cast(call->as<int64_t(const void*, cpu::jit::Frame*)>()(function->entry(), &frame));
}

#endif

// ---- evaluation

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
        for (size_t s = 0; s < streams.size(); ++s)
          streams[s] = cpu::jit::to_lane(loop.streams[s].memory, at(int(s), row, col));
        cpu::jit::evaluate(stage.line, streams, uint64_t(col), values);
        for (size_t n = 0; n < values.size(); ++n) {
          const Node& node = stage.line.nodes[n];
          if (node.what == Do::store || node.what == Do::mask_store)
            cpu::jit::from_lane(loop.streams[size_t(node.stream)].memory, values[n], at(node.stream, row, col));
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
#if defined(__x86_64__) || defined(_M_X64)
  m.def("_x86_run", &run_x86);
#endif
  m.def("_loop_evaluate", &evaluate);
}

}  // namespace funcnn
