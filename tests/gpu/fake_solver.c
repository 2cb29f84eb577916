// cuSOLVER and the part of cuBLAS that goes with it, on the driver without a GPU: decomposes nothing. Says which
// functions are called, as lines of the file FAKE_SOLVER_LOG, and FAKE_SOLVER_INFO=n of every matrix.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_unlocked.h"

typedef void* Handle;

static void called(const char* function, long long n, long long more) {
  const char* path = getenv("FAKE_SOLVER_LOG");
  FILE* file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fprintf(file, "%s %lld %lld\n", function, n, more);
  fclose(file);
}

static void say(int* info, int count) {
  const char* set = getenv("FAKE_SOLVER_INFO");
  for (int i = 0; i < count; ++i) info[i] = set ? atoi(set) : 0;
}

// Workspaces are written from end to end: they are there.
static int room(size_t* device, size_t* host) {
  *device = 1000;
  *host = 10;
  return 0;
}
static void use(void* device, size_t bytes, void* host, size_t host_bytes) {
  memset(device, 1, bytes);
  memset(host, 1, host_bytes);
}

int cusolverDnCreate(Handle* handle) {
  expect_unlocked(__func__);
  return *handle = malloc(1), getenv("FAKE_SOLVER_BROKEN") ? 1 : 0;
}
int cusolverDnSetStream(Handle handle, void* stream) {
  expect_unlocked(__func__);
  return handle && stream ? 0 : 1;
}
int cusolverDnCreateParams(void** parameters) {
  expect_unlocked(__func__);
  return *parameters = malloc(1), 0;
}
int cublasCreate_v2(Handle* handle) {
  expect_unlocked(__func__);
  return *handle = malloc(1), 0;
}
int cublasSetStream_v2(Handle handle, void* stream) {
  expect_unlocked(__func__);
  return handle && stream ? 0 : 1;
}

int cusolverDnXpotrf_bufferSize(Handle h, void* p, int uplo, int64_t n, int type, const void* a, int64_t lda,
                                int compute, size_t* device, size_t* host) {
  expect_unlocked(__func__);
  return room(device, host);
}
int cusolverDnXpotrf(Handle h, void* p, int uplo, int64_t n, int type, void* a, int64_t lda, int compute, void* device,
                     size_t bytes, void* host, size_t host_bytes, int* info) {
  expect_unlocked(__func__);
  called("Xpotrf", n, lda);
  use(device, bytes, host, host_bytes);
  say(info, 1);
  return 0;
}
int cusolverDnXgetrf_bufferSize(Handle h, void* p, int64_t m, int64_t n, int type, const void* a, int64_t lda,
                                int compute, size_t* device, size_t* host) {
  expect_unlocked(__func__);
  return room(device, host);
}
int cusolverDnXgetrf(Handle h, void* p, int64_t m, int64_t n, int type, void* a, int64_t lda, int64_t* pivots,
                     int compute, void* device, size_t bytes, void* host, size_t host_bytes, int* info) {
  expect_unlocked(__func__);
  called("Xgetrf", m, n);
  use(device, bytes, host, host_bytes);
  for (int64_t i = 0; i < (m < n ? m : n); ++i) pivots[i] = i + 1;
  say(info, 1);
  return 0;
}
int cusolverDnXgeqrf_bufferSize(Handle h, void* p, int64_t m, int64_t n, int type, const void* a, int64_t lda,
                                int tau_type, const void* tau, int compute, size_t* device, size_t* host) {
  expect_unlocked(__func__);
  return room(device, host);
}
int cusolverDnXgeqrf(Handle h, void* p, int64_t m, int64_t n, int type, void* a, int64_t lda, int tau_type, void* tau,
                     int compute, void* device, size_t bytes, void* host, size_t host_bytes, int* info) {
  expect_unlocked(__func__);
  called("Xgeqrf", m, n);
  use(device, bytes, host, host_bytes);
  say(info, 1);
  return 0;
}
int cusolverDnXsyevd_bufferSize(Handle h, void* p, int job, int uplo, int64_t n, int type, const void* a, int64_t lda,
                                int w_type, const void* w, int compute, size_t* device, size_t* host) {
  expect_unlocked(__func__);
  return room(device, host);
}
int cusolverDnXsyevd(Handle h, void* p, int job, int uplo, int64_t n, int type, void* a, int64_t lda, int w_type,
                     void* w, int compute, void* device, size_t bytes, void* host, size_t host_bytes, int* info) {
  expect_unlocked(__func__);
  called("Xsyevd", n, job);
  use(device, bytes, host, host_bytes);
  say(info, 1);
  return 0;
}
int cusolverDnXgesvd_bufferSize(Handle h, void* p, signed char job_u, signed char job_v, int64_t m, int64_t n, int type,
                                const void* a, int64_t lda, int s_type, const void* s, int u_type, const void* u,
                                int64_t ldu, int v_type, const void* v, int64_t ldv, int compute, size_t* device,
                                size_t* host) {
  expect_unlocked(__func__);
  return room(device, host);
}
int cusolverDnXgesvd(Handle h, void* p, signed char job_u, signed char job_v, int64_t m, int64_t n, int type, void* a,
                     int64_t lda, int s_type, void* s, int u_type, void* u, int64_t ldu, int v_type, void* v,
                     int64_t ldv, int compute, void* device, size_t bytes, void* host, size_t host_bytes, int* info) {
  expect_unlocked(__func__);
  called("Xgesvd", m, n);
  use(device, bytes, host, host_bytes);
  say(info, m >= n ? 1 : 0);
  return m >= n ? 0 : 3;
}
int cusolverDnXgesvdp_bufferSize(Handle h, void* p, int job, int economic, int64_t m, int64_t n, int type,
                                 const void* a, int64_t lda, int s_type, const void* s, int u_type, const void* u,
                                 int64_t ldu, int v_type, const void* v, int64_t ldv, int compute, size_t* device,
                                 size_t* host) {
  expect_unlocked(__func__);
  return room(device, host);
}
// FAKE_SOLVER_ERROR: what the matrix was perturbed by. Its largest value is 1.
int cusolverDnXgesvdp(Handle h, void* p, int job, int economic, int64_t m, int64_t n, int type, void* a, int64_t lda,
                      int s_type, void* s, int u_type, void* u, int64_t ldu, int v_type, void* v, int64_t ldv,
                      int compute, void* device, size_t bytes, void* host, size_t host_bytes, int* info,
                      double* error) {
  expect_unlocked(__func__);
  const char* set = getenv("FAKE_SOLVER_ERROR");
  called("Xgesvdp", m, n);
  use(device, bytes, host, host_bytes);
  say(info, 1);
  if (s_type == 1)
    *(double*)s = 1;
  else
    *(float*)s = 1;
  *error = set ? atof(set) : 0;
  return m >= n ? 0 : 3;
}

#define OF_DTYPE(letter, orgqr)                                                                                       \
  int cusolverDn##letter##orgqr##_bufferSize(Handle h, int m, int n, int k, const void* a, int lda, const void* tau,  \
                                             int* size) {                                                             \
    return *size = 100, 0;                                                                                            \
  }                                                                                                                   \
  int cusolverDn##letter##orgqr(Handle h, int m, int n, int k, void* a, int lda, const void* tau, void* work,         \
                                int size, int* info) {                                                                \
    called(#orgqr, m, n);                                                                                             \
    say(info, 1);                                                                                                     \
    return size >= 100 ? 0 : 3;                                                                                       \
  }                                                                                                                   \
  int cusolverDn##letter##potrfBatched(Handle h, int uplo, int n, void* a, int lda, int* info, int count) {           \
    called("potrfBatched", n, count);                                                                                 \
    say(info, count);                                                                                                 \
    return 0;                                                                                                         \
  }                                                                                                                   \
  int cublas##letter##trsm_v2(Handle h, int side, int uplo, int form, int unit, int m, int n, const void* alpha,      \
                              const void* a, int lda, void* b, int ldb) {                                             \
    called("trsm", m, n);                                                                                             \
    return 0;                                                                                                         \
  }                                                                                                                   \
  int cublas##letter##trsmBatched(Handle h, int side, int uplo, int form, int unit, int m, int n, const void* alpha,  \
                                  const void* a, int lda, const void* b, int ldb, int count) {                        \
    called("trsmBatched", n, count);                                                                                  \
    return 0;                                                                                                         \
  }                                                                                                                   \
  int cublas##letter##getrfBatched(Handle h, int n, const void* a, int lda, int* pivots, int* info, int count) {      \
    called("getrfBatched", n, count);                                                                                 \
    say(info, count);                                                                                                 \
    return 0;                                                                                                         \
  }
OF_DTYPE(S, orgqr)
OF_DTYPE(D, orgqr)
OF_DTYPE(C, ungqr)
