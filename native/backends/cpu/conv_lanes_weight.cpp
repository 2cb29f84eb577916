// The gradient by the weight of convolutions that go by lanes: a vector of channels, or of positions that are added up
// in the end, for several taps at once.
#include <vector>

#include "backends/cpu/conv_input.h"
#include "backends/cpu/conv_kernels.h"
#include "backends/cpu/conv_lanes.h"
#include "backends/cpu/conv_taps.h"

namespace funcnn::cpu {
namespace {

template <class S>
class LaneConvWeight final : public HostKernel {
 public:
  using T = ConvSum<S>;

  LaneConvWeight(const ConvProblem& problem, const KernelProgram* epilogue)
      : table_(*conv_table()),
        loops_(table_.loops<T>()),
        p_(problem),
        planar_(p_.groups == 1),
        planes_(p_.in_channels),
        channels_(p_.groups * p_.out_channels),
        strips_(p_, planar_ ? loops_.lanes : kUnit, channels_ * planes_ * int64_t(sizeof(T)),
                channels_ * int64_t(sizeof(T))),
        cuts_(p_, planar_ ? 1 : ceil_div(channels_, loops_.lanes), strips_.strips * strips_.blocks),
        input_(p_, planar_ ? 1 : cuts_.each * loops_.lanes, in_place(), planar_ ? loops_.lanes : 0, planes_),
        taps_(p_, planes_, 0),
        epilogue_(epilogue) {
    int64_t parts = strips_.strips * strips_.blocks;
    sums_ = std::clamp<int64_t>(ceil_div(wanted_pieces(p_.work()), cuts_.count), 1, parts);
    parts_each_ = ceil_div(parts, sums_);
    sums_ = ceil_div(parts, parts_each_);
  }

  size_t scratch_bytes() const override { return conv_bytes<T>(sums_ * size()); }

  void run(std::span<std::byte* const> operands) override {
    const S* x = reinterpret_cast<const S*>(operands[0]);
    const S* y = reinterpret_cast<const S*>(operands[1]);
    S* out = reinterpret_cast<S*>(operands[2]);
    T* sums = aligned_scratch<T>(operands.back());
    int64_t parts = strips_.strips * strips_.blocks;
    parallel_for(sums_ * cuts_.count, 1, [&](int64_t begin, int64_t end) {
      ConvInput<S> input = input_;
      for (int64_t i = begin; i < end; ++i) {
        int64_t piece = i / cuts_.count, first_vector = i % cuts_.count * cuts_.each;
        int64_t last_vector = std::min(cuts_.vectors, first_vector + cuts_.each);
        T* into = sums + piece * size() + first_vector * vector_size();
        std::fill_n(into, (last_vector - first_vector) * vector_size(), T(0));
        for (int64_t part = piece * parts_each_; part < std::min(parts, (piece + 1) * parts_each_); ++part) {
          int64_t first = part / strips_.blocks * strips_.strip;
          int64_t last = std::min(first + strips_.strip, p_.rows());
          ConvBlock block = strips_.outputs(part % strips_.blocks);
          input.load(table_, x, first, last, block, cuts_.channels(p_, first_vector, loops_.lanes));
          Ahead ahead = after(x, y, last);
          const int64_t ask = ahead.share((last - first) * (last_vector - first_vector));
          for (int64_t v = first_vector; v < last_vector; ++v)
            add_rows(input, y, first, last, block, v, (v - first_vector) * loops_.lanes,
                     into + (v - first_vector) * vector_size(), ahead, ask);
        }
      }
    });
    unpack(sums, out);
    epilogue_.run_all(operands.subspan(2, operands.size() - 3), channels_ * p_.weight.first);
  }

 private:
  typename ConvInput<S>::InPlace in_place() const {
    using InPlace = typename ConvInput<S>::InPlace;
    return reads_in_place(p_, loops_.lanes) ? InPlace::always : InPlace::never;
  }

  // Sums leave the registers after a row of a block: it should be long.
  static constexpr int64_t kUnit = 8;

  // What the strip of rows from this one on reads, where it lies together.
  Ahead after(const S* x, const S* y, int64_t row) const {
    const ConvStrides &from = p_.x, &to = p_.y;
    const int64_t rows = input_.in_place() && cuts_.count == 1 && strips_.blocks == 1 && to.last == 1 &&
                                 to.spatial[2] == channels_ && to.spatial[1] == p_.axes[2].out * channels_
                             ? std::min(strips_.strip, p_.rows() - row)
                             : 0;
    ConvRow at(p_, row);
    const int64_t down = p_.axes[1].move * from.spatial[1];
    return Ahead(x + at.n * from.first + at.place[0] * p_.axes[0].move * from.spatial[0] + at.place[1] * down,
                 rows * down, y + at.n * to.first + at.place[0] * to.spatial[0] + at.place[1] * to.spatial[1],
                 rows * to.spatial[1]);
  }

  int64_t vector_size() const { return taps_.size() * loops_.lanes; }
  int64_t size() const { return cuts_.vectors * vector_size(); }

  void add_rows(const ConvInput<S>& input, const S* y, int64_t first, int64_t last, ConvBlock block, int64_t vector,
                int64_t lane, T* into, Ahead& ahead, int64_t ask) const {
    const ConvAxis& a = p_.axes[2];
    int64_t lanes = loops_.lanes, channel = vector * lanes, count = std::min<int64_t>(lanes, channels_ - channel);
    const int64_t apart = input.plane(block.end - block.begin);
    thread_local Arena rows;
    T* packed = reinterpret_cast<T*>(rows.get(size_t((block.end - block.begin + lanes) * lanes) * sizeof(T)));
    std::vector<const T*> at;
    for (int64_t row = first; row < last; ++row) {
      ahead.ask(ask);
      ConvRow place(p_, row);
      int64_t phase[3] = {place.place[0] % p_.axes[0].step, place.place[1] % p_.axes[1].step, 0};
      const S* from = y + place.n * p_.y.first + place.place[0] * p_.y.spatial[0] + place.place[1] * p_.y.spatial[1] +
                      block.begin * a.step * p_.y.spatial[2] + channel * p_.y.last;
      for (; phase[2] < int64_t(a.phases.size()); ++phase[2], from += p_.y.spatial[2]) {
        const ConvPhase& along = a.phases[size_t(phase[2])];
        int64_t outputs = std::min(block.end, along.count) - block.begin;
        if (outputs <= 0 || along.taps.empty()) continue;
        // Whole vectors of the cotangent are read where they lie.
        bool in_place = std::is_same_v<S, T> && !planar_ && count == lanes && p_.y.last == 1;
        int64_t steps = in_place ? outputs : pack(from, outputs, count, packed);
        const T* b = in_place ? reinterpret_cast<const T*>(from) : packed;
        int64_t step_b = in_place ? a.step * p_.y.spatial[2] : lanes;
        int64_t step_a = planar_ ? lanes : a.move * input.position();
        // Taps that follow each other in the sums go together.
        auto add = [&](int64_t from_step, int64_t to_step, bool all) {
          int64_t start = 0;
          auto flush = [&] {
            if (!at.empty())
              loops_.each_across(int(at.size()), at.data(), b + from_step * step_b, to_step - from_step, step_a, step_b,
                                 into + start * lanes);
            at.clear();
          };
          input.for_each_tap(row, [&](int64_t slot, int64_t d, int64_t h) {
            int64_t step = taps_.begin(phase, d, h);
            for (const ConvTap& tap : along.taps)
              for (int64_t plane = 0; plane < planes_; ++plane, ++step) {
                if (!all && !input.reaches(tap, block.begin + from_step)) continue;
                if (at.size() == size_t(loops_.rows) || step != start + int64_t(at.size())) flush();
                if (at.empty()) start = step;
                at.push_back(input.row(slot) + plane * apart + (tap.offset - a.lowest) * input.position() +
                             from_step * step_a + lane);
              }
          });
          flush();
        };
        auto [begin, end] = input.in_place() ? input.inside(along, block) : std::pair{int64_t(0), steps};
        if (begin < end) add(begin, end, true);
        // At the ends of a row, where taps are beyond it, one by one.
        for (int64_t i = 0; i < begin; ++i) add(i, i + 1, false);
        for (int64_t i = end; i < steps; ++i) add(i, i + 1, false);
      }
    }
  }

  // Outputs of a phase in rows of lanes; how many rows.
  int64_t pack(const S* from, int64_t outputs, int64_t count, T* to) const {
    int64_t step = p_.axes[2].step * p_.y.spatial[2], lanes = loops_.lanes;
    if (planar_) {
      int64_t rows = ceil_div(outputs, lanes);
      for (int64_t i = 0; i < outputs; ++i) to[i] = T(from[i * step]);
      std::fill(to + outputs, to + rows * lanes, T(0));
      return rows;
    }
    for (int64_t i = 0; i < outputs; ++i, from += step, to += lanes) {
      for (int64_t q = 0; q < count; ++q) to[q] = T(from[q * p_.y.last]);
      std::fill(to + count, to + lanes, T(0));
    }
    return outputs;
  }

  void unpack(const T* sums, S* out) const {
    const ConvStrides& w = p_.weight;
    std::fill_n(out, channels_ * w.first, S(0));
    auto total = [&](int64_t i) {
      T sum = sums[i];
      for (int64_t s = 1; s < sums_; ++s) sum += sums[s * size() + i];
      return sum;
    };
    taps_.for_each([&](int64_t step, int64_t d, int64_t h, int64_t k) {
      S* at = out + d * w.spatial[0] + h * w.spatial[1] + k * w.spatial[2];
      if (planar_) {
        T sum = 0;
        for (int64_t q = 0; q < loops_.lanes; ++q) sum += total(step * loops_.lanes + q);
        *at = S(sum);
        return;
      }
      for (int64_t plane = 0; plane < planes_; ++plane, ++step, at += w.last)
        for (int64_t c = 0; c < channels_; ++c)
          at[c * w.first] = S(total(c / loops_.lanes * vector_size() + step * loops_.lanes + c % loops_.lanes));
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
  int64_t sums_, parts_each_;
  ConvEpilogue epilogue_;
};

}  // namespace

template <class S>
std::unique_ptr<HostKernel> make_lane_conv_weight(const ConvProblem& p, const KernelProgram* epilogue) {
  if (!goes_by_lanes(p, conv_table()->loops<ConvSum<S>>().lanes)) return nullptr;
  return std::make_unique<LaneConvWeight<S>>(p, epilogue);
}
template std::unique_ptr<HostKernel> make_lane_conv_weight<float>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_lane_conv_weight<double>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_lane_conv_weight<float16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_lane_conv_weight<bfloat16_t>(const ConvProblem&, const KernelProgram*);

}  // namespace funcnn::cpu
