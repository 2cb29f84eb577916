// Symmetric matrices made tridiagonal and square ones bidiagonal, in panels of columns. Half of the work is products of
// the matrix with a vector for each column, which read all of it from memory: threads share these by columns, and what
// they add to one vector is kept apart and summed in order. The other half are products that bring the rest up to date.
#include <algorithm>
#include <memory>

#include "backends/cpu/blas.h"
#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_tiles.h"
#include "base/thread_pool.h"

namespace funcnn::cpu::lapack {
namespace {

constexpr int64_t kPanel = 32;    // columns that are reduced before the rest follows
constexpr int64_t kLast = 96;     // what is left to LAPACK
constexpr int64_t kChunk = 64;    // columns of a matrix that a thread takes at a time
constexpr double kWorth = 1.2e5;  // elements that are worth a thread

int64_t chunks_of(int64_t count) { return (count + kChunk - 1) / kChunk; }

// Run body(chunk) over chunks, of which the first are the longest: in pairs of a long and a short one, and `other`
// beside them. Each thread has one piece, so that from column to column it finds most of its part in its cache.
template <class Body, class Other>
void over_pairs(int64_t chunks, double elements, Body&& body, Other&& other) {
  const int64_t pairs = (chunks + 1) / 2, all = pairs + 1, each = (all + thread_count() - 1) / thread_count();
  const int64_t grain = int64_t(kWorth * double(pairs) / std::max(elements, 1.0));
  parallel_for(all, std::max(each, grain), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (i == pairs) {
        other();
        continue;
      }
      body(i);
      if (chunks - 1 - i != i) body(chunks - 1 - i);
    }
  });
}

template <class T>
class Reduction {
 public:
  Reduction(const LapackTiles<T>& tiles, int64_t n, T* a, int64_t ld)
      : tiles_(tiles), n_(n), a_(a), ld_(ld), partial_(new T[size_t(chunks_of(n) * n)]) {}

  T* at(int64_t i, int64_t j) const { return a_ + i + j * ld_; }

  // y = A x with the symmetric matrix from `first` on. Here and below, `other` runs beside it.
  template <class Other>
  void symmetric(int64_t first, const T* x, T* y, Other&& other) {
    const int64_t n = n_ - first, chunks = chunks_of(n);
    over_pairs(
        chunks, double(n) * double(n) / 2,
        [&](int64_t c) {
          T* mine = partial_.get() + c * n;
          std::fill(mine + c * kChunk, mine + n, T(0));
          tiles_.symmetric(n, c * kChunk, std::min(n, (c + 1) * kChunk), at(first, first), ld_, x, mine);
        },
        other);
    std::copy_n(partial_.get(), n, y);
    for (int64_t c = 1; c < chunks; ++c) {
      const T* part = partial_.get() + c * n;
      for (int64_t i = c * kChunk; i < n; ++i) y[i] += part[i];
    }
  }

  // y = A x and v = A^T u of the rows from `row` and the columns from `column` on.
  template <class Other>
  void forward(int64_t row, int64_t column, const T* x, T* y, Other&& other) {
    const int64_t m = n_ - row, n = n_ - column, chunks = chunks_of(n);
    over_pairs(
        chunks, double(m) * double(n),
        [&](int64_t c) {
          T* mine = partial_.get() + c * m;
          std::fill_n(mine, m, T(0));
          tiles_.products(m, std::min(kChunk, n - c * kChunk), at(row, column + c * kChunk), ld_, x + c * kChunk, mine,
                          nullptr, nullptr);
        },
        other);
    std::copy_n(partial_.get(), m, y);
    for (int64_t c = 1; c < chunks; ++c) {
      const T* part = partial_.get() + c * m;
      for (int64_t i = 0; i < m; ++i) y[i] += part[i];
    }
  }
  template <class Other>
  void back(int64_t row, int64_t column, const T* u, T* v, Other&& other) {
    const int64_t m = n_ - row, n = n_ - column;
    over_pairs(
        chunks_of(n), double(m) * double(n),
        [&](int64_t c) {
          int64_t columns = std::min(kChunk, n - c * kChunk);
          std::fill_n(v + c * kChunk, columns, T(0));
          tiles_.products(m, columns, at(row, column + c * kChunk), ld_, nullptr, nullptr, u, v + c * kChunk);
        },
        other);
  }

  // y -= P x; t = P^T u. P has few columns.
  void subtract(int64_t m, int64_t n, const T* p, int64_t ld, const T* x, int64_t step, T* y) {
    T turned[kPanel];
    for (int64_t j = 0; j < n; ++j) turned[j] = -x[j * step];
    tiles_.products(m, n, p, ld, turned, y, nullptr, nullptr);
  }
  void dots(int64_t m, int64_t n, const T* p, int64_t ld, const T* u, T* t) {
    std::fill_n(t, n, T(0));
    tiles_.products(m, n, p, ld, nullptr, nullptr, u, t);
  }

  // What lies from `next` on, or its lower triangle, less V Y^T and X U^T, whose row 0 is that of `next`.
  void update(int64_t next, bool lower, int64_t width, const T* v, int64_t ldv, const T* y, int64_t ldy, const T* x,
              int64_t ldx, const T* u, int64_t ldu) {
    const int64_t n = n_ - next, rows = tiles_.rows;
    over_pairs(
        chunks_of(n), double(n) * double(n) * double(width) / 8,
        [&](int64_t c) {
          int64_t column = c * kChunk, columns = std::min(kChunk, n - column), row = lower ? column : 0;
          // The columns of the matrix are rows of a transposed one.
          T* to = at(next + row, next + column);
          tiles_.subtract(columns, n - row, width, {y + column, 1, ldy}, rows, v + row, ldv, to, ld_);
          tiles_.subtract(columns, n - row, width, {u + column, 1, ldu}, rows, x + row, ldx, to, ld_);
        },
        [] {});
  }

 private:
  const LapackTiles<T>& tiles_;
  int64_t n_;
  T* a_;
  int64_t ld_;
  std::unique_ptr<T[]> partial_;
};

template <class T>
void scale(int64_t n, T by, T* x) {
  for (int64_t i = 0; i < n; ++i) x[i] *= by;
}

}  // namespace

// Of each column: it is brought up to date, its reflector v is made, and w = tau (A v - V W^T v - W V^T v), less
// tau / 2 (w^T v) v. What follows becomes A - V W^T - W V^T.
template <class T>
void sytrd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* d, T* e, T* tau) {
  blas::single_threaded();
  Reduction<T> r(tiles, n, a, ld);
  const int64_t step = n + tiles.lanes;  // vectors may be read past the last row
  std::unique_ptr<T[]> room(new T[size_t(kPanel * step)]());
  T* w = room.get();
  int64_t first = 0;
  for (; n - first > kLast; first += kPanel) {
    for (int64_t i = 0; i < kPanel; ++i) {
      const int64_t j = first + i, below = n - j - 1;
      // Row j of W and V meets rows from j on.
      r.subtract(below + 1, i, r.at(j, first), ld, w + j, step, r.at(j, j));
      r.subtract(below + 1, i, w + j, step, r.at(j, first), ld, r.at(j, j));
      d[j] = *r.at(j, j);
      T *v = r.at(j + 1, j), *mine = w + i * step + j + 1, along_w[kPanel], along_v[kPanel];
      e[j] = *v;
      larfg(Int(below), e + j, v + 1, tau + j);
      *v = 1;
      r.symmetric(j + 1, v, mine, [&] {
        r.dots(below, i, w + j + 1, step, v, along_w);
        r.dots(below, i, r.at(j + 1, first), ld, v, along_v);
      });
      r.subtract(below, i, r.at(j + 1, first), ld, along_w, 1, mine);
      r.subtract(below, i, w + j + 1, step, along_v, 1, mine);
      scale(below, tau[j], mine);
      T along;
      r.dots(below, 1, mine, below, v, &along);
      along *= tau[j] / 2;
      r.subtract(below, 1, v, below, &along, 1, mine);
    }
    const int64_t next = first + kPanel;
    const T *v = r.at(next, first), *mine = w + next;
    r.update(next, true, kPanel, v, ld, mine, step, mine, step, v, ld);
  }
  // The ones in the reflectors stand for the elements beside the diagonal.
  for (int64_t j = 0; j < first; ++j) *r.at(j + 1, j) = e[j];
  sytrd(Int(n - first), r.at(first, first), ld, d + first, e + first, tau + first);
}

// Of each column and row: a reflector v on the left and u on the right, y = tau (A^T v - Y V^T v - U X^T v) and
// x = tau (A u - V Y^T u - X U^T u). What follows becomes A - V Y^T - X U^T.
template <class T>
void gebrd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* d, T* e, T* tau_q, T* tau_p) {
  blas::single_threaded();
  Reduction<T> r(tiles, n, a, ld);
  const int64_t step = n + tiles.lanes;
  std::unique_ptr<T[]> room(new T[size_t(3 * kPanel * step)]());
  T *x = room.get(), *y = x + kPanel * step, *u = y + kPanel * step;
  int64_t first = 0;
  for (; n - first > kLast; first += kPanel) {
    for (int64_t i = 0; i < kPanel; ++i) {
      const int64_t j = first + i, after = n - j - 1;
      T one[kPanel], other[kPanel];
      T* v = r.at(j, j);
      r.subtract(after + 1, i, r.at(j, first), ld, y + j, step, v);
      r.subtract(after + 1, i, x + j, step, u + j, step, v);
      d[j] = *v;
      larfg(Int(after + 1), d + j, v + 1, tau_q + j);
      *v = 1;
      T* own_y = y + i * step + j + 1;
      r.back(j, j + 1, v, own_y, [&] {
        r.dots(after + 1, i, r.at(j, first), ld, v, one);
        r.dots(after + 1, i, x + j, step, v, other);
      });
      r.subtract(after, i, y + j + 1, step, one, 1, own_y);
      r.subtract(after, i, u + j + 1, step, other, 1, own_y);
      scale(after, tau_q[j], own_y);
      // The row, which lies across memory, becomes a column.
      T* own_u = u + i * step + j + 1;
      for (int64_t c = 0; c < after; ++c) own_u[c] = *r.at(j, j + 1 + c);
      r.subtract(after, i + 1, y + j + 1, step, r.at(j, first), ld, own_u);
      r.subtract(after, i, u + j + 1, step, x + j, step, own_u);
      e[j] = *own_u;
      larfg(Int(after), e + j, own_u + 1, tau_p + j);
      *own_u = 1;
      for (int64_t c = 1; c < after; ++c) *r.at(j, j + 1 + c) = own_u[c];
      T* own_x = x + i * step + j + 1;
      r.forward(j + 1, j + 1, own_u, own_x, [&] {
        r.dots(after, i + 1, y + j + 1, step, own_u, one);
        r.dots(after, i, u + j + 1, step, own_u, other);
      });
      r.subtract(after, i + 1, r.at(j + 1, first), ld, one, 1, own_x);
      r.subtract(after, i, x + j + 1, step, other, 1, own_x);
      scale(after, tau_p[j], own_x);
    }
    const int64_t next = first + kPanel;
    r.update(next, false, kPanel, r.at(next, first), ld, y + next, step, x + next, step, u + next, step);
  }
  for (int64_t j = 0; j < first; ++j) {
    *r.at(j, j) = d[j];
    *r.at(j, j + 1) = e[j];
  }
  gebrd(Int(n - first), r.at(first, first), ld, d + first, e + first, tau_q + first, tau_p + first);
}

#define INSTANTIATE(T)                                                         \
  template void sytrd_shared(const LapackTiles<T>&, Int, T*, Int, T*, T*, T*); \
  template void gebrd_shared(const LapackTiles<T>&, Int, T*, Int, T*, T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu::lapack
