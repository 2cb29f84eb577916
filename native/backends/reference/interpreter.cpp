#include "backends/reference/interpreter.h"

#include <algorithm>
#include <vector>

#include "backends/reference/element.h"

namespace funcnn::reference {
namespace {

Dtype register_dtype(Dtype dtype) { return is_half(dtype) ? Dtype::float32 : dtype; }

// Whole values: an instruction is carried out for all its elements before the next one begins.
class Interpreter {
 public:
  Interpreter(const KernelProgram& program, std::span<std::byte* const> operands) : p_(program), operands_(operands) {
    last_use_.assign(p_.code.size(), 0);
    for (size_t n = 0; n < p_.code.size(); ++n)
      for (int arg : p_.code[n].args)
        if (arg >= 0) last_use_[size_t(arg)] = n;
  }

  void run() {
    values_.resize(p_.code.size());
    for (size_t n = 0; n < p_.code.size(); ++n) {
      step(p_.code[n], values_[n]);
      for (int arg : p_.code[n].args)
        if (arg >= 0 && last_use_[size_t(arg)] == n) std::vector<Cell>().swap(values_[size_t(arg)]);
    }
  }

 private:
  int64_t count(Space space) const {
    return space == Space::element ? p_.rows * p_.cols : space == Space::row ? p_.rows : 1;
  }
  std::byte* place(const Access& a, int64_t i) const {
    return operands_[size_t(a.operand)] + (a.offset + offset_of(a.shape, a.strides, i)) * int64_t(item_size(a.dtype));
  }
  // The operand of an instruction that may live in a smaller space than the instruction.
  Cell operand(int arg, Space space, int64_t i) const {
    Space own = p_.code[size_t(arg)].space;
    if (own == space) return values_[size_t(arg)][size_t(i)];
    return values_[size_t(arg)][own == Space::scalar ? 0 : size_t(i / p_.cols)];
  }

  void step(const Instruction& in, std::vector<Cell>& out) {
    Dtype dtype = register_dtype(in.dtype);
    switch (in.kind) {
      case InstructionKind::load: {
        const Access& a = p_.accesses[size_t(in.access)];
        out.resize(size_t(count(in.space)));
        for (size_t i = 0; i < out.size(); ++i) out[i] = load(place(a, int64_t(i)), a.dtype, dtype);
        return;
      }
      case InstructionKind::index:
        out.resize(size_t(count(in.space)));
        for (size_t i = 0; i < out.size(); ++i) out[i] = converted(Cell::of(int64_t(i)), Dtype::int64, dtype);
        return;
      case InstructionKind::compute: {
        int first = in.op == Opcode::select ? 1 : 0;
        Dtype operands = register_dtype(p_.code[size_t(in.args[first])].dtype);
        out.resize(size_t(count(in.space)));
        for (size_t i = 0; i < out.size(); ++i) {
          Cell cells[3];
          for (int k = 0; k < 3; ++k)
            if (in.args[k] >= 0) cells[k] = operand(in.args[k], in.space, int64_t(i));
          out[i] = in.op == Opcode::copy ? converted(cells[0], operands, dtype)
                                         : computed(in.op, operands, cells[0], cells[1], cells[2]);
        }
        return;
      }
      case InstructionKind::reduce_row: {
        out.resize(size_t(p_.rows));
        std::vector<Cell> row(size_t(p_.cols));
        for (int64_t r = 0; r < p_.rows; ++r) {
          for (int64_t c = 0; c < p_.cols; ++c) row[size_t(c)] = operand(in.args[0], Space::element, r * p_.cols + c);
          out[size_t(r)] = reduced(in.reduce, dtype, row);
        }
        return;
      }
      case InstructionKind::reduce_col: {
        const Access& a = p_.accesses[size_t(in.access)];
        const int64_t rows = p_.rows / p_.bands;
        std::vector<Cell> column(static_cast<size_t>(rows)), results;
        for (int64_t c = 0; c < p_.bands * p_.cols; ++c) {
          int64_t first = c / p_.cols * rows * p_.cols + c % p_.cols;
          for (int64_t r = 0; r < rows; ++r)
            column[size_t(r)] = operand(in.args[0], Space::element, first + r * p_.cols);
          results.push_back(reduced(in.reduce, dtype, column));
        }
        for (size_t c = 0; c < results.size(); ++c) store(place(a, int64_t(c)), a.dtype, dtype, results[c]);
        return;
      }
      case InstructionKind::store: {
        const Access& a = p_.accesses[size_t(in.access)];
        for (int64_t i = 0, n = count(in.space); i < n; ++i)
          store(place(a, i), a.dtype, dtype, operand(in.args[0], in.space, i));
        return;
      }
    }
  }

  // Floating-point sums and products in double precision. Of nothing: what combines without effect.
  static Cell reduced(ReduceOp op, Dtype dtype, const std::vector<Cell>& cells) {
    return visit_dtype(dtype, [&](auto tag) -> Cell {
      using T = typename decltype(tag)::type;
      if constexpr (is_half_type<T>) {
        return {};
      } else {
        using A = std::conditional_t<is_complex_type<T>, std::complex<double>,
                                     std::conditional_t<std::is_floating_point_v<T>, double, T>>;
        if (op == ReduceOp::sum || op == ReduceOp::prod) {
          A total = op == ReduceOp::sum ? A(0) : A(1);
          for (const Cell& c : cells)
            total = op == ReduceOp::sum ? plus(total, A(c.get<T>())) : times(total, A(c.get<T>()));
          return Cell::of(T(total));
        }
        if (op == ReduceOp::all || op == ReduceOp::any) {
          bool all = op == ReduceOp::all;
          for (const Cell& c : cells)
            if ((c.get<T>() != T(0)) != all) return Cell::of(T(!all));
          return Cell::of(T(all));
        }
        if (cells.empty()) return empty_extreme<T>(op);
        T best = cells[0].get<T>();
        for (const Cell& c : cells) best = op == ReduceOp::max ? larger(best, c.get<T>()) : smaller(best, c.get<T>());
        return Cell::of(best);
      }
    });
  }
  template <class T>
  static Cell empty_extreme(ReduceOp op) {
    if constexpr (std::is_floating_point_v<T>) return Cell::of(op == ReduceOp::max ? T(-INFINITY) : T(INFINITY));
    if constexpr (std::is_integral_v<T>)
      return Cell::of(op == ReduceOp::max ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max());
    return {};
  }

  const KernelProgram& p_;
  std::span<std::byte* const> operands_;
  std::vector<size_t> last_use_;
  std::vector<std::vector<Cell>> values_;
};

}  // namespace

void interpret(const KernelProgram& program, std::span<std::byte* const> operands) {
  Interpreter(program, operands).run();
}

}  // namespace funcnn::reference
