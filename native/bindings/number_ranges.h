// Which Python numbers among the arguments of a traced function have to fit which dtypes: what is converted while
// tracing has no value yet, so a call compares the numbers that it brings.
#pragma once

#include <utility>
#include <vector>

#include "graph/array.h"

namespace funcnn {

// Collects what is converted on this thread while it exists.
class NumberRanges {
 public:
  NumberRanges();
  ~NumberRanges();
  NumberRanges(const NumberRanges&) = delete;
  NumberRanges& operator=(const NumberRanges&) = delete;

  // Integers `number`, weak and without a value, became `dtype`.
  static void note(const Array& number, Dtype dtype);
  // The dtypes that `number` became and that do not hold all of its own.
  std::vector<Dtype> of(const Array& number) const;

 private:
  std::vector<std::pair<Array, Dtype>> noted_;
  NumberRanges* outer_;
};

}  // namespace funcnn
