// A driver of NVIDIA that has no GPU: memory is the host's, copies are copies, kernels do nothing. For tests of what
// stands above it. FAKE_CUDA_BYTES is the memory it has; FAKE_CUDA_FAIL=n makes everything after n launches fail.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_unlocked.h"

typedef uint64_t Address;

enum { kSuccess = 0, kOutOfMemory = 2, kIllegalAddress = 700 };

static size_t room, used;
static long launches, fail_after = -1;

struct Block {
  Address address;
  size_t bytes;
  struct Block* next;
};
static struct Block* blocks;

static int state(void) { return fail_after >= 0 && launches > fail_after ? kIllegalAddress : kSuccess; }

// Whether so many bytes from here on belong to one block.
static int inside(Address address, size_t bytes) {
  for (struct Block* b = blocks; b; b = b->next)
    if (address >= b->address && address + bytes <= b->address + b->bytes) return 1;
  fprintf(stderr, "fake driver: %zu bytes at %llx are nobody's\n", bytes, (unsigned long long)address);
  abort();
}

static int allocate(Address* address, size_t bytes) {
  if (state()) return state();
  if (bytes == 0 || used + bytes > room) return kOutOfMemory;
  struct Block* b = malloc(sizeof(*b));
  void* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) return kOutOfMemory;
  memset(memory, 0, bytes);
  b->address = (Address)(uintptr_t)memory;
  b->bytes = bytes;
  b->next = blocks;
  blocks = b;
  used += bytes;
  *address = b->address;
  return kSuccess;
}

static int release(Address address) {
  for (struct Block** at = &blocks; *at; at = &(*at)->next) {
    struct Block* b = *at;
    if (b->address != address) continue;
    *at = b->next;
    used -= b->bytes;
    free((void*)(uintptr_t)b->address);
    free(b);
    return kSuccess;
  }
  abort();
}

// A process that ends takes its driver with it.
static int ended;
static void end(void) { ended = 1; }

int cuInit(unsigned flags) {
  expect_unlocked(__func__);
  atexit(end);
  const char* bytes = getenv("FAKE_CUDA_BYTES");
  const char* fail = getenv("FAKE_CUDA_FAIL");
  room = bytes ? strtoull(bytes, NULL, 10) : (size_t)1 << 30;
  if (fail) fail_after = atol(fail);
  return flags ? 1 : kSuccess;
}
int cuDriverGetVersion(int* version) {
  expect_unlocked(__func__);
  const char* set = getenv("FAKE_CUDA_VERSION");
  *version = set ? atoi(set) : 13000;
  return kSuccess;
}
int cuGetErrorName(int status, const char** name) {
  *name = status == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_ILLEGAL_ADDRESS";
  return kSuccess;
}
int cuGetErrorString(int status, const char** text) {
  *text = status == kOutOfMemory ? "out of memory" : "an illegal memory access was encountered";
  return kSuccess;
}
int cuDeviceGetCount(int* count) {
  expect_unlocked(__func__);
  const char* set = getenv("FAKE_CUDA_COUNT");
  *count = set ? atoi(set) : 1;
  return kSuccess;
}
int cuDeviceGet(int* device, int ordinal) {
  expect_unlocked(__func__);
  *device = ordinal;
  return kSuccess;
}
int cuDeviceGetName(char* name, int size, int device) {
  expect_unlocked(__func__);
  snprintf(name, (size_t)size, "Fake GPU %d", device);
  return kSuccess;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  expect_unlocked(__func__);
  (void)device;
  *bytes = room;
  return kSuccess;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  expect_unlocked(__func__);
  (void)device;
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : attribute == 115;
  return kSuccess;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
  expect_unlocked(__func__);
  *context = (void*)(uintptr_t)(device + 1);
  return kSuccess;
}
static _Thread_local void* current;
int cuCtxGetCurrent(void** context) {
  expect_unlocked(__func__);
  *context = current;
  return kSuccess;
}
int cuCtxSetCurrent(void* context) {
  expect_unlocked(__func__);
  current = context;
  return kSuccess;
}
int cuDeviceGetDefaultMemPool(void** pool, int device) {
  expect_unlocked(__func__);
  *pool = (void*)(uintptr_t)(device + 1);
  return kSuccess;
}
int cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
  expect_unlocked(__func__);
  (void)pool, (void)attribute, (void)value;
  return kSuccess;
}
int cuMemPoolTrimTo(void* pool, size_t keep) {
  expect_unlocked(__func__);
  (void)pool, (void)keep;
  return kSuccess;
}
static int gone(void) {
  if (ended) {
    fprintf(stderr, "fake driver: called after its end\n");
    abort();
  }
  return state();
}
// What needs a context has one.
static int here(void) {
  if (!current) abort();
  return gone();
}
int cuMemAllocAsync(Address* address, size_t bytes, void* stream) {
  expect_unlocked(__func__);
  return (void)stream, here(), allocate(address, bytes);
}
int cuMemFreeAsync(Address address, void* stream) {
  expect_unlocked(__func__);
  return (void)stream, here(), release(address);
}
int cuMemAlloc_v2(Address* address, size_t bytes) {
  expect_unlocked(__func__);
  return here(), allocate(address, bytes);
}
int cuMemFree_v2(Address address) {
  expect_unlocked(__func__);
  return here(), release(address);
}
int cuMemHostAlloc(void** memory, size_t bytes, unsigned flags) {
  expect_unlocked(__func__);
  (void)flags;
  *memory = malloc(bytes);
  return here();
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream) {
  expect_unlocked(__func__);
  (void)stream;
  if (here()) return state();
  if (inside(to, bytes)) memcpy((void*)(uintptr_t)to, from, bytes);
  return kSuccess;
}
int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream) {
  expect_unlocked(__func__);
  (void)stream;
  if (here()) return state();
  if (inside(from, bytes)) memcpy(to, (void*)(uintptr_t)from, bytes);
  return kSuccess;
}
// A graph is a list of launches, each with its function and where its first parameter points.
struct Node {
  void* function;
  Address first;
};
struct Graph {
  struct Node* nodes;
  void* handles[4096];
  size_t count;
};
struct Stream {
  struct Graph* capture;
};
int cuStreamCreate(void** stream, unsigned flags) {
  expect_unlocked(__func__);
  (void)flags;
  *stream = calloc(1, sizeof(struct Stream));
  return here();
}
static void log_launch(void* function, Address first) {
  static FILE* file;
  const char* path = getenv("FAKE_CUDA_LOG");
  if (!file && path) file = fopen(path, "w");
  if (!file) return;
  const char* name = strstr(function, "__launch_bounds__");
  fprintf(file, "%.40s %d\n", name ? name : "?", first != 0);
  fflush(file);
}
static int captured(struct Stream* stream, void* function, Address first) {
  struct Graph* g = stream->capture;
  if (!g || g->count == 4096) return 0;
  g->nodes[g->count] = (struct Node){function, first};
  g->handles[g->count] = &g->nodes[g->count];
  ++g->count;
  return 1;
}
int cuStreamBeginCapture_v2(struct Stream* stream, int mode) {
  expect_unlocked(__func__);
  (void)mode;
  stream->capture = calloc(1, sizeof(struct Graph));
  stream->capture->nodes = calloc(4096, sizeof(struct Node));
  return here();
}
int cuStreamEndCapture(struct Stream* stream, struct Graph** graph) {
  expect_unlocked(__func__);
  *graph = stream->capture;
  stream->capture = NULL;
  return here();
}
int cuStreamGetCaptureInfo_v2(struct Stream* stream, int* state, uint64_t* id, void** graph, void* const** last,
                              size_t* count) {
  expect_unlocked(__func__);
  struct Graph* g = stream->capture;
  *state = g ? 1 : 0, *id = 1, *graph = g;
  *count = g && g->count ? 1 : 0;
  if (*count) *last = &g->handles[g->count - 1];
  return here();
}
int cuGraphInstantiateWithFlags(struct Graph** exec, struct Graph* graph, unsigned long long flags) {
  expect_unlocked(__func__);
  (void)flags;
  *exec = graph;
  return here();
}
int cuGraphDestroy(struct Graph* graph) {
  expect_unlocked(__func__);
  free(graph->nodes);
  free(graph);
  return gone();
}
int cuGraphExecDestroy(struct Graph* exec) {
  expect_unlocked(__func__);
  return (void)exec, gone();
}
int cuGraphExecKernelNodeSetParams_v2(struct Graph* exec, struct Node* node, void** parameters) {
  expect_unlocked(__func__);
  (void)exec;
  // The parameters stand behind the function and 7 numbers.
  node->first = **(Address**)parameters[5];
  return here();
}
int cuStreamSynchronize(void* stream) {
  expect_unlocked(__func__);
  return (void)stream, here();
}
int cuStreamWaitEvent(void* stream, void* event, unsigned flags) {
  expect_unlocked(__func__);
  return (void)stream, (void)event, (void)flags, here();
}
int cuEventCreate(void** event, unsigned flags) {
  expect_unlocked(__func__);
  (void)flags;
  *event = malloc(1);
  return here();
}
int cuEventDestroy_v2(void* event) {
  expect_unlocked(__func__);
  free(event);
  return gone();
}
int cuEventRecord(void* event, void* stream) {
  expect_unlocked(__func__);
  return (void)event, (void)stream, here();
}
int cuEventSynchronize(void* event) {
  expect_unlocked(__func__);
  return (void)event, here();
}
int cuEventElapsedTime(float* milliseconds, void* from, void* to) {
  expect_unlocked(__func__);
  (void)from, (void)to;
  *milliseconds = 0.25f;
  return here();
}
int cuModuleLoadData(void** module, const void* image) {
  expect_unlocked(__func__);
  *module = (void*)image;
  return here();
}
int cuModuleUnload(void* module) {
  expect_unlocked(__func__);
  return (void)module, gone();
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  expect_unlocked(__func__);
  (void)name;
  *function = module;
  return here();
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned tx, unsigned ty, unsigned tz,
                   unsigned shared, void* stream, void** parameters, void** extra) {
  expect_unlocked(__func__);
  (void)extra;
  if (!function || !parameters || gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || shared > 49152 ||
      tx * ty * tz == 0 || tx * ty * tz > 1024)
    return 1;
  if (captured(stream, function, *(Address*)parameters[0])) return here();
  ++launches;
  log_launch(function, *(Address*)parameters[0]);
  return here() == kIllegalAddress && launches == fail_after + 1 ? kSuccess : state();  // it shows later
}
int cuGraphLaunch(struct Graph* exec, void* stream) {
  expect_unlocked(__func__);
  (void)stream;
  if (getenv("FAKE_CUDA_LOG")) fprintf(stderr, "graph of %zu\n", exec->count);
  for (size_t i = 0; i < exec->count; ++i) log_launch(exec->nodes[i].function, exec->nodes[i].first);
  launches += (long)exec->count;
  return here();
}
