#include "plan/emit.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace funcnn {
namespace {

Dtype register_dtype(Dtype dtype) { return is_half(dtype) ? Dtype::float32 : dtype; }

class Emitter {
 public:
  Emitter(const Ir& ir, const Partition& partition, const Unit& unit, int self)
      : ir_(ir), partition_(partition), unit_(unit), self_(self) {
    KernelProgram& p = out_.program;
    if (unit.cols >= 0) {
      p.cols = unit.cols;
      p.rows = unit.cols == 0 ? kept_rows() : unit.size / unit.cols;
    } else {
      p.cols = unit.size;
    }
  }

  Emitted run() {
    for (int v : unit_.members) compute(v);
    for (size_t i = 0; i < out_.program.accesses.size(); ++i) {
      int& operand = out_.program.accesses[i].operand;
      if (operand < 0) operand = int(out_.reads.size()) + (-1 - operand);
    }
    out_.program.operand_count = int(out_.reads.size() + out_.writes.size());
    return std::move(out_);
  }

 private:
  const Value& value(int v) const { return ir_.values[size_t(v)]; }

  // Rows of a domain without elements: what its reductions leave.
  int64_t kept_rows() const {
    for (int m : unit_.members)
      if (value(m).kind == ValueKind::reduce) {
        ReduceForm form = reduce_form(ir_, value(m));
        if (!form.by_column) return form.kept;
      }
    return 0;
  }

  int push(Instruction i) {
    out_.program.code.push_back(i);
    return int(out_.program.code.size()) - 1;
  }
  Space space(int instruction) const { return out_.program.code[size_t(instruction)].space; }

  int operand(const View& view, const Shape& shape, Space reader_space) {
    int base = view.base;
    if (auto it = made_.find(base); it != made_.end() && partition_.unit_of[size_t(base)] == self_) return it->second;
    if (partition_.inlined[size_t(base)] && partition_.unit_of[size_t(base)] != self_) return inline_scalar(base);
    return load(view, shape, reader_space);
  }

  int inline_scalar(int v) {
    if (auto it = made_.find(v); it != made_.end()) return it->second;
    const Value& val = value(v);
    Instruction i;
    i.op = val.opcode;
    i.space = Space::scalar;
    i.dtype = register_dtype(val.dtype);
    for (size_t a = 0; a < val.inputs.size(); ++a) {
      const Value& input = value(val.inputs[a]);
      int base = input.view.base;
      i.args[a] =
          value(base).kind == ValueKind::leaf ? load(input.view, input.shape, Space::scalar) : inline_scalar(base);
      i.args[a] = rounded_operand(val, base, i.args[a]);
    }
    return made_[v] = push_rounded(i, val);
  }

  static bool is_conversion(const Value& val) {
    return val.kind == ValueKind::elementwise && val.opcode == Opcode::copy;
  }

  int push_round(Dtype dtype, int made) {
    Instruction round;
    round.op = dtype == Dtype::float16 ? Opcode::round_float16 : Opcode::round_bfloat16;
    round.space = space(made);
    round.args[0] = made;
    return push(round);
  }

  // A conversion to half precision rounds even where its result never reaches memory.
  int push_rounded(const Instruction& i, const Value& val) {
    int made = push(i);
    return is_conversion(val) && is_half(val.dtype) ? push_round(val.dtype, made) : made;
  }

  // A conversion from half precision sees what the narrow type holds, also of a value that never reaches memory.
  int rounded_operand(const Value& val, int base, int made) {
    const Value& from = value(base);
    const Instruction& i = out_.program.code[size_t(made)];
    bool exact = i.kind == InstructionKind::load || i.op == Opcode::round_float16 || i.op == Opcode::round_bfloat16;
    return is_conversion(val) && is_half(from.dtype) && from.dtype != val.dtype && !exact ? push_round(from.dtype, made)
                                                                                          : made;
  }

  int load(const View& view, const Shape& shape, Space reader_space) {
    Access access;
    access.dtype = value(view.base).dtype;
    access.offset = view.offset;
    collapse(shape, view.strides, access.shape, access.strides);
    Space space = reader_space;
    if (std::all_of(access.strides.begin(), access.strides.end(), [](int64_t s) { return s == 0; })) {
      space = Space::scalar;
      access.shape.clear();
      access.strides.clear();
    } else if (reader_space == Space::element && unit_.cols > 1 && out_.program.rows > 1 && access.shape.size() >= 2 &&
               access.strides.back() == 0 && access.shape.back() == unit_.cols) {
      // Repeated along each row: one value a row.
      space = Space::row;
      access.shape.pop_back();
      access.strides.pop_back();
    }
    auto at = std::find(out_.reads.begin(), out_.reads.end(), view.base);
    access.operand = int(at - out_.reads.begin());
    if (at == out_.reads.end()) out_.reads.push_back(view.base);
    for (size_t i = 0; i < loads_.size(); ++i)
      if (loads_[i].first == access && this->space(loads_[i].second) == space) return loads_[i].second;
    Instruction i;
    i.kind = InstructionKind::load;
    i.space = space;
    i.dtype = register_dtype(access.dtype);
    i.access = int(out_.program.accesses.size());
    out_.program.accesses.push_back(access);
    int made = push(i);
    loads_.emplace_back(access, made);
    return made;
  }

  int destination(int v, int64_t elements) {
    Access access;
    access.dtype = value(v).dtype;
    access.operand = -1 - int(out_.writes.size());
    if (elements != 1) {
      access.shape = {elements};
      access.strides = {1};
    }
    out_.writes.push_back(v);
    out_.program.accesses.push_back(access);
    return int(out_.program.accesses.size()) - 1;
  }

  void compute(int v) {
    const Value& val = value(v);
    Instruction i;
    i.space = partition_.space_of[size_t(v)];
    i.dtype = register_dtype(val.dtype);
    if (val.kind == ValueKind::reduce) {
      ReduceForm form = reduce_form(ir_, val);
      i.args[0] = operand(form.view, form.shape, Space::element);
      i.reduce = val.reduce;
      if (form.by_column) {
        i.kind = InstructionKind::reduce_col;
        i.space = Space::element;
        i.access = destination(v, form.kept);
        push(i);
        return;
      }
      i.kind = InstructionKind::reduce_row;
      i.space = Space::row;
    } else if (val.kind == ValueKind::index) {
      i.kind = InstructionKind::index;
    } else {
      i.op = val.opcode;
      for (size_t a = 0; a < val.inputs.size(); ++a) {
        const Value& input = value(val.inputs[a]);
        i.args[a] = operand(broadcast_view(input.view, input.shape, val.shape), val.shape, i.space);
        i.args[a] = rounded_operand(val, input.view.base, i.args[a]);
      }
    }
    int made = made_[v] = push_rounded(i, val);
    if (!partition_.stored[size_t(v)]) return;
    Instruction store;
    store.kind = InstructionKind::store;
    store.space = i.space;
    store.dtype = i.dtype;
    store.args[0] = made;
    store.access = destination(v, val.size());
    push(store);
  }

  const Ir& ir_;
  const Partition& partition_;
  const Unit& unit_;
  int self_;
  Emitted out_;
  std::unordered_map<int, int> made_;
  std::vector<std::pair<Access, int>> loads_;
};

}  // namespace

Emitted emit(const Ir& ir, const Partition& partition, const Unit& unit) {
  return Emitter(ir, partition, unit, partition.unit_of[size_t(unit.members[0])]).run();
}

bool can_share(const KernelProgram& p, int read, int write) {
  const Access* target = nullptr;
  int defined = -1;
  for (size_t n = 0; n < p.code.size(); ++n) {
    const Instruction& i = p.code[n];
    if (i.access < 0 || p.accesses[size_t(i.access)].operand != write) continue;
    if (i.kind != InstructionKind::store || i.space != Space::element) return false;
    target = &p.accesses[size_t(i.access)];
    defined = i.args[0];
  }
  if (!target) return false;
  for (size_t n = 0; n < p.code.size(); ++n) {
    const Instruction& i = p.code[n];
    if (i.kind != InstructionKind::load || p.accesses[size_t(i.access)].operand != read) continue;
    const Access& a = p.accesses[size_t(i.access)];
    if (i.space != Space::element || a.offset != 0 || a.shape != target->shape || a.strides != target->strides ||
        item_size(a.dtype) != item_size(target->dtype))
      return false;
    for (size_t m = n + 1; m < p.code.size(); ++m)
      for (int arg : p.code[m].args) {
        if (arg != int(n)) continue;
        if (int(m) > defined) return false;
        // A product may be folded into the addition that uses it, which reads the factors later.
        if (p.code[m].op != Opcode::multiply || p.code[m].kind != InstructionKind::compute) continue;
        for (size_t k = m + 1; k < p.code.size(); ++k)
          for (int later : p.code[k].args)
            if (later == int(m) && int(k) > defined && p.code[k].kind == InstructionKind::compute) return false;
      }
  }
  return true;
}

}  // namespace funcnn
