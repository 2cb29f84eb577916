#include "ops/argreduce.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "backends/cpu/argreduce.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(ArgReduceTable, arg_reduce_table);

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

// Element by element, `step` apart.
template <bool largest, class T>
uint32_t best_by_turns(const T* x, int64_t n, int64_t step) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i)
    if (takes_over<largest>(x[i * step], x[best * step])) best = i;
  return uint32_t(best);
}

// Elements of a long line that are worth a thread.
constexpr int64_t kPart = 1 << 16;

// What the tables have for the elements of an operand, and for those in whose order these are looked for.
struct Loops {
  HalfKeysFn keys;
  simd::RowReduceFn reduce;
  FindFn find;
  ArgReduceAcrossFn across;

  Loops(bool largest, Dtype dtype) {
    const ArgReduceTable& table = FUNCNN_OF_ACTIVE_SET(arg_reduce_table);
    const Dtype order = is_half(dtype) ? Dtype::int16 : dtype;
    keys = table.keys[largest][int(dtype)];
    reduce = active_table().reduce_row[int(largest ? ReduceOp::max : ReduceOp::min)][int(order)];
    find = table.find[int(order)];
    across = table.across[largest][int(dtype)];
  }
};

// The best value of each block, then the place of it in the first block that has the best.
template <bool largest, class T>
uint32_t first_best(const T* x, int64_t n, const Loops& loops) {
  using Key = std::conditional_t<sizeof(T) == 2 && !std::is_integral_v<T>, int16_t, T>;
  constexpr int64_t kBlock = 1024;
  if (!loops.find || n < 16) return best_by_turns<largest>(x, n, 1);
  [[maybe_unused]] Key room[kBlock];
  [[maybe_unused]] int64_t held = -1;  // where the block of `room` begins
  Key best{};
  auto block_at = [&](int64_t i) -> const Key* {
    if constexpr (std::is_same_v<Key, T>) {
      return x + i;
    } else {
      if (held != i) loops.keys(room, x + i, std::min(kBlock, n - i));
      held = i;
      return room;
    }
  };
  int64_t begin = 0;
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = std::min(kBlock, n - i);
    Key value;
    loops.reduce(&value, block_at(i), 1, count, count);
    if (i > 0 && !takes_over<largest>(value, best)) continue;
    best = value;
    begin = i;
  }
  return uint32_t(begin + loops.find(block_at(begin), std::min(kBlock, n - begin), &best));
}

// The parts of a few long lines at once: the first part that has the best of a line has its place.
template <bool largest, class T>
void arg_reduce_parts(const T* x, uint32_t* out, const Lines& lines, const Loops& loops) {
  const int64_t n = lines.length(), parts = (n + kPart - 1) / kPart;
  std::vector<uint32_t> places(size_t(lines.count() * parts));
  parallel_for(lines.count() * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = i % parts * kPart;
      const T* part = x + lines.start(i / parts) + from;
      places[size_t(i)] = uint32_t(from) + first_best<largest>(part, std::min(kPart, n - from), loops);
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
void arg_reduce(const T* x, uint32_t* out, const Lines& lines, const Loops& loops) {
  int64_t n = lines.length(), step = lines.step(), run = lines.side_by_side();
  if (step == 1 && n >= 2 * kPart && lines.count() < 2 * thread_count())
    return arg_reduce_parts<largest>(x, out, lines, loops);
  if (step == 1 || run == 1 || !loops.across) {
    parallel_for(lines.count(), std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end) {
      for (int64_t l = begin; l < end; ++l) {
        const T* line = x + lines.start(l);
        out[l] = step == 1 ? first_best<largest>(line, n, loops) : best_by_turns<largest>(line, n, step);
      }
    });
    return;
  }
  // Lines that lie side by side advance together.
  const int64_t together = std::clamp<int64_t>(run / (2 * thread_count()) / 64 * 64, 64, 512);
  const int64_t groups = (run + together - 1) / together;
  parallel_for(lines.count() / run * groups, std::max<int64_t>(1, 16384 / (n * std::min(run, together))),
               [&](int64_t begin, int64_t end) {
                 for (int64_t g = begin; g < end; ++g) {
                   const int64_t column = g % groups * together, line = g / groups * run + column;
                   loops.across(out + line, x + lines.start(line), n, std::min(together, run - column), step);
                 }
               });
}

std::unique_ptr<Kernel> make_arg_reduce(const Primitive& primitive, std::span<const Layout> inputs,
                                        std::span<const Layout>, const KernelProgram*) {
  const ArgReduce& op = static_cast<const ArgReduce&>(primitive);
  return visit_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([largest = op.largest(), lines = Lines(inputs[0], op.axis()),
                        loops = Loops(op.largest(), inputs[0].dtype)](std::span<std::byte* const> at) {
      const T* x = reinterpret_cast<const T*>(at[0]);
      uint32_t* out = reinterpret_cast<uint32_t*>(at[1]);
      if (largest)
        arg_reduce<true>(x, out, lines, loops);
      else
        arg_reduce<false>(x, out, lines, loops);
    });
  });
}

const RegisterKernel argmax_registered("argmax", make_arg_reduce);
const RegisterKernel argmin_registered("argmin", make_arg_reduce);

}  // namespace
}  // namespace funcnn::cpu
