// vmap of Python functions; see funcnn._transforms.
#include "transforms/vmap.h"

#include <algorithm>

#include "base/error.h"
#include "bindings/effects.h"
#include "bindings/transforms.h"
#include "graph/trace.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

using pytree::Leaves;
using pytree::TreeDef;

constexpr int64_t kUnmapped = INT64_MIN;

std::vector<int64_t> axes_of_leaves(nb::handle prefix, const TreeDef& treedef, const char* what) {
  Leaves leaves;
  pytree::FlattenOptions options;
  options.none_is_leaf = true;
  pytree::broadcast_prefix(prefix, treedef, leaves, what, options);
  std::vector<int64_t> axes;
  for (const nb::object& axis : leaves) {
    if (!axis.is_none() && (!PyIndex_Check(axis.ptr()) || PyBool_Check(axis.ptr()) || is_array(axis.ptr())))
      throw TypeError(cat(what, ": expected ints and None, got ", nb::repr(axis).c_str()));
    axes.push_back(axis.is_none() ? kUnmapped : integer_of(axis, what));
  }
  return axes;
}

// What a call of a mapped function knows of one of its array arguments.
struct Mapped {
  std::string where;
  int64_t size, axis;
  Shape shape;
};

// Ends the trace even if the function raises.
struct AbstractTrace {
  Ref<Placeholder::Trace> trace;
  ~AbstractTrace() { trace->ended = true; }
};

class MappedCall {
 public:
  MappedCall(TraceId id, const Ref<Placeholder::Trace>& trace) : id_(id), trace_(trace) {}

  // The tree with a placeholder for each mapped leaf.
  nb::object enter(nb::handle tree, nb::handle axes, const char* what) {
    Leaves leaves;
    TreeDef treedef = pytree::flatten(tree, leaves);
    std::vector<int64_t> axis = axes_of_leaves(axes, treedef, what);
    for (size_t i = 0; i < leaves.size(); ++i) {
      if (axis[i] == kUnmapped) continue;
      std::string where = cat("argument ", treedef.path_of_leaf(i));
      Array x;
      if (!leaf_as_array(leaves[i], std::nullopt, x))
        throw TypeError(cat("vmap: ", where, ": expected an array, got ", nb::inst_name(leaves[i]).c_str(),
                            "; give it None in in_axes to pass it unmapped"));
      if (x.ndim() == 0)
        throw ValueError(cat("vmap: ", where, " is a scalar and has no axis to map over; give it None in in_axes"));
      int64_t rank = int64_t(x.ndim()), from = axis[i] < 0 ? axis[i] + rank : axis[i];
      if (from < 0 || from >= rank)
        throw AxisError(cat("vmap: in_axes has ", axis[i], " for ", where, ", which has shape ", x.shape()));
      if (from != 0) x = moveaxis(x, from, 0);
      found_.push_back({std::move(where), x.shape()[0], axis[i], x.shape()});
      Shape inner(x.shape().begin() + 1, x.shape().end());
      inputs_.push_back(make_placeholder(std::move(inner), x.dtype(), trace_, id_));
      inputs_.back().node()->rebindable = x.node()->rebindable;
      values_.push_back(std::move(x));
      leaves[i] = wrap_object(inputs_.back());
    }
    return pytree::unflatten(treedef, leaves);
  }

  int64_t size(nb::handle given) const {
    std::optional<int64_t> size;
    if (!given.is_none()) size = integer_of(given, "vmap: axis_size");
    bool differ = std::any_of(found_.begin(), found_.end(),
                              [&](const Mapped& m) { return m.size != (size ? *size : found_[0].size); });
    if (differ) {
      std::string message = "vmap: the mapped axes have different sizes:";
      if (size) message += cat(" axis_size is ", *size, ";");
      size_t shown = std::min<size_t>(found_.size(), 8);
      for (size_t i = 0; i < shown; ++i)
        message += cat(i ? ", " : " ", found_[i].where, " has ", found_[i].size, " (axis ", found_[i].axis, ")");
      if (shown < found_.size()) message += cat(", and ", found_.size() - shown, " more");
      throw ValueError(message);
    }
    if (size) return *size;
    if (found_.empty())
      throw ValueError("vmap: nothing is mapped: every axis in in_axes is None or there are no arrays; give axis_size");
    return found_[0].size;
  }

  nb::object leave(nb::handle result, nb::handle out_axes, int64_t size, EffectScope& effects) {
    Leaves leaves;
    TreeDef treedef = pytree::flatten(result, leaves);
    std::vector<int64_t> axes = axes_of_leaves(out_axes, treedef, "vmap: out_axes");
    Arrays outputs;
    for (size_t i = 0; i < leaves.size(); ++i) {
      Array x;
      if (!leaf_as_array(leaves[i], std::nullopt, x) && axes[i] != kUnmapped)
        throw TypeError(cat("vmap: the output", at_path(treedef, i), ": expected an array, got ",
                            nb::inst_name(leaves[i]).c_str()));
      outputs.push_back(std::move(x));
    }
    Arrays some;
    for (const Array& x : outputs)
      if (x) some.push_back(x);
    Array token = effects.end();
    if (token) some.push_back(token);
    Batched mapped = map_batch(inputs_, some, values_, size, id_);
    if (token) EffectScope::advance(mapped.outputs.back());
    size_t next = 0;
    for (size_t i = 0; i < leaves.size(); ++i) {
      if (!outputs[i]) continue;
      Array x = mapped.outputs[next];
      bool batched = mapped.batched[next++];
      if (axes[i] == kUnmapped) {
        if (batched)
          throw ValueError(cat("vmap: the output", at_path(treedef, i),
                               " depends on a mapped argument, so out_axes cannot be None for it"));
      } else {
        x = with_batch_axis(x, batched, size);
        int to = normalize_axis("vmap: out_axes", axes[i], x.ndim());
        if (to != 0) x = moveaxis(x, 0, to);
      }
      leaves[i] = wrap_object(std::move(x));
    }
    return pytree::unflatten(treedef, leaves);
  }

 private:
  TraceId id_;
  Ref<Placeholder::Trace> trace_;
  Arrays inputs_, values_;
  std::vector<Mapped> found_;
};

nb::object vmap(nb::handle fun, nb::handle in_axes, nb::handle out_axes, nb::handle axis_size, nb::tuple args,
                nb::dict kwargs) {
  FunctionTrace scope;
  AbstractTrace trace{new Placeholder::Trace("vmap")};
  MappedCall mapped(scope.id(), trace.trace);
  nb::object new_args = mapped.enter(args, in_axes, "vmap: in_axes");
  nb::object new_kwargs = kwargs.size() ? mapped.enter(kwargs, nb::int_(0), "vmap: in_axes") : nb::object(kwargs);
  int64_t size = mapped.size(axis_size);
  EffectScope effects(trace.trace);
  return mapped.leave(call(fun, new_args, new_kwargs), out_axes, size, effects);
}

}  // namespace

void bind_vmap(nb::module_& m) {
  m.def("vmap", &vmap, nb::arg("fun"), nb::arg("in_axes").none(), nb::arg("out_axes").none(),
        nb::arg("axis_size").none(), nb::arg("args"), nb::arg("kwargs"));
}

}  // namespace funcnn
