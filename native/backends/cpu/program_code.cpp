#include "backends/cpu/program_code.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/hot.h"
#include "backends/cpu/program_rewrite.h"
#include "base/error.h"
#include "base/hash.h"

namespace funcnn::cpu {
namespace {

// Bytes of registers and operands of a tile: half of a first-level cache, which leaves room for what streams through.
constexpr int64_t kTileBytes = 16 * 1024;
constexpr int64_t kLeastTile = 512, kMostTile = 4096, kMostRowTile = 8192;
// Rows longer than this are reduced by phases; where there are few rows, already those.
constexpr int64_t kLongRow = 32768, kLongRowOfFew = 8192, kFewRows = 16;
// A transposed operand is read in rows of whole cache lines, even if the tile then fills the second-level cache.
constexpr int64_t kTurnedRows = 16, kTurnedTile = int64_t(1) << 15;
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

// Whether rows are too long for a tile that is reduced.
bool by_phases(const Domain& domain) {
  bool long_rows = domain.cols >= kLongRow || (domain.rows < kFewRows && domain.cols >= kLongRowOfFew);
  return domain.row_reductions && !domain.col_reductions && long_rows;
}

class Translator {
 public:
  Translator(const KernelProgram& program, const Domain& domain, const simd::Table& table)
      : program_(program), domain_(domain), ops_(rewrite(program, domain)) {
    r_.table = &table;
    r_.row_reductions = domain.row_reductions;
    r_.col_reductions = domain.col_reductions;
    r_.slots.reserve(2 * ops_.size());
    r_.accesses.reserve(2 * ops_.size());
  }

  Routine run() {
    find_levels();
    find_direct_stores();
    place_.assign(ops_.size(), -1);
    for (const Op& o : ops_)
      if (o.in.space == Space::element && !o.dead && o.in.kind == InstructionKind::compute)
        r_.cost += cost_of(o.in.op, dtype_of_operands(o));

    bool scalars = std::any_of(ops_.begin(), ops_.end(), [](const Op& o) { return o.in.space == Space::scalar; });
    if (scalars) generate(r_.scalars, [&](int n) { return ops_[size_t(n)].in.space == Space::scalar; }, true);
    if (by_phases(domain_))
      phases();
    else
      tiles();
    r_.hot = jit::make_hot(active_level());
    return std::move(r_);
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
          domain_.paths[size_t(i.access)].dense())
        direct_[size_t(i.args[0])] = int(n);
    }
  }

  // ---- slots

  int new_slot(Slot::Kind kind, Dtype dtype, int operand = -1, int64_t offset = 0) {
    r_.slots.push_back({kind, dtype, operand, offset});
    r_.accesses.push_back(-1);
    return int(r_.slots.size()) - 1;
  }
  int run_slot(Slot::Kind kind, Dtype dtype, int64_t count) {
    int64_t at = r_.run_bytes;
    r_.run_bytes += (count * 8 + 63) / 64 * 64;
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
    if (!row) r_.element_item = std::max(r_.element_item, item_size(dtype));
    for (int slot : register_slots_[row])
      if (r_.slots[size_t(slot)].offset == number && r_.slots[size_t(slot)].dtype == dtype) return slot;
    int slot = new_slot(row ? Slot::row_register : Slot::element_register, dtype, -1, number);
    code_->slots.push_back(slot);
    register_slots_[row].push_back(slot);
    return slot;
  }
  void release(int slot) {
    if (slot < 0) return;
    const Slot& s = r_.slots[size_t(slot)];
    if (s.kind == Slot::element_register) free_elements_.push_back(int(s.offset));
    if (s.kind == Slot::row_register) free_rows_.push_back(int(s.offset));
  }
  int memory_slot(Slot::Kind kind, int access, Dtype dtype) {
    int slot = new_slot(kind, dtype, domain_.paths[size_t(access)].operand());
    r_.accesses.back() = access;
    code_->slots.push_back(slot);
    return slot;
  }

  bool is_kept(const Instruction& i) const {
    return i.kind == InstructionKind::load && i.space == Space::element && domain_.kept[size_t(i.access)];
  }
  bool rows_repeat_cheaply() const { return domain_.cols >= kShortRow; }

  // ---- code

  // Generate the instructions that `wanted` accepts, in order. Values of other codes keep their slots.
  template <class F>
  void generate(Code& code, F&& wanted, bool whole_run, bool final = true) {
    code_ = &code;
    whole_run_ = whole_run;
    free_elements_.clear();
    free_rows_.clear();
    for (auto& slots : register_slots_) slots.clear();
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
    // What is kept comes first, in registers of its own.
    auto kept = [&](size_t n) { return mine[n] && keeps_ && is_kept(ops_[n].in); };
    for (size_t n = 0; n < ops_.size(); ++n)
      if (kept(n)) {
        last[n] = -1;
        emit(int(n), last, final);
      }
    code.kept = int(code.steps.size());
    for (size_t n = 0; n < ops_.size(); ++n) {
      if (!mine[n] || kept(n)) continue;
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
                                      : run_slot(Slot::run_row, i.dtype, domain_.rows);
    if (final && direct_[size_t(n)] >= 0) {
      const Instruction& store = ops_[size_t(direct_[size_t(n)])].in;
      return memory_slot(Slot::element_memory, store.access, i.dtype);
    }
    if (i.kind == InstructionKind::compute)
      for (int a : i.args) {
        if (a < 0 || last[size_t(a)] != n || space(a) != i.space || place_[size_t(a)] < 0) continue;
        const Slot& s = r_.slots[size_t(place_[size_t(a)])];
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

  Step make_access(Step::Kind kind, Space space, int access) {
    Step s = make(kind, space);
    s.path = access;
    s.in_rows = space == Space::row || (rows_repeat_cheaply() && lies_in_rows(access));
    return s;
  }
  bool lies_in_rows(int access) const { return domain_.paths[size_t(access)].lies_in_rows(domain_.cols); }

  // The value of `a` as one item for each place of `space`.
  int as_dense(int a, Space space) {
    int slot = place_[size_t(a)];
    const Slot& s = r_.slots[size_t(slot)];
    Dtype dtype = s.dtype;
    if (s.kind == Slot::column_memory) {
      if (spread_[size_t(a)] >= 0) return spread_[size_t(a)];
      Step step = make_access(Step::load, Space::element, ops_[size_t(a)].in.access);
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
    step.expand_fn = r_.table->expand[size_log2(item_size(dtype))];
    step.a = slot;
    step.out = whole_run_ ? run_slot(Slot::run_row, dtype, domain_.rows) : take_register(space == Space::row, dtype);
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
        const AccessPath& w = domain_.paths[size_t(i.access)];
        if (w.dense()) {
          place_[size_t(n)] = memory_slot(i.space == Space::scalar ? Slot::scalar_memory
                                          : i.space == Space::row  ? Slot::row_memory
                                                                   : Slot::element_memory,
                                          i.access, i.dtype);
          return;
        }
        if (i.space == Space::element && rows_repeat_cheaply() && w.repeats_row(domain_.cols)) {
          place_[size_t(n)] = memory_slot(Slot::column_memory, i.access, i.dtype);
          return;
        }
        Step s = make_access(Step::load, i.space, i.access);
        s.out = place_[size_t(n)] = result(n, last, final);
        code_->steps.push_back(s);
        return;
      }
      case InstructionKind::index: {
        Step s = make(Step::index, i.space);
        s.index_fn = r_.table->index[int(i.dtype)];
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
        s.dtype = dtype;
        s.reduce = i.reduce;
        Reduction r{dtype, -1, i.access, r_.table->reduce_row[int(i.reduce)][int(dtype)],
                    r_.table->reduce_col[int(i.reduce)][int(dtype)]};
        if (!r.row_fn || !r.col_fn) throw TypeError(cat(reduce_name(i.reduce), ": is not defined for ", dtype));
        if (row) {
          if (o.squares) {
            s.kind = Step::sum_squares;
            s.squares_fn = r_.table->sum_squares[int(dtype)];
            s.arity = i.args[1] >= 0 ? 2 : 1;
            if (s.arity == 2) s.b = place_[size_t(i.args[1])];
          } else {
            s.row_fn = r.row_fn;
          }
          if (r_.form == Form::phases) {
            r.slot = place_[size_t(n)];
            s.reduction = int(r_.reductions.size());
            r_.reductions.push_back(r);
          } else {
            s.out = place_[size_t(n)] = take_register(true, dtype);
          }
        } else {
          s.col_fn = r.col_fn;
          s.reduction = int(r_.reductions.size());
          r_.reductions.push_back(r);
        }
        code_->steps.push_back(s);
        return;
      }
      case InstructionKind::store: {
        if (direct_[size_t(i.args[0])] == n) return;
        Step s = make_access(Step::store, i.space, i.access);
        s.a = as_dense(i.args[0], i.space);
        code_->steps.push_back(s);
        return;
      }
    }
  }

  void compute(int n, const std::vector<int>& last, bool final) {
    Op& o = ops_[size_t(n)];
    const Instruction& i = o.in;
    const int arity = arity_of(o.op);
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
      const Slot& slot = r_.slots[size_t(place_[size_t(a)])];
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
                     ops_[size_t(i.args[1])].in.kind != InstructionKind::load && domain_.cols >= kShortRow &&
                     r_.table->compute[simd::kDivideRow][int(dtype)][2];
    s.op = by_result ? simd::kDivideRow : o.op;
    s.dtype = dtype;
    s.fn = cast ? nullptr : r_.table->compute[s.op][int(dtype)][mask];
    if (cast) {
      s.arity = 0;  // a conversion
      s.fn = reinterpret_cast<simd::ComputeFn>(reinterpret_cast<void (*)()>(r_.table->cast[int(i.dtype)][int(dtype)]));
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
    r_.form = Form::tiles;
    r_.code.resize(1);
    keeps_ = true;
    generate(r_.code[0], [&](int n) { return ops_[size_t(n)].in.space != Space::scalar || is_col(n); }, false);
  }
  bool is_col(int n) const { return ops_[size_t(n)].in.kind == InstructionKind::reduce_col; }

  void phases() {
    r_.form = Form::phases;
    int levels = 0;
    for (size_t n = 0; n < ops_.size(); ++n)
      if (ops_[n].in.kind == InstructionKind::reduce_row) {
        levels = std::max(levels, level_[n]);
        place_[n] = run_slot(Slot::run_row, ops_[n].in.dtype, domain_.rows);
      }
    for (int level = 0; level <= levels; ++level) {
      r_.rows_of.emplace_back();
      generate(
          r_.rows_of.back(),
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
      size_t first = r_.reductions.size();
      r_.code.emplace_back();
      if (any) generate(r_.code.back(), [&](int n) { return needed[size_t(n)] != 0; }, false, level == levels);
      r_.phase_reductions.emplace_back();
      for (size_t r = first; r < r_.reductions.size(); ++r) r_.phase_reductions.back().push_back(int(r));
      // Row values stay where they are for the run; inside tiles they are reached row by row.
      for (size_t s = 0; s < r_.slots.size(); ++s)
        if (r_.slots[s].kind == Slot::run_row || r_.slots[s].kind == Slot::row_memory)
          r_.code.back().slots.push_back(int(s));
    }
  }

  const KernelProgram& program_;
  const Domain& domain_;
  Routine r_;
  std::vector<Op> ops_;
  std::vector<int> level_, direct_;
  std::vector<int> place_;   // instruction -> slot
  std::vector<int> spread_;  // instruction -> slot of its repetition over the tile
  std::vector<Space> spread_space_;
  std::vector<int> free_elements_, free_rows_;
  std::vector<int> register_slots_[2];  // of elements, of rows
  Code* code_ = nullptr;
  bool whole_run_ = false, keeps_ = false;
};

void choose_tile(const Routine& r, Translation& t) {
  if (r.form == Form::phases) {
    t.tile_rows = 1;
    t.tile_cols = kPhaseTile;
    return;
  }
  const Code& code = r.code[0];
  int64_t streams = code.element_registers, item = int64_t(r.element_item);
  for (int number : code.slots) {
    const Slot& slot = r.slots[size_t(number)];
    if (slot.kind != Slot::element_memory) continue;
    ++streams;
    item = std::max(item, std::min<int64_t>(4, int64_t(item_size(slot.dtype))));
  }
  streams = std::max<int64_t>(streams, 1);
  int64_t size = kTileBytes / (item * streams);
  size = std::clamp(size / 64 * 64, kLeastTile, item < 4 ? kMostTile * 4 / item : kMostTile);
  if (r.row_reductions || r.col_reductions) {
    // What only reads memory that it reduces has nothing to keep in the cache.
    if (streams == 1) size = kMostRowTile;
    if (r.row_reductions) size = std::max(size, t.cols);
  }
  for (const AccessPath& path : t.paths)
    if (int64_t columns = path.turned_columns())
      size = std::max(size, std::clamp<int64_t>(kTurnedTile / columns, 1, kTurnedRows) * columns);
  int64_t cols = std::max<int64_t>(t.cols, 1);
  if (cols <= size) {
    int64_t rows = size / cols, together = std::max<int64_t>(1, t.period / cols);
    t.tile_cols = cols;
    t.tile_rows = std::max<int64_t>(1, std::min(std::max(rows / together, int64_t(1)) * together, t.rows / t.bands));
  } else {
    // Tiles begin where operands begin anew.
    int64_t stretch = t.period;
    if (t.period == 1)
      for (const AccessPath& path : t.paths) stretch = std::max(stretch, path.stretch(size));
    t.tile_rows = 1;
    t.tile_cols = (size + stretch / 2) / stretch * stretch;
  }
}

// Everything that a routine by tiles depends on.
Hash key_of(const KernelProgram& program, const Domain& domain, const simd::Table& table) {
  Hasher h;
  h.add(static_cast<const void*>(&table));
  h.add(domain.cols >= kShortRow);
  for (const Instruction& i : program.code) i.hash(h);
  h.add(domain.row_loads);
  for (size_t a = 0; a < domain.paths.size(); ++a) {
    const AccessPath& path = domain.paths[a];
    h.add(uint64_t(uint32_t(path.operand())) << 32 | uint64_t(program.accesses[a].dtype) << 8 | uint64_t(path.dense()) |
          uint64_t(path.repeats_row(domain.cols)) << 1 | uint64_t(domain.kept[a]) << 2 |
          uint64_t(path.lies_densely()) << 3 | uint64_t(path.lies_in_rows(domain.cols)) << 4);
  }
  return h.finish();
}

// Routines by what they depend on. All are forgotten when they have become too many.
class Routines {
 public:
  template <class Make>
  std::shared_ptr<const Routine> get(const Hash& key, Make&& make) {
    {
      std::lock_guard lock(mutex_);
      if (auto it = known_.find(key); it != known_.end()) return it->second;
    }
    auto made = std::make_shared<const Routine>(make());
    size_t bytes = sizeof(Routine) + made->slots.size() * (sizeof(Slot) + sizeof(int)) +
                   (made->code[0].steps.size() + made->scalars.steps.size()) * sizeof(Step);
    std::lock_guard lock(mutex_);
    if ((bytes_ += bytes) > kMostBytes) {
      known_.clear();
      bytes_ = bytes;
    }
    known_[key] = made;
    return made;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    known_.clear();
    bytes_ = 0;
  }

 private:
  static constexpr size_t kMostBytes = size_t(4) << 20;
  std::mutex mutex_;
  std::unordered_map<Hash, std::shared_ptr<const Routine>, HashOfHash> known_;
  size_t bytes_ = 0;
};

Routines& routines() {
  static auto* all = new Routines;
  return *all;
}

}  // namespace

void clear_routines() { routines().clear(); }

Translation translate(const KernelProgram& program, const simd::Table& table) {
  Domain domain = lay_out(program, table);
  auto make = [&] { return Translator(program, domain, table).run(); };
  Translation t;
  t.routine = by_phases(domain) ? std::make_shared<const Routine>(make())
                                : routines().get(key_of(program, domain, table), make);
  t.rows = domain.rows;
  t.cols = domain.cols;
  t.period = domain.period;
  if (domain.col_reductions) t.bands = program.bands;
  t.paths = std::move(domain.paths);
  t.slots = t.routine->slots;
  for (size_t i = 0; i < t.slots.size(); ++i)
    if (int access = t.routine->accesses[i]; access >= 0) t.slots[i].offset = t.paths[size_t(access)].offset_bytes();
  choose_tile(*t.routine, t);
  return t;
}

}  // namespace funcnn::cpu
