#include "backends/cuda/cusolver.h"

#include <algorithm>
#include <array>
#include <complex>
#include <map>
#include <string>

#include "backends/cuda/library.h"
#include "base/error.h"
#include "plan/log.h"

namespace funcnn::cuda {
namespace {

constexpr int kRight = 1;          // side of a triangular matrix
constexpr int kDeterministic = 1;  // mode

using Handle = void*;

// One function for each of float32, float64, complex64.
template <class F>
struct ByDtype {
  F* of[3];
  F* operator[](Dtype dtype) const { return of[dtype == Dtype::float32 ? 0 : dtype == Dtype::float64 ? 1 : 2]; }
};

struct Libraries {
  int (*create)(Handle*);
  int (*set_stream)(Handle, StreamHandle);
  int (*set_mode)(Handle, int);  // may be missing: older libraries have no other
  int (*create_parameters)(void**);
  int (*potrf_size)(Handle, void*, int uplo, int64_t n, int type, const void* a, int64_t lda, int compute, size_t*,
                    size_t*);
  int (*potrf)(Handle, void*, int uplo, int64_t n, int type, void* a, int64_t lda, int compute, void*, size_t, void*,
               size_t, int* info);
  int (*getrf_size)(Handle, void*, int64_t m, int64_t n, int type, const void* a, int64_t lda, int compute, size_t*,
                    size_t*);
  int (*getrf)(Handle, void*, int64_t m, int64_t n, int type, void* a, int64_t lda, int64_t* pivots, int compute, void*,
               size_t, void*, size_t, int* info);
  int (*geqrf_size)(Handle, void*, int64_t m, int64_t n, int type, const void* a, int64_t lda, int tau_type,
                    const void* tau, int compute, size_t*, size_t*);
  int (*geqrf)(Handle, void*, int64_t m, int64_t n, int type, void* a, int64_t lda, int tau_type, void* tau,
               int compute, void*, size_t, void*, size_t, int* info);
  int (*syevd_size)(Handle, void*, int job, int uplo, int64_t n, int type, const void* a, int64_t lda, int w_type,
                    const void* w, int compute, size_t*, size_t*);
  int (*syevd)(Handle, void*, int job, int uplo, int64_t n, int type, void* a, int64_t lda, int w_type, void* w,
               int compute, void*, size_t, void*, size_t, int* info);
  // May be missing: since CUDA 12.6.
  int (*syev_batched_size)(Handle, void*, int job, int uplo, int64_t n, int type, const void* a, int64_t lda,
                           int w_type, const void* w, int compute, size_t*, size_t*, int64_t count);
  int (*syev_batched)(Handle, void*, int job, int uplo, int64_t n, int type, void* a, int64_t lda, int w_type, void* w,
                      int compute, void*, size_t, void*, size_t, int* info, int64_t count);
  int (*gesvd_size)(Handle, void*, signed char job_u, signed char job_v, int64_t m, int64_t n, int type, const void* a,
                    int64_t lda, int s_type, const void* s, int u_type, const void* u, int64_t ldu, int v_type,
                    const void* v, int64_t ldv, int compute, size_t*, size_t*);
  int (*gesvd)(Handle, void*, signed char job_u, signed char job_v, int64_t m, int64_t n, int type, void* a,
               int64_t lda, int s_type, void* s, int u_type, void* u, int64_t ldu, int v_type, void* v, int64_t ldv,
               int compute, void*, size_t, void*, size_t, int* info);
  int (*gesvdp_size)(Handle, void*, int job, int economic, int64_t m, int64_t n, int type, const void* a, int64_t lda,
                     int s_type, const void* s, int u_type, const void* u, int64_t ldu, int v_type, const void* v,
                     int64_t ldv, int compute, size_t*, size_t*);
  int (*gesvdp)(Handle, void*, int job, int economic, int64_t m, int64_t n, int type, void* a, int64_t lda, int s_type,
                void* s, int u_type, void* u, int64_t ldu, int v_type, void* v, int64_t ldv, int compute, void*, size_t,
                void*, size_t, int* info, double* error);
  ByDtype<int(Handle, int m, int n, int k, const void* a, int lda, const void* tau, int* size)> orgqr_size;
  ByDtype<int(Handle, int m, int n, int k, void* a, int lda, const void* tau, void* work, int size, int* info)> orgqr;
  ByDtype<int(Handle, int uplo, int n, void* a, int lda, int* info, int count)> potrf_batched;

  int (*create_blas)(Handle*);
  int (*set_blas_stream)(Handle, StreamHandle);
  ByDtype<int(Handle, int side, int uplo, int form, int unit, int m, int n, const void* alpha, const void* a, int lda,
              void* b, int ldb)>
      trsm;
  ByDtype<int(Handle, int side, int uplo, int form, int unit, int m, int n, const void* alpha, const void* a, int lda,
              const void* b, int ldb, int count)>
      trsm_batched;
  ByDtype<int(Handle, int n, const void* a, int lda, int* pivots, int* info, int count)> getrf_batched;

  bool usable = false;
};

// One name for each, what is behind the letter of its dtype.
template <class F>
void bind_all(Needed& library, ByDtype<F>& functions, const char* before, std::array<const char*, 3> names) {
  for (size_t i = 0; i < names.size(); ++i) library.bind(functions.of[i], cat(before, "SDC"[i], names[i]).c_str());
}

const Libraries& libraries() {
  static const auto* once = [] {
    auto* l = new Libraries{};
    // Each looks for those before it by name alone: loaded before, they are found.
    Needed blas(toolkit_names("cublas"), {"nvJitLink", "cublasLt"});
    Needed solver(toolkit_names("cusolver"), {"cusparse"});
    solver.bind(l->create, "cusolverDnCreate");
    solver.bind(l->set_stream, "cusolverDnSetStream");
    solver.bind(l->create_parameters, "cusolverDnCreateParams");
    solver.bind(l->potrf_size, "cusolverDnXpotrf_bufferSize");
    solver.bind(l->potrf, "cusolverDnXpotrf");
    solver.bind(l->getrf_size, "cusolverDnXgetrf_bufferSize");
    solver.bind(l->getrf, "cusolverDnXgetrf");
    solver.bind(l->geqrf_size, "cusolverDnXgeqrf_bufferSize");
    solver.bind(l->geqrf, "cusolverDnXgeqrf");
    solver.bind(l->syevd_size, "cusolverDnXsyevd_bufferSize");
    solver.bind(l->syevd, "cusolverDnXsyevd");
    solver.bind(l->gesvd_size, "cusolverDnXgesvd_bufferSize");
    solver.bind(l->gesvd, "cusolverDnXgesvd");
    solver.bind(l->gesvdp_size, "cusolverDnXgesvdp_bufferSize");
    solver.bind(l->gesvdp, "cusolverDnXgesvdp");
    bind_all(solver, l->orgqr_size, "cusolverDn", {"orgqr_bufferSize", "orgqr_bufferSize", "ungqr_bufferSize"});
    bind_all(solver, l->orgqr, "cusolverDn", {"orgqr", "orgqr", "ungqr"});
    bind_all(solver, l->potrf_batched, "cusolverDn", {"potrfBatched", "potrfBatched", "potrfBatched"});
    blas.bind(l->create_blas, "cublasCreate_v2");
    blas.bind(l->set_blas_stream, "cublasSetStream_v2");
    bind_all(blas, l->trsm, "cublas", {"trsm_v2", "trsm_v2", "trsm_v2"});
    bind_all(blas, l->trsm_batched, "cublas", {"trsmBatched", "trsmBatched", "trsmBatched"});
    bind_all(blas, l->getrf_batched, "cublas", {"getrfBatched", "getrfBatched", "getrfBatched"});
    constexpr std::string_view kWithout = "decompositions run on the CPU";
    l->usable = solver.usable("cuSOLVER", kWithout) && blas.usable("cuBLAS", kWithout);
    solver.bind_if_there(l->set_mode, "cusolverDnSetDeterministicMode");
    const bool batched = solver.bind_if_there(l->syev_batched_size, "cusolverDnXsyevBatched_bufferSize") &&
                         solver.bind_if_there(l->syev_batched, "cusolverDnXsyevBatched");
    if (!batched) l->syev_batched = nullptr;
    return l;
  }();
  return *once;
}

int* info_at(Address address) { return static_cast<int*>(at(address)); }

int type_of(Dtype dtype) { return dtype == Dtype::float32 ? 0 : dtype == Dtype::float64 ? 1 : 4; }
int real_type_of(Dtype dtype) { return dtype == Dtype::float64 ? 1 : 0; }

const void* one_of(Dtype dtype) {
  static const float one = 1;
  static const double wide = 1;
  static const std::complex<float> complex = 1;
  return dtype == Dtype::float32   ? static_cast<const void*>(&one)
         : dtype == Dtype::float64 ? static_cast<const void*>(&wide)
                                   : static_cast<const void*>(&complex);
}

}  // namespace

Solver* Solver::find(Context context, StreamHandle stream) {
  const Libraries& l = libraries();
  if (!l.usable) return nullptr;
  static auto* made = new std::map<StreamHandle, Solver*>;
  static auto* mutex = new std::mutex;
  std::lock_guard lock(*mutex);
  auto [place, fresh] = made->try_emplace(stream, nullptr);
  if (!fresh) return place->second;
  InContext here(context);
  auto* solver = new Solver;
  const bool started = l.create(&solver->solver_) == 0 && l.create_blas(&solver->blas_) == 0 &&
                       l.set_stream(solver->solver_, stream) == 0 && l.set_blas_stream(solver->blas_, stream) == 0 &&
                       l.create_parameters(&solver->parameters_) == 0 &&
                       (!l.set_mode || l.set_mode(solver->solver_, kDeterministic) == 0);
  if (!started) {
    log_line("gpu", "cuSOLVER does not start on this GPU, so that decompositions run on the CPU");
    return nullptr;
  }
  return place->second = solver;
}

Workspace Solver::cholesky_workspace(Dtype dtype, Triangle triangle, int64_t n) {
  Workspace w;
  const int type = type_of(dtype);
  expect_success(
      libraries().potrf_size(solver_, parameters_, int(triangle), n, type, nullptr, n, type, &w.device, &w.host),
      "cusolverDnXpotrf_bufferSize");
  return w;
}

void Solver::cholesky(Dtype dtype, Triangle triangle, int64_t n, Address a, const Room& room, Address info) {
  const int type = type_of(dtype);
  expect_success(libraries().potrf(solver_, parameters_, int(triangle), n, type, at(a), n, type, at(room.device),
                                   room.device_bytes, room.host, room.host_bytes, info_at(info)),
                 "cusolverDnXpotrf");
}

void Solver::cholesky_batched(Dtype dtype, Triangle triangle, int64_t n, Address a, Address info, int64_t count) {
  expect_success(
      libraries().potrf_batched[dtype](solver_, int(triangle), int(n), at(a), int(n), info_at(info), int(count)),
      "cusolverDn<t>potrfBatched");
}

void Solver::solve_right(Dtype dtype, Triangle triangle, Form form, bool unit, int64_t m, int64_t n, Address a,
                         Address b) {
  expect_success(libraries().trsm[dtype](blas_, kRight, int(triangle), int(form), unit, int(m), int(n), one_of(dtype),
                                         at(a), int(n), at(b), int(m)),
                 "cublas<t>trsm");
}

void Solver::solve_right_batched(Dtype dtype, Triangle triangle, Form form, bool unit, int64_t m, int64_t n, Address a,
                                 Address b, int64_t count) {
  expect_success(libraries().trsm_batched[dtype](blas_, kRight, int(triangle), int(form), unit, int(m), int(n),
                                                 one_of(dtype), at(a), int(n), at(b), int(m), int(count)),
                 "cublas<t>trsmBatched");
}

Workspace Solver::lu_workspace(Dtype dtype, int64_t m, int64_t n) {
  Workspace w;
  const int type = type_of(dtype);
  expect_success(libraries().getrf_size(solver_, parameters_, m, n, type, nullptr, m, type, &w.device, &w.host),
                 "cusolverDnXgetrf_bufferSize");
  return w;
}

void Solver::lu(Dtype dtype, int64_t m, int64_t n, Address a, Address pivots, const Room& room, Address info) {
  const int type = type_of(dtype);
  expect_success(libraries().getrf(solver_, parameters_, m, n, type, at(a), m, static_cast<int64_t*>(at(pivots)), type,
                                   at(room.device), room.device_bytes, room.host, room.host_bytes, info_at(info)),
                 "cusolverDnXgetrf");
}

void Solver::lu_batched(Dtype dtype, int64_t n, Address a, Address pivots, Address info, int64_t count) {
  expect_success(
      libraries().getrf_batched[dtype](blas_, int(n), at(a), int(n), info_at(pivots), info_at(info), int(count)),
      "cublas<t>getrfBatched");
}

Workspace Solver::reflectors_workspace(Dtype dtype, int64_t m, int64_t n) {
  Workspace w;
  const int type = type_of(dtype);
  expect_success(
      libraries().geqrf_size(solver_, parameters_, m, n, type, nullptr, m, type, nullptr, type, &w.device, &w.host),
      "cusolverDnXgeqrf_bufferSize");
  return w;
}

void Solver::reflectors(Dtype dtype, int64_t m, int64_t n, Address a, Address tau, const Room& room, Address info) {
  const int type = type_of(dtype);
  expect_success(libraries().geqrf(solver_, parameters_, m, n, type, at(a), m, type, at(tau), type, at(room.device),
                                   room.device_bytes, room.host, room.host_bytes, info_at(info)),
                 "cusolverDnXgeqrf");
}

Workspace Solver::basis_workspace(Dtype dtype, int64_t m, int64_t n, int64_t k) {
  int count = 0;
  expect_success(libraries().orgqr_size[dtype](solver_, int(m), int(n), int(k), nullptr, int(m), nullptr, &count),
                 "cusolverDn<t>orgqr_bufferSize");
  return {size_t(std::max(count, 0)) * item_size(dtype), 0};
}

void Solver::basis(Dtype dtype, int64_t m, int64_t n, int64_t k, Address a, Address tau, const Room& room,
                   Address info) {
  expect_success(libraries().orgqr[dtype](solver_, int(m), int(n), int(k), at(a), int(m), at(tau), at(room.device),
                                          int(room.device_bytes / item_size(dtype)), info_at(info)),
                 "cusolverDn<t>orgqr");
}

Workspace Solver::eigh_workspace(Dtype dtype, Wanted wanted, int64_t n) {
  Workspace w;
  const int type = type_of(dtype);
  expect_success(libraries().syevd_size(solver_, parameters_, int(wanted), int(Triangle::lower), n, type, nullptr, n,
                                        real_type_of(dtype), nullptr, type, &w.device, &w.host),
                 "cusolverDnXsyevd_bufferSize");
  return w;
}

void Solver::eigh(Dtype dtype, Wanted wanted, int64_t n, Address a, Address w, const Room& room, Address info) {
  const int type = type_of(dtype);
  expect_success(
      libraries().syevd(solver_, parameters_, int(wanted), int(Triangle::lower), n, type, at(a), n, real_type_of(dtype),
                        at(w), type, at(room.device), room.device_bytes, room.host, room.host_bytes, info_at(info)),
      "cusolverDnXsyevd");
}

bool Solver::has_eigh_batched() const { return libraries().syev_batched != nullptr; }

Workspace Solver::eigh_batched_workspace(Dtype dtype, Wanted wanted, int64_t n, int64_t count) {
  Workspace w;
  const int type = type_of(dtype);
  expect_success(
      libraries().syev_batched_size(solver_, parameters_, int(wanted), int(Triangle::lower), n, type, nullptr, n,
                                    real_type_of(dtype), nullptr, type, &w.device, &w.host, count),
      "cusolverDnXsyevBatched_bufferSize");
  return w;
}

void Solver::eigh_batched(Dtype dtype, Wanted wanted, int64_t n, Address a, Address w, const Room& room, Address info,
                          int64_t count) {
  const int type = type_of(dtype);
  expect_success(libraries().syev_batched(solver_, parameters_, int(wanted), int(Triangle::lower), n, type, at(a), n,
                                          real_type_of(dtype), at(w), type, at(room.device), room.device_bytes,
                                          room.host, room.host_bytes, info_at(info), count),
                 "cusolverDnXsyevBatched");
}

Workspace Solver::svd_workspace(Dtype dtype, char job, int64_t m, int64_t n) {
  Workspace w;
  const int type = type_of(dtype), real = real_type_of(dtype);
  const auto letter = static_cast<signed char>(job);
  expect_success(libraries().gesvd_size(solver_, parameters_, letter, letter, m, n, type, nullptr, m, real, nullptr,
                                        type, nullptr, m, type, nullptr, n, type, &w.device, &w.host),
                 "cusolverDnXgesvd_bufferSize");
  return w;
}

void Solver::svd(Dtype dtype, char job, int64_t m, int64_t n, Address a, Address s, Address u, Address vh,
                 const Room& room, Address info) {
  const int type = type_of(dtype), real = real_type_of(dtype);
  const auto letter = static_cast<signed char>(job);
  expect_success(
      libraries().gesvd(solver_, parameters_, letter, letter, m, n, type, at(a), m, real, at(s), type, at(u), m, type,
                        at(vh), n, type, at(room.device), room.device_bytes, room.host, room.host_bytes, info_at(info)),
      "cusolverDnXgesvd");
}

Workspace Solver::svd_polar_workspace(Dtype dtype, Wanted wanted, bool full, int64_t m, int64_t n) {
  Workspace w;
  const int type = type_of(dtype);
  expect_success(libraries().gesvdp_size(solver_, parameters_, int(wanted), !full, m, n, type, nullptr, m, type,
                                         nullptr, type, nullptr, m, type, nullptr, n, type, &w.device, &w.host),
                 "cusolverDnXgesvdp_bufferSize");
  return w;
}

double Solver::svd_polar(Dtype dtype, Wanted wanted, bool full, int64_t m, int64_t n, Address a, Address s, Address u,
                         Address v, const Room& room, Address info) {
  double error = 0;
  const int type = type_of(dtype);
  expect_success(libraries().gesvdp(solver_, parameters_, int(wanted), !full, m, n, type, at(a), m, type, at(s), type,
                                    at(u), m, type, at(v), n, type, at(room.device), room.device_bytes, room.host,
                                    room.host_bytes, info_at(info), &error),
                 "cusolverDnXgesvdp");
  return error;
}

}  // namespace funcnn::cuda
