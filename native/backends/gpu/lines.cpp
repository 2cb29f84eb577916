#include "backends/gpu/lines.h"

#include "base/error.h"

namespace funcnn::gpu {

Lines::Lines(const Layout& layout, size_t axis) : length(layout.shape[axis]), step(layout.strides[axis]) {
  for (size_t d = 0; d < layout.shape.size(); ++d) {
    if (d == axis) continue;
    lengths_.push_back(layout.shape[d]);
    strides_.push_back(layout.strides[d]);
  }
  count = element_count(lengths_);
  merge_axes(lengths_, {&strides_});
}

void Lines::declare(KernelText& text, Numbers& numbers, std::string_view prefix) const {
  numbers.add(text, cat(prefix, "_step"), step);
  for (size_t d = 0; d < lengths_.size(); ++d) {
    if (d) numbers.add(text, cat(prefix, "_length", d), lengths_[d]);
    numbers.add(text, cat(prefix, "_stride", d), strides_[d]);
  }
}

std::string Lines::offset_text(std::string_view index, std::string_view at, std::string_view line,
                               std::string_view prefix) const {
  if (lengths_.empty()) return cat("    const ", index, " ", at, " = 0;\n");
  if (lengths_.size() == 1) return cat("    const ", index, " ", at, " = ", line, " * p.", prefix, "_stride0;\n");
  std::string out = cat("    ", index, " ", at, " = 0;\n    {\n      ", index, " left = ", line, ";\n");
  for (size_t d = lengths_.size() - 1; d > 0; --d)
    out += cat("      ", at, " += left % p.", prefix, "_length", d, " * p.", prefix, "_stride", d,
               ";\n      left /= p.", prefix, "_length", d, ";\n");
  return out + cat("      ", at, " += left * p.", prefix, "_stride0;\n    }\n");
}

}  // namespace funcnn::gpu
