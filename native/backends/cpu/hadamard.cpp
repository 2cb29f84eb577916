#include "backends/cpu/hadamard.h"

#include <algorithm>
#include <array>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/dense_operands.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/tile_product.h"
#include "base/thread_pool.h"
#include "ops/hadamard.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(HadamardTable, hadamard_table);

namespace {

thread_local Arena room_of_thread;

const HadamardTable& table() { return FUNCNN_OF_ACTIVE_SET(hadamard_table); }

std::unique_ptr<Kernel> make_hadamard(const Primitive& primitive, std::span<const Layout> in, std::span<const Layout>,
                                      const KernelProgram*) {
  const auto& op = static_cast<const Hadamard&>(primitive);
  std::array<uint32_t, 28> signs{};
  int m = op.odd();
  for (int i = 0; m > 1 && i < m; ++i)
    for (int j = 0; j < m; ++j) {
      uint32_t negative = hadamard_signs(m, op.transposed() ? j : i) >> (op.transposed() ? i : j) & 1;
      signs[size_t(i)] |= negative << j;
    }
  return for_float(in[0].dtype, primitive.name(), [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    int64_t n = in[0].shape.back(), rows = element_count(in[0].shape) / n;
    Wide scale = Wide(op.scale());
    return make_dense_kernel(in, [=](std::span<const std::byte* const> at, std::span<std::byte* const> to) {
      const T* x = reinterpret_cast<const T*>(at[0]);
      T* out = reinterpret_cast<T*>(to[0]);
      parallel_for(rows, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
        Wide* row = reinterpret_cast<Wide*>(room_of_thread.get(size_t(n + m * 64) * sizeof(Wide)));
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t i = 0; i < n; ++i) row[i] = Wide(x[r * n + i]);
          if constexpr (std::is_same_v<Wide, double>)
            table().f64(row, n, m, signs.data(), scale, row + n);
          else
            table().f32(row, n, m, signs.data(), scale, row + n);
          for (int64_t i = 0; i < n; ++i) out[r * n + i] = T(row[i]);
        }
      });
    });
  });
}

const RegisterKernel registered("hadamard_transform", make_hadamard);

}  // namespace
}  // namespace funcnn::cpu
