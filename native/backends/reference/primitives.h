// Primitives with kernels of their own, as plain loops over the elements of the result.
#pragma once

#include <span>
#include <string_view>

#include "graph/primitive.h"
#include "plan/backend.h"

namespace funcnn::reference {

using Layouts = std::span<const Layout>;
// Pointers to the operands' first elements: inputs, then outputs.
using Pointers = std::span<std::byte* const>;
using PrimitiveFn = void (*)(const Primitive& primitive, Layouts inputs, Layouts outputs, Pointers at);

// Null: there is none.
PrimitiveFn find_primitive(std::string_view name);

}  // namespace funcnn::reference
