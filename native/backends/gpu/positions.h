// From index arrays to the places in memory that they address, as text.
#pragma once

#include <string>
#include <string_view>

#include "backends/gpu/nest.h"
#include "ops/gather.h"

namespace funcnn::gpu {

// Positions are the elements of the common shape of the index arrays.
class Positions {
 public:
  // `x`: the array addressed; `common`: the common shape. `along` (may be null): strides by the axes of the common
  // shape of an operand that goes along, which `along_text` follows.
  Positions(const Layout& x, Layouts indices, const IndexedAxes& axes, const Shape& common, const Strides* along,
            bool wide);

  // The shortest loop nest over the positions; it may have no axes.
  const Shape& lengths() const { return lengths_; }
  int64_t count() const { return count_; }
  // Strides of the operand that goes along, by `lengths`.
  const Strides& along() const { return along_; }

  // The values of what follows, and the function that it calls.
  void declare(KernelText& text, Numbers& numbers) const;
  // The index arrays, which are called index0, index1, ...
  void declare_indices(KernelText& text) const;
  // Declares NAME, an offset into x, and NAME_inside: whether all indices are in range. AXIS0, AXIS1, ... are the
  // indices along `lengths`.
  std::string place_text(std::string_view name, std::string_view axis) const;
  // The offset into the operand that goes along.
  std::string along_text(std::string_view axis) const;
  // Declares AXIS0, AXIS1, ... of the position called NUMBER; its values come by declare_lengths.
  void declare_lengths(KernelText& text, Numbers& numbers) const;
  std::string unravel_text(std::string_view number, std::string_view axis) const;

 private:
  struct Index {
    Layout layout;
    Strides strides;
    int64_t length, step;  // of the axis of x
  };
  Shape lengths_;
  Strides base_, along_;
  bool has_base_ = false, has_along_;
  std::vector<Index> indices_;
  int64_t count_;
  const char* type_;
};

}  // namespace funcnn::gpu
