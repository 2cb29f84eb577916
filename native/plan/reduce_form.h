// How loops over rows and columns see values.
#pragma once

#include "plan/ir.h"

namespace funcnn {

// How a reduction sees its input: kept axes, then reduced ones.
struct ReduceForm {
  int64_t kept = 1, reduced = 1;
  bool by_column = false;  // the reduced axes come first, or between kept ones: accumulate rows
  int64_t bands = 1;       // by_column: elements of the kept axes in front
  Shape shape;             // of the input, reordered unless by_column
  View view;
};
ReduceForm reduce_form(const Ir& ir, const Value& reduce);

// Reduced axes with kept ones between them and one behind: over so many of the first, and then over the rest, elements
// are read in the order of memory. 0: all at once.
size_t axes_in_order(const Value& input, std::span<const int> axes);

// The view covers its elements densely from the start.
bool is_flat(const View& view, const Shape& shape);
// The view repeats each of `rows` dense elements `cols` times; finds cols.
bool is_row_view(const View& view, const Shape& shape, int64_t rows, int64_t& cols);

}  // namespace funcnn
