// cuBLASLt on the driver without a GPU: multiplies float32 and bfloat16 by the definition, with what it adds, where the
// host sees the memory. Says what it multiplies as lines of the file FAKE_LT_LOG. FAKE_LT_ALONE=1: nothing is added.
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_unlocked.h"

enum { kRefused = 15, kInvalid = 7, kRelu = 2, kBias = 4, kWorkspace = 512 };
enum { kFloat32 = 0, kBfloat16 = 14 };

struct Operation {
  int compute, scale, transposed[2];
  uint32_t epilogue;
  const void* bias;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t leading, stride;
  int32_t batch;
};
struct Wishes {
  uint64_t workspace;
  uint32_t alignments[4];
};
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

int cublasLtCreate(void** handle) {
  expect_unlocked(__func__);
  return *handle = malloc(1), 0;
}

int cublasLtMatmulDescCreate(struct Operation** out, int compute, int scale) {
  *out = calloc(1, sizeof(**out));
  (*out)->compute = compute, (*out)->scale = scale, (*out)->epilogue = 1;
  return 0;
}
int cublasLtMatmulDescDestroy(struct Operation* o) { return free(o), 0; }
int cublasLtMatmulDescSetAttribute(struct Operation* o, int attribute, const void* value, size_t bytes) {
  if (attribute == 3 || attribute == 4) return memcpy(&o->transposed[attribute - 3], value, 4), bytes == 4 ? 0 : kInvalid;
  if (attribute == 7) return memcpy(&o->epilogue, value, 4), bytes == 4 ? 0 : kInvalid;
  if (attribute == 8) return memcpy(&o->bias, value, 8), bytes == 8 ? 0 : kInvalid;
  return kInvalid;
}

int cublasLtMatrixLayoutCreate(struct Layout** out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  *out = calloc(1, sizeof(**out));
  **out = (struct Layout){type, rows, columns, leading, 0, 1};
  return leading >= (int64_t)rows ? 0 : kInvalid;
}
int cublasLtMatrixLayoutDestroy(struct Layout* l) { return free(l), 0; }
int cublasLtMatrixLayoutSetAttribute(struct Layout* l, int attribute, const void* value, size_t bytes) {
  if (attribute == 5) return memcpy(&l->batch, value, 4), bytes == 4 ? 0 : kInvalid;
  if (attribute == 6) return memcpy(&l->stride, value, 8), bytes == 8 ? 0 : kInvalid;
  return kInvalid;
}

int cublasLtMatmulPreferenceCreate(struct Wishes** out) { return *out = calloc(1, sizeof(**out)), 0; }
int cublasLtMatmulPreferenceDestroy(struct Wishes* w) { return free(w), 0; }
int cublasLtMatmulPreferenceSetAttribute(struct Wishes* w, int attribute, const void* value, size_t bytes) {
  if (attribute == 1) return memcpy(&w->workspace, value, 8), bytes == 8 ? 0 : kInvalid;
  if (attribute >= 5 && attribute <= 8) return memcpy(&w->alignments[attribute - 5], value, 4), bytes == 4 ? 0 : kInvalid;
  return attribute == 3 ? 0 : kInvalid;
}

static int well_formed(const struct Operation* o, const struct Layout* a, const struct Layout* b,
                       const struct Layout* c, const struct Layout* d) {
  const int right = o->transposed[0] ? a->rows == b->rows || a->rows == b->columns : 1;
  return right && c->rows == d->rows && c->columns == d->columns && c->type == d->type && a->type == d->type &&
         a->batch == d->batch && b->batch == d->batch && c->batch == d->batch;
}

// An algorithm is the alignment that it needs.
int cublasLtMatmulAlgoGetHeuristic(void* handle, struct Operation* o, struct Layout* a, struct Layout* b,
                                   struct Layout* c, struct Layout* d, struct Wishes* w, int most,
                                   struct Heuristic* found, int* count) {
  expect_unlocked(__func__);
  *count = 0;
  if (most < 1 || !well_formed(o, a, b, c, d)) return kInvalid;
  if (d->type != kFloat32 && d->type != kBfloat16) return kRefused;
  if (o->epilogue != 1 && getenv("FAKE_LT_ALONE")) return kRefused;
  uint64_t alignment = w->alignments[0];
  for (int i = 1; i < 4; ++i)
    if (w->alignments[i] < alignment) alignment = w->alignments[i];
  while (o->epilogue & kBias && (uintptr_t)o->bias % alignment) alignment /= 2;
  memset(found, 0, sizeof(*found));
  found->algorithm[0] = alignment;
  found->workspace = w->workspace < kWorkspace ? w->workspace : kWorkspace;
  *count = 1;
  return 0;
}

static float load(const void* from, int64_t at, int type) {
  if (type == kFloat32) return ((const float*)from)[at];
  const uint32_t bits = (uint32_t)((const uint16_t*)from)[at] << 16;
  float out;
  return memcpy(&out, &bits, 4), out;
}
static void store(void* to, int64_t at, int type, float value) {
  if (type == kFloat32) {
    ((float*)to)[at] = value;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &value, 4);
  ((uint16_t*)to)[at] = value != value ? 0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

int cublasLtMatmul(void* handle, struct Operation* o, const float* alpha, const void* a, struct Layout* la,
                   const void* b, struct Layout* lb, const float* beta, const void* c, struct Layout* lc, void* d,
                   struct Layout* ld, const uint64_t* algorithm, void* workspace, size_t bytes, void* stream) {
  expect_unlocked(__func__);
  if (!well_formed(o, la, lb, lc, ld) || !stream || (bytes && !workspace)) return kInvalid;
  uintptr_t places = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)d;
  if (o->epilogue & kBias) places |= (uintptr_t)o->bias;
  if (places % algorithm[0]) return kInvalid;
  memset(workspace, 1, bytes);
  const int64_t m = (int64_t)ld->rows, n = (int64_t)ld->columns;
  const int64_t k = (int64_t)(o->transposed[0] ? la->rows : la->columns);
  const char* path = getenv("FAKE_LT_LOG");
  FILE* log = path ? fopen(path, "a") : NULL;
  if (log) {
    // As the caller sees it: its rows are columns here.
    fprintf(log, "%d x (%lld, %lld, %lld)%s%s%s\n", ld->batch, (long long)n, (long long)k, (long long)m,
            *beta != 0 ? " + matrix" : "", o->epilogue & kBias ? " + vector" : "", o->epilogue & kRelu ? ", relu" : "");
    fclose(log);
  }
  for (int64_t batch = 0; batch < ld->batch; ++batch)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i) {
        float sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          const int64_t at_a = o->transposed[0] ? p + i * la->leading : i + p * la->leading;
          const int64_t at_b = o->transposed[1] ? j + p * lb->leading : p + j * lb->leading;
          sum += load(a, batch * la->stride + at_a, la->type) * load(b, batch * lb->stride + at_b, lb->type);
        }
        float value = *alpha * sum;
        if (*beta != 0) value += *beta * load(c, batch * lc->stride + i + j * lc->leading, lc->type);
        if (o->epilogue & kBias) value += load(o->bias, i, ld->type);
        if (o->epilogue & kRelu && value < 0) value = 0;
        store(d, batch * ld->stride + i + j * ld->leading, ld->type, value);
      }
  return 0;
}
