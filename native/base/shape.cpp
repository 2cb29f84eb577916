#include "base/shape.h"

#include <algorithm>

#include "base/error.h"

namespace funcnn {

Strides contiguous_strides(const Shape& shape) {
  Strides strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step = int64_t(uint64_t(step) * uint64_t(shape[i]));  // wraps for shapes that nobody can hold
  }
  return strides;
}

bool is_contiguous(const Shape& shape, const Strides& strides) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  size_t lead = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t &d = out[lead + i], e = shorter[i];
    if (d == e || e == 1) continue;
    if (d != 1)
      throw ValueError(
          cat(op, ": shapes ", a, " and ", b, " do not broadcast; align the trailing axes or insert axes of length 1"));
    d = e;
  }
  return out;
}

int normalize_axis(const char* op, int64_t axis, size_t rank) {
  int64_t from_front = axis < 0 ? axis + int64_t(rank) : axis;
  if (from_front < 0 || from_front >= int64_t(rank))
    throw AxisError(
        cat(op, ": axis ", axis, " is out of range for an array with ", rank, " dimension", rank == 1 ? "" : "s"));
  return int(from_front);
}

Axes normalize_axes(const char* op, std::span<const int64_t> axes, size_t rank) {
  Axes out;
  for (int64_t axis : axes) out.push_back(normalize_axis(op, axis, rank));
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end()) throw ValueError(cat(op, ": an axis is named twice"));
  return out;
}

bool reshape_strides(const Shape& shape, const Strides& strides, const Shape& target, Strides& out) {
  // Drop axes of length 1, then match runs of old axes that are dense with runs of new axes of the same product.
  Shape dims;
  Strides steps;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) {
      out = contiguous_strides(target);
      return true;
    }
    if (shape[i] == 1) continue;
    if (!dims.empty() && steps.back() == strides[i] * shape[i]) {
      dims.back() *= shape[i];
      steps.back() = strides[i];
    } else {
      dims.push_back(shape[i]);
      steps.push_back(strides[i]);
    }
  }
  out = Strides(target.size(), 0);
  size_t group = dims.size();
  int64_t left = 1, step = 0;
  for (size_t i = target.size(); i-- > 0;) {
    if (target[i] == 1) {
      out[i] = 0;
      continue;
    }
    if (left == 1) {
      if (group == 0) return false;
      --group;
      left = dims[group];
      step = steps[group];
    }
    if (left % target[i] != 0) return false;
    out[i] = step;
    step *= target[i];
    left /= target[i];
  }
  return left == 1 && group == 0;
}

void merge_axes(Shape& shape, std::span<Strides* const> operands) {
  size_t kept = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    int64_t length = shape[axis];
    if (length == 1) continue;
    bool merges = kept > 0 && std::all_of(operands.begin(), operands.end(),
                                          [&](const Strides* s) { return (*s)[kept - 1] == (*s)[axis] * length; });
    if (!merges) shape[kept++] = 1;
    shape[kept - 1] *= length;
    for (Strides* s : operands) (*s)[kept - 1] = (*s)[axis];
  }
  shape.resize(kept);
  for (Strides* s : operands) s->resize(kept);
}
void merge_axes(Shape& shape, std::initializer_list<Strides*> operands) {
  merge_axes(shape, std::span<Strides* const>(operands.begin(), operands.size()));
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (size_t i = 0; i < shape.size(); ++i) out << (i ? ", " : "") << shape[i];
  return out << (shape.size() == 1 ? ",)" : ")");
}

}  // namespace funcnn
