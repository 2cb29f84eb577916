// checkpoint, rules of the user's own, and annotations of values.
#include <nanobind/stl/set.h>
#include <nanobind/stl/string.h>

#include "bindings/interpreter.h"
#include "bindings/transforms.h"
#include "graph/trace.h"
#include "ops/annotate.h"
#include "plan/compiled_graph.h"
#include "plan/eval.h"
#include "transforms/checkpoint.h"
#include "transforms/custom.h"

namespace funcnn {
namespace {

// A Python function and the structures of the trees that it takes; graphs keep it for their rules.
struct Callback {
  nb::object function;
  std::vector<Flat> arguments;  // without their arrays
  Flat outputs;
};

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
  if (trace_depth() == 0) return call(fun, args, kwargs);
  Flat arguments = flatten_arrays(nb::make_tuple(args, kwargs), Others::keep, "checkpoint: argument");
  Flat outputs;
  auto f = [&](Span inputs) {
    nb::tuple both = nb::borrow<nb::tuple>(arguments.with(inputs));
    outputs = flatten_arrays(call(fun, both[0], both[1]), Others::keep, "checkpoint: the output");
    return outputs.arrays;
  };
  Arrays made = checkpoint(f, arguments.arrays, policy_of(keep, std::move(names), budget));
  return outputs.with(made);
}

// ---- rules of the user's own

nb::object custom_vjp_call(nb::handle fun, nb::handle forward, nb::handle backward, nb::tuple args) {
  if (trace_depth() == 0) return call(fun, args);
  Callback callback{nb::borrow(backward), {}, {}};
  Arrays arguments = flatten_all(args, callback.arguments, "custom_vjp");
  auto [result, kept] =
      as_pair(call(forward, args), "custom_vjp: the forward function must return (output, residuals)");
  Flat outputs = flatten_arrays(result, Others::convert, "custom_vjp: the output");
  Flat residuals = flatten_arrays(kept, Others::keep, "custom_vjp: the residuals");
  callback.arguments = frames(callback.arguments);
  callback.outputs = frame(outputs);
  struct Backward {
    Callback callback;
    Flat residuals;
  };
  auto held = keep_python(Backward{std::move(callback), frame(residuals)});
  auto rule = std::make_shared<const BackwardRule>([held](Span saved, Span cotangents) {
    nb::gil_scoped_acquire lock;
    const auto& [callback, residuals] = *held;
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
  });
  return outputs.with(with_backward_rule(std::move(rule), arguments, outputs.arrays, residuals.arrays));
}

nb::object custom_jvp_call(nb::handle fun, nb::handle function, nb::tuple args) {
  nb::object result = call(fun, args);
  if (trace_depth() == 0) return result;
  Callback callback{nb::borrow(function), {}, {}};
  Arrays arguments = flatten_all(args, callback.arguments, "custom_jvp");
  Flat outputs = flatten_arrays(result, Others::convert, "custom_jvp: the output");
  callback.arguments = frames(callback.arguments);
  callback.outputs = frame(outputs);
  auto held = keep_python(std::move(callback));
  auto rule = std::make_shared<const ForwardRule>([held](Span primals, Span tangents) {
    nb::gil_scoped_acquire lock;
    // Static leaves have no tangent.
    std::vector<Flat> moving = held->arguments;
    for (Flat& flat : moving)
      for (nb::object& leaf : flat.leaves)
        if (leaf.is_valid()) leaf = nb::none();
    nb::object given =
        call(held->function, nb::make_tuple(rebuild_all(held->arguments, primals), rebuild_all(moving, tangents)));
    auto pair = as_pair(given, "custom_jvp: the rule must return (output, tangent of the output)");
    Arrays result;
    append_matching(held->outputs, pair.second, "custom_jvp: the tangent of the output", result);
    return result;
  });
  return outputs.with(with_forward_rule(std::move(rule), arguments, outputs.arrays));
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
