// Functions with rules of the user's own as MLX has them.
#include <algorithm>

#include "base/error.h"
#include "bindings/held.h"
#include "bindings/rules.h"
#include "bindings/shim.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/views.h"
#include "transforms/custom.h"

namespace funcnn {
namespace {

using containers::Mark;
using containers::Outline;
using containers::Token;

// The trees that a function was called with and that it returned, without their arrays.
struct Trees {
  Outline args, kwargs, outputs;
  size_t given = 0, named = 0, made = 0;  // arrays in each
};

struct Rules : PythonHeld {
  nb::object vjp, jvp, vmap;
  std::string name;
  Trees trees;

  int visit(visitproc visit, void* arg) const override {
    for (const nb::object* object : {&vjp, &jvp, &vmap})
      if (PyObject* held = object->ptr())
        if (int stop = visit(held, arg)) return stop;
    for (const Outline* outline : {&trees.args, &trees.kwargs, &trees.outputs})
      if (int stop = outline->traverse(visit, arg)) return stop;
    return 0;
  }

  // The only argument stands for itself.
  static nb::object alone(nb::object args) {
    return PyTuple_Size(args.ptr()) == 1 ? nb::object(nb::borrow(PyTuple_GetItem(args.ptr(), 0))) : args;
  }
  nb::object kwargs(Span named) const {
    return trees.named || trees.kwargs.tokens.size() > 1 ? built(trees.kwargs, named) : nb::object();
  }
};

// The tree of an outline in which objects, None among them, stand for arrays, and constants become None if asked for.
nb::object tree_of(const Outline& outline, const std::function<nb::object(size_t)>& leaf, bool constants = true) {
  size_t next = 0;
  if (constants) return containers::Builder(outline).build([&] { return leaf(next++); });
  Outline bare = outline;
  for (Token& token : bare.tokens)
    if (token.mark == Mark::constant) token.object = nb::none();
  return containers::Builder(bare).build([&] { return leaf(next++); });
}

nb::object array_or_none(const Array& x) { return x ? wrap_mutable(x) : nb::none(); }

// What `tree` has for each array of the outline from `at` on; None, and what it lacks, is null.
void collect(const Outline& outline, size_t& at, nb::handle tree, const std::string& what,
             std::vector<nb::object>& out) {
  const Token& token = outline.tokens[at++];
  bool none = !tree.is_valid() || tree.is_none();
  auto refuse = [&](const char* expected) {
    throw ValueError(cat(what, ": expected ", expected, ", got ", nb::inst_name(tree).c_str()));
  };
  switch (token.mark) {
    case Mark::array:
      out.push_back(none ? nb::object() : nb::borrow(tree));
      return;
    case Mark::list:
    case Mark::tuple:
      if (!none && !PyList_Check(tree.ptr()) && !PyTuple_Check(tree.ptr())) refuse("a list or tuple");
      if (!none && nb::len(tree) > token.count) throw ValueError(cat(what, ": there are more values than arrays"));
      for (uint32_t i = 0; i < token.count; ++i) {
        nb::object child = !none && i < nb::len(tree) ? nb::object(tree[size_t(i)]) : nb::object();
        collect(outline, at, child, what, out);
      }
      return;
    case Mark::dict:
      if (!none && !PyDict_Check(tree.ptr())) refuse("a dict");
      for (uint32_t i = 0; i < token.count; ++i) {
        const nb::object& key = outline.tokens[at++].object;
        nb::object child = none ? nb::object() : nb::borrow(PyDict_GetItemWithError(tree.ptr(), key.ptr()));
        if (!child.is_valid() && PyErr_Occurred()) throw nb::python_error();
        collect(outline, at, child, what, out);
      }
      return;
    default:
      return;
  }
}

// The same as arrays, of the dtypes that they stand for.
Arrays arrays_for(const Outline& outline, nb::handle tree, Span like, const std::string& what) {
  std::vector<nb::object> found;
  size_t at = 0;
  collect(outline, at, tree, what, found);
  Arrays arrays;
  for (size_t i = 0; i < found.size(); ++i) {
    Array x;
    if (found[i].is_valid()) {
      if (!leaf_as_array(found[i], like[i].dtype(), x))
        throw ValueError(cat(what, ": expected an array, got ", nb::inst_name(found[i]).c_str()));
      if (x.shape() != like[i].shape())
        throw ValueError(cat(what, ": expected an array of shape ", like[i].shape(), ", got one of shape ", x.shape()));
      if (x.dtype() != like[i].dtype()) x = astype(x, like[i].dtype());
    }
    arrays.push_back(std::move(x));
  }
  return arrays;
}

nb::object call_rule(const nb::object& rule, nb::object positional, const nb::object& kwargs) {
  return call(rule, positional, kwargs);
}

Arrays run_vjp(const Rules& r, Span arguments, Span cotangents, Span outputs) {
  const Trees& t = r.trees;
  nb::object args = Rules::alone(built(t.args, arguments.first(t.given)));
  nb::object given = call_rule(r.vjp, nb::make_tuple(args, built(t.outputs, cotangents), built(t.outputs, outputs)),
                               r.kwargs(arguments.subspan(t.given)));
  // A rule for one argument may give its cotangent without a tuple around it.
  bool single = t.args.tokens[0].count == 1;
  bool wrapped = single && PyTuple_Check(given.ptr()) && nb::len(given) == 1 && t.args.tokens[1].mark != Mark::tuple;
  bool several = PyTuple_Check(given.ptr()) || PyList_Check(given.ptr());
  if ((single && !wrapped) || !several) given = nb::make_tuple(given);
  Arrays to = arrays_for(t.args, given, arguments, r.name + ": what the vjp rule returns");
  to.resize(arguments.size());
  return to;
}

Arrays run_jvp(const Rules& r, Span arguments, Span tangents, Span outputs) {
  const Trees& t = r.trees;
  nb::object args = Rules::alone(built(t.args, arguments.first(t.given)));
  nb::object along = Rules::alone(tree_of(t.args, [&](size_t i) { return array_or_none(tangents[i]); }, false));
  nb::object given = call_rule(r.jvp, nb::make_tuple(args, along), r.kwargs(arguments.subspan(t.given)));
  return arrays_for(t.outputs, given, outputs, r.name + ": what the jvp rule returns");
}

Batched run_vmap(const Rules& r, Span arguments, std::span<const bool> batched, int64_t size) {
  const Trees& t = r.trees;
  nb::object args = Rules::alone(built(t.args, arguments.first(t.given)));
  auto axis = [&](size_t i) { return batched[i] ? nb::object(nb::int_(0)) : nb::none(); };
  nb::object axes = Rules::alone(tree_of(t.args, axis, false));
  nb::object given = call_rule(r.vmap, nb::make_tuple(args, axes), r.kwargs(arguments.subspan(t.given)));
  std::string what = r.name + ": what the vmap rule returns";
  if (!(PyTuple_Check(given.ptr()) || PyList_Check(given.ptr())) || nb::len(given) != 2)
    throw ValueError(cat(what, ": expected a pair of outputs and their axes, got ", nb::inst_name(given).c_str()));
  std::vector<nb::object> outputs, places;
  size_t at = 0;
  collect(t.outputs, at, nb::object(given[0]), what, outputs);
  if (PyLong_Check(nb::object(given[1]).ptr())) {
    places.assign(outputs.size(), nb::object(given[1]));
  } else {
    at = 0;
    collect(t.outputs, at, nb::object(given[1]), what, places);
  }
  Batched result;
  for (size_t i = 0; i < outputs.size(); ++i) {
    Array x;
    if (!outputs[i].is_valid() || !leaf_as_array(outputs[i], std::nullopt, x))
      throw ValueError(cat(what, ": expected arrays for all outputs"));
    bool mapped = places[i].is_valid();
    if (mapped) {
      int from = normalize_axis("vmap", integer_of(places[i], "vmap"), x.ndim());
      if (x.dim(from) != size)
        throw ValueError(cat(what, ": axis ", from, " of an output of shape ", x.shape(), " is not the mapped one, of ",
                             size, " elements"));
      if (from != 0) x = moveaxis(x, from, 0);
    }
    result.outputs.push_back(std::move(x));
    result.batched.push_back(mapped);
  }
  return result;
}

nb::object custom_function_call(nb::handle owner, nb::handle fun, nb::handle vjp, nb::handle jvp, nb::handle vmap,
                                nb::tuple args, nb::dict kwargs) {
  if (tried_now(owner)) return call(fun, args, kwargs);
  auto* rules = new Rules;
  std::shared_ptr<Rules> held = keep_python(rules);
  Trees& t = rules->trees;
  containers::Leaves leaves;
  containers::take_apart(args, containers::Others::keep, "custom_function", t.args, leaves);
  t.given = leaves.size();
  containers::take_apart(kwargs, containers::Others::keep, "custom_function", t.kwargs, leaves);
  t.named = leaves.size() - t.given;
  RuleCall made;
  for (const nb::object& leaf : leaves) made.arguments.push_back(array_of(leaf.ptr()));
  if (no_trace_sees(made.arguments)) return call(fun, args, kwargs);
  rules->name = name_of(fun);
  for (auto [from, to] : {std::pair(vjp, &rules->vjp), std::pair(jvp, &rules->jvp), std::pair(vmap, &rules->vmap)})
    if (!from.is_none()) *to = nb::borrow(from);

  // What the function makes, closed over its arguments.
  Graph graph;
  nb::object result;
  {
    FunctionTrace scope;
    Arrays inputs;
    for (const Array& x : made.arguments) inputs.push_back(mutable_array(trace_input(x, scope.id())));
    Span all(inputs);
    result = call(fun, built(t.args, all.first(t.given)), built(t.kwargs, all.subspan(t.given)));
    leaves.clear();
    containers::take_apart(result, containers::Others::keep, "custom_function", t.outputs, leaves);
    for (const nb::object& leaf : leaves) made.outputs.push_back(array_of(leaf.ptr()));
    graph = close_graph(inputs, made.outputs, scope.id(), made.outside, new Placeholder::Trace("custom_function"));
  }
  t.made = made.outputs.size();

  const std::string& name = rules->name;
  size_t count = made.arguments.size(), outputs = t.made;
  Arrays used;
  auto find = [&](const nb::object& rule, Span like, auto run) {
    if (!rule.is_valid() || !must_try(rule)) return;
    for (const Array& x : used_by_rule(owner, name, like, run))
      if (std::find(used.begin(), used.end(), x) == used.end()) used.push_back(x);
  };
  find(rules->vjp, joined(made.arguments, joined(made.outputs, made.outputs)), [&](Span given) {
    return run_vjp(*rules, given.first(count), given.subspan(count, outputs), given.subspan(count + outputs));
  });
  find(rules->jvp, joined(made.arguments, made.arguments),
       [&](Span given) { return run_jvp(*rules, given.first(count), given.subspan(count), made.outputs); });
  made.saved = used;

  auto function = std::make_shared<FunctionRules>(FunctionRules{{}, {}, {}, name, held, {}});
  if (rules->vjp.is_valid())
    function->vjp = [rules, used, name](Span arguments, Span cotangents, Span outputs, Span saved) {
      nb::gil_scoped_acquire lock;
      return run_rule(name, "the vjp rule", used, saved, joined(arguments, joined(cotangents, outputs)),
                      [&] { return run_vjp(*rules, arguments, cotangents, outputs); });
    };
  if (rules->jvp.is_valid()) {
    Arrays like;  // shapes and dtypes
    for (const Array& x : graph.outputs) like.push_back(x);
    function->jvp = [rules, used, name, like](Span arguments, Span tangents, Span saved) {
      nb::gil_scoped_acquire lock;
      Arrays given(arguments.begin(), arguments.end());
      for (const Array& x : tangents)
        if (x) given.push_back(x);
      return run_rule(name, "the jvp rule", used, saved, given,
                      [&] { return run_jvp(*rules, arguments, tangents, like); });
    };
  }
  if (rules->vmap.is_valid())
    function->batch = [rules](Span arguments, std::span<const bool> batched, int64_t size, Span) {
      nb::gil_scoped_acquire lock;
      return run_vmap(*rules, arguments, batched, size);
    };
  held.reset();
  return built(t.outputs, with_function_rules(std::move(function), std::move(graph), made));
}

}  // namespace

void bind_shim_custom(nb::module_& m) {
  m.def("custom_function", &custom_function_call, nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(),
        nb::arg().none(), nb::arg(), nb::arg());
}

}  // namespace funcnn
