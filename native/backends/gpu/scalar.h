// What an Opcode is called and computes in kernels of either language.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/gpu/prelude.h"
#include "base/dtype.h"
#include "graph/opcode.h"

namespace funcnn::gpu {

// The expression that computes `op` from expressions a, b, c (as many as it has operands), each an atom: a name, a
// literal or a call. `operands` is their dtype (for `select` that of b and c), `result` that of the value; both as in
// registers, never half precision. `copy` converts.
std::string scalar_expression(Opcode op, Dtype operands, Dtype result, std::string_view a, std::string_view b = {},
                              std::string_view c = {});

// The same of float32 where the result need not be more precise than float16 is; empty: it costs as much.
std::string half_expression(Opcode op, std::string_view a);

// The parts of the prelude that the expression calls, beside Section::base.
std::vector<Section> scalar_sections(Opcode op, Dtype operands, Dtype result);

// The functions that a kernel's text names, and those that they call, in the order of their definition: Section::math.
// Beside those of expressions, called NAME_f32 and so on, there are to_integer<T>(x), which goes to the nearest bound
// where x is out of range, and the pairs of scalar_two.cpp. Functions of f32 keep the bounds of docs/accuracy.md.
std::string scalar_functions(Language language, std::string_view text);

}  // namespace funcnn::gpu
