// The extension module: every file of this folder adds its part.
#include "bindings/bindings.h"

NB_MODULE(_core, m) {
  m.doc() = "The native core of funcnn.";
  funcnn::bind_pytree(m);
}
