#include "ops/segmented_dot.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/dense_operands.h"
#include "backends/cpu/tile_product.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

thread_local Arena room_of_thread;

struct Segment {
  int64_t first, length;
  Segment(const int64_t* bounds, int64_t inner)
      : first(std::clamp<int64_t>(bounds[0], 0, inner)), length(std::clamp<int64_t>(bounds[1], first, inner) - first) {}
};

std::unique_ptr<Kernel> make_segmented(const Primitive& primitive, std::span<const Layout> in,
                                       std::span<const Layout> out, const KernelProgram*) {
  return for_float(in[0].dtype, primitive.name(), [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    size_t r = in[0].shape.size();
    int64_t m = in[0].shape[r - 2], k = in[0].shape[r - 1], n = in[1].shape[r - 1], segments = in[2].shape[r - 2];
    int64_t products = element_count(out[0].shape) / (m * n);
    return make_dense_kernel(in, [=](std::span<const std::byte* const> at, std::span<std::byte* const> to) {
      parallel_for(products, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t batch = i / segments;
          Segment s(reinterpret_cast<const int64_t*>(at[2]) + i * 2, k);
          const T* a = reinterpret_cast<const T*>(at[0]) + batch * m * k + s.first;
          const T* b = reinterpret_cast<const T*>(at[1]) + (batch * k + s.first) * n;
          product<T>(m, n, s.length, {a, k, 1}, {b, n, 1}, reinterpret_cast<T*>(to[0]) + i * m * n, n);
        }
      });
    });
  });
}

std::unique_ptr<Kernel> make_spread(const Primitive& primitive, std::span<const Layout> in, std::span<const Layout> out,
                                    const KernelProgram*) {
  return for_float(in[1].dtype, primitive.name(), [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    size_t r = in[1].shape.size();
    int64_t m = out[0].shape[r - 2], k = in[1].shape[r - 2], n = in[1].shape[r - 1], segments = in[2].shape[r - 2];
    int64_t batches = element_count(out[0].shape) / (m * k);
    constexpr int64_t rows = 64;
    int64_t blocks = (m + rows - 1) / rows;
    return make_dense_kernel(in, [=](std::span<const std::byte* const> at, std::span<std::byte* const> to) {
      parallel_for(batches * blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t batch = i / blocks, first = i % blocks * rows, count = std::min(rows, m - first);
          // Sums over overlapping segments are kept wide.
          std::byte* room = room_of_thread.get(size_t(count * k) * (sizeof(Wide) + sizeof(T)));
          Wide* total = reinterpret_cast<Wide*>(room);
          T* part = reinterpret_cast<T*>(total + count * k);
          std::fill_n(total, count * k, Wide(0));
          for (int64_t s = 0; s < segments; ++s) {
            Segment segment(reinterpret_cast<const int64_t*>(at[2]) + (batch * segments + s) * 2, k);
            if (segment.length == 0) continue;
            const T* c = reinterpret_cast<const T*>(at[0]) + ((batch * segments + s) * m + first) * n;
            const T* b = reinterpret_cast<const T*>(at[1]) + (batch * k + segment.first) * n;
            product<T>(count, segment.length, n, {c, n, 1}, {b, 1, n}, part, segment.length);
            for (int64_t y = 0; y < count; ++y)
              for (int64_t x = 0; x < segment.length; ++x)
                total[y * k + segment.first + x] += Wide(part[y * segment.length + x]);
          }
          T* result = reinterpret_cast<T*>(to[0]) + (batch * m + first) * k;
          for (int64_t j = 0; j < count * k; ++j) result[j] = T(total[j]);
        }
      });
    });
  });
}

const RegisterKernel registered[] = {{"segmented_dot", make_segmented}, {"segments_spread", make_spread}};

}  // namespace
}  // namespace funcnn::cpu
