// Convolutions in which channels of the result have few channels of the input each: a vector of channels at a time
// (depthwise, small groups), or, where there is one channel in all, a vector of positions.
#include "backends/cpu/conv_lanes.h"
#include "backends/cpu/conv_input.h"
#include "backends/cpu/conv_kernels.h"
#include "backends/cpu/conv_taps.h"

namespace funcnn::cpu {
namespace {

template <class S>
class LaneConv final : public HostKernel {
 public:
  using T = ConvSum<S>;

  LaneConv(const ConvProblem& problem, const KernelProgram* epilogue)
      : table_(*conv_table()),
        loops_(table_.loops<T>()),
        p_(problem),
        planar_(p_.groups == 1),
        planes_(p_.in_channels),
        channels_(p_.groups * p_.out_channels),
        strips_(p_, planar_ ? loops_.rows * loops_.lanes : loops_.rows, channels_ * planes_ * int64_t(sizeof(T)),
                channels_ * int64_t(sizeof(S))),
        cuts_(p_, planar_ ? 1 : ceil_div(channels_, loops_.lanes), strips_.strips * strips_.blocks),
        input_(p_, planar_ ? 1 : cuts_.each * loops_.lanes, in_place(), planar_ ? loops_.lanes : 0, planes_),
        taps_(p_, planes_, 0),
        epilogue_(epilogue) {}

  // The weight, a vector for each tap and vector of channels.
  size_t scratch_bytes() const override { return conv_bytes<T>(taps_.size() * pitch()); }

  void run(std::span<std::byte* const> operands) override {
    const S* x = reinterpret_cast<const S*>(operands[0]);
    S* y = reinterpret_cast<S*>(operands[2]);
    T* packed = aligned_scratch<T>(operands.back());
    std::span<std::byte* const> results = operands.subspan(2, operands.size() - 3);
    pack(reinterpret_cast<const S*>(operands[1]), packed);
    int64_t parts = strips_.strips * strips_.blocks;
    epilogue_.start(parts, cuts_.count);
    parallel_for(parts * cuts_.count, 1, [&](int64_t begin, int64_t end) {
      ConvInput<S> input = input_;
      for (int64_t i = begin; i < end; ++i) {
        int64_t part = i / cuts_.count, begin_vector = i % cuts_.count * cuts_.each;
        int64_t first = part / strips_.blocks * strips_.strip;
        int64_t last = std::min(first + strips_.strip, p_.rows());
        ConvBlock block = strips_.outputs(part % strips_.blocks);
        input.load(table_, x, first, last, block, cuts_.channels(p_, begin_vector, loops_.lanes));
        int64_t end_vector = std::min(cuts_.vectors, begin_vector + cuts_.each), lane = begin_vector * loops_.lanes;
        int64_t count = std::min(end_vector * loops_.lanes, channels_) - lane;
        for (int64_t row = first; row < last; ++row) compute(input, row, block, packed + lane, count, y + lane);
        if (epilogue_.finished(part)) epilogue_.run(p_, results, first, last, block);
      }
    });
  }

 private:
  typename ConvInput<S>::InPlace in_place() const {
    using InPlace = typename ConvInput<S>::InPlace;
    return reads_in_place(p_, loops_.lanes) ? InPlace::always : InPlace::never;
  }

  // From a tap of the packed weight to the next.
  int64_t pitch() const { return cuts_.vectors * loops_.lanes; }

  void pack(const S* weight, T* packed) const {
    const ConvStrides& w = p_.weight;
    parallel_for(cuts_.vectors, std::max<int64_t>(1, 1024 / (taps_.size() + 1)), [&](int64_t begin, int64_t end) {
      for (int64_t v = begin; v < end; ++v)
        taps_.for_each([&](int64_t step, int64_t d, int64_t h, int64_t k) {
          const S* from = weight + d * w.spatial[0] + h * w.spatial[1] + k * w.spatial[2];
          T* to = packed + step * pitch() + v * loops_.lanes;
          for (int64_t plane = 0; plane < planes_; ++plane, from += w.last, to += pitch())
            for (int64_t q = 0; q < loops_.lanes; ++q) {
              int64_t channel = planar_ ? 0 : v * loops_.lanes + q;
              to[q] = channel < channels_ ? T(from[channel * w.first]) : T(0);
            }
        });
    });
  }

  // The outputs of a row and `count` channels.
  void compute(const ConvInput<S>& input, int64_t row, ConvBlock block, const T* packed, int64_t count, S* y) const {
    const ConvAxis& a = p_.axes[2];
    ConvRow at(p_, row);
    int64_t phase[3] = {at.place[0] % p_.axes[0].step, at.place[1] % p_.axes[1].step, 0};
    const int64_t apart = input.plane(block.end - block.begin);
    thread_local std::vector<ConvRun<T>> runs;
    for (; phase[2] < int64_t(a.phases.size()); ++phase[2]) {
      int64_t outputs = std::min(block.end, a.phases[size_t(phase[2])].count) - block.begin;
      if (outputs <= 0) continue;
      S* out = y + (row * a.out + block.begin * a.step + phase[2]) * channels_;
      runs.clear();
      input.for_each_tap(row, [&](int64_t slot, int64_t d, int64_t h) {
        const T* b = packed + taps_.begin(phase, d, h) * pitch();
        for (const ConvTap& tap : a.phases[size_t(phase[2])].taps)
          for (int64_t plane = 0; plane < planes_; ++plane, b += pitch())
            runs.push_back({input.row(slot) + plane * apart + (tap.offset - a.lowest) * input.position(), b, 1});
      });
      if (planar_) {
        positions(runs, outputs, out);
        continue;
      }
      const ConvPhase& along = a.phases[size_t(phase[2])];
      int64_t step = a.move * input.position(), leading = channels_ * a.step;
      // The row that comes next: what of the input this one has not read, and its place. Rows of one tile the
      // processor foresees by itself, as their channels go by.
      const bool asks = outputs > loops_.rows && cuts_.count == 1;
      const int64_t fresh = asks && input.in_place() && !runs.empty() ? outputs * step : 0;
      const S* lower = fresh ? reinterpret_cast<const S*>(runs.back().a) + p_.axes[1].move * p_.x.spatial[1] : nullptr;
      Ahead ahead(lower, fresh, out + a.out * channels_, asks ? outputs * leading : 0);
      const int64_t ask = ahead.share(ceil_div(outputs, loops_.rows) * ceil_div(count, loops_.lanes));
      auto [begin, end] = input.in_place() ? input.inside(along, block) : std::pair{int64_t(0), outputs};
      tiles(runs, begin, end, step, count, out, leading, ahead, ask);
      // At the ends of a row, where taps are beyond it, one by one.
      thread_local std::vector<ConvRun<T>> some;
      auto alone = [&](int64_t i) {
        some.clear();
        for (size_t r = 0; r < runs.size(); ++r)
          if (input.reaches(along.taps[r % along.taps.size()], block.begin + i)) some.push_back(runs[r]);
        tiles(some, i, i + 1, step, count, out, leading, ahead, 0);
      };
      for (int64_t i = 0; i < begin; ++i) alone(i);
      for (int64_t i = end; i < outputs; ++i) alone(i);
    }
  }

  // Rows of lanes: channels of a position, `leading` apart in the output. Each tile asks for so many lines ahead.
  void tiles(const std::vector<ConvRun<T>>& runs, int64_t begin, int64_t end, int64_t step, int64_t count, S* out,
             int64_t leading, Ahead& ahead, int64_t lines) const {
    for_each_tile(end - begin, loops_.rows, [&](int64_t first, int rows) {
      first += begin;
      for (int64_t lane = 0; lane < count; lane += loops_.lanes) {
        S* to = out + first * leading + lane;
        ahead.ask(lines);
        auto tile = [&](T* c, int64_t apart) {
          loops_.each(rows, runs.data(), int64_t(runs.size()), lane, first * step, step, c, apart);
        };
        if constexpr (std::is_same_v<S, T>) {
          if (lane + loops_.lanes <= count) {
            tile(to, leading);
            continue;
          }
        }
        alignas(64) T sums[kMostConvRows * 64];
        tile(sums, 64);
        narrow_rows(sums, rows, std::min<int64_t>(loops_.lanes, count - lane), 64, to, leading);
      }
    });
  }

  // Rows of lanes that are positions, side by side in the output.
  void positions(const std::vector<ConvRun<T>>& runs, int64_t outputs, S* out) const {
    int64_t lanes = loops_.lanes;
    for_each_tile(ceil_div(outputs, lanes), loops_.rows, [&](int64_t first, int rows) {
      alignas(64) T sums[kMostConvRows * 64];
      loops_.each(rows, runs.data(), int64_t(runs.size()), 0, first * lanes, lanes, sums, lanes);
      int64_t count = std::min(rows * lanes, outputs - first * lanes);
      for (int64_t i = 0; i < count; ++i) out[first * lanes + i] = S(sums[i]);
    });
  }

  const ConvTable& table_;
  const ConvLoops<T>& loops_;
  ConvProblem p_;
  bool planar_;
  int64_t planes_, channels_;
  ConvStrips strips_;
  LaneCuts cuts_;
  ConvInput<S> input_;
  ConvTaps taps_;
  ConvEpilogue epilogue_;
};

}  // namespace

template <class S>
std::unique_ptr<HostKernel> make_lane_conv(const ConvProblem& p, const KernelProgram* epilogue) {
  if (!goes_by_lanes(p, conv_table()->loops<ConvSum<S>>().lanes)) return nullptr;
  return std::make_unique<LaneConv<S>>(p, epilogue);
}
template std::unique_ptr<HostKernel> make_lane_conv<float>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_lane_conv<double>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_lane_conv<float16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_lane_conv<bfloat16_t>(const ConvProblem&, const KernelProgram*);

}  // namespace funcnn::cpu
