#include "plan/fuse.h"

#include <algorithm>
#include <numeric>

namespace funcnn {
namespace {

// Rows longer than this are reduced in pieces, and their result cannot return to the elements in the same kernel.
constexpr int64_t kLongestRow = 1 << 16;
constexpr size_t kMaxMembers = 4096;
constexpr size_t kMaxRaised = 256;
constexpr int kMaxInlined = 16;
constexpr int kMaxRepeated = 12;
constexpr size_t kMaxSiblings = 16;

// The view covers `size` elements densely from the start.
bool is_flat(const View& view, const Shape& shape) {
  if (view.offset != 0) return false;
  Shape dims;
  Strides strides;
  collapse(shape, view.strides, dims, strides);
  return dims.empty() || (dims.size() == 1 && strides[0] == 1);
}

// The view repeats each of `rows` dense elements `cols` times; finds cols.
bool is_row_view(const View& view, const Shape& shape, int64_t rows, int64_t& cols) {
  if (view.offset != 0) return false;
  Shape dims;
  Strides strides;
  collapse(shape, view.strides, dims, strides);
  if (rows == 1 && dims.size() == 1 && strides[0] == 0) {
    cols = dims[0];
    return true;
  }
  if (dims.size() == 2 && dims[0] == rows && strides[0] == 1 && strides[1] == 0) {
    cols = dims[1];
    return true;
  }
  return false;
}

class Fuser {
 public:
  Fuser(Ir& ir, bool enabled) : ir_(ir), enabled_(enabled) {
    size_t n = ir.values.size();
    out_.unit_of.assign(n, -1);
    out_.space_of.assign(n, Space::element);
    out_.stored.assign(n, 0);
    out_.inlined.assign(n, 0);
    users_.resize(n);
    needed_.assign(n, 0);
    result_.assign(n, 0);
  }

  Partition run() {
    mark_needed();
    mark_inlined();
    std::vector<int> order = creation_order();
    for (size_t i = order.size(); i-- > 0;) {
      int v = order[i];
      if (!needed_[size_t(v)] || !value(v).computed()) continue;
      if (value(v).kind == ValueKind::operation)
        place_operation(value(v).operation);
      else
        place(v);
    }
    if (enabled_) join_siblings();
    finish();
    return std::move(out_);
  }

 private:
  std::vector<int> creation_order() const {
    std::vector<int> order(ir_.values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return value(a).sequence < value(b).sequence; });
    return order;
  }

  struct Use {
    int reader;     // value, or -1 - operation
    bool ordering;  // only comes first
    View view;      // of the value, in the reader's shape (or the reduction's form)
  };
  // How a value can live inside a group.
  struct Fit {
    bool ok = false;
    Space space = Space::element;
    int64_t cols = -1;  // the group must be divided so
    bool lift = false;  // the group's elements become rows of `size`
    int64_t size = 0;
  };

  const Value& value(int v) const { return ir_.values[size_t(v)]; }

  // ---- who reads what

  void need(int v) {
    int base = value(v).view.base;
    if (!needed_[size_t(base)]) {
      needed_[size_t(base)] = 1;
      work_.push_back(base);
    }
    for (int dep : value(v).kind == ValueKind::view ? value(v).inputs : SmallVector<int, 3>()) {
      int b = value(dep).view.base;
      if (!needed_[size_t(b)]) {
        needed_[size_t(b)] = 1;
        work_.push_back(b);
      }
    }
  }
  void add_use(int operand, int reader, View view) {
    users_[size_t(value(operand).view.base)].push_back({reader, false, std::move(view)});
    if (value(operand).kind == ValueKind::view)
      for (int dep : value(operand).inputs) users_[size_t(value(dep).view.base)].push_back({reader, true, {}});
  }

  void mark_needed() {
    for (const auto& result : ir_.results)
      for (int v : result) {
        need(v);
        result_[size_t(value(v).view.base)] = 1;
      }
    std::vector<char> listed(ir_.operations.size(), 0);
    while (!work_.empty()) {
      int v = work_.back();
      work_.pop_back();
      const Value& val = value(v);
      if (val.kind == ValueKind::operation) {
        if (std::exchange(listed[size_t(val.operation)], 1)) continue;
        const Operation& op = ir_.operations[size_t(val.operation)];
        for (int o : op.outputs) needed_[size_t(o)] = 1;
        for (int input : op.inputs) {
          need(input);
          add_use(input, -1 - val.operation, value(input).view);
        }
      } else if (val.kind == ValueKind::reduce) {
        need(val.inputs[0]);
        add_use(val.inputs[0], v, reduce_form(ir_, val).view);
      } else if (val.kind == ValueKind::elementwise) {
        for (int input : val.inputs) {
          need(input);
          add_use(input, v, broadcast_view(value(input).view, value(input).shape, val.shape));
        }
      }
    }
  }

  // Scalars computed from scalars: cheaper to repeat than to launch a kernel for.
  void mark_inlined() {
    if (!enabled_) return;
    std::vector<int> cost(ir_.values.size(), 0);
    for (size_t v = 0; v < ir_.values.size(); ++v) {
      const Value& val = ir_.values[v];
      if (val.kind != ValueKind::elementwise || val.size() != 1 || !needed_[v]) continue;
      int total = 1;
      for (int input : val.inputs) {
        if (value(input).kind == ValueKind::view && !value(input).inputs.empty()) total = kMaxInlined + 1;
        int base = value(input).view.base;
        if (value(base).size() != 1)
          total = kMaxInlined + 1;
        else if (value(base).kind == ValueKind::leaf)
          continue;
        else if (out_.inlined[size_t(base)])
          total += cost[size_t(base)];
        else
          total = kMaxInlined + 1;
      }
      cost[v] = total;
      out_.inlined[v] = total <= kMaxInlined;
    }
  }

  // ---- units

  int find(int u) {
    while (parent_[size_t(u)] != u) u = parent_[size_t(u)] = parent_[size_t(parent_[size_t(u)])];
    return u;
  }
  int unit_of(int v) { return out_.unit_of[size_t(v)] < 0 ? -1 : find(out_.unit_of[size_t(v)]); }
  int reader_unit(const Use& use) {
    return use.reader < 0 ? unit_of(ir_.operations[size_t(-1 - use.reader)].outputs[0]) : unit_of(use.reader);
  }
  int add_unit(Unit unit) {
    parent_.push_back(int(units_.size()));
    units_.push_back(std::move(unit));
    return int(units_.size()) - 1;
  }

  void place_operation(int index) {
    const Operation& op = ir_.operations[size_t(index)];
    if (unit_of(op.outputs[0]) >= 0) return;
    // Outputs of one operation share a sequence number; their readers all came before in this backward walk.
    Unit unit;
    unit.operation = index;
    for (int output : op.outputs)
      for (const Use& use : users_[size_t(output)])
        if (int u = reader_unit(use); u >= 0) unit.stage = std::max(unit.stage, units_[size_t(u)].stage + 1);
    unit.members.assign(op.outputs.begin(), op.outputs.end());
    int u = add_unit(std::move(unit));
    for (int output : op.outputs) out_.unit_of[size_t(output)] = u;
  }

  // Whether v, read by `use`, can be kept in the group of the reader.
  Fit fit(int v, const Use& use) {
    Fit out;
    if (!enabled_ || use.ordering || use.reader < 0) return out;
    int u = reader_unit(use);
    const Unit& unit = units_[size_t(u)];
    if (unit.operation >= 0 || unit.members.size() >= kMaxMembers) return out;
    const Value& val = value(v);
    const Value& reader = value(use.reader);
    bool reduces = val.kind == ValueKind::reduce;
    ReduceForm form;
    if (reduces) {
      form = reduce_form(ir_, val);
      if (form.by_column) return out;
    }
    if (reader.kind == ValueKind::reduce) {
      ReduceForm outer = reduce_form(ir_, reader);
      if (!reduces && val.size() == unit.size && is_flat(use.view, outer.shape)) out.ok = true;
      return out;
    }
    Space space = out_.space_of[size_t(use.reader)];
    bool flat = is_flat(use.view, reader.shape) && val.size() == reader.size();
    if (reduces) {
      int64_t size = form.kept * form.reduced, cols = form.reduced;
      if (flat && space == Space::element && unit.cols < 0 && unit.size == val.size() && liftable(unit)) {
        out = {true, Space::row, cols, true, size};
      } else if (flat && space == Space::row && unit.size == size && unit.cols == cols) {
        out = {true, Space::row, cols, false, size};
      } else if (int64_t c; space == Space::element && cols <= kLongestRow && unit.size == size &&
                            is_row_view(use.view, reader.shape, val.size(), c) && c == cols &&
                            (unit.cols < 0 || unit.cols == cols)) {
        out = {true, Space::row, cols, false, size};
      }
      return out;
    }
    if (flat) {
      out.ok = space == Space::row ? val.kind != ValueKind::index : true;
      out.space = space;
      out.size = unit.size;
      return out;
    }
    if (int64_t c; space == Space::element && val.kind != ValueKind::index && val.size() > 1 &&
                   is_row_view(use.view, reader.shape, val.size(), c) && c <= kLongestRow &&
                   (unit.cols < 0 ? worth_rows(v) : unit.cols == c)) {
      out = {true, Space::row, c, false, unit.size};
    }
    return out;
  }

  bool liftable(const Unit& unit) const {
    for (int m : unit.members)
      if (value(m).kind != ValueKind::elementwise) return false;
    return true;
  }

  // Dividing a plain loop into rows pays only for values that come from a reduction.
  bool worth_rows(int v) const {
    for (int depth = 0; depth < 32; ++depth) {
      const Value& val = value(v);
      if (val.kind == ValueKind::reduce) return true;
      if (val.kind != ValueKind::elementwise) return false;
      int next = -1;
      for (int input : val.inputs) {
        int base = value(input).view.base;
        if (value(base).computed() && value(base).size() == val.size() &&
            (next < 0 || value(base).kind == ValueKind::reduce))
          next = base;
      }
      if (next < 0) return false;
      v = next;
    }
    return false;
  }

  // Move a group to a higher stage; false if something it reads is placed too low.
  bool raise(int u, int stage) {
    Unit& unit = units_[size_t(u)];
    if (unit.stage >= stage) return unit.stage == stage;
    if (unit.members.size() > kMaxRaised) return false;
    for (int m : unit.members) {
      auto blocks = [&](int input) {
        int base = unit_of(value(input).view.base);
        if (base >= 0 && base != u && units_[size_t(base)].stage <= stage) return true;
        if (value(input).kind == ValueKind::view)
          for (int dep : value(input).inputs) {
            int d = unit_of(value(dep).view.base);
            if (d >= 0 && (d == u || units_[size_t(d)].stage <= stage)) return true;
          }
        return false;
      };
      for (int input : value(m).inputs)
        if (blocks(input)) return false;
    }
    unit.stage = stage;
    return true;
  }

  bool compatible(const Unit& a, const Unit& b) const {
    return a.size == b.size && (a.cols < 0 || b.cols < 0 || a.cols == b.cols) &&
           a.members.size() + b.members.size() <= kMaxMembers;
  }

  int merge(int a, int b) {
    if (a == b) return a;
    Unit &x = units_[size_t(a)], &y = units_[size_t(b)];
    if (x.members.size() < y.members.size()) return merge(b, a);
    if (x.cols < 0) x.cols = y.cols;
    x.members.insert(x.members.end(), y.members.begin(), y.members.end());
    y.members.clear();
    parent_[size_t(b)] = a;
    return a;
  }

  void lift(int u, const Fit& f) {
    Unit& unit = units_[size_t(u)];
    unit.size = f.size;
    unit.cols = f.cols;
    for (int m : unit.members) out_.space_of[size_t(m)] = Space::row;
  }

  void place(int v) {
    const Value& val = value(v);
    bool inlined = out_.inlined[size_t(v)];
    struct Candidate {
      int unit;
      Fit fit;
      bool refused;
    };
    std::vector<Candidate> candidates;
    int floor = 0;
    bool has_reader = false;
    for (const Use& use : users_[size_t(v)]) {
      int u = reader_unit(use);
      if (u < 0) continue;  // an inlined reader
      if (inlined && !use.ordering && use.reader >= 0 && value(use.reader).kind == ValueKind::elementwise) continue;
      has_reader = true;
      Fit f = inlined ? Fit{} : fit(v, use);
      auto it = std::find_if(candidates.begin(), candidates.end(), [&](auto& c) { return c.unit == u; });
      if (it == candidates.end()) {
        candidates.push_back({u, f, !f.ok});
      } else if (!f.ok || f.space != it->fit.space || f.lift != it->fit.lift) {
        it->refused = true;
      }
    }
    if (inlined && !has_reader && !result_[size_t(v)]) return;
    for (const Candidate& c : candidates)
      if (c.refused) floor = std::max(floor, units_[size_t(c.unit)].stage + 1);
    // Join the users that can be brought to one stage; the others read from memory and must come later than v.
    int stage = floor;
    for (const Candidate& c : candidates) stage = std::max(stage, units_[size_t(c.unit)].stage);
    int joined = -1;
    Fit how;
    for (Candidate& c : candidates) {
      if (c.refused) continue;
      int u = find(c.unit);
      if (u == joined) continue;
      if (joined >= 0 && (c.fit.space != how.space || c.fit.lift || how.lift ||
                          !compatible(units_[size_t(joined)], units_[size_t(u)])))
        continue;
      if (!raise(u, stage)) continue;
      if (joined < 0) {
        how = c.fit;
        joined = u;
        if (how.lift)
          lift(u, how);
        else if (how.cols >= 0)
          units_[size_t(u)].cols = how.cols;
      } else {
        joined = merge(joined, u);
        if (c.fit.cols >= 0) units_[size_t(joined)].cols = c.fit.cols;
      }
    }
    // Users too far away to join compute v again if that costs them no more memory traffic than loading it.
    if (joined >= 0 && !result_[size_t(v)] && floor == 0 && candidates.size() > 1 && !is_compared(v) &&
        repeatable(v, joined)) {
      for (const Candidate& c : candidates) {
        int u = find(c.unit);
        if (u != joined && !c.fit.lift) repeat(v, u, c.fit);
      }
      std::erase_if(candidates, [&](const Candidate& c) { return find(c.unit) != joined && !c.fit.lift; });
    }
    // Users at the same stage that were not joined would read v from memory: v must then lie above them.
    bool above = false;
    for (const Candidate& c : candidates)
      if (find(c.unit) != joined && units_[size_t(find(c.unit))].stage >= stage) above = true;
    if (above) {
      int higher = stage;
      for (const Candidate& c : candidates)
        if (find(c.unit) != joined) higher = std::max(higher, units_[size_t(find(c.unit))].stage + 1);
      if (joined >= 0 && !raise(joined, higher)) joined = -1;
      stage = higher;
      if (joined < 0)
        for (const Candidate& c : candidates) stage = std::max(stage, units_[size_t(find(c.unit))].stage + 1);
    }
    if (joined >= 0) {
      units_[size_t(joined)].members.push_back(v);
      out_.space_of[size_t(v)] = how.space;
      out_.unit_of[size_t(v)] = joined;
      return;
    }
    Unit unit;
    unit.stage = stage;
    unit.size = val.size();
    if (val.kind == ValueKind::reduce) {
      ReduceForm form = reduce_form(ir_, val);
      unit.size = form.kept * form.reduced;
      unit.cols = form.by_column ? form.kept : form.reduced;
      out_.space_of[size_t(v)] = Space::row;
    }
    unit.members.push_back(v);
    out_.unit_of[size_t(v)] = add_unit(std::move(unit));
  }

  // Whether v follows, in few steps, from at most one array of its size that is in memory anyway.
  bool repeatable(int v, int home) {
    int steps = 0;
    int source = -1;
    std::vector<int> pending{v};
    while (!pending.empty()) {
      const Value& val = value(pending.back());
      pending.pop_back();
      if (val.kind != ValueKind::elementwise || ++steps > kMaxRepeated) return false;
      for (int input : val.inputs) {
        const Value& seen = value(input);
        if (seen.kind == ValueKind::view && !seen.inputs.empty()) return false;
        int b = seen.view.base;
        const Value& base = value(b);
        if (base.size() * 4 <= value(v).size()) continue;
        if (base.kind == ValueKind::elementwise && !in_memory_anyway(b, home)) {
          pending.push_back(b);
        } else if (base.kind == ValueKind::reduce || base.kind == ValueKind::index || (source >= 0 && source != b)) {
          return false;
        } else {
          source = b;
        }
      }
    }
    return true;
  }
  // A second computation may round differently. Finding a maximum by equality, or the chosen operand of `maximum` by
  // comparing with the result, would not survive that.
  bool is_compared(int v) const {
    return std::any_of(users_[size_t(v)].begin(), users_[size_t(v)].end(), [&](const Use& use) {
      if (use.reader < 0) return false;
      const Value& reader = value(use.reader);
      return reader.kind == ValueKind::elementwise && reader.opcode >= Opcode::equal &&
             reader.opcode <= Opcode::greater_equal;
    });
  }
  bool in_memory_anyway(int b, int home) {
    if (result_[size_t(b)]) return true;
    for (const Use& use : users_[size_t(b)])
      if (int u = reader_unit(use); use.reader < 0 || (u >= 0 && u != home)) return true;
    return false;
  }

  // Give the readers of v in unit `u` a copy of it there.
  void repeat(int v, int u, const Fit& f) {
    int copy = int(ir_.values.size());
    ir_.values.push_back(value(v));
    ir_.values.back().view.base = copy;
    users_.emplace_back();
    needed_.push_back(1);
    result_.push_back(0);
    out_.unit_of.push_back(u);
    out_.space_of.push_back(f.space);
    out_.stored.push_back(0);
    out_.inlined.push_back(0);
    units_[size_t(u)].members.push_back(copy);
    if (f.cols >= 0) units_[size_t(u)].cols = f.cols;
    auto moves = [&](const Use& use) { return use.reader >= 0 && reader_unit(use) == u; };
    std::vector<int> readers;
    for (Use& use : users_[size_t(v)])
      if (moves(use)) {
        readers.push_back(use.reader);
        users_[size_t(copy)].push_back(use);
      }
    std::erase_if(users_[size_t(v)], moves);
    for (int r : readers)
      for (size_t k = 0; k < value(r).inputs.size(); ++k) {
        int input = value(r).inputs[k];
        if (value(input).view.base != v) continue;
        if (input != v) {
          ir_.values.push_back(value(input));
          ir_.values.back().view.base = copy;
          users_.emplace_back();
          needed_.push_back(0);
          result_.push_back(0);
          out_.unit_of.push_back(-1);
          out_.space_of.push_back(Space::element);
          out_.stored.push_back(0);
          out_.inlined.push_back(0);
        }
        ir_.values[size_t(r)].inputs[k] = input == v ? copy : int(ir_.values.size()) - 1;
      }
    const Value val = value(copy);
    for (int input : val.inputs) add_use(input, copy, broadcast_view(value(input).view, value(input).shape, val.shape));
  }

  // Groups over the same elements that load the same array become one, where nothing stands between them.
  void join_siblings() {
    for (size_t v = 0; v < users_.size(); ++v) {
      if (users_[v].size() < 2 || users_[v].size() > kMaxSiblings || !needed_[v]) continue;
      int64_t size = value(int(v)).size();
      if (size < 2) continue;
      int top = -1;
      for (const Use& use : users_[v]) {
        int u = reader_unit(use);
        if (u < 0 || use.ordering || use.reader < 0 || units_[size_t(u)].size != size || u == top) continue;
        if (top < 0) {
          top = u;
          continue;
        }
        int high = top, low = u;
        if (units_[size_t(low)].stage > units_[size_t(high)].stage) std::swap(high, low);
        if (compatible(units_[size_t(high)], units_[size_t(low)]) && raise(low, units_[size_t(high)].stage))
          top = merge(high, low);
        else
          top = high;
      }
    }
  }

  void finish() {
    std::vector<int> order = creation_order();
    std::vector<int> renamed(units_.size(), -1);
    for (int v : order) {
      if (out_.unit_of[size_t(v)] < 0) continue;
      int u = unit_of(v);
      if (renamed[size_t(u)] < 0) {
        renamed[size_t(u)] = int(out_.units.size());
        out_.units.push_back(std::move(units_[size_t(u)]));
        if (out_.units.back().operation < 0) out_.units.back().members.clear();
      }
      int r = renamed[size_t(u)];
      Unit& unit = out_.units[size_t(r)];
      if (unit.operation < 0) unit.members.push_back(v);
      unit.sequence = std::max(unit.sequence, value(v).sequence);
      out_.unit_of[size_t(v)] = r;
    }
    for (size_t v = 0; v < ir_.values.size(); ++v) {
      int mine = out_.unit_of[v];
      if (mine < 0) continue;
      bool operation = out_.units[size_t(mine)].operation >= 0;
      out_.stored[v] = operation || result_[v];
      for (const Use& use : users_[v]) {
        if (use.ordering) continue;
        bool repeats = out_.inlined[v] && use.reader >= 0 && value(use.reader).kind == ValueKind::elementwise;
        int reader = use.reader < 0 ? -2 : out_.unit_of[size_t(use.reader)];
        if (!repeats && reader != mine && reader != -1) out_.stored[v] = 1;
        if (use.reader >= 0 && reader == -1 && !out_.inlined[v]) out_.stored[v] = 1;
      }
    }
  }

  Ir& ir_;
  bool enabled_;
  Partition out_;
  std::vector<std::vector<Use>> users_;
  std::vector<char> needed_, result_;
  std::vector<int> work_;
  std::vector<Unit> units_;
  std::vector<int> parent_;
};

}  // namespace

ReduceForm reduce_form(const Ir& ir, const Value& reduce) {
  const Value& input = ir.values[size_t(reduce.inputs[0])];
  ReduceForm form;
  form.view.base = input.view.base;
  form.view.offset = input.view.offset;
  auto is_reduced = [&](size_t axis) {
    return std::find(reduce.axes.begin(), reduce.axes.end(), int(axis)) != reduce.axes.end();
  };
  int last_reduced = -1, first_kept = int(input.shape.size());
  for (size_t i = 0; i < input.shape.size(); ++i) {
    if (is_reduced(i)) {
      form.reduced *= input.shape[i];
      if (input.shape[i] != 1) last_reduced = int(i);
    } else {
      form.kept *= input.shape[i];
      if (input.shape[i] != 1) first_kept = std::min(first_kept, int(i));
    }
  }
  form.by_column = form.kept > 1 && last_reduced < first_kept;
  if (form.by_column) {
    form.shape = input.shape;
    form.view.strides = input.view.strides;
    return form;
  }
  for (bool reduced : {false, true})
    for (size_t i = 0; i < input.shape.size(); ++i)
      if (is_reduced(i) == reduced) {
        form.shape.push_back(input.shape[i]);
        form.view.strides.push_back(input.view.strides[i]);
      }
  return form;
}

Partition fuse(Ir& ir, bool enabled) { return Fuser(ir, enabled).run(); }

}  // namespace funcnn
