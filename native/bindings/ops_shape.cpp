// Functions that place elements differently: views, joining, splitting, padding.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>

#include "bindings/define.h"
#include "bindings/interchange.h"
#include "bindings/sequence.h"
#include "ops/annotate.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/pad.h"
#include "ops/views.h"

namespace funcnn {
namespace {

using Integers = SmallVector<int64_t, 4>;

// Axes of the method, given one by one or as one sequence: x.reshape(2, 3), x.reshape((2, 3)).
Integers spread(nb::args arguments, const char* name) {
  if (arguments.size() == 1) return integers_of(arguments[0], name);
  Integers out;
  for (nb::handle one : arguments) out.push_back(integer_of(one, name));
  return out;
}

Array reshape_to(const Array& x, const Integers& shape) { return reshape(x, Shape(shape.begin(), shape.end())); }

// copy: True for memory of its own, False to refuse a shape that the elements as they lie do not have.
Array reshape_with(const Array& x, const Integers& shape, nb::handle copy) {
  Array made = reshape_to(x, shape);
  if (copy.is_none()) return made;
  if (nb::cast<bool>(copy)) return copied(made);
  evaluate(x, "reshape(copy=False)");
  Strides ignored;
  const Node& node = *x.node();
  if (!node.is_scalar() && !reshape_strides(x.shape(), node.storage.strides, made.shape(), ignored))
    throw ValueError(cat("reshape: an array of shape ", x.shape(), " as it lies in memory has to be copied for ",
                         made.shape(), ", which copy=False forbids"));
  return made;
}

Array transpose_by(const Array& x, nb::handle axes) {
  if (axes.is_none()) return transpose(x, {});
  Integers order = integers_of(axes, "transpose");
  if (order.empty() && x.ndim() > 0)
    throw ValueError(cat("transpose: expected a permutation of ", x.ndim(), " axes, got none"));
  return transpose(x, order);
}

Array squeeze_axes(const Array& x, nb::handle axis) {
  if (axis.is_none()) return squeeze(x, {});
  Integers axes = integers_of(axis, "squeeze");
  return axes.empty() ? x : squeeze(x, axes);
}

Array flip_axes(const Array& x, nb::handle axis) {
  if (!axis.is_none()) return flip(x, integers_of(axis, "flip"));
  Integers axes;
  for (size_t i = 0; i < x.ndim(); ++i) axes.push_back(int64_t(i));
  return flip(x, axes);
}

// The axes `from` at the positions `to`, the others in their order between.
Array moveaxes(const Array& x, const Integers& from, const Integers& to) {
  if (from.size() != to.size())
    throw ValueError(cat("moveaxis: ", from.size(), " axes cannot go to ", to.size(), " positions"));
  normalize_axes("moveaxis", from, x.ndim());  // each once
  normalize_axes("moveaxis", to, x.ndim());
  Integers order(x.ndim(), -1);
  SmallVector<bool, 8> taken(x.ndim(), false);
  for (size_t i = 0; i < from.size(); ++i) {
    int source = normalize_axis("moveaxis", from[i], x.ndim());
    order[size_t(normalize_axis("moveaxis", to[i], x.ndim()))] = source;
    taken[size_t(source)] = true;
  }
  size_t next = 0;
  for (int64_t& axis : order) {
    if (axis >= 0) continue;
    while (taken[next]) ++next;
    axis = int64_t(next++);
  }
  return x.ndim() == 0 ? x : transpose(x, order);
}

// Widths before and after each axis: n, (n,), (before, after), or a pair for each axis.
void pad_widths(nb::handle widths, size_t rank, Integers& low, Integers& high) {
  auto broadcast = [&](int64_t before, int64_t after) {
    low = Integers(rank, before);
    high = Integers(rank, after);
  };
  if (is_index(widths)) {
    int64_t n = integer_of(widths, "pad");
    return broadcast(n, n);
  }
  if (!PySequence_Check(widths.ptr()) || is_text(widths.ptr()))
    throw TypeError(
        cat("pad: pad_width must be a width, (before, after) or a pair for each axis, got ", python_type(widths)));
  size_t count = nb::len(widths);
  bool nested = count > 0 && !is_index(nb::object(widths[0]));
  if (!nested) {
    Integers flat = integers_of(widths, "pad");
    if (flat.size() == 1) return broadcast(flat[0], flat[0]);
    if (flat.size() == 2) return broadcast(flat[0], flat[1]);
    throw ValueError(cat("pad: expected one width, a pair or a pair for each axis, got ", flat.size(), " widths"));
  }
  if (count != rank && count != 1)
    throw ValueError(cat("pad: expected a pair for each of ", rank, " axes, got ", count));
  for (size_t i = 0; i < rank; ++i) {
    Integers pair = integers_of(nb::object(widths[count == 1 ? 0 : i]), "pad");
    if (pair.size() != 1 && pair.size() != 2) throw ValueError("pad: expected pairs of widths (before, after)");
    low.push_back(pair[0]);
    high.push_back(pair.back());
  }
}

Array pad_with(const Array& x, nb::handle widths, const std::string& mode, nb::handle value) {
  Integers low, high;
  pad_widths(widths, x.ndim(), low, high);
  for (size_t i = 0; i < low.size(); ++i)
    if (low[i] < 0 || high[i] < 0) throw ValueError("pad: widths cannot be negative");
  constexpr std::pair<const char*, PadMode> within[] = {{"edge", PadMode::edge},
                                                        {"reflect", PadMode::reflect},
                                                        {"symmetric", PadMode::symmetric},
                                                        {"wrap", PadMode::wrap}};
  for (auto [name, how] : within)
    if (mode == name) return pad_from_within(x, low, high, how);
  if (mode != "constant")
    throw ValueError(
        cat("pad: unknown mode '", mode, "'; expected 'constant', 'edge', 'reflect', 'symmetric' or 'wrap'"));
  Array fill = as_operand(value, x.dtype(), "pad");
  return pad(x, low, high, Integers(x.ndim(), 0), astype(fill, x.dtype()));
}

nb::object list_of_arrays(const Arrays& arrays) {
  nb::object list = nb::steal(PyList_New(Py_ssize_t(arrays.size())));
  for (size_t i = 0; i < arrays.size(); ++i) PyList_SetItem(list.ptr(), Py_ssize_t(i), wrap(arrays[i]));
  return list;
}

nb::object split_by(const Array& x, nb::handle where, int64_t axis) {
  if (is_index(where)) return list_of_arrays(split(x, integer_of(where, "split"), axis));
  return list_of_arrays(split_at(x, integers_of(where, "split"), axis));
}

nb::object unstack(const Array& x, int64_t axis) {
  int at = normalize_axis("unstack", axis, x.ndim());
  Arrays parts;
  const int64_t axes[] = {at};
  for (int64_t i = 0; i < x.dim(at); ++i) parts.push_back(squeeze(slice_axis(x, at, i, i + 1), axes));
  return tuple_of(parts);
}

Array roll_by(const Array& x, nb::handle shift, nb::handle axis) {
  Integers shifts = integers_of(shift, "roll");
  if (axis.is_none()) {
    int64_t total = 0;
    for (int64_t s : shifts) total += x.size() ? s % x.size() : 0;
    return roll(x, total);
  }
  Integers axes = integers_of(axis, "roll");
  // One of either goes with each of the other.
  if (shifts.size() == 1) shifts = Integers(axes.size(), shifts[0]);
  if (axes.size() == 1) axes = Integers(shifts.size(), axes[0]);
  if (shifts.size() != axes.size())
    throw ValueError(cat("roll: ", shifts.size(), " shifts for ", axes.size(), " axes"));
  return roll(x, shifts, axes);
}

// At least `rank` axes; the new ones where NumPy puts them.
Array at_least(const Array& x, size_t rank) {
  if (x.ndim() >= rank) return x;
  Integers shape;
  if (x.ndim() == 0)
    shape = Integers(rank, 1);
  else if (x.ndim() == 1)
    shape = rank == 2 ? Integers{1, x.dim(0)} : Integers{1, x.dim(0), 1};
  else
    shape = {x.dim(0), x.dim(1), 1};
  return reshape_to(x, shape);
}

void bind_joining(nb::module_& m) {
  auto concatenate_all = [](nb::handle arrays, nb::handle axis) {
    Arrays parts = arrays_of(arrays, "concatenate");
    if (parts.empty()) throw ValueError("concatenate: expected at least one array");
    if (axis.is_none()) {
      for (Array& part : parts) part = flatten(part, 0, -1);
      return wrap_object(concatenate(parts, 0));
    }
    if (is_array(axis.ptr()) && array_of(axis.ptr()).ndim() > 0)
      throw TypeError("concatenate: the arrays are one argument, as in concatenate([a, b]); got two");
    return wrap_object(concatenate(parts, integer_of(axis, "concatenate")));
  };
  for (const char* name : {"concatenate", "concat"})
    m.def(
        name, concatenate_all, nb::arg("arrays"), nb::arg("axis").none() = 0,
        nb::sig(cat("def ", name, "(arrays: Sequence[ArrayLike] | array, axis: int | None = 0) -> array").c_str()),
        example(
            name, "Join arrays along an axis they have.",
            "The shapes agree on the other axes, the dtypes promote. With `axis=None` the arrays are flattened first.",
            "[fn.array([1]), fn.array([2, 3])]", "array([1, 2, 3], dtype=int32)")
            .c_str());
  m.def(
      "stack",
      [](nb::handle arrays, int64_t axis) {
        Arrays parts = arrays_of(arrays, "stack");
        if (parts.empty()) throw ValueError("stack: expected at least one array");
        return wrap_object(stack(parts, axis));
      },
      nb::arg("arrays"), nb::arg("axis") = 0,
      nb::sig("def stack(arrays: Sequence[ArrayLike] | array, axis: int = 0) -> array"),
      example("stack", "Join arrays of one shape along a new axis.", "", "[fn.array([1, 2]), fn.array([3, 4])], axis=1",
              "array([[1, 3],\n       [2, 4]], dtype=int32)")
          .c_str());
  define_both(
      m, "split",
      [](nb::handle x, nb::handle where, int64_t axis) { return split_by(as_array(x, "split"), where, axis); },
      {"indices_or_sections: int | Sequence[int], axis: int = 0",
       example("split", "Cut an array along an axis into equal sections, or before each index.", "",
               "fn.array([1, 2, 3, 4]), 2", "[array([1, 2], dtype=int32), array([3, 4], dtype=int32)]"),
       "list[array]"},
      nb::arg("indices_or_sections"), nb::arg("axis") = 0);
  define_function(
      m, "unstack", [](nb::handle x, int64_t axis) { return unstack(as_array(x, "unstack"), axis); },
      {"*, axis: int = 0",
       example("unstack", "Take an array apart along an axis, which disappears.", "", "fn.array([1, 2])",
               "(array(1, dtype=int32), array(2, dtype=int32))"),
       "tuple[array, ...]"},
      nb::kw_only(), nb::arg("axis") = 0);
  define_both(
      m, "repeat",
      [](nb::handle x, nb::handle repeats, nb::handle axis) -> nb::object {
        if (!is_index(repeats)) return nb::module_::import_("funcnn._selection").attr("repeat_each")(x, repeats, axis);
        return wrap_object(
            repeat(as_array(x, "repeat"), integer_of(repeats, "repeat"), optional_integer(axis, "repeat")));
      },
      {"repeats: int | ArrayLike, axis: int | None = None",
       example(
           "repeat", "Repeat each element along an axis, or each of the flattened array.",
           "Args:\n    x: The array.\n    repeats: How often, for all or for each place along the axis. If it differs "
           "by place, its values are needed:\n        a traced array raises TracedValueError.\n    axis: The axis; "
           "default: the array is flattened first.",
           "fn.array([1, 2]), 2", "array([1, 1, 2, 2], dtype=int32)")},
      nb::arg("repeats"), or_none("axis"));
  define_function(
      m, "tile",
      [](nb::handle x, nb::handle reps) { return wrap_object(tile(as_array(x, "tile"), integers_of(reps, "tile"))); },
      {"reps: int | Sequence[int]", example("tile", "Repeat the whole array along each axis.", "",
                                            "fn.array([1, 2]), 2", "array([1, 2, 1, 2], dtype=int32)")},
      nb::arg("reps"));
  define_function(
      m, "roll",
      [](nb::handle x, nb::handle shift, nb::handle axis) {
        return wrap_object(roll_by(as_array(x, "roll"), shift, axis));
      },
      {"shift: int | Sequence[int], axis: int | Sequence[int] | None = None",
       example("roll", "Move elements on along axes, those beyond the end back to the start.", "",
               "fn.array([1, 2, 3]), 1", "array([3, 1, 2], dtype=int32)")},
      nb::arg("shift"), or_none("axis"));
  define_function(
      m, "pad",
      [](nb::handle x, nb::handle widths, const std::string& mode, nb::handle value) {
        return wrap_object(pad_with(as_array(x, "pad"), widths, mode, value));
      },
      {"pad_width: int | Sequence[int] | Sequence[tuple[int, int]], mode: Literal['constant', 'edge', 'reflect', "
       "'symmetric', 'wrap'] = 'constant', constant_values: ArrayLike = 0",
       example("pad", "Add elements before and after each axis.",
               "Args:\n    x: The array.\n    pad_width: One width, (before, after), or a pair for each axis.\n"
               "    mode: As in NumPy. 'constant' adds `constant_values`, 'edge' repeats the elements at the border. "
               "'reflect' mirrors\n        the array at its first and last elements, 'symmetric' before and behind "
               "them, and 'wrap' goes on from the\n        other end, all of them again and again where the width asks "
               "for it.\n    constant_values: What to add.\n\nRaises:\n    ValueError: A width is negative; an axis "
               "of length 0 is to be padded by a mode other than 'constant'.",
               "fn.array([1, 2]), (1, 2)", "array([0, 1, 2, 0, 0], dtype=int32)")},
      nb::arg("pad_width"), nb::arg("mode") = "constant", nb::arg("constant_values") = 0);
}

}  // namespace

void bind_reinterpret(nb::module_& m);  // in ops_reinterpret.cpp

void bind_shape(nb::module_& m) {
  define_function(
      m, "reshape",
      [](nb::handle x, nb::handle shape, nb::handle copy) {
        return wrap_object(reshape_with(as_array(x, "reshape"), integers_of(shape, "reshape"), copy));
      },
      {"shape: int | Sequence[int], *, copy: bool | None = None",
       example(
           "reshape", "Give the elements another shape.",
           "Args:\n    x: The array.\n    shape: The length of each axis, of which one may be -1: it takes what is "
           "left.\n    copy: True gives the result memory of its own, False raises ValueError where sharing that of "
           "x is not\n        possible, for which x is computed. By default, whatever is faster.",
           "fn.array([1, 2, 3, 4]), (2, -1)", "array([[1, 2],\n       [3, 4]], dtype=int32)")},
      nb::arg("shape"), nb::kw_only(), or_none("copy"));
  def_method(
      "reshape", [](const Array& x, nb::args shape) { return reshape_to(x, spread(shape, "reshape")); },
      nb::sig("def reshape(self, *shape: int | Sequence[int]) -> array"),
      "Give the elements another shape.\n\nSee `funcnn.reshape`.");
  define_both(m, "ravel", [](nb::handle x) { return wrap_object(flatten(as_array(x, "ravel"), 0, -1)); },
              {"", example("ravel", "Give the elements in one axis, in row-major order.",
                           "The same as `flatten(x)`, under the name that NumPy and JAX have for it.",
                           "fn.array([[1, 2], [3, 4]])", "array([1, 2, 3, 4], dtype=int32)")});
  for (const char* name : {"transpose", "permute_dims"})
    define_function(
        m, name,
        [](nb::handle x, nb::handle axes) { return wrap_object(transpose_by(as_array(x, "transpose"), axes)); },
        {"axes: Sequence[int] | None = None",
         example(name, "Put the axes in another order; by default, in reverse.", "", "fn.array([[1, 2], [3, 4]])",
                 "array([[1, 3],\n       [2, 4]], dtype=int32)")},
        or_none("axes"));
  def_method(
      "transpose",
      [](const Array& x, nb::args axes) {
        return axes.size() == 0                        ? transpose(x, {})
               : axes.size() == 1 && axes[0].is_none() ? transpose(x, {})
                                                       : transpose(x, spread(axes, "transpose"));
      },
      nb::sig("def transpose(self, *axes: int | Sequence[int] | None) -> array"),
      "Put the axes in another order; by default, in reverse.\n\nSee `funcnn.transpose`.");
  define_function(m, "matrix_transpose",
                  [](nb::handle x) {
                    Array a = as_array(x, "matrix_transpose");
                    if (a.ndim() < 2)
                      throw ValueError(cat("matrix_transpose: expected at least two axes, got shape ", a.shape()));
                    return wrap_object(swapaxes(a, -1, -2));
                  },
                  {"", example("matrix_transpose", "Exchange the last two axes.", "", "fn.array([[1, 2], [3, 4]])",
                               "array([[1, 3],\n       [2, 4]], dtype=int32)")});
  define_both(
      m, "swapaxes",
      [](nb::handle x, int64_t a, int64_t b) { return wrap_object(swapaxes(as_array(x, "swapaxes"), a, b)); },
      {"axis1: int, axis2: int", example("swapaxes", "Exchange two axes.", "", "fn.zeros((2, 3)), 0, 1",
                                         "array([[0., 0.],\n       [0., 0.],\n       [0., 0.]], dtype=float32)")},
      nb::arg("axis1"), nb::arg("axis2"));
  define_both(
      m, "moveaxis",
      [](nb::handle x, nb::handle from, nb::handle to) {
        return wrap_object(
            moveaxes(as_array(x, "moveaxis"), integers_of(from, "moveaxis"), integers_of(to, "moveaxis")));
      },
      {"source: int | Sequence[int], destination: int | Sequence[int]",
       example("moveaxis", "Move axes to other positions. The others keep their order.", "", "fn.zeros((1, 2)), 0, 1",
               "array([[0.],\n       [0.]], dtype=float32)")},
      nb::arg("source"), nb::arg("destination"));
  define_function(
      m, "expand_dims",
      [](nb::handle x, nb::handle axis) {
        return wrap_object(expand_dims(as_array(x, "expand_dims"), integers_of(axis, "expand_dims")));
      },
      {"axis: int | Sequence[int] = 0",
       example("expand_dims", "Insert axes of length 1.", "", "fn.array([1, 2]), 0", "array([[1, 2]], dtype=int32)")},
      nb::arg("axis") = 0);
  define_both(
      m, "squeeze",
      [](nb::handle x, nb::handle axis) { return wrap_object(squeeze_axes(as_array(x, "squeeze"), axis)); },
      {"axis: int | Sequence[int] | None = None",
       example("squeeze", "Remove axes of length 1; by default, all of them.", "", "fn.array([[1, 2]])",
               "array([1, 2], dtype=int32)")},
      or_none("axis"));
  define_both(
      m, "flatten",
      [](nb::handle x, int64_t start, int64_t end) { return wrap_object(flatten(as_array(x, "flatten"), start, end)); },
      {"start_axis: int = 0, end_axis: int = -1",
       example("flatten", "Merge the axes from `start_axis` to `end_axis` (included) into one.", "",
               "fn.array([[1, 2], [3, 4]])", "array([1, 2, 3, 4], dtype=int32)")},
      nb::arg("start_axis") = 0, nb::arg("end_axis") = -1);
  define_function(
      m, "unflatten",
      [](nb::handle x, int64_t axis, nb::handle shape) {
        Integers to = integers_of(shape, "unflatten");
        return wrap_object(unflatten(as_array(x, "unflatten"), axis, Shape(to.begin(), to.end())));
      },
      {"axis: int, shape: Sequence[int]",
       example("unflatten", "Split an axis into axes of the given lengths, one of which may be -1.", "",
               "fn.array([1, 2, 3, 4]), 0, (2, -1)", "array([[1, 2],\n       [3, 4]], dtype=int32)")},
      nb::arg("axis"), nb::arg("shape"));
  define_function(
      m, "flip", [](nb::handle x, nb::handle axis) { return wrap_object(flip_axes(as_array(x, "flip"), axis)); },
      {"axis: int | Sequence[int] | None = None",
       example("flip", "Reverse the order of the elements along axes; by default, all.", "", "fn.array([1, 2])",
               "array([2, 1], dtype=int32)")},
      or_none("axis"));
  define_function(
      m, "broadcast_to",
      [](nb::handle x, nb::handle shape) {
        return wrap_object(broadcast_to(as_array(x, "broadcast_to"), shape_of(shape, "broadcast_to")));
      },
      {"shape: int | Sequence[int]",
       example("broadcast_to", "Repeat an array along new axes and axes of length 1, without copying.", "",
               "fn.array([1, 2]), (2, 2)", "array([[1, 2],\n       [1, 2]], dtype=int32)")},
      nb::arg("shape"));
  m.def(
      "broadcast_arrays",
      [](nb::args arrays) {
        Arrays given;
        for (nb::handle a : arrays) given.push_back(as_array(a, "broadcast_arrays"));
        return list_of_arrays(broadcast_arrays(given));
      },
      nb::sig("def broadcast_arrays(*arrays: ArrayLike) -> list[array]"),
      example("broadcast_arrays", "Give arrays their common shape.", "", "fn.array([1, 2]), fn.array([3])",
              "[array([1, 2], dtype=int32), array([3, 3], dtype=int32)]")
          .c_str());
  m.def(
      "broadcast_shapes",
      [](nb::args shapes) {
        Shape common;
        for (nb::handle s : shapes)
          common = broadcast_shapes("broadcast_shapes", common, shape_of(s, "broadcast_shapes"));
        return shape_tuple(common);
      },
      nb::sig("def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]"),
      example("broadcast_shapes", "Find the shape that shapes broadcast to.", "", "(2, 1), (3,)", "(2, 3)").c_str());
  for (int rank : {1, 2, 3}) {
    std::string name = cat("atleast_", rank, "d");
    m.def(
        name.c_str(),
        [rank](nb::args arrays) -> nb::object {
          Arrays made;
          for (nb::handle a : arrays) made.push_back(at_least(as_array(a, "atleast"), size_t(rank)));
          return made.size() == 1 ? wrap_object(made[0]) : list_of_arrays(made);
        },
        nb::sig(cat("def ", name, "(*arrays: ArrayLike) -> Any").c_str()),
        example(name.c_str(), cat("Give arrays at least ", rank, rank == 1 ? " axis." : " axes."),
                "One array gives an array, several give a list.", "fn.array(1)",
                rank == 1   ? "array([1], dtype=int32)"
                : rank == 2 ? "array([[1]], dtype=int32)"
                            : "array([[[1]]], dtype=int32)")
            .c_str());
  }
  define_function(m, "stop_gradient",
                  [](nb::handle x) { return wrap_object(stop_gradient(as_array(x, "stop_gradient"))); },
                  {"", example("stop_gradient", "Return x, taken for a constant by the transformations.", "",
                               "fn.array([1])", "array([1], dtype=int32)")});
  bind_joining(m);
  bind_reinterpret(m);
}

}  // namespace funcnn
