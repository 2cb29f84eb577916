#include "backends/cpu/jit/segments.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "backends/cpu/jit/functions.h"
#include "base/error.h"

namespace funcnn::cpu::jit {
namespace {

class Builder {
 public:
  Builder(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths, const Target& target,
          bool wide)
      : routine_(routine), code_(code), paths_(paths), target_(target) {
    segment_.loop.wide = wide;
  }

  // Takes steps from `first` on for as long as it knows them. Where all are about rows, a row is an element.
  Segment run(size_t first) {
    const std::vector<Step>& steps = code_.steps;
    size_t rows = first;
    while (rows < steps.size() && steps[rows].space == Space::row) ++rows;
    segment_.of_rows = rows == steps.size() || rows == first ? rows > first : false;
    Segment out = take(first, segment_.of_rows ? rows : steps.size());
    const bool only_rows = out.count && first + out.count <= rows;
    if (!only_rows || segment_.of_rows) return out;
    Builder again(routine_, code_, paths_, target_, out.loop.wide);
    again.segment_.of_rows = true;
    return again.take(first, rows);
  }

 private:
  struct Written {
    int slot = -1, node = -1;
  };

  Segment take(size_t first, size_t end) {
    segment_.first = first;
    new_stage();
    for (at_ = first; at_ < end; ++at_) {
      const Step& s = code_.steps[at_];
      if (comes_before(s)) {
        segment_.before.push_back(at_);
        continue;
      }
      if (needs_new_stage(s)) new_stage();
      if (!add(s)) break;
      elements_ = elements_ || s.space == Space::element;
      works_ = works_ || s.kind != Step::reduce_col;
    }
    segment_.count = at_ - first;
    if (!works_) segment_.count = 0;
    store_what_is_read();
    drop_idle_stages();
    for (size_t s = 0; s < segment_.places.size(); ++s) {
      const Place& place = segment_.places[s];
      if (place.written && (place.kind != Place::slot || !in_tile(place.number) || read_later(place_of(place.number))))
        segment_.results.push_back(int(s));
    }
    share_rows();
    number_rows();
    segment_.parts_are_rows = parts_are_rows();
    const std::span<const Step> steps(code_.steps);
    segment_.narrow =
        std::ranges::all_of(steps.subspan(first, segment_.count), [&](const Step& s) { return packs(s); });
    return segment_;
  }
  // Whether the table's loop has full vectors of elements below the size of lanes.
  bool packs(const Step& s) const {
    auto packed = [](Dtype d) { return item_size(d) <= 2 && !is_half(d); };
    bool all = !s.by_row;
    for_slots(s, [&](int number) { all = all && packed(slot(number).dtype); });
    switch (s.kind) {
      case Step::load:
      case Step::store:
        return all && packed(paths_[size_t(s.path)].memory()) && paths_[size_t(s.path)].lies_densely();
      case Step::compute:
        return all && s.op != int(Opcode::left_shift) && packed(slot(s.out).dtype);
      case Step::expand:
        return all;
      default:
        return false;
    }
  }
  // What only passes values from stage to stage is a row, the same for all.
  void share_rows() {
    for (size_t s = 0; s < segment_.places.size(); ++s) {
      const Place& place = segment_.places[s];
      if (place.kind != Place::slot || slot(place.number).kind != Slot::element_register) continue;
      const bool within = !comes_in_.contains(place_of(place.number)) && !read_later(place_of(place.number));
      if (within)
        segment_.loop.streams[s].walk = Walk::column;
      else
        segment_.fills_tile = true;
    }
  }
  void drop_idle_stages() {
    std::vector<Stage>& stages = segment_.loop.stages;
    auto idle = [](const Stage& stage) {
      return std::none_of(stage.line.nodes.begin(), stage.line.nodes.end(),
                          [](const Node& n) { return is_result(n.what); });
    };
    while (stages.size() > 1 && idle(stages.back())) stages.pop_back();
  }
  bool in_tile(int number) const {
    return slot(number).kind == Slot::element_register || slot(number).kind == Slot::row_register;
  }

  // Earlier steps are over for a whole row before later ones begin.
  void new_stage() {
    std::vector<Stage>& stages = segment_.loop.stages;
    if (!stages.empty()) store_what_is_read();
    if (stages.empty() || !stages.back().line.nodes.empty()) stages.emplace_back();
    stages.back().line.halves = target_.halves;
    stages.back().line.wide = segment_.loop.wide;
    values_.clear();
    results_.clear();
    read_for_elements_.clear();
    elements_ = false;
  }
  // Whether the tile can be filled before the segment runs: a load that is none of its own, into a register that no
  // step before has touched.
  bool comes_before(const Step& s) const {
    if (s.kind != Step::load || knows(s)) return false;
    const int64_t place = place_of(s.out);
    return !written_.contains(place) && !comes_in_.contains(place);
  }
  bool needs_new_stage(const Step& s) const {
    if (segment_.of_rows) return false;
    bool needs = false;
    for_slots(s, [&](int number) { needs = needs || results_.contains(place_of(number)); });
    const bool folds = s.kind == Step::reduce_row || s.kind == Step::sum_squares;
    if (folds && int(stage().folds.size()) >= target_.most_folds) needs = true;
    // What is about the row comes first in a stage: it must not change what elements have yet to read.
    if (s.space == Space::row && elements_) {
      const bool writes = s.kind != Step::store;
      if (!writes || read_for_elements_.contains(place_of(s.out))) needs = true;
    }
    return needs;
  }
  // The slots that a step reads.
  template <class F>
  static void for_slots(const Step& s, F&& f) {
    switch (s.kind) {
      case Step::compute:
        f(s.a);
        if (s.arity > 1) f(s.b);
        if (s.arity > 2) f(s.c);
        break;
      case Step::sum_squares:
        f(s.a);
        if (s.arity == 2) f(s.b);
        break;
      case Step::expand:
      case Step::store:
      case Step::reduce_row:
      case Step::reduce_col:
        f(s.a);
        break;
      case Step::load:
      case Step::index:
        break;
    }
  }
  Stage& stage() { return segment_.loop.stages.back(); }
  const Stage& stage() const { return segment_.loop.stages.back(); }

  bool in_lanes(Dtype d) const {
    const bool wide = segment_.loop.wide;
    return d == Dtype::bool_ || (d != Dtype::complex64 && (item_size(d) == 8) == wide);
  }
  // Whether memory holds whole lanes, so that one value can be repeated.
  bool whole_lane(Dtype d) const { return item_size(d) == (segment_.loop.wide ? 8 : 4); }

  const Slot& slot(int number) const { return routine_.slots[size_t(number)]; }
  // What a slot is: those of one register are one place.
  int64_t place_of(int number) const {
    const Slot& s = slot(number);
    if (s.kind == Slot::element_register) return 2 * s.offset;
    if (s.kind == Slot::row_register) return 2 * s.offset + 1;
    return -1 - number;
  }
  bool of_rows() const { return segment_.of_rows; }
  // Where values of a space are walked.
  Walk walk_of(Space space) const { return space == Space::row && !of_rows() ? Walk::row : Walk::element; }
  Walk walk_of(int number) const {
    switch (slot(number).kind) {
      case Slot::element_register:
      case Slot::element_memory:
        return Walk::element;
      case Slot::column_memory:
        return Walk::column;
      case Slot::row_register:
      case Slot::row_memory:
      case Slot::run_row:
        return of_rows() ? Walk::element : Walk::row;
      default:
        return Walk::scalar;
    }
  }

  int stream(Place place, Walk walk, Dtype memory, bool anywhere = false) {
    std::vector<Place>& places = segment_.places;
    const bool operand =
        place.kind == Place::path || (place.kind == Place::slot && slot(place.number).kind == Slot::element_memory);
    const Stream wanted{walk, memory, anywhere, operand};
    for (size_t s = 0; s < places.size(); ++s)
      if (places[s] == place && segment_.loop.streams[s] == wanted) return int(s);
    places.push_back(place);
    segment_.loop.streams.push_back(wanted);
    return int(places.size()) - 1;
  }
  bool room(int streams) const { return int(segment_.places.size()) + streams <= kMostStreams - 12; }

  int load(Place place, Walk walk, Dtype memory, bool anywhere = false) {
    const int s = stream(place, walk, memory, anywhere);
    if (memory == Dtype::bool_) return line().make({.what = Do::mask_of_load, .stream = s});
    const bool one = walk == Walk::row || walk == Walk::scalar;
    return line().make({.what = one ? Do::uniform : Do::load, .stream = s});
  }
  // Whether there is code for that: one value is stored as it lies in a lane.
  bool storable(Walk walk, Dtype memory) const {
    return walk != Walk::row || whole_lane(memory) || memory == Dtype::bool_;
  }
  bool store(Place place, Walk walk, Dtype memory, int node, bool anywhere = false) {
    if (!storable(walk, memory)) return false;
    if (memory == Dtype::bfloat16 && !is_brain(node, 8)) {
      // Memory takes the upper half of a lane: nobody has to clear the other one.
      node = line().nodes[size_t(record_cast(line(), Dtype::bfloat16, Dtype::float32, node))].a;
    }
    if (node < 0) return false;
    place.written = true;
    const int s = stream(place, walk, memory, anywhere);
    line().make({.what = memory == Dtype::bool_ ? Do::mask_store : Do::store, .a = node, .stream = s});
    return true;
  }
  // Whether the lower half of each lane is known to be zero, looking `depth` operations back: moves, signs and choices
  // of bfloat16 need no rounding.
  bool is_brain(int node, int depth) const {
    if (node < 0 || depth == 0) return false;
    const Node& n = stage().line.nodes[size_t(node)];
    const auto both = [&](int a, int b) { return is_brain(a, depth - 1) && is_brain(b, depth - 1); };
    switch (n.what) {
      case Do::constant:
        return (n.bits & 0xffffu) == 0;
      case Do::load:
        return segment_.loop.streams[size_t(n.stream)].memory == Dtype::bfloat16;
      case Do::bit_and:
        return is_brain(n.a, depth - 1) || is_brain(n.b, depth - 1);
      case Do::bit_or:
      case Do::bit_xor:
      case Do::least:
      case Do::greatest:
        return both(n.a, n.b);
      case Do::select:
        return both(n.b, n.c);
      default:
        return false;
    }
  }
  Line& line() { return stage().line; }

  // The value of a slot, or -1.
  int read(int number) {
    if (auto it = values_.find(place_of(number)); it != values_.end()) return it->second.node;
    const Dtype dtype = slot(number).dtype;
    if (!in_lanes(dtype) || !room(1)) return -1;
    const Walk walk = walk_of(number);
    if (walk >= Walk::row && !whole_lane(dtype) && dtype != Dtype::bool_) return -1;
    if (!written_.contains(place_of(number))) comes_in_.insert(place_of(number));
    if (in_tile(number)) items_[place_of(number)] = item_size(dtype);
    if (walk == Walk::row) read_for_elements_.insert(place_of(number));
    return load({Place::slot, number}, walk, dtype);
  }
  // A register whose memory holds items of another size: elements would overwrite others yet to be read, or rows those
  // of other rows.
  bool in_the_way(int number) const {
    auto it = items_.find(place_of(number));
    return it != items_.end() && it->second != item_size(slot(number).dtype);
  }
  bool write(int number, int node) {
    // Later steps may want what is in a register to lie in its memory.
    if (node < 0 || in_the_way(number) || !storable(walk_of(number), slot(number).dtype)) return false;
    values_[place_of(number)] = {number, node};
    written_.insert(place_of(number));
    if (in_tile(number)) return true;
    return store({Place::slot, number}, walk_of(number), slot(number).dtype, node);
  }

  bool add(const Step& s) {
    if (!room(4)) return false;
    switch (s.kind) {
      case Step::compute:
        return s.arity ? compute(s) : cast(s);
      case Step::expand:
        return in_lanes(slot(s.out).dtype) && write(s.out, read(s.a));
      case Step::load:
        return load_path(s);
      case Step::store:
        return store_path(s);
      case Step::reduce_row:
      case Step::sum_squares:
        return fold(s);
      case Step::index:
        return index(s);
      case Step::reduce_col:
        return reduce_columns(s);
    }
    return false;
  }

  bool compute(const Step& s) {
    if (!in_lanes(s.dtype) || !in_lanes(slot(s.out).dtype)) return false;
    const int slots[] = {s.a, s.b, s.c};
    int args[3] = {-1, -1, -1};
    for (int k = 0; k < s.arity; ++k)
      if ((args[k] = read(slots[k])) < 0) return false;
    const int node = record(line(), s.op, s.dtype, std::span(args, size_t(s.arity)));
    if (s.op == simd::kDivideRow && segment_.loop.flag < 0)
      segment_.loop.flag = stream({Place::flag}, Walk::scalar, Dtype::bool_);
    return write(s.out, node);
  }
  bool cast(const Step& s) {
    const Dtype to = slot(s.out).dtype, from = slot(s.a).dtype;
    if (!in_lanes(to) || !in_lanes(from)) return false;
    const int value = read(s.a);
    return value >= 0 && write(s.out, record_cast(line(), to, from, value));
  }

  // The number of the first element of the row, and that of the element in it.
  bool index(const Step& s) {
    const Dtype to = slot(s.out).dtype;
    const bool wide = segment_.loop.wide;
    if (!target_.indices || of_rows() || !in_lanes(to) || is_complex(to) || to == Dtype::float64) return false;
    const Dtype number = wide ? Dtype::int64 : Dtype::int32;
    const int first = load({Place::index}, Walk::scalar, number);
    const int n = line().make({.what = Do::int_add, .a = first, .b = line().make({.what = Do::index})});
    segment_.numbers_floats = segment_.numbers_floats || to == Dtype::float32;
    return write(s.out, wide ? n : record_cast(line(), to, number, n));
  }
  bool parts_are_rows() const {
    for (size_t s = 0; s < segment_.places.size(); ++s) {
      const Place& place = segment_.places[s];
      const Walk walk = segment_.loop.streams[s].walk;
      const bool in_row = walk == Walk::element || walk == Walk::scalar;
      if (!in_row && place.kind != Place::partial && place.kind != Place::index) return false;
    }
    return true;
  }
  // A tile that is not gone over by rows is one.
  void number_rows() {
    if (!segment_.loop.by_rows()) return;
    for (size_t s = 0; s < segment_.places.size(); ++s)
      if (segment_.places[s].kind == Place::index) segment_.loop.streams[s].walk = Walk::row;
  }

  // Whether memory is walked as the generator can: densely, or row by row.
  bool knows(const Step& s) const {
    return paths_[size_t(s.path)].lies_densely() || (s.in_rows && target_.tables && !of_rows());
  }
  bool load_path(const Step& s) {
    const AccessPath& path = paths_[size_t(s.path)];
    const Dtype to = slot(s.out).dtype, from = path.memory();
    if (!knows(s) || !in_lanes(to) || !in_lanes(from)) return false;
    // A line holds 16-bit floats as the float32 they are.
    const Walk walk = walk_of(s.space);
    if (walk == Walk::row && !whole_lane(from) && from != Dtype::bool_) return false;
    const int value = load({Place::path, s.path, s.space == Space::row}, walk, from, !path.lies_densely());
    return write(s.out, is_half(from) && to == Dtype::float32 ? value : record_cast(line(), to, from, value));
  }
  bool store_path(const Step& s) {
    const AccessPath& path = paths_[size_t(s.path)];
    const Dtype from = slot(s.a).dtype, to = path.memory();
    if (!knows(s) || !in_lanes(to) || !in_lanes(from)) return false;
    int value = read(s.a);
    if (value < 0) return false;
    if (!(from == Dtype::float32 && is_half(to))) value = record_cast(line(), to, from, value);
    if (value < 0) return false;
    return store({Place::path, s.path, s.space == Space::row}, walk_of(s.space), to, value, !path.lies_densely());
  }

  bool fold(const Step& s) {
    std::vector<Fold>& folds = stage().folds;
    const Dtype dtype = slot(s.a).dtype;
    if (of_rows() || (s.reduction < 0 && in_the_way(s.out))) return false;
    if (!in_lanes(dtype) || !whole_lane(dtype)) return false;
    if (s.reduce == ReduceOp::all || s.reduce == ReduceOp::any) return false;
    int value = read(s.a);
    if (value < 0) return false;
    const bool squares = s.kind == Step::sum_squares;
    if (squares && s.arity == 2) {
      const int shift = read(s.b);
      if (shift < 0) return false;
      value = line().make({.what = Do::subtract, .a = value, .b = shift});
    }
    const Place place =
        s.reduction < 0 ? Place{Place::slot, s.out, false, true} : Place{Place::partial, s.reduction, false, true};
    folds.push_back({s.reduce, squares, dtype, stream(place, Walk::row, dtype)});
    line().make({.what = Do::reduce, .a = value, .stream = int(folds.size()) - 1});
    if (s.reduction < 0) {
      items_[place_of(s.out)] = item_size(dtype);
      results_.insert(place_of(s.out));
      written_.insert(place_of(s.out));
      values_.erase(place_of(s.out));
    }
    return true;
  }

  // Those that nothing follows find their elements in registers of the tile.
  bool reduce_columns(const Step& s) {
    const std::vector<Step>& steps = code_.steps;
    const Dtype dtype = slot(s.a).dtype;
    const bool last = std::all_of(steps.begin() + ptrdiff_t(at_), steps.end(),
                                  [](const Step& later) { return later.kind == Step::reduce_col; });
    if (last || of_rows() || !in_lanes(dtype)) return false;
    const int value = read(s.a);
    const Place place{Place::column, int(segment_.columns.size()), false, true};
    if (value < 0 || !store(place, Walk::element, dtype, value)) return false;
    segment_.columns.push_back({int(segment_.places.size()) - 1, s.reduction, s.col_fn, s.item});
    return true;
  }

  // Values that steps from at_ on take from registers of the tile.
  void store_what_is_read() {
    for (const auto& [place, value] : values_) {
      if (!in_tile(value.slot) || !read_later(place)) continue;
      items_[place] = item_size(slot(value.slot).dtype);
      if (!store({Place::slot, value.slot}, walk_of(value.slot), slot(value.slot).dtype, value.node))
        throw Error("machine code cannot store what it computes");
    }
  }
  bool read_later(int64_t place) const {
    for (size_t i = at_; i < code_.steps.size(); ++i) {
      const Step& s = code_.steps[i];
      bool reads = false;
      for_slots(s, [&](int number) { reads = reads || place_of(number) == place; });
      if (reads) return true;
      const bool writes = s.kind != Step::store && s.kind != Step::reduce_col && s.reduction < 0;
      if (writes && place_of(s.out) == place) return false;
    }
    return false;
  }

  const Routine& routine_;
  const Code& code_;
  const std::vector<AccessPath>& paths_;
  const Target& target_;
  Segment segment_;
  size_t at_ = 0;  // the step
  // By place:
  std::set<int64_t> written_, comes_in_;
  std::map<int64_t, size_t> items_;  // bytes of an item in the memory of a register
  // Of this stage, by place:
  std::map<int64_t, Written> values_;
  std::set<int64_t> results_;            // of folds, known at the end of the row
  std::set<int64_t> read_for_elements_;  // by row
  bool elements_ = false;                // whether steps are about elements
  bool works_ = false;                   // in the segment: whether it is worth code
};

}  // namespace

std::vector<Segment> find_segments(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths,
                                   const Target& target) {
  std::vector<Segment> out;
  for (size_t at = size_t(code.kept); at < code.steps.size();) {
    Segment s = Builder(routine, code, paths, target, false).run(at);
    if (s.count == 0) s = Builder(routine, code, paths, target, true).run(at);
    if (s.count == 0) {
      ++at;
      continue;
    }
    at += s.count;
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace funcnn::cpu::jit
