// grad, vjp, jvp and vmap as MLX has them: trees of lists, tuples and dicts, in which the function finds what is
// traced, and which hold what they did again afterwards.
#include <algorithm>
#include <unordered_set>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/error.h"
#include "bindings/containers.h"
#include "bindings/effects.h"
#include "bindings/shim.h"
#include "bindings/transforms.h"
#include "graph/integers.h"
#include "ops/annotate.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"
#include "transforms/vmap.h"

namespace funcnn {

using containers::Builder;
using containers::Outline;
using containers::Place;

Array mutable_array(Array x) { return with_rebindable(std::move(x), true); }
nb::object wrap_mutable(Array x) { return wrap_object(mutable_array(std::move(x))); }

nb::object built(const Outline& outline, Span arrays) {
  size_t next = 0;
  Builder builder(outline);
  return builder.build([&] { return wrap_mutable(arrays[next++]); });
}

namespace {

// An argument of a function that is differentiated, and its tree.
struct Parameter {
  nb::object value;
  bool wanted = false;
  Outline outline;
  containers::Leaves leaves;
};

// Handles that a function was given in the place of others.
class Given {
 public:
  // The tree with a handle on `arrays[i]` in the place of its array i. Lists and dicts are changed in place.
  nb::object enter(nb::handle tree, Span arrays) {
    size_t next = 0;
    return containers::fill(
        tree,
        [&](nb::handle leaf) {
          if (next == arrays.size()) throw ValueError("a container has changed while it was walked");
          const Array& x = arrays[next++];
          nb::object handle = wrap_object(x);
          handles_.push_back({handle, x, array_of(leaf.ptr())});
          return handle;
        },
        &places_);
  }
  // Entries that the function has not written to, nor changed in place, hold what they did, and handles that it has
  // kept stand for what they were made from.
  void leave() {
    std::unordered_set<PyObject*> changed;
    for (Handle& handle : handles_) {
      Array& now = array_of(handle.object.ptr());
      if (now == handle.given)
        now = mutable_array(handle.from);
      else
        changed.insert(handle.object.ptr());
    }
    for (auto place = places_.rbegin(); place != places_.rend(); ++place)
      if (place->now().is(place->after) && !changed.contains(place->after.ptr())) place->set(place->before);
    handles_.clear();
    places_.clear();
  }
  ~Given() {
    if (places_.empty() && handles_.empty()) return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    try {
      leave();
    } catch (...) {
      PyErr_Clear();
    }
    PyErr_Restore(type, value, traceback);
  }

 private:
  struct Handle {
    nb::object object;
    Array given, from;
  };
  std::vector<Handle> handles_;
  std::vector<Place> places_;
};

Arrays arrays_at(const containers::Leaves& leaves) {
  Arrays arrays;
  arrays.reserve(leaves.size());
  for (const nb::object& leaf : leaves) arrays.push_back(array_of(leaf.ptr()));
  return arrays;
}

Array traced_input(const Array& x, TraceId id) { return mutable_array(trace_input(x, id)); }

// ---- grad

// The scalar among what the function has returned.
Array loss_of(nb::handle result, const std::string& name, bool scalar_only) {
  nb::handle loss = result;
  if (!scalar_only && PyTuple_Check(result.ptr())) {
    if (PyTuple_Size(result.ptr()) == 0)
      throw ValueError(cat(name,
                           ": the function must return a scalar array or a tuple that begins with one, got an "
                           "empty tuple"));
    loss = PyTuple_GetItem(result.ptr(), 0);
  }
  if (!is_array(loss.ptr()))
    throw ValueError(
        cat(name, ": the function must return a scalar array", scalar_only ? "" : " or a tuple that begins with one",
            ", got ", loss.is(result) ? "" : "a tuple that begins with a value of type ", nb::inst_name(loss).c_str()));
  Array x = array_of(loss.ptr());
  if (x.ndim() != 0)
    throw ValueError(cat(name, ": the function must return a scalar, got an array of shape ", x.shape(),
                         "; reduce it with sum or mean"));
  return x;
}

nb::object value_and_grad(nb::handle fun, const std::string& name, bool scalar_only, std::vector<int64_t> positions,
                          std::vector<std::string> names, nb::tuple args, nb::dict kwargs) {
  for (int64_t position : positions)
    if (position >= int64_t(args.size()))
      throw ValueError(cat(name, ": no gradient by argument ", position, ", since the function was called with ",
                           args.size(), " positional arguments"));
  std::vector<Parameter> arguments;
  for (size_t i = 0; i < args.size(); ++i)
    arguments.push_back(
        {nb::object(args[i]), std::find(positions.begin(), positions.end(), i) != positions.end(), {}, {}});
  for (const std::string& key : names)
    if (!kwargs.contains(key.c_str()))
      throw ValueError(cat(name, ": no gradient by argument '", key, "', since the function was called without it"));
  std::vector<nb::object> keys;
  for (auto [key, value] : kwargs) {
    bool wanted = std::find(names.begin(), names.end(), nb::cast<std::string>(key)) != names.end();
    keys.push_back(nb::borrow(key));
    arguments.push_back({nb::borrow(value), wanted, {}, {}});
  }
  size_t count = 0;
  for (Parameter& a : arguments) {
    auto others = a.wanted ? containers::Others::refuse : containers::Others::ignore;
    containers::take_apart(a.value, others, name.c_str(), a.outline, a.leaves);
    if (a.wanted) count += a.leaves.size();
  }
  if (count == 0) throw ValueError(cat(name, ": there is no array to differentiate by"));

  IntegersMove policy;
  FunctionTrace scope(TraceScope::Nodes::kept);
  Arrays inputs;
  Given given;
  nb::object new_args = nb::steal(PyTuple_New(Py_ssize_t(args.size())));
  nb::dict new_kwargs;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Parameter& a = arguments[i];
    Arrays arrays = arrays_at(a.leaves);
    for (Array& x : arrays) {
      x = a.wanted ? traced_input(x, scope.id()) : mutable_array(std::move(x));
      if (a.wanted) inputs.push_back(x);
    }
    nb::object tree = given.enter(a.value, arrays);
    if (i < args.size())
      PyTuple_SetItem(new_args.ptr(), Py_ssize_t(i), tree.release().ptr());
    else
      new_kwargs[keys[i - args.size()]] = tree;
  }
  nb::object result = call(fun, new_args, new_kwargs);
  new_args.reset();
  new_kwargs.reset();
  given.leave();
  Array output = loss_of(result, name, scalar_only), seed = constant(1, output.dtype());
  Arrays cotangents = pull_back(inputs, Span(&output, 1), Span(&seed, 1), scope.id());
  for (size_t i = 0; i < cotangents.size(); ++i)
    if (!cotangents[i]) cotangents[i] = zeros_like(inputs[i]);
  nb::list by_position;
  nb::dict by_name;
  size_t next = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Parameter& a = arguments[i];
    if (!a.wanted) continue;
    nb::object gradient = built(a.outline, Span(cotangents).subspan(next, a.leaves.size()));
    next += a.leaves.size();
    if (i < args.size())
      by_position.append(gradient);
    else
      by_name[keys[i - args.size()]] = gradient;
  }
  nb::object gradients = positions.size() == 1 ? nb::object(by_position[0])
                         : positions.empty()   ? nb::none()
                                               : nb::object(nb::tuple(by_position));
  if (!names.empty()) gradients = nb::make_tuple(gradients, by_name);
  return nb::make_tuple(result, gradients);
}

// ---- vjp and jvp, of functions of arrays

// The arrays in a list or tuple; a TypeError naming what they are otherwise.
Arrays listed(nb::handle list, const char* what) {
  Arrays arrays;
  bool right = PyList_Check(list.ptr()) || PyTuple_Check(list.ptr());
  if (right) {
    for (nb::handle x : list)
      if (is_array(x.ptr()))
        arrays.push_back(array_of(x.ptr()));
      else
        right = false;
  }
  if (!right) throw TypeError(cat(what, " must be a list or tuple of arrays, got ", nb::inst_name(list).c_str()));
  return arrays;
}

Arrays call_on(nb::handle fun, Span arrays, const char* name) {
  nb::object args = nb::steal(PyTuple_New(Py_ssize_t(arrays.size())));
  for (size_t i = 0; i < arrays.size(); ++i)
    PyTuple_SetItem(args.ptr(), Py_ssize_t(i), wrap_object(arrays[i]).release().ptr());
  nb::object result = call(fun, args);
  if (is_array(result.ptr())) return {array_of(result.ptr())};
  return listed(result, name);
}

nb::list list_of(Span arrays) {
  nb::list made;
  for (const Array& x : arrays) made.append(wrap_mutable(x));
  return made;
}

bool is_stopped(const Array& x) {
  const Node& node = *x.node();
  return node.primitive && !node.available() && node.primitive->name() == "stop_gradient";
}

nb::object vjp(nb::handle fun, nb::handle primals, nb::handle cotangents) {
  Arrays given = listed(primals, "vjp: primals"), along = listed(cotangents, "vjp: cotangents");
  IntegersMove policy;
  FunctionTrace scope(TraceScope::Nodes::kept);
  Arrays inputs, moving;
  for (const Array& x : given) inputs.push_back(traced_input(x, scope.id()));
  Arrays outputs = call_on(fun, inputs, "vjp: what the function returns"), seeds;
  for (const Array& x : outputs) {
    if (is_stopped(x)) continue;
    if (moving.size() >= along.size())
      throw ValueError(
          cat("vjp: the function returned ", outputs.size(), " arrays, but there are ", along.size(), " cotangents"));
    const Array& seed = along[moving.size()];
    if (seed.shape() != x.shape())
      throw ValueError(cat("vjp: the cotangent of an output of shape ", x.shape(), " has shape ", seed.shape()));
    seeds.push_back(seed.dtype() == x.dtype() ? seed : astype(seed, x.dtype()));
    moving.push_back(x);
  }
  Arrays back = pull_back(inputs, moving, seeds, scope.id());
  for (size_t i = 0; i < back.size(); ++i)
    if (!back[i]) back[i] = zeros_like(inputs[i]);
  return nb::make_tuple(list_of(outputs), list_of(back));
}

nb::object jvp(nb::handle fun, nb::handle primals, nb::handle tangents) {
  Arrays given = listed(primals, "jvp: primals"), along = listed(tangents, "jvp: tangents");
  if (given.size() != along.size())
    throw ValueError(cat("jvp: there are ", given.size(), " primals, but ", along.size(), " tangents"));
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i].shape() != along[i].shape())
      throw ValueError(
          cat("jvp: the tangent of a primal of shape ", given[i].shape(), " has shape ", along[i].shape()));
    if (along[i].dtype() != given[i].dtype()) along[i] = astype(along[i], given[i].dtype());
  }
  IntegersMove policy;
  FunctionTrace scope(TraceScope::Nodes::kept);
  Arrays inputs;
  for (const Array& x : given) inputs.push_back(traced_input(x, scope.id()));
  Arrays outputs = call_on(fun, inputs, "jvp: what the function returns");
  Arrays moved = push_forward(inputs, outputs, along, scope.id());
  for (size_t i = 0; i < moved.size(); ++i)
    if (!moved[i]) moved[i] = zeros_like(outputs[i]);
  return nb::make_tuple(list_of(outputs), list_of(moved));
}

// ---- vmap

constexpr int64_t kUnmapped = INT64_MIN;

// An axis for each array of the subtree of `outline` at `at`, from a tree of axes that may end above.
void axes_of_arrays(const Outline& outline, size_t& at, nb::handle axes, const char* what, std::vector<int64_t>& out) {
  const containers::Token& token = outline.tokens[at++];
  auto refuse = [&] {
    throw ValueError(cat("vmap: ", what, " must be an int, None, or a tree of them that begins as the values do"));
  };
  bool leaf = axes.is_none() || PyLong_Check(axes.ptr());
  if (token.mark == containers::Mark::array) {
    bool alone = PyTuple_Check(axes.ptr()) && PyTuple_Size(axes.ptr()) == 1;
    nb::handle axis = alone ? nb::handle(PyTuple_GetItem(axes.ptr(), 0)) : axes;
    if (!axis.is_none() && !PyLong_Check(axis.ptr())) refuse();
    out.push_back(axis.is_none() ? kUnmapped : integer_of(axis, "vmap"));
    return;
  }
  bool dict = token.mark == containers::Mark::dict;
  if (!leaf) {
    bool fits = dict                                   ? PyDict_Check(axes.ptr())
                : token.mark == containers::Mark::list ? PyList_Check(axes.ptr())
                                                       : PyTuple_Check(axes.ptr());
    if (!fits || nb::len(axes) != token.count) refuse();
  }
  for (uint32_t i = 0; i < token.count; ++i) {
    nb::object child = nb::borrow(axes);
    if (dict) {
      const nb::object& key = outline.tokens[at++].object;
      if (!leaf) {
        nb::dict given = nb::borrow<nb::dict>(axes);
        if (!given.contains(key)) refuse();
        child = given[key];
      }
    } else if (!leaf) {
      child = axes[size_t(i)];
    }
    axes_of_arrays(outline, at, child, what, out);
  }
}

std::vector<int64_t> axes_of_arrays(const Outline& outline, nb::handle axes, const char* what) {
  std::vector<int64_t> out;
  size_t at = 0;
  axes_of_arrays(outline, at, axes, what, out);
  return out;
}

nb::object vmap(nb::handle fun, nb::handle in_axes, nb::handle out_axes, nb::tuple args) {
  Outline outline;
  containers::Leaves leaves;
  containers::take_apart(args, containers::Others::refuse, "vmap", outline, leaves);
  // Axes of the only argument may come without a tuple around them.
  nb::object axes = nb::borrow(in_axes);
  bool wrapped = PyTuple_Check(axes.ptr()) && nb::len(axes) == args.size();
  if (args.size() == 1 && !wrapped) axes = nb::make_tuple(axes);
  std::vector<int64_t> axis = axes_of_arrays(outline, axes, "in_axes");

  FunctionTrace scope;
  struct Trace {
    Ref<Placeholder::Trace> trace{new Placeholder::Trace("vmap")};
    ~Trace() { trace->ended = true; }
  } trace;
  Arrays values, inputs, given;
  int64_t size = -1;
  for (size_t i = 0; i < leaves.size(); ++i) {
    Array x = array_of(leaves[i].ptr());
    if (axis[i] == kUnmapped) {
      given.push_back(mutable_array(std::move(x)));
      continue;
    }
    int64_t rank = int64_t(x.ndim()), from = axis[i] < 0 ? axis[i] + rank : axis[i];
    if (from < 0 || from >= rank) throw AxisError(cat("vmap: an array of shape ", x.shape(), " has no axis ", axis[i]));
    if (from != 0) x = moveaxis(x, int(from), 0);
    if (size >= 0 && x.dim(0) != size)
      throw ValueError(cat("vmap: the mapped axes have different sizes: ", size, " and ", x.dim(0)));
    size = x.dim(0);
    inputs.push_back(
        make_placeholder(Shape(x.shape().begin() + 1, x.shape().end()), x.dtype(), trace.trace, scope.id()));
    inputs.back().node()->rebindable = true;
    given.push_back(inputs.back());
    values.push_back(mutable_array(std::move(x)));
  }
  if (size < 0) throw ValueError("vmap: at least one axis in in_axes must not be None");

  EffectScope effects(trace.trace);
  Outline shape;
  containers::Leaves found;
  nb::object result = call(fun, built(outline, given));
  containers::take_apart(result, containers::Others::refuse, "vmap: what the function returns", shape, found);
  std::vector<int64_t> to = axes_of_arrays(shape, out_axes, "out_axes");
  Arrays outputs = arrays_at(found);
  size_t count = outputs.size();
  if (Array token = effects.end()) outputs.push_back(token);
  Batched mapped = map_batch(inputs, outputs, values, size, scope.id());
  if (outputs.size() > count) EffectScope::advance(mapped.outputs.back());
  mapped.outputs.resize(count);
  for (size_t i = 0; i < count; ++i) {
    Array& x = mapped.outputs[i];
    if (to[i] == kUnmapped) {
      if (mapped.batched[i])
        throw ValueError("vmap: an output depends on a mapped argument, so out_axes cannot be None for it");
      continue;
    }
    x = with_batch_axis(x, mapped.batched[i], size);
    int place = normalize_axis("vmap: out_axes", to[i], x.ndim());
    if (place != 0) x = moveaxis(x, 0, place);
  }
  return built(shape, mapped.outputs);
}

// ---- trees for Python code

// The arrays of a tree, and what puts it together again around others.
nb::object take_apart(nb::handle tree, const std::string& what, const std::string& others) {
  Outline outline;
  containers::Leaves leaves;
  auto kind = others == "refuse" ? containers::Others::refuse : containers::Others::keep;
  containers::take_apart(tree, kind, what.c_str(), outline, leaves);
  nb::object arrays = nb::steal(PyTuple_New(Py_ssize_t(leaves.size())));
  for (size_t i = 0; i < leaves.size(); ++i) PyTuple_SetItem(arrays.ptr(), Py_ssize_t(i), leaves[i].release().ptr());
  return nb::make_tuple(arrays, nb::cast(std::move(outline)));
}

int traverse_outline(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<Outline>(nb::handle(self))->traverse(visit, arg) : 0;
}
int clear_outline(PyObject* self) {
  if (nb::inst_ready(self)) std::vector<containers::Token>().swap(nb::inst_ptr<Outline>(nb::handle(self))->tokens);
  return 0;
}
PyType_Slot outline_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse_outline)},
                               {Py_tp_clear, reinterpret_cast<void*>(clear_outline)},
                               {0, nullptr}};

}  // namespace

void bind_shim_transforms(nb::module_& core) {
  nb::module_ m = core.def_submodule("compat", "What funcnn.compat needs of the core.");
  m.def("value_and_grad", &value_and_grad);
  m.def("vjp", &vjp);
  m.def("jvp", &jvp);
  m.def("vmap", &vmap, nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg());
  nb::class_<Outline>(m, "Outline", nb::type_slots(outline_slots), "A tree without its arrays.")
      .def("build",
           [](const Outline& outline, nb::handle arrays) {
             if (outline.tokens.empty()) throw ValueError("the garbage collector has taken this tree");
             nb::object items = nb::steal(PySequence_Tuple(arrays.ptr()));
             if (!items.is_valid()) throw nb::python_error();
             size_t wanted = size_t(std::count_if(outline.tokens.begin(), outline.tokens.end(), [](const auto& token) {
               return token.mark == containers::Mark::array;
             }));
             if (nb::len(items) != wanted)
               throw ValueError(cat("a tree of ", wanted, " arrays was given ", nb::len(items)));
             Py_ssize_t next = 0;
             Builder builder(outline);
             return builder.build([&] { return nb::borrow(PyTuple_GetItem(items.ptr(), next++)); });
           })
      .def("__eq__", [](const Outline& a, const Outline& b) { return a == b; }, nb::is_operator());
  m.def("take_apart", &take_apart, nb::arg().none(), nb::arg(), nb::arg());
  m.def("stop_gradient", [](const Array& a) { return stop_gradient(a); }, nb::arg("a"));
  bind_shim_compile(m);
  bind_shim_custom(m);
  bind_shim_eval(m);
  bind_shim_export(m);
  m.def("set_stand_in", [](nb::handle type, const std::string& name) { containers::set_stand_in(type, name.c_str()); });
}

}  // namespace funcnn
