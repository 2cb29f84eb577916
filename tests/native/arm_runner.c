/* Runs jobs of generated code for AArch64: reads them from a file, writes what the buffers hold afterwards to another.
 * A job is code, the numbers of a frame, and buffers with the place in each where a stream begins. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { kMostStreams = 32, kMostFolds = 3, kMostBlocks = 32, kBlock = 2048 };
struct frame {
  int64_t rows, cols, whole, tail_mask, tail_lanes[4], block, block_end, grouped, past_caches;
  void (*meet)(struct frame*, const void*, int64_t);
  char partial[kMostFolds][kMostBlocks * 8];
  char* stream[kMostStreams];
};

/* Sums of blocks, by a binary counter: of a stream each, of so many bytes. */
static int64_t folds[kMostFolds][2];
#define SUMS(name, type)                                          \
  static type name(const type* block, int64_t whole, int rest) {  \
    type level[56], r;                                            \
    for (int64_t b = 0; b < whole; ++b) {                         \
      int k = 0;                                                  \
      for (r = block[b]; b >> k & 1; ++k) r = level[k] + r;   \
      level[k] = r;                                               \
    }                                                             \
    r = rest ? block[whole] : 0;                                  \
    for (int k = 0; whole >> k; ++k)                              \
      if (whole >> k & 1) r = level[k] + r;                       \
    return r;                                                     \
  }
SUMS(sums_of_floats, float)
SUMS(sums_of_doubles, double)
static void meet(struct frame* frame, const void* unused, int64_t count) {
  const int64_t whole = frame->cols / kBlock, rest = frame->cols % kBlock;
  for (int64_t f = 0; f < count; ++f) {
    char* out = frame->stream[folds[f][0]];
    if (folds[f][1] == 4)
      *(float*)out = sums_of_floats((const float*)frame->partial[f], whole, rest != 0);
    else
      *(double*)out = sums_of_doubles((const double*)frame->partial[f], whole, rest != 0);
  }
  memset(frame->partial, 0xa5, sizeof(frame->partial));
  (void)unused;
}

/* Calls a function with patterns in all registers that it has to leave as they are; how many it has changed. */
int64_t call_checked(void (*function)(struct frame*), struct frame* frame);
__asm__(
    ".text\n.global call_checked\ncall_checked:\n"
    "stp x29, x30, [sp, #-176]!\n"
    "stp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\nstp x25, x26, [sp, #64]\n"
    "stp x27, x28, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\n"
    "stp d14, d15, [sp, #144]\n"
    "mov x29, sp\n"
    "mov x9, x0\nmov x0, x1\n"
    ".irp r,19,20,21,22,23,24,25,26,27,28\nmov x\\r, #(1000 + \\r)\n.endr\n"
    ".irp r,8,9,10,11,12,13,14,15\nmov x10, #(2000 + \\r)\nfmov d\\r, x10\n.endr\n"
    "blr x9\n"
    "mov x0, #0\n"
    ".irp r,19,20,21,22,23,24,25,26,27,28\nmov x10, #(1000 + \\r)\ncmp x\\r, x10\ncinc x0, x0, ne\n.endr\n"
    ".irp r,8,9,10,11,12,13,14,15\nmov x10, #(2000 + \\r)\nfmov x11, d\\r\ncmp x11, x10\ncinc x0, x0, ne\n.endr\n"
    "mov x10, sp\ncmp x10, x29\ncinc x0, x0, ne\n"
    "ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\nldp x25, x26, [sp, #64]\n"
    "ldp x27, x28, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\n"
    "ldp d14, d15, [sp, #144]\n"
    "ldp x29, x30, [sp], #176\nret\n");

static void get(void* to, size_t size, FILE* in) {
  if (fread(to, 1, size, in) != size) exit(2);
}

int main(int count, char** names) {
  if (count != 3) return 1;
  FILE *in = fopen(names[1], "rb"), *out = fopen(names[2], "wb");
  if (!in || !out) return 1;
  const size_t room = 1 << 20;
  char* code = mmap(0, room, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  int64_t jobs;
  get(&jobs, 8, in);
  while (jobs-- > 0) {
    int64_t head[6], shape[kMostStreams][2]; /* bytes of code, rows, cols, whole, folds, streams */
    get(head, sizeof(head), in);
    if (head[0] > (int64_t)room || head[4] > kMostFolds || head[5] > kMostStreams) return 2;
    get(folds, 16 * head[4], in);
    get(shape, 16 * head[5], in);
    get(code, head[0], in);
    __builtin___clear_cache(code, code + head[0]);
    struct frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.rows = head[1], frame.cols = head[2], frame.whole = head[3], frame.meet = meet;
    char* buffers[kMostStreams];
    for (int64_t s = 0; s < head[5]; ++s) {
      buffers[s] = malloc(shape[s][0]);
      get(buffers[s], shape[s][0], in);
      frame.stream[s] = buffers[s] + shape[s][1];
    }
    int64_t changed = call_checked((void (*)(struct frame*))code, &frame);
    fwrite(&changed, 8, 1, out);
    for (int64_t s = 0; s < head[5]; ++s) {
      fwrite(buffers[s], 1, shape[s][0], out);
      free(buffers[s]);
    }
  }
  return fclose(out) != 0;
}
