// cuSOLVER and the part of cuBLAS that goes with it, loaded when the first matrix is decomposed. Both count matrices by
// columns. Everything is put on the stream of a machine, in its order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "backends/cuda/driver.h"
#include "base/dtype.h"

namespace funcnn::cuda {

// Numbers of cublas_api.h and cusolver_common.h.
enum class Triangle : int { lower = 0, upper = 1 };
enum class Form : int { as_it_is = 0, transposed = 1, adjoint = 2 };
enum class Wanted : int { values = 0, vectors = 1 };

// Workspaces of a call, in bytes.
struct Workspace {
  size_t device = 0, host = 0;
};
// The workspaces themselves.
struct Room {
  Address device;
  size_t device_bytes;
  void* host;
  size_t host_bytes;
};

// The libraries' state for a stream. One thread at a time: `lock` it, in the stream's context.
class Solver {
 public:
  // null: the libraries are not there, do not start, or are too old.
  static Solver* find(Context context, StreamHandle stream);
  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  // L L^H or U^H U of Hermitian matrices, of which one triangle is read and overwritten. `info`: 0, or the order of the
  // leading minor that is not positive.
  Workspace cholesky_workspace(Dtype dtype, Triangle triangle, int64_t n);
  void cholesky(Dtype dtype, Triangle triangle, int64_t n, Address a, const Room& room, Address info);
  // `a`: addresses of matrices, in memory of the device.
  void cholesky_batched(Dtype dtype, Triangle triangle, int64_t n, Address a, Address info, int64_t count);

  // b := b form(a)^-1 for m rows, of which `ldb` is from column to column.
  void solve_right(Dtype dtype, Triangle triangle, Form form, bool unit, int64_t m, int64_t n, Address a, Address b);
  void solve_right_batched(Dtype dtype, Triangle triangle, Form form, bool unit, int64_t m, int64_t n, Address a,
                           Address b, int64_t count);

  // `pivots`: int64, counted from 1.
  Workspace lu_workspace(Dtype dtype, int64_t m, int64_t n);
  void lu(Dtype dtype, int64_t m, int64_t n, Address a, Address pivots, const Room& room, Address info);
  // `pivots`: int32.
  void lu_batched(Dtype dtype, int64_t n, Address a, Address pivots, Address info, int64_t count);

  Workspace reflectors_workspace(Dtype dtype, int64_t m, int64_t n);
  void reflectors(Dtype dtype, int64_t m, int64_t n, Address a, Address tau, const Room& room, Address info);
  // The first n columns of the product of k reflectors, in place of them.
  Workspace basis_workspace(Dtype dtype, int64_t m, int64_t n, int64_t k);
  void basis(Dtype dtype, int64_t m, int64_t n, int64_t k, Address a, Address tau, const Room& room, Address info);

  // Vectors in place of the matrix; its lower triangle is read.
  Workspace eigh_workspace(Dtype dtype, Wanted wanted, int64_t n);
  void eigh(Dtype dtype, Wanted wanted, int64_t n, Address a, Address w, const Room& room, Address info);
  bool has_eigh_batched() const;
  Workspace eigh_batched_workspace(Dtype dtype, Wanted wanted, int64_t n, int64_t count);
  void eigh_batched(Dtype dtype, Wanted wanted, int64_t n, Address a, Address w, const Room& room, Address info,
                    int64_t count);

  // m >= n. `job`: 'N', 'S', 'A' as LAPACK has them, of U; V^H has n rows.
  Workspace svd_workspace(Dtype dtype, char job, int64_t m, int64_t n);
  void svd(Dtype dtype, char job, int64_t m, int64_t n, Address a, Address s, Address u, Address vh, const Room& room,
           Address info);
  // The same by a polar decomposition: quicker, for matrices that are far from singular. `full`: U is square. `v`: V by
  // columns, of which there are n. Gives how far the matrix is from the one that was decomposed. Not of complex ones.
  Workspace svd_polar_workspace(Dtype dtype, Wanted wanted, bool full, int64_t m, int64_t n);
  double svd_polar(Dtype dtype, Wanted wanted, bool full, int64_t m, int64_t n, Address a, Address s, Address u,
                   Address v, const Room& room, Address info);

 private:
  Solver() = default;
  void* solver_ = nullptr;
  void* blas_ = nullptr;
  void* parameters_ = nullptr;
  std::mutex mutex_;
};

}  // namespace funcnn::cuda
