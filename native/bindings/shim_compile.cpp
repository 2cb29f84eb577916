// compile as MLX has it: containers named in `inputs` and `outputs` are arguments and results beside those of the
// function, taken from where they are and filled in there; constants among the arguments belong to the trace.
#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <nanobind/stl/string.h>

#include "base/error.h"
#include "base/profile.h"
#include "bindings/callable.h"
#include "bindings/gil.h"
#include "bindings/held.h"
#include "bindings/shim.h"
#include "bindings/trace.h"
#include "graph/record.h"
#include "plan/compiled_graph.h"
#include "plan/eval.h"
#include "plan/log.h"
#include "transforms/written.h"

namespace funcnn {
namespace {

using containers::Outline;
using containers::Place;
using containers::Snapshot;

std::atomic<bool> disabled{false};

// How many traces of one function are kept.
constexpr size_t kMostEntries = 256;
// A graph of no more nodes than these joins the graph of arguments that are not computed yet, to be computed with it.
constexpr size_t kSmallGraph = 64;

// What a call is told by: its arguments and the containers beside them, without their values.
struct Signature {
  Outline outline;  // arguments, then inputs, then outputs where they are others
  std::vector<Argument> arguments;
  uint64_t hash = 0, general = 0;  // general: without sizes

  bool operator==(const Signature& other) const {
    return hash == other.hash && arguments == other.arguments && outline == other.outline;
  }
  // The same but for sizes of axes.
  bool is_like(const Signature& other) const {
    auto alike = [](const Argument& a, const Argument& b) {
      return a.aval.dtype == b.aval.dtype && a.aval.shape.size() == b.aval.shape.size();
    };
    return general == other.general && arguments.size() == other.arguments.size() &&
           std::equal(arguments.begin(), arguments.end(), other.arguments.begin(), alike) && outline == other.outline;
  }
};

struct Entry {
  Signature signature;
  Outline result;
  size_t results = 0;  // arrays of the result; those for `outputs` follow
  std::unique_ptr<CompiledGraph> graph;
  Arrays captured;
  std::vector<bool> in_tuples;  // by array of the signature
  bool effects = false, holds_python = false;
  bool small = false;  // see kSmallGraph
  bool own = true;     // what the function was traced to, not what was made of a trace for other shapes
};

bool is_small(const Graph& graph) {
  return topological_order(graph.outputs, [](Node&) { return true; }).size() <= kSmallGraph + graph.inputs.size();
}

// Which arrays are in a tuple, which others may hold: it is replaced, not filled in.
void mark_tuples(const Outline& outline, size_t& at, bool inside, std::vector<bool>& out) {
  const containers::Token& token = outline.tokens[at++];
  if (token.mark == containers::Mark::array) out.push_back(inside);
  inside |= token.mark == containers::Mark::tuple;
  for (uint32_t i = 0; i < token.count; ++i) {
    if (token.mark == containers::Mark::dict) ++at;
    mark_tuples(outline, at, inside, out);
  }
}
std::vector<bool> arrays_in_tuples(const Outline& outline) {
  std::vector<bool> out;
  for (size_t at = 0; at < outline.tokens.size();) mark_tuples(outline, at, false, out);
  return out;
}

// A value whose memory is gone: those who look at it are told so.
const Array& lost_array() {
  static const auto* lost = [] {
    float zero = 0;
    auto* made = new Array(mutable_array(scalar_array(&zero, Dtype::float32)));
    made->node()->lose();
    return made;
  }();
  return *lost;
}

// While alive, other threads that take an array from its container, where its memory is being written to, are refused.
class Hidden {
 public:
  Hidden(const containers::Leaves& leaves, const std::vector<char>& donated) {
    for (size_t i = 0; i < donated.size(); ++i) {
      if (!donated[i]) continue;
      handles_.push_back(leaves[i]);
      values_.push_back(std::exchange(array_of(leaves[i].ptr()), lost_array()));
    }
  }
  // New handles take the place of these.
  void forget() { handles_.clear(); }
  // The call has failed: what was not written to is there again.
  ~Hidden() {
    for (size_t i = 0; i < handles_.size(); ++i) array_of(handles_[i].ptr()) = std::move(values_[i]);
  }
  Hidden(const Hidden&) = delete;

 private:
  std::vector<nb::object> handles_;
  Arrays values_;  // counted as the handles were: a node that others hold too is not written to
};

class ShimCompiled {
 public:
  ShimCompiled(nb::object function, std::string name, nb::object inputs, nb::object outputs, bool shapeless)
      : function_(std::move(function)),
        name_(std::move(name)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        shapeless_(shapeless) {}

  nb::object call(nb::handle args, nb::handle kwargs) {
    if (disabled.load(std::memory_order_relaxed) || Recording::current()) return called(function_, args, kwargs);
    Call c = taken(args, kwargs);
    if (std::shared_ptr<Entry> entry = find(c.signature))
      return run(*entry, c, std::any_of(c.arrays.begin(), c.arrays.end(), is_traced));
    if (shapeless_)
      if (std::shared_ptr<Entry> entry = resized_entry(c))
        return run(*entry, c, std::any_of(c.arrays.begin(), c.arrays.end(), is_traced));
    return trace(c);
  }

  nb::object function() const { return function_.is_valid() ? function_ : nb::none(); }
  const std::string& name() const { return name_; }

  int traverse(visitproc visit, void* arg) {
    for (const nb::object* object : {&function_, &inputs_, &outputs_})
      if (int stop = visit_object(*object, visit, arg)) return stop;
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return 0;  // in use
    for (const auto& [hash, entry] : recent_) {
      if (entry.use_count() > 1) continue;  // running
      if (int stop = entry->signature.outline.traverse(visit, arg)) return stop;
      if (int stop = entry->result.traverse(visit, arg)) return stop;
      if (entry->holds_python)
        if (int stop = visit_graph({entry->graph->graph()}, visit, arg)) return stop;
    }
    return 0;
  }
  void drop() {
    Recent dropped;
    {
      std::lock_guard lock(mutex_);
      entries_.clear();
      dropped.swap(recent_);
    }
    nb::object function = std::move(function_), inputs = std::move(inputs_), outputs = std::move(outputs_);
  }

 private:
  using Recent = std::list<std::pair<uint64_t, std::shared_ptr<Entry>>>;

  struct Call {
    nb::handle args, kwargs;
    Signature signature;
    size_t given = 0;             // arrays among the arguments; those of `inputs` follow
    containers::Leaves leaves;    // of both
    containers::Leaves replaced;  // arrays in `outputs`
    Outline outputs;              // their containers, where the call is traced
    Arrays arrays;
    bool kept = false;  // what was there before may be put back
  };

  bool same_containers() const { return outputs_.is(inputs_); }
  // What computes a state is to fail at the call; the state of random draws cannot.
  bool may_wait() const { return outputs_.is_none() || containers::is_stand_in(outputs_.ptr()); }

  Call taken(nb::handle args, nb::handle kwargs) const {
    Call c;
    c.args = args;
    c.kwargs = kwargs;
    Outline& outline = c.signature.outline;
    containers::take_apart(args, containers::Others::compare, "compile", outline, c.leaves);
    if (kwargs.is_valid()) containers::take_apart(kwargs, containers::Others::compare, "compile", outline, c.leaves);
    c.given = c.leaves.size();
    if (!inputs_.is_none()) containers::take_apart(inputs_, containers::Others::ignore, "compile", outline, c.leaves);
    if (!outputs_.is_none() && !same_containers())
      containers::take_apart(outputs_, containers::Others::ignore, "compile", outline, c.replaced);
    uint64_t hash = outline.hash, general = hash;
    c.arrays.reserve(c.leaves.size());
    c.signature.arguments.reserve(c.leaves.size());
    for (const nb::object& leaf : c.leaves) {
      const Array& x = array_of(leaf.ptr());
      c.arrays.push_back(x);
      c.signature.arguments.push_back({x.aval(), false, true});
      hash = (hash ^ uint64_t(x.dtype())) * 0x9e3779b97f4a7c15ull;
      general = ((general ^ (uint64_t(x.dtype()) << 8 | x.ndim())) * 0x9e3779b97f4a7c15ull) ^ (general >> 31);
      for (int64_t size : x.shape()) hash = ((hash ^ uint64_t(size)) * 0x9e3779b97f4a7c15ull) ^ (hash >> 31);
    }
    c.signature.hash = hash;
    c.signature.general = general;
    return c;
  }

  std::shared_ptr<Entry> find(const Signature& signature) {
    SmallVector<std::shared_ptr<Entry>, 2> candidates;
    {
      std::lock_guard lock(mutex_);
      auto [first, last] = entries_.equal_range(signature.hash);
      for (auto it = first; it != last; ++it) candidates.push_back(it->second->second);
    }
    for (auto& entry : candidates) {
      // Keys are compared, which may run Python code: not under the lock.
      if (!(signature == entry->signature)) continue;
      std::lock_guard lock(mutex_);
      auto [first, last] = entries_.equal_range(signature.hash);
      for (auto it = first; it != last; ++it)
        if (it->second->second == entry) recent_.splice(recent_.begin(), recent_, it->second);
      return entry;
    }
    return nullptr;
  }

  // A trace for the shapes of this call made from one for others; null where the function has to be asked.
  std::shared_ptr<Entry> resized_entry(const Call& c) {
    std::vector<std::shared_ptr<Entry>> candidates;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [hash, entry] : recent_)
        if (entry->signature.general == c.signature.general && entry->own && !entry->effects)
          candidates.push_back(entry);
    }
    for (auto& base : candidates) {
      if (!c.signature.is_like(base->signature)) continue;
      auto entry = std::make_shared<Entry>();
      bool fits = true;
      try {
        Traced traced = trace_arrays(c.signature.arguments, "compile of " + name_, [&](Span given) {
          Arrays all(given.begin(), given.end());
          all.insert(all.end(), base->captured.begin(), base->captured.end());
          std::optional<Arrays> made = resized(base->graph->graph(), all);
          fits = made.has_value();
          return made ? std::move(*made) : Arrays(given.begin(), given.end());
        });
        if (!fits) return nullptr;
        entry->captured = std::move(traced.captured);
        entry->holds_python = holds_python({traced.graph});
        entry->small = may_wait() && is_small(traced.graph) && !traced.effects;
        entry->graph = std::make_unique<CompiledGraph>(std::move(traced.graph));
      } catch (const ValueError&) {
        return nullptr;  // the function itself says what does not go together
      }
      entry->signature = c.signature;
      entry->result = base->result;
      entry->results = base->results;
      entry->in_tuples = base->in_tuples;
      entry->own = false;
      if (log_enabled("compile")) log_line("compile", cat("took the trace of ", name_, " for other shapes"));
      remember(entry);
      return entry;
    }
    return nullptr;
  }

  void remember(const std::shared_ptr<Entry>& entry) {
    std::shared_ptr<Entry> dropped;  // outside the lock: it owns Python objects
    std::lock_guard lock(mutex_);
    recent_.emplace_front(entry->signature.hash, entry);
    entries_.emplace(entry->signature.hash, recent_.begin());
    if (recent_.size() <= kMostEntries) return;
    auto last = std::prev(recent_.end());
    auto [first, end] = entries_.equal_range(last->first);
    for (auto it = first; it != end; ++it)
      if (it->second == last) {
        entries_.erase(it);
        break;
      }
    dropped = last->second;
    recent_.pop_back();
  }

  // Which arrays nobody will see once the call is over: those in `outputs` that are found nowhere else.
  std::vector<char> unseen(const Call& c, const Entry& entry) const {
    std::vector<char> mask;
    if (outputs_.is_none() || inputs_.is_none()) return mask;
    std::vector<PyObject*> replaced;
    for (const nb::object& leaf : c.replaced) replaced.push_back(leaf.ptr());
    std::sort(replaced.begin(), replaced.end());
    for (size_t i = c.given; i < c.leaves.size(); ++i) {
      PyObject* leaf = c.leaves[i].ptr();
      bool found = std::binary_search(replaced.begin(), replaced.end(), leaf);
      // The references of its container and of the call, which holds it once for each place.
      if (Py_REFCNT(leaf) != 2 + found || entry.in_tuples[i]) continue;
      if (!same_containers() && !found) continue;
      if (mask.empty()) mask.resize(c.leaves.size());
      mask[i] = 1;
    }
    return mask;
  }

  // `traced`: whether some value depends on a running transformation, so that the call becomes part of its graph.
  nb::object run(const Entry& entry, Call& c, bool traced) {
    std::vector<char> donated;
    if (!traced && !c.kept) donated = unseen(c, entry);
    Arrays arguments = std::move(c.arrays);
    arguments.insert(arguments.end(), entry.captured.begin(), entry.captured.end());
    if (entry.effects) {
      arguments.push_back(EffectScope::token());
      traced = traced || is_traced(arguments.back());
    }
    Arrays outputs;
    // Small functions are called in the middle of others, which are to be computed as a whole.
    auto is_pending = [](const Array& x) { return !x.node()->available() && !x.node()->lost(); };
    if (traced || (entry.small && std::any_of(arguments.begin(), arguments.end(), is_pending))) {
      outputs = substitute(entry.graph->graph(), arguments);
      if (entry.effects) EffectScope::advance(outputs.back());
    } else {
      Hidden hidden(c.leaves, donated);
      donated.resize(donated.empty() ? 0 : arguments.size());
      {
        Unlocked release;
        outputs = entry.graph->run(arguments, donated);
      }
      hidden.forget();
    }
    if (entry.effects) outputs.pop_back();
    arguments.clear();
    size_t next = 0;
    // Moved: the nodes of values that nobody else holds are those of the handles.
    nb::object result =
        containers::Builder(entry.result).build([&] { return wrap_mutable(std::move(outputs[next++])); });
    if (outputs_.is_none()) return result;
    containers::fill(outputs_, [&](nb::handle) {
      if (next == outputs.size()) throw ValueError("compile: another thread has changed the outputs during the call");
      return wrap_mutable(std::move(outputs[next++]));
    });
    ++fills_;
    return result;
  }

  // What another thread has put into the containers for the time of its call must not be put back there later.
  void refuse_borrowed(const Call& c) const {
    for (size_t i = c.given; i < c.arrays.size(); ++i) {
      if (c.arrays[i].node()->lost()) evaluate(c.arrays[i], "compile");  // raises
      if (c.arrays[i].node()->abstract && current_trace() == 0)
        throw ValueError(cat("compile: another thread is tracing ", name_, " with its inputs; let one call it first"));
    }
  }

  nb::object trace(Call& c) {
    TimedSpan span("trace");
    if (span) span.name(name_);
    auto entry = std::make_shared<Entry>();
    entry->signature = std::move(c.signature);
    refuse_borrowed(c);
    uint64_t fills = fills_;
    c.kept = true;
    Snapshot before;
    before.add(inputs_);
    before.add(outputs_);
    bool finished = false;
    struct Restore {
      const Snapshot& before;
      const bool& finished;
      ~Restore() {
        if (finished) return;
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        try {
          before.restore();
        } catch (...) {
          PyErr_Clear();
        }
        PyErr_Restore(type, value, traceback);
      }
    } restore{before, finished};

    Outline left;  // the containers as the function has left them
    Traced traced = trace_arrays(entry->signature.arguments, "compile of " + name_,
                                 [&](Span given) { return outputs_of(c, given, *entry, left); });
    entry->holds_python = holds_python({traced.graph});
    entry->captured = std::move(traced.captured);
    entry->effects = traced.effects;
    bool once = std::any_of(entry->captured.begin(), entry->captured.end(), is_traced);
    if (!once) {
      Unlocked release;
      eval(entry->captured);
    }
    entry->small = may_wait() && is_small(traced.graph) && !traced.effects;
    entry->graph = std::make_unique<CompiledGraph>(std::move(traced.graph));
    // What the function has built or taken down in the containers is not in the graph.
    bool rebuilt = !outputs_.is_none() && !(left == c.outputs);
    report(*entry, once, rebuilt);
    entry->in_tuples = arrays_in_tuples(entry->signature.outline);
    nb::object result = run(*entry, c, once || std::any_of(c.arrays.begin(), c.arrays.end(), is_traced));
    finished = true;
    // Another thread has filled the containers while the function looked at them.
    bool disturbed = fills_ != fills + !outputs_.is_none();
    if (!once && !rebuilt && !disturbed) remember(entry);
    return result;
  }

  // Call the function on what stands for the arrays of the call.
  Arrays outputs_of(Call& c, Span given, Entry& entry, Outline& left) {
    check_is_there(function_);
    size_t next = 0;
    containers::Builder builder(entry.signature.outline);
    auto handle = [&] {
      if (next == given.size()) throw ValueError("compile: a container has changed while it was walked");
      return wrap_object(given[next++]);
    };
    nb::object args = builder.build(handle);
    nb::object kwargs = c.kwargs.is_valid() ? builder.build(handle) : nb::object();
    std::vector<Place> places;
    if (!outputs_.is_none()) {
      containers::Leaves ignored;
      containers::take_apart(outputs_, containers::Others::ignore, "compile", c.outputs, ignored);
    }
    containers::fill(inputs_, [&](nb::handle) { return handle(); }, &places);
    nb::object result = called(function_, args, kwargs);
    args.reset();
    kwargs.reset();
    containers::Leaves leaves;
    containers::take_apart(result, containers::Others::keep, "compile", entry.result, leaves);
    entry.results = leaves.size();
    if (!outputs_.is_none()) containers::take_apart(outputs_, containers::Others::ignore, "compile", left, leaves);
    Arrays outputs;
    for (const nb::object& leaf : leaves) outputs.push_back(array_of(leaf.ptr()));
    for (auto place = places.rbegin(); place != places.rend(); ++place)
      if (place->now().is(place->after)) place->set(place->before);
    return outputs;
  }

  void report(const Entry& entry, bool once, bool rebuilt) {
    const char* why = once ? "it reads a value of the transformation around it, so the trace serves this call alone"
                      : rebuilt ? "it changes the structure of its outputs, so the trace serves this call alone"
                                : "a new signature";
    if (!log_enabled("compile")) return;
    std::string arguments;
    for (const Argument& a : entry.signature.arguments)
      arguments += cat(arguments.empty() ? "" : ", ", a.aval.dtype, a.aval.shape);
    log_line("compile", cat("traced ", name_, "(", arguments, "): ", why));
  }

  nb::object function_;
  std::string name_;
  nb::object inputs_, outputs_;  // None or trees
  bool shapeless_;
  std::mutex mutex_;
  std::atomic<uint64_t> fills_{0};  // how often `outputs` was filled
  Recent recent_;
  std::unordered_multimap<uint64_t, Recent::iterator> entries_;
};

}  // namespace

void bind_shim_compile(nb::module_& m) {
  nb::class_<ShimCompiled> cls(m, "CompiledFunction", nb::type_slots(CallableSlots<ShimCompiled>::slots),
                               nb::dynamic_attr(), nb::is_weak_referenceable(),
                               "A function that runs from cached traces.");
  CallableSlots<ShimCompiled>::bind(cls);
  cls.def(nb::init<nb::object, std::string, nb::object, nb::object, bool>(), nb::arg(), nb::arg(), nb::arg().none(),
          nb::arg().none(), nb::arg())
      .def_prop_ro("__wrapped__", &ShimCompiled::function)
      .def("__repr__", [](const ShimCompiled& c) { return "<compiled function " + c.name() + ">"; });
  m.def("disable_compile", [](bool off) { disabled = off; });
}

}  // namespace funcnn
