#include "pytree/dict_order.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

namespace funcnn::pytree {
namespace {

// Key orders of dicts met lately, by the identity of the keys: buckets of a few, the oldest of which makes room.
struct OrderBucket {
  std::array<Ref<const DictOrder>, 4> orders;
  unsigned next = 0;
};
using OrderCache = std::array<OrderBucket, 1024>;
// Records of dicts met lately, by the text of their keys, one for each hash.
using RecordCache = std::array<Ref<const Record>, 256>;

// Emptied at exit, while destructors may still run Python code.
struct Known {
  nb::ft_mutex mutex;
  OrderCache orders;
  std::array<OrderBucket, 4> large;  // orders of more than `kMaxRemembered` keys
  RecordCache records;
  Ref<const DictOrder> last;  // of the dict of many keys that was met last
};
Known& known() {
  static Known& instance = *new Known;
  return instance;
}

// Of dicts of more keys than these, few are remembered, and none.
constexpr size_t kMaxRemembered = 1024, kMaxLarge = size_t(1) << 15;
bool has_exact_type(PyObject* object, PyTypeObject& type) { return Py_TYPE(object) == &type; }

bool is_str(const nb::object& key) { return has_exact_type(key.ptr(), PyUnicode_Type); }

// Positions of the keys in sorted order.
std::vector<uint32_t> sort_keys(const std::vector<nb::object>& keys) {
  std::vector<uint32_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = uint32_t(i);
  auto less = [&](uint32_t a, uint32_t b) { return PyUnicode_Compare(keys[a].ptr(), keys[b].ptr()) < 0; };
  if (std::all_of(keys.begin(), keys.end(), is_str)) {
    if (!std::is_sorted(order.begin(), order.end(), less)) std::sort(order.begin(), order.end(), less);
    return order;
  }
  nb::list pairs;  // sorting may run any code, so it is left to Python
  for (size_t i = 0; i < keys.size(); ++i) pairs.append(nb::make_tuple(keys[i], i));
  if (PyList_Sort(pairs.ptr()) < 0) {
    nb::python_error error;
    if (!error.matches(PyExc_TypeError)) throw error;
    std::string types;
    for (const nb::object& key : keys) {
      std::string name = nb::type_name(key.type()).c_str();
      if (types.find(name) == std::string::npos) types += (types.empty() ? "" : ", ") + name;
    }
    nb::raise_from(error, PyExc_TypeError,
                   "the keys of a dict in a tree are put in sorted order, but these cannot be sorted (their types: "
                   "%s); use keys of one type, or collections.OrderedDict, which keeps its own order",
                   types.c_str());
  }
  for (size_t i = 0; i < order.size(); ++i) order[i] = nb::cast<uint32_t>(nb::object(pairs[i][1]));
  return order;
}

// One record for all dicts of these keys, which are strings: where names are made anew for each, trees are built of the
// same few objects, and structures are equal without being compared.
Ref<const Record> shared(Ref<const Record> record) {
  uint64_t hash = 0;
  const size_t count = tuple_size(record->keys.ptr());
  for (size_t i = 0; i < count; ++i)
    hash = (hash ^ uint64_t(PyObject_Hash(tuple_item(record->keys.ptr(), i)))) * 0x9e3779b97f4a7c15ull;
  Known& g = known();
  Ref<const Record>& place = g.records[hash >> 56];
  nb::ft_lock_guard lock(g.mutex);
  bool same = place && tuple_size(place->keys.ptr()) == count;
  for (size_t i = 0; same && i < count; ++i)
    same = PyUnicode_Compare(tuple_item(place->keys.ptr(), i), tuple_item(record->keys.ptr(), i)) == 0;
  if (same) return place;
  std::swap(place, record);  // released after the lock
  return place;
}

Ref<const DictOrder> make_order(std::span<PyObject* const> borrowed) {
  auto order = make_ref<DictOrder>();
  for (PyObject* key : borrowed) order->inserted.push_back(nb::borrow(key));
  std::vector<uint32_t> sorted = sort_keys(order->inserted);
  auto record = make_ref<Record>();
  nb::object keys = owned(PyTuple_New(Py_ssize_t(sorted.size())));
  for (size_t i = 0; i < sorted.size(); ++i) {
    fill_tuple(keys.ptr(), i, nb::object(order->inserted[sorted[i]]).release().ptr());
  }
  record->keys = std::move(keys);
  record->str_keys = !sorted.empty() && std::all_of(order->inserted.begin(), order->inserted.end(), is_str);
  order->record = std::move(record);
  if (order->record->str_keys && sorted.size() <= kMaxRemembered) order->record = shared(std::move(order->record));
  if (!std::is_sorted(sorted.begin(), sorted.end())) {
    order->places.resize(sorted.size());
    for (size_t i = 0; i < sorted.size(); ++i) order->places[sorted[i]] = uint32_t(i);
    order->sorted = std::move(sorted);
  }
  return order;
}

bool same_keys(const DictOrder& order, std::span<PyObject* const> keys) {
  if (order.inserted.size() != keys.size()) return false;
  for (size_t i = 0; i < keys.size(); ++i)
    if (order.inserted[i].ptr() != keys[i]) return false;
  return true;
}

}  // namespace

Ref<const DictOrder> find_order(std::span<PyObject* const> keys) {
  if (keys.size() > kMaxLarge) return make_order(keys);
  uint64_t hash = keys.size();
  for (PyObject* key : keys) hash = (hash ^ uint64_t(reinterpret_cast<uintptr_t>(key))) * 0x9e3779b97f4a7c15ull;
  Known& g = known();
  OrderBucket& bucket = keys.size() > kMaxRemembered ? g.large[hash >> 62] : g.orders[hash >> 54];
  Ref<const DictOrder> before;  // released after the lock
  {
    nb::ft_lock_guard lock(g.mutex);
    for (const Ref<const DictOrder>& order : bucket.orders) {
      if (!order || !same_keys(*order, keys)) continue;
      if (keys.size() >= kManyKeys) {
        before = order;
        std::swap(g.last, before);
      }
      return order;
    }
  }
  Ref<const DictOrder> order = make_order(keys);
  bool plain = std::all_of(order->inserted.begin(), order->inserted.end(), [](const nb::object& key) {
    return has_exact_type(key.ptr(), PyUnicode_Type) || has_exact_type(key.ptr(), PyLong_Type);
  });
  Ref<const DictOrder> old = order;  // released after the lock
  if (plain) {
    nb::ft_lock_guard lock(g.mutex);
    std::swap(bucket.orders[bucket.next++ % bucket.orders.size()], old);
  }
  return order;
}

Ref<const DictOrder> last_order() {
  Known& g = known();
  nb::ft_lock_guard lock(g.mutex);
  return g.last;
}

void clear_cache() {
  Known& g = known();
  auto old = std::make_unique<OrderCache>();
  auto records = std::make_unique<RecordCache>();
  decltype(Known::large) large;
  Ref<const DictOrder> last;
  nb::ft_lock_guard lock(g.mutex);
  std::swap(*old, g.orders);
  std::swap(large, g.large);
  std::swap(*records, g.records);
  std::swap(last, g.last);
}

}  // namespace funcnn::pytree
