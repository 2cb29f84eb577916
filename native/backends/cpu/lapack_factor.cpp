// Factorisations by LAPACK and what is solved by them, matrix by matrix.
#include <atomic>
#include <type_traits>
#include <utility>

#include "backends/cpu/blas.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_batch.h"
#include "backends/cpu/lapack_tiled.h"
#include "ops/linalg_primitives.h"

namespace funcnn::cpu {
namespace {

using lapack::Int;

double cube(double n) { return n * n * n; }

const MatrixPrimitive& of(const Primitive& p) { return static_cast<const MatrixPrimitive&>(p); }

// ---- Cholesky

constexpr int64_t kTiledFrom = 192;  // rows from which on our own blocks are quicker than LAPACK's

std::unique_ptr<Kernel> make_cholesky(const Primitive& primitive, std::span<const Layout> inputs,
                                      std::span<const Layout>, const KernelProgram*) {
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([a = Matrices(inputs[0]), op = of(primitive).op()](std::span<std::byte* const> at) {
      int64_t n = a.rows;
      if (n == 0) return;
      each_matrix(op, a, cube(double(n)) / 3, no_room, [&](int64_t i, NoRoom) -> Verdict {
        // The rows of L are the columns of an upper factor of the same (conjugated) matrix.
        T* l = out<T>(at[1]) + i * n * n;
        if (!load(in<T>(at[0]) + a.at(i), a, Part::lower, l, n, 1)) return Fault::not_finite;
        auto clear = [&] {
          for (int64_t r = 0; r < n; ++r) std::fill(l + r * n + r + 1, l + (r + 1) * n, T(0));
        };
        clear();
        if constexpr (!std::is_same_v<T, complex64_t>) {
          if (const LapackTiles<T>* tiles = lapack_tiles<T>(); tiles && n >= kTiledFrom) {
            int64_t failed = cholesky_tiled(*tiles, n, l, n);
            clear();
            return failed >= 0 ? Verdict(Fault::not_positive, failed) : Fault::none;
          }
        }
        Int info = lapack::potrf('U', Int(n), l, Int(n));
        return info ? Verdict(Fault::not_positive, info - 1) : Fault::none;
      });
    });
  });
}

// ---- triangular systems

// Columns that are solved together; a fixed number, so that results do not depend on how many threads there are.
constexpr int64_t kColumns = 64;

// In blocks of columns, on several threads where that pays off.
template <class T>
void solve_columns(bool upper, blas::Transposition transposition, bool unit, int64_t n, int64_t k, const T* a,
                   int64_t lda, T* b) {
  if constexpr (!std::is_same_v<T, complex64_t>) {
    if (const LapackTiles<T>* tiles = lapack_tiles<T>()) {
      bool turned = transposition != blas::Transposition::none;
      MatrixView<T> view{a, turned ? 1 : lda, turned ? lda : 1};
      solve_tiled(*tiles, upper != turned, unit, n, view, b, k, k);
      return;
    }
  }
  int64_t blocks = (k + kColumns - 1) / kColumns;
  int64_t grain = std::max<int64_t>(1, int64_t(1e6 / (double(n) * double(n) * kColumns)));
  parallel_for(blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      blas::trsm(upper, transposition, unit, n, std::min(kColumns, k - i * kColumns), a, lda, b + i * kColumns, k);
  });
}

std::unique_ptr<Kernel> make_triangular_solve(const Primitive& primitive, std::span<const Layout> inputs,
                                              std::span<const Layout>, const KernelProgram*) {
  const auto& p = static_cast<const TriangularSolve&>(primitive);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([a = Matrices(inputs[0]), b = Matrices(inputs[1]), op = p.op(), upper = p.upper(),
                        unit = p.unit_diagonal()](std::span<std::byte* const> at) {
      int64_t n = a.rows, k = b.columns;
      if (n == 0) return;
      bool rows = a.column_step == 1 && a.row_step >= n, columns = a.row_step == 1 && a.column_step >= n;
      if (n == 1) rows = true;
      int64_t lda = n == 1 ? 1 : rows ? a.row_step : columns ? a.column_step : n;
      Part part = upper ? Part::upper : Part::lower;
      auto room = [&] { return Room<T>(rows || columns ? 0 : n * n); };
      each_matrix(op, a, double(n) * double(n) * double(k), room, [&](int64_t i, T* dense) -> Verdict {
        const T* m = in<T>(at[0]) + a.at(i);
        if (!(rows || columns ? finite(m, a, part) : load(m, a, part, dense, n, 1))) return Fault::not_finite;
        for (int64_t d = 0; d < n && !unit; ++d)
          if (m[d * (a.row_step + a.column_step)] == T(0)) return {Fault::singular, d};
        T* x = out<T>(at[2]) + i * n * k;
        load(in<T>(at[1]) + b.at(i), b, Part::all, x, k, 1);
        bool turned = columns && !rows;
        solve_columns(turned ? !upper : upper, turned ? blas::Transposition::transposed : blas::Transposition::none,
                      unit, n, k, rows || columns ? m : dense, lda, x);
        return Fault::none;
      });
    });
  });
}

// ---- LU

// The order of the rows after the exchanges, which count from 0.
void order_of(const Int* pivots, int64_t m, int64_t k, uint32_t* exchanged, uint32_t* rows) {
  for (int64_t i = 0; i < m; ++i) rows[i] = uint32_t(i);
  for (int64_t i = 0; i < k; ++i) {
    exchanged[i] = uint32_t(pivots[i]);
    std::swap(rows[i], rows[pivots[i]]);
  }
}

std::unique_ptr<Kernel> make_lu_factor(const Primitive& primitive, std::span<const Layout> inputs,
                                       std::span<const Layout>, const KernelProgram*) {
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([a = Matrices(inputs[0]), op = of(primitive).op()](std::span<std::byte* const> at) {
      int64_t m = a.rows, n = a.columns, k = std::min(m, n), ld = apart(m);
      const LapackTiles<T>* tiles = lapack_tiles<T>();
      auto room = [&] { return std::pair(Room<T>(tiles ? 0 : ld * n), Room<Int>(k)); };
      each_matrix(op, a, double(m) * double(n) * double(k), room, [&](int64_t i, auto& mine) -> Verdict {
        T *columns = mine.first, *factors = out<T>(at[1]) + i * m * n;
        Int* pivots = mine.second;
        if constexpr (!std::is_same_v<T, complex64_t>) {
          if (tiles) {
            if (!load(in<T>(at[0]) + a.at(i), a, Part::all, factors, n, 1)) return Fault::not_finite;
            lu_tiled(*tiles, m, n, factors, n, pivots);
            order_of(pivots, m, k, out<uint32_t>(at[2]) + i * k, out<uint32_t>(at[3]) + i * m);
            return Fault::none;
          }
        }
        if (!load(in<T>(at[0]) + a.at(i), a, Part::all, columns, 1, ld)) return Fault::not_finite;
        if (k > 0) lapack::getrf_shared(Int(m), Int(n), columns, Int(ld), pivots);
        for (int64_t j = 0; j < k; ++j) --pivots[j];  // LAPACK counts from 1
        store_rows(columns, ld, m, n, factors);
        order_of(pivots, m, k, out<uint32_t>(at[2]) + i * k, out<uint32_t>(at[3]) + i * m);
        return Fault::none;
      });
    });
  });
}

template <class T>
bool is_identity(const T* x, const Matrices& m) {
  if (m.rows != m.columns) return false;
  std::atomic<bool> same{true};
  parallel_for(m.rows, std::max<int64_t>(1, (1 << 16) / m.rows), [&](int64_t begin, int64_t end) {
    bool mine = true;
    for (int64_t i = begin; i < end && mine && same.load(std::memory_order_relaxed); ++i)
      for (int64_t j = 0; j < m.columns; ++j) mine &= x[i * m.row_step + j * m.column_step] == T(i == j ? 1 : 0);
    if (!mine) same.store(false, std::memory_order_relaxed);
  });
  return same;
}

// The inverse by the factors. Before it, the identity is lower triangular still, so that a third of the work falls
// away.
template <class T>
void invert(const LapackTiles<T>& tiles, int64_t n, MatrixView<T> lu, const uint32_t* rows, int64_t row_step, T* work,
            T* to) {
  std::fill(work, work + n * n, T(0));
  for (int64_t i = 0; i < n; ++i) work[i * n + i] = T(1);
  solve_tiled(tiles, false, true, n, lu, work, n, n, true);
  solve_tiled(tiles, true, false, n, lu, work, n, n);
  parallel_for(n, std::max<int64_t>(1, (1 << 15) / n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < n; ++j) to[i * n + rows[j * row_step]] = work[i * n + j];
  });
}

std::unique_ptr<Kernel> make_lu_solve(const Primitive& primitive, std::span<const Layout> inputs,
                                      std::span<const Layout>, const KernelProgram*) {
  const auto& p = static_cast<const LuSolve&>(primitive);
  Layout rows = inputs[3];  // as matrices of one row
  rows.shape.push_back(1);
  rows.strides.push_back(1);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([b = Matrices(inputs[1]), lu = Matrices(inputs[2]), order = Matrices(rows), op = p.op(),
                        transposed = p.transposed()](std::span<std::byte* const> at) {
      int64_t n = lu.rows, k = b.columns;
      if (n == 0) return;
      const LapackTiles<T>* tiles = lapack_tiles<T>();
      bool in_place = lu.column_step == 1 && lu.row_step >= n;
      auto room = [&] {
        return std::pair(Room<T>(in_place ? 0 : n * n), Room<T>(transposed || (tiles && n == k) ? n * k : 0));
      };
      each_matrix(op, lu, 2 * double(n) * double(n) * double(k), room, [&](int64_t i, auto& mine) -> Verdict {
        T *dense = mine.first, *turned = mine.second;
        const T* m = in<T>(at[2]) + lu.at(i);
        const uint32_t* row = in<uint32_t>(at[3]) + order.at(i);
        for (int64_t d = 0; d < n; ++d)
          if (m[d * (lu.row_step + lu.column_step)] == T(0)) return {Fault::singular, d};
        int64_t ld = in_place ? lu.row_step : n;
        if (!in_place) {
          load(m, lu, Part::all, dense, n, 1);
          m = dense;
        }
        const T* rhs = in<T>(at[1]) + b.at(i);
        T *x = out<T>(at[4]) + i * n * k, *work = transposed ? turned : x;
        if constexpr (!std::is_same_v<T, complex64_t>) {
          if (tiles && !transposed && is_identity(rhs, b)) {
            invert(*tiles, n, {m, ld, 1}, row, order.row_step, turned, x);
            return Fault::none;
          }
        }
        auto copy = [&](const T* from, int64_t step, T* to) {
          for (int64_t j = 0; j < k; ++j) to[j] = from[j * step];
        };
        auto source = [&](int64_t r) { return transposed ? r : int64_t(row[r * order.row_step]); };
        for (int64_t r = 0; r < n; ++r) copy(rhs + source(r) * b.row_step, b.column_step, work + r * k);
        using blas::Transposition;
        if (!transposed) {
          solve_columns(false, Transposition::none, true, n, k, m, ld, work);
          solve_columns(true, Transposition::none, false, n, k, m, ld, work);
        } else {
          solve_columns(true, Transposition::conjugated, false, n, k, m, ld, work);
          solve_columns(false, Transposition::conjugated, true, n, k, m, ld, work);
          for (int64_t r = 0; r < n; ++r) copy(work + r * k, 1, x + int64_t(row[r * order.row_step]) * k);
        }
        return Fault::none;
      });
    });
  });
}

// ---- cofactors

template <class T>
T determinant_of_factors(const T* lu, int64_t n, const Int* pivots) {
  T product = 1;
  for (int64_t i = 0; i < n; ++i) product *= pivots[i] == i + 1 ? lu[i * n + i] : -lu[i * n + i];
  return product;
}

// det(A) A^-1 where rounding leaves no doubt that there is an inverse, else from the singular values: the product of
// all but one of them is what is left of the determinant in its direction.
template <class T>
Fault adjugate(T* a, int64_t n, T* result) {
  using R = lapack::Real<T>;
  Room<T> lu(n * n);
  Room<Int> pivots(n);
  std::copy(a, a + n * n, lu.get());
  lapack::getrf(Int(n), Int(n), lu.get(), Int(n), pivots.get());
  R largest = 0, smallest = std::numeric_limits<R>::infinity();
  for (int64_t i = 0; i < n; ++i) {
    R size = std::abs(lu[i * n + i]);
    largest = std::max(largest, size);
    smallest = std::min(smallest, size);
  }
  T determinant = determinant_of_factors(lu.get(), n, pivots.get());
  if (smallest > largest * std::sqrt(std::numeric_limits<R>::epsilon()) && determinant != T(0)) {
    lapack::getri(Int(n), lu.get(), Int(n), pivots.get());
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) result[i * n + j] = determinant * lu[j * n + i];
    return Fault::none;
  }
  Room<T> u(n * n), vh(n * n), left(n * n);
  Room<R> s(n);
  const Int side = Int(n);
  const Int failed = side > lapack::kIterated
                         ? lapack::svd_tall(true, side, side, a, side, s.get(), u.get(), 1, n, vh.get(), n, 1)
                         : lapack::gesdd('A', side, side, a, side, s.get(), u.get(), side, vh.get(), side);
  if (failed) return Fault::not_converged;
  // adj(U diag(s) V^H) = adj(V^H) adj(diag(s)) adj(U), and of a unitary matrix it is its determinant times its adjoint.
  auto determinant_of = [&](const T* x) {
    std::copy(x, x + n * n, lu.get());
    lapack::getrf(Int(n), Int(n), lu.get(), Int(n), pivots.get());
    return determinant_of_factors(lu.get(), n, pivots.get());
  };
  T turn = determinant_of(u) * determinant_of(vh);
  Room<R> others(n);
  for (int64_t i = 0; i < n; ++i) {
    R product = 1;
    for (int64_t j = 0; j < n; ++j)
      if (j != i) product *= s[j];
    others[i] = product;
  }
  auto conjugate = [](T x) {
    if constexpr (std::is_same_v<T, complex64_t>)
      return std::conj(x);
    else
      return x;
  };
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      T total = 0;
      for (int64_t l = 0; l < n; ++l) total += conjugate(vh[i * n + l]) * others[l] * conjugate(u[l * n + j]);
      result[i * n + j] = turn * total;
    }
  return Fault::none;
}

std::unique_ptr<Kernel> make_adjugate(const Primitive& primitive, std::span<const Layout> inputs,
                                      std::span<const Layout>, const KernelProgram*) {
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([a = Matrices(inputs[0]), op = of(primitive).op()](std::span<std::byte* const> at) {
      int64_t n = a.rows;
      if (n == 0) return;
      auto room = [&] { return Room<T>(n * n); };
      each_matrix(op, a, 2 * cube(double(n)), room, [&](int64_t i, T* columns) -> Verdict {
        if (!load(in<T>(at[0]) + a.at(i), a, Part::all, columns, 1, n)) return Fault::not_finite;
        return adjugate(columns, n, out<T>(at[1]) + i * n * n);
      });
    });
  });
}

// ---- QR

constexpr int64_t kReflectFrom = 128;  // columns from which on our own blocks of reflectors are quicker

std::unique_ptr<Kernel> make_qr(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout>,
                                const KernelProgram*) {
  const auto& p = static_cast<const QrFactor&>(primitive);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([a = Matrices(inputs[0]), op = p.op(), complete = p.complete()](std::span<std::byte* const> at) {
      int64_t m = a.rows, n = a.columns, k = std::min(m, n), width = complete ? m : k, ld = apart(m);
      const LapackTiles<T>* tiles = lapack_tiles<T>();
      auto room = [&] { return std::pair(Room<T>(ld * std::max(n, width)), Room<T>(k)); };
      each_matrix(op, a, 4 * double(m) * double(n) * double(k), room, [&](int64_t i, auto& mine) -> Verdict {
        T *columns = mine.first, *tau = mine.second;
        T *q = out<T>(at[1]) + i * m * width, *r = out<T>(at[2]) + i * width * n;
        if (!load(in<T>(at[0]) + a.at(i), a, Part::all, columns, 1, ld)) return Fault::not_finite;
        if (k > 0) lapack::geqrf_shared(Int(m), Int(n), columns, Int(ld), tau);
        for (int64_t row = 0; row < width; ++row)
          for (int64_t j = 0; j < n; ++j) r[row * n + j] = j >= row ? columns[j * ld + row] : T(0);
        if (width == 0) return Fault::none;
        if constexpr (!std::is_same_v<T, complex64_t>) {
          if (tiles && k >= kReflectFrom) {
            reflect_tiled<T>(*tiles, m, width, k, {columns, 1, ld}, tau, nullptr, q, width, 1);
            return Fault::none;
          }
        }
        if (width > n) std::fill(columns + n * ld, columns + width * ld, T(0));
        lapack::orgqr_shared(Int(m), Int(width), Int(k), columns, Int(ld), tau);
        store_rows(columns, ld, m, width, q);
        return Fault::none;
      });
    });
  });
}

const RegisterKernel cholesky("cholesky", make_cholesky);
const RegisterKernel triangular("triangular_solve", make_triangular_solve);
const RegisterKernel factor("lu_factor", make_lu_factor);
const RegisterKernel solve("lu_solve", make_lu_solve);
const RegisterKernel cofactors("adjugate", make_adjugate);
const RegisterKernel qr("qr", make_qr);

}  // namespace
}  // namespace funcnn::cpu
