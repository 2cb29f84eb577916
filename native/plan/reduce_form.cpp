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

namespace {

// A band shorter than this costs more than finding its elements in the order of rows; so do very short rows.
constexpr int64_t kLeastBand = 256, kLeastColumns = 8, kShortBand = 4096;

// Reduced axes between kept ones, where elements follow each other along the last kept axis. Finds the number of bands.
template <class F>
bool in_bands(const Value& input, int first_reduced, int last_reduced, F&& is_reduced, int64_t& bands) {
  int64_t before = 1, between = 1, after = 1;
  int last = -1;
  for (int i = 0; i < int(input.shape.size()); ++i) {
    int64_t length = input.shape[size_t(i)];
    if (length == 1) continue;
    bool between_them = i >= first_reduced && i <= last_reduced;
    if (between_them && !is_reduced(size_t(i))) return false;
    (between_them ? between : i < first_reduced ? before : after) *= length;
    last = i;
  }
  if (before <= 1 || after <= 1 || between <= 1 || input.view.strides[size_t(last)] != 1) return false;
  if (between * after < kLeastBand || (after < kLeastColumns && between * after < kShortBand)) return false;
  bands = before;
  return true;
}

}  // namespace

size_t axes_in_order(const Value& input, std::span<const int> axes) {
  if (input.size() == 0) return 0;
  int64_t before = 1;  // elements of the axes in front of the first reduced one
  size_t groups = 0, first = 0, seen = 0;
  int last = -1;
  bool inside = false;
  for (int i = 0; i < int(input.shape.size()); ++i) {
    bool reduced = seen < axes.size() && axes[seen] == i;
    seen += reduced;
    if (input.shape[size_t(i)] == 1) continue;
    groups += reduced && !inside;
    if (groups == 0) before *= input.shape[size_t(i)];
    if (groups == 1 && reduced) first = seen;
    inside = reduced;
    last = i;
  }
  bool in_order = groups > 1 && !inside && input.view.strides[size_t(last)] == 1;
  return in_order && input.size() / before >= kLeastBand ? first : 0;
}

ReduceForm reduce_form(const Ir& ir, const Value& reduce) {
  const Value& input = ir.values[size_t(reduce.inputs[0])];
  ReduceForm form;
  form.view.base = input.view.base;
  form.view.offset = input.view.offset;
  auto is_reduced = [&](size_t axis) {
    return std::find(reduce.axes.begin(), reduce.axes.end(), int(axis)) != reduce.axes.end();
  };
  int first_reduced = int(input.shape.size()), last_reduced = -1, first_kept = int(input.shape.size());
  for (size_t i = 0; i < input.shape.size(); ++i) {
    if (is_reduced(i)) {
      form.reduced *= input.shape[i];
      if (input.shape[i] == 1) continue;
      first_reduced = std::min(first_reduced, int(i));
      last_reduced = int(i);
    } else {
      form.kept *= input.shape[i];
      if (input.shape[i] != 1) first_kept = std::min(first_kept, int(i));
    }
  }
  form.by_column = form.kept > 1 && last_reduced < first_kept;
  if (!form.by_column && in_bands(input, first_reduced, last_reduced, is_reduced, form.bands)) form.by_column = true;
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
