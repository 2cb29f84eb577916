// What a GPU reaches: large copies, and chains of fused products and sums in registers.
#include "backends/gpu/ceilings.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/least_seconds.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kLeast = 1 << 14, kMost = 1 << 26;  // elements; devices in software are slow
constexpr double kLongEnough = 4e-3;                  // seconds, beside which a launch is nothing
constexpr int kTurns = 5;

// The least seconds of a run of the kernel, out of some.
double seconds_of(Backend& backend, Kernel& kernel, std::span<const Operand> operands) {
  auto settle = [&] {
    if (Ref<Event> ready = backend.queue().record()) ready->wait();
  };
  settle();
  return least_seconds(kTurns, [&] {
    kernel.encode(backend.queue(), operands);
    settle();
  });
}

// `work(elements)` in a second, of more elements until a run takes long enough or there is no memory for more:
// make(elements) is the kernel.
template <class Make, class Work>
double rate(Backend& backend, Make&& make, Work&& work) {
  double reached = 0;
  for (int64_t elements = kLeast; elements <= kMost; elements *= 4) {
    Ref<Buffer> from, to;
    try {
      from = Buffer::allocate(backend.memory(), size_t(elements) * 4);
      to = Buffer::allocate(backend.memory(), size_t(elements) * 4);
    } catch (const OutOfMemoryError&) {
      break;
    }
    const Operand operands[] = {{from.get()}, {to.get()}};
    std::unique_ptr<Kernel> kernel = make(elements);
    double seconds = seconds_of(backend, *kernel, operands);
    reached = work(elements) / seconds;
    if (seconds > kLongEnough) break;
  }
  return reached;
}

constexpr int kChains = 4, kLength = 64;

// Every element starts chains of x -> x * a + a, and stores their sum.
KernelProgram chains(int64_t elements) {
  KernelProgram program;
  program.cols = elements;
  program.operand_count = 2;
  for (int operand : {0, 1}) program.accesses.push_back({operand, Dtype::float32, 0, {elements}, {1}});
  auto add = [&](InstructionKind kind, Opcode op, int a, int b, int c, int access) {
    Instruction i;
    i.kind = kind;
    i.op = op;
    i.args[0] = a;
    i.args[1] = b;
    i.args[2] = c;
    i.access = access;
    program.code.push_back(i);
    return int(program.code.size()) - 1;
  };
  const int a = add(InstructionKind::load, Opcode::copy, -1, -1, -1, 0);
  int ends[kChains];
  ends[0] = a;
  for (int n = 1; n < kChains; ++n) ends[n] = add(InstructionKind::compute, Opcode::add, ends[n - 1], a, -1, -1);
  for (int step = 0; step < kLength; ++step)
    for (int& end : ends) end = add(InstructionKind::compute, Opcode::fma, end, a, a, -1);
  int sum = ends[0];
  for (int n = 1; n < kChains; ++n) sum = add(InstructionKind::compute, Opcode::add, sum, ends[n], -1, -1);
  add(InstructionKind::store, Opcode::copy, sum, -1, -1, 1);
  return program;
}

}  // namespace

Effort measure_ceilings(Backend& backend) {
  double bytes = rate(
      backend,
      [&](int64_t n) {
        const Layout dense{{n}, Dtype::float32, {1}};
        return backend.make_copy(dense, dense);
      },
      [](int64_t n) { return 8.0 * double(n); });
  double flops = rate(
      backend, [&](int64_t n) { return backend.make_fused(chains(n)); },
      [](int64_t n) { return 2.0 * kChains * kLength * double(n); });
  return {bytes, flops};
}

}  // namespace funcnn::gpu
