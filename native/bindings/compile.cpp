// fn.compile: Python functions traced once for each signature and run from their plans.
#include <algorithm>
#include <atomic>
#include <bit>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/error.h"
#include "base/profile.h"
#include "bindings/callable.h"
#include "bindings/compiled_entry.h"
#include "bindings/gil.h"
#include "bindings/held.h"
#include "bindings/typed.h"
#include "graph/record.h"
#include "plan/eval.h"
#include "plan/log.h"

namespace funcnn {
namespace {

using Entry = CompiledEntry;

class Compiled {
 public:
  Compiled(nb::object function, std::string name, std::vector<int> static_positions,
           std::vector<std::string> static_names, std::vector<int> donated_positions,
           std::vector<std::string> donated_names, size_t capacity, size_t byte_capacity)
      : function_(std::move(function)),
        name_(std::move(name)),
        static_positions_(std::move(static_positions)),
        static_names_(std::move(static_names)),
        donated_positions_(std::move(donated_positions)),
        donated_names_(std::move(donated_names)),
        capacity_(capacity),
        byte_capacity_(byte_capacity) {}

  nb::object call(nb::handle args, nb::handle kwargs) {
    // Whoever looks for an operation wants to see all of them, and where they stand in the program.
    if (Recording::current()) return called(function_, args, kwargs);
    std::optional<Call> taken;
    if (nb::object result = call_again(args, kwargs, taken); result.is_valid()) return result;
    TimedSpan span("call");
    if (span) span.name(name_);
    Call c = taken ? std::move(*taken) : split(args, kwargs);
    c.tree = pytree::flatten(c.dynamic, c.leaves);
    find_nodes(c);
    if (c.wide) keep_digits(c);
    bool traced = c.of_trace && std::any_of(c.nodes.begin(), c.nodes.end(), depends_on_trace);
    std::shared_ptr<Entry> entry = latest(c);
    if (entry) {
      recognise(c, *entry);
    } else {
      hash(c);
      entry = find(c);
    }
    if (!entry) {
      entry = trace(c);
      // What a running transformation made is no constant: this trace serves this call alone.
      auto of_trace = [](const Arrays& captured) { return std::any_of(captured.begin(), captured.end(), is_traced); };
      bool once = of_trace(entry->captured) || of_trace(entry->ranges.captured());
      report(*entry, once);
      if (once)
        traced = true;
      else
        entry = remember(c, entry);
    }
    // Numbers that a dtype they become does not hold are refused, as outside of compiled functions.
    if (!entry->ranges.empty()) entry->ranges.check(c.arrays());
    Array token = entry->effects ? EffectScope::token() : Array();
    if (traced || (token && is_traced(token))) {
      Arrays arguments = c.arrays();
      arguments.insert(arguments.end(), entry->captured.begin(), entry->captured.end());
      if (token) arguments.push_back(std::move(token));
      return inlined(*entry, arguments);
    }
    const size_t given = c.nodes.size();
    for (const Array& a : entry->captured) c.nodes.push_back(a.node());
    if (!token)
      if (nb::object result = entry->run_shortly(c.nodes, given); result.is_valid()) return result;
    if (token) c.nodes.push_back(token.node());
    c.counted.resize(c.nodes.size(), 0);
    Arrays outputs;
    {
      Unlocked release;
      outputs = entry->graph->run(c.nodes, c.counted, {});
    }
    if (entry->effects) outputs.pop_back();
    return entry->result(std::move(outputs));
  }

  nb::dict cache_info() {
    // Python code may run wherever a Python object is made, and call this function: never under the lock.
    auto [hits, misses, entries, bytes] = [&] {
      std::lock_guard lock(mutex_);
      size_t bytes = 0;
      for (size_t taken : bytes_by_age()) bytes += taken;
      return std::tuple(hits_.load(), misses_, entries_.size(), bytes);
    }();
    nb::dict info;
    info["hits"] = hits;
    info["misses"] = misses;
    info["entries"] = entries;
    info["capacity"] = capacity_;
    info["bytes"] = bytes;
    info["byte_capacity"] = byte_capacity_;
    return info;
  }
  void clear() {
    // Entries own Python objects whose destructors may call back: drop them outside the lock.
    decltype(recent_) dropped;
    std::lock_guard lock(mutex_);
    entries_.clear();
    dropped.swap(recent_);
    hits_ = misses_ = 0;
  }
  nb::object function() const { return function_.is_valid() ? function_ : nb::none(); }
  const std::string& name() const { return name_; }

  // For the garbage collector.
  int traverse(visitproc visit, void* arg) {
    if (int stop = visit_object(function_, visit, arg)) return stop;
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return 0;  // in use
    for (const auto& [hash, entry] : recent_) {
      if (entry.use_count() > 1) continue;  // running
      if (int stop = visit_object(entry->statics, visit, arg)) return stop;
      if (int stop = entry->inputs.traverse(visit, arg)) return stop;
      if (int stop = entry->outputs.traverse(visit, arg)) return stop;
      if (entry->holds_python)
        if (int stop = visit_graph({entry->graph->graph()}, visit, arg)) return stop;
    }
    return 0;
  }
  void drop() {
    clear();
    nb::object function = std::move(function_);
  }

 private:
  struct Call {
    nb::object dynamic;  // (args, kwargs) without the static ones
    nb::object statics;
    nb::object args;
    nb::object kwargs;  // nothing: there are none
    pytree::TreeDef tree;
    pytree::Leaves leaves;
    // The leaves as nodes, which are kept by the leaves themselves or, where a leaf is none or may be pointed elsewhere
    // by another thread, in `own`.
    std::vector<Node*> nodes;
    std::vector<char> counted;  // by node: whether `own` has a reference to it
    Arrays own;
    bool wide = false;      // there are float64 arrays
    bool of_trace = false;  // some depend on a trace, which may be over
    size_t hash = 0;

    nb::dict keywords() const { return kwargs.is_valid() ? nb::borrow<nb::dict>(kwargs) : nb::dict(); }
    void keep(size_t i, Array array) {
      nodes[i] = array.node();
      counted[i] = 1;
      own.push_back(std::move(array));
    }
    Arrays arrays() const {
      Arrays out;
      out.reserve(nodes.size());
      for (Node* node : nodes) out.emplace_back(NodeRef(node));
      return out;
    }
  };
  using Recent = std::list<std::pair<size_t, std::shared_ptr<Entry>>>;

  // The result of a short call that is like the one before: its arguments lie in trees that were made in the same way,
  // and are computed. Null: it is not. Until the results are there no Python code runs, so nothing has to be held.
  // `taken` receives what was taken apart.
  nb::object call_again(nb::handle args, nb::handle kwargs, std::optional<Call>& taken) {
    if (!pytree::Pattern::kPossible || profiling()) return {};
    std::shared_ptr<Entry> entry;
    {
      std::lock_guard lock(mutex_);
      if (recent_.empty() || !recent_.front().second->pattern) return {};
      entry = recent_.front().second;
    }
    nb::object both;
    if (has_statics()) {
      taken = split(args, kwargs);
      if (!same_value(taken->statics, entry->statics)) return {};
      args = taken->dynamic;
    } else if (kwargs.is_valid() && PyDict_Size(kwargs.ptr())) {
      both = nb::make_tuple(args, kwargs);
      args = both;
    }
    const size_t count = entry->arguments.size();
    SmallVector<Node*, 128> nodes(count + entry->captured.size());
    if (!read_again(*entry, args, nodes.data())) return {};
    for (size_t i = 0; i < entry->captured.size(); ++i) nodes[count + i] = entry->captured[i].node();
    nb::object result = entry->run_shortly({nodes.data(), nodes.size()}, count);
    if (!result.is_valid()) return {};
    entry->unlike = 0;
    hits_.fetch_add(1, std::memory_order_relaxed);
    return result;
  }
  // The nodes of the arguments, where `args` is a tree like that of `entry` and its leaves are arrays.
  static bool read_again(const Entry& entry, nb::handle args, Node** nodes) {
    const size_t count = entry.arguments.size();
    SmallVector<PyObject*, 128> leaves(count);
    if (!entry.pattern.read(args, leaves.data())) return false;
    for (size_t i = 0; i < count; ++i) {
      if (Py_TYPE(leaves[i]) != array_type) return false;
      nodes[i] = array_of(leaves[i]).node();
    }
    return true;
  }
  // Have the next call like this one served by `call_again`, where that could be. Where calls go on to be unlike each
  // other, ever more of them pass before that is tried again.
  void recognise(const Call& c, Entry& entry) const {
    if (!pytree::Pattern::kPossible || profiling() || !entry.graph->may_run_shortly()) return;
    if (entry.effects || entry.holds_python || c.wide) return;
    const bool now = std::has_single_bit(++entry.unlike);
    entry.pattern = now ? pytree::Pattern(entry.inputs, c.dynamic) : pytree::Pattern();
  }

  static void find_nodes(Call& c) {
    c.nodes.resize(c.leaves.size());
    c.counted.resize(c.leaves.size(), 0);
    for (size_t i = 0; i < c.leaves.size(); ++i) {
      PyObject* leaf = c.leaves[i].ptr();
      if (is_array(leaf) && !is_mutable(leaf))
        c.nodes[i] = array_of(leaf).node();
      else
        c.keep(i, array_of_leaf(c.leaves, i, c.tree, "compile", "; pass it as a static argument (static_argnames)"));
      const Node& node = *c.nodes[i];
      c.wide |= node.dtype == Dtype::float64;
      c.of_trace |= node.abstract || node.trace != 0;
    }
  }

  // Beside float64 arrays, floats keep the digits that float32 would lose.
  static void keep_digits(Call& c) {
    for (size_t i = 0; i < c.nodes.size(); ++i) {
      if (PyFloat_Check(c.leaves[i].ptr())) {
        double value = PyFloat_AsDouble(c.leaves[i].ptr());
        c.keep(i, with_weakness(scalar_array(&value, Dtype::float64), true));
      } else if (Array all = with_all_digits(Array(NodeRef(c.nodes[i]))); all.node() != c.nodes[i]) {
        c.keep(i, std::move(all));
      }
    }
  }

  static bool depends_on_trace(Node* node) {
    return node->abstract || (node->trace != 0 && is_traced(Array(NodeRef(node))));
  }

  bool has_statics() const { return !static_positions_.empty() || !static_names_.empty(); }
  bool is_static(int position, Py_ssize_t count) const {
    return std::any_of(static_positions_.begin(), static_positions_.end(),
                       [&](int p) { return p == position || p + count == position; });
  }
  bool is_static(const std::string& name) const {
    return std::find(static_names_.begin(), static_names_.end(), name) != static_names_.end();
  }

  Call split(nb::handle args, nb::handle kwargs) const {
    Call c;
    c.args = nb::borrow(args);
    if (kwargs.is_valid() && PyDict_Size(kwargs.ptr())) c.kwargs = nb::borrow(kwargs);
    if (!has_statics()) {
      c.dynamic = c.kwargs.is_valid() ? nb::object(nb::make_tuple(c.args, c.kwargs)) : c.args;
      return c;
    }
    nb::list positional, statics;
    Py_ssize_t count = PyTuple_Size(args.ptr());
    for (Py_ssize_t i = 0; i < count; ++i) {
      nb::handle value = PyTuple_GetItem(args.ptr(), i);
      if (is_static(int(i), count))
        statics.append(value);
      else
        positional.append(value);
    }
    nb::dict keywords;
    for (auto [key, value] : c.keywords()) {
      if (is_static(nb::cast<std::string>(key)))
        statics.append(nb::make_tuple(key, value));
      else
        keywords[key] = value;
    }
    c.dynamic = nb::make_tuple(positional, keywords);
    c.statics = nb::tuple(statics);
    return c;
  }

  // The arguments of the Python function with `arrays` in place of the dynamic leaves.
  nb::object invoke(const Call& c, Span arrays) const {
    check_is_there(function_);
    nb::object tree = unflatten_arrays(c.tree, arrays);
    if (!has_statics()) {
      bool both = c.kwargs.is_valid();
      nb::object args = both ? nb::object(tree[0]) : tree;
      nb::object kwargs = both ? nb::object(tree[1]) : nb::object(nb::dict());
      return function_(*nb::borrow<nb::tuple>(args), **nb::borrow<nb::dict>(kwargs));
    }
    nb::list args;
    nb::list dynamic = nb::borrow<nb::list>(tree[0]);
    size_t next = 0;
    Py_ssize_t count = PyTuple_Size(c.args.ptr());
    for (Py_ssize_t i = 0; i < count; ++i)
      args.append(is_static(int(i), count) ? nb::object(nb::borrow(PyTuple_GetItem(c.args.ptr(), i)))
                                           : nb::object(dynamic[next++]));
    nb::dict kwargs = nb::borrow<nb::dict>(tree[1]);
    for (auto [key, value] : c.keywords())
      if (is_static(nb::cast<std::string>(key))) kwargs[key] = value;
    return function_(*nb::tuple(args), **kwargs);
  }

  void hash(Call& c) const {
    Hasher h;
    h.add(int64_t(c.tree.hash()));
    for (const Node* node : c.nodes) {
      h.add(int(node->dtype) << 2 | int(node->weak) << 1 | int(node->rebindable));
      h.add(node->shape);
    }
    if (c.statics.is_valid()) {
      Py_hash_t hash = PyObject_Hash(c.statics.ptr());
      if (hash == -1) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw nb::python_error();
        PyErr_Clear();
        throw TypeError(cat("compile of ", name_, ": static arguments must be hashable, got ",
                            nb::cast<std::string>(nb::repr(c.statics))));
      }
      h.add(int64_t(hash));
    }
    c.hash = size_t(h.finish().low);
  }

  // What served the call before this one, where it serves this one: most calls, which then need no hash.
  std::shared_ptr<Entry> latest(const Call& c) {
    std::shared_ptr<Entry> entry;
    {
      std::lock_guard lock(mutex_);
      if (recent_.empty()) return nullptr;
      entry = recent_.front().second;
    }
    if (!matches(c, *entry)) return nullptr;
    std::lock_guard lock(mutex_);
    ++hits_;
    return entry;
  }

  std::shared_ptr<Entry> find(const Call& c, bool count = true) {
    SmallVector<std::shared_ptr<Entry>, 2> candidates;
    {
      std::lock_guard lock(mutex_);
      auto [first, last] = entries_.equal_range(c.hash);
      for (auto it = first; it != last; ++it) candidates.push_back(it->second->second);
    }
    for (auto& entry : candidates) {
      if (!matches(c, *entry)) continue;
      std::lock_guard lock(mutex_);
      hits_ += count;
      auto [first, last] = entries_.equal_range(c.hash);
      for (auto it = first; it != last; ++it)
        if (it->second->second == entry) recent_.splice(recent_.begin(), recent_, it->second);
      return entry;
    }
    return nullptr;
  }

  static bool is_like(const Node& node, const Argument& known) {
    return node.dtype == known.aval.dtype && node.weak == known.weak && node.rebindable == known.rebindable &&
           node.shape == known.aval.shape;
  }
  static bool matches(const Call& c, const Entry& e) {
    if (e.arguments.size() != c.nodes.size()) return false;
    for (size_t i = 0; i < e.arguments.size(); ++i)
      if (!is_like(*c.nodes[i], e.arguments[i])) return false;
    return same_structure(e.inputs, c.tree) && (!c.statics.is_valid() || same_value(c.statics, e.statics));
  }

  // The result of the function. Numbers among its leaves are to be what Python's would be.
  nb::object checked_result(const Call& c, Span arrays) const {
    nb::object result = invoke(c, arrays);
    pytree::Leaves leaves;
    pytree::flatten(result, leaves);
    for (const nb::object& leaf : leaves)
      if (is_array(leaf.ptr())) check_number(array_of(leaf.ptr()), array_of(leaf.ptr()).dtype());
    return result;
  }

  std::shared_ptr<Entry> trace(const Call& c) {
    TimedSpan span("trace");
    if (span) span.name(name_);
    auto entry = std::make_shared<Entry>();
    entry->statics = c.statics;
    entry->inputs = c.tree;
    entry->arguments = arguments_of(c.arrays());
    Traced traced =
        trace_abstract(entry->arguments, "compile of " + name_, [&](Span arrays) { return checked_result(c, arrays); });
    entry->outputs = traced.outputs;
    entry->weak = std::move(traced.weak);
    entry->rebindable = std::move(traced.rebindable);
    auto set = [](const std::vector<bool>& flags) {
      return std::find(flags.begin(), flags.end(), true) != flags.end();
    };
    entry->plain = !set(entry->weak) && !set(entry->rebindable);
    entry->holds_python = holds_python({traced.graph});
    entry->captured = std::move(traced.captured);
    entry->effects = traced.effects;
    entry->ranges = std::move(traced.ranges);
    // What short calls hold arguments against.
    for (size_t i = 0; i < entry->arguments.size(); ++i) {
      traced.graph.inputs[i].node()->weak = entry->arguments[i].weak;
      traced.graph.inputs[i].node()->rebindable = entry->arguments[i].rebindable;
    }
    std::vector<bool> donated = donation(c);
    donated.resize(traced.graph.inputs.size(), false);
    if (std::none_of(entry->captured.begin(), entry->captured.end(), is_traced)) {
      Unlocked release;
      eval(entry->captured);
    }
    entry->graph = std::make_unique<CompiledGraph>(std::move(traced.graph), std::move(donated));
    return entry;
  }

  // Count a trace and say why it was made.
  void report(const Entry& entry, bool once) {
    const char* why = once ? "it reads a value of the transformation around it, so the trace serves this call alone"
                           : "a new signature";
    {
      std::lock_guard lock(mutex_);
      if (misses_++ == 0 && !once) why = "first call";
    }
    if (!log_enabled("compile")) return;
    std::string arguments;
    for (const Argument& a : entry.arguments)
      arguments += cat(arguments.empty() ? "" : ", ", a.weak ? "number " : "", a.aval.dtype, a.aval.shape);
    log_line("compile", cat("traced ", name_, "(", arguments, "): ", why));
  }

  // Which leaves belong to donated arguments.
  std::vector<bool> donation(const Call& c) const {
    std::vector<bool> mask(c.nodes.size(), false);
    if (donated_positions_.empty() && donated_names_.empty()) return mask;
    size_t leaf = 0;
    auto mark = [&](const pytree::TreeDef& argument, bool donated) {
      for (size_t i = 0; i < argument.num_leaves(); ++i) mask[leaf++] = donated;
    };
    bool plain = !has_statics();
    bool both = !plain || c.kwargs.is_valid();
    std::vector<pytree::TreeDef> parts = c.tree.children();
    std::vector<pytree::TreeDef> positional = both ? parts[0].children() : parts;
    Py_ssize_t count = PyTuple_Size(c.args.ptr());
    size_t next = 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (is_static(int(i), count)) continue;
      mark(positional[next++],
           std::find(donated_positions_.begin(), donated_positions_.end(), int(i)) != donated_positions_.end());
    }
    if (!both) return mask;
    std::vector<std::string> names;
    for (auto [key, value] : c.keywords())
      if (std::string name = nb::cast<std::string>(key); !is_static(name)) names.push_back(name);
    std::sort(names.begin(), names.end());
    std::vector<pytree::TreeDef> keywords = parts[1].children();
    for (size_t i = 0; i < names.size(); ++i)
      mark(keywords[i], std::find(donated_names_.begin(), donated_names_.end(), names[i]) != donated_names_.end());
    return mask;
  }

  // The call as part of the graph of a running trace.
  static nb::object inlined(const Entry& entry, const Arrays& arguments) {
    Arrays outputs = substitute(entry.graph->graph(), arguments);
    if (entry.effects) {
      EffectScope::advance(outputs.back());
      outputs.pop_back();
    }
    return entry.result(std::move(outputs));
  }

  // The entry to use from now on: another thread may have made the same meanwhile.
  std::shared_ptr<Entry> remember(const Call& c, const std::shared_ptr<Entry>& entry) {
    if (std::shared_ptr<Entry> known = find(c, false)) return known;
    std::vector<std::shared_ptr<Entry>> dropped;
    std::lock_guard lock(mutex_);
    recent_.emplace_front(c.hash, entry);
    entries_.emplace(c.hash, recent_.begin());
    size_t kept = std::min(capacity_, entries_that_fit());
    while (recent_.size() > kept) {
      auto last = std::prev(recent_.end());
      auto [first, end] = entries_.equal_range(last->first);
      for (auto it = first; it != end; ++it)
        if (it->second == last) {
          entries_.erase(it);
          break;
        }
      dropped.push_back(last->second);
      recent_.pop_back();
    }
    return entry;
  }

  // What each entry keeps alive by itself or with older ones, the most recently used first: its graph, its plans, and
  // captured arrays that nobody but entries holds.
  std::vector<size_t> bytes_by_age() const {
    NodeMap<std::pair<int, bool>> holders;  // how many entries; whether it is counted
    for (const auto& [hash, entry] : recent_)
      for (const Array& a : entry->captured) ++holders[a.node()].first;
    std::vector<size_t> out;
    for (const auto& [hash, entry] : recent_) {
      size_t bytes = sizeof(Entry) + entry->graph->own_bytes();
      for (const Array& a : entry->captured) {
        auto& [holding, counted] = *holders.find(a.node());
        if (std::exchange(counted, true) || int(a.node()->use_count()) > holding) continue;
        bytes += size_t(a.size()) * item_size(a.dtype());
      }
      out.push_back(bytes);
    }
    return out;
  }
  // The most recently used entry always does.
  size_t entries_that_fit() const {
    size_t most = 0, total = 0, fit = 0;
    for (const auto& [hash, entry] : recent_) {
      most += sizeof(Entry) + entry->graph->own_bytes();
      for (const Array& a : entry->captured) most += size_t(a.size()) * item_size(a.dtype());
    }
    if (most <= byte_capacity_) return recent_.size();
    for (size_t bytes : bytes_by_age()) {
      if ((total += bytes) > byte_capacity_ && fit > 0) break;
      ++fit;
    }
    return fit;
  }

  nb::object function_;
  std::string name_;
  std::vector<int> static_positions_;
  std::vector<std::string> static_names_;
  std::vector<int> donated_positions_;
  std::vector<std::string> donated_names_;
  size_t capacity_, byte_capacity_;
  std::mutex mutex_;
  Recent recent_;
  std::unordered_multimap<size_t, Recent::iterator> entries_;
  std::atomic<uint64_t> hits_ = 0;
  uint64_t misses_ = 0;
};

}  // namespace

void bind_compile(nb::module_& m) {
  nb::class_<Compiled> cls(m, "CompiledFunction", nb::type_slots(CallableSlots<Compiled>::slots), nb::dynamic_attr(),
                           nb::is_weak_referenceable(),
                           "A function that runs from cached traces; made by :func:`funcnn.compile`.");
  CallableSlots<Compiled>::bind(cls);
  cls.def(nb::init<nb::object, std::string, std::vector<int>, std::vector<std::string>, std::vector<int>,
                   std::vector<std::string>, size_t, size_t>())
      .def("cache_info", &Compiled::cache_info, nb::sig("def cache_info(self) -> dict[str, int]"),
           "Return how often a call found its trace (`hits`) or had to make it (`misses`), how many are kept\n"
           "(`entries`, at most `capacity`), and about how many bytes they take (`bytes`, at most `byte_capacity`):\n"
           "traces, plans, and captured arrays that nothing else holds.")
      .def("clear_cache", &Compiled::clear, "Forget every trace of this function.")
      .def(
          "__get__",
          [](nb::object self, nb::handle instance, nb::handle) -> nb::object {
            if (instance.is_none()) return self;
            return nb::module_::import_("types").attr("MethodType")(self, instance);
          },
          nb::arg("instance").none(), nb::arg("owner").none() = nb::none())
      .def_prop_ro("__wrapped__", &Compiled::function)
      .def("__repr__", [](const Compiled& c) { return "<compiled function " + c.name() + ">"; });

  m.def(
      "plan_cache_info",
      [] {
        CacheInfo info = [] {
          Unlocked unlocked;
          return plan_cache_info();
        }();
        nb::dict out;
        out["hits"] = info.hits;
        out["misses"] = info.misses;
        out["entries"] = info.entries;
        out["capacity"] = info.capacity;
        out["bytes"] = info.bytes;
        out["byte_capacity"] = info.byte_capacity;
        out["reused"] = info.reused;
        return out;
      },
      nb::sig("def plan_cache_info() -> dict[str, int]"),
      "Return how often an evaluation found its plan (`hits`) or had to build it (`misses`), how many are kept\n"
      "(`entries`, at most `capacity`), and about how many bytes they take (`bytes`, at most `byte_capacity`).\n\n"
      "Plans that were fused as one of the same structure with other sizes was are counted in `reused`, wherever they\n"
      "were built.");
  m.def("clear_plan_cache", &clear_plan_cache, nb::call_guard<Unlocked>(),
        "Forget every plan, those of compiled functions included.");
  m.def("set_fusion", &set_fusion, nb::arg("on"),
        "Turn the fusion of elementwise work and reductions on or off; return the setting before.\n\n"
        "``FUNCNN_FUSE=0`` in the environment turns it off from the start: every primitive then runs by itself.");
}

}  // namespace funcnn
