#include "backends/cuda/matrix_kernels.h"

#include <algorithm>

#include "backends/gpu/operand.h"
#include "backends/gpu/source.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

using gpu::KernelText;
using gpu::Values;

constexpr uint32_t kThreads = 256;
constexpr int64_t kMostGroups = 1 << 16;  // of which each goes on to further elements

uint32_t groups_over(int64_t count) {
  return uint32_t(std::clamp<int64_t>((count + kThreads - 1) / kThreads, 1, kMostGroups));
}

// Around statements for the element `e` of `p.total`.
std::string over_elements(std::string_view statements) {
  return cat("  for (i64 e = (i64)group.x * 256 + item.x; e < p.total; e += (i64)groups.x * 256) {\n", statements,
             "  }\n");
}

// Elements as words of 32 bits. Exponents are looked at in these; what is infinite or NaN has nothing but ones there.
struct Words {
  explicit Words(Dtype dtype) : dtype(dtype), each(int(item_size(dtype) / 4)) {}
  // An expression: whether the element from word `at` on is infinite or NaN.
  std::string odd() const {
    switch (dtype) {
      case Dtype::float32:
        return "(x[at] & 0x7f800000u) == 0x7f800000u";
      case Dtype::float64:
        return "(x[at + 1] & 0x7ff00000u) == 0x7ff00000u";
      default:
        return "(x[at] & 0x7f800000u) == 0x7f800000u || (x[at + 1] & 0x7f800000u) == 0x7f800000u";
    }
  }
  std::string zero() const {
    switch (dtype) {
      case Dtype::float32:
        return "(x[at] & 0x7fffffffu) == 0";
      case Dtype::float64:
        return "x[at] == 0 && (x[at + 1] & 0x7fffffffu) == 0";
      default:
        return "(x[at] & 0x7fffffffu) == 0 && (x[at + 1] & 0x7fffffffu) == 0";
    }
  }
  std::string_view element() const { return each == 1 ? "u32" : "u64"; }

  Dtype dtype;
  int each;
};

MatrixKernel finite(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t rows, int64_t columns, Part part,
                    bool clears) {
  const Words words(dtype);
  const int64_t total = count * rows * columns;
  // Short numbers are divided in a fraction of the time.
  const std::string_view number = total * words.each < int64_t(1) << 31 ? "u32" : "i64";
  KernelText text(machine.traits(), "finite_matrices", kThreads);
  if (!clears) text.read("u32", "x");
  text.write("i32", "flags");
  if (clears) text.write("u32", "x");
  text.value("i64", "total").value("i64", "rows").value("i64", "columns");
  const std::string counts = part == Part::all ? "true" : part == Part::lower ? "column <= row" : "column >= row";
  std::string clear;
  if (clears) {
    clear = "    if (!counts) x[at] = 0;\n";
    if (words.each == 2) clear += "    if (!counts) x[at + 1] = 0;\n";
  }
  text.body(cat(
      "  const ", number, " rows = (", number, ")p.rows, columns = (", number, ")p.columns;\n",
      over_elements(cat("    const ", number, " at = (", number, ")e * ", words.each, ", line = (", number,
                        ")e / columns, column = (", number,
                        ")e - line * columns;\n"
                        "    const ",
                        number, " matrix = line / rows, row = line - matrix * rows;\n    const bool counts = ", counts,
                        ";\n    if (counts && (", words.odd(), ")) flags[matrix] = 1;\n", clear))));
  Values values;
  values.add(total).add(rows).add(columns);
  return {machine.pipeline(text.finish()), groups_over(total), kThreads, size_t(clears ? 0 : 1), values.bytes()};
}

}  // namespace

void MatrixKernel::launch(gpu::Machine& machine, std::initializer_list<Operand> operands) const {
  machine.launch({.pipeline = pipeline_.get(),
                  .groups = {groups_},
                  .threads = {threads_},
                  .operands = {operands.begin(), operands.size()},
                  .read_only = read_only_,
                  .values = {values_.data(), values_.size()}});
}

MatrixKernel zeros_kernel(gpu::Machine& machine, int64_t words) {
  KernelText text(machine.traits(), "zero_words", kThreads);
  text.write("u32", "x").value("i64", "total");
  text.body(over_elements("    x[e] = 0;\n"));
  return {machine.pipeline(text.finish()), groups_over(words), kThreads, 0, Values().add(words).bytes()};
}

MatrixKernel finite_kernel(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t rows, int64_t columns,
                           Part part) {
  return finite(machine, dtype, count, rows, columns, part, false);
}

MatrixKernel finite_part_kernel(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t rows, int64_t columns,
                                Part part) {
  return finite(machine, dtype, count, rows, columns, part, true);
}

MatrixKernel zero_pivot_kernel(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t n) {
  const Words words(dtype);
  KernelText text(machine.traits(), "zero_pivots", 32);
  text.read("u32", "x").write("i32", "places").value("i64", "n");
  text.body(
      cat("  SHARED u32 first[32];\n  u32 mine = 0xffffffffu;\n"
          "  for (i64 d = item.x; d < p.n; d += 32) {\n    const i64 at = (((i64)group.x * p.n + d) * p.n + d) * ",
          words.each, ";\n    if (mine == 0xffffffffu && (", words.zero(),
          ")) mine = (u32)d;\n  }\n"
          "  first[item.x] = mine;\n  BARRIER();\n"
          "  if (item.x == 0) {\n"
          "    for (u32 other = 1; other < 32; ++other) mine = first[other] < mine ? first[other] : mine;\n"
          "    places[group.x] = (i32)(mine + 1);\n  }\n"));
  return {machine.pipeline(text.finish()), uint32_t(count), 32, 1, Values().add(n).bytes()};
}

MatrixKernel row_order_kernel(gpu::Machine& machine, bool wide, int64_t count, int64_t m, int64_t k) {
  KernelText text(machine.traits(), "order_of_rows", kThreads);
  text.read(wide ? "i64" : "i32", "pivots").write("u32", "exchanged").write("u32", "rows");
  text.value("i64", "total").value("i64", "m").value("i64", "k");
  // The last exchange is undone first: it leads to where the row was before it. A number that is out of range exchanges
  // nothing.
  text.body(over_elements(R"text(    const i64 matrix = e / p.m, row = e % p.m;
    i64 place = row;
    for (i64 i = p.k - 1; i >= 0; --i) {
      const i64 given = (i64)pivots[matrix * p.k + i] - 1, other = given < 0 || given >= p.m ? i : given;
      if (i == row) exchanged[matrix * p.k + i] = (u32)other;
      place = place == i ? other : place == other ? i : place;
    }
    rows[e] = (u32)place;
)text"));
  Values values;
  values.add(count * m).add(m).add(k);
  return {machine.pipeline(text.finish()), groups_over(count * m), kThreads, 1, values.bytes()};
}

MatrixKernel row_move_kernel(gpu::Machine& machine, Dtype dtype, bool back, int64_t count, int64_t n, int64_t k) {
  const Words words(dtype);
  KernelText text(machine.traits(), back ? "rows_put_back" : "rows_exchanged", kThreads);
  text.read(words.element(), "from").read("u32", "rows").write(words.element(), "to");
  text.value("i64", "total").value("i64", "n").value("i64", "k");
  text.body(
      over_elements(cat("    const i64 row = e / p.k, column = e % p.k, first = row / p.n * p.n;\n"
                        "    const i64 other = (first + (i64)rows[row]) * p.k + column;\n",
                        back ? "    to[other] = from[e];\n" : "    to[e] = from[other];\n")));
  Values values;
  values.add(count * n * k).add(n).add(k);
  return {machine.pipeline(text.finish()), groups_over(count * n * k), kThreads, 2, values.bytes()};
}

MatrixKernel address_kernel(gpu::Machine& machine, int64_t step, int64_t count) {
  KernelText text(machine.traits(), "addresses_of_matrices", kThreads);
  text.read("u8", "first").write("u64", "addresses").value("i64", "total").value("i64", "step");
  text.body(over_elements("    addresses[e] = (u64)(first + e * p.step);\n"));
  Values values;
  values.add(count).add(step);
  return {machine.pipeline(text.finish()), groups_over(count), kThreads, 1, values.bytes()};
}

}  // namespace funcnn::cuda
