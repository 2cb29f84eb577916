// How the lines of an array are transformed: several at once, one in each lane of the vectors, or, where they are long
// and no others lie beside them, one after the other.
#include "backends/cpu/fft.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backends/cpu/arena.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "base/thread_pool.h"
#include "ops/fft.h"

namespace funcnn::cpu {
namespace {

constexpr int kMostLanes = 16;
constexpr int64_t kLongestBeside = 4096;   // of lines in lanes that lie side by side: rows stay in the cache
constexpr int64_t kShortApart = 192;       // of those that do not, and have to be transposed
constexpr int64_t kShared = 1 << 16;       // a line this long is shared by the threads
constexpr int64_t kSharedAlone = 1 << 12;  // one of few
constexpr int64_t kGrain = 8192;           // complex elements that are worth a thread
constexpr int64_t kFew = 4;                // a group with one of so many lanes filled goes line by line
constexpr int64_t kPiece = 4096;           // elements of a pass over a line that a thread does at a time

thread_local Arena rooms, line_rooms;

// Calls f(begin, end) for parts of [0, count).
struct Alone {
  template <class F>
  void operator()(int64_t count, int64_t, F f) const {
    f(int64_t(0), count);
  }
};
struct Shared {
  template <class F>
  void operator()(int64_t count, int64_t grain, F f) const {
    parallel_for(count, grain, f);
  }
};

class FftKernel final : public HostKernel {
 public:
  FftKernel(const Fft& op, const Layout& in, const Layout& out)
      : table_(fft_table()),
        kind_(op.fft_kind()),
        swap_(op.inverse()),
        scale_(float(op.scale())),
        length_(op.length()),
        paired_(kind_ != FftKind::complex && length_ % 2 == 0 && (real_output() || in.strides[size_t(op.axis())] != 0)),
        size_(paired_ ? length_ / 2 : length_),
        plan_(fft_plan(size_)),
        in_(in, op.axis()),
        out_(out, op.axis()) {
    const FftPlan& core = plan_->inner ? *plan_->inner : *plan_;
    int64_t lanes = table_.lanes, count = out_.count(), beside = out_.side_by_side();
    // Lines of a group lie in one run of neighbours, where runs are long enough to fill the lanes.
    run_ = beside >= lanes ? beside : count;
    bool filled = beside * 2 >= lanes && core.length <= kLongestBeside;
    brief_ = plan_->square && in_.step() == 1 && out_.step() == 1 ? table_.brief_group(size_) : 0;
    in_lanes_ = !core.square || filled || (count * 2 >= lanes && core.length <= kShortApart);
    if (!in_lanes_ && count >= 4 * lanes && core.length <= kLongestBeside) {
      // Transposing costs about what a matrix whose sides do not fill the lanes wastes.
      auto whole = [&](int64_t n) { return (n + lanes - 1) / lanes * lanes; };
      const FftSquare& s = *core.square;
      double used = 2 * double(core.length) / double(whole(s.rows) * s.columns + whole(s.columns) * s.rows);
      in_lanes_ = double(count) / double(whole(count)) >= (plan_->inner ? 0.5 : 1.1 * used);
    }
    if (brief_ == 1 || (brief_ == 2 && kind_ == FftKind::complex && count > 1)) in_lanes_ = false;
    shared_ = !in_lanes_ && (size_ >= kShared || (out_.count() < 4 && size_ >= kSharedAlone));
  }

  // Longer lines are laid out in memory that the planner knows of.
  size_t scratch_bytes() const override { return shared_ ? size_t(line_floats()) * sizeof(float) : 0; }

  void run(std::span<std::byte* const> operands) override {
    if (out_.count() == 0) return;
    auto* x = reinterpret_cast<float*>(operands[0]);
    auto* y = reinterpret_cast<float*>(operands[1]);
    if (in_lanes_) {
      int64_t lanes = table_.lanes, per_run = (run_ + lanes - 1) / lanes;
      const int64_t groups = out_.count() / run_ * per_run, least = std::max<int64_t>(1, kGrain / (lanes * size_));
      // Neighbours in memory write to the same lines of the cache, which threads would take from each other.
      const int64_t each = out_.side_by_side() >= lanes ? (groups + thread_count() - 1) / thread_count() : 1;
      parallel_for(groups, std::max(least, each), [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; ++g) {
          int64_t within = g % per_run * lanes;
          group(x, y, g / per_run * run_ + within, std::min(lanes, run_ - within));
        }
      });
    } else if (brief_ && kind_ == FftKind::complex) {
      parallel_for((out_.count() + brief_ - 1) / brief_, std::max<int64_t>(1, kGrain / (brief_ * size_)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t g = begin; g < end; ++g) {
                       const float* from[2];
                       float* to[2];
                       for (int64_t i = 0; i < 2; ++i) {
                         int64_t number = std::min(g * brief_ + i, out_.count() - 1);  // the last one twice
                         from[i] = x + 2 * in_.start(number);
                         to[i] = y + 2 * out_.start(number);
                       }
                       table_.brief(*plan_->square, swap_, scale_, from, to);
                     }
                   });
    } else if (shared_) {
      auto* room = reinterpret_cast<float*>(operands[2]);
      for (int64_t i = 0; i < out_.count(); ++i) line(x, y, i, room, Shared());
    } else {
      parallel_for(out_.count(), std::max<int64_t>(1, kGrain / size_), [&](int64_t begin, int64_t end) {
        auto* room = reinterpret_cast<float*>(line_rooms.get(size_t(line_floats()) * sizeof(float)));
        for (int64_t i = begin; i < end; ++i) line(x, y, i, room, Alone());
      });
    }
  }

 private:
  bool real_input() const { return kind_ == FftKind::real_to_half; }
  bool real_output() const { return kind_ == FftKind::half_to_real; }
  int64_t half() const { return length_ / 2 + 1; }

  // The elements of a line as the complex numbers that are transformed: of a real line of even length, pairs.
  FftView view(float* data, const Lines& lines, bool real) const {
    int64_t step = lines.step();
    if (!real) return {data, 2 * step, 1, 0, nullptr};
    if (paired_) return {data, 2 * step, step, 0, nullptr};
    return {data, step, 0, 0, nullptr};
  }
  // A line of complex numbers on its own.
  static FftView dense(float* data) { return {data, 2, 1, 0, nullptr}; }

  // ---- lines in lanes

  void place(FftView& v, const Lines& lines, bool real, int64_t first, int64_t count, int64_t* starts) const {
    const int64_t scale = real ? 1 : 2, base = lines.start(first) * scale;
    v.data += base;
    bool even = true;
    for (int64_t i = 0; i < count; ++i) starts[i] = lines.start(first + i) * scale - base;
    for (int64_t i = 2; i < count; ++i) even = even && starts[i] == i * starts[1];
    v.apart = count > 1 ? starts[1] : 0;
    if (!even) v.starts = starts;
  }

  void group(float* x, float* y, int64_t first, int64_t count) const {
    if (count * kFew <= table_.lanes && (plan_->inner ? *plan_->inner : *plan_).square) {
      auto* room = reinterpret_cast<float*>(line_rooms.get(size_t(line_floats()) * sizeof(float)));
      for (int64_t i = first; i < first + count; ++i) line(x, y, i, room, Alone());
      return;
    }
    std::array<int64_t, kMostLanes> starts_in, starts_out;
    FftView from = view(x, in_, real_input()), to = view(y, out_, real_output());
    // The spectrum of a real line is one of whole complex numbers.
    place(from, in_, real_input(), first, count, starts_in.data());
    place(to, out_, real_output(), first, count, starts_out.data());
    const int64_t row = 2 * table_.lanes;
    const FftPlan& core = plan_->inner ? *plan_->inner : *plan_;
    int64_t rows = std::max(core.length, size_ + 1);
    auto* a = reinterpret_cast<float*>(rooms.get(size_t(2 * rows * row) * sizeof(float)));
    float* b = a + rows * row;
    auto pairs = [](const FftView& v) { return !v.starts && v.apart == 2 && v.im == 1; };
    if (kind_ == FftKind::complex && count == table_.lanes && size_ > 1 && !plan_->inner && pairs(from) && pairs(to))
      return table_.beside(plan_->passes, from, to, swap_, scale_, a);
    float* done = b;
    if (!real_output()) {
      table_.gather(from, count, size_, swap_, b);
    } else if (paired_) {
      table_.gather(from, count, half(), false, a);
      table_.halves_of_rows(*plan_, true, a, b);
      exchange(b);
    } else {
      table_.gather(from, count, half(), true, b);
      mirror(b);
    }
    done = transformed(b, a, b);
    if (kind_ != FftKind::real_to_half) return table_.scatter(done, count, size_, swap_, scale_, to);
    if (!paired_) return table_.scatter(done, count, half(), false, scale_, to);
    float* other = done == a ? b : a;
    table_.halves_of_rows(*plan_, false, done, other);
    table_.scatter(other, count, half(), false, scale_, to);
  }

  float* transformed(float* in, float* a, float* b) const {
    if (!plan_->inner) return table_.lines(plan_->passes, in, a, b);
    const FftPasses& passes = plan_->inner->passes;
    const int64_t row = 2 * table_.lanes;
    table_.multiply_rows(in, plan_->chirp.data(), size_, false, false);
    std::memset(in + size_ * row, 0, size_t((passes.length - size_) * row) * sizeof(float));
    float* done = table_.lines(passes, in, a, b);
    table_.multiply_rows(done, plan_->kernel.data(), passes.length, false, true);
    done = table_.lines(passes, done, done == a ? b : a, done);
    table_.multiply_rows(done, plan_->chirp.data(), size_, true, false);
    return done;
  }

  void exchange(float* rows) const {
    for (int64_t j = 0; j < size_; ++j, rows += 2 * table_.lanes)
      std::swap_ranges(rows, rows + table_.lanes, rows + table_.lanes);
  }

  // The elements of an odd spectrum that its half stands for, real and imaginary parts being exchanged.
  void mirror(float* rows) const {
    const int64_t lanes = table_.lanes;
    for (int64_t i = 0; i < lanes; ++i) rows[i] = 0;
    for (int64_t k = 1; k < half(); ++k) {
      const float* from = rows + k * 2 * lanes;
      float* to = rows + (length_ - k) * 2 * lanes;
      for (int64_t i = 0; i < lanes; ++i) {
        to[i] = -from[i];
        to[lanes + i] = from[lanes + i];
      }
    }
  }

  // ---- one line

  struct Room {
    float *between, *line, *first, *second;
  };
  int64_t between_floats() const {
    const FftPlan& core = plan_->inner ? *plan_->inner : *plan_;
    if (!core.square) return 0;
    int64_t lanes = table_.lanes;
    return (core.square->rows + lanes - 1) / lanes * core.square->columns * 2 * lanes;
  }
  int64_t line_floats() const {
    return between_floats() + 2 * (size_ + 1) + (plan_->inner ? 4 * plan_->inner->length : 0);
  }
  Room room_of(float* at) const {
    Room room{at, at + between_floats(), nullptr, nullptr};
    room.first = room.line + 2 * (size_ + 1);
    room.second = room.first + (plan_->inner ? 2 * plan_->inner->length : 0);
    return room;
  }

  template <class Run>
  void line(float* x, float* y, int64_t number, float* at, Run run) const {
    FftView from = view(x, in_, real_input()), to = view(y, out_, real_output());
    from.data += in_.start(number) * (real_input() ? 1 : 2);
    to.data += out_.start(number) * (real_output() ? 1 : 2);
    Room room = room_of(at);
    if (kind_ == FftKind::complex) return core(from, to, swap_, scale_, room, run);
    if (real_input()) {
      // The spectrum, in place if it lies there as numbers side by side.
      bool in_place = paired_ && out_.step() == 1;
      FftView spectrum = in_place ? to : dense(room.line);
      core(from, spectrum, false, scale_, room, run);
      if (paired_) halves(false, spectrum.data, spectrum.data, run);
      if (!in_place) copy(spectrum, to, half(), run);
      return;
    }
    FftView half_line = from;
    if (paired_ && in_.step() != 1) {
      half_line = dense(room.line);
      copy(from, half_line, half(), run);
    }
    if (paired_) {
      halves(true, half_line.data, room.line, run);
    } else {
      copy(from, dense(room.line), half(), run);
      float* z = room.line;
      z[1] = 0;
      for (int64_t k = 1; k < half(); ++k) {
        z[2 * (length_ - k)] = z[2 * k];
        z[2 * (length_ - k) + 1] = -z[2 * k + 1];
      }
    }
    core(dense(room.line), to, true, scale_, room, run);
  }

  // Pieces have fixed ends, since vectors and what they leave over may round differently.
  template <class Run>
  void halves(bool back, const float* in, float* out, Run run) const {
    int64_t count = size_ / 2 + 1;
    run((count + kPiece - 1) / kPiece, 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        table_.halves(*plan_, back, in, out, piece * kPiece, std::min(count, (piece + 1) * kPiece));
    });
  }

  template <class Run>
  static void copy(const FftView& from, const FftView& to, int64_t count, Run run) {
    run(count, kPiece, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const float* x = from.data + j * from.step;
        float* y = to.data + j * to.step;
        float re = x[0], im = from.im ? x[from.im] : 0;
        y[0] = re;
        if (to.im) y[to.im] = im;
      }
    });
  }

  template <class Run>
  void core(const FftView& from, const FftView& to, bool swap, float scale, const Room& room, Run run) const {
    if (!plan_->inner) {
      if (brief_ == 1 && from.step == 2 && from.im == 1 && to.step == 2 && to.im == 1) {
        const float* in = from.data;
        float* out = to.data;
        return table_.brief(*plan_->square, swap, scale, &in, &out);
      }
      return square(*plan_->square, from, to, swap, scale, room.between, run);
    }
    const FftPlan& inner = *plan_->inner;
    const int64_t size = size_, whole = inner.length;
    auto multiply = [&](const float* in, const float* by, float* out, int64_t count, bool before, bool after) {
      run((count + kPiece - 1) / kPiece, 1, [&](int64_t begin, int64_t end) {
        for (int64_t piece = begin; piece < end; ++piece) {
          int64_t at = 2 * piece * kPiece;
          table_.multiply(in + at, by + at, out + at, std::min(kPiece, count - piece * kPiece), before, after);
        }
      });
    };
    const float* start = from.data;
    if (from.step != 2 || from.im != 1) {
      copy(from, dense(room.first), size, run);
      start = room.first;
    }
    multiply(start, plan_->chirp.data(), room.first, size, swap, false);
    std::memset(room.first + 2 * size, 0, size_t(2 * (whole - size)) * sizeof(float));
    square(*inner.square, dense(room.first), dense(room.second), false, 1, room.between, run);
    multiply(room.second, plan_->kernel.data(), room.second, whole, false, true);
    square(*inner.square, dense(room.second), dense(room.first), false, scale, room.between, run);
    bool direct = to.step == 2 && to.im == 1;
    float* result = direct ? to.data : room.second;
    multiply(room.first, plan_->chirp.data(), result, size, true, swap);
    if (!direct) copy(dense(result), to, size, run);
  }

  template <class Run>
  void square(const FftSquare& s, const FftView& from, const FftView& to, bool swap, float scale, float* between,
              Run run) const {
    const int64_t lanes = table_.lanes;
    auto room = [&](int64_t length) {
      return reinterpret_cast<float*>(rooms.get(size_t(4 * lanes * length) * sizeof(float)));
    };
    run((s.columns + lanes - 1) / lanes, std::max<int64_t>(1, kGrain / (lanes * s.rows)),
        [&](int64_t begin, int64_t end) { table_.down(s, from, swap, between, room(s.rows), begin, end); });
    run((s.rows + lanes - 1) / lanes, std::max<int64_t>(1, kGrain / (lanes * s.columns)),
        [&](int64_t begin, int64_t end) { table_.across(s, between, swap, scale, to, room(s.columns), begin, end); });
  }

  const FftTable& table_;
  FftKind kind_;
  bool swap_;  // the inverse: real and imaginary parts are exchanged before and after
  float scale_;
  int64_t length_;
  bool paired_;   // a real line is transformed as complex numbers of two neighbours each, unless they are one in memory
  int64_t size_;  // of the complex transform
  std::shared_ptr<const FftPlan> plan_;
  Lines in_, out_;
  int64_t run_;
  int brief_;  // how many short lines are transformed together in registers
  bool in_lanes_, shared_;
};

std::unique_ptr<Kernel> make_fft(const Primitive& primitive, std::span<const Layout> inputs,
                                 std::span<const Layout> outputs, const KernelProgram*) {
  return std::make_unique<FftKernel>(static_cast<const Fft&>(primitive), inputs[0], outputs[0]);
}

const RegisterKernel registered("fft", make_fft);

}  // namespace
}  // namespace funcnn::cpu
