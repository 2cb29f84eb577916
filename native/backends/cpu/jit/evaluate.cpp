#include "backends/cpu/jit/evaluate.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "base/half.h"

namespace funcnn::cpu::jit {
namespace {

template <class F>
class Element {
 public:
  using Unsigned = std::conditional_t<sizeof(F) == 8, uint64_t, uint32_t>;
  using Integer = std::make_signed_t<Unsigned>;

  Element(std::span<const uint64_t> streams, uint64_t index, std::span<uint64_t> values)
      : streams_(streams), index_(index), values_(values) {}

  uint64_t value(const Node& node) const {
    switch (node.what) {
      case Do::constant:
        return node.bits;
      case Do::uniform:
      case Do::load:
      case Do::pick:
      case Do::mask_of_load:
        return streams_[size_t(node.stream)];
      case Do::index:
        return Unsigned(index_);
      case Do::add:
        return bits(real(node.a) + real(node.b));
      case Do::subtract:
        return bits(real(node.a) - real(node.b));
      case Do::multiply:
        return bits(real(node.a) * real(node.b));
      case Do::divide:
        return bits(real(node.a) / real(node.b));
      case Do::fma:
        return bits(std::fma(real(node.a), real(node.b), real(node.c)));
      case Do::fms:
        return bits(std::fma(real(node.a), real(node.b), -real(node.c)));
      case Do::fnma:
        return bits(std::fma(-real(node.a), real(node.b), real(node.c)));
      case Do::square_root:
        return bits(std::sqrt(real(node.a)));
      case Do::least:
        return real(node.a) < real(node.b) ? values_[size_t(node.a)] : values_[size_t(node.b)];
      case Do::greatest:
        return real(node.a) > real(node.b) ? values_[size_t(node.a)] : values_[size_t(node.b)];
      case Do::floor:
        return bits(std::floor(real(node.a)));
      case Do::ceil:
        return bits(std::ceil(real(node.a)));
      case Do::truncate:
        return bits(std::trunc(real(node.a)));
      case Do::nearest:
        return bits(std::nearbyint(real(node.a)));
      case Do::half:
        return bits(F(float16_t(float(real(node.a)))));
      case Do::brain:
        return bits(F(float(bfloat16_t(float(real(node.a))))));
      case Do::int_add:
        return Unsigned(word(node.a) + word(node.b));
      case Do::int_subtract:
        return Unsigned(word(node.a) - word(node.b));
      case Do::int_multiply:
        return Unsigned(word(node.a) * word(node.b));
      case Do::int_least:
        return Unsigned(std::min(integer(node.a), integer(node.b)));
      case Do::int_greatest:
        return Unsigned(std::max(integer(node.a), integer(node.b)));
      case Do::uint_least:
        return std::min(word(node.a), word(node.b));
      case Do::uint_greatest:
        return std::max(word(node.a), word(node.b));
      case Do::bit_and:
        return word(node.a) & word(node.b);
      case Do::bit_or:
        return word(node.a) | word(node.b);
      case Do::bit_xor:
        return word(node.a) ^ word(node.b);
      case Do::shift_left:
        return Unsigned(word(node.a) << node.bits);
      case Do::shift_right:
        return word(node.a) >> node.bits;
      case Do::shift_right_signed:
        return Unsigned(integer(node.a) >> node.bits);
      case Do::shift_left_by:
        return word(node.b) < kWidth ? Unsigned(word(node.a) << word(node.b)) : 0;
      case Do::shift_right_by:
        return word(node.b) < kWidth ? word(node.a) >> word(node.b) : 0;
      case Do::shift_right_signed_by:
        return Unsigned(integer(node.a) >> std::min<Unsigned>(word(node.b), kWidth - 1));
      case Do::from_int:
        return bits(F(integer(node.a)));
      case Do::to_int:
        return Unsigned(to_integer<Integer>(real(node.a)));
      case Do::widen_first:
      case Do::widen_second:
        return std::bit_cast<uint64_t>(double(narrow(node.a)));
      case Do::narrow:
        return std::bit_cast<uint32_t>(float(wide(node.a)));
      case Do::widen_int_first:
      case Do::widen_int_second:
        return std::bit_cast<uint64_t>(double(int32_t(values_[size_t(node.a)])));
      case Do::narrow_to_int:
        return uint32_t(to_integer<int32_t>(wide(node.a)));
      case Do::less:
        return real(node.a) < real(node.b);
      case Do::less_equal:
        return real(node.a) <= real(node.b);
      case Do::equal:
        return real(node.a) == real(node.b);
      case Do::not_equal:
        return real(node.a) != real(node.b);
      case Do::int_less:
        return integer(node.a) < integer(node.b);
      case Do::int_equal:
        return word(node.a) == word(node.b);
      case Do::mask_and:
        return values_[size_t(node.a)] & values_[size_t(node.b)];
      case Do::mask_or:
        return values_[size_t(node.a)] | values_[size_t(node.b)];
      case Do::mask_xor:
        return values_[size_t(node.a)] ^ values_[size_t(node.b)];
      case Do::mask_not:
        return values_[size_t(node.a)] ^ 1;
      case Do::mask_first:
      case Do::mask_second:
        return values_[size_t(node.a)];
      case Do::select:
      case Do::choose:
      case Do::seldom:
        return values_[size_t(values_[size_t(node.a)] ? node.b : node.c)];
      case Do::store:
      case Do::mask_store:
      case Do::leave:
      case Do::reduce:
        return values_[size_t(node.a)];
    }
    return 0;
  }

 private:
  static constexpr Unsigned kWidth = sizeof(F) * 8;

  static uint64_t bits(F x) { return std::bit_cast<Unsigned>(x); }
  Unsigned word(int n) const { return Unsigned(values_[size_t(n)]); }
  Integer integer(int n) const { return Integer(word(n)); }
  F real(int n) const { return std::bit_cast<F>(word(n)); }
  float narrow(int n) const { return std::bit_cast<float>(uint32_t(values_[size_t(n)])); }
  double wide(int n) const { return std::bit_cast<double>(values_[size_t(n)]); }

  // What does not fit has no value that anybody may use.
  template <class To, class From>
  static To to_integer(From x) {
    const From limit = -From(std::numeric_limits<To>::min());
    return x >= -limit && x < limit ? To(x) : std::numeric_limits<To>::min();
  }

  std::span<const uint64_t> streams_;
  uint64_t index_;
  std::span<uint64_t> values_;
};

}  // namespace

// An element lies in the first half and in the second: each does the same to it.
void evaluate(const Line& line, std::span<const uint64_t> streams, uint64_t index, std::span<uint64_t> values) {
  const Element<float> four(streams, index, values);
  const Element<double> eight(streams, index, values);
  for (size_t n = 0; n < line.nodes.size(); ++n) {
    const Node& node = line.nodes[n];
    values[n] = line.wide || node.eight ? eight.value(node) : four.value(node);
  }
}

uint64_t to_lane(Dtype dtype, const std::byte* p) {
  return visit_dtype(dtype, [&]<class T>(TypeTag<T>) -> uint64_t {
    T x;
    std::memcpy(&x, p, sizeof(T));
    uint64_t bits = 0;
    if constexpr (std::is_same_v<T, complex64_t>) {
      throw TypeError("lines hold no complex numbers");
    } else if constexpr (sizeof(T) == 8) {
      std::memcpy(&bits, &x, 8);
    } else if constexpr (std::is_integral_v<T>) {
      bits = uint32_t(x);
    } else {
      const float wide = float(x);
      std::memcpy(&bits, &wide, 4);
    }
    return bits;
  });
}
void from_lane(Dtype dtype, uint64_t bits, std::byte* p) {
  if (!is_half(dtype)) {
    std::memcpy(p, &bits, item_size(dtype));
    return;
  }
  float x;
  std::memcpy(&x, &bits, 4);
  const uint16_t half = dtype == Dtype::float16 ? float_to_float16_bits(x) : uint16_t(bits >> 16);  // has been rounded
  std::memcpy(p, &half, 2);
}

}  // namespace funcnn::cpu::jit
