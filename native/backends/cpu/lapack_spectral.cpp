// Eigenvalues and singular values by LAPACK, matrix by matrix.
#include <type_traits>

#include "backends/cpu/kernels.h"
#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_batch.h"
#include "ops/linalg_primitives.h"

namespace funcnn::cpu {
namespace {

using lapack::Int;

// ---- symmetric matrices

std::unique_ptr<Kernel> make_eigh(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout>,
                                  const KernelProgram*) {
  const auto& p = static_cast<const Eigh&>(primitive);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using R = lapack::Real<T>;
    return make_kernel([a = Matrices(inputs[0]), op = p.op(), vectors = p.vectors()](std::span<std::byte* const> at) {
      int64_t n = a.rows;
      Faults faults;
      over_batch(a.count, 9 * double(n) * double(n) * double(n), [&](int64_t begin, int64_t end) {
        Room<T> columns(n * n);
        for (int64_t i = begin; i < end && n > 0; ++i) {
          bool fine = load(in<T>(at[0]) + a.at(i), a, Part::lower, columns.get(), 1, n);
          if (faults.note(i, fine ? Fault::none : Fault::not_finite)) return;
          Int info = lapack::syevd(vectors ? 'V' : 'N', 'L', Int(n), columns.get(), Int(n), out<R>(at[1]) + i * n);
          if (info && faults.note(i, Fault::not_converged)) return;
          if (vectors) store_rows(columns.get(), n, n, n, out<T>(at[2]) + i * n * n);
        }
      });
      faults.raise(op, a);
    });
  });
}

// ---- any matrix

std::unique_ptr<Kernel> make_eig(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout>,
                                 const KernelProgram*) {
  const auto& p = static_cast<const Eig&>(primitive);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using C = std::complex<lapack::Real<T>>;
    return make_kernel([a = Matrices(inputs[0]), op = p.op(), vectors = p.vectors()](std::span<std::byte* const> at) {
      int64_t n = a.rows;
      Faults faults;
      over_batch(a.count, 25 * double(n) * double(n) * double(n), [&](int64_t begin, int64_t end) {
        Room<T> columns(n * n);
        Room<C> w(n), v(vectors ? n * n : 0);
        for (int64_t i = begin; i < end && n > 0; ++i) {
          bool fine = load(in<T>(at[0]) + a.at(i), a, Part::all, columns.get(), 1, n);
          if (faults.note(i, fine ? Fault::none : Fault::not_finite)) return;
          Int info = lapack::geev(Int(n), columns.get(), Int(n), w.get(), vectors ? v.get() : nullptr);
          if (info && faults.note(i, Fault::not_converged)) return;
          complex64_t* values = out<complex64_t>(at[1]) + i * n;
          for (int64_t j = 0; j < n; ++j) values[j] = complex64_t(w[j]);
          if (!vectors) continue;
          complex64_t* rows = out<complex64_t>(at[2]) + i * n * n;
          for (int64_t r = 0; r < n; ++r)
            for (int64_t j = 0; j < n; ++j) rows[r * n + j] = complex64_t(v[j * n + r]);
        }
      });
      faults.raise(op, a);
    });
  });
}

// ---- singular values

std::unique_ptr<Kernel> make_svd(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout>,
                                 const KernelProgram*) {
  const auto& p = static_cast<const SingularValues&>(primitive);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using R = lapack::Real<T>;
    return make_kernel(
        [a = Matrices(inputs[0]), op = p.op(), vectors = p.vectors(), full = p.full()](std::span<std::byte* const> at) {
          // Rows taken for columns are the transposed matrix, whose U is V^H by rows, and the other way round.
          int64_t m = a.rows, n = a.columns, k = std::min(m, n);
          int64_t width = full ? m : k, height = full ? n : k;
          auto identity = [](T* to, int64_t side) {
            std::fill(to, to + side * side, T(0));
            for (int64_t d = 0; d < side; ++d) to[d * side + d] = T(1);
          };
          Faults faults;
          over_batch(a.count, 20 * double(m) * double(n) * double(k), [&](int64_t begin, int64_t end) {
            Room<T> rows(m * n);
            for (int64_t i = begin; i < end; ++i) {
              T* u = vectors ? out<T>(at[1]) + i * m * width : nullptr;
              R* s = out<R>(at[vectors ? 2 : 1]) + i * k;
              T* vh = vectors ? out<T>(at[3]) + i * height * n : nullptr;
              if (k == 0) {
                if (vectors && full) {
                  identity(u, m);
                  identity(vh, n);
                }
                continue;
              }
              bool fine = load(in<T>(at[0]) + a.at(i), a, Part::all, rows.get(), n, 1);
              if (faults.note(i, fine ? Fault::none : Fault::not_finite)) return;
              Int info = lapack::gesdd(!vectors ? 'N'
                                       : full   ? 'A'
                                                : 'S',
                                       Int(n), Int(m), rows.get(), Int(n), s, vh, Int(n), u, Int(vectors ? width : 1));
              if (info && faults.note(i, Fault::not_converged)) return;
            }
          });
          faults.raise(op, a);
        });
  });
}

const RegisterKernel symmetric("eigh", make_eigh);
const RegisterKernel any("eig", make_eig);
const RegisterKernel singular("svd", make_svd);

}  // namespace
}  // namespace funcnn::cpu
