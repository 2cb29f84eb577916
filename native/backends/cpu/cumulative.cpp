#include "ops/cumulative.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "base/inline.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

// 16-bit floats accumulate in float32.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>, float, T>;

template <CumulativeOp op, class A>
A combine(A a, A b) {
  if constexpr (std::is_same_v<A, bool>) {
    return op == CumulativeOp::sum || op == CumulativeOp::max ? a || b : a && b;
  } else if constexpr (std::is_integral_v<A> && op == CumulativeOp::sum) {
    return A(uint64_t(a) + uint64_t(b));  // wraps
  } else if constexpr (std::is_integral_v<A> && op == CumulativeOp::prod) {
    return A(uint64_t(a) * uint64_t(b));
  } else if constexpr (op == CumulativeOp::sum) {
    return A(a + b);
  } else if constexpr (op == CumulativeOp::prod) {
    return A(a * b);
  } else if constexpr (std::is_same_v<A, complex64_t>) {
    return a;
  } else if constexpr (op == CumulativeOp::max) {
    return a != a || b <= a ? a : b;  // NaN stays
  } else if constexpr (op == CumulativeOp::min) {
    return a != a || b >= a ? a : b;
  } else if constexpr (std::is_floating_point_v<A>) {
    A high = a > b ? a : b, low = a > b ? b : a;
    if (std::isinf(high) && high == low) return high;
    return a != a || b != b ? a + b : high + std::log1p(std::exp(low - high));
  } else {
    return a;
  }
}

struct Course {
  int64_t step;   // from one element of a line to the next in the order of accumulation
  int64_t first;  // from the start of a line to where accumulation begins
};
Course course(const Lines& lines, bool reverse) {
  return reverse ? Course{-lines.step(), (lines.length() - 1) * lines.step()} : Course{lines.step(), 0};
}

constexpr int64_t kTogether = 1024;  // neighbouring lines advanced in step: as much of a row at once
constexpr int64_t kLeastTogether = 64;
constexpr int64_t kAbreast = 4;  // lines apart from each other: what waits for the element before takes turns
constexpr int64_t kGrain = 16384;

// Of lines side by side, the next element of each.
template <class T, class Next>
void advance(const T* FUNCNN_RESTRICT before, const T* FUNCNN_RESTRICT a, const T* FUNCNN_RESTRICT b,
             T* FUNCNN_RESTRICT o, int64_t count, Next next) {
  for (int64_t k = 0; k < count; ++k) o[k] = next(before[k], a[k], b[k]);
}
// The same where what is accumulated has another type.
template <class T, class A, class Next>
void advance(A* FUNCNN_RESTRICT held, const T* FUNCNN_RESTRICT a, const T* FUNCNN_RESTRICT b, T* FUNCNN_RESTRICT o,
             int64_t count, Next next) {
  for (int64_t k = 0; k < count; ++k) {
    held[k] = next(held[k], A(a[k]), A(b[k]));
    o[k] = T(held[k]);
  }
}

// Each element of `out` from its predecessor and the elements of the inputs at the same place.
template <class T, class Start, class Next>
std::unique_ptr<Kernel> scan(std::vector<Lines> in, Lines out, bool reverse, Start start, Next next) {
  using A = Accumulator<T>;
  // Lines that lie side by side in all operands advance together, a group at a time.
  int64_t run = out.side_by_side();
  for (const Lines& lines : in) run = std::min(run, lines.side_by_side());
  return make_kernel([=](std::span<std::byte* const> at) {
    int64_t n = out.length();
    if (n == 0) return;
    // A few groups for each thread.
    int64_t wanted = out.count() / (2 * thread_count());
    int64_t together = thread_count() == 1 ? kTogether : std::clamp(wanted / 16 * 16, kLeastTogether, kTogether);
    int64_t groups = (run + together - 1) / together;
    const T* x[2] = {reinterpret_cast<const T*>(at[0]), reinterpret_cast<const T*>(at[in.size() - 1])};
    T* y = reinterpret_cast<T*>(at.back());
    Course to = course(out, reverse), from[2] = {course(in[0], reverse), course(in.back(), reverse)};
    // Lines that do not lie side by side, the first of them `line`.
    auto abreast = [&](auto lines, int64_t line) {
      constexpr int64_t count = decltype(lines)::value;
      const T *a[count], *b[count];
      T* o[count];
      A held[count];
      for (int64_t k = 0; k < count; ++k) {
        a[k] = x[0] + in[0].start(line + k) + from[0].first;
        b[k] = x[1] + in.back().start(line + k) + from[1].first;
        o[k] = y + out.start(line + k) + to.first;
        *o[k] = T(held[k] = start(A(*a[k]), A(*b[k])));
      }
      for (int64_t i = 1; i < n; ++i)
        for (int64_t k = 0; k < count; ++k) {
          held[k] = next(held[k], A(a[k][i * from[0].step]), A(b[k][i * from[1].step]));
          o[k][i * to.step] = T(held[k]);
        }
    };
    parallel_for(out.count() / run * groups, std::max<int64_t>(1, kGrain / (n * std::min(run, together))),
                 [&](int64_t begin, int64_t end) {
                   A held[kTogether];
                   for (int64_t g = begin; g < end; ++g) {
                     if (run == 1) {
                       if (g + kAbreast <= end) {
                         abreast(std::integral_constant<int64_t, kAbreast>(), g);
                         g += kAbreast - 1;
                       } else {
                         abreast(std::integral_constant<int64_t, 1>(), g);
                       }
                       continue;
                     }
                     int64_t column = g % groups * together, line = g / groups * run + column;
                     int64_t group = std::min(together, run - column);
                     const T* a = x[0] + in[0].start(line) + from[0].first;
                     const T* b = x[1] + in.back().start(line) + from[1].first;
                     T* o = y + out.start(line) + to.first;
                     for (int64_t k = 0; k < group; ++k) {
                       held[k] = start(A(a[k]), A(b[k]));
                       o[k] = T(held[k]);
                     }
                     for (int64_t i = 1; i < n; ++i) {
                       const T* before = o;
                       a += from[0].step;
                       b += from[1].step;
                       o += to.step;
                       if constexpr (std::is_same_v<A, T>)
                         advance(before, a, b, o, group, next);
                       else
                         advance(held, a, b, o, group, next);
                     }
                   }
                 });
  });
}

template <CumulativeOp op>
std::unique_ptr<Kernel> make_op(const Cumulative& primitive, const Layout& in, const Layout& out) {
  return visit_dtype(in.dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using A = Accumulator<T>;
    return scan<T>(
        {Lines(in, primitive.axis())}, Lines(out, primitive.axis()), primitive.reverse(), [](A a, A) { return a; },
        [](A total, A a, A) { return combine<op, A>(total, a); });
  });
}

std::unique_ptr<Kernel> make_cumulative(const Primitive& primitive, std::span<const Layout> inputs,
                                        std::span<const Layout> outputs, const KernelProgram*) {
  const Cumulative& op = static_cast<const Cumulative&>(primitive);
  switch (op.op()) {
    case CumulativeOp::sum:
      return make_op<CumulativeOp::sum>(op, inputs[0], outputs[0]);
    case CumulativeOp::prod:
      return make_op<CumulativeOp::prod>(op, inputs[0], outputs[0]);
    case CumulativeOp::max:
      return make_op<CumulativeOp::max>(op, inputs[0], outputs[0]);
    case CumulativeOp::min:
      return make_op<CumulativeOp::min>(op, inputs[0], outputs[0]);
    case CumulativeOp::logaddexp:
      break;
  }
  return make_op<CumulativeOp::logaddexp>(op, inputs[0], outputs[0]);
}

std::unique_ptr<Kernel> make_recurrence(const Primitive& primitive, std::span<const Layout> inputs,
                                        std::span<const Layout> outputs, const KernelProgram*) {
  const LinearRecurrence& op = static_cast<const LinearRecurrence&>(primitive);
  return visit_dtype(outputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    using A = Accumulator<T>;
    return scan<T>(
        {Lines(inputs[0], op.axis()), Lines(inputs[1], op.axis())}, Lines(outputs[0], op.axis()), op.reverse(),
        [](A, A x) { return x; },
        [](A total, A a, A x) {
          if constexpr (std::is_same_v<A, bool>)
            return (total && a) || x;
          else
            return a == A(0) ? x : A(a * total + x);
        });
  });
}

const RegisterKernel sum_registered("cumsum", make_cumulative);
const RegisterKernel prod_registered("cumprod", make_cumulative);
const RegisterKernel max_registered("cummax", make_cumulative);
const RegisterKernel min_registered("cummin", make_cumulative);
const RegisterKernel logaddexp_registered("logcumsumexp", make_cumulative);
const RegisterKernel recurrence_registered("linear_recurrence", make_recurrence);

}  // namespace
}  // namespace funcnn::cpu
