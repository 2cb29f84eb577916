#include "backends/cpu/program_rewrite.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "plan/precision.h"

namespace funcnn::cpu {
namespace {

// A domain without rows of its own takes those of its operands, if they repeat along rows or lie in rows.
void see_rows(const KernelProgram& program, Domain& out) {
  if (out.row_reductions || out.col_reductions) return;
  for (const Instruction& i : program.code)
    if (i.space == Space::row) return;
  int64_t size = out.rows * out.cols, best = 0;
  auto consider = [&](int64_t cols, int64_t least) {
    if (cols >= least && size % cols == 0 && (best == 0 || cols < best)) best = cols;
  };
  auto loads_elements = [](const Instruction& i) {
    return i.kind == InstructionKind::load && i.space == Space::element;
  };
  for (const Instruction& i : program.code) {
    if (!loads_elements(i)) continue;
    consider(out.paths[size_t(i.access)].natural_columns(), 2 * kShortRow);
  }
  if (!best)
    for (const AccessPath& path : out.paths) consider(path.dense_columns(), kShortRow);
  out.rows = best ? size / best : 1;
  out.cols = best ? best : size;
  if (!best || out.rows < 2) return;
  for (size_t n = 0; n < program.code.size(); ++n) {
    if (!loads_elements(program.code[n])) continue;
    AccessPath& w = out.paths[size_t(program.code[n].access)];
    if (!w.repeats_value(out.cols)) continue;
    w = w.without_columns();
    out.row_loads.push_back(int(n));
  }
}

// Short operands that repeat all along the domain, where tiles follow each other without a gap.
void find_kept(const KernelProgram& program, Domain& out) {
  constexpr int64_t longest = 512;
  out.kept.assign(out.paths.size(), 0);
  bool flat = out.rows == 1 || out.cols < kShortRow;
  if (!flat || (out.col_reductions && program.bands > 1)) return;
  for (const Instruction& i : program.code) {
    if (i.kind != InstructionKind::load || i.space != Space::element) continue;
    int64_t period = out.paths[size_t(i.access)].period();
    if (period == 0 || period > longest || (out.rows > 1 && period % out.cols != 0)) continue;
    int64_t both = std::lcm(out.period, period);
    if (both > longest) continue;
    out.period = both;
    out.kept[size_t(i.access)] = 1;
  }
}

class Rewriter {
 public:
  explicit Rewriter(const KernelProgram& program, const Domain& domain) : half_(half_suffices(program)) {
    ops_.reserve(program.code.size());
    for (const Instruction& i : program.code) ops_.push_back({i, int(i.op)});
    for (int n : domain.row_loads) ops_[size_t(n)].in.space = Space::row;
  }

  std::vector<Op> run() {
    fuse_products();
    bool rows = std::any_of(ops_.begin(), ops_.end(), [](const Op& o) { return o.in.space == Space::row; });
    if (rows) fuse_row_patterns();
    compute_for_half();
    return std::move(ops_);
  }

 private:
  Space space(int n) const { return ops_[size_t(n)].in.space; }

  // a * b + c where nobody else wants the product.
  void fuse_products() {
    std::vector<int> uses(ops_.size());
    for (const Op& o : ops_)
      for (int a : o.in.args)
        if (a >= 0) ++uses[size_t(a)];
    for (Op& o : ops_) {
      bool add = o.in.op == Opcode::add, subtract = o.in.op == Opcode::subtract;
      if (o.in.kind != InstructionKind::compute || (!add && !subtract)) continue;
      if (o.in.dtype != Dtype::float32 && o.in.dtype != Dtype::float64) continue;
      for (int k = 0; k < 2; ++k) {
        Op& p = ops_[size_t(o.in.args[k])];
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
    for (const Op& o : ops_)
      if (o.in.kind == InstructionKind::store && o.in.space == Space::element && o.in.args[0] >= early &&
          o.in.args[0] < late)
        return false;
    return true;
  }

  bool is_compute(int n, Opcode op) const {
    const Op& o = ops_[size_t(n)];
    return n >= 0 && !o.dead && o.in.kind == InstructionKind::compute && o.op == int(op) &&
           o.in.space == Space::element && (o.in.dtype == Dtype::float32 || o.in.dtype == Dtype::float64);
  }

  // Normalisation: sums of squares need no squares in memory, and differences x - mean, scale * (x - mean) and
  // exp(x - max) are cheaper computed on the way than kept.
  void fuse_row_patterns() {
    std::vector<std::vector<int>> users(ops_.size());
    for (size_t n = 0; n < ops_.size(); ++n)
      for (int a : ops_[n].in.args)
        if (a >= 0 && !ops_[n].dead && (users[size_t(a)].empty() || users[size_t(a)].back() != int(n)))
          users[size_t(a)].push_back(int(n));
    for (size_t n = 0; n < ops_.size(); ++n) {
      Op& o = ops_[n];
      if (o.in.kind != InstructionKind::reduce_row || o.in.reduce != ReduceOp::sum) continue;
      int q = o.in.args[0];
      bool square = is_compute(q, Opcode::square) ||
                    (is_compute(q, Opcode::multiply) && ops_[size_t(q)].in.args[0] == ops_[size_t(q)].in.args[1]);
      if (!square || users[size_t(q)].size() != 1 || !may_read_later(q, int(n))) continue;
      int x = ops_[size_t(q)].in.args[0];
      for (int& user : users[size_t(x)])
        if (user == q) user = int(n);
      o.in.args[0] = x;
      o.squares = ops_[size_t(q)].dead = true;
    }
    for (size_t n = 0; n < ops_.size(); ++n) {
      if (!is_compute(int(n), Opcode::subtract)) continue;
      Op& d = ops_[n];
      if (space(d.in.args[0]) != Space::element || space(d.in.args[1]) != Space::row) continue;
      bool absorbed = !users[n].empty();
      for (int u : users[n]) {
        const Op& user = ops_[size_t(u)];
        bool exponential = is_compute(u, Opcode::exp) && d.in.dtype == Dtype::float32;
        bool product = is_compute(u, Opcode::multiply) && user.in.args[0] != user.in.args[1];
        absorbed = absorbed && (user.squares || exponential || product) && may_read_later(int(n), u);
      }
      if (!absorbed) continue;
      d.dead = true;
      for (int u : users[n]) {
        Op& user = ops_[size_t(u)];
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

  // Results that only values of half precision come of.
  void compute_for_half() {
    constexpr std::pair<Opcode, int> table[] = {
        {Opcode::exp, simd::kHalfExp},   {Opcode::sigmoid, simd::kHalfSigmoid},
        {Opcode::tanh, simd::kHalfTanh}, {Opcode::erf, simd::kHalfErf},
        {Opcode::gelu, simd::kHalfGelu}, {Opcode::gelu_derivative, simd::kHalfGeluDerivative}};
    for (size_t n = 0; n < ops_.size(); ++n) {
      Op& o = ops_[n];
      if (o.in.kind != InstructionKind::compute || !half_[n]) continue;
      for (auto [op, for_half] : table)
        if (o.op == int(op)) {
          o.op = for_half;
          break;
        }
    }
  }

  std::vector<char> half_;  // `half_suffices`, by instruction
  std::vector<Op> ops_;
};

}  // namespace

Domain lay_out(const KernelProgram& program, const simd::Table& table) {
  Domain out;
  out.rows = program.rows;
  out.cols = program.cols;
  out.row_reductions = program.has_row_reduction();
  out.col_reductions = program.has_col_reduction();
  std::vector<Dtype> values(program.accesses.size(), Dtype::float32);
  for (const Instruction& i : program.code) {
    if (i.access < 0) continue;
    bool reads = i.kind == InstructionKind::store || i.kind == InstructionKind::reduce_col;
    values[size_t(i.access)] = reads ? program.code[size_t(i.args[0])].dtype : i.dtype;
  }
  out.paths.reserve(values.size());
  for (size_t a = 0; a < values.size(); ++a) out.paths.emplace_back(program.accesses[a], values[a], table);
  see_rows(program, out);
  find_kept(program, out);
  return out;
}

std::vector<Op> rewrite(const KernelProgram& program, const Domain& domain) { return Rewriter(program, domain).run(); }

int arity_of(int op) {
  if (op < kOpcodeCount) return opcode_info(Opcode(op)).arity;
  if (op >= simd::kHalfExp) return 1;
  return op == simd::kDivideRow || op == simd::kExpOfDifference ? 2 : 3;
}

Dtype dtype_of_operands(const KernelProgram& program, const Op& o) {
  if (o.in.op == Opcode::select) return o.in.dtype;
  return program.code[size_t(o.in.args[0])].dtype;
}

}  // namespace funcnn::cpu
