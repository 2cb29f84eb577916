// The gradient of a convolution by its weight, by tiles: elements of a row of the input by a panel of the channels of
// the result, summed over positions. Pieces of the positions have sums of their own, which are added in order.
#include <vector>

#include "backends/cpu/conv_input.h"
#include "backends/cpu/conv_kernels.h"
#include "backends/cpu/conv_taps.h"

namespace funcnn::cpu {
namespace {

template <class S>
class TiledConvWeight final : public HostKernel {
 public:
  using T = ConvSum<S>;

  TiledConvWeight(const ConvProblem& problem, const KernelProgram* epilogue)
      : table_(*conv_table()),
        loops_(table_.loops<T>()),
        p_(problem),
        input_(p_, p_.in_channels, ConvInput<S>::InPlace::unpadded, 0),
        taps_(p_, p_.in_channels, input_.position()),
        strips_(p_, kUnit, p_.in_channels * int64_t(sizeof(T)), p_.out_channels * int64_t(sizeof(T))),
        epilogue_(epilogue) {
    panels_ = ceil_div(p_.out_channels, loops_.panel);
    int64_t pieces = wanted_pieces(p_.work()), parts = strips_.strips * strips_.blocks;
    // Pieces of the positions read each operand once, but have sums of their own: where these are small beside it.
    int64_t cuts = std::clamp<int64_t>(ceil_div(pieces, p_.groups), 1, panels_);
    if (parts >= pieces && pieces * size() * 4 <= elements()) cuts = 1;
    panels_each_ = ceil_div(panels_, cuts);
    cuts_ = ceil_div(panels_, panels_each_);
    sums_ = std::clamp<int64_t>(ceil_div(pieces, p_.groups * cuts_), 1, parts);
    parts_each_ = ceil_div(parts, sums_);
    sums_ = ceil_div(parts, parts_each_);
  }

  // The sums of each piece.
  size_t scratch_bytes() const override { return conv_bytes<T>(sums_ * size()); }

  void run(std::span<std::byte* const> operands) override {
    const S* x = reinterpret_cast<const S*>(operands[0]);
    const S* y = reinterpret_cast<const S*>(operands[1]);
    S* out = reinterpret_cast<S*>(operands[2]);
    T* sums = aligned_scratch<T>(operands.back());
    int64_t parts = strips_.strips * strips_.blocks;
    parallel_for(sums_ * p_.groups * cuts_, 1, [&](int64_t begin, int64_t end) {
      ConvInput<S> input = input_;
      for (int64_t i = begin; i < end; ++i) {
        int64_t cut = i % cuts_, group = i / cuts_ % p_.groups, piece = i / cuts_ / p_.groups;
        int64_t first = cut * panels_each_, last = std::min(panels_, first + panels_each_);
        T* into = sums + piece * size() + (group * panels_ + first) * panel_size();
        std::fill_n(into, (last - first) * panel_size(), T(0));
        for (int64_t part = piece * parts_each_; part < std::min(parts, (piece + 1) * parts_each_); ++part)
          add_part(input, x, y, part, group, first, last, into);
      }
    });
    parallel_for(size(), 8192, [&](int64_t begin, int64_t end) {
      for (int64_t s = 1; s < sums_; ++s)
        for (int64_t i = begin; i < end; ++i) sums[i] += sums[s * size() + i];
    });
    unpack(sums, out);
    epilogue_.run_all(operands.subspan(2, operands.size() - 3), p_.groups * p_.out_channels * p_.weight.first);
  }

 private:
  // Sums leave the registers after a row of a block: it should be long.
  static constexpr int64_t kUnit = 8;

  int64_t panel_size() const { return taps_.size() * loops_.panel; }
  int64_t size() const { return p_.groups * panels_ * panel_size(); }
  // Of the input and the cotangent.
  int64_t elements() const {
    int64_t in = p_.n, out = p_.n;
    for (const ConvAxis& a : p_.axes) {
      in *= a.in;
      out *= a.out;
    }
    return p_.groups * (in * p_.in_channels + out * p_.out_channels);
  }

  // A row of the input beside a row of outputs.
  struct Pair {
    int64_t slot, row, d, h;
  };

  void add_part(ConvInput<S>& input, const S* x, const S* y, int64_t part, int64_t group, int64_t first_panel,
                int64_t last_panel, T* into) const {
    int64_t first = part / strips_.blocks * strips_.strip, last = std::min(first + strips_.strip, p_.rows());
    ConvBlock block = strips_.outputs(part % strips_.blocks);
    input.load(table_, x, first, last, block, {group * p_.in_channels, p_.in_channels, 1, p_.in_channels});
    // What meets each tap along the axes in front.
    thread_local std::vector<std::vector<Pair>> pairs;
    if (int64_t(pairs.size()) < taps_.rows()) pairs.resize(size_t(taps_.rows()));
    for (int64_t i = 0; i < taps_.rows(); ++i) pairs[size_t(i)].clear();
    for (int64_t row = first; row < last; ++row) {
      int64_t phase[3];
      phases_of(row, phase);
      input.for_each_tap(row, [&](int64_t slot, int64_t d, int64_t h) {
        pairs[size_t(taps_.row(phase, d, h))].push_back({slot, row, d, h});
      });
    }
    thread_local Arena panel;
    const ConvAxis& a = p_.axes[2];
    int64_t length = block.end - block.begin, row_size = int64_t(a.phases.size()) * length * loops_.panel;
    T* packed = reinterpret_cast<T*>(panel.get(size_t((last - first) * row_size) * sizeof(T)));
    for (int64_t j = first_panel; j < last_panel; ++j, into += panel_size()) {
      int64_t channel = group * p_.out_channels + j * loops_.panel;
      int64_t columns = std::min<int64_t>(loops_.panel, p_.out_channels - j * loops_.panel);
      for (int64_t row = first; row < last; ++row)
        pack(y + channel * p_.y.last, row, block, columns, packed + (row - first) * row_size);
      for (int64_t i = 0; i < taps_.rows(); ++i)
        if (!pairs[size_t(i)].empty()) add(input, pairs[size_t(i)], first, block, packed, row_size, columns, into);
    }
  }

  void phases_of(int64_t row, int64_t phase[3]) const {
    ConvRow at(p_, row);
    phase[0] = at.place[0] % p_.axes[0].step;
    phase[1] = at.place[1] % p_.axes[1].step;
    phase[2] = 0;
  }

  // A row of the cotangent, each phase with its outputs in rows of `panel`.
  void pack(const S* y, int64_t row, ConvBlock block, int64_t columns, T* to) const {
    const ConvAxis& a = p_.axes[2];
    ConvRow at(p_, row);
    const S* from = y + at.n * p_.y.first + at.place[0] * p_.y.spatial[0] + at.place[1] * p_.y.spatial[1] +
                    block.begin * a.step * p_.y.spatial[2];
    for (size_t phase = 0; phase < a.phases.size(); ++phase) {
      int64_t outputs = std::min(block.end, a.phases[phase].count) - block.begin;
      if (outputs > 0)
        table_.packing<S>().pack({from + int64_t(phase) * p_.y.spatial[2], a.step * p_.y.spatial[2], p_.y.last},
                                 outputs, columns, to);
      to += (block.end - block.begin) * loops_.panel;
    }
  }

  // The sums for one tap along the axes in front.
  void add(const ConvInput<S>& input, const std::vector<Pair>& pairs, int64_t first, ConvBlock block, const T* packed,
           int64_t row_size, int64_t columns, T* into) const {
    const ConvAxis& a = p_.axes[2];
    thread_local std::vector<ConvRun<T>> runs;
    int64_t phase[3];
    phases_of(pairs[0].row, phase);
    for (; phase[2] < int64_t(a.phases.size()); ++phase[2]) {
      int64_t outputs = std::min(block.end, a.phases[size_t(phase[2])].count) - block.begin;
      if (outputs <= 0) continue;
      const ConvTaps::Runs& along = taps_.runs(phase[2]);
      T* c = into + taps_.begin(phase, pairs[0].d, pairs[0].h) * loops_.panel;
      for (int64_t offset : along.offsets) {
        runs.clear();
        for (const Pair& pair : pairs) {
          int64_t at = (pair.row - first) * row_size + phase[2] * (block.end - block.begin) * loops_.panel;
          runs.push_back({input.row(pair.slot) + offset, packed + at, outputs});
        }
        for_each_tile(along.length, loops_.rows, [&](int64_t at, int rows) {
          loops_.across(rows, columns, runs.data(), int64_t(runs.size()), at, a.move * input.position(),
                        c + at * loops_.panel);
        });
        c += along.length * loops_.panel;
      }
    }
  }

  void unpack(const T* sums, S* out) const {
    const ConvStrides& w = p_.weight;
    bool complete = p_.axes[0].complete && p_.axes[1].complete && p_.axes[2].complete;
    parallel_for(p_.groups * panels_, 1, [&](int64_t begin, int64_t end) {
      std::vector<T> turned;
      for (int64_t i = begin; i < end; ++i) {
        int64_t channel = i % panels_ * loops_.panel;
        int64_t columns = std::min<int64_t>(loops_.panel, p_.out_channels - channel);
        S* to = out + (i / panels_ * p_.out_channels + channel) * w.first;
        if (!complete) std::fill_n(to, columns * w.first, S(0));
        taps_.for_each([&](int64_t step, int64_t d, int64_t h, int64_t k) {
          const T* from = sums + i * panel_size() + step * loops_.panel;
          S* at = to + d * w.spatial[0] + h * w.spatial[1] + k * w.spatial[2];
          if constexpr (std::is_same_v<S, T>) {
            table_.packing<S>().unpack(from, p_.in_channels, columns, at, w.first);
          } else {
            turned.resize(size_t(columns * p_.in_channels));
            table_.packing<S>().unpack(from, p_.in_channels, columns, turned.data(), p_.in_channels);
            narrow_rows(turned.data(), columns, p_.in_channels, p_.in_channels, at, w.first);
          }
        });
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
  int64_t sums_, parts_each_;
  ConvEpilogue epilogue_;
};

}  // namespace

template <class S>
std::unique_ptr<HostKernel> make_tiled_conv_weight(const ConvProblem& problem, const KernelProgram* epilogue) {
  return std::make_unique<TiledConvWeight<S>>(problem, epilogue);
}
template std::unique_ptr<HostKernel> make_tiled_conv_weight<float>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_tiled_conv_weight<double>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_tiled_conv_weight<float16_t>(const ConvProblem&, const KernelProgram*);
template std::unique_ptr<HostKernel> make_tiled_conv_weight<bfloat16_t>(const ConvProblem&, const KernelProgram*);

}  // namespace funcnn::cpu
