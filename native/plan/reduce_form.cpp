#include "plan/reduce_form.h"

#include <algorithm>

namespace funcnn {

bool is_flat(const View& view, const Shape& shape) {
  if (view.offset != 0) return false;
  Shape dims;
  Strides strides;
  collapse(shape, view.strides, dims, strides);
  return dims.empty() || (dims.size() == 1 && strides[0] == 1);
}

bool is_row_view(const View& view, const Shape& shape, int64_t rows, int64_t& cols) {
  if (view.offset != 0) return false;
  Shape dims;
  Strides strides;
  collapse(shape, view.strides, dims, strides);
  if (rows == 1 && dims.size() == 1 && strides[0] == 0) {
    cols = dims[0];
    return true;
  }
  if (dims.size() == 2 && dims[0] == rows && strides[0] == 1 && strides[1] == 0) {
    cols = dims[1];
    return true;
  }
  return false;
}

ReduceForm reduce_form(const Ir& ir, const Value& reduce) {
  const Value& input = ir.values[size_t(reduce.inputs[0])];
  ReduceForm form;
  form.view.base = input.view.base;
  form.view.offset = input.view.offset;
  auto is_reduced = [&](size_t axis) {
    return std::find(reduce.axes.begin(), reduce.axes.end(), int(axis)) != reduce.axes.end();
  };
  int last_reduced = -1, first_kept = int(input.shape.size());
  for (size_t i = 0; i < input.shape.size(); ++i) {
    if (is_reduced(i)) {
      form.reduced *= input.shape[i];
      if (input.shape[i] != 1) last_reduced = int(i);
    } else {
      form.kept *= input.shape[i];
      if (input.shape[i] != 1) first_kept = std::min(first_kept, int(i));
    }
  }
  form.by_column = form.kept > 1 && last_reduced < first_kept;
  if (form.by_column) {
    form.shape = input.shape;
    form.view.strides = input.view.strides;
    return form;
  }
  for (bool reduced : {false, true})
    for (size_t i = 0; i < input.shape.size(); ++i)
      if (is_reduced(i) == reduced) {
        form.shape.push_back(input.shape[i]);
        form.view.strides.push_back(input.view.strides[i]);
      }
  return form;
}

}  // namespace funcnn
