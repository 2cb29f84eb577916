#include "ops/argreduce.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// Whether a later element takes over from the best so far. The first NaN is never replaced.
template <bool largest, class T>
bool takes_over(const T& value, const T& best) {
  if constexpr (std::is_same_v<T, complex64_t>) {
    auto nan = [](const T& z) { return z != z; };
    if (nan(best)) return false;
    if (nan(value)) return true;
    bool less = value.real() != best.real() ? value.real() < best.real() : value.imag() < best.imag();
    bool greater = value.real() != best.real() ? value.real() > best.real() : value.imag() > best.imag();
    return largest ? greater : less;
  } else {
    bool better = largest ? value > best : value < best;
    return better || (value != value && best == best);
  }
}

// Elements of a long line that are worth a thread.
constexpr int64_t kPart = 1 << 16;

// The best value of each block by the tables, then the place of it in the first block that has the best.
template <bool largest, class T>
uint32_t first_best(const T* x, int64_t n, simd::RowReduceFn reduce) {
  constexpr int64_t kBlock = 1024;
  int64_t begin = 0, end = n;
  if (reduce && n >= 32) {
    T best = x[0];
    for (int64_t i = 0; i < n; i += kBlock) {
      int64_t count = std::min(kBlock, n - i);
      T value;
      reduce(&value, x + i, 1, count, count);
      if (i == 0 || takes_over<largest>(value, best)) {
        best = value;
        begin = i;
        end = i + count;
      }
    }
    for (int64_t i = begin; i < end; ++i)
      if (x[i] == best || (best != best && x[i] != x[i])) return uint32_t(i);
  }
  int64_t best = begin;
  for (int64_t i = begin + 1; i < end; ++i)
    if (takes_over<largest>(x[i], x[best])) best = i;
  return uint32_t(best);
}

// The parts of a few long lines at once: the first part that has the best of a line has its place.
template <bool largest, class T>
void arg_reduce_parts(const T* x, uint32_t* out, const Lines& lines, simd::RowReduceFn reduce) {
  const int64_t n = lines.length(), parts = (n + kPart - 1) / kPart;
  std::vector<uint32_t> places(size_t(lines.count() * parts));
  parallel_for(lines.count() * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = i % parts * kPart;
      const T* part = x + lines.start(i / parts) + from;
      places[size_t(i)] = uint32_t(from) + first_best<largest>(part, std::min(kPart, n - from), reduce);
    }
  });
  for (int64_t l = 0; l < lines.count(); ++l) {
    const T* line = x + lines.start(l);
    const uint32_t* place = places.data() + l * parts;
    out[l] = place[0];
    for (int64_t i = 1; i < parts; ++i)
      if (takes_over<largest>(line[place[i]], line[out[l]])) out[l] = place[i];
  }
}

template <bool largest, class T>
void arg_reduce(const T* x, uint32_t* out, const Lines& lines, simd::RowReduceFn reduce) {
  int64_t n = lines.length(), step = lines.step();
  if (step == 1 && n >= 2 * kPart && lines.count() < 2 * thread_count())
    return arg_reduce_parts<largest>(x, out, lines, reduce);
  if (step == 1 || lines.side_by_side() == 1) {
    parallel_for(lines.count(), std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end) {
      for (int64_t l = begin; l < end; ++l) {
        const T* line = x + lines.start(l);
        if (step == 1) {
          out[l] = first_best<largest>(line, n, reduce);
          continue;
        }
        int64_t best = 0;
        for (int64_t i = 1; i < n; ++i)
          if (takes_over<largest>(line[i * step], line[best * step])) best = i;
        out[l] = uint32_t(best);
      }
    });
    return;
  }
  // Lines that lie side by side advance together.
  constexpr int64_t kTogether = 64;
  int64_t run = lines.side_by_side(), groups = (run + kTogether - 1) / kTogether;
  parallel_for(lines.count() / run * groups, std::max<int64_t>(1, 16384 / (n * std::min(run, kTogether))),
               [&](int64_t begin, int64_t end) {
                 for (int64_t g = begin; g < end; ++g) {
                   int64_t column = g % groups * kTogether, line = g / groups * run + column;
                   int64_t count = std::min(kTogether, run - column);
                   const T* at = x + lines.start(line);
                   T best[kTogether];
                   std::copy_n(at, count, best);
                   std::fill_n(out + line, count, 0u);
                   for (int64_t i = 1; i < n; ++i) {
                     at += step;
                     for (int64_t k = 0; k < count; ++k) {
                       bool better = takes_over<largest>(at[k], best[k]);
                       best[k] = better ? at[k] : best[k];
                       out[line + k] = better ? uint32_t(i) : out[line + k];
                     }
                   }
                 }
               });
}

std::unique_ptr<Kernel> make_arg_reduce(const Primitive& primitive, std::span<const Layout> inputs,
                                        std::span<const Layout>, const KernelProgram*) {
  const ArgReduce& op = static_cast<const ArgReduce&>(primitive);
  return visit_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    auto reduce = active_table().reduce_row[int(op.largest() ? ReduceOp::max : ReduceOp::min)][int(inputs[0].dtype)];
    return make_kernel(
        [largest = op.largest(), lines = Lines(inputs[0], op.axis()), reduce](std::span<std::byte* const> at) {
          const T* x = reinterpret_cast<const T*>(at[0]);
          uint32_t* out = reinterpret_cast<uint32_t*>(at[1]);
          if (largest)
            arg_reduce<true>(x, out, lines, reduce);
          else
            arg_reduce<false>(x, out, lines, reduce);
        });
  });
}

const RegisterKernel argmax_registered("argmax", make_arg_reduce);
const RegisterKernel argmin_registered("argmin", make_arg_reduce);

}  // namespace
}  // namespace funcnn::cpu
