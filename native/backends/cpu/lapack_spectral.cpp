// Eigenvalues and singular values by LAPACK, matrix by matrix.
#include <type_traits>
#include <utility>

#include "backends/cpu/kernels.h"
#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_batch.h"
#include "backends/cpu/lapack_tiles.h"
#include "ops/linalg_primitives.h"

namespace funcnn::cpu {
namespace {

using lapack::Int;

constexpr int64_t kSharedFrom = 256;  // rows from which on the threads share one matrix

template <class T>
constexpr bool kReal = !std::is_same_v<T, complex64_t>;

// ---- symmetric matrices

std::unique_ptr<Kernel> make_eigh(const Primitive& primitive, std::span<const Layout> inputs, std::span<const Layout>,
                                  const KernelProgram*) {
  const auto& p = static_cast<const Eigh&>(primitive);
  return visit_lapack_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using R = lapack::Real<T>;
    return make_kernel([a = Matrices(inputs[0]), op = p.op(), vectors = p.vectors()](std::span<std::byte* const> at) {
      int64_t n = a.rows;
      if (n == 0) return;
      const LapackTiles<T>* tiles = vectors && n >= kSharedFrom ? lapack_tiles<T>() : nullptr;
      const bool shared = tiles != nullptr;
      const int64_t ld = shared ? apart(n) : n;
      auto room = [&] { return Room<T>(ld * n); };
      each_matrix(op, a, 9 * double(n) * double(n) * double(n), room, [&](int64_t i, T* columns) -> Verdict {
        if (!load(in<T>(at[0]) + a.at(i), a, Part::lower, columns, 1, ld)) return Fault::not_finite;
        if constexpr (kReal<T>) {
          if (shared) {
            Int failed = lapack::syevd_shared(*tiles, Int(n), columns, Int(ld), out<T>(at[1]) + i * n,
                                              out<T>(at[2]) + i * n * n);
            return failed ? Fault::not_converged : Fault::none;
          }
        }
        Int info = lapack::syevd(vectors ? 'V' : 'N', 'L', Int(n), columns, Int(n), out<R>(at[1]) + i * n);
        if (info) return Fault::not_converged;
        if (vectors) store_rows(columns, n, n, n, out<T>(at[2]) + i * n * n);
        return Fault::none;
      });
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
      if (n == 0) return;
      // The matrix; values and vectors.
      auto room = [&] { return std::pair(Room<T>(n * n), Room<C>(n + (vectors ? n * n : 0))); };
      each_matrix(op, a, 25 * double(n) * double(n) * double(n), room, [&](int64_t i, auto& mine) -> Verdict {
        T* columns = mine.first;
        C *w = mine.second, *v = w + n;
        if (!load(in<T>(at[0]) + a.at(i), a, Part::all, columns, 1, n)) return Fault::not_finite;
        if (lapack::geev(Int(n), columns, Int(n), w, vectors ? v : nullptr)) return Fault::not_converged;
        complex64_t* values = out<complex64_t>(at[1]) + i * n;
        for (int64_t j = 0; j < n; ++j) values[j] = complex64_t(w[j]);
        if (!vectors) return Fault::none;
        complex64_t* rows = out<complex64_t>(at[2]) + i * n * n;
        for (int64_t r = 0; r < n; ++r)
          for (int64_t j = 0; j < n; ++j) rows[r * n + j] = complex64_t(v[j * n + r]);
        return Fault::none;
      });
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
          const bool divided = vectors && k > lapack::kIterated, turned = !divided || n > m;
          const int64_t height_of = turned ? n : m, ld = divided ? apart(height_of) : n;
          auto room = [&] { return Room<T>((m + n - height_of) * ld); };
          const char job = !vectors ? 'N' : full ? 'A' : 'S';
          each_matrix(op, a, 20 * double(m) * double(n) * double(k), room, [&](int64_t i, T* rows) -> Verdict {
            T* u = vectors ? out<T>(at[1]) + i * m * width : nullptr;
            R* s = out<R>(at[vectors ? 2 : 1]) + i * k;
            T* vh = vectors ? out<T>(at[3]) + i * height * n : nullptr;
            if (k == 0) {
              if (vectors && full) {
                identity(u, m);
                identity(vh, n);
              }
              return Fault::none;
            }
            if (!load(in<T>(at[0]) + a.at(i), a, Part::all, rows, turned ? ld : 1, turned ? 1 : ld))
              return Fault::not_finite;
            if (divided) {
              // A^T = U' S W^T with V^H = U'^T and U = W; else V^H = W^T.
              Int failed = turned ? lapack::svd_tall(full, Int(n), Int(m), rows, Int(ld), s, vh, 1, n, u, width, 1)
                                  : lapack::svd_tall(full, Int(m), Int(n), rows, Int(ld), s, u, width, 1, vh, 1, n);
              return failed ? Fault::not_converged : Fault::none;
            }
            Int info = lapack::gesdd(job, Int(n), Int(m), rows, Int(n), s, vh, Int(n), u, Int(vectors ? width : 1));
            return info ? Fault::not_converged : Fault::none;
          });
        });
  });
}

const RegisterKernel symmetric("eigh", make_eigh);
const RegisterKernel any("eig", make_eig);
const RegisterKernel singular("svd", make_svd);

}  // namespace
}  // namespace funcnn::cpu
