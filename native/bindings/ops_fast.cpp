// What funcnn.fast is made of.
#include "bindings/define.h"
#include "ops/attention.h"
#include "ops/cross_entropy.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/normalise.h"
#include "ops/rotate.h"
#include "ops/views.h"
#include "transforms/gated.h"

namespace funcnn {
namespace {

Array optional(nb::handle x, const char* name) { return x.is_none() ? Array() : as_array(x, name); }

nb::object normalised_by_root(nb::handle x, nb::handle weight, nb::handle eps) {
  const char* name = "rms_norm";
  Array y = as_array(x, name), w = optional(weight, name);
  return wrap_object(rms_norm(y, w, as_operand(eps, normalisation_dtype(name, y, {{"weight", w}}), name)));
}

nb::object normalised(nb::handle x, nb::handle weight, nb::handle bias, nb::handle eps) {
  const char* name = "layer_norm";
  Array y = as_array(x, name), w = optional(weight, name), b = optional(bias, name);
  Dtype wide = normalisation_dtype(name, y, {{"weight", w}, {"bias", b}});
  return wrap_object(layer_norm(y, w, b, as_operand(eps, wide, name)));
}

struct Activation {
  const char* name;
  Array (*function)(const Array&);
};
constexpr Activation activations[] = {{"silu", silu},
                                      {"gelu_approx", gelu_approx},
                                      {"gelu_fast_approx", gelu_fast_approx},
                                      {"hardswish", hardswish},
                                      {"mish", mish}};

}  // namespace

void bind_fast(nb::module_& m) {
  nb::module_ fast = m.def_submodule("fast", "Kernels of whole layers; see funcnn.fast.");
  fast.def(
      "attention",
      [](nb::handle q, nb::handle k, nb::handle v, double scale, bool causal, nb::handle mask, nb::handle sinks) {
        const char* name = "scaled_dot_product_attention";
        return wrap_object(scaled_dot_product_attention(as_array(q, name), as_array(k, name), as_array(v, name), scale,
                                                        causal, optional(mask, name), optional(sinks, name)));
      },
      nb::arg("q"), nb::arg("k"), nb::arg("v"), nb::arg("scale"), nb::arg("causal"), nb::arg("mask").none(),
      nb::arg("sinks").none(),
      nb::sig(
          "def attention(q: ArrayLike, k: ArrayLike, v: ArrayLike, /, scale: float, causal: bool, mask: ArrayLike | "
          "None, sinks: ArrayLike | None) -> array"),
      "See `funcnn.fast.scaled_dot_product_attention`.");
  fast.def("rms_norm", &normalised_by_root, nb::arg("x"), nb::arg("weight").none(), nb::arg("eps"),
           nb::sig("def rms_norm(x: ArrayLike, weight: ArrayLike | None, eps: ArrayLike, /) -> array"),
           "See `funcnn.fast.rms_norm`.");
  fast.def("layer_norm", &normalised, nb::arg("x"), nb::arg("weight").none(), nb::arg("bias").none(), nb::arg("eps"),
           nb::sig("def layer_norm(x: ArrayLike, weight: ArrayLike | None, bias: ArrayLike | None, eps: ArrayLike, /) "
                   "-> array"),
           "See `funcnn.fast.layer_norm`.");
  fast.def(
      "rotate_pairs",
      [](nb::handle x, int64_t dims, bool neighbours, nb::handle angles, nb::handle signs) {
        const char* name = "rope";
        return wrap_object(
            rotate_pairs(as_array(x, name), dims, neighbours, as_array(angles, name), as_array(signs, name)));
      },
      nb::arg("x"), nb::arg("dims"), nb::arg("neighbours"), nb::arg("angles"), nb::arg("signs"),
      nb::sig("def rotate_pairs(x: ArrayLike, dims: int, neighbours: bool, angles: ArrayLike, signs: ArrayLike, /) -> "
              "array"),
      "Rotate the pairs of `funcnn.fast.rope` by angles.");
  fast.def(
      "affine",
      [](nb::handle x, nb::handle weight, nb::handle bias) {
        const char* name = "matmul";
        Array y = matmul(as_array(x, name), transpose(as_array(weight, name), {}));
        return wrap_object(bias.is_none() ? y : add(y, as_array(bias, "add")));
      },
      nb::arg("x"), nb::arg("weight"), nb::arg("bias").none(),
      nb::sig("def affine(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, /) -> array"),
      "Multiply by the transposed weight and add a bias, if there is one.");
  fast.def(
      "cross_entropy",
      [](nb::handle logits, nb::handle targets, int64_t axis) {
        const char* name = "cross_entropy";
        CrossEntropy made = cross_entropy(as_array(logits, name), as_array(targets, name), axis);
        return nb::make_tuple(wrap_object(made.shifted), wrap_object(made.chosen), wrap_object(made.normaliser),
                              wrap_object(made.loss));
      },
      nb::arg("logits"), nb::arg("targets"), nb::arg("axis"),
      nb::sig("def cross_entropy(logits: array, targets: array, axis: int, /) -> tuple[array, array, array, array]"),
      "What the cross entropy of class indices consists of, whose axis, counted from the front, has size 1: the logits "
      "less\n"
      "their maximum, where the class is the target, the logarithm of the sum of exponentials, and the loss.");
  for (const Activation& made : activations)
    fast.def(
        made.name, [made](nb::handle x) { return wrap_object(made.function(as_array(x, made.name))); }, nb::arg("x"),
        nb::sig(cat("def ", made.name, "(x: ArrayLike, /) -> array").c_str()),
        cat("See `funcnn.nn.", made.name, "`.").c_str());
}

}  // namespace funcnn
