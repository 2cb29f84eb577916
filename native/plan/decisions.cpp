#include "plan/decisions.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "plan/backend.h"
#include "plan/repeat.h"

namespace funcnn {

// Walks an Ir once and adds to the key what the search will ask.
class Outline::Walk {
 public:
  Walk(const Ir& ir, Outline& out) : ir_(ir), out_(out) {}

  void run() {
    // These two are unlike all others: they have the same places everywhere.
    size(0);
    size(1);
    h_.add(uint64_t(ir_.values.size()) << 32 | ir_.operations.size());
    for (const Value& value : ir_.values) {
      // Values are numbered alike, so their inputs are named by number.
      h_.add(uint64_t(value.kind) | uint64_t(value.opcode) << 8 | uint64_t(value.reduce) << 24 |
             uint64_t(value.dtype) << 32 | uint64_t(value.inputs.size()) << 40);
      if (value.device != device_) meet(value.device);
      h_.add(uint64_t(uint32_t(size(value.size()))) << 32 | uint32_t(value.view.base));
      for (int input : value.inputs) h_.add(input);
      if (value.kind == ValueKind::elementwise)
        for (int input : value.inputs) edge(ir_.values[size_t(input)], value.shape);
      else if (value.kind == ValueKind::reduce)
        reduction(value);
      else if (value.kind == ValueKind::operation)
        h_.add(value.operation);
    }
    for (const Operation& op : ir_.operations) {
      h_.add(op.inputs);
      h_.add(op.outputs);
    }
    for (const auto& result : ir_.results) h_.add(result);
    order();
    out_.key = h_.finish();
  }

 private:
  // A size as its place. Whether it is a long row is said when it first appears.
  int size(int64_t number) {
    int& place = out_.slot(number);
    if (place < 0) {
      place = int(out_.sizes.size());
      out_.sizes.push_back(number);
      h_.add(int(number <= longest_row_) | int(number <= kLongestOnlyRow) << 1);
    }
    return place;
  }

  void meet(Device device) {
    device_ = device;
    h_.add(unsigned(device.kind) << 8 | device.index);
    if (!device.placed()) return;
    int64_t longest = backend(device).limits().longest_row;
    if (longest == longest_row_) return;
    // The sizes that are known already, by another limit.
    longest_row_ = longest;
    for (int64_t number : out_.sizes) h_.add(number <= longest);
  }

  // How a reader of this shape sees a value: flat, as one value a row, or otherwise (`reduce_form.h`).
  void edge(const Value& from, const Shape& to) {
    size_t lead = to.size() - from.shape.size();
    see(from.view, to,
        [&](size_t axis) { return axis < lead || from.shape[axis - lead] == 1 ? 0 : from.view.strides[axis - lead]; });
  }

  template <class StrideOf>
  void see(const View& view, const Shape& shape, StrideOf&& stride_of) {
    // At most two axes remain of what is flat or repeats along rows.
    int64_t lengths[2] = {1, 1}, strides[2] = {0, 0};
    int kept = view.offset == 0 ? 0 : 3;
    for (size_t axis = 0; axis < shape.size() && kept < 3; ++axis) {
      int64_t length = shape[axis];
      if (length == 1) continue;
      int64_t stride = stride_of(axis);
      if (kept == 0 || strides[kept - 1] != stride * length) {
        if (++kept == 3) break;
        lengths[kept - 1] = 1;
      }
      lengths[kept - 1] *= length;
      strides[kept - 1] = stride;
    }
    bool flat = kept == 0 || (kept == 1 && strides[0] == 1);
    int64_t rows = ir_.values[size_t(view.base)].size();
    int cols = -1;
    if (rows == 1 && kept == 1 && strides[0] == 0)
      cols = size(lengths[0]);
    else if (kept == 2 && lengths[0] == rows && strides[0] == 1 && strides[1] == 0)
      cols = size(lengths[1]);
    h_.add(cols * 2 + int(flat));
  }

  void reduction(const Value& value) {
    ReduceForm form = reduce_form(ir_, value);
    int kept = size(form.kept), reduced = size(form.reduced);
    h_.add(uint64_t(kept) << 32 | uint64_t(reduced) << 1 | uint64_t(form.by_column));
    h_.add(size(form.kept * form.reduced));
    if (form.by_column) h_.add(uint64_t(size(form.bands)) << 32 | uint32_t(size(form.kept / form.bands)));
    see(form.view, form.shape, [&](size_t axis) { return form.view.strides[axis]; });
  }

  // Values in the order of their creation, where that is not the order of their numbers.
  void order() {
    auto earlier = [](const Value& a, const Value& b) { return a.sequence < b.sequence; };
    bool sorted = std::is_sorted(ir_.values.begin(), ir_.values.end(), earlier);
    h_.add(sorted);
    if (sorted) return;
    std::vector<int> order(ir_.values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return earlier(ir_.values[size_t(a)], ir_.values[size_t(b)]); });
    for (int v : order) h_.add(v);
  }

  const Ir& ir_;
  Outline& out_;
  Hasher h_;
  Device device_;
  int64_t longest_row_ = -1;
};

Outline::Outline(const Ir& ir) : table_(64, -1) { Walk(ir, *this).run(); }

int& Outline::slot(int64_t size) {
  if (2 * (sizes.size() + 1) > table_.size()) {
    table_.assign(2 * table_.size(), -1);
    for (size_t i = 0; i < sizes.size(); ++i) slot(sizes[i]) = int(i);
  }
  size_t mask = table_.size() - 1;
  for (size_t i = size_t(uint64_t(size) * 0x9e3779b97f4a7c15ull >> 32);; ++i) {
    int& place = table_[i & mask];
    if (place < 0 || sizes[size_t(place)] == size) return place;
  }
}

int Outline::place(int64_t size) const { return const_cast<Outline*>(this)->slot(size); }

bool DecisionCache::apply(const Outline& outline, Ir& ir, Partition& partition) {
  auto found = entries_.find(outline.key);
  if (found == entries_.end()) return false;
  const Partition& known = found->second.partition;
  auto size = [&](int64_t place) { return outline.sizes[size_t(place)]; };
  for (const Comparison& c : known.comparisons)
    if (much_smaller(size(c.a), size(c.b)) != c.smaller) return false;
  recent_.splice(recent_.begin(), recent_, found->second.place);
  ++reused_;
  partition = known;
  for (const Edit& edit : partition.edits) make_edit(ir, edit);
  for (Unit& unit : partition.units) {
    if (unit.operation >= 0) continue;
    unit.size = size(unit.size);
    unit.cols = size(unit.cols);
    unit.bands = size(unit.bands);
    unit.rows = unit.cols ? unit.size / unit.cols : size(unit.rows);
  }
  for (size_t v = 0; v < ir.values.size(); ++v)
    if (ir.values[v].kind == ValueKind::reduce && partition.unit_of[v] >= 0)
      partition.forms.emplace(int(v), reduce_form(ir, ir.values[v]));
  // Sequences are not part of the key, only their order.
  for (size_t v = 0; v < ir.values.size(); ++v)
    if (int u = partition.unit_of[v]; u >= 0) {
      uint64_t& sequence = partition.units[size_t(u)].sequence;
      sequence = std::max(sequence, ir.values[v].sequence);
    }
  return true;
}

void DecisionCache::keep(const Outline& outline, Partition partition) {
  bool known = true;
  auto place = [&](int64_t& size) {
    int at = outline.place(size);
    known &= at >= 0;
    size = at;
  };
  Entry entry;
  entry.bytes = sizeof(Entry) + partition.unit_of.size() * (2 * sizeof(int) + 2) +
                partition.edits.size() * sizeof(Edit) + partition.comparisons.size() * sizeof(Comparison);
  for (Comparison& c : partition.comparisons) {
    place(c.a);
    place(c.b);
  }
  for (Unit& unit : partition.units) {
    entry.bytes += sizeof(Unit) + unit.members.size() * sizeof(int);
    unit.sequence = 0;
    if (unit.operation >= 0) {
      unit.members = {};
      continue;
    }
    place(unit.size);
    bool empty = unit.cols == 0;
    place(unit.cols);
    place(unit.bands);
    if (empty) place(unit.rows);
  }
  if (!known || entry.bytes > byte_capacity_) return;
  partition.forms = {};
  entry.partition = std::move(partition);
  auto [it, fresh] = entries_.try_emplace(outline.key);
  if (fresh) {
    recent_.push_front(outline.key);
    entry.place = recent_.begin();
  } else {
    bytes_ -= it->second.bytes;
    entry.place = it->second.place;
    recent_.splice(recent_.begin(), recent_, entry.place);
  }
  bytes_ += entry.bytes;
  it->second = std::move(entry);
  while (bytes_ > byte_capacity_) drop_oldest();
}

void DecisionCache::drop_oldest() {
  auto it = entries_.find(recent_.back());
  bytes_ -= it->second.bytes;
  entries_.erase(it);
  recent_.pop_back();
}

void DecisionCache::clear() {
  entries_.clear();
  recent_.clear();
  bytes_ = 0;
  reused_ = 0;
}

DecisionCache& decision_cache() {
  static auto* cache = new DecisionCache;
  return *cache;
}

}  // namespace funcnn
