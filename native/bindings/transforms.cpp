// grad, vjp, jvp and linearize of Python functions; see funcnn._transforms for what users see.
#include "bindings/transforms.h"

#include <algorithm>

#include "bindings/advice.h"
#include "bindings/gil.h"
#include "bindings/held.h"
#include "bindings/interchange.h"
#include "graph/trace.h"
#include "ops/rules.h"
#include "transforms/jvp.h"
#include "transforms/vjp.h"

namespace funcnn {

using pytree::Leaves;
using pytree::TreeDef;

std::string at_path(const TreeDef& treedef, size_t leaf) {
  std::string path = treedef.path_of_leaf(leaf);
  return path.empty() ? path : " at " + path;
}

bool leaf_as_array(nb::handle leaf, std::optional<Dtype> like, Array& out) {
  if (is_array(leaf.ptr())) {
    out = like ? beside(array_of(leaf.ptr()), *like) : array_of(leaf.ptr());
    return true;
  }
  if (convert_scalar(leaf.ptr(), like, out)) return true;
  if (!is_foreign(leaf.ptr())) return false;
  out = as_array(leaf, "array");
  return true;
}

nb::object Flat::with(Span replacements) const {
  auto wrapped = [&](size_t i) {
    return wrap_object(with_rebindable(with_weakness(replacements[i], weak[i]), rebindable[i]));
  };
  if (at.size() == leaves.size() && treedef.is_leaf()) return wrapped(0);
  Leaves all = leaves;
  for (size_t i = 0; i < at.size(); ++i) all[at[i]] = wrapped(i);
  return pytree::unflatten(treedef, all);
}

Flat flatten_arrays(nb::handle tree, Others others, const std::string& what) {
  Flat flat;
  flat.treedef = pytree::flatten(tree, flat.leaves);
  for (size_t i = 0; i < flat.leaves.size(); ++i) {
    nb::object& leaf = flat.leaves[i];
    Array x;
    if (is_array(leaf.ptr())) {
      x = array_of(leaf.ptr());
    } else if (others == Others::keep) {
      if (!is_foreign(leaf.ptr())) continue;
      x = as_array(leaf, "array");
    } else if (!weak_array(leaf, x) && !leaf_as_array(leaf, std::nullopt, x)) {
      throw TypeError(cat(what, at_path(flat.treedef, i), ": expected an array, got ", nb::inst_name(leaf).c_str(),
                          container_advice(leaf)));
    }
    flat.weak.push_back(x.node()->weak);
    flat.rebindable.push_back(x.node()->rebindable);
    flat.arrays.push_back(std::move(x));
    flat.at.push_back(uint32_t(i));
    leaf = nb::object();
  }
  return flat;
}

Arrays matching_arrays(const Flat& like, nb::handle tree, const std::string& what) {
  Leaves subtrees;
  pytree::flatten_up_to(like.treedef, tree, subtrees, what);
  Arrays result;
  for (size_t i = 0; i < like.at.size(); ++i) {
    nb::handle leaf = subtrees[like.at[i]];
    Array x;
    if (!leaf.is_none()) {
      const Array& other = like.arrays[i];
      if (!leaf_as_array(leaf, other.dtype(), x))
        throw TypeError(cat(what, at_path(like.treedef, like.at[i]), ": expected an array or None, got ",
                            nb::inst_name(leaf).c_str()));
      bool same_dtype = x.dtype() == other.dtype() || !is_inexact(other.dtype());
      if (x.shape() != other.shape() || !same_dtype)
        throw ValueError(cat(what, at_path(like.treedef, like.at[i]), " has shape ", x.shape(), " and dtype ",
                             x.dtype(), "; expected shape ", other.shape(), " and dtype ", other.dtype()));
      if (!is_inexact(other.dtype())) x = {};
    }
    result.push_back(std::move(x));
  }
  return result;
}

nb::object call(nb::handle f, nb::handle args, nb::handle kwargs) {
  nb::object result = nb::steal(PyObject_Call(f.ptr(), args.ptr(), kwargs.is_valid() ? kwargs.ptr() : nullptr));
  if (!result.is_valid()) throw nb::python_error();
  return result;
}

std::pair<nb::object, nb::object> as_pair(nb::handle result, const char* message) {
  bool sequence = PyTuple_Check(result.ptr()) || PyList_Check(result.ptr());
  if (!sequence || nb::len(result) != 2)
    throw TypeError(cat(message, "; it returned ",
                        sequence ? cat("a sequence of ", nb::len(result), " values") : nb::inst_name(result).c_str()));
  return {nb::object(result[0]), nb::object(result[1])};
}

namespace {

Arrays traced(Span arrays, TraceId id) {
  Arrays inputs;
  inputs.reserve(arrays.size());
  for (const Array& x : arrays) inputs.push_back(trace_input(x, id));
  return inputs;
}

Arrays filled(Arrays arrays, Span like) {
  for (size_t i = 0; i < arrays.size(); ++i)
    if (!arrays[i]) arrays[i] = zeros_like(like[i]);
  return arrays;
}

// A value of a transformation that has ended would be a constant here, without a word. Where others run around this
// one, what was made before node number `since` is left to them.
void refuse_leaked(const std::string& name, Span inputs, Span outputs, uint64_t since) {
  if (std::none_of(outputs.begin(), outputs.end(), [](const Array& x) { return x.node()->abstract; })) return;
  if (std::none_of(inputs.begin(), inputs.end(), [](const Array& x) { return x.node()->abstract; })) since = 0;
  for (const Array& x : outputs) {
    bool found = false;
    topological_order(Span(&x, 1), [&](Node& n) {
      if (!n.abstract || n.sequence < since) return false;
      auto* p = dynamic_cast<const Placeholder*>(n.primitive.get());
      found |= p && p->trace().ended;
      return !p;
    });
    if (found) throw_traced_value(*x.node(), name);
  }
}

// ---- grad

// The value of `fun` as the scalar that grad differentiates.
Array scalar_output(nb::handle value, const std::string& name) {
  Array x;
  auto type = [&] { return std::string(nb::inst_name(value).c_str()); };
  if (!leaf_as_array(value, std::nullopt, x))
    throw TypeError(cat(name, ": the function must return a scalar array, got ", type(),
                        "; if it returns more than the loss, return (loss, aux) and say has_aux=True"));
  // Its derivative would be 0 wherever the number came from.
  if (!is_array(value.ptr()))
    throw TypeError(cat(name, ": the function must return a scalar array, got ", type(),
                        ", which has no derivative: return the array, not its item() or float(), and compute it with "
                        "functions of funcnn, not of numpy or math; a constant is fn.array(c)"));
  if (x.ndim() != 0)
    throw ValueError(cat(name, ": the function must return a scalar, got shape ", x.shape(),
                         "; reduce it (x.sum() or x.mean()), or use vjp or jacrev"));
  if (!is_float(x.dtype()))
    throw ValueError(cat(name, ": the function must return a real floating-point scalar, got ", x.dtype()));
  return x;
}

void check_differentiable(const Flat& flat, const std::string& what) {
  for (size_t i = 0; i < flat.at.size(); ++i) {
    Dtype dtype = flat.arrays[i].dtype();
    if (!is_inexact(dtype))
      throw ValueError(cat(what, at_path(flat.treedef, flat.at[i]), " has dtype ", dtype,
                           "; only floating-point arrays have a gradient: convert it with astype, or leave it out with "
                           "argnums or where"));
  }
}

// (value of fun, aux or None, gradients): those by `positions` as a tuple, then those by `names`.
nb::object value_and_grad(nb::handle fun, const std::string& name, nb::tuple positions, nb::tuple names, bool has_aux,
                          nb::tuple args, nb::dict kwargs) {
  std::vector<Flat> flats;
  std::vector<Py_ssize_t> at;
  Py_ssize_t count = Py_ssize_t(args.size());
  for (nb::handle position : positions) {
    Py_ssize_t i = nb::cast<Py_ssize_t>(position), from_front = i < 0 ? i + count : i;
    if (from_front < 0 || from_front >= count)
      throw ValueError(cat(name, ": argnums has ", i, ", but the function was called with ", count,
                           " positional argument", count == 1 ? "" : "s",
                           kwargs.size() ? "; name keyword arguments in argnames" : ""));
    if (std::find(at.begin(), at.end(), from_front) != at.end())
      throw ValueError(cat(name, ": argnums names argument ", from_front, " twice"));
    at.push_back(from_front);
    std::string what = cat(name, ": argument ", from_front);
    flats.push_back(flatten_arrays(args[size_t(from_front)], Others::convert, what));
    check_differentiable(flats.back(), what);
  }
  for (nb::handle key : names) {
    std::string text = nb::cast<nb::str>(key).c_str(), what = cat(name, ": argument ", text);
    if (!kwargs.contains(key))
      throw ValueError(cat(name, ": argnames has \"", text, "\", but the function was called without that keyword"));
    flats.push_back(flatten_arrays(kwargs[key], Others::convert, what));
    check_differentiable(flats.back(), what);
  }

  FunctionTrace scope(TraceScope::Nodes::kept);
  Arrays inputs;
  std::vector<nb::object> trees;
  for (const Flat& flat : flats) {
    Arrays mine = traced(flat.arrays, scope.id());
    trees.push_back(flat.with(mine));
    inputs.insert(inputs.end(), mine.begin(), mine.end());
  }
  nb::object new_args = nb::steal(PyTuple_New(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    size_t which = size_t(std::find(at.begin(), at.end(), i) - at.begin());
    nb::object value = which < at.size() ? trees[which] : nb::object(args[size_t(i)]);
    PyTuple_SetItem(new_args.ptr(), i, value.release().ptr());
  }
  nb::dict new_kwargs = kwargs;
  if (names.size()) new_kwargs = nb::steal<nb::dict>(PyDict_Copy(kwargs.ptr()));
  for (size_t i = 0; i < names.size(); ++i) new_kwargs[names[i]] = trees[at.size() + i];
  trees.clear();
  uint64_t since = next_node_sequence();
  nb::object result = call(fun, new_args, new_kwargs), aux = nb::none();
  if (has_aux)
    std::tie(result, aux) = as_pair(result, (name + ": with has_aux the function must return (loss, aux)").c_str());
  Array output = scalar_output(result, name), seed = constant(1, output.dtype());
  refuse_leaked(name, inputs, Span(&output, 1), since);
  Arrays cotangents = filled(pull_back(inputs, Span(&output, 1), Span(&seed, 1), scope.id()), inputs);
  nb::list gradients;
  size_t next = 0;
  for (const Flat& flat : flats) {
    gradients.append(flat.with(Span(cotangents).subspan(next, flat.arrays.size())));
    next += flat.arrays.size();
  }
  return nb::make_tuple(wrap_object(std::move(output)), aux, nb::tuple(gradients));
}

// ---- vjp, jvp, linearize

struct Call {
  std::vector<Flat> arguments;
  Arrays inputs;
  Flat outputs;
  nb::object result, aux;
};

// Call `fun` on traced arguments.
Call trace_call(nb::handle fun, const std::string& name, nb::tuple primals, bool has_aux, TraceId id) {
  Call made;
  nb::object args = nb::steal(PyTuple_New(Py_ssize_t(primals.size())));
  for (size_t i = 0; i < primals.size(); ++i) {
    made.arguments.push_back(flatten_arrays(primals[i], Others::convert, cat(name, ": argument ", i)));
    Arrays inputs = traced(made.arguments.back().arrays, id);
    PyTuple_SetItem(args.ptr(), Py_ssize_t(i), made.arguments.back().with(inputs).release().ptr());
    made.inputs.insert(made.inputs.end(), inputs.begin(), inputs.end());
  }
  uint64_t since = next_node_sequence();
  made.result = call(fun, args);
  if (has_aux)
    std::tie(made.result, made.aux) =
        as_pair(made.result, (name + ": with has_aux the function must return (output, aux)").c_str());
  made.outputs = flatten_arrays(made.result, Others::convert, name + ": the output");
  refuse_leaked(name, made.inputs, made.outputs.arrays, since);
  made.result = made.outputs.with(made.outputs.arrays);
  return made;
}

// One tree of arrays for each argument.
nb::object argument_trees(const std::vector<Flat>& arguments, Span arrays) {
  nb::list trees;
  size_t next = 0;
  for (const Flat& flat : arguments) {
    trees.append(flat.with(arrays.subspan(next, flat.arrays.size())));
    next += flat.arrays.size();
  }
  return nb::tuple(trees);
}

Arrays argument_tangents(const std::vector<Flat>& arguments, nb::tuple tangents, const std::string& name) {
  if (tangents.size() != arguments.size())
    throw ValueError(cat(name, ": got ", tangents.size(), " tangents for ", arguments.size(), " argument",
                         arguments.size() == 1 ? "" : "s"));
  Arrays all;
  for (size_t i = 0; i < arguments.size(); ++i)
    for (Array& t : matching_arrays(arguments[i], tangents[i], cat(name, ": the tangent of argument ", i)))
      all.push_back(std::move(t));
  return all;
}

// Shapes and structure only: what a linear function is checked against, without keeping values alive.
Flat outline(const Flat& flat) {
  Flat result = flat;
  for (Array& x : result.arrays) x = zeros_like(x);
  return result;
}
std::vector<Flat> outline(const std::vector<Flat>& flats) {
  std::vector<Flat> result;
  for (const Flat& flat : flats) result.push_back(outline(flat));
  return result;
}

// What linear functions of Python trees share.
struct LinearFunction {
  LinearFunction(LinearMap given, const std::vector<Flat>& arguments, const Flat& outputs)
      : map(std::move(given)),
        arguments(outline(arguments)),
        outputs(outline(outputs)),
        holds(holds_python({map.graph(), map.captured()})) {}

  int traverse(visitproc visit, void* arg) const {
    for (const Flat& flat : arguments)
      if (int stop = visit_flat(flat, visit, arg)) return stop;
    if (int stop = visit_flat(outputs, visit, arg)) return stop;
    return holds ? visit_graph({map.graph(), map.captured()}, visit, arg) : 0;
  }
  void drop() {
    LinearMap last = std::move(map);
    std::vector<Flat> trees = std::move(arguments);
    Flat tree = std::move(outputs);
    dropped = true;
  }
  void check() const {
    if (dropped) throw ValueError("the garbage collector has taken what this function needs");
  }

  LinearMap map;
  std::vector<Flat> arguments;
  Flat outputs;
  bool holds = false, dropped = false;
};

struct VjpFunction : LinearFunction {
  using LinearFunction::LinearFunction;
  nb::object operator()(nb::handle cotangents) const {
    check();
    Arrays given = matching_arrays(outputs, cotangents, "vjp: the cotangent of the output");
    return argument_trees(arguments, map(filled(std::move(given), outputs.arrays)));
  }
};

struct JvpFunction : LinearFunction {
  using LinearFunction::LinearFunction;
  nb::object operator()(nb::args tangents) const {
    check();
    Arrays given = argument_tangents(arguments, tangents, "linearize"), like;
    for (const Flat& flat : arguments) like.insert(like.end(), flat.arrays.begin(), flat.arrays.end());
    return outputs.with(map(filled(std::move(given), like)));
  }
};

nb::object with_aux(nb::object a, nb::object b, bool has_aux, const nb::object& aux) {
  return has_aux ? nb::make_tuple(a, b, aux) : nb::make_tuple(a, b);
}

nb::object vjp(nb::handle fun, nb::tuple primals, bool has_aux) {
  FunctionTrace scope(TraceScope::Nodes::kept);
  Call made = trace_call(fun, "vjp", primals, has_aux, scope.id());
  VjpFunction back(vjp_map(made.inputs, made.outputs.arrays, scope.id()), made.arguments, made.outputs);
  return with_aux(made.result, nb::cast(std::move(back)), has_aux, made.aux);
}

nb::object linearize(nb::handle fun, nb::tuple primals, bool has_aux) {
  FunctionTrace scope(TraceScope::Nodes::kept);
  Call made = trace_call(fun, "linearize", primals, has_aux, scope.id());
  JvpFunction forward(jvp_map(made.inputs, made.outputs.arrays, scope.id()), made.arguments, made.outputs);
  return with_aux(made.result, nb::cast(std::move(forward)), has_aux, made.aux);
}

nb::object jvp(nb::handle fun, nb::tuple primals, nb::tuple tangents, bool has_aux) {
  FunctionTrace scope(TraceScope::Nodes::kept);
  Call made = trace_call(fun, "jvp", primals, has_aux, scope.id());
  Arrays given = argument_tangents(made.arguments, tangents, "jvp");
  Arrays moved = push_forward(made.inputs, made.outputs.arrays, given, scope.id());
  nb::object along = made.outputs.with(filled(std::move(moved), made.outputs.arrays));
  return with_aux(made.result, along, has_aux, made.aux);
}

template <class T>
int traverse_linear(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<T>(nb::handle(self))->traverse(visit, arg) : 0;
}
template <class T>
int clear_linear(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<T>(nb::handle(self))->drop();
  return 0;
}
template <class T>
PyType_Slot linear_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse_linear<T>)},
                              {Py_tp_clear, reinterpret_cast<void*>(clear_linear<T>)},
                              {0, nullptr}};

}  // namespace

void bind_transforms(nb::module_& core) {
  nb::module_ m = core.def_submodule("transforms", "Transformations of functions; see funcnn's own names.");
  m.def("value_and_grad", &value_and_grad);
  m.def("vjp", &vjp);
  m.def("jvp", &jvp);
  m.def("linearize", &linearize);
  // For values collected on the side: the innermost trace that runs, and the one that a value depends on (0: none).
  m.def("current_trace", &current_trace);
  m.def(
      "trace_of", [](nb::handle x) { return is_array(x.ptr()) ? running_trace_of(array_of(x.ptr())) : TraceId(0); },
      nb::arg().none());
  // Whether the value depends on a running trace, or has none because it leaked from one.
  m.def("is_traced", [](nb::handle x) { return is_array(x.ptr()) && is_traced(array_of(x.ptr())); }, nb::arg().none());
  nb::class_<VjpFunction>(m, "VjpFunction", nb::type_slots(linear_slots<VjpFunction>),
                          "The linear function from cotangents of outputs to those of arguments.")
      .def("__call__", &VjpFunction::operator(), nb::arg("cotangents").none());
  nb::class_<JvpFunction>(m, "JvpFunction", nb::type_slots(linear_slots<JvpFunction>),
                          "The linear function from tangents of arguments to those of outputs.")
      .def("__call__", &JvpFunction::operator());
  bind_vmap(m);
  bind_rules(m);
}

}  // namespace funcnn
