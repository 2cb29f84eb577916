// The kernels of gather_dot and scatter_dot: items that meet the same matrix become one product of more rows, or of a
// longer inner axis.
#include "ops/gather_dot.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/chosen.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/tile_product.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

thread_local Arena room_of_thread;

constexpr int64_t kManyRows = 32;       // that a product of one item needs to be worth its own call
constexpr int64_t kMostGathered = 256;  // rows brought together at a time
constexpr int64_t kColumns = 256, kOuterRows = 64;

std::vector<int64_t> numbers_of(const Layout& l, const std::byte* at) {
  std::vector<int64_t> out(size_t(l.shape[0]));
  for (size_t i = 0; i < out.size(); ++i) out[i] = reinterpret_cast<const int64_t*>(at)[int64_t(i) * l.strides[0]];
  return out;
}

// Matrices of an operand, as views.
template <class T>
struct Matrices {
  const T* data;
  Layout layout;
  int64_t count() const { return layout.shape[0]; }
  bool has(int64_t i) const { return i >= 0 && i < count(); }
  MatrixView<T> operator[](int64_t i) const {
    return {data + i * layout.strides[0], layout.strides[1], layout.strides[2]};
  }
};

template <class T>
void copy_row(MatrixView<T> from, int64_t columns, T* to) {
  for (int64_t j = 0; j < columns; ++j) to[j] = from.data[j * from.column];
}

template <class T>
class GatherDotKernel final : public HostKernel {
 public:
  explicit GatherDotKernel(std::span<const Layout> in) : in_(in.begin(), in.end()) {}

  void run(std::span<std::byte* const> at) override {
    Matrices<T> a{reinterpret_cast<const T*>(at[0]), in_[0]}, b{reinterpret_cast<const T*>(at[1]), in_[1]};
    std::vector<int64_t> lhs = numbers_of(in_[2], at[2]), rhs = numbers_of(in_[3], at[3]);
    T* out = reinterpret_cast<T*>(at[4]);
    int64_t m = in_[0].shape[1], k = in_[0].shape[2], n = in_[1].shape[2], items = int64_t(lhs.size());
    // Products: items of one matrix b, as many as make enough rows.
    ItemsByMatrix grouped(rhs.data(), items, b.count());
    struct Part {
      int64_t matrix, begin, end;
    };
    std::vector<Part> parts;
    int64_t most = m >= kManyRows ? 1 : std::max<int64_t>(1, kMostGathered / m);
    for (int64_t e = 0; e < b.count(); ++e)
      for (int64_t i = grouped.begin[size_t(e)]; i < grouped.begin[size_t(e) + 1]; i += most)
        parts.push_back({e, i, std::min(i + most, grouped.begin[size_t(e) + 1])});
    for (int64_t i = grouped.begin.back(); i < items; ++i)
      std::fill_n(out + grouped.items[size_t(i)] * m * n, m * n, T(0));
    int64_t blocks = (n + kColumns - 1) / kColumns;
    parallel_for(int64_t(parts.size()) * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const Part& part = parts[size_t(t / blocks)];
        int64_t first = t % blocks * kColumns, columns = std::min(kColumns, n - first);
        MatrixView<T> right = b[part.matrix].at(0, first);
        int64_t count = part.end - part.begin;
        auto item = [&](int64_t i) { return grouped.items[size_t(part.begin + i)]; };
        if (count == 1) {
          T* to = out + item(0) * m * n + first;
          if (a.has(lhs[size_t(item(0))]))
            product<T>(m, columns, k, a[lhs[size_t(item(0))]], right, to, n);
          else
            for (int64_t r = 0; r < m; ++r) std::fill_n(to + r * n, columns, T(0));
          continue;
        }
        T* rows = reinterpret_cast<T*>(room_of_thread.get(size_t(count * m * (k + columns)) * sizeof(T)));
        T* result = rows + count * m * k;
        for (int64_t i = 0; i < count; ++i) {
          int64_t which = lhs[size_t(item(i))];
          for (int64_t r = 0; r < m; ++r) {
            T* to = rows + (i * m + r) * k;
            if (a.has(which))
              copy_row(a[which].at(r, 0), k, to);
            else
              std::fill_n(to, k, T(0));
          }
        }
        product<T>(count * m, columns, k, {rows, k, 1}, right, result, columns);
        for (int64_t i = 0; i < count; ++i) {
          bool there = a.has(lhs[size_t(item(i))]);
          for (int64_t r = 0; r < m; ++r) {
            T* to = out + (item(i) * m + r) * n + first;
            // Nothing times infinity is nothing.
            if (there)
              std::copy_n(result + (i * m + r) * columns, columns, to);
            else
              std::fill_n(to, columns, T(0));
          }
        }
      }
    });
  }

 private:
  std::vector<Layout> in_;
};

template <class T>
class ScatterDotKernel final : public HostKernel {
 public:
  ScatterDotKernel(std::span<const Layout> in, const Layout& out) : in_(in.begin(), in.end()), count_(out.shape[0]) {}

  void run(std::span<std::byte* const> at) override {
    Matrices<T> a{reinterpret_cast<const T*>(at[0]), in_[0]}, c{reinterpret_cast<const T*>(at[1]), in_[1]};
    std::vector<int64_t> lhs = numbers_of(in_[2], at[2]), rhs = numbers_of(in_[3], at[3]),
                         to = numbers_of(in_[4], at[4]);
    // What is not there adds nothing.
    for (size_t i = 0; i < to.size(); ++i)
      if (!a.has(lhs[i]) || !c.has(rhs[i])) to[i] = count_;
    T* out = reinterpret_cast<T*>(at[5]);
    int64_t m = in_[0].shape[1], k = in_[0].shape[2], n = in_[1].shape[2];
    ItemsByMatrix grouped(to.data(), int64_t(to.size()), count_);
    int64_t blocks = (k + kOuterRows - 1) / kOuterRows;
    parallel_for(count_ * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        int64_t target = t / blocks, first = t % blocks * kOuterRows, outer = std::min(kOuterRows, k - first);
        int64_t from = grouped.begin[size_t(target)], items = grouped.begin[size_t(target) + 1] - from;
        T* result = out + (target * k + first) * n;
        if (items == 0) {
          std::fill_n(result, outer * n, T(0));
          continue;
        }
        T* left = reinterpret_cast<T*>(room_of_thread.get(size_t(items * m * (outer + n)) * sizeof(T)));
        T* right = left + items * m * outer;
        for (int64_t i = 0; i < items; ++i) {
          int64_t item = grouped.items[size_t(from + i)];
          for (int64_t r = 0; r < m; ++r) {
            copy_row(a[lhs[size_t(item)]].at(r, first), outer, left + (i * m + r) * outer);
            copy_row(c[rhs[size_t(item)]].at(r, 0), n, right + (i * m + r) * n);
          }
        }
        product<T>(outer, n, items * m, {left, 1, outer}, {right, n, 1}, result, n);
      }
    });
  }

 private:
  std::vector<Layout> in_;
  int64_t count_;
};

std::unique_ptr<Kernel> make_gather_dot(const Primitive& primitive, std::span<const Layout> in, std::span<const Layout>,
                                        const KernelProgram*) {
  return for_float(in[0].dtype, primitive.name(), [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<GatherDotKernel<typename decltype(tag)::type>>(in);
  });
}
std::unique_ptr<Kernel> make_scatter_dot(const Primitive& primitive, std::span<const Layout> in,
                                         std::span<const Layout> out, const KernelProgram*) {
  return for_float(in[0].dtype, primitive.name(), [&](auto tag) -> std::unique_ptr<Kernel> {
    return std::make_unique<ScatterDotKernel<typename decltype(tag)::type>>(in, out[0]);
  });
}

const RegisterKernel registered[] = {{"gather_dot", make_gather_dot}, {"scatter_dot", make_scatter_dot}};

}  // namespace
}  // namespace funcnn::cpu
