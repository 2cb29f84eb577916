// fn.scan, fn.cond and fn.while_loop: Python functions as the bodies of control flow.
#include "transforms/control.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "base/error.h"
#include "bindings/trace.h"
#include "bindings/transforms.h"
#include "graph/transfer.h"
#include "ops/elementwise.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

void check_function(const char* name, const char* which, nb::handle f) {
  if (!PyCallable_Check(f.ptr()))
    throw TypeError(cat(name, ": ", which, " must be a function, got ", nb::inst_name(f).c_str()));
}

std::string aval_text(const Aval& a) { return cat(a.dtype, a.shape); }

// The function must give back what it was given.
void check_carry(const char* name, const Flat& init, const pytree::TreeDef& got, Span outputs) {
  if (!(got == init.treedef))
    throw TypeError(cat(name, ": the carry came back as ", got.repr(), ", expected ", init.treedef.repr(),
                        "; return the structure that was passed in"));
  for (size_t i = 0; i < init.arrays.size(); ++i) {
    Aval before = init.arrays[i].aval(), after = outputs[i].aval();
    if (before == after) continue;
    throw TypeError(cat(name, ": the carry", at_path(init.treedef, i), " went in as ", aval_text(before),
                        " and came back as ", aval_text(after),
                        "; convert it so that every step keeps shape and dtype"));
  }
}

Arrays join(Span a, Span b) {
  Arrays out(a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

// Give two graphs over the same first `shared` inputs the captured inputs of both.
void share_captured(Traced& a, Traced& b, size_t shared) {
  Arrays of_a(a.graph.inputs.begin() + ptrdiff_t(shared), a.graph.inputs.end());
  Arrays of_b(b.graph.inputs.begin() + ptrdiff_t(shared), b.graph.inputs.end());
  a.graph.inputs.insert(a.graph.inputs.end(), of_b.begin(), of_b.end());
  b.graph.inputs.insert(b.graph.inputs.begin() + ptrdiff_t(shared), of_a.begin(), of_a.end());
}

// A carry that is a Python number takes the type that the first step makes of it, as in the loop this stands for; the
// body is then traced again. A number that comes back takes the type of the carry.
bool settle_carry(Flat& init, Traced& body) {
  bool settled = true;
  for (size_t i = 0; i < init.arrays.size(); ++i) {
    Array &before = init.arrays[i], &after = body.graph.outputs[i];
    Dtype from = before.dtype(), to = after.dtype();
    if (before.shape() != after.shape()) continue;
    if (body.weak[i] && !init.weak[i]) {
      if (weak_dtype(to, from) == from) after = astype(after, from);
      continue;
    }
    if (!init.weak[i] || (body.weak[i] && from == to)) continue;
    if ((body.weak[i] ? promote_types(from, to) : weak_dtype(from, to)) != to) continue;
    before = with_weakness(astype(before, to), body.weak[i]);
    init.weak[i] = body.weak[i];
    settled = false;
  }
  return settled;
}

// Trace the body of a loop until the types of its carries stay what they were.
template <class F>
Traced trace_body(const char* name, Flat& init, F&& trace, size_t part) {
  for (;;) {
    Traced body = trace();
    const pytree::TreeDef structure = part == 0 ? body.outputs : body.outputs.children()[0];
    bool fits = structure == init.treedef;
    if (fits && !settle_carry(init, body)) continue;
    check_carry(name, init, structure, body.graph.outputs);
    return body;
  }
}

// The token that the effects of a body come after, as one more constant.
void thread_effects(Traced& body) {
  if (body.effects) body.captured.push_back(EffectScope::token());
}
// What a loop or branch gives beside its results, if it has effects, is their token.
void advance_effects(bool effects, Arrays& outputs) {
  if (!effects) return;
  EffectScope::advance(outputs.back());
  outputs.pop_back();
}

// What functions have captured on another device than their arguments' comes with these, and goes back there. Where
// nobody knows yet where these are, what somebody has moved may be elsewhere.
void bring_captured(Span arguments, std::initializer_list<Traced*> functions) {
  Device home = device_of(arguments);
  auto like = std::find_if(arguments.begin(), arguments.end(), [](const Array& x) { return x.node()->abstract; });
  if (!home.placed()) {
    Arrays all;
    for (const Traced* f : functions) all.insert(all.end(), f->captured.begin(), f->captured.end());
    auto moved = [](const Array& x) {
      Device at = x.node()->device;
      return at.placed() && (!x.node()->available() || at != default_device());
    };
    if (like == arguments.end() || std::none_of(all.begin(), all.end(), moved)) home = device_of(all);
  }
  auto elsewhere = [&](const Array& x) { return x.node()->device.placed() && x.node()->device != home; };
  for (Traced* f : functions) {
    if (std::none_of(f->captured.begin(), f->captured.end(), elsewhere)) continue;
    f->graph = with_fresh_inputs(f->graph, graph_trace(f->graph), home);
    for (Array& x : f->captured)
      if (elsewhere(x)) x = home.placed() ? device_put(x, home) : transfer_like(x, *like);
  }
}

// Where functions leave what they return, one after another if the one before says nothing; no device: anywhere.
std::vector<Device> devices_of(std::initializer_list<const Graph*> bodies) {
  std::vector<Device> devices;
  for (const Graph* body : bodies) {
    devices.resize(body->outputs.size());
    for (size_t i = 0; i < devices.size(); ++i)
      if (!devices[i].placed()) devices[i] = body->outputs[i].node()->device;
  }
  return devices;
}
// A loop or branch has its results where its inputs are.
void put_on(const std::vector<Device>& devices, Arrays& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i)
    if (devices[i].placed()) outputs[i] = device_put(outputs[i], devices[i]);
}

nb::object run_scan(nb::handle f, nb::handle init_tree, nb::handle xs_tree, std::optional<int64_t> length, bool reverse,
                    nb::handle unroll) {
  check_function("scan", "f", f);
  Flat init = flatten_arrays(init_tree, Others::convert, "scan: init");
  Flat xs = flatten_arrays(xs_tree, Others::convert, "scan: xs");
  std::optional<size_t> first;
  for (size_t i = 0; i < xs.arrays.size(); ++i) {
    const Array& x = xs.arrays[i];
    if (x.ndim() == 0)
      throw ValueError(cat("scan: xs", at_path(xs.treedef, i), " has no axis to scan along, its shape is ()"));
    if (first && x.dim(0) != xs.arrays[*first].dim(0))
      throw ValueError(cat("scan: xs", at_path(xs.treedef, *first), " has length ", xs.arrays[*first].dim(0), " and xs",
                           at_path(xs.treedef, i), " length ", x.dim(0), "; they are scanned together"));
    if (!first) first = i;
  }
  if (first && length && *length != xs.arrays[*first].dim(0))
    throw ValueError(cat("scan: length is ", *length, " but xs have length ", xs.arrays[*first].dim(0)));
  if (!first && !length) throw ValueError("scan: without arrays in xs, length must say how many steps to take");
  int64_t steps = first ? xs.arrays[*first].dim(0) : *length;
  if (steps < 0) throw ValueError(cat("scan: length must not be negative, got ", steps));
  int64_t at_once = PyBool_Check(unroll.ptr()) ? (unroll.ptr() == Py_True ? steps : 1) : integer_of(unroll, "scan");
  if (at_once < 1 && !PyBool_Check(unroll.ptr()))
    throw ValueError(cat("scan: unroll must be a bool or a positive number of steps, got ", at_once));

  size_t carries = init.arrays.size();
  auto trace = [&] {
    std::vector<Argument> arguments = arguments_of(init.arrays);
    for (const Array& x : xs.arrays) {
      arguments.push_back(argument_of(x));
      Shape& shape = arguments.back().aval.shape;
      shape.erase(shape.begin());
    }
    auto call = [&](Span in) {
      nb::object result = nb::handle(f)(init.with(in.subspan(0, carries)), xs.with(in.subspan(carries)));
      if (!PyTuple_Check(result.ptr()) || PyTuple_Size(result.ptr()) != 2)
        throw TypeError("scan: the function must return a pair (carry, y)");
      return result;
    };
    return trace_abstract(arguments, "scan", call, steps == 0 ? Extent::whole : Extent::dependent);
  };
  Traced body = trace_body("scan", init, trace, 1);
  const Arrays given = join(init.arrays, xs.arrays);
  body.ranges.check_turns(body.graph, given, carries, steps, nullptr);
  thread_effects(body);
  // Effects keep the order of plain steps.
  if (body.effects) at_once = 1;
  const std::vector<Device> devices = devices_of({&body.graph});
  bring_captured(given, {&body});
  Arrays out = scan_unrolled(std::move(body.graph), init.arrays, xs.arrays, body.captured, steps, reverse, at_once);
  advance_effects(body.effects, out);
  put_on(devices, out);
  return unflatten_arrays(body.outputs, out);
}

// A number that one branch returns takes the dtype of what the other does.
void share_dtype(Traced& a, Traced& b, size_t i) {
  Array &x = a.graph.outputs[i], &y = b.graph.outputs[i];
  Dtype from_x = x.dtype(), from_y = y.dtype();
  Dtype to_x = a.weak[i] ? weak_dtype(from_x, from_y) : from_x, to_y = b.weak[i] ? weak_dtype(from_y, from_x) : from_y;
  if (a.weak[i] && b.weak[i]) to_x = to_y = promote_types(from_x, from_y);
  if (to_x != to_y) return;
  x = astype(x, to_x);
  y = astype(y, to_y);
}

nb::object run_cond(nb::handle predicate, nb::handle if_true, nb::handle if_false, nb::tuple operands) {
  check_function("cond", "true_fun", if_true);
  check_function("cond", "false_fun", if_false);
  Array chosen = as_array(predicate, "cond");
  if (chosen.ndim() != 0)
    throw ValueError(
        cat("cond: the predicate must be 0-d, got shape ", chosen.shape(), "; for a choice by element use where"));
  chosen = astype(chosen, Dtype::bool_);
  Flat given = flatten_arrays(operands, Others::convert, "cond: operands");
  std::vector<Argument> arguments = arguments_of(given.arrays);
  auto trace = [&](nb::handle f) {
    auto call = [&](Span in) { return nb::object(nb::handle(f)(*nb::borrow<nb::tuple>(given.with(in)))); };
    return trace_abstract(arguments, "cond", call, Extent::whole);
  };
  Traced a = trace(if_true), b = trace(if_false);
  a.ranges.check(given.arrays);
  b.ranges.check(given.arrays);
  if (!(a.outputs == b.outputs))
    throw TypeError(cat("cond: the branches return different structures, ", a.outputs.repr(), " if true and ",
                        b.outputs.repr(), " if false"));
  for (size_t i = 0; i < a.outputs.num_leaves(); ++i) {
    share_dtype(a, b, i);
    Aval x = a.graph.outputs[i].aval(), y = b.graph.outputs[i].aval();
    if (!(x == y))
      throw TypeError(cat("cond: the branches disagree", at_path(a.outputs, i), ": ", aval_text(x), " if true and ",
                          aval_text(y), " if false"));
  }
  thread_effects(a);
  thread_effects(b);
  if (a.effects != b.effects)
    (a.effects ? b : a).graph.outputs.push_back(mark_effects(constant(int64_t(0), Dtype::bool_)));
  bring_captured(join(Span(&chosen, 1), given.arrays), {&a, &b});
  share_captured(a, b, given.arrays.size());
  Arrays inputs = join(join(given.arrays, a.captured), b.captured);
  const std::vector<Device> devices = devices_of({&a.graph, &b.graph});
  Arrays out = cond(chosen, std::move(a.graph), std::move(b.graph), inputs);
  advance_effects(a.effects || b.effects, out);
  put_on(devices, out);
  return unflatten_arrays(a.outputs, out);
}

// The token of a body without arguments of its own among the carries, where it comes and goes.
void carry_token(Traced& body, size_t carries) {
  Arrays& inputs = body.graph.inputs;
  if (!body.effects) {
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("while_loop"));
    inputs.push_back(make_placeholder({}, Dtype::bool_, trace, graph_trace(body.graph)));
    body.graph.outputs.push_back(mark_effects(inputs.back()));
  }
  std::rotate(inputs.begin() + ptrdiff_t(carries), inputs.end() - 1, inputs.end());
}

nb::object run_while(nb::handle condition, nb::handle body, nb::handle init_tree) {
  check_function("while_loop", "cond_fun", condition);
  check_function("while_loop", "body_fun", body);
  Flat init = flatten_arrays(init_tree, Others::convert, "while_loop: init");
  auto trace = [&](nb::handle f) {
    return trace_abstract(arguments_of(init.arrays), "while_loop",
                          [&](Span in) { return nb::object(nb::handle(f)(init.with(in))); });
  };
  Traced step = trace_body("while_loop", init, [&] { return trace(body); }, 0);
  Traced test = trace(condition);
  test.ranges.check(init.arrays);
  step.ranges.check_turns(step.graph, init.arrays, init.arrays.size(), INT64_MAX, &test.graph);
  if (test.outputs.num_leaves() != 1)
    throw TypeError(cat("while_loop: the condition must return one 0-d bool, got a tree of ", test.outputs.num_leaves(),
                        " leaves"));
  if (test.graph.outputs[0].ndim() != 0)
    throw TypeError(cat("while_loop: the condition must return one 0-d bool, got shape ", test.graph.outputs[0].shape(),
                        "; reduce it by all or any"));
  if (Dtype dtype = test.graph.outputs[0].dtype(); dtype != Dtype::bool_)
    throw TypeError(cat("while_loop: the condition must return one 0-d bool, got ", dtype, "; compare, as in x != 0"));
  bool effects = test.effects || step.effects;
  Arrays carries = init.arrays;
  if (effects) {
    carry_token(test, carries.size());
    carry_token(step, carries.size());
    if (test.effects) test.graph.outputs[0] = after_effects(test.graph.outputs[0], test.graph.outputs[1]);
    test.graph.outputs.resize(1);
    carries.push_back(EffectScope::token());
    if (carries.back().ndim() > 0) carries.back() = after_effects(constant(int64_t(0), Dtype::bool_), carries.back());
  }
  bring_captured(carries, {&test, &step});
  share_captured(test, step, carries.size());
  Arrays constants = join(test.captured, step.captured);
  const std::vector<Device> devices = devices_of({&step.graph});
  Arrays out = while_loop(std::move(test.graph), std::move(step.graph), carries, constants);
  advance_effects(effects, out);
  put_on(devices, out);
  return unflatten_arrays(step.outputs, out);
}

}  // namespace

void bind_control(nb::module_& m) {
  m.def("_scan", &run_scan, nb::arg("f"), nb::arg("init").none(), nb::arg("xs").none(), nb::arg("length").none(),
        nb::arg("reverse"), nb::arg("unroll"),
        nb::sig(
            "def _scan(f: object, init: object, xs: object, length: int | None, reverse: bool, unroll: bool | int) -> "
            "tuple[Any, Any]"));
  m.def("_cond", &run_cond,
        nb::sig("def _cond(pred: object, true_fun: object, false_fun: object, operands: tuple[object, ...]) -> Any"));
  m.def("_while_loop", &run_while, nb::arg("cond_fun"), nb::arg("body_fun"), nb::arg("init").none(),
        nb::sig("def _while_loop(cond_fun: object, body_fun: object, init: object) -> Any"));
}

}  // namespace funcnn
