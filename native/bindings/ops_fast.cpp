// What funcnn.fast is made of.
#include "bindings/define.h"
#include "ops/attention.h"

namespace funcnn {

void bind_fast(nb::module_& m) {
  nb::module_ fast = m.def_submodule("fast", "Kernels of whole layers; see funcnn.fast.");
  fast.def(
      "attention",
      [](nb::handle q, nb::handle k, nb::handle v, double scale, bool causal, nb::handle mask, nb::handle sinks) {
        const char* name = "scaled_dot_product_attention";
        auto optional = [&](nb::handle x) { return x.is_none() ? Array() : as_array(x, name); };
        return wrap_object(scaled_dot_product_attention(as_array(q, name), as_array(k, name), as_array(v, name), scale,
                                                        causal, optional(mask), optional(sinks)));
      },
      nb::arg("q"), nb::arg("k"), nb::arg("v"), nb::arg("scale"), nb::arg("causal"), nb::arg("mask").none(),
      nb::arg("sinks").none(),
      nb::sig(
          "def attention(q: ArrayLike, k: ArrayLike, v: ArrayLike, /, scale: float, causal: bool, mask: ArrayLike | "
          "None, sinks: ArrayLike | None) -> array"),
      "See `funcnn.fast.scaled_dot_product_attention`.");
}

}  // namespace funcnn
