#include "bindings/kept_arrays.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <utility>
#include <vector>

#include "graph/likeness.h"

namespace funcnn {
namespace {

struct Pair {
  PyObject* array;
  Node* node;
};

// Arrays whose nodes are of one likeness.
struct Place {
  uint32_t likeness = 0;
  std::vector<Pair> pairs;  // the last one on top
  size_t idle = 0;          // so many have not been asked for since the place was last looked at
};

// By likeness: a place has arrays for the results that were last asked for there. Under the interpreter lock.
struct Kept {
  static constexpr size_t kPlaces = 256, kMost = 32768;
  // A place is looked at every so many calls, and few of those that are idle are let go of at once.
  static constexpr uint32_t kCalls = 4 * kPlaces;
  static constexpr size_t kFewIdle = 64;

  std::array<Place, kPlaces> places;
  size_t count = 0;
  size_t most = 0;  // 0: not yet, or no longer
  size_t next = 0;  // the place to make room in
  uint32_t calls = 0;
  destructor otherwise = nullptr;
  Py_ssize_t weak_references = 0;  // where an array has them
  SharedBlock block;               // small memory that they have let go of

  Place& place_of(uint32_t likeness) { return places[likeness % kPlaces]; }
  // Objects that nanobind has are without a node, as new ones are before they get one.
  void discard(PyObject* array) {
    {
      Array last = std::move(array_of(array));
    }
    otherwise(array);
  }
  // None of these runs Python code: what is kept has no memory.
  void drop(Place& place) {
    Pair last = place.pairs.back();
    place.pairs.pop_back();
    place.idle = std::min(place.idle, place.pairs.size());
    --count;
    discard(last.array);
  }
  void drop_one() {
    for (size_t i = 0; i < kPlaces; ++i)
      if (Place& place = places[next++ % kPlaces]; !place.pairs.empty()) return drop(place);
  }
  void give(Place& place, uint32_t likeness) {
    while (!place.pairs.empty()) drop(place);
    place.likeness = likeness;
    place.idle = 0;
  }
  // After each call: of what calls no longer ask for, a quarter goes at a time.
  void look() {
    if (++calls % (kCalls / kPlaces) != 0) return;
    Place& place = places[calls % kCalls / (kCalls / kPlaces)];
    for (size_t n = std::min(place.idle, std::max(kFewIdle, place.idle / 4)); n > 0; --n) drop(place);
    if (place.pairs.empty()) place.pairs.shrink_to_fit();
    place.idle = place.pairs.size();
  }
};

// Never destroyed: arrays may outlive everything.
Kept& kept = *new Kept;

void clear_weak_references(PyObject* array) {
  if (*reinterpret_cast<PyObject**>(reinterpret_cast<std::byte*>(array) + kept.weak_references))
    PyObject_ClearWeakRefs(array);
}

bool keep(PyObject* array, Node& node) {
  Place& place = kept.place_of(node.likeness());
  if (place.likeness != node.likeness() || kept.count >= kept.most) return false;
  if (place.pairs.size() == place.pairs.capacity()) {
    try {
      place.pairs.reserve(2 * place.pairs.size() + 16);
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  place.pairs.push_back({array, &node});
  ++kept.count;
  return true;
}

void drop_all() {
  while (kept.count > 0) kept.drop_one();
  for (Place& place : kept.places) place.pairs.shrink_to_fit();
  kept.block.release();
}

void stop_keeping() {
  kept.most = 0;
  drop_all();
}

}  // namespace

void drop_kept_arrays() {
  if (kept.most > 0) drop_all();
}

void let_go_of_array(PyObject* array) {
  PyObject_GC_UnTrack(array);
  clear_weak_references(array);
  Node* node = array_of(array).node();
  if (!node || node->use_count() != 1) return kept.discard(array);
  std::atomic_thread_fence(std::memory_order_acquire);  // after what other threads did with it
  if (node->likeness() == 0) {
    const uint32_t before = likeness_before(*node);
    node->likeness(before);
    if (before && keep(array, *node)) return;
    node->likeness(0);
    return kept.discard(array);
  }
  Buffer* memory = node->storage.buffer.detach();
  if (!keep(array, *node)) kept.discard(array);
  kept.block.release(memory);  // last: memory of others may run Python code
}

void prepare_to_keep_arrays(destructor otherwise) { kept.otherwise = otherwise; }

void begin_to_keep_arrays() {
  nb::object type = nb::borrow(reinterpret_cast<PyObject*>(array_type));
  kept.weak_references = nb::cast<Py_ssize_t>(type.attr("__weakrefoffset__"));
  kept.most = kKeepsArrays ? Kept::kMost : 0;
  nb::module_::import_("atexit").attr("register")(nb::cpp_function(&stop_keeping));
}

void KeptArrays::take(std::span<const uint32_t> likenesses, Node** nodes) {
  arrays_.resize(likenesses.size());
  if (kept.most == 0) return;
  for (size_t i = 0; i < likenesses.size(); ++i) {
    const uint32_t likeness = likenesses[i];
    if (likeness == 0) continue;
    Place& place = kept.place_of(likeness);
    if (place.likeness != likeness) kept.give(place, likeness);
    if (place.pairs.empty()) {
      if (kept.count >= kept.most) kept.drop_one();  // for what comes up now
      continue;
    }
    const Pair last = place.pairs.back();
    place.pairs.pop_back();
    place.idle = std::min(place.idle, place.pairs.size());
#if defined(__GNUC__)
    // Of thousands, none is in a near cache.
    if (const size_t left = place.pairs.size(); left >= 8) __builtin_prefetch(place.pairs[left - 8].array, 1);
#endif
    Py_SET_REFCNT(last.array, 1);
    arrays_[i] = last.array;
    nodes[i] = last.node;
    ++left_;
  }
  kept.count -= left_;
  kept.look();
}

KeptArrays::~KeptArrays() {
  if (left_ == 0) return;
  for (PyObject* array : arrays_) Py_XDECREF(array);
}

}  // namespace funcnn
