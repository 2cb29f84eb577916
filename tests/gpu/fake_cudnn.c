// cuDNN on the driver without a GPU: graphs of operations are computed one after another in double precision, where the
// host sees the memory. Descriptors that are used before they are finished or after they are gone end the process, as
// do arguments that are not those of the graph. Call number FAKE_DNN_FAIL, from when that was set, is refused. Says
// what is executed as lines of the file FAKE_DNN_LOG: lengths and types of what is in memory, in the order of its
// numbers.
#define _GNU_SOURCE
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_unlocked.h"

enum { kPointwise = 0, kWay = 3, kHeuristics = 4, kPlan = 5, kPointwiseOp = 13, kGraph = 15, kArguments = 16 };
enum { kTensor = 17, kProduct = 18, kProductOp = 19, kReduction = 21, kReductionOp = 22, kReshapeOp = 31 };
enum { kMostAttributes = 12, kMostParts = 64, kMostAlive = 1 << 14, kRefused = 2000, kWorkspace = 1000 };

struct Attribute {
  int number, count, size;
  char data[kMostParts * 8];
};
struct Descriptor {
  int kind, finished, count;
  struct Attribute attributes[kMostAttributes];
  struct Descriptor* graph;  // of a way to compute it
  double* values;            // of a tensor, while a graph is executed
};
static struct Descriptor* alive[kMostAlive];
static int handle, calls;
static char failing[16];
static atomic_int busy;

static void wrong(const char* what, int number) {
  fprintf(stderr, "fake cuDNN: %s (%d)\n", what, number);
  abort();
}

static int refused(void) {
  const char* set = getenv("FAKE_DNN_FAIL");
  if (!set) set = "";
  if (strcmp(set, failing)) snprintf(failing, sizeof(failing), "%s", set), calls = 0;
  return *set && ++calls == atoi(set) ? kRefused : 0;
}

static struct Descriptor* known(const void* d) {
  for (int i = 0; i < kMostAlive; ++i)
    if (alive[i] == d && d) return alive[i];
  wrong("nobody's descriptor", 0);
  return NULL;
}

static struct Attribute* find(struct Descriptor* d, int number) {
  for (int i = 0; i < d->count; ++i)
    if (d->attributes[i].number == number) return &d->attributes[i];
  return NULL;
}
static struct Attribute* need(struct Descriptor* d, int number) {
  struct Attribute* a = find(d, number);
  if (!a) wrong("an attribute is missing", number);
  return a;
}
static int64_t integer(struct Descriptor* d, int number) {
  struct Attribute* a = need(d, number);
  return a->size == 1 ? a->data[0] : a->size == 4 ? *(int32_t*)a->data : *(int64_t*)a->data;
}
static int64_t* integers(struct Descriptor* d, int number) { return (int64_t*)need(d, number)->data; }
static struct Descriptor* part(struct Descriptor* d, int number, int i) {
  struct Descriptor* p = known(((void**)need(d, number)->data)[i]);
  if (!p->finished) wrong("a part is not finished", number);
  return p;
}

int fake_alive(void) {
  int count = 0;
  for (int i = 0; i < kMostAlive; ++i) count += alive[i] != NULL;
  return count;
}

size_t cudnnGetVersion(void) { return 91900; }
void cudnnGetLastErrorString(char* words, size_t size) { snprintf(words, size, "the fake refuses"); }
int cudnnCreate(void** made) {
  expect_unlocked(__func__);
  *made = &handle;
  return getenv("FAKE_DNN_BROKEN") ? kRefused : refused();
}
int cudnnSetStream(void* to, void* stream) {
  expect_unlocked(__func__);
  return to != &handle || !stream ? kRefused : refused();
}

int cudnnBackendCreateDescriptor(int kind, void** made) {
  expect_unlocked(__func__);
  *made = NULL;
  if (refused()) return kRefused;
  int i = 0;
  while (alive[i]) ++i;
  *made = alive[i] = calloc(1, sizeof(struct Descriptor));
  alive[i]->kind = kind;
  return 0;
}
int cudnnBackendDestroyDescriptor(void* d) {
  expect_unlocked(__func__);
  known(d);
  for (int i = 0; i < kMostAlive; ++i)
    if (alive[i] == d) alive[i] = NULL;
  free(d);
  return 0;
}
int cudnnBackendSetAttribute(void* descriptor, int number, int type, int64_t count, const void* values) {
  expect_unlocked(__func__);
  struct Descriptor* d = known(descriptor);
  if (d->finished || d->count == kMostAttributes || count > kMostParts || count < 1 || find(d, number))
    wrong("an attribute cannot be set", number);
  if (refused()) return kRefused;
  struct Attribute* a = &d->attributes[d->count++];
  const int wide = type == 0 || type == 3 || type == 6 || type == 15;
  a->number = number, a->count = (int)count, a->size = type == 2 ? 1 : wide ? 8 : 4;
  memcpy(a->data, values, (size_t)(a->size * count));
  return 0;
}
int cudnnBackendGetAttribute(const void* descriptor, int number, int type, int64_t most, int64_t* count, void* values) {
  expect_unlocked(__func__);
  struct Descriptor* d = known(descriptor);
  (void)type;
  if (!d->finished) wrong("asked before it is finished", number);
  if (refused()) return kRefused;
  if (d->kind == kHeuristics && number == 202 && most > 0) {
    struct Descriptor* way = known(((void**)values)[0]);
    way->finished = 1;
    way->graph = part(d, 201, 0);
    *count = getenv("FAKE_DNN_IGNORANT") ? 0 : 1;
  } else if (d->kind == kPlan && number == 402) {
    *(int64_t*)values = kWorkspace;
  } else {
    wrong("nothing to ask", number);
  }
  return 0;
}

// ---- tensors

static int64_t count_of(struct Descriptor* t) {
  const int64_t* n = integers(t, 902);
  return n[0] * n[1] * n[2] * n[3];
}
// Where element i lies, in steps of which `as` has the lengths too: other lengths are repeated or added up.
static void split(int64_t i, const int64_t* lengths, int64_t* at) {
  for (int axis = 4; axis-- > 0; i /= lengths[axis]) at[axis] = i % lengths[axis];
}
static int64_t offset(const int64_t* at, struct Descriptor* t) {
  const int64_t* steps = integers(t, 903);
  return at[0] * steps[0] + at[1] * steps[1] + at[2] * steps[2] + at[3] * steps[3];
}
static int64_t within(const int64_t* at, const int64_t* lengths, struct Descriptor* t) {
  const int64_t* own = integers(t, 902);
  int64_t i = 0;
  for (int axis = 0; axis < 4; ++axis) i = i * own[axis] + at[axis] * own[axis] / lengths[axis];
  return i;
}
static double read(const char* at, int64_t i, int64_t type) {
  union {
    uint32_t bits;
    float value;
  } x;
  if (type == 0) return ((const float*)at)[i];
  if (type == 4) return ((const int32_t*)at)[i];
  if (type == 2) return (double)((const _Float16*)at)[i];
  x.bits = (uint32_t)((const uint16_t*)at)[i] << 16;
  return x.value;
}
static void write(char* at, int64_t i, int64_t type, double value) {
  union {
    float value;
    uint32_t bits;
  } x = {.value = (float)value};
  if (type == 0) ((float*)at)[i] = (float)value;
  if (type == 2) ((_Float16*)at)[i] = (_Float16)value;
  if (type == 9) ((uint16_t*)at)[i] = (uint16_t)((x.bits + 0x7fff + (x.bits >> 16 & 1)) >> 16);
}

// ---- operations

static double combine(int64_t mode, double x, double y, double chosen) {
  switch (mode) {
    case 0:
      return x + y;
    case 1:
      return x * y;
    case 6:
      return x / y;
    case 9:
      return x - y;
    case 13:
      return exp(x);
    case 303:
      return x >= y;
    case 601:
      return chosen != 0 ? x : y;
    default:
      wrong("no such arithmetic", (int)mode);
      return 0;
  }
}

static void compute(struct Descriptor* op) {
  const int first = op->kind == kPointwiseOp   ? 751
                    : op->kind == kProductOp   ? 1520
                    : op->kind == kReductionOp ? 1610
                                               : 2200;
  struct Descriptor* x = part(op, first, 0);
  struct Descriptor* out = part(op, op->kind == kPointwiseOp ? 753 : op->kind == kProductOp ? 1522 : first + 1, 0);
  const int64_t *lengths = integers(out, 902), *of_x = integers(x, 902), count = count_of(out);
  int64_t at[4];
  if (!x->values) wrong("an operand comes later", first);
  double* before = out->values;
  out->values = calloc((size_t)count, sizeof(double));
  free(before);
  if (op->kind == kPointwiseOp) {
    struct Descriptor *how = part(op, 750, 0), *y = find(op, 752) ? part(op, 752, 0) : NULL;
    struct Descriptor* chosen = find(op, 758) ? part(op, 758, 0) : NULL;
    const int64_t mode = integer(how, 0);
    for (int64_t i = 0; i < count; ++i) {
      split(i, lengths, at);
      out->values[i] = mode == 501
                           ? (double)at[integer(how, 9)]
                           : combine(mode, x->values[within(at, lengths, x)], y ? y->values[within(at, lengths, y)] : 0,
                                     chosen ? chosen->values[within(at, lengths, chosen)] : 0);
    }
  } else if (op->kind == kProductOp) {
    struct Descriptor* y = part(op, 1521, 0);
    const int64_t *of_y = integers(y, 902), inner = of_x[3];
    if (of_y[2] != inner || of_x[2] != lengths[2] || of_y[3] != lengths[3]) wrong("no such product", (int)inner);
    for (int64_t i = 0; i < count; ++i) {
      split(i, lengths, at);
      const int64_t a = (at[0] * of_x[1] + at[1] * of_x[1] / lengths[1]) * of_x[2] + at[2];
      const int64_t b = (at[0] * of_y[1] + at[1] * of_y[1] / lengths[1]) * of_y[2];
      for (int64_t j = 0; j < inner; ++j)
        out->values[i] += x->values[a * inner + j] * y->values[(b + j) * of_y[3] + at[3]];
    }
  } else if (op->kind == kReductionOp) {
    const int64_t largest = integer(part(op, 1612, 0), 1600) == 3;
    for (int64_t i = 0; largest && i < count; ++i) out->values[i] = -INFINITY;
    for (int64_t i = 0; i < count_of(x); ++i) {
      split(i, of_x, at);
      double* to = &out->values[within(at, of_x, out)];
      *to = largest ? fmax(*to, x->values[i]) : *to + x->values[i];
    }
  } else {
    // What lies at the same place.
    int64_t reach = 0;
    for (int axis = 0; axis < 4; ++axis) reach += (of_x[axis] - 1) * integers(x, 903)[axis];
    double* lying = calloc((size_t)reach + 1, sizeof(double));
    for (int64_t i = 0; i < count; ++i) split(i, of_x, at), lying[offset(at, x)] = x->values[i];
    for (int64_t i = 0; i < count; ++i) split(i, lengths, at), out->values[i] = lying[offset(at, out)];
    free(lying);
  }
}

int cudnnBackendFinalize(void* descriptor) {
  expect_unlocked(__func__);
  struct Descriptor* d = known(descriptor);
  if (d->finished) wrong("finished twice", d->kind);
  if (refused()) return kRefused;
  if (d->kind == kTensor)
    for (int axis = 0; axis < 4; ++axis)
      if (need(d, 902)->count != 4 || need(d, 903)->count != 4 || integers(d, 902)[axis] < 1 ||
          integers(d, 903)[axis] < 1)
        wrong("no such tensor", axis);
  if (d->kind == kGraph && *(void**)need(d, 800)->data != &handle) wrong("no handle", 0);
  if (d->kind == kHeuristics) part(d, 201, 0), need(d, 200);
  if (d->kind == kPlan && (part(d, 401, 0)->kind != kWay || *(void**)need(d, 400)->data != &handle))
    wrong("no plan", 0);
  d->finished = 1;
  return 0;
}

// ---- execution

static struct Descriptor* tensors[kMostParts];
static int tensor_count;

static void collect(struct Descriptor* op) {
  static const int numbers[] = {751, 752, 753, 758, 1520, 1521, 1522, 1610, 1611, 2200, 2201};
  for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); ++n) {
    if (!find(op, numbers[n])) continue;
    struct Descriptor* t = part(op, numbers[n], 0);
    int i = 0;
    while (i < tensor_count && tensors[i] != t) ++i;
    if (i == tensor_count) tensors[tensor_count++] = t;
  }
}
static int by_number(const void* a, const void* b) {
  const int64_t x = integer(*(struct Descriptor**)a, 906), y = integer(*(struct Descriptor**)b, 906);
  return (x > y) - (x < y);
}

static void* argument(struct Descriptor* pack, int64_t number) {
  for (int i = 0; i < need(pack, 1000)->count; ++i)
    if (integers(pack, 1000)[i] == number) return ((void**)need(pack, 1001)->data)[i];
  wrong("an argument is missing", (int)number);
  return NULL;
}

static void say(FILE* log, struct Descriptor* t) {
  const int64_t* n = integers(t, 902);
  fprintf(log, " %d:%dx%dx%dx%d/%d", (int)integer(t, 906), (int)n[0], (int)n[1], (int)n[2], (int)n[3],
          (int)integer(t, 901));
}

int cudnnBackendExecute(void* with, void* plan, void* arguments) {
  expect_unlocked(__func__);
  struct Descriptor *p = known(plan), *pack = known(arguments);
  if (with != &handle || !p->finished || !pack->finished || atomic_exchange(&busy, 1)) wrong("it cannot run", 0);
  if (refused()) return atomic_store(&busy, 0), kRefused;
  struct Descriptor* graph = known(part(p, 401, 0)->graph);
  const char* path = getenv("FAKE_DNN_LOG");
  FILE* log = fopen(path ? path : "/dev/null", "a");
  fprintf(log, "execute");
  tensor_count = 0;
  for (int i = 0; i < need(graph, 801)->count; ++i) collect(part(graph, 801, i));
  qsort(tensors, (size_t)tensor_count, sizeof(*tensors), by_number);
  int given = 0;
  int64_t at[4];
  for (int n = 0; n < tensor_count; ++n) {
    struct Descriptor* t = tensors[n];
    t->values = NULL;
    if (integer(t, 907)) continue;
    const char* from = argument(pack, integer(t, 906));
    if ((uintptr_t)from % (uintptr_t)integer(t, 900)) wrong("an argument lies in between", (int)integer(t, 906));
    ++given;
    say(log, t);
    t->values = calloc((size_t)count_of(t), sizeof(double));
    for (int64_t i = 0; i < count_of(t); ++i)
      split(i, integers(t, 902), at), t->values[i] = read(from, offset(at, t), integer(t, 901));
  }
  if (given != need(pack, 1000)->count) wrong("arguments of nothing", given);
  memset(*(void**)need(pack, 1003)->data, 1, kWorkspace);
  for (int i = 0; i < need(graph, 801)->count; ++i) compute(part(graph, 801, i));
  for (int n = 0; n < tensor_count; ++n) {
    struct Descriptor* t = tensors[n];
    if (!integer(t, 907) && !integer(t, 908)) {
      char* to = argument(pack, integer(t, 906));
      for (int64_t i = 0; i < count_of(t); ++i)
        split(i, integers(t, 902), at), write(to, offset(at, t), integer(t, 901), t->values[i]);
    }
    free(t->values);
  }
  fprintf(log, "\n");
  fclose(log);
  atomic_store(&busy, 0);
  return 0;
}
