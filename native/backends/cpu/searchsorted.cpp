#include <memory>
#include <span>

#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "backends/cpu/sort_order.h"
#include "base/thread_pool.h"
#include "ops/sort_primitives.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_searchsorted(const Primitive& primitive, std::span<const Layout> inputs,
                                          std::span<const Layout>, const KernelProgram*) {
  bool right = static_cast<const SearchSorted&>(primitive).right();
  return visit_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    // A length-1 axis behind the values makes each of them a line.
    Layout values = inputs[1];
    values.shape.push_back(1);
    values.strides.push_back(0);
    Lines each(values, int(values.shape.size()) - 1), rows(inputs[0], int(inputs[0].shape.size()) - 1);
    int64_t per_row = rows.count() ? each.count() / rows.count() : 0;
    return make_kernel([right, each, rows, per_row](std::span<std::byte* const> at) {
      const T *sorted = reinterpret_cast<const T*>(at[0]), *values = reinterpret_cast<const T*>(at[1]);
      uint32_t* out = reinterpret_cast<uint32_t*>(at[2]);
      parallel_for(each.count(), 1024, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          T value = values[each.start(i)];
          const T* row = sorted + rows.start(i / per_row);
          int64_t low = 0, high = rows.length();
          while (low < high) {
            int64_t middle = (low + high) / 2;
            const T& there = row[middle * rows.step()];
            if (right ? !before(value, there) : before(there, value))
              low = middle + 1;
            else
              high = middle;
          }
          out[i] = uint32_t(low);
        }
      });
    });
  });
}

const RegisterKernel registered("searchsorted", make_searchsorted);

}  // namespace
}  // namespace funcnn::cpu
