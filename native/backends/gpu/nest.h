// Loops over elements that are spread over a grid, as text: each thread has its index along each axis.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/gpu/kernel.h"
#include "backends/gpu/source.h"
#include "base/shape.h"

namespace funcnn::gpu {

// The last three axes are those of the grid; only what is before them costs divisions.
class Nest {
 public:
  // `lengths`: outermost first, none of length 0; axes of length 1 should have been merged away (merge_axes). `wide`:
  // indices are i64, else i32.
  Nest(const Shape& lengths, bool wide);

  size_t rank() const { return lengths_.size(); }
  const char* index_type() const { return wide_ ? "i64" : "i32"; }
  // The lengths as values p.n0, p.n1, ... of a kernel and of its launch.
  void declare(KernelText& text) const;
  void add_values(Values& values) const;
  // `statements` (lines indented by four), run once for each element with i0, i1, ... set.
  std::string around(std::string_view statements) const;
  // The number of the element in row-major order.
  std::string flat() const;
  Size3 groups() const { return groups_; }
  Size3 threads() const { return threads_; }
  uint32_t most_threads() const { return kThreads; }
  static constexpr uint32_t kThreads = 256;

 private:
  Shape lengths_;
  bool wide_;
  Size3 groups_, threads_;
};

// Integer values of a kernel and its launch, of the index type of a nest.
class Numbers {
 public:
  explicit Numbers(bool wide) : wide_(wide) {}
  void add(KernelText& text, const std::string& name, int64_t value) {
    text.value(wide_ ? "i64" : "i32", name);
    if (wide_)
      values_.add(value);
    else
      values_.add(int32_t(value));
  }
  void add(KernelText& text, const Nest& nest) {
    nest.declare(text);
    nest.add_values(values_);
  }
  const std::vector<std::byte>& bytes() const { return values_.bytes(); }

 private:
  bool wide_;
  Values values_;
};

// "i0 * p.x0 + i1 * p.x1" for axes [first, first + count) and the values PREFIX0, ...; "0" where there are none.
std::string offset_text(std::string_view prefix, size_t first, size_t count);

// Where only bits are moved: the unsigned type so many bytes wide.
std::string_view unit_type(size_t bytes);

// Whether all elements are one place in memory, which may be a scalar of the host.
bool is_one_place(const Layout& layout);
// Declares an operand that is read, as one of one element where it is.
void declare_read(KernelText& text, const Layout& layout, std::string_view type, std::string_view name);

// Whether offsets within an operand of this layout need more than 31 bits.
bool needs_wide(const Layout& layout);

// Makes a stage of a text, its nest and its values.
Stage stage_of(Machine& machine, const KernelText& text, Size3 groups, Size3 threads, std::vector<Place> operands,
               size_t read_only, const std::vector<std::byte>& values);

}  // namespace funcnn::gpu
