// Lines of elements along an axis, for kernels that work through them.
#pragma once

#include <string>
#include <string_view>

#include "backends/gpu/nest.h"

namespace funcnn::gpu {

// The lines of an operand of any layout: `count` of them, each of `length` elements `step` apart.
class Lines {
 public:
  Lines(const Layout& layout, size_t axis);
  // Values p.PREFIX_step and so on.
  void declare(KernelText& text, Numbers& numbers, std::string_view prefix) const;
  // Statements that declare `at` (of the type `index`), the offset of the line whose number the expression `line` is.
  std::string offset_text(std::string_view index, std::string_view at, std::string_view line,
                          std::string_view prefix) const;

  int64_t count = 1, length = 0, step = 0;

 private:
  Shape lengths_;
  Strides strides_;
};

}  // namespace funcnn::gpu
