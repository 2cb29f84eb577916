#include "bindings/number_ranges.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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

// What a carry grows by in each turn of a loop; NaN: who knows.
double growth_of(const Graph& body, size_t carry) {
  auto origin = [](const Node* node) {
    while (repeats(*node)) node = node->inputs[0].get();
    return node;
  };
  const Node *in = body.inputs[carry].node(), *out = origin(body.outputs[carry].node());
  if (out == in) return 0;
  if (out->dtype == Dtype::int32 && out->primitive && out->primitive->kind() == Kind::elementwise &&
      out->primitive->opcode() == Opcode::add)
    for (int i : {0, 1})
      if (origin(out->inputs[size_t(i)].get()) == in && out->inputs[size_t(1 - i)]->is_scalar())
        return int32_of(*out->inputs[size_t(1 - i)]);
  return std::numeric_limits<double>::quiet_NaN();
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

using Known = NodeMap<nb::object>;

// The exact value of `number`; null: it is not known.
nb::object exact(const Array& number, Known& known) {
  // What has a value may be losing its inputs on another thread.
  auto enter = [&](const Node& node) { return !node.available() && !known.contains(&node); };
  for (Node* node : topological_order(Span(&number, 1), enter)) {
    for (const NodeRef& input : node->inputs)
      if (input->available()) known[input.get()] = value_of(*input, known);
    known[node] = value_of(*node, known);
  }
  return number.node()->available() ? value_of(*number.node(), known) : known[number.node()];
}

// Integers of dtype `own`, whose exact value this is (null: who knows), become `dtype`.
void compare(const nb::object& value, Dtype own, Dtype dtype) {
  if (!value.is_valid()) return;
  if (PyFloat_Check(value.ptr()))
    throw ValueError(cat("a number computed from integers is ", nb::repr(value).c_str(), ", but ", own,
                         " while tracing; compute it from floats, as in 2.0 ** n"));
  Array made;
  if (is_integer(dtype)) convert_scalar(value.ptr(), dtype, made);
  try {
    convert_scalar(value.ptr(), own, made);
  } catch (const ValueError& error) {
    throw ValueError(cat(error.what(),
                         ", in which numbers are computed while tracing; make the argument static, or an "
                         "array of a wider dtype"));
  }
}

void met(const Array& number, Dtype dtype) {
  Known known;
  if (!number.node()->abstract)
    compare(exact(number, known), number.dtype(), dtype);
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
bool NumberRanges::are_small(Span arguments, std::span<const double> growth) const {
  using Kind = Step::Kind;
  if (steps_.empty()) return false;
  struct Between {
    double low, high;
  };
  SmallVector<Between, 16> values;
  for (const Step& step : steps_) {
    Between value{step.value, step.value};
    if (step.kind == Kind::argument) {
      if (step.a >= arguments.size() || !arguments[step.a].node()->is_scalar()) return false;
      value.low = value.high = int32_of(*arguments[step.a].node());
      if (step.a < growth.size()) (growth[step.a] < 0 ? value.low : value.high) += growth[step.a];
    } else if (step.kind != Kind::constant) {
      const Between a = values[step.a], b = values[step.b];
      if (step.kind == Kind::negative) value = {-a.high, -a.low};
      if (step.kind == Kind::add) value = {a.low + b.low, a.high + b.high};
      if (step.kind == Kind::subtract) value = {a.low - b.high, a.high - b.low};
      if (step.kind == Kind::multiply) {
        auto [low, high] = std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
        value = {low, high};
      }
    }
    if (!(value.low > -0x1p31 && value.high < 0x1p31)) return false;  // nor where it grows unknown
    values.push_back(value);
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    if (!is_integer(dtypes_[i])) continue;
    const bool sign = is_signed(dtypes_[i]);
    const double end = std::ldexp(1, int(8 * item_size(dtypes_[i])) - sign);
    const Between value = values[places_[i]];
    if (!(value.low >= (sign ? -end : 0) && value.high < end)) return false;
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

void NumberRanges::check_turns(const Graph& body, Span arguments, size_t carries, int64_t turns,
                               const Graph* condition) const {
  if (empty() || turns == 0) return;
  SmallVector<double, 8> growth;
  for (size_t i = 0; i < carries; ++i) growth.push_back(growth_of(body, i) * double(turns - 1));
  if (!condition && are_small(arguments, {growth.data(), growth.size()})) return;
  check(arguments);
  // How often a loop goes round under a condition is worth finding out only where a dtype is narrow.
  auto narrow = [&](size_t i) {
    return is_integer(dtypes_[i]) && promote_types(numbers_.outputs[i].dtype(), dtypes_[i]) != dtypes_[i];
  };
  bool any = !condition;
  for (size_t i = 0; i < dtypes_.size(); ++i) any |= narrow(i);
  if (!any) return;
  constexpr int64_t kFollowed = 1 << 16;
  Arrays inside(body.inputs.begin(), body.inputs.begin() + ptrdiff_t(arguments.size()));
  inside.insert(inside.end(), captured_.begin(), captured_.end());
  const Arrays numbers = substitute(numbers_, inside);
  std::vector<nb::object> carry(carries);
  for (size_t i = 0; i < carries; ++i) {
    Known known;
    if (!arguments[i].node()->abstract && arguments[i].node()->weak) carry[i] = exact(arguments[i], known);
  }
  auto given = [&](const Graph& graph) {
    Known known;
    for (size_t i = 0; i < carries; ++i) known[graph.inputs[i].node()] = carry[i];
    return known;
  };
  auto same = [](const nb::object& a, const nb::object& b) {
    return a.is(b) || (a.is_valid() && b.is_valid() && a.equal(b));
  };
  for (int64_t turn = 0; turn < std::min(turns, kFollowed); ++turn) {
    if (condition) {
      Known known = given(*condition);
      nb::object goes_on = exact(condition->outputs[0], known);
      if (!goes_on.is_valid() || !nb::cast<bool>(goes_on)) return;
    }
    Known known = given(body);
    for (size_t i = 0; i < numbers.size(); ++i) compare(exact(numbers[i], known), numbers[i].dtype(), dtypes_[i]);
    std::vector<nb::object> next;
    for (size_t i = 0; i < carries; ++i)
      next.push_back(carry[i].is_valid() ? exact(body.outputs[i], known) : nb::object());
    if (std::equal(next.begin(), next.end(), carry.begin(), same)) return;
    carry = std::move(next);
  }
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
