#include "bindings/number_ranges.h"

#include <algorithm>

namespace funcnn {
namespace {

thread_local NumberRanges* innermost = nullptr;

}  // namespace

NumberRanges::NumberRanges() : outer_(std::exchange(innermost, this)) {}
NumberRanges::~NumberRanges() { innermost = outer_; }

void NumberRanges::note(const Array& number, Dtype dtype) {
  const Node& node = *number.node();
  if (!innermost || !node.abstract || !is_integer(node.dtype) || !is_integer(dtype)) return;
  if (promote_types(node.dtype, dtype) != dtype) innermost->noted_.emplace_back(number, dtype);
}

std::vector<Dtype> NumberRanges::of(const Array& number) const {
  std::vector<Dtype> dtypes;
  for (const auto& [noted, dtype] : noted_)
    if (noted.node() == number.node() && std::find(dtypes.begin(), dtypes.end(), dtype) == dtypes.end())
      dtypes.push_back(dtype);
  return dtypes;
}

}  // namespace funcnn
