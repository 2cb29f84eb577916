#include "backends/reference/primitives.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "backends/reference/attention.h"
#include "backends/reference/conv.h"
#include "backends/reference/element.h"
#include "backends/reference/fft.h"
#include "backends/reference/quantized.h"
#include "ops/argreduce.h"
#include "ops/bits.h"
#include "ops/cumulative.h"
#include "ops/gather.h"
#include "ops/index.h"
#include "ops/join.h"
#include "ops/pad.h"
#include "ops/slice_update.h"
#include "ops/sort_primitives.h"

namespace funcnn::reference {
namespace {

template <class T>
using Accumulator = std::conditional_t<is_half_type<T> || std::is_same_v<T, float>, double,
                                       std::conditional_t<is_complex_type<T>, std::complex<double>, T>>;

// An operand as an array of T.
template <class T>
struct Elements {
  T* data;
  const Layout* layout;
  int64_t size() const { return element_count(layout->shape); }
  T& flat(int64_t i) const { return data[offset_of(layout->shape, layout->strides, i)]; }
  T& at(const Shape& index) const {
    int64_t offset = 0;
    for (size_t d = 0; d < index.size(); ++d) offset += index[d] * layout->strides[d];
    return data[offset];
  }
};
template <class T>
Elements<T> elements(Layouts layouts, Pointers at, size_t i, size_t first = 0) {
  return {reinterpret_cast<T*>(at[first + i]), &layouts[i]};
}

Shape index_of(const Shape& shape, int64_t i) {
  Shape index(shape.size(), 0);
  for (size_t d = shape.size(); d-- > 0;) {
    index[d] = i % shape[d];
    i /= shape[d];
  }
  return index;
}

void copy_element(const Layout& from, const std::byte* source, const Shape& index, const Layout& to, std::byte* target,
                  const Shape& place) {
  size_t item = item_size(from.dtype);
  int64_t read = 0, write = 0;
  for (size_t d = 0; d < index.size(); ++d) read += index[d] * from.strides[d];
  for (size_t d = 0; d < place.size(); ++d) write += place[d] * to.strides[d];
  std::memcpy(target + write * int64_t(item), source + read * int64_t(item), item);
}

void dot(const Primitive&, Layouts in, Layouts out, Pointers at) {
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Accumulator<T>;
    Elements<T> a = elements<T>(in, at, 0), b = elements<T>(in, at, 1), c = elements<T>(out, at, 0, 2);
    size_t rank = out[0].shape.size();
    int64_t depth = in[0].shape.back();
    for (int64_t i = 0; i < c.size(); ++i) {
      Shape index = index_of(out[0].shape, i), left = index, right = index;
      A total{};
      for (int64_t k = 0; k < depth; ++k) {
        left[rank - 1] = k;
        right[rank - 2] = k;
        total = plus(total, times(convert_wide<A>(a.at(left)), convert_wide<A>(b.at(right))));
      }
      c.at(index) = narrow<T>(total);
    }
  });
}

// ---- moving elements

void concatenate(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  size_t axis = size_t(static_cast<const Concatenate&>(primitive).axis());
  int64_t before = 0;
  for (size_t k = 0; k < in.size(); ++k) {
    for (int64_t i = 0; i < element_count(in[k].shape); ++i) {
      Shape index = index_of(in[k].shape, i), place = index;
      place[axis] += before;
      copy_element(in[k], at[k], index, out[0], at[in.size()], place);
    }
    before += in[k].shape[axis];
  }
}

void pad(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const Pad&>(primitive);
  for (int64_t i = 0; i < element_count(out[0].shape); ++i)
    copy_element(in[1], at[1], {}, out[0], at[2], index_of(out[0].shape, i));
  for (int64_t i = 0; i < element_count(in[0].shape); ++i) {
    Shape index = index_of(in[0].shape, i), place = index;
    for (size_t d = 0; d < place.size(); ++d) place[d] = op.low()[d] + index[d] * (op.interior()[d] + 1);
    copy_element(in[0], at[0], index, out[0], at[2], place);
  }
}

void copy_all(const Layout& from, const std::byte* source, const Layout& to, std::byte* target) {
  if (source == target) return;  // in place
  for (int64_t i = 0; i < element_count(from.shape); ++i) {
    Shape index = index_of(from.shape, i);
    copy_element(from, source, index, to, target, index);
  }
}

void slice_update(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const SliceUpdate&>(primitive);
  copy_all(in[0], at[0], out[0], at[2]);
  for (int64_t i = 0; i < element_count(in[1].shape); ++i) {
    Shape index = index_of(in[1].shape, i), place = index;
    for (size_t d = 0; d < place.size(); ++d) place[d] = op.start()[d] + index[d] * op.step()[d];
    copy_element(in[1], at[1], index, out[0], at[2], place);
  }
}

// ---- computed positions

// The element of x that index arrays address at `index` of their common shape, with its whole axes at `rest`; false
// where an index is out of range.
bool address(const IndexedAxes& axes, const Layout& x, Layouts indices, Pointers at, const Shape& index,
             const Shape& rest, Shape& out) {
  out = Shape(x.shape.size(), -1);
  for (size_t k = 0; k < axes.indexed.size(); ++k) {
    const Layout& l = indices[k];
    int64_t offset = 0;
    size_t lead = index.size() - l.shape.size();
    for (size_t d = 0; d < l.shape.size(); ++d)
      if (l.shape[d] != 1) offset += index[lead + d] * l.strides[d];
    int64_t item = int64_t(item_size(l.dtype));
    int64_t i = load(at[k] + offset * item, l.dtype, Dtype::int64).template get<int64_t>();
    int64_t length = x.shape[size_t(axes.indexed[k])];
    if (i < 0) i += length;
    if (i < 0 || i >= length) return false;
    out[size_t(axes.indexed[k])] = i;
  }
  for (size_t k = 0; k < axes.x_batch.size(); ++k) out[size_t(axes.x_batch[k])] = index[size_t(axes.index_batch[k])];
  size_t next = 0;
  for (int64_t& i : out)
    if (i < 0) i = rest[next++];
  return true;
}

void gather(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& axes = static_cast<const Gather&>(primitive).axes();
  size_t whole = in[0].shape.size() - axes.indexed.size() - axes.x_batch.size();
  size_t lead = out[0].shape.size() - whole, item = item_size(out[0].dtype);
  for (int64_t i = 0; i < element_count(out[0].shape); ++i) {
    Shape place = index_of(out[0].shape, i), from;
    Shape index(place.begin(), place.begin() + ptrdiff_t(lead)), rest(place.begin() + ptrdiff_t(lead), place.end());
    if (address(axes, in[0], in.subspan(1), at.subspan(1), index, rest, from))
      copy_element(in[0], at[0], from, out[0], at.back(), place);
    else
      std::memset(at.back() + offset_of(out[0].shape, out[0].strides, i) * int64_t(item), 0, item);
  }
}

void scatter(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const Scatter&>(primitive);
  copy_all(in[0], at[0], out[0], at.back());
  const IndexedAxes& axes = op.axes();
  size_t whole = in[0].shape.size() - axes.indexed.size() - axes.x_batch.size();
  size_t lead = in[1].shape.size() - whole;
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Wide = decltype(widen(T{}));
    Elements<T> updates = elements<T>(in, at, 1), result{reinterpret_cast<T*>(at.back()), &out[0]};
    std::unordered_map<T*, Wide> totals;  // rounded once
    auto total = [&](T& into) -> Wide& { return totals.try_emplace(&into, widen(into)).first->second; };
    for (int64_t i = 0; i < updates.size(); ++i) {
      Shape place = index_of(in[1].shape, i), to;
      Shape index(place.begin(), place.begin() + ptrdiff_t(lead)), rest(place.begin() + ptrdiff_t(lead), place.end());
      if (!address(axes, out[0], in.subspan(2), at.subspan(2), index, rest, to)) continue;
      T& into = result.at(to);
      T value = updates.flat(i);
      switch (op.mode()) {
        case ScatterMode::set:
          into = value;
          break;
        case ScatterMode::add:
          total(into) = plus(total(into), widen(value));
          break;
        case ScatterMode::multiply:
          total(into) = times(total(into), widen(value));
          break;
        case ScatterMode::maximum:
          into = narrow<T>(larger(widen(into), widen(value)));
          break;
        case ScatterMode::minimum:
          into = narrow<T>(smaller(widen(into), widen(value)));
          break;
      }
    }
    for (const auto& [into, value] : totals) *into = narrow<T>(value);
  });
}

// ---- along one axis

// Call f(index) for each line of the layout along the axis, with the axis at 0.
template <class F>
void for_each_line(const Shape& shape, size_t axis, F&& f) {
  Shape others = shape;
  others[axis] = 1;
  for (int64_t i = 0; i < element_count(others); ++i) f(index_of(others, i));
}

void arg_reduce(const Primitive& primitive, Layouts in, Layouts, Pointers at) {
  auto& op = static_cast<const ArgReduce&>(primitive);
  size_t axis = size_t(op.axis());
  auto* out = reinterpret_cast<uint32_t*>(at[1]);
  visit_dtype(in[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elements<T> x = elements<T>(in, at, 0);
    for_each_line(in[0].shape, axis, [&](Shape index) {
      auto best = widen(x.at(index));
      uint32_t found = 0;
      for (int64_t k = 1; k < in[0].shape[axis]; ++k) {
        index[axis] = k;
        auto value = widen(x.at(index));
        if (is_nan(best)) break;
        if (is_nan(value) || (op.largest() ? less(best, value) : less(value, best))) {
          best = value;
          found = uint32_t(k);
        }
      }
      *out++ = found;
    });
  });
}

template <class A>
A accumulated(CumulativeOp op, A total, A value) {
  switch (op) {
    case CumulativeOp::sum:
      return plus(total, value);
    case CumulativeOp::prod:
      return times(total, value);
    case CumulativeOp::max:
      return larger(total, value);
    case CumulativeOp::min:
      return smaller(total, value);
    case CumulativeOp::logaddexp:
      break;
  }
  if constexpr (std::is_floating_point_v<A>) return log_add_exp(total, value);
  return total;
}

void cumulative(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const Cumulative&>(primitive);
  size_t axis = size_t(op.axis());
  int64_t length = out[0].shape[axis];
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elements<T> x = elements<T>(in, at, 0), y = elements<T>(out, at, 0, 1);
    for_each_line(out[0].shape, axis, [&](Shape index) {
      auto total = widen(T{});
      for (int64_t k = 0; k < length; ++k) {
        index[axis] = op.reverse() ? length - 1 - k : k;
        total = k ? accumulated(op.op(), total, widen(x.at(index))) : widen(x.at(index));
        y.at(index) = narrow<T>(total);
      }
    });
  });
}

void linear_recurrence(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const LinearRecurrence&>(primitive);
  size_t axis = size_t(op.axis());
  int64_t length = out[0].shape[axis];
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elements<T> a = elements<T>(in, at, 0), x = elements<T>(in, at, 1), y = elements<T>(out, at, 0, 2);
    for_each_line(out[0].shape, axis, [&](Shape index) {
      auto total = widen(T{});
      for (int64_t k = 0; k < length; ++k) {
        index[axis] = op.reverse() ? length - 1 - k : k;
        auto factor = widen(a.at(index));
        // A factor of zero forgets even what is infinite.
        bool fresh = k == 0 || factor == decltype(factor)(0);
        total = fresh ? widen(x.at(index)) : plus(times(factor, total), widen(x.at(index)));
        y.at(index) = narrow<T>(total);
      }
    });
  });
}

// The positions of the elements of a line in ascending order.
template <class T>
std::vector<uint32_t> order_of(const Elements<T>& x, size_t axis, Shape index) {
  std::vector<T> line;
  for (int64_t k = 0; k < x.layout->shape[axis]; ++k) {
    index[axis] = k;
    line.push_back(x.at(index));
  }
  std::vector<uint32_t> order(line.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t i, uint32_t j) { return sorts_before<T>(line[i], line[j]); });
  return order;
}

void sort(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  size_t axis = size_t(static_cast<const AlongAxis&>(primitive).axis());
  int64_t skipped = in[0].shape[axis] - out[0].shape[axis];  // of topk: the smallest
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elements<T> x = elements<T>(in, at, 0), y = elements<T>(out, at, 0, 1);
    for_each_line(out[0].shape, axis, [&](Shape index) {
      std::vector<uint32_t> order = order_of(x, axis, index);
      for (int64_t k = 0; k < out[0].shape[axis]; ++k) {
        Shape from = index, to = index;
        from[axis] = order[size_t(skipped + k)];
        to[axis] = k;
        y.at(to) = x.at(from);
      }
    });
  });
}

void argsort(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  size_t axis = size_t(static_cast<const AlongAxis&>(primitive).axis());
  visit_dtype(in[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elements<T> x = elements<T>(in, at, 0);
    Elements<uint32_t> y = elements<uint32_t>(out, at, 0, 1);
    for_each_line(out[0].shape, axis, [&](Shape index) {
      std::vector<uint32_t> order = order_of(x, axis, index);
      for (index[axis] = 0; index[axis] < int64_t(order.size()); ++index[axis])
        y.at(index) = order[size_t(index[axis])];
    });
  });
}

void searchsorted(const Primitive& primitive, Layouts in, Layouts, Pointers at) {
  bool right = static_cast<const SearchSorted&>(primitive).right();
  auto* out = reinterpret_cast<uint32_t*>(at[2]);
  visit_dtype(in[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elements<T> sorted = elements<T>(in, at, 0), values = elements<T>(in, at, 1);
    size_t batch = in[0].shape.size() - 1;
    for (int64_t i = 0; i < values.size(); ++i) {
      Shape index = index_of(in[1].shape, i);
      index.resize(batch);
      index.push_back(0);
      uint32_t before = 0;
      T value = values.flat(i);
      for (int64_t k = 0; k < in[0].shape[batch]; ++k) {
        index[batch] = k;
        T there = sorted.at(index);
        before += right ? !sorts_before<T>(value, there) : sorts_before<T>(there, value);
      }
      *out++ = before;
    }
  });
}

void mask_order(const Primitive& primitive, Layouts in, Layouts, Pointers at) {
  const auto& order = static_cast<const MaskOrder&>(primitive);
  Elements<bool> mask = elements<bool>(in, at, 0);
  auto* out = reinterpret_cast<int32_t*>(at[1]);
  int64_t length = in[0].shape.back();
  for (int64_t row = 0, rows = length ? mask.size() / length : 0; row < rows; ++row) {
    int32_t count = 0;
    for (int64_t i = 0; i < length; ++i) {
      *out++ = count;
      count += mask.flat(row * length + i);
    }
    check_mask_count(order.count(), order.at_most(), count);
  }
}

// ---- random bits

// threefry2x32 with 20 rounds (Salmon et al. 2011).
std::pair<uint32_t, uint32_t> threefry(uint32_t k0, uint32_t k1, uint32_t x0, uint32_t x1) {
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  uint32_t keys[3] = {k0, k1, k0 ^ k1 ^ 0x1bd11bdau};
  x0 += keys[0];
  x1 += keys[1];
  for (uint32_t round = 0; round < 5; ++round) {
    for (int r : rotations[round % 2]) {
      x0 += x1;
      x1 = (x1 << r) | (x1 >> (32 - r));
      x1 ^= x0;
    }
    x0 += keys[(round + 1) % 3];
    x1 += keys[(round + 2) % 3] + round + 1;
  }
  return {x0, x1};
}

std::pair<uint32_t, uint32_t> key_at(const Layout& layout, const std::byte* at, int64_t i) {
  Shape batch(layout.shape.begin(), layout.shape.end() - 1);
  const uint32_t* words = reinterpret_cast<const uint32_t*>(at) + offset_of(batch, layout.strides, i);
  return {words[0], words[layout.strides.back()]};
}

// Word `i` of a draw of `count` words.
uint32_t word(std::pair<uint32_t, uint32_t> key, int64_t count, int64_t i) {
  int64_t half = count / 2, odd = count % 2;
  if (odd && i == half) return threefry(key.first, key.second, uint32_t(half), 0).first;
  bool second = i > half || (!odd && i == half);
  uint32_t counter = uint32_t(second ? i - half - odd : i);
  auto [a, b] = threefry(key.first, key.second, counter, counter + uint32_t(half + odd));
  return second ? b : a;
}

int64_t keys_of(const Layout& l) { return l.shape.back() ? element_count(l.shape) / l.shape.back() : 0; }

void random_bits(const Primitive&, Layouts in, Layouts out, Pointers at) {
  int64_t keys = keys_of(in[0]);
  int64_t bytes = keys ? element_count(out[0].shape) / keys * int64_t(item_size(out[0].dtype)) : 0;
  for (int64_t k = 0; k < keys; ++k)
    for (int64_t i = 0; i < bytes; i += 4) {
      uint32_t drawn = word(key_at(in[0], at[0], k), (bytes + 3) / 4, i / 4);
      std::memcpy(at[1] + k * bytes + i, &drawn, size_t(std::min<int64_t>(4, bytes - i)));
    }
}

void random_uniform(const Primitive&, Layouts in, Layouts out, Pointers at) {
  int64_t keys = keys_of(in[0]), each = keys ? element_count(out[0].shape) / keys : 0;
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (is_half_type<T> || std::is_same_v<T, float>) {
      T* to = reinterpret_cast<T*>(at.back());
      constexpr int bits = std::is_same_v<T, float> ? 24 : std::is_same_v<T, float16_t> ? 11 : 8;
      float below = 1 - std::ldexp(1.0f, -bits);
      for (int64_t i = 0; i < keys * each; ++i) {
        float drawn = float(word(key_at(in[0], at[0], i / each), each, i % each)) * 0x1p-32f;
        to[i] = T(std::min(float(T(drawn)), below));
        if (in.size() < 3) continue;
        float low = float(*reinterpret_cast<const T*>(at[1])), range = float(*reinterpret_cast<const T*>(at[2]));
        to[i] = T(float(T(range * float(to[i]))) + low);
      }
    }
  });
}

void random_fold_in(const Primitive&, Layouts in, Layouts, Pointers at) {
  auto* out = reinterpret_cast<uint32_t*>(at[2]);
  for (int64_t i = 0; i < keys_of(in[0]); ++i) {
    auto [k0, k1] = key_at(in[0], at[0], i);
    uint32_t number = reinterpret_cast<const uint32_t*>(at[1])[offset_of(in[1].shape, in[1].strides, i)];
    auto [a, b] = threefry(k0, k1, 0xffffffffu, number);
    *out++ = a;
    *out++ = b;
  }
}

// The bytes of all elements in order; a bool is stored as 0 or 1.
void view(const Primitive&, Layouts in, Layouts out, Pointers at) {
  int64_t item = int64_t(item_size(in[0].dtype)), count = element_count(in[0].shape);
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(at[1] + i * item, at[0] + offset_of(in[0].shape, in[0].strides, i) * item, size_t(item));
  if (out[0].dtype == Dtype::bool_)
    for (int64_t i = 0; i < count * item; ++i) at[1][i] = std::byte(at[1][i] != std::byte(0));
}

}  // namespace

PrimitiveFn find_primitive(std::string_view name) {
  static const std::map<std::string_view, PrimitiveFn> table = {
      {"dot", dot},
      {"conv_general", conv},
      {"conv_weight_gradient", conv_weight_gradient},
      {"sum_windows", sum_windows},
      {"attention", attention},
      {"attention_gradient", attention_gradient},
      {"attention_mask_gradient", attention_mask_gradient},
      {"fft", fft},
      {"concatenate", concatenate},
      {"pad", pad},
      {"slice_update", slice_update},
      {"gather", gather},
      {"scatter", scatter},
      {"argmax", arg_reduce},
      {"argmin", arg_reduce},
      {"cumsum", cumulative},
      {"cumprod", cumulative},
      {"cummax", cumulative},
      {"cummin", cumulative},
      {"logcumsumexp", cumulative},
      {"linear_recurrence", linear_recurrence},
      {"view", view},
      {"sort", sort},
      {"topk", sort},
      {"partition", sort},
      {"argsort", argsort},
      {"argpartition", argsort},
      {"searchsorted", searchsorted},
      {"mask_order", mask_order},
      {"random_bits", random_bits},
      {"random_uniform", random_uniform},
      {"random_fold_in", random_fold_in},
      {"quantize", quantize},
      {"quantized_values", quantized_values},
      {"dequantize", dequantize},
      {"to_fp8", to_fp8},
      {"from_fp8", from_fp8},
      {"quantized_dot", quantized_dot},
      {"gather_dot", gather_dot},
      {"scatter_dot", scatter_dot},
      {"segmented_dot", segmented_dot},
      {"segments_spread", segments_spread},
      {"hadamard_transform", hadamard_transform},
  };
  auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace funcnn::reference
