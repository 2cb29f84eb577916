#include "backends/cpu/program_rewrite.h"

#include <algorithm>
#include <utility>

namespace funcnn::cpu {
namespace {

class Rewriter {
 public:
  Rewriter(const KernelProgram& program, const simd::Table& table) : program_(program), table_(table) {}

  Rewritten run() {
    out_.rows = program_.rows;
    out_.cols = program_.cols;
    out_.row_reductions = program_.has_row_reduction();
    out_.col_reductions = program_.has_col_reduction();
    for (const Instruction& i : program_.code) out_.ops.push_back({i, int(i.op)});
    for (const Access& a : program_.accesses) out_.paths.push_back(AccessPath(a, Dtype::float32, table_));
    for (const Op& o : out_.ops)
      if (o.in.access >= 0)
        out_.paths[size_t(o.in.access)] = AccessPath(program_.accesses[size_t(o.in.access)], value_dtype(o), table_);
    see_rows();
    fuse_products();
    fuse_row_patterns();
    return std::move(out_);
  }

 private:
  Dtype value_dtype(const Op& o) const {
    bool reads = o.in.kind == InstructionKind::store || o.in.kind == InstructionKind::reduce_col;
    return reads ? program_.code[size_t(o.in.args[0])].dtype : o.in.dtype;
  }
  Space space(int n) const { return out_.ops[size_t(n)].in.space; }

  // A domain without rows of its own takes those of its operands, if they repeat along rows.
  void see_rows() {
    if (out_.row_reductions || out_.col_reductions) return;
    for (const Op& o : out_.ops)
      if (o.in.space == Space::row) return;
    int64_t size = out_.rows * out_.cols, best = 0;
    for (const Op& o : out_.ops) {
      if (o.in.kind != InstructionKind::load || o.in.space != Space::element) continue;
      int64_t cols = out_.paths[size_t(o.in.access)].natural_columns();
      if (cols >= 2 * kShortRow && size % cols == 0 && (best == 0 || cols < best)) best = cols;
    }
    out_.rows = best ? size / best : 1;
    out_.cols = best ? best : size;
    for (Op& o : out_.ops) {
      if (o.in.kind != InstructionKind::load || o.in.space != Space::element || !best) continue;
      AccessPath& w = out_.paths[size_t(o.in.access)];
      if (!w.repeats_value(out_.cols) || out_.rows < 2) continue;
      w = w.without_columns();
      o.in.space = Space::row;
    }
  }

  // a * b + c where nobody else wants the product.
  void fuse_products() {
    std::vector<int> uses(out_.ops.size());
    for (const Op& o : out_.ops)
      for (int a : o.in.args)
        if (a >= 0) ++uses[size_t(a)];
    for (Op& o : out_.ops) {
      bool add = o.in.op == Opcode::add, subtract = o.in.op == Opcode::subtract;
      if (o.in.kind != InstructionKind::compute || (!add && !subtract)) continue;
      if (o.in.dtype != Dtype::float32 && o.in.dtype != Dtype::float64) continue;
      for (int k = 0; k < 2; ++k) {
        Op& p = out_.ops[size_t(o.in.args[k])];
        if (p.in.kind != InstructionKind::compute || p.op != int(Opcode::multiply) || p.in.space != o.in.space ||
            uses[size_t(o.in.args[k])] != 1)
          continue;
        int other = o.in.args[1 - k];
        // An affine map with two constants keeps its two roundings: uniform draws are those of MLX, bit for bit.
        if (o.in.space != Space::scalar && space(other) == Space::scalar &&
            (space(p.in.args[0]) == Space::scalar || space(p.in.args[1]) == Space::scalar))
          continue;
        o.op = add ? int(Opcode::fma) : k == 0 ? simd::kFms : simd::kFnma;
        o.in.args[0] = p.in.args[0];
        o.in.args[1] = p.in.args[1];
        o.in.args[2] = other;
        p.dead = true;
        break;
      }
    }
  }

  // Whether the operands of `early` may be read at `late` instead: operand memory may be shared with that of a result
  // computed from then on, so none may be made in between.
  bool may_read_later(int early, int late) const {
    for (const Op& o : out_.ops)
      if (o.in.kind == InstructionKind::store && o.in.space == Space::element && o.in.args[0] >= early &&
          o.in.args[0] < late)
        return false;
    return true;
  }

  bool is_compute(int n, Opcode op) const {
    const Op& o = out_.ops[size_t(n)];
    return n >= 0 && !o.dead && o.in.kind == InstructionKind::compute && o.op == int(op) &&
           o.in.space == Space::element && (o.in.dtype == Dtype::float32 || o.in.dtype == Dtype::float64);
  }

  // Normalisation: sums of squares need no squares in memory, and differences x - mean, scale * (x - mean) and
  // exp(x - max) are cheaper computed on the way than kept.
  void fuse_row_patterns() {
    std::vector<std::vector<int>> users(out_.ops.size());
    for (size_t n = 0; n < out_.ops.size(); ++n)
      for (int a : out_.ops[n].in.args)
        if (a >= 0 && !out_.ops[n].dead && (users[size_t(a)].empty() || users[size_t(a)].back() != int(n)))
          users[size_t(a)].push_back(int(n));
    for (size_t n = 0; n < out_.ops.size(); ++n) {
      Op& o = out_.ops[n];
      if (o.in.kind != InstructionKind::reduce_row || o.in.reduce != ReduceOp::sum) continue;
      int q = o.in.args[0];
      bool square = is_compute(q, Opcode::square) || (is_compute(q, Opcode::multiply) &&
                                                      out_.ops[size_t(q)].in.args[0] == out_.ops[size_t(q)].in.args[1]);
      if (!square || users[size_t(q)].size() != 1 || !may_read_later(q, int(n))) continue;
      int x = out_.ops[size_t(q)].in.args[0];
      for (int& user : users[size_t(x)])
        if (user == q) user = int(n);
      o.in.args[0] = x;
      o.squares = out_.ops[size_t(q)].dead = true;
    }
    for (size_t n = 0; n < out_.ops.size(); ++n) {
      if (!is_compute(int(n), Opcode::subtract)) continue;
      Op& d = out_.ops[n];
      if (space(d.in.args[0]) != Space::element || space(d.in.args[1]) != Space::row) continue;
      bool absorbed = !users[n].empty();
      for (int u : users[n]) {
        const Op& user = out_.ops[size_t(u)];
        bool exponential = is_compute(u, Opcode::exp) && d.in.dtype == Dtype::float32;
        bool product = is_compute(u, Opcode::multiply) && user.in.args[0] != user.in.args[1];
        absorbed = absorbed && (user.squares || exponential || product) && may_read_later(int(n), u);
      }
      if (!absorbed) continue;
      d.dead = true;
      for (int u : users[n]) {
        Op& user = out_.ops[size_t(u)];
        int factor = user.in.args[0] == int(n) ? user.in.args[1] : user.in.args[0];
        user.in.args[0] = d.in.args[0];
        user.in.args[1] = d.in.args[1];
        if (user.squares) continue;
        bool product = user.op == int(Opcode::multiply);
        user.op = product ? simd::kScaledDifference : simd::kExpOfDifference;
        if (product) user.in.args[2] = factor;
      }
    }
  }

  const KernelProgram& program_;
  const simd::Table& table_;
  Rewritten out_;
};

}  // namespace

Rewritten rewrite(const KernelProgram& program, const simd::Table& table) { return Rewriter(program, table).run(); }

Dtype dtype_of_operands(const KernelProgram& program, const Op& o) {
  if (o.in.op == Opcode::select) return o.in.dtype;
  return program.code[size_t(o.in.args[0])].dtype;
}

}  // namespace funcnn::cpu
