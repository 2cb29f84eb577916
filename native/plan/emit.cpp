#include "plan/emit.h"

#include <algorithm>

namespace funcnn {
namespace {

Dtype register_dtype(Dtype dtype) { return is_half(dtype) ? Dtype::float32 : dtype; }

}  // namespace

class Emission::Emitter {
 public:
  Emitter(Emission& emission, const Unit& unit, int self)
      : emission_(emission), ir_(emission.ir_), partition_(emission.partition_), unit_(unit), self_(self) {
    out_.program.rows = unit.rows;
    out_.program.cols = unit.cols;
    out_.program.bands = unit.bands;
    out_.program.code.reserve(2 * unit.members.size() + 2);
    out_.program.accesses.reserve(unit.members.size() + 2);
    out_.reads.reserve(8);
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

  int push(Instruction i) {
    out_.program.code.push_back(i);
    return int(out_.program.code.size()) - 1;
  }
  const Instruction& instruction(int i) const { return out_.program.code[size_t(i)]; }

  // The instruction that makes v in this unit, or -1.
  int made(int v) const { return emission_.made_[size_t(v)].first == self_ ? emission_.made_[size_t(v)].second : -1; }
  int make(int v, int instruction) {
    emission_.made_[size_t(v)] = {self_, instruction};
    return instruction;
  }

  // The instruction that gives `base` where no load is needed, or -1.
  int at_hand(int base) {
    bool here = partition_.unit_of[size_t(base)] == self_;
    if (int known = made(base); known >= 0 && here) return known;
    return partition_.inlined[size_t(base)] && !here ? inline_scalar(base) : -1;
  }

  int inline_scalar(int v) {
    if (int known = made(v); known >= 0) return known;
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
    return make(v, push_rounded(i, val));
  }

  static bool is_conversion(const Value& val) {
    return val.kind == ValueKind::elementwise && val.opcode == Opcode::copy;
  }

  int push_round(Dtype dtype, int made) {
    Instruction round;
    round.op = dtype == Dtype::float16 ? Opcode::round_float16 : Opcode::round_bfloat16;
    round.space = instruction(made).space;
    round.dtype = instruction(made).dtype;
    round.args[0] = made;
    return push(round);
  }

  // A conversion to half precision rounds even where its result never reaches memory, and once: a float64 before it
  // becomes the float32 that holds it.
  int push_rounded(Instruction i, const Value& val) {
    if (!is_conversion(val) || !is_half(val.dtype)) return push(i);
    if (instruction(i.args[0]).dtype != Dtype::float64) return push_round(val.dtype, push(i));
    i.args[0] = push_round(val.dtype, i.args[0]);
    return push(i);
  }

  // What leaves half precision, by a conversion, a comparison or a predicate, sees what the narrow type holds, also of
  // a value that never reaches memory.
  int rounded_operand(const Value& val, int base, int made) {
    Dtype from = value(base).dtype;
    const Instruction& i = out_.program.code[size_t(made)];
    bool exact = i.kind == InstructionKind::load || i.op == Opcode::round_float16 || i.op == Opcode::round_bfloat16;
    return is_half(from) && from != val.dtype && !exact ? push_round(from, made) : made;
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
    Read& read = emission_.reads_[size_t(view.base)];
    if (read.unit != self_) {
      read.unit = self_;
      read.operand = int(out_.reads.size());
      read.loads.clear();
      out_.reads.push_back(view.base);
    }
    access.operand = read.operand;
    for (int made : read.loads)
      if (instruction(made).space == space && out_.program.accesses[size_t(instruction(made).access)] == access)
        return made;
    Instruction i;
    i.kind = InstructionKind::load;
    i.space = space;
    i.dtype = register_dtype(access.dtype);
    i.access = int(out_.program.accesses.size());
    out_.program.accesses.push_back(std::move(access));
    int made = push(i);
    read.loads.push_back(made);
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
    out_.program.accesses.push_back(std::move(access));
    return int(out_.program.accesses.size()) - 1;
  }

  void compute(int v) {
    const Value& val = value(v);
    Instruction i;
    i.space = partition_.space_of[size_t(v)];
    i.dtype = register_dtype(val.dtype);
    if (val.kind == ValueKind::reduce) {
      const ReduceForm& form = partition_.forms.at(v);
      i.args[0] = at_hand(form.view.base);
      if (i.args[0] < 0) i.args[0] = load(form.view, form.shape, Space::element);
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
      i.half = is_half(val.dtype);
      for (size_t a = 0; a < val.inputs.size(); ++a) {
        const Value& input = value(val.inputs[a]);
        i.args[a] = at_hand(input.view.base);
        if (i.args[a] < 0) i.args[a] = load(broadcast_view(input.view, input.shape, val.shape), val.shape, i.space);
        i.args[a] = rounded_operand(val, input.view.base, i.args[a]);
      }
    }
    int made = make(v, push_rounded(i, val));
    if (!partition_.stored[size_t(v)]) return;
    Instruction store;
    store.kind = InstructionKind::store;
    store.space = i.space;
    store.dtype = i.dtype;
    store.args[0] = made;
    store.access = destination(v, val.size());
    push(store);
  }

  Emission& emission_;
  const Ir& ir_;
  const Partition& partition_;
  const Unit& unit_;
  int self_;
  Emitted out_;
};

Emission::Emission(const Ir& ir, const Partition& partition)
    : ir_(ir), partition_(partition), made_(ir.values.size(), {-1, -1}), reads_(ir.values.size()) {}

Emitted Emission::emit(const Unit& unit) {
  return Emitter(*this, unit, partition_.unit_of[size_t(unit.members[0])]).run();
}

void Sharing::look(const KernelProgram& p) const {
  reads_.resize(size_t(p.operand_count));
  writes_.resize(size_t(p.operand_count));
  // Where each value is last computed with; a product may be folded into the addition that uses it, which reads the
  // factors later than the product itself.
  std::vector<int> computed_with(p.code.size(), -1), last_use(p.code.size(), -1);
  for (size_t n = 0; n < p.code.size(); ++n)
    for (int a : p.code[n].args)
      if (a >= 0 && p.code[n].kind == InstructionKind::compute) computed_with[size_t(a)] = int(n);
  for (size_t n = 0; n < p.code.size(); ++n) {
    const Instruction& i = p.code[n];
    int at = int(n);
    if (i.kind == InstructionKind::compute && i.op == Opcode::multiply) at = std::max(at, computed_with[n]);
    for (int a : i.args)
      if (a >= 0) last_use[size_t(a)] = std::max(last_use[size_t(a)], at);
  }
  for (size_t n = 0; n < p.code.size(); ++n) {
    const Instruction& i = p.code[n];
    if (i.access < 0) continue;
    const Access& access = p.accesses[size_t(i.access)];
    bool load = i.kind == InstructionKind::load;
    Place& place = (load ? reads_ : writes_)[size_t(access.operand)];
    bool fits = i.space == Space::element && (load ? access.offset == 0 : i.kind == InstructionKind::store);
    if (!place.seen) {
      place = {true, fits, load ? last_use[n] : i.args[0], access.shape, access.strides, item_size(access.dtype)};
      continue;
    }
    place.fits &= load && fits && access.shape == place.shape && access.strides == place.strides &&
                  item_size(access.dtype) == place.item;
    place.at = std::max(place.at, last_use[n]);
  }
}

bool Sharing::in_order(const KernelProgram& program, int read) const {
  if (reads_.empty()) look(program);
  const Place& from = reads_[size_t(read)];
  return from.fits && is_contiguous(from.shape, from.strides) &&
         element_count(from.shape) == program.rows * program.cols;
}

bool Sharing::possible(const KernelProgram& program, int read, int write) const {
  if (reads_.empty()) look(program);
  const Place &from = reads_[size_t(read)], &to = writes_[size_t(write)];
  return from.fits && to.fits && from.at <= to.at && from.item == to.item && from.shape == to.shape &&
         from.strides == to.strides;
}

}  // namespace funcnn
