#include "bindings/number_ranges.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "bindings/array.h"

namespace funcnn {
namespace {

thread_local NumbersMet* innermost = nullptr;

// What Python would make of these operands; null: something else, or nothing.
nb::object computed(Opcode op, std::span<const nb::object> x) {
  auto binary = [&](PyObject* (*function)(PyObject*, PyObject*)) {
    return nb::steal(function(x[0].ptr(), x[1].ptr()));
  };
  auto compare = [&](int how) { return nb::steal(PyObject_RichCompare(x[0].ptr(), x[1].ptr(), how)); };
  // Python's shifts and powers may not end.
  auto within = [&](long long least) {
    int overflow = 0;
    long long by = PyLong_Check(x[1].ptr()) ? PyLong_AsLongLongAndOverflow(x[1].ptr(), &overflow) : least - 1;
    return !overflow && by >= least && by < 256;
  };
  switch (op) {
    case Opcode::copy:
      return x[0];
    case Opcode::negative:
      return nb::steal(PyNumber_Negative(x[0].ptr()));
    case Opcode::abs:
      return nb::steal(PyNumber_Absolute(x[0].ptr()));
    case Opcode::square:
      return nb::steal(PyNumber_Multiply(x[0].ptr(), x[0].ptr()));
    case Opcode::bitwise_invert:
      return nb::steal(PyNumber_Invert(x[0].ptr()));
    case Opcode::add:
      return binary(PyNumber_Add);
    case Opcode::subtract:
      return binary(PyNumber_Subtract);
    case Opcode::multiply:
      return binary(PyNumber_Multiply);
    case Opcode::floor_divide:
      return binary(PyNumber_FloorDivide);
    case Opcode::remainder:
      return binary(PyNumber_Remainder);
    case Opcode::power:
      return within(-256) ? nb::steal(PyNumber_Power(x[0].ptr(), x[1].ptr(), Py_None)) : nb::object();
    case Opcode::left_shift:
      return within(0) ? binary(PyNumber_Lshift) : nb::object();
    case Opcode::right_shift:
      return within(0) ? binary(PyNumber_Rshift) : nb::object();
    case Opcode::bitwise_and:
      return binary(PyNumber_And);
    case Opcode::bitwise_or:
      return binary(PyNumber_Or);
    case Opcode::bitwise_xor:
      return binary(PyNumber_Xor);
    case Opcode::less:
      return compare(Py_LT);
    case Opcode::less_equal:
      return compare(Py_LE);
    case Opcode::equal:
      return compare(Py_EQ);
    case Opcode::not_equal:
      return compare(Py_NE);
    case Opcode::greater:
      return compare(Py_GT);
    case Opcode::greater_equal:
      return compare(Py_GE);
    default:
      return {};
  }
}

int32_t int32_of(const Node& node) {
  int32_t value;
  std::memcpy(&value, node.storage.scalar, sizeof(value));
  return value;
}

bool repeats(const Node& node) {
  return node.primitive && node.primitive->kind() == Kind::alias && node.inputs.size() == 1;
}

bool is_whole(Dtype dtype) { return is_integer(dtype) || dtype == Dtype::bool_; }

// The value of `node`, if it is known and Python's.
nb::object value_of(Node& node, NodeMap<nb::object>& known) {
  if (node.shape.size() > 0 || !is_whole(node.dtype)) return {};
  if (node.available()) return wrap_object(Array(NodeRef(&node))).attr("item")();
  if (!node.primitive) return {};
  std::vector<nb::object> operands;
  for (const NodeRef& input : node.inputs) {
    operands.push_back(known[input.get()]);
    if (!operands.back().is_valid()) return {};
  }
  nb::object value;
  if (node.primitive->kind() == Kind::elementwise)
    value = computed(node.primitive->opcode(), operands);
  else if (repeats(node))
    value = operands[0];
  PyErr_Clear();  // it divides by zero, say
  // Bools are numbers to Python's operators, and the other way round only where they are converted.
  if (value.is_valid() && node.dtype == Dtype::bool_) value = nb::bool_(PyObject_IsTrue(value.ptr()) == 1);
  return value;
}

// The exact value of `number`; null: it is not known.
nb::object exact(const Array& number) {
  NodeMap<nb::object> known;
  // What has a value may be losing its inputs on another thread.
  auto enter = [](const Node& node) { return !node.available(); };
  for (Node* node : topological_order(Span(&number, 1), enter)) {
    for (const NodeRef& input : node->inputs)
      if (input->available()) known[input.get()] = value_of(*input, known);
    known[node] = value_of(*node, known);
  }
  return number.node()->available() ? value_of(*number.node(), known) : known[number.node()];
}

void compare(const Array& number, Dtype dtype) {
  nb::object value = exact(number);
  if (!value.is_valid()) return;
  if (PyFloat_Check(value.ptr()))
    throw ValueError(cat("a number computed from integers is ", nb::repr(value).c_str(), ", but ", number.dtype(),
                         " while tracing; compute it from floats, as in 2.0 ** n"));
  Array made;
  if (is_integer(dtype)) convert_scalar(value.ptr(), dtype, made);
  try {
    convert_scalar(value.ptr(), number.dtype(), made);
  } catch (const ValueError& error) {
    throw ValueError(cat(error.what(),
                         ", in which numbers are computed while tracing; make the argument static, or an "
                         "array of a wider dtype"));
  }
}

void met(const Array& number, Dtype dtype) {
  if (!number.node()->abstract)
    compare(number, dtype);
  else if (innermost)
    innermost->note(number, dtype);
}

}  // namespace

void check_number(const Array& number, Dtype dtype) {
  const Node& node = *number.node();
  if (!node.weak || !is_integer(node.dtype)) return;
  const bool narrower = is_integer(dtype) && promote_types(node.dtype, dtype) != dtype;
  // What an operator made may have left its own dtype.
  if (narrower || !node.inputs.empty()) met(number, dtype);
}

NumberRanges::NumberRanges(Graph numbers, Arrays captured, std::vector<Dtype> dtypes)
    : numbers_(std::move(numbers)), captured_(std::move(captured)), dtypes_(std::move(dtypes)) {
  NodeMap<uint32_t> place;
  for (Node* node : topological_order(numbers_.outputs, [](Node&) { return true; })) {
    if (repeats(*node)) {
      place[node] = *place.find(node->inputs[0].get());
      continue;
    }
    std::optional<Step> step = step_of(*node, place);
    if (!step) {
      steps_.clear();
      return;
    }
    place[node] = uint32_t(steps_.size());
    steps_.push_back(*step);
  }
  for (const Array& x : numbers_.outputs) places_.push_back(*place.find(x.node()));
}

std::optional<NumberRanges::Step> NumberRanges::step_of(const Node& node, const NodeMap<uint32_t>& place) const {
  using Kind = Step::Kind;
  if (node.dtype != Dtype::int32 || !node.shape.empty()) return {};
  auto same = [&](const Array& x) { return x.node() == &node; };
  auto input = std::find_if(numbers_.inputs.begin(), numbers_.inputs.end(), same);
  if (input != numbers_.inputs.end()) return Step{Kind::argument, uint32_t(input - numbers_.inputs.begin())};
  if (node.is_scalar()) return Step{Kind::constant, 0, 0, double(int32_of(node))};
  if (!node.primitive || node.primitive->kind() != funcnn::Kind::elementwise) return {};
  auto of = [&](Kind kind) {
    return Step{kind, *place.find(node.inputs[0].get()), *place.find(node.inputs[node.inputs.size() - 1].get())};
  };
  switch (node.primitive->opcode()) {
    case Opcode::negative:
      return of(Kind::negative);
    case Opcode::add:
      return of(Kind::add);
    case Opcode::subtract:
      return of(Kind::subtract);
    case Opcode::multiply:
      return of(Kind::multiply);
    default:
      return {};
  }
}

// Whether all numbers on the way are known, exact in a double and within their bounds. False says nothing.
bool NumberRanges::are_small(Span arguments) const {
  using Kind = Step::Kind;
  if (steps_.empty()) return false;
  SmallVector<double, 16> values;
  for (const Step& step : steps_) {
    double value = step.value;
    if (step.kind == Kind::argument) {
      if (step.a >= arguments.size() || !arguments[step.a].node()->is_scalar()) return false;
      value = int32_of(*arguments[step.a].node());
    } else if (step.kind != Kind::constant) {
      const double a = values[step.a], b = values[step.b];
      value = step.kind == Kind::negative   ? -a
              : step.kind == Kind::add      ? a + b
              : step.kind == Kind::subtract ? a - b
                                            : a * b;
    }
    if (!(std::abs(value) < 0x1p31)) return false;
    values.push_back(value);
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    const double value = values[places_[i]];
    const auto bits = int(8 * item_size(dtypes_[i])) - is_signed(dtypes_[i]);
    if (is_integer(dtypes_[i]) &&
        !(value < std::ldexp(1, bits) && value >= (is_signed(dtypes_[i]) ? -std::ldexp(1, bits) : 0)))
      return false;
  }
  return true;
}

void NumberRanges::check(Span arguments) const {
  if (empty() || are_small(arguments)) return;
  Arrays all(arguments.begin(), arguments.end());
  all.insert(all.end(), captured_.begin(), captured_.end());
  Arrays brought = substitute(numbers_, all);
  for (size_t i = 0; i < brought.size(); ++i) met(brought[i], dtypes_[i]);
}

NumbersMet::NumbersMet() : outer_(std::exchange(innermost, this)) {}
NumbersMet::~NumbersMet() { innermost = outer_; }

void NumbersMet::note(const Array& number, Dtype dtype) {
  auto same = [&](const auto& noted) { return noted.first.node() == number.node() && noted.second == dtype; };
  if (std::none_of(noted_.begin(), noted_.end(), same)) noted_.emplace_back(number, dtype);
}

NumberRanges NumbersMet::take(Span arguments, TraceId id, Ref<Placeholder::Trace> trace) {
  std::vector<Dtype> dtypes;
  Arrays numbers, captured;
  for (auto& [number, dtype] : noted_) {
    if (number.node()->trace >= id) {
      numbers.push_back(number);
      dtypes.push_back(dtype);
    } else if (outer_) {
      outer_->note(number, dtype);
    }
  }
  noted_.clear();
  if (dtypes.empty()) return {};
  Graph graph = close_graph(arguments, numbers, id, captured, std::move(trace));
  return {std::move(graph), std::move(captured), std::move(dtypes)};
}

}  // namespace funcnn
