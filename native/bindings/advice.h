// What errors advise.
#pragma once

#include <string>

#include "bindings/bindings.h"

namespace funcnn {

// About a leaf that is no array: one with fields may be meant as a container, unless it describes a model or optimiser.
inline std::string container_advice(nb::handle leaf) {
  nb::handle type = leaf.type();
  bool fields = nb::hasattr(type, "__dataclass_fields__") || nb::hasattr(type, "__attrs_attrs__");
  return fields && !nb::hasattr(leaf, "init") ? "; tree.register_attrs makes its class a container" : "";
}

}  // namespace funcnn
