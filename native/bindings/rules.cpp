// checkpoint, rules of the user's own, and annotations of values.
#include <algorithm>

#include <nanobind/stl/set.h>
#include <nanobind/stl/string.h>

#include "bindings/effects.h"
#include "bindings/gil.h"
#include "bindings/held.h"
#include "bindings/imported.h"
#include "bindings/rules.h"
#include "bindings/transforms.h"
#include "graph/trace.h"
#include "ops/annotate.h"
#include "plan/compiled_graph.h"
#include "plan/eval.h"
#include "transforms/checkpoint.h"
#include "transforms/custom.h"

namespace funcnn {

bool no_trace_sees(Span arguments) {
  return current_trace() == 0 && std::none_of(arguments.begin(), arguments.end(), is_traced);
}

std::string name_of(nb::handle function) {
  nb::object name = nb::getattr(function, "__name__", nb::none());
  return name.is_none() ? std::string("the function") : nb::cast<std::string>(nb::str(name));
}

namespace {

// A function whose rule is being tried out on this thread: calls of it inside say nothing new.
thread_local std::vector<PyObject*> on_trial;

}  // namespace

bool tried_now(nb::handle owner) { return std::find(on_trial.begin(), on_trial.end(), owner.ptr()) != on_trial.end(); }

// Whether a function can reach no array but through its arguments. Those that it finds as globals outlive any trace.
bool closes_over_nothing(nb::handle function) {
  static constinit Imported partial("functools", "partial"), plain("types", "FunctionType");
  if (nb::handle(Py_TYPE(function.ptr())).is(partial.get())) return closes_over_nothing(function.attr("func"));
  if (!nb::handle(Py_TYPE(function.ptr())).is(plain.get())) return false;
  for (const char* name : {"__closure__", "__defaults__", "__kwdefaults__"})
    if (!function.attr(name).is_none()) return false;
  return true;
}

Arrays used_by_rule(nb::handle owner, const std::string& name, Span like, const std::function<Arrays(Span)>& rule) {
  struct Trial {
    explicit Trial(PyObject* owner) { on_trial.push_back(owner); }
    ~Trial() { on_trial.pop_back(); }
  } trial(owner.ptr());
  FunctionTrace scope;
  uint64_t since = next_node_sequence();
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the rule of " + name));
  EffectScope effects(trace, scope.id());  // of a trial: nobody asks for them
  Arrays given;
  for (const Array& x : like) {
    given.push_back(make_placeholder(x.shape(), x.dtype(), trace, scope.id()));
    given.back().node()->weak = x.node()->weak;
    given.back().node()->rebindable = x.node()->rebindable;
  }
  Arrays made;
  try {
    for (Array& x : rule(Span(given)))
      if (x) made.push_back(std::move(x));
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;
    return {};
  } catch (const Interrupted&) {
    throw;
  } catch (const PendingError&) {
    PyErr_Clear();
    return {};
  } catch (const std::exception&) {
    return {};
  }
  trace->ended = true;
  return used_from_outside(made, given, since);
}

Arrays run_rule(const std::string& name, const char* which, const Arrays& used, Span now, Span given,
                const std::function<Arrays()>& rule) {
  uint64_t since = next_node_sequence();
  Arrays made = rule(), some;
  for (const Array& x : made)
    if (x) some.push_back(x);
  Arrays known(given.begin(), given.end());
  known.insert(known.end(), used.begin(), used.end());
  known.insert(known.end(), now.begin(), now.end());
  for (const Array& x : used_from_outside(some, known, since))
    if (leaked(x))
      throw TracedValueError(cat(name, ": ", which, " uses a value of shape ", x.shape(), " and dtype ", x.dtype(),
                                 " that belongs to a transformation which has ended; pass it to the function as an "
                                 "argument"));
  if (std::equal(used.begin(), used.end(), now.begin(), now.end())) return made;
  Arrays replaced = replace(some, used, now);
  size_t next = 0;
  for (Array& x : made)
    if (x) x = replaced[next++];
  return made;
}

bool must_try(nb::handle rule) { return (rebuilds_nodes() || current_trace() == 0) && !closes_over_nothing(rule); }

Arrays joined(Span a, Span b) {
  Arrays all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

namespace {

// A Python function and the structures of the trees that it takes; graphs keep it for their rules.
struct PythonRule {
  nb::object function;
  std::vector<Flat> arguments;  // without their arrays
  Flat outputs;
};

int visit_callback(const PythonRule& callback, visitproc visit, void* arg) {
  if (PyObject* function = callback.function.ptr())
    if (int stop = visit(function, arg)) return stop;
  for (const Flat& flat : callback.arguments)
    if (int stop = visit_flat(flat, visit, arg)) return stop;
  return visit_flat(callback.outputs, visit, arg);
}

// The structure and the static leaves of a tree.
Flat frame(const Flat& flat) {
  Flat result = flat;
  result.arrays.clear();
  return result;
}
std::vector<Flat> frames(const std::vector<Flat>& flats) {
  std::vector<Flat> result;
  for (const Flat& flat : flats) result.push_back(frame(flat));
  return result;
}

Arrays flatten_all(nb::tuple args, std::vector<Flat>& flats, const char* name) {
  Arrays all;
  for (size_t i = 0; i < args.size(); ++i) {
    flats.push_back(flatten_arrays(args[i], Others::keep, cat(name, ": argument ", i)));
    all.insert(all.end(), flats.back().arrays.begin(), flats.back().arrays.end());
  }
  return all;
}

// One tree for each frame.
nb::tuple rebuild_all(const std::vector<Flat>& flats, Span arrays) {
  nb::list trees;
  size_t next = 0;
  for (const Flat& flat : flats) {
    trees.append(flat.with(arrays.subspan(next, flat.at.size())));
    next += flat.at.size();
  }
  return nb::tuple(trees);
}

// Arrays of a tree with the structure of `like` (a frame); None, for a whole subtree too, is null.
void append_matching(const Flat& like, nb::handle tree, const std::string& what, Arrays& out) {
  if (tree.is_none()) {
    out.resize(out.size() + like.at.size());
    return;
  }
  pytree::Leaves subtrees;
  pytree::flatten_up_to(like.treedef, tree, subtrees, what);
  for (uint32_t leaf : like.at) {
    Array x;
    if (!subtrees[leaf].is_none() && !leaf_as_array(subtrees[leaf], std::nullopt, x))
      throw TypeError(cat(what, at_path(like.treedef, leaf), ": expected an array or None, got ",
                          nb::inst_name(subtrees[leaf]).c_str()));
    out.push_back(std::move(x));
  }
}

// ---- checkpoint

CheckpointPolicy policy_of(const std::string& keep, std::set<std::string> names, size_t budget) {
  using Keep = CheckpointPolicy::Keep;
  CheckpointPolicy policy;
  policy.keep = keep == "everything" ? Keep::everything
                : keep == "dots"     ? Keep::dots
                : keep == "names"    ? Keep::names
                : keep == "budget"   ? Keep::budget
                                     : Keep::nothing;
  policy.names.insert(names.begin(), names.end());
  policy.budget = budget;
  policy.peak_bytes = [](const Graph& graph) {
    Unlocked unlocked;
    return planned_peak_bytes(graph);
  };
  policy.warn = [](const std::string& message) {
    if (PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) < 0) throw nb::python_error();
  };
  return policy;
}

nb::object checkpoint_call(nb::handle fun, const std::string& keep, std::set<std::string> names, size_t budget,
                           nb::tuple args, nb::dict kwargs) {
  Flat arguments = flatten_arrays(nb::make_tuple(args, kwargs), Others::keep, "checkpoint: argument");
  auto call_with = [&](Span inputs) {
    nb::tuple both = nb::borrow<nb::tuple>(arguments.with(inputs));
    return call(fun, both[0], both[1]);
  };
  // Containers are made anew without a trace, too: what the function changes in them is its own.
  if (no_trace_sees(arguments.arrays)) return call_with(arguments.arrays);
  Flat outputs;
  auto f = [&](Span inputs) {
    outputs = flatten_arrays(call_with(inputs), Others::keep, "checkpoint: the output");
    return outputs.arrays;
  };
  Arrays made = checkpoint(f, arguments.arrays, policy_of(keep, std::move(names), budget));
  return outputs.with(made);
}

// ---- rules of the user's own

// The tree of `flat`, each array as a node of its own: what reaches the result in another way is used from outside.
struct Fresh {
  Arrays arrays;
  uint64_t since = next_node_sequence();
};
Fresh fresh(Span arrays) {
  Fresh made;
  for (const Array& x : arrays) made.arrays.push_back(alias_of(x));
  return made;
}

nb::object custom_vjp_call(nb::handle owner, nb::handle fun, nb::handle forward, nb::handle backward, nb::tuple args) {
  if (tried_now(owner)) return call(fun, args);
  PythonRule callback{nb::borrow(backward), {}, {}};
  RuleCall made;
  made.arguments = flatten_all(args, callback.arguments, "custom_vjp");
  if (no_trace_sees(made.arguments)) return call(fun, rebuild_all(callback.arguments, made.arguments));
  Fresh inputs = fresh(made.arguments);
  auto [result, kept] = as_pair(call(forward, rebuild_all(callback.arguments, inputs.arrays)),
                                "custom_vjp: the forward function must return (output, residuals)");
  Flat outputs = flatten_arrays(result, Others::convert, "custom_vjp: the output");
  Flat residuals = flatten_arrays(kept, Others::keep, "custom_vjp: the residuals");
  callback.arguments = frames(callback.arguments);
  callback.outputs = frame(outputs);
  made.outside = used_from_outside(outputs.arrays, inputs.arrays, inputs.since);
  made.outputs = outputs.arrays;

  struct Backward : PythonHeld {
    PythonRule callback;
    Flat residuals;
    Backward(PythonRule c, Flat r) : callback(std::move(c)), residuals(std::move(r)) {}
    int visit(visitproc visit, void* arg) const override {
      if (int stop = visit_callback(callback, visit, arg)) return stop;
      return visit_flat(residuals, visit, arg);
    }
    // (residuals, cotangents) -> cotangents of the arguments.
    Arrays operator()(Span saved, Span cotangents) const {
      nb::object given =
          call(callback.function, nb::make_tuple(residuals.with(saved), callback.outputs.with(cotangents)));
      size_t count = callback.arguments.size();
      bool sequence = PyTuple_Check(given.ptr()) || PyList_Check(given.ptr());
      if (!sequence || nb::len(given) != count)
        throw TypeError(cat("custom_vjp: the backward function must return a tuple of one cotangent for each of the ",
                            count, " arguments; it returned ",
                            sequence ? cat(nb::len(given), " values") : nb::inst_name(given).c_str()));
      Arrays result;
      for (size_t i = 0; i < count; ++i)
        append_matching(callback.arguments[i], given[i], cat("custom_vjp: the cotangent of argument ", i), result);
      return result;
    }
  };
  std::shared_ptr<Backward> held = keep_python(new Backward(std::move(callback), frame(residuals)));
  std::string name = name_of(owner);
  size_t count = residuals.arrays.size();
  Arrays used;
  if (must_try(backward))
    used = used_by_rule(owner, name, joined(residuals.arrays, outputs.arrays),
                        [&](Span given) { return (*held)(given.first(count), given.subspan(count)); });
  made.saved = joined(residuals.arrays, used);
  auto rule = std::make_shared<const BackwardRule>(
      BackwardRule{[held = held.get(), used, count, name](Span saved, Span cotangents) {
                     nb::gil_scoped_acquire lock;
                     return run_rule(name, "the backward function", used, saved.subspan(count),
                                     joined(saved.first(count), cotangents),
                                     [&] { return (*held)(saved.first(count), cotangents); });
                   },
                   name,
                   held,
                   {}});
  held.reset();
  return outputs.with(with_backward_rule(std::move(rule), made));
}

nb::object custom_jvp_call(nb::handle owner, nb::handle fun, nb::handle function, nb::tuple args) {
  if (tried_now(owner)) return call(fun, args);
  PythonRule callback{nb::borrow(function), {}, {}};
  RuleCall made;
  made.arguments = flatten_all(args, callback.arguments, "custom_jvp");
  if (no_trace_sees(made.arguments)) return call(fun, rebuild_all(callback.arguments, made.arguments));
  Fresh inputs = fresh(made.arguments);
  Flat outputs = flatten_arrays(call(fun, rebuild_all(callback.arguments, inputs.arrays)), Others::convert,
                                "custom_jvp: the output");
  callback.arguments = frames(callback.arguments);
  callback.outputs = frame(outputs);
  made.outside = used_from_outside(outputs.arrays, inputs.arrays, inputs.since);
  made.outputs = outputs.arrays;

  struct Forward : PythonHeld {
    PythonRule callback;
    explicit Forward(PythonRule c) : callback(std::move(c)) {}
    int visit(visitproc visit, void* arg) const override { return visit_callback(callback, visit, arg); }
    // (arguments, tangents) -> tangents of the outputs.
    Arrays operator()(Span primals, Span tangents) const {
      // Static leaves have no tangent.
      std::vector<Flat> moving = callback.arguments;
      for (Flat& flat : moving)
        for (nb::object& leaf : flat.leaves)
          if (leaf.is_valid()) leaf = nb::none();
      nb::object given = call(callback.function,
                              nb::make_tuple(rebuild_all(callback.arguments, primals), rebuild_all(moving, tangents)));
      auto pair = as_pair(given, "custom_jvp: the rule must return (output, tangent of the output)");
      Arrays result;
      append_matching(callback.outputs, pair.second, "custom_jvp: the tangent of the output", result);
      return result;
    }
  };
  std::shared_ptr<Forward> held = keep_python(new Forward(std::move(callback)));
  std::string name = name_of(owner);
  size_t count = made.arguments.size();
  if (must_try(function))
    made.saved = used_by_rule(owner, name, joined(made.arguments, made.arguments),
                              [&](Span given) { return (*held)(given.first(count), given.subspan(count)); });
  auto rule = std::make_shared<const ForwardRule>(
      ForwardRule{[held = held.get(), used = made.saved, name](Span primals, Span tangents, Span saved) {
                    nb::gil_scoped_acquire lock;
                    return run_rule(name, "the rule", used, saved, joined(primals, tangents),
                                    [&] { return (*held)(primals, tangents); });
                  },
                  name,
                  held,
                  {}});
  held.reset();
  return outputs.with(with_forward_rule(std::move(rule), made));
}

template <class F>
nb::object map_arrays(nb::handle tree, const char* name, F&& f) {
  Flat flat = flatten_arrays(tree, Others::keep, name);
  Arrays mapped;
  for (const Array& x : flat.arrays) mapped.push_back(f(x));
  return flat.with(mapped);
}

}  // namespace

void bind_rules(nb::module_& m) {
  m.def("checkpoint", &checkpoint_call);
  m.def("custom_vjp", &custom_vjp_call);
  m.def("custom_jvp", &custom_jvp_call);
  m.def(
      "stop_gradient", [](nb::handle tree) { return map_arrays(tree, "stop_gradient", stop_gradient); },
      nb::arg("tree").none());
  m.def(
      "checkpoint_name",
      [](nb::handle tree, const std::string& name) {
        return map_arrays(tree, "checkpoint_name", [&](const Array& x) { return checkpoint_name(x, name); });
      },
      nb::arg("tree").none(), nb::arg("name"));
}

}  // namespace funcnn
