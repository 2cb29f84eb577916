#include "backends/cpu/jit/segments.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <span>
#include <unordered_map>

#include "backends/cpu/jit/functions.h"

namespace funcnn::cpu::jit {
namespace {

class Builder {
 public:
  Builder(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths, bool scales, int most_folds,
          bool wide)
      : routine_(routine), code_(code), paths_(paths), most_folds_(most_folds) {
    segment_.loop.line.scales = scales;
    segment_.loop.line.wide = wide;
  }

  // Takes steps from `first` on for as long as it knows them.
  Segment run(size_t first) {
    const std::vector<Step>& steps = code_.steps;
    segment_.first = first;
    segment_.space = steps[first].space;
    size_t at = first;
    for (; at < steps.size() && steps[at].space == segment_.space; ++at)
      if (!add(steps[at])) break;
    segment_.count = at - first;
    if (segment_.count) store_what_is_read(at);
    return std::move(segment_);
  }

 private:
  struct Written {
    int slot = -1, node = -1;
  };

  bool in_lanes(Dtype d) const {
    const bool wide = segment_.loop.line.wide;
    return d == Dtype::bool_ || (d != Dtype::complex64 && (item_size(d) == 8) == wide);
  }
  // Whether memory holds whole lanes, so that one value can be repeated.
  bool whole_lane(Dtype d) const { return item_size(d) == (segment_.loop.line.wide ? 8 : 4); }

  const Slot& slot(int number) const { return routine_.slots[size_t(number)]; }
  // What a slot is: those of one register are one place.
  int64_t place_of(int number) const {
    const Slot& s = slot(number);
    if (s.kind == Slot::element_register) return 2 * s.offset;
    if (s.kind == Slot::row_register) return 2 * s.offset + 1;
    return -1 - number;
  }
  bool of_rows() const { return segment_.space == Space::row; }
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

  int stream(Place place, Walk walk, Dtype memory) {
    std::vector<Place>& places = segment_.places;
    for (size_t s = 0; s < places.size(); ++s)
      if (places[s] == place && segment_.loop.streams[s] == Stream{walk, memory}) return int(s);
    places.push_back(place);
    segment_.loop.streams.push_back({walk, memory});
    return int(places.size()) - 1;
  }
  bool room(int streams) const { return int(segment_.places.size()) + streams <= kMostStreams - 12; }

  int load(Place place, Walk walk, Dtype memory) {
    const int s = stream(place, walk, memory);
    if (memory == Dtype::bool_) return line().make({.what = Do::mask_of_load, .stream = s});
    const bool one = walk == Walk::row || walk == Walk::scalar;
    return line().make({.what = one ? Do::uniform : Do::load, .stream = s});
  }
  bool store(Place place, Dtype memory, int node) {
    if (memory == Dtype::bfloat16) node = record_cast(line(), Dtype::bfloat16, Dtype::float32, node);
    if (node < 0) return false;
    place.written = true;
    const int s = stream(place, Walk::element, memory);
    line().make({.what = memory == Dtype::bool_ ? Do::mask_store : Do::store, .a = node, .stream = s});
    return true;
  }
  Line& line() { return segment_.loop.line; }

  // The value of a slot, or -1.
  int read(int number) {
    if (auto it = values_.find(place_of(number)); it != values_.end()) return it->second.node;
    const Dtype dtype = slot(number).dtype;
    if (!in_lanes(dtype) || !room(1)) return -1;
    const Walk walk = walk_of(number);
    if (walk >= Walk::row && !whole_lane(dtype) && dtype != Dtype::bool_) return -1;
    if (results_.contains(place_of(number))) return -1;  // known at the end of the row
    return load({Place::slot, number}, walk, dtype);
  }
  bool write(int number, int node) {
    if (node < 0) return false;
    values_[place_of(number)] = {number, node};
    const Slot& s = slot(number);
    if (s.kind != Slot::element_register && s.kind != Slot::row_register)
      store({Place::slot, number}, s.dtype, node);
    return true;
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
      default:
        return false;
    }
  }

  bool compute(const Step& s) {
    if (!in_lanes(s.dtype) || !in_lanes(slot(s.out).dtype)) return false;
    const int slots[] = {s.a, s.b, s.c};
    int args[3] = {-1, -1, -1};
    for (int k = 0; k < s.arity; ++k)
      if ((args[k] = read(slots[k])) < 0) return false;
    if (s.op == simd::kDivideRow) {
      const bool wide = line().wide;
      const uint64_t bits = wide ? std::bit_cast<uint64_t>(1.0) : std::bit_cast<uint32_t>(1.0f);
      const int one = line().make({.what = Do::constant, .bits = bits});
      const int reciprocal = line().make({.what = Do::divide, .a = one, .b = args[1]});
      segment_.divisors.push_back(s.b);
      return write(s.out, line().make({.what = Do::multiply, .a = args[0], .b = reciprocal}));
    }
    return write(s.out, record(line(), s.op, s.dtype, std::span(args, size_t(s.arity))));
  }
  bool cast(const Step& s) {
    const Dtype to = slot(s.out).dtype, from = slot(s.a).dtype;
    if (!in_lanes(to) || !in_lanes(from)) return false;
    const int value = read(s.a);
    return value >= 0 && write(s.out, record_cast(line(), to, from, value));
  }

  bool load_path(const Step& s) {
    const AccessPath& path = paths_[size_t(s.path)];
    const Dtype to = slot(s.out).dtype, from = path.memory();
    if (!path.lies_densely() || !in_lanes(to) || !in_lanes(from)) return false;
    // A line holds 16-bit floats as the float32 they are.
    const int value = load({Place::path, s.path}, Walk::element, from);
    return write(s.out, is_half(from) && to == Dtype::float32 ? value : record_cast(line(), to, from, value));
  }
  bool store_path(const Step& s) {
    const AccessPath& path = paths_[size_t(s.path)];
    const Dtype from = slot(s.a).dtype, to = path.memory();
    if (!path.lies_densely() || !in_lanes(to) || !in_lanes(from)) return false;
    int value = read(s.a);
    if (value < 0) return false;
    if (!(from == Dtype::float32 && is_half(to))) value = record_cast(line(), to, from, value);
    if (value < 0) return false;
    return store({Place::path, s.path}, to, value);
  }

  bool fold(const Step& s) {
    std::vector<Fold>& folds = segment_.loop.folds;
    const Dtype dtype = slot(s.a).dtype;
    if (of_rows() || int(folds.size()) >= most_folds_) return false;
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
    const Place place = s.reduction < 0 ? Place{Place::slot, s.out, true} : Place{Place::partial, s.reduction, true};
    folds.push_back({s.reduce, squares, dtype, stream(place, Walk::row, dtype)});
    line().make({.what = Do::reduce, .a = value, .stream = int(folds.size()) - 1});
    if (s.reduction < 0) results_[place_of(s.out)] = s.out, values_.erase(place_of(s.out));
    return true;
  }

  // Values that later steps take from registers of the tile.
  void store_what_is_read(size_t end) {
    for (const auto& [place, value] : values_) {
      const Slot& s = slot(value.slot);
      if (s.kind != Slot::element_register && s.kind != Slot::row_register) continue;
      if (read_later(place, end)) store({Place::slot, value.slot}, s.dtype, value.node);
    }
  }
  bool read_later(int64_t place, size_t from) const {
    for (size_t i = from; i < code_.steps.size(); ++i) {
      const Step& s = code_.steps[i];
      bool reads = false, writes = false;
      auto is = [&](int number) { return place_of(number) == place; };
      switch (s.kind) {
        case Step::compute:
          reads = is(s.a) || (s.arity > 1 && is(s.b)) || (s.arity > 2 && is(s.c));
          writes = is(s.out);
          break;
        case Step::expand:
          reads = is(s.a);
          writes = is(s.out);
          break;
        case Step::load:
        case Step::index:
          writes = is(s.out);
          break;
        case Step::store:
        case Step::reduce_col:
          reads = is(s.a);
          break;
        case Step::sum_squares:
        case Step::reduce_row:
          reads = is(s.a) || (s.kind == Step::sum_squares && s.arity == 2 && is(s.b));
          writes = s.reduction < 0 && is(s.out);
          break;
      }
      if (reads) return true;
      if (writes) return false;
    }
    return false;
  }

  const Routine& routine_;
  const Code& code_;
  const std::vector<AccessPath>& paths_;
  int most_folds_;
  Segment segment_;
  std::unordered_map<int64_t, Written> values_;  // by place
  std::unordered_map<int64_t, int> results_;     // of folds
};

}  // namespace

std::vector<Segment> find_segments(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths,
                                   bool scales, int most_folds) {
  std::vector<Segment> out;
  for (size_t at = size_t(code.kept); at < code.steps.size();) {
    Segment s = Builder(routine, code, paths, scales, most_folds, false).run(at);
    if (s.count == 0) s = Builder(routine, code, paths, scales, most_folds, true).run(at);
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
