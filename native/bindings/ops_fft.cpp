// Fourier transforms of one axis; funcnn/fft makes the functions of them that users call.
#include <nanobind/stl/string.h>

#include "bindings/define.h"
#include "ops/fft.h"

namespace funcnn {

void bind_fft(nb::module_& m) {
  nb::module_ fft = m.def_submodule("fft", "Fourier transforms; see funcnn.fft.");
  fft.def(
      "transform",
      [](nb::handle x, const char* name, int kind, bool inverse, nb::handle n, nb::handle axis,
         const std::string& norm) {
        return wrap_object(fourier(name, as_array(x, name), FftKind(kind), inverse, optional_integer(n, name),
                                   integer_of(axis, name), fft_norm(name, norm)));
      },
      nb::arg("x"), nb::arg("name"), nb::arg("kind"), nb::arg("inverse"), nb::arg("n").none(), nb::arg("axis"),
      nb::arg("norm"),
      nb::sig(
          "def transform(x: ArrayLike, name: str, kind: int, inverse: bool, n: int | None, axis: int, norm: str, /) "
          "-> array"),
      "Transform one axis. Kinds: 0 complex, 1 real to half a spectrum, 2 back. Errors say `name`.");
}

}  // namespace funcnn
