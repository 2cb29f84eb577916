#include "ops/cumulative.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "backends/cpu/instruction_set.h"
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
constexpr int64_t kFew = 4096;  // of more numbers float32 has too few digits for sums, products and recurrences

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

// Some lines of a scan: so many neighbours from `x` and `y` on, or lines apart from each other at these offsets
// (elements).
struct Piece {
  const std::byte* x[2];
  std::byte* y;
  int64_t x_step[2], y_step;  // from one element of a line to the next
  int64_t length;
  int64_t neighbours;
  int64_t x_start[2][kAbreast], y_start[kAbreast];
};

// Each element of a line from its predecessor and the elements of the inputs at the same place: `Step` has `start` and
// `next`. All that depends on the dtype is here.
template <class T, class Step>
void run_neighbours(const Piece& piece) {
  using A = typename Step::template Held<T>;
  A held[kTogether];
  const T *a = reinterpret_cast<const T*>(piece.x[0]), *b = reinterpret_cast<const T*>(piece.x[1]);
  T* o = reinterpret_cast<T*>(piece.y);
  for (int64_t k = 0; k < piece.neighbours; ++k) {
    held[k] = Step::start(A(a[k]), A(b[k]));
    o[k] = T(held[k]);
  }
  auto next = [](A total, A x, A y) { return Step::next(total, x, y); };
  for (int64_t i = 1; i < piece.length; ++i) {
    const T* before = o;
    a += piece.x_step[0];
    b += piece.x_step[1];
    o += piece.y_step;
    if constexpr (std::is_same_v<A, T>)
      advance(before, a, b, o, piece.neighbours, next);
    else
      advance(held, a, b, o, piece.neighbours, next);
  }
}
template <class T, class Step, int64_t count>
void run_abreast(const Piece& piece) {
  using A = typename Step::template Held<T>;
  const T *a[count], *b[count];
  T* o[count];
  A held[count];
  for (int64_t k = 0; k < count; ++k) {
    a[k] = reinterpret_cast<const T*>(piece.x[0]) + piece.x_start[0][k];
    b[k] = reinterpret_cast<const T*>(piece.x[1]) + piece.x_start[1][k];
    o[k] = reinterpret_cast<T*>(piece.y) + piece.y_start[k];
    *o[k] = T(held[k] = Step::start(A(*a[k]), A(*b[k])));
  }
  for (int64_t i = 1; i < piece.length; ++i)
    for (int64_t k = 0; k < count; ++k) {
      held[k] = Step::next(held[k], A(a[k][i * piece.x_step[0]]), A(b[k][i * piece.x_step[1]]));
      o[k][i * piece.y_step] = T(held[k]);
    }
}

// ---- long lines by themselves
//
// A line is cut into strands of one length, several of which advance side by side, each from its own first element;
// what came before a strand is combined with all of it at the end. The places of strands in the cache differ.

constexpr int64_t kStrand = 504, kStrands = 8, kBlock = kStrand * kStrands;

// Where it makes no difference in which order elements are combined: whole numbers, and the largest and smallest.
template <class T, class Step>
struct Strands {
  using A = Accumulator<T>;

  // The strands of a block of `n` elements from x on into `held`.
  static void advance(const T* x, int64_t step, int64_t n, A* held) {
    if (n == kBlock && step == 1) return together(x, 1, held);
    if (n == kBlock) return together(x, step, held);
    for (int64_t s = 0; s < n; s += kStrand) {
      const int64_t end = std::min(n, s + kStrand);
      held[s] = A(x[s * step]);
      for (int64_t i = s + 1; i < end; ++i) held[i] = Step::next(held[i - 1], A(x[i * step]), A());
    }
  }
  FUNCNN_INLINE static void together(const T* x, int64_t step, A* held) {
    A at[kStrands];
    for (int64_t s = 0; s < kStrands; ++s) at[s] = held[s * kStrand] = A(x[s * kStrand * step]);
    for (int64_t i = 1; i < kStrand; ++i)
#pragma GCC unroll 8
      for (int64_t s = 0; s < kStrands; ++s)
        held[s * kStrand + i] = at[s] = Step::next(at[s], A(x[(s * kStrand + i) * step]), A());
  }

  static void run(const Piece& piece, bool shared) {
    const T* x = reinterpret_cast<const T*>(piece.x[0]);
    T* y = reinterpret_cast<T*>(piece.y);
    const int64_t step = piece.x_step[0], to = piece.y_step, n = piece.length, blocks = (n + kBlock - 1) / kBlock;
    auto count = [&](int64_t b) { return std::min(kBlock, n - b * kBlock); };
    // Writes block b behind what came before it; gives what comes before the next.
    auto block = [&](int64_t b, A before) {
      A held[kBlock];
      advance(x + b * kBlock * step, step, count(b), held);
      for (int64_t s = 0; s < count(b); s += kStrand) {
        const int64_t first = b * kBlock + s, size = std::min(kStrand, count(b) - s);
        const A* of = held + s;
        if (first == 0)
          for (int64_t i = 0; i < size; ++i) y[i * to] = T(of[i]);
        else if (to == 1)
          for (int64_t i = 0; i < size; ++i) y[first + i] = T(Step::next(before, of[i], A()));
        else
          for (int64_t i = 0; i < size; ++i) y[(first + i) * to] = T(Step::next(before, of[i], A()));
        before = first == 0 ? of[size - 1] : Step::next(before, of[size - 1], A());
      }
      return before;
    };
    if (!shared) {
      A before = A();
      for (int64_t b = 0; b < blocks; ++b) before = block(b, before);
      return;
    }
    // First what blocks come to, by all threads; then what comes before each; then everything.
    const std::unique_ptr<A[]> before(new A[size_t(blocks + 1)]);
    parallel_for(blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const T* from = x + b * kBlock * step;
        A total = A(from[0]);
        for (int64_t i = 1; i < count(b); ++i) total = Step::next(total, A(from[i * step]), A());
        before[size_t(b + 1)] = total;
      }
    });
    for (int64_t b = 2; b <= blocks; ++b) before[size_t(b)] = Step::next(before[size_t(b - 1)], before[size_t(b)], A());
    before[0] = A();
    parallel_for(blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) block(b, before[size_t(b)]);
    });
  }
};

// Logarithms of sums of exponentials, by the table's loops: of neighbours, and of as many strands at once.
template <class T>
struct LogStrands {
  using A = Accumulator<T>;
  static constexpr int64_t kLength = 64, kTogether = 64;
  static void add(A* out, const A* a, const A* b, int64_t n, int mask = 0) {
    active_table().compute[int(Opcode::logaddexp)][int(sizeof(A) == 8 ? Dtype::float64 : Dtype::float32)][mask](
        out, a, b, nullptr, n);
  }

  static void neighbours(const Piece& piece) {
    A held[cpu::kTogether], x[cpu::kTogether];
    for (int64_t i = 0; i < piece.length; ++i) {
      const T* a = reinterpret_cast<const T*>(piece.x[0]) + i * piece.x_step[0];
      T* o = reinterpret_cast<T*>(piece.y) + i * piece.y_step;
      A* to = i ? x : held;
      for (int64_t k = 0; k < piece.neighbours; ++k) to[k] = A(a[k]);
      if (i) add(held, held, x, piece.neighbours);
      for (int64_t k = 0; k < piece.neighbours; ++k) o[k] = T(held[k]);
    }
  }

  // Strands from x on, of n elements: element i of strand s at held[i * kTogether + s]. What is missing adds nothing.
  static void advance(const T* x, int64_t step, int64_t n, A* held) {
    const int64_t strands = (n + kLength - 1) / kLength;
    for (int64_t s = 0; s < strands; ++s) {
      const int64_t count = std::min(kLength, n - s * kLength);
      for (int64_t i = 0; i < count; ++i) held[i * kTogether + s] = A(x[(s * kLength + i) * step]);
      for (int64_t i = count; i < kLength; ++i) held[i * kTogether + s] = -std::numeric_limits<A>::infinity();
    }
    for (int64_t i = 1; i < kLength; ++i)
      add(held + i * kTogether, held + (i - 1) * kTogether, held + i * kTogether, strands);
  }
  static void run(const Piece& piece, bool shared) {
    constexpr int64_t kBlock = kLength * kTogether;
    const T* x = reinterpret_cast<const T*>(piece.x[0]);
    T* y = reinterpret_cast<T*>(piece.y);
    const int64_t step = piece.x_step[0], to = piece.y_step, n = piece.length, blocks = (n + kBlock - 1) / kBlock;
    auto finish = [&](int64_t b, const A* held, A before) {
      for (int64_t s = 0; b * kBlock + s * kLength < n && s < kTogether; ++s) {
        const int64_t first = b * kBlock + s * kLength, count = std::min(kLength, n - first);
        A strand[kLength];
        for (int64_t i = 0; i < kLength; ++i) strand[i] = held[i * kTogether + s];
        if (first > 0) add(strand, &before, strand, kLength, 1);
        before = strand[kLength - 1];
        for (int64_t i = 0; i < count; ++i) y[(first + i) * to] = T(strand[i]);
      }
      return before;
    };
    auto block = [&](int64_t b, A* held) {
      advance(x + b * kBlock * step, step, std::min(kBlock, n - b * kBlock), held);
    };
    if (!shared) {
      A held[kBlock], before = A();
      for (int64_t b = 0; b < blocks; ++b) {
        block(b, held);
        before = finish(b, held, before);
      }
      return;
    }
    // First what comes before each block, then everything.
    const std::unique_ptr<A[]> last(new A[size_t(blocks * kTogether)]()), before(new A[size_t(blocks)]);
    parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
      A held[kBlock];
      for (int64_t b = begin; b < end; ++b) {
        block(b, held);
        std::copy_n(held + (kLength - 1) * kTogether, kTogether, &last[size_t(b * kTogether)]);
      }
    });
    A total = last[0];
    for (int64_t strand = 1; strand * kLength < n; ++strand) {
      if (strand % kTogether == 0) before[size_t(strand / kTogether)] = total;
      add(&total, &total, &last[size_t(strand)], 1, 1);
    }
    parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
      A held[kBlock];
      for (int64_t b = begin; b < end; ++b) {
        block(b, held);
        finish(b, held, before[size_t(b)]);
      }
    });
  }
};

using Run = void (*)(const Piece&);
struct Runs {
  Run neighbours, abreast, alone;
  void (*strands)(const Piece&, bool shared);  // of one long line; null where order matters
  int64_t item, long_from;
  bool quick = false;  // as fast by one thread as by three, with the same results
};
template <class T, class Step>
constexpr Runs runs() {
  Runs all{
      run_neighbours<T, Step>, run_abreast<T, Step, kAbreast>, run_abreast<T, Step, 1>, nullptr, sizeof(T), 2 * kBlock,
      std::is_integral_v<T>};
  if constexpr (Step::template associates<T>()) all.strands = Strands<T, Step>::run;
  return all;
}

class ScanKernel final : public HostKernel {
 public:
  // One input, or two of the same shape.
  ScanKernel(Lines a, Lines b, Lines out, size_t inputs, bool reverse, Runs runs)
      : a_(std::move(a)), b_(std::move(b)), out_(std::move(out)), inputs_(inputs), reverse_(reverse), runs_(runs) {
    // Lines that lie side by side in all operands advance together, a group at a time.
    run_ = std::min({out_.side_by_side(), a_.side_by_side(), b_.side_by_side()});
  }

  void run(std::span<std::byte* const> at) override {
    const int64_t n = out_.length();
    if (n == 0) return;
    // A few groups for each thread.
    int64_t wanted = out_.count() / (2 * thread_count());
    int64_t together = thread_count() == 1 ? kTogether : std::clamp(wanted / 16 * 16, kLeastTogether, kTogether);
    int64_t groups = (run_ + together - 1) / together;
    Course from[2] = {course(a_, reverse_), course(b_, reverse_)}, to = course(out_, reverse_);
    const Piece whole{.x = {at[0] + from[0].first * runs_.item, at[inputs_ - 1] + from[1].first * runs_.item},
                      .y = at.back() + to.first * runs_.item,
                      .x_step = {from[0].step, from[1].step},
                      .y_step = to.step,
                      .length = n,
                      .neighbours = 1,
                      .x_start = {},
                      .y_start = {}};
    if (run_ == 1 && n >= runs_.long_from && runs_.strands && (!runs_.quick || thread_count() > 3))
      return run_long(whole);
    parallel_for(out_.count() / run_ * groups, std::max<int64_t>(1, kGrain / (n * std::min(run_, together))),
                 [&](int64_t begin, int64_t end) {
                   Piece piece = whole;
                   if (run_ == 1) {
                     for (int64_t line = begin; line < end;) {
                       int64_t count = line + kAbreast <= end ? kAbreast : 1;
                       for (int64_t k = 0; k < count; ++k) {
                         piece.x_start[0][k] = a_.start(line + k);
                         piece.x_start[1][k] = b_.start(line + k);
                         piece.y_start[k] = out_.start(line + k);
                       }
                       (count == 1 ? runs_.alone : runs_.abreast)(piece);
                       line += count;
                     }
                     return;
                   }
                   for (int64_t g = begin; g < end; ++g) {
                     int64_t column = g % groups * together, line = g / groups * run_ + column;
                     piece.neighbours = std::min(together, run_ - column);
                     piece.x[0] = whole.x[0] + a_.start(line) * runs_.item;
                     piece.x[1] = whole.x[1] + b_.start(line) * runs_.item;
                     piece.y = whole.y + out_.start(line) * runs_.item;
                     runs_.neighbours(piece);
                   }
                 });
  }

 private:
  void run_long(const Piece& whole) const {
    const int64_t count = out_.count();
    auto line = [&](int64_t l, bool shared) {
      Piece piece = whole;
      piece.x[0] = whole.x[0] + a_.start(l) * runs_.item;
      piece.y = whole.y + out_.start(l) * runs_.item;
      runs_.strands(piece, shared);
    };
    if (count < thread_count()) {
      for (int64_t l = 0; l < count; ++l) line(l, true);
    } else {
      parallel_for(count, 1, [&](int64_t begin, int64_t end) {
        for (; begin < end; ++begin) line(begin, false);
      });
    }
  }

  Lines a_, b_, out_;
  size_t inputs_;
  bool reverse_;
  Runs runs_;
  int64_t run_;
};

template <CumulativeOp op, bool wide = false>
struct Accumulate {
  template <class T>
  using Held = std::conditional_t<wide, double, Accumulator<T>>;
  // Whether results are the same in whatever order elements are combined.
  template <class T>
  static constexpr bool associates() {
    const bool picks = op == CumulativeOp::max || op == CumulativeOp::min;
    return std::is_integral_v<T> || (picks && !std::is_same_v<T, complex64_t>);
  }
  template <class A>
  static A start(A a, A) {
    return a;
  }
  template <class A>
  static A next(A total, A a, A) {
    return combine<op, A>(total, a);
  }
};
template <bool wide>
struct Recur {
  template <class T>
  using Held = std::conditional_t<wide, double, Accumulator<T>>;
  template <class T>
  static constexpr bool associates() {
    return false;
  }
  template <class A>
  static A start(A, A x) {
    return x;
  }
  template <class A>
  static A next(A total, A a, A x) {
    if constexpr (std::is_same_v<A, bool>)
      return (total && a) || x;
    else
      return a == A(0) ? x : A(a * total + x);
  }
};

// Sums and products wrap, so that signs do not matter to them.
template <CumulativeOp op, class T>
auto stored_as() {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool> && op <= CumulativeOp::prod)
    return TypeTag<std::make_unsigned_t<T>>{};
  else
    return TypeTag<T>{};
}

template <CumulativeOp op>
std::unique_ptr<Kernel> make_op(const Cumulative& primitive, const Layout& in, const Layout& out) {
  auto make = [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(stored_as<op, typename decltype(tag)::type>())::type;
    Lines lines(in, primitive.axis());
    Runs all = runs<T, Accumulate<op>>();
    if constexpr (std::is_same_v<T, float> && op <= CumulativeOp::prod)
      if (lines.length() > kFew) all = runs<T, Accumulate<op, true>>();
    if constexpr (op == CumulativeOp::logaddexp) {
      all.neighbours = LogStrands<T>::neighbours;
      all.strands = LogStrands<T>::run;
      all.long_from = 2 * LogStrands<T>::kLength;
    }
    return std::make_unique<ScanKernel>(lines, lines, Lines(out, primitive.axis()), 1, primitive.reverse(), all);
  };
  if constexpr (op == CumulativeOp::logaddexp)
    return for_float(in.dtype, "logcumsumexp", make);
  else
    return visit_dtype(in.dtype, make);
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
    Lines lines(outputs[0], op.axis());
    Runs all = runs<T, Recur<false>>();
    if constexpr (std::is_same_v<T, float>)
      if (lines.length() > kFew) all = runs<T, Recur<true>>();
    return std::make_unique<ScanKernel>(Lines(inputs[0], op.axis()), Lines(inputs[1], op.axis()), lines, 2,
                                        op.reverse(), all);
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
