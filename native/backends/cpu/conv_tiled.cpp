// Convolutions by tiles: positions of a row of the output by a panel of its channels.
#include <atomic>
#include <limits>

#include "backends/cpu/conv_input.h"
#include "backends/cpu/conv_kernels.h"
#include "backends/cpu/conv_taps.h"
#include "backends/cpu/pieces_time.h"

namespace funcnn::cpu {

ConvStrips::ConvStrips(const ConvProblem& p, int64_t unit, int64_t input_bytes, int64_t output_bytes) {
  constexpr int64_t longest = 24, budget = 256 << 10;
  const ConvAxis& a = p.axes[2];
  int64_t outputs = ceil_div(a.out, a.step);
  blocks = outputs > (longest + 6) * unit ? ceil_div(outputs, longest * unit) : 1;
  block = blocks == 1 ? outputs : ceil_div(ceil_div(outputs, blocks), unit) * unit;
  blocks = ceil_div(outputs, block);
  const int64_t rows = p.rows();
  int64_t input = (block * a.move + a.highest - a.lowest) * input_bytes * ceil_div(p.axes[1].move, p.axes[1].step);
  fitting = std::max<int64_t>(1, budget / std::max<int64_t>(1, input + block * a.step * output_bytes));
  int64_t pieces = wanted_pieces(p.work());
  set_strip(p, pieces == 1 ? rows : std::min(ceil_div(rows * blocks, pieces), fitting));
}

void ConvStrips::set_strip(const ConvProblem& p, int64_t rows) {
  const int64_t all = p.rows(), image = p.axes[0].out * p.axes[1].out;
  strip = std::clamp<int64_t>(rows, 1, all);
  strip = strip >= image ? strip / image * image : ceil_div(image, ceil_div(image, strip));
  strips = ceil_div(all, strip);
}

namespace {

template <class S>
class TiledConv final : public HostKernel {
 public:
  using T = ConvSum<S>;

  TiledConv(const ConvProblem& problem, const KernelProgram* epilogue)
      : table_(*conv_table()),
        loops_(table_.loops<T>()),
        p_(problem),
        input_(p_, p_.in_channels, in_place(p_), 0),
        taps_(p_, p_.in_channels, input_.position()),
        strips_(p_, loops_.rows, p_.in_channels * int64_t(sizeof(T)), p_.groups * p_.out_channels * int64_t(sizeof(S))),
        epilogue_(epilogue) {
    panels_ = ceil_div(p_.out_channels, loops_.panel);
    share_out(thread_count());
    // What the caches do not hold until somebody reads it.
    constexpr int64_t kLarge = 16 << 20;
    past_ = !epilogue && p_.rows() * p_.axes[2].out * p_.groups * p_.out_channels * int64_t(sizeof(S)) >= kLarge;
  }

  // The weight in panels.
  size_t scratch_bytes() const override { return conv_bytes<T>(p_.groups * panels_ * taps_.size() * loops_.panel); }

  void run(std::span<std::byte* const> operands) override {
    const S* x = reinterpret_cast<const S*>(operands[0]);
    const S* weight = reinterpret_cast<const S*>(operands[1]);
    S* y = reinterpret_cast<S*>(operands[2]);
    T* packed = aligned_scratch<T>(operands.back());
    std::span<std::byte* const> results = operands.subspan(2, operands.size() - 3);
    pack(weight, packed);
    int64_t parts = strips_.strips * strips_.blocks, pieces = p_.groups * cuts_;
    epilogue_.start(parts, pieces);
    parallel_for(parts * pieces, 1, [&](int64_t begin, int64_t end) {
      ConvInput<S> input = input_;
      for (int64_t i = begin; i < end; ++i) {
        int64_t part = i / pieces, group = i % pieces / cuts_, cut = i % cuts_;
        int64_t first = part / strips_.blocks * strips_.strip;
        int64_t last = std::min(first + strips_.strip, p_.rows());
        ConvBlock block = strips_.outputs(part % strips_.blocks);
        input.load(table_, x, first, last, block, {group * p_.in_channels, p_.in_channels, 1, p_.in_channels});
        const T* panels = packed + group * panels_ * panel_size();
        int64_t from = cut * panels_each_, to = std::min(panels_, from + panels_each_);
        int64_t together = panels_together(to - from);
        for (int64_t j = from; j < to; j += together)
          for (int64_t row = first; row < last; ++row)
            compute(input, row, block, panels + j * panel_size(), j == from,
                    std::min(together * loops_.panel, p_.out_channels - j * loops_.panel),
                    y + group * p_.out_channels + j * loops_.panel);
        if (epilogue_.finished(part)) epilogue_.run(p_, results, first, last, block);
      }
      // Stores past the caches are in no order with others.
      if (past_) std::atomic_thread_fence(std::memory_order_seq_cst);
    });
  }

 private:
  using InPlace = typename ConvInput<S>::InPlace;

  // Strips and cuts of the panels with which so many threads are done first. No sum depends on them.
  void share_out(int64_t threads) {
    constexpr int64_t kMostCuts = 8, kRounds = 6;
    const double read = input_.in_place() ? 1 : 12, weight = 1;  // an element, in multiply-adds
    const ConvAxis &rows = p_.axes[1], &along = p_.axes[2];
    const int64_t all = p_.rows() * strips_.blocks * p_.groups;
    const double row_work = p_.work() / double(all * panels_);
    const double row_input = double((strips_.block * along.move + along.highest - along.lowest) * p_.in_channels) *
                             double(rows.move) / double(rows.step);
    double least = std::numeric_limits<double>::infinity();
    ConvStrips best = strips_;
    auto consider = [&](int64_t cuts, int64_t strip) {
      ConvStrips some = strips_;
      some.set_strip(p_, std::min(strip, some.fitting));
      const int64_t each = ceil_div(panels_, cuts);
      cuts = ceil_div(panels_, each);
      const double piece = double(some.strip * each) * row_work +
                           read * row_input * double(some.strip + rows.highest - rows.lowest) +
                           weight * double(each * panel_size());
      const double time = pieces_time(some.strips * some.blocks * p_.groups * cuts, piece, threads);
      if (time >= least) return;
      least = time;
      best = some;
      panels_each_ = each;
      cuts_ = cuts;
    };
    for (int64_t cuts = 1; cuts <= std::min(panels_, kMostCuts); ++cuts) {
      consider(cuts, p_.rows());
      for (int64_t rounds = 1; rounds <= kRounds; ++rounds) consider(cuts, ceil_div(all * cuts, rounds * threads));
    }
    strips_ = best;
  }

  // Whether a tap leaves the row for an output, in front of it or behind it.
  static bool leaves_first(const ConvTap& tap) { return tap.offset < 0; }
  bool leaves_last(const ConvPhase& phase, const ConvTap& tap) const {
    return (phase.count - 1) * p_.axes[2].move + tap.offset >= p_.axes[2].in;
  }
  // Tiles can leave out a row at one of their ends: rows of the input need no padding for taps that leave them for no
  // more than that. Copied, the channels of a group follow each other, which few of them need.
  static InPlace in_place(const ConvProblem& p) {
    const ConvAxis& a = p.axes[2];
    if (p.in_channels < 32) return InPlace::unpadded;
    for (const ConvPhase& phase : a.phases)
      for (const ConvTap& tap : phase.taps) {
        int64_t last = (phase.count - 1) * a.move + tap.offset;
        bool before = tap.offset < 0, behind = last >= a.in;
        if ((before && behind) || tap.offset < -a.move || last - a.move >= a.in) return InPlace::unpadded;
      }
    return InPlace::always;
  }

  // Panels that stay in cache together are gone over for each tile, which writes in order; others for each strip.
  int64_t panels_together(int64_t count) const {
    constexpr int64_t first = 24 << 10, second = 256 << 10;  // bytes of the caches, beside the input
    int64_t bytes = panel_size() * int64_t(sizeof(T));
    if (bytes * 2 <= first) return ceil_div(count, std::max<int64_t>(1, ceil_div(count * bytes, first)));
    return bytes * count <= second ? count : 1;
  }

  int64_t panel_size() const { return taps_.size() * loops_.panel; }

  void pack(const S* weight, T* packed) const {
    auto& packing = table_.packing<S>();
    const ConvStrides& w = p_.weight;
    // Taps of a row that follow each other in the weight are packed as one.
    bool joined = w.spatial[2] == p_.in_channels * w.last || p_.axes[2].kernel == 1;
    int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, panel_size()));
    parallel_for(p_.groups * panels_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t group = i / panels_, channel = i % panels_ * loops_.panel;
        int64_t columns = std::min<int64_t>(loops_.panel, p_.out_channels - channel);
        const S* from = weight + (group * p_.out_channels + channel) * w.first;
        T* to = packed + i * panel_size();
        int64_t step = 0, length = 0, place = 0;
        auto flush = [&] {
          if (length) packing.pack({from + place, w.last, w.first}, length, columns, to + step * loops_.panel);
          length = 0;
        };
        taps_.for_each([&](int64_t at, int64_t d, int64_t h, int64_t k) {
          int64_t offset = d * w.spatial[0] + h * w.spatial[1] + k * w.spatial[2];
          bool follows = joined && length && at == step + length && offset == place + length * w.last;
          if (!follows) {
            flush();
            step = at;
            place = offset;
          }
          length += p_.in_channels;
        });
        flush();
      }
    });
  }

  // The outputs of a row in panels of `columns` channels, phase by phase. `fresh`: nothing of the input was read
  // before.
  void compute(const ConvInput<S>& input, int64_t row, ConvBlock block, const T* packed, bool fresh, int64_t columns,
               S* y) const {
    const ConvAxis& a = p_.axes[2];
    int64_t channels = p_.groups * p_.out_channels, leading = channels * a.step;
    ConvRow at(p_, row);
    int64_t phase[3] = {at.place[0] % p_.axes[0].step, at.place[1] % p_.axes[1].step, 0};
    thread_local std::vector<ConvRun<T>> inner, edge;
    for (; phase[2] < int64_t(a.phases.size()); ++phase[2]) {
      const ConvPhase& along = a.phases[size_t(phase[2])];
      int64_t outputs = std::min(block.end, along.count) - block.begin;
      if (outputs <= 0) continue;
      S* out = y + (row * a.out + block.begin * a.step + phase[2]) * channels;
      inner.clear();
      const ConvTaps::Runs& joined = taps_.runs(phase[2]);
      input.for_each_tap(row, [&](int64_t slot, int64_t d, int64_t h) {
        const T* b = packed + taps_.begin(phase, d, h) * loops_.panel;
        for (int64_t offset : joined.offsets) {
          inner.push_back({input.row(slot) + offset, b, joined.length});
          b += joined.length * loops_.panel;
        }
      });
      int64_t step = a.move * input.position();
      for_each_tile(outputs, loops_.rows, [&](int64_t first, int count) {
        int64_t next = first + count, more = std::min<int64_t>(count, outputs - next);
        bool at_first = input.in_place() && block.begin + first == 0;
        bool at_last = input.in_place() && block.begin + next == along.count;
        bool at_edge = (at_first && a.lowest < 0) || (at_last && (along.count - 1) * a.move + a.highest >= a.in);
        if (at_edge) edge_runs(input, row, phase, packed, at_first, at_last, count, edge);
        std::vector<ConvRun<T>>& runs = at_edge ? edge : inner;
        ConvSoon<T> soon = fresh && input.in_place() ? input_soon(inner, first, next, more, step) : ConvSoon<T>();
        // Rows that follow each other in the result do so in memory. The next tile's are too many for the processor to
        // foresee: stores that miss would hold it up.
        bool asks = std::is_same_v<S, T> && !past_ && (more > 0 || (strips_.blocks == 1 && a.step == 1));
        int64_t steps = 0, needed = asks ? count : 0;
        for (const ConvRun<T>& run : runs) steps += run.length;
        needed = std::max(needed, soon.rows * ceil_div(soon.lines, 2) / ceil_div(columns, loops_.panel) + 1);
        soon.every = std::max<int64_t>(4, steps / needed);
        for (int64_t channel = 0; channel < columns; channel += loops_.panel) {
          int64_t width = std::min<int64_t>(loops_.panel, columns - channel);
          S* to = out + first * leading + channel;
          auto tile = [&](T* c, int64_t pitch, bool past) {
            loops_.along(count, width, runs.data(), int64_t(runs.size()), first * step, step, c, pitch, soon, past);
          };
          if constexpr (std::is_same_v<S, T>) {
            soon.c = asks ? to + count * leading : nullptr;
            tile(to, leading, past_);
          } else {
            alignas(64) T sums[kMostConvRows * 64];
            if (!past_) prefetch_rows(to + count * leading, more, width, leading);
            tile(sums, 64, false);
            narrow_rows(sums, count, width, 64, to, leading);
          }
          for (ConvRun<T>& run : runs) run.b += panel_size();
        }
        for (ConvRun<T>& run : runs) run.b -= ceil_div(columns, loops_.panel) * panel_size();
      });
    }
  }

  // What of the input is read for the first time soon: where outputs have many rows, what lies one row further, else
  // what the next tile reads.
  ConvSoon<T> input_soon(const std::vector<ConvRun<T>>& runs, int64_t first, int64_t next, int64_t more,
                         int64_t step) const {
    constexpr int64_t line = 64 / int64_t(sizeof(T));
    if (runs.empty()) return {};
    ConvSoon<T> soon;
    bool further = p_.axes[1].out > 1;
    int64_t positions = further ? next - first : more;
    soon.a = runs.back().a + (further ? first * step + p_.x.spatial[1] : next * step);
    if (step == p_.in_channels) {
      soon.rows = positions > 0 ? 1 : 0;
      soon.lines = ceil_div(positions * step, line);
    } else {
      soon.rows = positions;
      soon.lines = ceil_div(p_.in_channels, line);
      soon.apart = step;
    }
    return soon;
  }

  // The runs of a tile of `count` outputs at an end of the row.
  void edge_runs(const ConvInput<S>& input, int64_t row, const int64_t phase[3], const T* packed, bool at_first,
                 bool at_last, int count, std::vector<ConvRun<T>>& runs) const {
    const ConvAxis& a = p_.axes[2];
    const ConvPhase& along = a.phases[size_t(phase[2])];
    runs.clear();
    input.for_each_tap(row, [&](int64_t slot, int64_t d, int64_t h) {
      const T* b = packed + taps_.begin(phase, d, h) * loops_.panel;
      for (const ConvTap& tap : along.taps) {
        ConvEdge without = at_first && leaves_first(tap)        ? ConvEdge::first
                           : at_last && leaves_last(along, tap) ? ConvEdge::last
                                                                : ConvEdge::none;
        const T* at = input.row(slot) + (tap.offset - a.lowest) * input.position();
        bool whole = without == ConvEdge::none;
        if (whole && !runs.empty() && runs.back().without == without && runs.back().a + runs.back().length == at &&
            runs.back().b + runs.back().length * loops_.panel == b)
          runs.back().length += p_.in_channels;
        else if (whole || count > 1)
          runs.push_back({at, b, p_.in_channels, without});
        b += p_.in_channels * loops_.panel;
      }
    });
  }

  const ConvTable& table_;
  const ConvLoops<T>& loops_;
  ConvProblem p_;
  ConvInput<S> input_;
  ConvTaps taps_;
  ConvStrips strips_;
  int64_t panels_, panels_each_, cuts_;
  bool past_;  // the result goes past the caches
  ConvEpilogue epilogue_;
};

}  // namespace

template <class S>
std::unique_ptr<HostKernel> make_tiled_conv(const ConvProblem& problem, const KernelProgram* epilogue) {
  return std::make_unique<TiledConv<S>>(problem, epilogue);
}
template std::unique_ptr<HostKernel> make_tiled_conv<float>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_tiled_conv<double>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_tiled_conv<float16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_tiled_conv<bfloat16_t>(const ConvProblem&, const KernelProgram*);

}  // namespace funcnn::cpu
