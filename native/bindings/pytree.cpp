#include "bindings/bindings.h"

namespace funcnn {

void bind_pytree(nb::module_&) {}

}  // namespace funcnn
