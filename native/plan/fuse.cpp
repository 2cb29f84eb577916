#include "plan/fuse.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "plan/repeat.h"
#include "plan/units.h"

namespace funcnn {
namespace {

constexpr int kMaxInlined = 16;
// Stages between a reduction and what reads it beside its operand, with a step on the row values between them.
constexpr int kNext = 2;
constexpr size_t kMaxSiblings = 16;
// Units with copies that count on a value to be in memory, where it could be computed again as well.
constexpr int kMaxCounting = 2;

class Fuser {
 public:
  Fuser(Ir& ir, bool enabled, Seams* seams)
      : ir_(ir), enabled_(enabled), seams_(seams), first_copy_(int(ir.values.size())), uses_(ir), units_(ir, uses_) {
    for (size_t v = 0; v < ir.values.size(); ++v) out_.extend(Space::element);
  }

  Partition run() {
    mark_inlined();
    std::vector<int> order = creation_order();
    for (size_t i = order.size(); i-- > 0;) {
      int v = order[i];
      if (!uses_.needed(v) || !value(v).computed()) continue;
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
  // How a value can live inside a unit.
  struct Fit {
    Apart why = Apart::reader_alone;  // no: it can
    Space space = Space::element;
    int64_t cols = -1;  // the unit must be divided so
    bool lift = false;  // the unit's elements become rows of `size`
    int64_t size = 0;
  };
  // A unit that reads the value to be placed.
  struct Candidate {
    int unit;
    Fit fit;
    Apart why;                         // it cannot be kept there; no: it can
    SmallVector<int, 2> uses;          // numbers among the value's
    SmallVector<int, 2> readers = {};  // where somebody asks for seams
  };

  const Value& value(int v) const { return ir_.values[size_t(v)]; }

  std::vector<int> creation_order() const {
    std::vector<int> order(ir_.values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return value(a).sequence < value(b).sequence; });
    return order;
  }

  // Scalars computed from scalars: cheaper to repeat than to launch a kernel for.
  void mark_inlined() {
    if (!enabled_) return;
    std::vector<int> cost(ir_.values.size(), 0);
    for (size_t v = 0; v < ir_.values.size(); ++v) {
      const Value& val = ir_.values[v];
      if (val.kind != ValueKind::elementwise || val.size() != 1 || !uses_.needed(int(v))) continue;
      // Every reader loads what the computation reads: leave it room for others.
      int most = int(std::min<size_t>(kMaxInlined, backend(val.device).limits().operands / 8));
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
      out_.inlined[v] = total <= most;
      if (out_.inlined[v]) units_.set_inlined(int(v));
    }
  }

  void place_operation(int index) {
    const Operation& op = ir_.operations[size_t(index)];
    if (units_.of(op.outputs[0]) >= 0) return;
    // Outputs of one operation share a sequence number; their readers all came before in this backward walk.
    Unit unit;
    unit.operation = index;
    for (int output : op.outputs)
      for (const Use& use : uses_.of(output))
        if (int u = units_.of_reader(use); u >= 0) {
          unit.stage = std::max(unit.stage, units_[u].stage + 1);
          note(output, use.reader, use.reader < 0 ? Apart::reader_alone : Apart::producer_alone);
        }
    unit.members.assign(op.outputs.begin(), op.outputs.end());
    int u = units_.add(std::move(unit));
    for (int output : op.outputs) units_.put(output, u);
  }

  // Whether v, read by `use`, can be kept in the unit of the reader.
  Fit fit(int v, const Use& use) {
    Fit out;
    auto refused = [&](Apart why) {
      out.why = why;
      return out;
    };
    if (!enabled_) return refused(Apart::off);
    if (use.ordering) return refused(Apart::only_after);
    if (use.reader < 0) return refused(Apart::reader_alone);
    int u = units_.of_reader(use);
    const Unit& unit = units_[u];
    if (unit.operation >= 0) return refused(Apart::reader_alone);
    if (Apart why = units_.allows(v, u); why != Apart::no) return refused(why);
    const int64_t longest_row = backend(value(v).device).limits().longest_row;
    const Value& val = value(v);
    const Value& reader = value(use.reader);
    bool reduces = val.kind == ValueKind::reduce;
    // What a reduction leaves of no elements has rows that no element of the unit would be in.
    if (reduces && uses_.form(v).by_column) return refused(Apart::by_column);
    if (reduces && uses_.form(v).reduced == 0) return refused(Apart::nothing);
    if (reader.kind == ValueKind::reduce) {
      if (reduces) return refused(Apart::reduced_twice);
      if (val.size() != unit.size) return refused(Apart::domain);
      return refused(is_flat(use.view, uses_.form(use.reader).shape) ? Apart::no : Apart::order);
    }
    Space space = out_.space_of[size_t(use.reader)];
    bool flat = is_flat(use.view, reader.shape) && val.size() == reader.size();
    if (reduces) {
      const ReduceForm& form = uses_.form(v);
      int64_t size = form.kept * form.reduced, cols = form.reduced;
      if (flat && space == Space::element && unit.cols < 0 && unit.size == val.size() && liftable(unit)) {
        out = {Apart::no, Space::row, cols, true, size};
      } else if (flat && space == Space::row && unit.size == size && unit.cols == cols) {
        out = {Apart::no, Space::row, cols, false, size};
      } else if (int64_t c; space == Space::element && cols <= longest_row && unit.size == size &&
                            is_row_view(use.view, reader.shape, val.size(), c) && c == cols &&
                            (unit.cols < 0 || unit.cols == cols)) {
        out = {Apart::no, Space::row, cols, false, size};
      } else {
        out.why = unit.size != size && unit.size != val.size() ? Apart::domain
                  : unit.cols >= 0 && unit.cols != cols        ? Apart::rows
                  : cols > longest_row                         ? Apart::long_rows
                                                               : Apart::order;
      }
      return out;
    }
    if (flat) {
      out.why = space == Space::row && val.kind == ValueKind::index ? Apart::numbers : Apart::no;
      out.space = space;
      out.size = unit.size;
      return out;
    }
    int64_t c;
    if (space != Space::element || val.size() == 0 || !is_row_view(use.view, reader.shape, val.size(), c) || c <= 0)
      return refused(val.size() == reader.size() ? Apart::order : Apart::domain);
    if (val.kind == ValueKind::index) return refused(Apart::numbers);
    if (c > longest_row) return refused(Apart::long_rows);
    if (unit.cols >= 0 && unit.cols != c) return refused(Apart::rows);
    if (val.size() == 1) {
      // A scalar is a row's only where that very row has to be gone through to know it: others would wait for the
      // whole unit, which one task or group works off.
      if (c > kLongestOnlyRow) return refused(Apart::long_rows);
      if (const int64_t from = reduced_for(v); from != c) return refused(from < 0 ? Apart::not_worth : Apart::domain);
    } else if (unit.cols < 0 && reduced_for(v) < 0) {
      return refused(Apart::not_worth);
    }
    out = {Apart::no, Space::row, c, false, unit.size};
    return out;
  }

  bool liftable(const Unit& unit) const {
    for (int m : unit.members)
      if (value(m).kind != ValueKind::elementwise) return false;
    return true;
  }

  // How many elements the reduction goes over that v comes from; -1: from none. Dividing a plain loop into rows pays
  // only for such values.
  int64_t reduced_for(int v) const {
    for (int depth = 0; depth < 32; ++depth) {
      const Value& val = value(v);
      if (val.kind == ValueKind::reduce) return uses_.form(v).reduced;
      if (val.kind != ValueKind::elementwise) return -1;
      int next = -1;
      for (int input : val.inputs) {
        int base = value(input).view.base;
        if (value(base).computed() && value(base).size() == val.size() &&
            (next < 0 || value(base).kind == ValueKind::reduce))
          next = base;
      }
      if (next < 0) return -1;
      v = next;
    }
    return -1;
  }

  void lift(int u, const Fit& f) {
    Unit& unit = units_[u];
    unit.size = f.size;
    unit.cols = f.cols;
    for (int m : unit.members) out_.space_of[size_t(m)] = Space::row;
  }

  // The units that read v, but for those that repeat it as an inlined scalar.
  std::vector<Candidate> candidates_of(int v) {
    std::vector<Candidate> candidates;
    bool inlined = out_.inlined[size_t(v)];
    candidate_of_.resize(units_.size(), -1);
    const std::vector<Use>& uses = uses_.of(v);
    for (size_t n = 0; n < uses.size(); ++n) {
      const Use& use = uses[n];
      int u = units_.of_reader(use);
      if (u < 0) continue;  // an inlined reader
      if (inlined && !use.ordering && use.reader >= 0 && value(use.reader).kind == ValueKind::elementwise) continue;
      Fit f = inlined ? Fit{} : fit(v, use);
      int& at = candidate_of_[size_t(u)];
      if (at < 0) {
        at = int(candidates.size());
        candidates.push_back({u, f, f.why, {}});
      } else if (Candidate& c = candidates[size_t(at)]; f.why != Apart::no) {
        c.why = f.why;
      } else if (c.why == Apart::no && (f.space != c.fit.space || f.lift != c.fit.lift)) {
        c.why = Apart::places;
      }
      candidates[size_t(at)].uses.push_back(int(n));
      if (seams_) candidates[size_t(at)].readers.push_back(use.reader);
    }
    for (const Candidate& c : candidates) candidate_of_[size_t(c.unit)] = -1;
    return candidates;
  }

  void place(int v) {
    std::vector<Candidate> candidates = candidates_of(v);
    if (out_.inlined[size_t(v)] && candidates.empty() && !uses_.result(v)) return;
    int floor = 0;
    for (const Candidate& c : candidates)
      if (c.why != Apart::no) floor = std::max(floor, units_[c.unit].stage + 1);
    // Join the users that can be brought to one stage; the others read from memory and must come later than v.
    int stage = floor;
    for (const Candidate& c : candidates) stage = std::max(stage, units_[c.unit].stage);
    int joined = -1;
    Fit how;
    for (Candidate& c : candidates) {
      if (c.why != Apart::no) continue;
      int u = units_.find(c.unit);
      if (u == joined) continue;
      if (joined >= 0) {
        bool elsewhere = c.fit.space != how.space || c.fit.lift || how.lift;
        c.why = elsewhere ? Apart::places : units_.compatible(joined, u, v);
        if (c.why != Apart::no) continue;
      }
      c.why = units_.raise(u, stage);
      if (c.why != Apart::no) continue;
      if (joined < 0) {
        how = c.fit;
        joined = u;
        if (how.lift)
          lift(u, how);
        else if (how.cols >= 0)
          units_[u].cols = how.cols;
      } else {
        joined = units_.merge(joined, u);
        if (c.fit.cols >= 0) units_[joined].cols = c.fit.cols;
      }
    }
    if (joined >= 0 && floor == 0 && candidates.size() > 1 && !uses_.result(v)) repeat_far(v, joined, candidates);
    // Users at the same stage that were not joined would read v from memory: v must then lie above them.
    bool above = false;
    int higher = stage;
    for (const Candidate& c : candidates) {
      int u = units_.find(c.unit);
      if (u == joined) continue;
      above |= units_[u].stage >= stage;
      higher = std::max(higher, units_[u].stage + 1);
    }
    if (above) {
      if (Apart why = joined >= 0 ? units_.raise(joined, higher) : Apart::no; why != Apart::no) {
        for (Candidate& c : candidates)
          if (units_.find(c.unit) == joined) c.why = why;
        joined = -1;
      }
      stage = higher;
      if (joined < 0)
        for (const Candidate& c : candidates) stage = std::max(stage, units_[units_.find(c.unit)].stage + 1);
    }
    for (const Candidate& c : candidates)
      for (int reader : c.readers) note(v, reader, c.why);
    if (joined >= 0) {
      units_.join(v, joined);
      out_.space_of[size_t(v)] = how.space;
      units_.put(v, joined);
      return;
    }
    const Value& val = value(v);
    Unit unit;
    unit.stage = stage;
    unit.size = val.size();
    if (val.kind == ValueKind::reduce) {
      const ReduceForm& form = uses_.form(v);
      unit.size = form.kept * form.reduced;
      unit.cols = form.by_column ? form.kept / form.bands : form.reduced;
      out_.space_of[size_t(v)] = Space::row;
    }
    int u = units_.add(std::move(unit));
    units_.join(v, u);
    if (val.kind == ValueKind::reduce && uses_.form(v).by_column) {
      units_[u].by_column = true;
      units_[u].bands = uses_.form(v).bands;
      units_[u].by_row = false;
    }
    units_.put(v, u);
  }

  // Whether v has a far reader of its own, and so was taken to be in memory when others were repeated beside theirs.
  // Else each value of a long chain, all of which are read again later, would be computed from the first in each unit.
  template <class F>
  bool counts_on(int v, const std::vector<Candidate>& candidates, F&& far) {
    bool own = false;
    int counting = 0;
    for (const Candidate& c : candidates) {
      if (!far(c)) continue;
      const bool copies = std::all_of(c.uses.begin(), c.uses.end(),
                                      [&](int n) { return uses_.of(v)[size_t(n)].reader >= first_copy_; });
      counting += copies;
      own = own || !copies;
    }
    return own && counting > kMaxCounting;
  }

  // Users too far away to join compute v again if that costs them no more memory traffic than loading it. Those that
  // come next leave its memory free for their result: where arithmetic does not wait for memory, as it does on a GPU,
  // they had rather load what is dear.
  void repeat_far(int v, int joined, std::vector<Candidate>& candidates) {
    auto far = [&](const Candidate& c) { return units_.find(c.unit) != joined && !c.fit.lift; };
    auto full = [&](const Candidate& c) { return far(c) && units_.allows(v, units_.find(c.unit)) != Apart::no; };
    if (std::any_of(candidates.begin(), candidates.end(), full)) return;
    if (std::none_of(candidates.begin(), candidates.end(), far)) return;
    if (counts_on(v, candidates, far)) return;
    const bool cheap = value(v).device.kind != DeviceKind::gpu &&
                       std::all_of(candidates.begin(), candidates.end(), [&](const Candidate& c) {
                         return !far(c) || units_[joined].stage - units_[units_.find(c.unit)].stage <= kNext;
                       });
    if (!repeatable(ir_, uses_, units_, out_, v, joined, cheap)) return;
    std::vector<char> moved(uses_.of(v).size(), 0);
    for (const Candidate& c : candidates) {
      if (!far(c)) continue;
      int u = units_.find(c.unit);
      repeat(ir_, uses_, units_, out_, v, u, c.fit.space, {c.uses.data(), c.uses.size()});
      if (c.fit.cols >= 0) units_[u].cols = c.fit.cols;
      for (int n : c.uses) moved[size_t(n)] = 1;
    }
    std::vector<Use> kept;
    for (size_t n = 0; n < moved.size(); ++n)
      if (!moved[n]) kept.push_back(std::move(uses_.of(v)[n]));
    uses_.of(v) = std::move(kept);
    std::erase_if(candidates, far);
  }

  // Units over the same elements that load the same array become one, where nothing stands between them.
  void join_siblings() {
    for (size_t v = 0; v < ir_.values.size(); ++v) {
      const std::vector<Use>& uses = uses_.of(int(v));
      if (uses.size() < 2 || uses.size() > kMaxSiblings || !uses_.needed(int(v))) continue;
      int64_t size = value(int(v)).size();
      if (size < 2) continue;
      int top = -1, first = -1;
      for (const Use& use : uses) {
        int u = units_.of_reader(use);
        if (u < 0 || use.ordering || use.reader < 0 || units_[u].size != size || u == top) continue;
        if (top < 0) {
          top = u;
          first = use.reader;
          continue;
        }
        int high = top, low = u;
        if (units_[low].stage > units_[high].stage) std::swap(high, low);
        Apart why = units_.compatible(high, low);
        if (why == Apart::no) why = units_.raise(low, units_[high].stage);
        if (why != Apart::no && seams_) seams_->push_back({first, use.reader, why, true});
        if (high != top && why != Apart::no) first = use.reader;
        top = why == Apart::no ? units_.merge(high, low) : high;
      }
    }
  }

  // Rows and columns of every unit, for good.
  void finish_rows(Unit& unit) {
    unit.rows = 1;
    if (unit.cols < 0)
      unit.cols = unit.size;
    else if (unit.cols > 0)
      unit.rows = unit.size / unit.cols;
    else  // without elements: what its reductions leave
      for (int m : unit.members)
        if (value(m).kind == ValueKind::reduce && !uses_.form(m).by_column) unit.rows = uses_.form(m).kept;
  }

  void finish() {
    std::vector<int> order = creation_order();
    std::vector<int> renamed(units_.size(), -1);
    for (int v : order) {
      int u = units_.of(v);
      if (u < 0) continue;
      if (renamed[size_t(u)] < 0) {
        renamed[size_t(u)] = int(out_.units.size());
        out_.units.push_back(std::move(units_[u]));
        if (out_.units.back().operation < 0) out_.units.back().members.clear();
      }
      int r = renamed[size_t(u)];
      Unit& unit = out_.units[size_t(r)];
      if (unit.operation < 0) unit.members.push_back(v);
      unit.sequence = std::max(unit.sequence, value(v).sequence);
      out_.unit_of[size_t(v)] = r;
    }
    for (Unit& unit : out_.units)
      if (unit.operation < 0) finish_rows(unit);
    for (size_t v = 0; v < ir_.values.size(); ++v) {
      int mine = out_.unit_of[v];
      if (mine < 0) continue;
      bool operation = out_.units[size_t(mine)].operation >= 0;
      out_.stored[v] = operation || uses_.result(int(v));
      for (const Use& use : uses_.of(int(v))) {
        if (use.ordering) continue;
        bool repeats = out_.inlined[v] && use.reader >= 0 && value(use.reader).kind == ValueKind::elementwise;
        int reader = use.reader < 0 ? -2 : out_.unit_of[size_t(use.reader)];
        if (!repeats && reader != mine && reader != -1) out_.stored[v] = 1;
        if (!repeats && reader != mine && (use.reader < 0 || reader >= 0)) add_seam(int(v), use.reader);
        if (use.reader >= 0 && reader == -1 && !out_.inlined[v]) out_.stored[v] = 1;
      }
    }
    for (size_t v = 0; v < ir_.values.size(); ++v)
      if (value(int(v)).kind == ValueKind::reduce && out_.unit_of[v] >= 0)
        out_.forms.emplace(int(v), uses_.form(int(v)));
  }

  // ---- for people

  void note(int v, int reader, Apart why) {
    if (seams_) why_[{v, reader}] = why;
  }
  void add_seam(int v, int reader) {
    if (!seams_) return;
    auto known = why_.find({v, reader});
    if (known != why_.end()) seams_->push_back({v, reader, known->second});
  }

  Ir& ir_;
  bool enabled_;
  Seams* seams_;                              // null: nobody asks
  int first_copy_;                            // values from there on are made by `repeat`
  std::map<std::pair<int, int>, Apart> why_;  // by value and reader
  Partition out_;
  Uses uses_;
  Units units_;
  std::vector<int> candidate_of_;  // unit -> its number among the candidates at hand, or -1
};

}  // namespace

Partition fuse(Ir& ir, bool enabled, Seams* seams) { return Fuser(ir, enabled, seams).run(); }

}  // namespace funcnn
