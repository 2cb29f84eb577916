// The text of one kernel in the common subset of both languages: parameters are declared once, the body says DEVICE,
// SHARED, BARRIER(), warp_sum(x) and so on (prelude.h), and the dialect's signature and names come with it.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "backends/gpu/machine.h"
#include "backends/gpu/prelude.h"
#include "base/dtype.h"

namespace funcnn::gpu {

// What kernels call a dtype: bool, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64, c64.
std::string_view type_name(Dtype dtype);
// The same for values in registers: f16 and bf16 are held as f32.
std::string_view register_type(Dtype dtype);

// In the body: `group`, `groups`, `item`, `items` (uint3: position of the group, how many there are, position of the
// thread in its group, threads of a group), `lane` (0 to 31) and `warp` (uint), `p.NAME` for values.
class KernelText {
 public:
  // `threads`: the most that a group of it has.
  KernelText(const Traits& traits, std::string_view name, uint32_t threads);

  // Parameters, in the order of the launch's operands: those only read first.
  KernelText& read(std::string_view type, std::string_view name);  // DEVICE const TYPE* NAME
  // The same for an operand of one element, which may be a scalar of the host; read it as NAME[0].
  KernelText& read_one(std::string_view type, std::string_view name);
  KernelText& write(std::string_view type, std::string_view name);  // DEVICE TYPE* NAME, which may also be read
  // A field p.NAME of type i32, u32, i64 or f32: see Values.
  KernelText& value(std::string_view type, std::string_view name);

  // A part of the prelude that the kernel needs, beside what every kernel has.
  KernelText& use(Section section);
  // CUDA: so many groups are to have room on a multiprocessor, which bounds the registers of a thread.
  KernelText& beside(uint32_t groups);
  // Functions and types before the kernel.
  KernelText& before(std::string_view text);
  KernelText& body(std::string_view text);

  Source finish() const;

 private:
  struct Parameter {
    std::string type, name;
    bool written, one;
  };
  const Traits& traits_;
  std::string name_;
  uint32_t threads_, beside_ = 0;
  std::vector<Parameter> parameters_;
  std::vector<std::pair<std::string, std::string>> values_;
  std::vector<Section> sections_;
  std::string before_, body_;
};

// The fields of `p`, in the order of their declaration.
class Values {
 public:
  template <class T>
  Values& add(T value) {
    static_assert(std::is_same_v<T, int32_t> || std::is_same_v<T, uint32_t> || std::is_same_v<T, int64_t> ||
                      std::is_same_v<T, float>,
                  "i32, u32, i64 or f32");
    size_t at = (bytes_.size() + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  // Other fields, from a multiple of 8 bytes on.
  Values& append(const std::vector<std::byte>& others) {
    size_t at = (bytes_.size() + 7) / 8 * 8;
    bytes_.resize(at + others.size());
    std::ranges::copy(others, bytes_.begin() + ptrdiff_t(at));
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace funcnn::gpu
