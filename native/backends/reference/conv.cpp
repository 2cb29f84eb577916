#include "backends/reference/conv.h"

#include <vector>

#include "backends/reference/element.h"
#include "ops/conv.h"
#include "ops/windows.h"

namespace funcnn::reference {
namespace {

// Call f(index) for each index below the lengths, the last axis fastest.
template <class F>
void for_each_index(const Shape& lengths, F&& f) {
  for (int64_t i = 0; i < element_count(lengths); ++i) {
    Shape index(lengths.size(), 0);
    int64_t rest = i;
    for (size_t d = lengths.size(); d-- > 0;) {
      index[d] = rest % lengths[d];
      rest /= lengths[d];
    }
    f(index);
  }
}

Shape spatial_of(const Shape& shape) { return Shape(shape.begin() + 1, shape.end() - 1); }

int64_t place(const Layout& layout, int64_t first, const Shape& spatial, int64_t last) {
  int64_t offset = first * layout.strides[0] + last * layout.strides.back();
  for (size_t d = 0; d < spatial.size(); ++d) offset += spatial[d] * layout.strides[d + 1];
  return offset;
}

// Which elements of the kernel, the output and the input meet: f(kernel, output, input).
template <class F>
void for_each_meeting(const ConvPrimitive& op, const Shape& input, F&& f) {
  const ConvGeometry& g = op.geometry();
  Shape output;
  for (size_t d = 0; d < input.size(); ++d) output.push_back(g.output(d, input[d], op.kernel()[d]));
  for_each_index(output, [&](const Shape& o) {
    for_each_index(op.kernel(), [&](const Shape& k) {
      Shape i(input.size()), weight = k;
      for (size_t d = 0; d < input.size(); ++d) {
        int64_t at = o[d] * g.stride[d] - g.low[d] + k[d] * g.kernel_dilation[d];
        if (at < 0 || at % g.input_dilation[d] != 0 || at / g.input_dilation[d] >= input[d]) return;
        i[d] = at / g.input_dilation[d];
        if (g.flip) weight[d] = op.kernel()[d] - 1 - k[d];
      }
      f(weight, o, i);
    });
  });
}

// The operands at `at`, the last of which is a sum of products of elements of the first two.
template <class F>
void accumulate(Layouts out, Pointers at, F&& f) {
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T> || is_half_type<T>) {
      const T *a = reinterpret_cast<const T*>(at[0]), *b = reinterpret_cast<const T*>(at[1]);
      T* c = reinterpret_cast<T*>(at[2]);
      std::vector<double> total(size_t(element_count(out[0].shape)), 0);
      f([&](int64_t i, int64_t j, int64_t k) {
        total[size_t(k)] += convert_wide<double>(a[i]) * convert_wide<double>(b[j]);
      });
      for (size_t k = 0; k < total.size(); ++k) c[k] = narrow<T>(total[k]);
    }
  });
}

// The same for both: `f` says which of weight and result an offset belongs to.
template <class F>
void convolve(const Primitive& primitive, const Layout& x, int64_t outputs, F&& meet) {
  auto& op = static_cast<const ConvPrimitive&>(primitive);
  int64_t in_group = x.shape.back() / op.geometry().groups, out_group = outputs / op.geometry().groups;
  for_each_meeting(op, spatial_of(x.shape), [&](const Shape& k, const Shape& o, const Shape& i) {
    for (int64_t n = 0; n < x.shape[0]; ++n)
      for (int64_t channel = 0; channel < outputs; ++channel)
        for (int64_t c = 0; c < in_group; ++c)
          meet(place(x, n, i, channel / out_group * in_group + c), n, o, k, channel, c);
  });
}

}  // namespace

void conv(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  accumulate(out, at, [&](auto&& add) {
    convolve(primitive, in[0], out[0].shape.back(),
             [&](int64_t x, int64_t n, const Shape& o, const Shape& k, int64_t channel, int64_t c) {
               add(x, place(in[1], channel, k, c), place(out[0], n, o, channel));
             });
  });
}

void conv_weight_gradient(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  accumulate(out, at, [&](auto&& add) {
    convolve(primitive, in[0], in[1].shape.back(),
             [&](int64_t x, int64_t n, const Shape& o, const Shape& k, int64_t channel, int64_t c) {
               add(x, place(in[1], n, o, channel), place(out[0], channel, k, c));
             });
  });
}

void sum_windows(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const SumWindows&>(primitive);
  size_t spatial = op.window().size();
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Wide = std::conditional_t<is_half_type<T> || std::is_same_v<T, float>, double, T>;
    using A = std::conditional_t<std::is_same_v<T, bool>, int, Wide>;
    const T* from = reinterpret_cast<const T*>(at[0]);
    T* to = reinterpret_cast<T*>(at[1]);
    std::vector<A> total(size_t(element_count(out[0].shape)), A{});
    for_each_index(in[0].shape, [&](const Shape& index) {
      int64_t read = 0, write = 0;
      for (size_t d = 0; d < index.size(); ++d) read += index[d] * in[0].strides[d];
      for (size_t d = 0; d < out[0].shape.size(); ++d) {
        bool windowed = d >= 1 && d <= spatial;
        int64_t i = windowed ? index[d] * op.stride()[d - 1] + index[d + spatial] : index[d ? d + spatial : 0];
        write += i * out[0].strides[d];
      }
      total[size_t(write)] = plus(total[size_t(write)], convert_wide<A>(from[read]));
    });
    for (size_t k = 0; k < total.size(); ++k) to[k] = narrow<T>(total[k]);
  });
}

}  // namespace funcnn::reference
