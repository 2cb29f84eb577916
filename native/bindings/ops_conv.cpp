// Convolutions.
#include <nanobind/stl/string.h>

#include "bindings/define.h"
#include "bindings/sequence.h"
#include "ops/conv.h"
#include "ops/windows.h"

namespace funcnn {
namespace {

// One number for all spatial axes, or one for each.
Shape numbers(nb::handle object, const char* op, const char* what) {
  auto read = integers_of(object, cat(op, ": ", what).c_str());
  return Shape(read.begin(), read.end());
}

// A number, one for each axis, a word or, if `ends`, the low and the high ones. Returns whether the word is "same".
bool read_padding(nb::handle object, const char* op, ConvGeometry& g, bool ends) {
  PyObject* o = object.ptr();
  if (nb::isinstance<nb::str>(object)) {
    std::string word = nb::cast<std::string>(object.attr("lower")());
    if (word != "same" && word != "valid")
      throw ValueError(
          cat(op, ": padding must be numbers, 'same' or 'valid', got '", nb::cast<std::string>(object), "'"));
    g.low = g.high = {0};
    return word == "same";
  }
  if (ends && !is_index(object) && PySequence_Check(o) && !is_text(o) && !is_array(o)) {
    Items items(o);
    if (items.size() == 2 && !is_index(items[0]) && !is_index(items[1])) {
      g.low = numbers(items[0], op, "padding");
      g.high = numbers(items[1], op, "padding");
      return false;
    }
  }
  g.low = g.high = numbers(object, op, "padding");
  return false;
}

constexpr const char* kNames[] = {"", "conv1d", "conv2d", "conv3d"};
constexpr const char* kTransposed[] = {"", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};
constexpr const char* kIn[] = {"", "(N, L, in)", "(N, H, W, in)", "(N, D, H, W, in)"};
constexpr const char* kKernels[] = {"", "(out, k, in / groups)", "(out, kh, kw, in / groups)",
                                    "(out, kd, kh, kw, in / groups)"};
constexpr const char* kOutputs[] = {"", "(N, L', out)", "(N, H', W', out)", "(N, D', H', W', out)"};
constexpr const char* kNumbers[] = {"", "int", "int | tuple[int, int]", "int | tuple[int, int, int]"};
// Shapes of an example, and of what comes out of it without and with transposition.
constexpr const char* kExamples[] = {"", "fn.ones((1, 5, 2)), fn.ones((4, 3, 2))",
                                     "fn.ones((1, 5, 5, 2)), fn.ones((4, 3, 3, 2))",
                                     "fn.ones((1, 5, 5, 5, 2)), fn.ones((4, 3, 3, 3, 2))"};
constexpr const char* kShapes[] = {"", "(1, 3, 4)", "(1, 3, 3, 4)", "(1, 3, 3, 3, 4)"};
constexpr const char* kWider[] = {"", "(1, 11, 4)", "(1, 11, 11, 4)", "(1, 11, 11, 11, 4)"};

std::string raises(const char* more) {
  return cat("Raises:\n    ValueError: if shapes, channels and groups do not fit, for integers and complex numbers, ",
             more);
}

void bind_forward(nb::module_& m, size_t n) {
  const char* name = kNames[n];
  m.def(
      name,
      [name, n](nb::handle input, nb::handle weight, nb::handle stride, nb::handle padding, nb::handle dilation,
                int64_t groups) {
        ConvGeometry g;
        g.stride = numbers(stride, name, "stride");
        bool same = read_padding(padding, name, g, false);
        g.kernel_dilation = numbers(dilation, name, "dilation");
        g.input_dilation = {1};
        g.groups = groups;
        auto [x, w] = as_operands(input, weight, name);
        return wrap_object(conv_general(name, n, x, w, std::move(g), same));
      },
      nb::arg("input"), nb::arg("weight"), nb::arg("stride") = 1, nb::arg("padding") = 0, nb::arg("dilation") = 1,
      nb::arg("groups") = 1,
      nb::sig(cat("def ", name, "(input: ArrayLike, weight: ArrayLike, /, stride: ", kNumbers[n],
                  " = 1, padding: ", kNumbers[n], " | Literal['same', 'valid'] = 0, dilation: ", kNumbers[n],
                  " = 1, groups: int = 1) -> array")
                  .c_str()),
      document(cat("Convolve over ", n, n == 1 ? " spatial axis" : " spatial axes", ", channels last."),
               cat("Each output is the sum of products of the kernel, as it lies, with a window of the input (a "
                   "cross-correlation).\n\nArgs:\n    input: Of shape ",
                   kIn[n], ".\n    weight: Of shape ", kKernels[n],
                   ".\n    stride: From one window to the next.\n    padding: Zeros at both ends of each axis; "
                   "negative: elements cut off. \"same\" makes ceil(L / stride)\n        outputs, with one zero more "
                   "behind than before where their number is odd; \"valid\" is 0.\n    dilation: From one element of "
                   "the kernel to the next.\n    groups: "
                   "How many parts the channels are in, each with outputs of its own. With as many as there are\n"
                   "        channels, every channel has its own kernels (depthwise).\n\nReturns:\n    An array ",
                   kOutputs[n],
                   " in the common dtype of both; 16-bit floats are accumulated in float32. An axis of length L has\n"
                   "    (L + 2 * padding - dilation * (k - 1) - 1) // stride + 1 outputs.\n\n",
                   raises("if the kernel\n        reaches beyond the padded input.")),
               cat("fn.", name, "(", kExamples[n], ").shape"), kShapes[n])
          .c_str());
}

void bind_transposed(nb::module_& m, size_t n) {
  const char* name = kTransposed[n];
  m.def(
      name,
      [name, n](nb::handle input, nb::handle weight, nb::handle stride, nb::handle padding, nb::handle dilation,
                nb::handle output_padding, int64_t groups) {
        auto [x, w] = as_operands(input, weight, name);
        return wrap_object(conv_transpose(name, n, x, w, numbers(stride, name, "stride"),
                                          numbers(padding, name, "padding"), numbers(dilation, name, "dilation"),
                                          numbers(output_padding, name, "output_padding"), groups));
      },
      nb::arg("input"), nb::arg("weight"), nb::arg("stride") = 1, nb::arg("padding") = 0, nb::arg("dilation") = 1,
      nb::arg("output_padding") = 0, nb::arg("groups") = 1,
      nb::sig(cat("def ", name, "(input: ArrayLike, weight: ArrayLike, /, stride: ", kNumbers[n],
                  " = 1, padding: ", kNumbers[n], " = 0, dilation: ", kNumbers[n],
                  " = 1, output_padding: ", kNumbers[n], " = 0, groups: int = 1) -> array")
                  .c_str()),
      document(cat("Convolve transposed over ", n, n == 1 ? " spatial axis" : " spatial axes", ", channels last."),
               cat("Each element of the input adds its multiple of the kernel to the output, the next one `stride` "
                   "places further: what `",
                   kNames[n], "`\nwith these arguments does to gradients.\n\nArgs:\n    input: Of shape ", kIn[n],
                   ".\n    weight: Of shape ", kKernels[n],
                   ".\n    stride: From the kernel's place at one element to that at the next.\n    padding: Elements "
                   "cut off both ends of each axis of the result; negative: zeros added.\n    dilation: From one "
                   "element of the kernel to the next.\n    output_padding: Elements that the result has more at the "
                   "end of each axis.\n    groups: How many parts the channels are in, each with outputs of its "
                   "own.\n\nReturns:\n    An array ",
                   kOutputs[n],
                   ". An axis of length L has\n    (L - 1) * stride - 2 * padding + dilation * (k - 1) + "
                   "output_padding + 1 outputs.\n\n",
                   raises("if nothing is\n        left of the result.")),
               cat("fn.", name, "(", kExamples[n], ", stride=2).shape"), kWider[n])
          .c_str());
}

}  // namespace

void bind_conv(nb::module_& m) {
  for (size_t n = 1; n <= 3; ++n) {
    bind_forward(m, n);
    bind_transposed(m, n);
  }
  m.def(
      "conv_general",
      [](nb::handle input, nb::handle weight, nb::handle stride, nb::handle padding, nb::handle kernel_dilation,
         nb::handle input_dilation, int64_t groups, bool flip) {
        const char* name = "conv_general";
        ConvGeometry g;
        g.stride = numbers(stride, name, "stride");
        bool same = read_padding(padding, name, g, true);
        g.kernel_dilation = numbers(kernel_dilation, name, "kernel_dilation");
        g.input_dilation = numbers(input_dilation, name, "input_dilation");
        g.groups = groups;
        g.flip = flip;
        auto [x, w] = as_operands(input, weight, name);
        return wrap_object(conv_general(name, 0, x, w, std::move(g), same));
      },
      nb::arg("input"), nb::arg("weight"), nb::arg("stride") = 1, nb::arg("padding") = 0,
      nb::arg("kernel_dilation") = 1, nb::arg("input_dilation") = 1, nb::arg("groups") = 1, nb::arg("flip") = false,
      nb::sig(
          "def conv_general(input: ArrayLike, weight: ArrayLike, /, stride: int | Sequence[int] = 1, padding: int | "
          "Sequence[int] | tuple[Sequence[int], Sequence[int]] | Literal['same', 'valid'] = 0, kernel_dilation: int | "
          "Sequence[int] = 1, "
          "input_dilation: int | Sequence[int] = 1, groups: int = 1, flip: bool = False) -> array"),
      document(
          "Convolve over one to three spatial axes, channels last, with every option there is.",
          "Numbers hold for all spatial axes; sequences have one for each.\n\n"
          "Args:\n"
          "    input: Of shape (N, spatial..., in).\n"
          "    weight: Of shape (out, kernel..., in / groups).\n"
          "    stride: From one window to the next.\n"
          "    padding: Zeros at both ends of each axis, or a pair: those at the low ends and those at the high ends. "
          "Negative ones\n        cut elements off. \"same\" makes as many outputs as the input has strides, "
          "\"valid\" is 0.\n"
          "    kernel_dilation: From one element of the kernel to the next.\n"
          "    input_dilation: From one element of the input to the next, with zeros between (a transposed "
          "convolution).\n"
          "    groups: How many parts the channels are in, each with outputs of its own.\n"
          "    flip: Whether the kernel runs backwards along all spatial axes, as in signal processing.\n\n"
          "Returns:\n"
          "    An array (N, spatial..., out) in the common dtype of both; 16-bit floats are accumulated in float32.\n\n"
          "Raises:\n"
          "    ValueError: if shapes, channels and groups do not fit, for integers and complex numbers, if the kernel\n"
          "        reaches beyond the padded input.",
          "fn.conv_general(fn.ones((1, 5, 2)), fn.ones((4, 3, 2)), padding=([2], [0])).shape", "(1, 5, 4)")
          .c_str());
  m.def(
      "_reduce_windows",
      [](nb::handle x, bool largest, nb::handle window, nb::handle stride) {
        return wrap_object(reduce_windows(largest ? ReduceOp::max : ReduceOp::sum, as_array(x, "windows"),
                                          numbers(window, "windows", "window"), numbers(stride, "windows", "stride")));
      },
      nb::arg("x"), nb::arg("largest"), nb::arg("window"), nb::arg("stride"),
      nb::sig("def _reduce_windows(x: ArrayLike, largest: bool, window: Sequence[int], stride: Sequence[int], /) -> "
              "array"));
  m.def(
      "_windows",
      [](nb::handle x, nb::handle window, nb::handle stride) {
        return wrap_object(windows(as_array(x, "windows"), numbers(window, "windows", "window"),
                                   numbers(stride, "windows", "stride")));
      },
      nb::arg("x"), nb::arg("window"), nb::arg("stride"),
      nb::sig("def _windows(x: ArrayLike, window: Sequence[int], stride: Sequence[int], /) -> array"));
  m.def(
      "convolve",
      [](nb::handle a, nb::handle v, const std::string& mode) {
        auto [x, y] = as_operands(a, v, "convolve");
        return wrap_object(convolve(x, y, mode));
      },
      nb::arg("a"), nb::arg("v"), nb::arg("mode") = "full",
      nb::sig("def convolve(a: ArrayLike, v: ArrayLike, /, mode: str = 'full') -> array"),
      document(
          "Convolve two vectors, as numpy.convolve does.",
          "Element k of the result is the sum of a[i] * v[k - i] over all i.\n\n"
          "Args:\n"
          "    a, v: Vectors of floating-point numbers, not empty.\n"
          "    mode: \"full\": all len(a) + len(v) - 1 elements. \"same\": as many as the longer one has, from the "
          "middle.\n        \"valid\": those where both overlap completely.\n\n"
          "Raises:\n    ValueError: for another mode, empty arrays, more axes than one, integers and complex "
          "numbers.",
          "fn.convolve(fn.array([1.0, 2.0, 3.0]), fn.array([0.0, 1.0, 0.5]))",
          "array([0. , 1. , 2.5, 4. , 1.5], dtype=float32)")
          .c_str());
}

}  // namespace funcnn
