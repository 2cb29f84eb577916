#include "backends/cpu/program_code.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "backends/cpu/program_rewrite.h"
#include "base/error.h"

namespace funcnn::cpu {
namespace {

// Bytes of registers and operands of a tile: half of a first-level cache, which leaves room for what streams through.
constexpr int64_t kTileBytes = 16 * 1024;
constexpr int64_t kLeastTile = 512, kMostTile = 4096, kMostRowTile = 8192;
// Rows longer than this are reduced by phases; where there are few rows, already those.
constexpr int64_t kLongRow = 32768, kLongRowOfFew = 8192, kFewRows = 16;
constexpr int64_t kPhaseTile = 4096;

// About in additions of float32.
double cost_of(Opcode op, Dtype dtype) {
  double wide = item_size(dtype) == 8 ? 2 : 1;
  OpcodeCost cost = opcode_info(op).cost;
  if (dtype == Dtype::complex64) return cost == OpcodeCost::basic || cost == OpcodeCost::division ? 4 : 60;
  switch (cost) {
    case OpcodeCost::basic:
      return wide;
    case OpcodeCost::division:
      return 3 * wide;
    case OpcodeCost::exponential:
      return dtype == Dtype::float64 ? 40 : 6;
    case OpcodeCost::transcendental:
      return dtype == Dtype::float64 ? 60 : 20;
    case OpcodeCost::remainder:
      return 30;
    case OpcodeCost::gamma:
      return 150;
  }
  return wide;
}

class Translator {
 public:
  Translator(const KernelProgram& program, const simd::Table& table) : program_(program) {
    Rewritten rewritten = rewrite(program, table);
    ops_ = std::move(rewritten.ops);
    t_.table = &table;
    t_.paths = std::move(rewritten.paths);
    t_.rows = rewritten.rows;
    t_.cols = rewritten.cols;
    t_.row_reductions = rewritten.row_reductions;
    t_.col_reductions = rewritten.col_reductions;
  }

  Translation run() {
    find_levels();
    find_direct_stores();
    place_.assign(ops_.size(), -1);
    for (const Op& o : ops_)
      if (o.in.space == Space::element && !o.dead && o.in.kind == InstructionKind::compute)
        t_.cost += cost_of(o.in.op, dtype_of_operands(o));

    generate(t_.scalars, [&](int n) { return ops_[size_t(n)].in.space == Space::scalar; }, true);
    bool long_rows = t_.cols >= kLongRow || (t_.rows < kFewRows && t_.cols >= kLongRowOfFew);
    if (t_.row_reductions && !t_.col_reductions && long_rows)
      phases();
    else
      tiles();
    return std::move(t_);
  }

 private:
  Dtype dtype_of_operands(const Op& o) const { return cpu::dtype_of_operands(program_, o); }
  Space space(int n) const { return ops_[size_t(n)].in.space; }

  // Of a value: how many row reductions lie behind it.
  void find_levels() {
    level_.assign(ops_.size(), 0);
    for (size_t n = 0; n < ops_.size(); ++n) {
      for (int a : ops_[n].in.args)
        if (a >= 0) level_[n] = std::max(level_[n], level_[size_t(a)]);
      if (ops_[n].in.kind == InstructionKind::reduce_row) ++level_[n];
    }
  }

  // The first dense store of a computed value makes that memory its place.
  void find_direct_stores() {
    direct_.assign(ops_.size(), -1);
    for (size_t n = 0; n < ops_.size(); ++n) {
      const Instruction& i = ops_[n].in;
      if (i.kind != InstructionKind::store || i.space != Space::element) continue;
      const Op& value = ops_[size_t(i.args[0])];
      bool made = value.in.kind == InstructionKind::compute || value.in.kind == InstructionKind::index;
      if (made && value.in.space == Space::element && direct_[size_t(i.args[0])] < 0 &&
          t_.paths[size_t(i.access)].dense())
        direct_[size_t(i.args[0])] = int(n);
    }
  }

  // ---- slots

  int new_slot(Slot::Kind kind, Dtype dtype, int operand = -1, int64_t offset = 0) {
    t_.slots.push_back({kind, dtype, operand, offset});
    return int(t_.slots.size()) - 1;
  }
  int run_slot(Slot::Kind kind, Dtype dtype, int64_t count) {
    int64_t at = t_.run_bytes;
    t_.run_bytes += (count * 8 + 63) / 64 * 64;
    return new_slot(kind, dtype, -1, at);
  }

  // Registers are taken from the free ones, lowest first, and given back after the last use in the code.
  int take_register(bool row, Dtype dtype) {
    std::vector<int>& free = row ? free_rows_ : free_elements_;
    int& count = row ? code_->row_registers : code_->element_registers;
    int number;
    if (free.empty()) {
      number = count++;
    } else {
      auto lowest = std::min_element(free.begin(), free.end());
      number = *lowest;
      free.erase(lowest);
    }
    return register_slot(row, dtype, number);
  }
  int register_slot(bool row, Dtype dtype, int number) {
    if (!row) t_.element_item = std::max(t_.element_item, item_size(dtype));
    auto [it, fresh] = register_slots_.try_emplace({row, number, dtype}, -1);
    if (fresh) {
      it->second = new_slot(row ? Slot::row_register : Slot::element_register, dtype, -1, number);
      code_->slots.push_back(it->second);
    }
    return it->second;
  }
  void release(int slot) {
    if (slot < 0) return;
    const Slot& s = t_.slots[size_t(slot)];
    if (s.kind == Slot::element_register) free_elements_.push_back(int(s.offset));
    if (s.kind == Slot::row_register) free_rows_.push_back(int(s.offset));
  }
  int memory_slot(Slot::Kind kind, const AccessPath& w, Dtype dtype) {
    int slot = new_slot(kind, dtype, w.operand(), w.offset_bytes());
    code_->slots.push_back(slot);
    return slot;
  }

  bool rows_repeat_cheaply() const { return t_.cols >= kShortRow; }

  // ---- code

  // Generate the instructions that `wanted` accepts, in order. Values of other codes keep their slots.
  template <class F>
  void generate(Code& code, F&& wanted, bool whole_run, bool final = true) {
    code_ = &code;
    whole_run_ = whole_run;
    free_elements_.clear();
    free_rows_.clear();
    register_slots_.clear();
    spread_.assign(ops_.size(), -1);
    spread_space_.assign(ops_.size(), Space::element);
    std::vector<char> mine(ops_.size());
    std::vector<int> last(ops_.size(), -1);
    for (size_t n = 0; n < ops_.size(); ++n) {
      mine[n] = !ops_[n].dead && wanted(int(n));
      if (!mine[n]) continue;
      for (int a : ops_[n].in.args)
        if (a >= 0) last[size_t(a)] = int(n);
    }
    for (size_t n = 0; n < ops_.size(); ++n) {
      if (!mine[n]) continue;
      emit(int(n), last, final);
      for (int a : ops_[n].in.args) {
        if (a < 0 || last[size_t(a)] != int(n)) continue;
        last[size_t(a)] = -1;  // an operand named twice
        if (mine[size_t(a)]) release(place_[size_t(a)]);
        release(spread_[size_t(a)]);
        spread_[size_t(a)] = -1;
      }
    }
  }

  // A slot for the result of instruction n. In-place reuse of an operand that dies here is possible: loops read an
  // element before they write it, provided both have one size.
  int result(int n, const std::vector<int>& last, bool final) {
    const Instruction& i = ops_[size_t(n)].in;
    if (whole_run_)
      return i.space == Space::scalar ? run_slot(Slot::run_value, i.dtype, 1)
                                      : run_slot(Slot::run_row, i.dtype, t_.rows);
    if (final && direct_[size_t(n)] >= 0) {
      const Instruction& store = ops_[size_t(direct_[size_t(n)])].in;
      return memory_slot(Slot::element_memory, t_.paths[size_t(store.access)], i.dtype);
    }
    if (i.kind == InstructionKind::compute)
      for (int a : i.args) {
        if (a < 0 || last[size_t(a)] != n || space(a) != i.space || place_[size_t(a)] < 0) continue;
        const Slot& s = t_.slots[size_t(place_[size_t(a)])];
        bool row = i.space == Space::row;
        if (s.kind != (row ? Slot::row_register : Slot::element_register)) continue;
        if (item_size(s.dtype) != item_size(i.dtype)) continue;
        place_[size_t(a)] = -1;  // its register lives on
        return register_slot(row, i.dtype, int(s.offset));
      }
    return take_register(i.space == Space::row, i.dtype);
  }

  Step make(Step::Kind kind, Space space) {
    Step s;
    s.kind = kind;
    s.space = space;
    return s;
  }

  // The value of `a` as one item for each place of `space`.
  int as_dense(int a, Space space) {
    int slot = place_[size_t(a)];
    const Slot& s = t_.slots[size_t(slot)];
    Dtype dtype = s.dtype;
    if (s.kind == Slot::column_memory) {
      if (spread_[size_t(a)] >= 0) return spread_[size_t(a)];
      Step step = make(Step::load, Space::element);
      step.path = ops_[size_t(a)].in.access;
      spread_space_[size_t(a)] = Space::element;
      step.out = spread_[size_t(a)] = take_register(false, dtype);
      code_->steps.push_back(step);
      return step.out;
    }
    if (this->space(a) == space) return slot;
    if (spread_[size_t(a)] >= 0 && spread_space_[size_t(a)] == space) return spread_[size_t(a)];
    release(spread_[size_t(a)]);
    Step step = make(Step::expand, space);
    step.arity = this->space(a) == Space::scalar;  // from one value, else from rows
    step.expand_fn = t_.table->expand[size_log2(item_size(dtype))];
    step.a = slot;
    step.out = whole_run_ ? run_slot(Slot::run_row, dtype, t_.rows) : take_register(space == Space::row, dtype);
    spread_[size_t(a)] = step.out;
    spread_space_[size_t(a)] = space;
    code_->steps.push_back(step);
    return step.out;
  }

  [[noreturn]] void missing(const Op& o) {
    throw TypeError(cat(opcode_info(o.in.op).name, ": is not defined for ", dtype_of_operands(o)));
  }

  void emit(int n, const std::vector<int>& last, bool final) {
    Op& o = ops_[size_t(n)];
    const Instruction& i = o.in;
    switch (i.kind) {
      case InstructionKind::load: {
        const AccessPath& w = t_.paths[size_t(i.access)];
        if (w.dense()) {
          place_[size_t(n)] = memory_slot(i.space == Space::scalar ? Slot::scalar_memory
                                          : i.space == Space::row  ? Slot::row_memory
                                                                   : Slot::element_memory,
                                          w, i.dtype);
          return;
        }
        if (i.space == Space::element && rows_repeat_cheaply() && w.repeats_row(t_.cols)) {
          place_[size_t(n)] = memory_slot(Slot::column_memory, w, i.dtype);
          return;
        }
        Step s = make(Step::load, i.space);
        s.path = i.access;
        s.out = place_[size_t(n)] = result(n, last, final);
        code_->steps.push_back(s);
        return;
      }
      case InstructionKind::index: {
        Step s = make(Step::index, i.space);
        s.index_fn = t_.table->index[int(i.dtype)];
        s.out = place_[size_t(n)] = result(n, last, final);
        code_->steps.push_back(s);
        return;
      }
      case InstructionKind::compute:
        return compute(n, last, final);
      case InstructionKind::reduce_row:
      case InstructionKind::reduce_col: {
        bool row = i.kind == InstructionKind::reduce_row;
        Dtype dtype = program_.code[size_t(i.args[0])].dtype;
        Step s = make(row ? Step::reduce_row : Step::reduce_col, Space::element);
        s.a = as_dense(i.args[0], Space::element);
        s.item = uint8_t(item_size(dtype));
        Reduction r{dtype, -1, i.access, t_.table->reduce_row[int(i.reduce)][int(dtype)],
                    t_.table->reduce_col[int(i.reduce)][int(dtype)]};
        if (!r.row_fn || !r.col_fn) throw TypeError(cat(reduce_name(i.reduce), ": is not defined for ", dtype));
        if (row) {
          if (o.squares) {
            s.kind = Step::sum_squares;
            s.squares_fn = t_.table->sum_squares[int(dtype)];
            s.arity = i.args[1] >= 0 ? 2 : 1;
            if (s.arity == 2) s.b = place_[size_t(i.args[1])];
          } else {
            s.row_fn = r.row_fn;
          }
          if (t_.form == Form::phases) {
            r.slot = place_[size_t(n)];
            s.reduction = int(t_.reductions.size());
            t_.reductions.push_back(r);
          } else {
            s.out = place_[size_t(n)] = take_register(true, dtype);
          }
        } else {
          s.col_fn = r.col_fn;
          s.reduction = int(t_.reductions.size());
          t_.reductions.push_back(r);
        }
        code_->steps.push_back(s);
        return;
      }
      case InstructionKind::store: {
        if (direct_[size_t(i.args[0])] == n) return;
        Step s = make(Step::store, i.space);
        s.a = as_dense(i.args[0], i.space);
        s.path = i.access;
        code_->steps.push_back(s);
        return;
      }
    }
  }

  void compute(int n, const std::vector<int>& last, bool final) {
    Op& o = ops_[size_t(n)];
    const Instruction& i = o.in;
    int arity = o.op == simd::kExpOfDifference ? 2 : o.op >= kOpcodeCount ? 3 : opcode_info(Opcode(o.op)).arity;
    Step s = make(Step::compute, i.space);
    s.arity = uint8_t(arity);
    Dtype dtype = dtype_of_operands(o);
    const bool cast = i.op == Opcode::copy && o.op == int(Opcode::copy);
    int* slots[3] = {&s.a, &s.b, &s.c};

    // Which operands are one value (for each row), which run along the columns.
    int mask = 0;
    bool all_repeated = true;
    for (int k = 0; k < arity; ++k) {
      Space from = space(i.args[k]);
      bool repeated = from != i.space;
      if (repeated && from == Space::row && !rows_repeat_cheaply()) repeated = false;  // spread over the tile
      if (arity == 1) repeated = false;
      if (repeated) mask |= 1 << k;
      if (!repeated) all_repeated = false;
    }
    if (all_repeated && arity > 1) {
      // One operand is spread out: the first, or of a selection its second.
      mask &= ~(arity == 3 ? 2 : 1);
    }
    bool by_row = false;
    int16_t steps[3] = {0, 0, 0};
    for (int k = 0; k < arity; ++k) {
      int a = i.args[k];
      const Slot& slot = t_.slots[size_t(place_[size_t(a)])];
      int16_t item = int16_t(item_size(slot.dtype));
      if (mask >> k & 1) {
        *slots[k] = place_[size_t(a)];
        if (space(a) == Space::row && i.space == Space::element) {
          by_row = true;
          steps[k] = item;
        }
      } else if (slot.kind == Slot::column_memory && arity > 1) {
        *slots[k] = place_[size_t(a)];
        by_row = true;
        steps[k] = 0;
      } else {
        *slots[k] = as_dense(a, i.space);
        steps[k] = int16_t(-item);
      }
    }
    // Division of a row by one result of the program costs a multiplication.
    bool by_result = o.op == int(Opcode::divide) && by_row && mask == 2 && space(i.args[1]) == Space::row &&
                     ops_[size_t(i.args[1])].in.kind != InstructionKind::load && t_.cols >= kShortRow &&
                     t_.table->compute[simd::kDivideRow][int(dtype)][2];
    s.fn = cast ? nullptr : t_.table->compute[by_result ? simd::kDivideRow : o.op][int(dtype)][mask];
    if (cast) {
      s.arity = 0;  // a conversion
      s.fn = reinterpret_cast<simd::ComputeFn>(reinterpret_cast<void (*)()>(t_.table->cast[int(i.dtype)][int(dtype)]));
    }
    if (!s.fn) missing(o);
    s.by_row = by_row;
    s.out = result(n, last, final);
    place_[size_t(n)] = s.out;
    s.row_step[0] = int16_t(-int(item_size(i.dtype)));
    for (int k = 0; k < 3; ++k) s.row_step[k + 1] = steps[k];
    code_->steps.push_back(s);
  }

  // ---- forms

  void tiles() {
    t_.form = Form::tiles;
    t_.code.resize(1);
    generate(t_.code[0], [&](int n) { return ops_[size_t(n)].in.space != Space::scalar || is_col(n); }, false);
    choose_tile();
  }
  bool is_col(int n) const { return ops_[size_t(n)].in.kind == InstructionKind::reduce_col; }

  void choose_tile() {
    const Code& code = t_.code[0];
    int64_t streams = code.element_registers;
    for (int slot : code.slots) streams += t_.slots[size_t(slot)].kind == Slot::element_memory;
    streams = std::max<int64_t>(streams, 1);
    int64_t size = kTileBytes / (int64_t(std::max<size_t>(t_.element_item, 4)) * streams);
    size = std::clamp(size / 64 * 64, kLeastTile, kMostTile);
    if (t_.row_reductions || t_.col_reductions) {
      // What only reads memory that it reduces has nothing to keep in the cache.
      if (streams == 1) size = kMostRowTile;
      if (t_.row_reductions) size = std::max(size, t_.cols);
    }
    int64_t cols = std::max<int64_t>(t_.cols, 1);
    if (cols <= size) {
      t_.tile_cols = cols;
      t_.tile_rows = std::max<int64_t>(1, std::min(size / cols, std::max<int64_t>(t_.rows, 1)));
    } else {
      t_.tile_rows = 1;
      t_.tile_cols = size;
    }
  }

  void phases() {
    t_.form = Form::phases;
    t_.tile_rows = 1;
    t_.tile_cols = kPhaseTile;
    int levels = 0;
    for (size_t n = 0; n < ops_.size(); ++n)
      if (ops_[n].in.kind == InstructionKind::reduce_row) {
        levels = std::max(levels, level_[n]);
        place_[n] = run_slot(Slot::run_row, ops_[n].in.dtype, t_.rows);
      }
    for (int level = 0; level <= levels; ++level) {
      t_.rows_of.emplace_back();
      generate(
          t_.rows_of.back(),
          [&](int n) {
            const Instruction& i = ops_[size_t(n)].in;
            return i.space == Space::row && i.kind != InstructionKind::reduce_row && level_[size_t(n)] == level;
          },
          true);
      // What the reductions of the next level, or at the end the stores, need.
      std::vector<char> needed(ops_.size());
      bool any = false;
      for (size_t n = ops_.size(); n-- > 0;) {
        const Instruction& i = ops_[n].in;
        if (level < levels ? i.kind == InstructionKind::reduce_row && level_[n] == level + 1
                           : i.kind == InstructionKind::store && i.space == Space::element)
          needed[n] = any = true;
        bool follow = needed[n] && (i.space == Space::element || i.kind == InstructionKind::reduce_row);
        if (!follow) continue;
        for (int a : i.args)
          if (a >= 0 && space(a) == Space::element) needed[size_t(a)] = true;
      }
      size_t first = t_.reductions.size();
      t_.code.emplace_back();
      if (any) generate(t_.code.back(), [&](int n) { return needed[size_t(n)] != 0; }, false, level == levels);
      t_.phase_reductions.emplace_back();
      for (size_t r = first; r < t_.reductions.size(); ++r) t_.phase_reductions.back().push_back(int(r));
      // Row values stay where they are for the run; inside tiles they are reached row by row.
      for (size_t s = 0; s < t_.slots.size(); ++s)
        if (t_.slots[s].kind == Slot::run_row || t_.slots[s].kind == Slot::row_memory)
          t_.code.back().slots.push_back(int(s));
    }
  }

  const KernelProgram& program_;
  Translation t_;
  std::vector<Op> ops_;
  std::vector<int> level_, direct_;
  std::vector<int> place_;   // instruction -> slot
  std::vector<int> spread_;  // instruction -> slot of its repetition over the tile
  std::vector<Space> spread_space_;
  std::vector<int> free_elements_, free_rows_;
  std::map<std::tuple<bool, int, Dtype>, int> register_slots_;
  Code* code_ = nullptr;
  bool whole_run_ = false;
};

}  // namespace

Translation translate(const KernelProgram& program, const simd::Table& table) {
  return Translator(program, table).run();
}

}  // namespace funcnn::cpu
