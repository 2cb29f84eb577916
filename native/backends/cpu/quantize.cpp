#include "ops/quantize.h"

#include <algorithm>
#include <cmath>

#include "backends/cpu/copy.h"
#include "backends/cpu/dense_operands.h"
#include "backends/cpu/fp8.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/quantized.h"
#include "base/error.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(QuantTable, quant_table);

const QuantTable& quant_table() { return FUNCNN_OF_ACTIVE_SET(quant_table); }

QuantCode code_of(const QuantFormat& format) {
  if (format.mode == QuantMode::mxfp8) return QuantCode::e4m3;
  if (!format.affine()) return QuantCode::e2m1;
  constexpr QuantCode codes[] = {QuantCode::u1, QuantCode::u2, QuantCode::u3, QuantCode::u4,
                                 QuantCode::u5, QuantCode::u6, QuantCode::u8, QuantCode::u8};
  return codes[format.bits - 1];
}

ScaleType scale_type(const QuantFormat& format, Dtype scales) {
  if (!format.affine()) return format.mode == QuantMode::nvfp4 ? ScaleType::e4m3 : ScaleType::e8m0;
  return scales == Dtype::float16 ? ScaleType::f16 : scales == Dtype::bfloat16 ? ScaleType::bf16 : ScaleType::f32;
}

namespace {

template <class T>
const QuantTable::Rows<T>& rows_of() {
  if constexpr (std::is_same_v<T, float16_t>)
    return quant_table().f16;
  else if constexpr (std::is_same_v<T, bfloat16_t>)
    return quant_table().bf16;
  else
    return quant_table().f32;
}

// float32, float16 or bfloat16.
template <class F>
decltype(auto) visit_narrow(Dtype dtype, F&& f) {
  if (dtype == Dtype::float16) return f(TypeTag<float16_t>{});
  if (dtype == Dtype::bfloat16) return f(TypeTag<bfloat16_t>{});
  return f(TypeTag<float>{});
}

// Rows and the global scales (may be null) that run over them.
struct Rows {
  int64_t count, length, scales;
  Rows(const Shape& shape, int64_t scales) : length(shape.back()), scales(scales) {
    count = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) count *= shape[i];
  }
  // body(first, end, global): rows that share a global scale.
  template <class F>
  void run(const std::byte* global, F body) const {
    if (count == 0 || length == 0) return;
    parallel_for(count, std::max<int64_t>(1, 16384 / length), [&](int64_t begin, int64_t end) {
      if (!global) return body(begin, end, 0.0f);
      int64_t each = count / scales;
      for (int64_t row = begin; row < end;) {
        int64_t stop = std::min(end, (row / each + 1) * each);
        body(row, stop, reinterpret_cast<const float*>(global)[row / each]);
        row = stop;
      }
    });
  }
};

int64_t global_scales(std::span<const Layout> inputs, size_t at) {
  return inputs.size() > at ? element_count(inputs[at].shape) : 0;
}

std::unique_ptr<Kernel> make_quantize(const Primitive& primitive, std::span<const Layout> inputs,
                                      std::span<const Layout> outputs, const KernelProgram*) {
  QuantFormat format = static_cast<const Quantize&>(primitive).format();
  Rows rows(inputs[0].shape, global_scales(inputs, 1));
  return visit_narrow(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_dense_kernel(inputs, [=, count = inputs.size(), biased = outputs.size() == 3](
                                         std::span<const std::byte* const> in, std::span<std::byte* const> out) {
      const T* w = reinterpret_cast<const T*>(in[0]);
      uint32_t* words = reinterpret_cast<uint32_t*>(out[0]);
      size_t item = biased ? sizeof(T) : 1;
      int64_t groups = rows.length / format.group;
      rows.run(count > 1 ? in[1] : nullptr, [&](int64_t first, int64_t end, float global) {
        rows_of<T>().quantize(format, w + first * rows.length, (end - first) * rows.length, global,
                              words + first * format.words(rows.length), out[1] + size_t(first * groups) * item,
                              biased ? out[2] + size_t(first * groups) * item : nullptr);
      });
    });
  });
}

std::unique_ptr<Kernel> make_values(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout>,
                                    const KernelProgram*) {
  QuantFormat format = static_cast<const QuantizedValues&>(primitive).format();
  Rows rows(inputs[0].shape, global_scales(inputs, 1));
  return visit_narrow(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_dense_kernel(
        inputs, [=, count = inputs.size()](std::span<const std::byte* const> in, std::span<std::byte* const> out) {
          const T* x = reinterpret_cast<const T*>(in[0]);
          T* to = reinterpret_cast<T*>(out[0]);
          rows.run(count > 1 ? in[1] : nullptr, [&](int64_t first, int64_t end, float global) {
            rows_of<T>().values(format, x + first * rows.length, (end - first) * rows.length, global,
                                to + first * rows.length);
          });
        });
  });
}

// float64, which only tests of derivatives use: through float32 values of codes, which are exact.
void dequantize_double(const QuantFormat& format, const uint32_t* words, const void* scales, const void* biases,
                       int64_t count, float global, double* to) {
  float x[128];
  int n = format.group;
  const float one = 1, zero = 0;
  for (int64_t g = 0; g < count / n; ++g, to += n, words += format.words(n)) {
    if (format.affine()) {
      quant_table().f32.dequantize(format, words, &one, &zero, n, 0, x);
      double scale = static_cast<const double*>(scales)[g], bias = static_cast<const double*>(biases)[g];
      for (int i = 0; i < n; ++i) to[i] = double(x[i]) * scale + bias;
    } else {
      quant_table().f32.dequantize(format, words, static_cast<const uint8_t*>(scales) + g, nullptr, n, global, x);
      for (int i = 0; i < n; ++i) to[i] = double(x[i]);
    }
  }
}

std::unique_ptr<Kernel> make_dequantize(const Primitive& primitive, std::span<const Layout> inputs,
                                        std::span<const Layout> outputs, const KernelProgram*) {
  QuantFormat format = static_cast<const Dequantize&>(primitive).format();
  Rows rows(outputs[0].shape, format.affine() ? 0 : global_scales(inputs, 2));
  auto kernel = [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_dense_kernel(
        inputs, [=, count = inputs.size()](std::span<const std::byte* const> in, std::span<std::byte* const> out) {
          T* to = reinterpret_cast<T*>(out[0]);
          int64_t groups = rows.length / format.group;
          size_t item = format.affine() ? sizeof(T) : 1;
          rows.run(rows.scales ? in[2] : nullptr, [&](int64_t first, int64_t end, float global) {
            const uint32_t* words = reinterpret_cast<const uint32_t*>(in[0]) + first * format.words(rows.length);
            const std::byte* scales = in[1] + size_t(first * groups) * item;
            const std::byte* biases = format.affine() ? in[2] + size_t(first * groups) * item : nullptr;
            int64_t n = (end - first) * rows.length;
            if constexpr (std::is_same_v<T, double>)
              dequantize_double(format, words, scales, biases, n, global, to + first * rows.length);
            else
              rows_of<T>().dequantize(format, words, scales, biases, n, global, to + first * rows.length);
          });
        });
  };
  if (outputs[0].dtype == Dtype::float64) return kernel(TypeTag<double>{});
  return visit_narrow(outputs[0].dtype, kernel);
}

std::unique_ptr<Kernel> make_to_fp8(const Primitive&, std::span<const Layout> inputs, std::span<const Layout>,
                                    const KernelProgram*) {
  int64_t count = element_count(inputs[0].shape);
  Dtype dtype = inputs[0].dtype;
  return make_dense_kernel(inputs, [=](std::span<const std::byte* const> in, std::span<std::byte* const> out) {
    uint8_t* to = reinterpret_cast<uint8_t*>(out[0]);
    parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
      if (dtype == Dtype::float64) {
        // Rounded once: a float32 in between keeps the side of a tie that a number is on if it is rounded to odd.
        const double* x = reinterpret_cast<const double*>(in[0]);
        for (int64_t i = begin; i < end; ++i) {
          float near = float(x[i]);
          uint32_t bits = __builtin_bit_cast(uint32_t, near);
          if (double(near) != x[i] && std::isfinite(near)) {
            if (std::fabs(double(near)) > std::fabs(x[i])) --bits;
            near = __builtin_bit_cast(float, bits | 1u);
          }
          to[i] = float_to_e4m3(near);
        }
        return;
      }
      visit_narrow(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        rows_of<T>().to_fp8(reinterpret_cast<const T*>(in[0]) + begin, end - begin, to + begin);
      });
    });
  });
}

template <class T>
std::unique_ptr<Kernel> make_from_fp8_to(std::span<const Layout> inputs) {
  std::vector<T> table;
  for (int i = 0; i < 256; ++i) table.push_back(T(e4m3_to_float(uint8_t(i))));
  return make_dense_kernel(inputs, [table, count = element_count(inputs[0].shape)](std::span<const std::byte* const> in,
                                                                                   std::span<std::byte* const> out) {
    const uint8_t* from = reinterpret_cast<const uint8_t*>(in[0]);
    T* to = reinterpret_cast<T*>(out[0]);
    parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = table[from[i]];
    });
  });
}

std::unique_ptr<Kernel> make_from_fp8(const Primitive&, std::span<const Layout> inputs, std::span<const Layout> outputs,
                                      const KernelProgram*) {
  if (outputs[0].dtype == Dtype::float64) return make_from_fp8_to<double>(inputs);
  return visit_narrow(outputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    return make_from_fp8_to<typename decltype(tag)::type>(inputs);
  });
}

const RegisterKernel registered[] = {{"quantize", make_quantize},
                                     {"dequantize", make_dequantize},
                                     {"quantized_values", make_values},
                                     {"to_fp8", make_to_fp8},
                                     {"from_fp8", make_from_fp8}};

}  // namespace
}  // namespace funcnn::cpu
