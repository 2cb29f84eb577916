// cuFFT on the driver without a GPU: transforms by the definition, where the host sees the memory. As the real one, it
// writes over half spectra, lets numbers of theirs count that have no say, and wants addresses of complex numbers. Says
// what it is called for as lines of the file FAKE_FFT_LOG.
#define _GNU_SOURCE
#include <complex.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_unlocked.h"

enum { kMost = 4096, kRefused = 4, kWorkspace = 1000 };

struct Plan {
  long long length, in_step, in_distance, out_step, out_distance, count;
  int type, automatic;
  void* stream;
  char* workspace;
  atomic_int busy;
};
static struct Plan plans[kMost];
static atomic_int made;

static void called(const char* function, const struct Plan* p) {
  const char* path = getenv("FAKE_FFT_LOG");
  FILE* file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fprintf(file, "%s %lld x %lld\n", function, p->count, p->length);
  fclose(file);
}

int cufftCreate(int* plan) {
  expect_unlocked(__func__);
  if (getenv("FAKE_FFT_BROKEN")) return 5;
  *plan = ++made;
  plans[*plan].automatic = 1;
  return *plan < kMost ? 0 : kRefused;
}
int cufftDestroy(int plan) {
  expect_unlocked(__func__);
  called("destroy", &plans[plan]);
  return 0;
}
int cufftSetStream(int plan, void* stream) {
  expect_unlocked(__func__);
  plans[plan].stream = stream;
  return stream ? 0 : kRefused;
}
int cufftSetAutoAllocation(int plan, int on) {
  expect_unlocked(__func__);
  plans[plan].automatic = on;
  return 0;
}
int cufftMakePlanMany64(int plan, int rank, long long* lengths, long long* in_embedding, long long in_step,
                        long long in_distance, long long* out_embedding, long long out_step, long long out_distance,
                        int type, long long count, size_t* workspace) {
  expect_unlocked(__func__);
  struct Plan* p = &plans[plan];
  if (rank != 1 || !in_embedding || !out_embedding || in_distance == 0) return kRefused;
  p->length = lengths[0], p->type = type, p->count = count;
  p->in_step = in_step, p->in_distance = in_distance, p->out_step = out_step, p->out_distance = out_distance;
  *workspace = kWorkspace;
  called("plan", p);
  return 0;
}
int cufftSetWorkArea(int plan, void* workspace) {
  expect_unlocked(__func__);
  plans[plan].workspace = workspace;
  return 0;
}

// `sign`: of the exponent. Everything is read before anything is written, so that lines may stay where they are.
static int transform(int plan, int type, void* from, void* to, int sign) {
  struct Plan* p = &plans[plan];
  const long long n = p->length, half = n / 2 + 1, have = type == 0x2c ? half : n, give = type == 0x2a ? half : n;
  if (p->type != type || p->automatic || !p->stream || !p->workspace || (uintptr_t)from % 8 || (uintptr_t)to % 8 ||
      atomic_exchange(&p->busy, 1))
    return kRefused;
  called(type == 0x29 ? "C2C" : type == 0x2a ? "R2C" : "C2R", p);
  memset(p->workspace, 1, kWorkspace);
  // Nobody looks at so much.
  if (p->count * n > 1 << 20) return atomic_store(&p->busy, 0), 0;
  double complex* x = malloc((size_t)(p->count * n) * sizeof(*x));
  for (long long line = 0; line < p->count; ++line)
    for (long long j = 0; j < have; ++j) {
      const long long at = line * p->in_distance + j * p->in_step;
      x[line * n + j] = type == 0x2a ? ((float*)from)[at] : ((float complex*)from)[at];
      if (type == 0x2c) {
        if (j && n - j >= have) x[line * n + n - j] = conj(x[line * n + j]);
        ((float complex*)from)[at] = NAN;
      }
    }
  for (long long line = 0; line < p->count; ++line)
    for (long long k = 0; k < give; ++k) {
      double complex sum = 0;
      for (long long j = 0; j < n; ++j) sum += x[line * n + j] * cexp(sign * 2 * M_PI * I * (double)(j * k % n) / (double)n);
      const long long at = line * p->out_distance + k * p->out_step;
      if (type == 0x2c)
        ((float*)to)[at] = (float)(creal(sum) + cimag(sum));
      else
        ((float complex*)to)[at] = (float complex)sum;
    }
  free(x);
  atomic_store(&p->busy, 0);
  return 0;
}
int cufftExecC2C(int plan, void* from, void* to, int direction) {
  expect_unlocked(__func__);
  return transform(plan, 0x29, from, to, direction);
}
int cufftExecR2C(int plan, void* from, void* to) {
  expect_unlocked(__func__);
  return transform(plan, 0x2a, from, to, -1);
}
int cufftExecC2R(int plan, void* from, void* to) {
  expect_unlocked(__func__);
  return transform(plan, 0x2c, from, to, 1);
}
