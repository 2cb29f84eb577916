// Convolutions of bfloat16 as products by tiles of AMX, which multiply so much faster than anything else that bringing
// the input together pays: what each of some outputs meets is a row of the left operand.
#include <cstring>
#include <vector>

#include "backends/cpu/amx.h"
#include "backends/cpu/arena.h"
#include "backends/cpu/conv_kernels.h"
#include "backends/cpu/copy.h"

namespace funcnn::cpu {
namespace {

using S = bfloat16_t;
thread_local Arena room_of_thread;

constexpr int64_t kAbsent = INT64_MIN;  // of a tap that meets nothing

class GatheredConv final : public HostKernel {
 public:
  GatheredConv(const ConvProblem& problem, const GemmOf<S>& products, const KernelProgram* epilogue)
      : products_(products),
        p_(problem),
        k_(depth(p_)),
        strips_(p_, kAmxSide, p_.in_channels * int64_t(sizeof(S)), p_.groups * p_.out_channels * int64_t(sizeof(S))),
        epilogue_(epilogue) {
    for (int d = 0; d < 3; ++d) {
      offsets_[d].assign(size_t(p_.axes[d].kernel), kAbsent);
      for (const ConvTap& tap : p_.axes[d].phases[0].taps) offsets_[d][size_t(tap.at)] = tap.offset;
    }
    const ConvAxis& a = p_.axes[2];
    const int64_t last = (a.out - 1) * a.move;
    in_place_ = a.kernel * p_.axes[1].kernel * p_.axes[0].kernel == 1 && a.complete && a.lowest >= 0 &&
                last + a.highest < a.in && (strips_.blocks > 1 || p_.rows() == 1);
    // Taps along a row that follow each other in memory.
    joined_ = p_.x.spatial[2] == p_.in_channels;
    for (int64_t t = 1; t < a.kernel; ++t)
      joined_ &= offsets_[2][size_t(t - 1)] != kAbsent && offsets_[2][size_t(t)] == offsets_[2][size_t(t - 1)] + 1;
    dense_weight_ = p_.weight.last == 1;
    int64_t step = p_.in_channels;
    for (int d = 2; d >= 0; --d) {
      dense_weight_ &= p_.axes[d].kernel == 1 || p_.weight.spatial[d] == step;
      step *= p_.axes[d].kernel;
    }
    if (!dense_weight_) {
      Shape shape{p_.groups * p_.out_channels, p_.axes[0].kernel, p_.axes[1].kernel, p_.axes[2].kernel, p_.in_channels};
      const ConvStrides& w = p_.weight;
      copy_ = StridedCopy(shape, {w.first, w.spatial[0], w.spatial[1], w.spatial[2], w.last}, contiguous_strides(shape),
                          sizeof(S));
    }
    panels_ = ceil_div(p_.out_channels, products_.packing.panel);
    const int64_t items = strips_.strips * strips_.blocks * p_.groups;
    panels_each_ = ceil_div(panels_, std::clamp<int64_t>(wanted_pieces(p_.work()) / items, 1, panels_));
    cuts_ = ceil_div(panels_, panels_each_);
    // Rows that are brought together stay in the second-level cache.
    constexpr int64_t cached = 256 << 10;
    together_ = std::clamp(cached / (2 * k_) / kAmxSide * kAmxSide, kAmxSide, kAmxRows);
  }

  // Channels of inputs for an output.
  static int64_t depth(const ConvProblem& p) {
    return p.axes[0].kernel * p.axes[1].kernel * p.axes[2].kernel * p.in_channels;
  }

  // The weight in panels, and dense.
  size_t scratch_bytes() const override {
    return size_t(p_.groups) * packed_bytes() + 64 +
           (dense_weight_ ? 0 : size_t(p_.groups * p_.out_channels * k_) * sizeof(S));
  }

  void run(std::span<std::byte* const> operands) override {
    const S* x = reinterpret_cast<const S*>(operands[0]);
    const S* weight = reinterpret_cast<const S*>(operands[1]);
    S* y = reinterpret_cast<S*>(operands[2]);
    std::byte* packed = aligned_scratch<std::byte>(operands.back());
    std::span<std::byte* const> results = operands.subspan(2, operands.size() - 3);
    pack(weight, packed);
    const int64_t parts = strips_.strips * strips_.blocks, pieces = p_.groups * cuts_;
    epilogue_.start(parts, pieces);
    parallel_for(parts * pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i / pieces, group = i % pieces / cuts_, cut = i % cuts_;
        const int64_t first = part / strips_.blocks * strips_.strip;
        const int64_t last = std::min(first + strips_.strip, p_.rows()), out = p_.axes[2].out;
        const ConvBlock block = strips_.outputs(part % strips_.blocks);
        const S* from = x + group * p_.in_channels;
        const PackedMatrix right{packed + size_t(group) * packed_bytes(), p_.out_channels, cut * panels_each_};
        S* to = y + group * p_.out_channels;
        if (strips_.blocks == 1) {
          compute(from, first * out, last * out, right, to);
        } else {
          for (int64_t row = first; row < last; ++row)
            compute(from, row * out + block.begin, row * out + std::min(block.end, out), right, to);
        }
        if (epilogue_.finished(part)) epilogue_.run(p_, results, first, last, block);
      }
    });
  }

 private:
  size_t packed_bytes() const { return products_.packing.bytes(p_.out_channels, k_); }

  void pack(const S* weight, std::byte* packed) const {
    int64_t channel = p_.weight.first;
    if (!dense_weight_) {
      std::byte* dense = packed + size_t(p_.groups) * packed_bytes();
      copy_.run(reinterpret_cast<const std::byte*>(weight), dense);
      weight = reinterpret_cast<const S*>(dense);
      channel = k_;
    }
    const int64_t grain = std::max<int64_t>(1, 16384 / (products_.packing.panel * k_));
    parallel_for(p_.groups * panels_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / panels_, panel = i % panels_;
        products_.packing.pack({weight + group * p_.out_channels * channel, 1, channel}, p_.out_channels, k_, panel,
                               panel + 1, packed + size_t(group) * packed_bytes());
      }
    });
  }

  // Outputs [begin, end), counted through all rows, for panels from right.first on.
  void compute(const S* x, int64_t begin, int64_t end, PackedMatrix right, S* y) const {
    const int64_t channels = p_.groups * p_.out_channels, first = right.first * products_.packing.panel;
    const int64_t columns = std::min(panels_each_ * products_.packing.panel, p_.out_channels - first);
    const size_t rows_bytes = in_place_ ? 0 : size_t(together_ * k_) * sizeof(S);
    const int64_t most = in_place_ ? end - begin : together_;
    std::byte* room = room_of_thread.get(rows_bytes + gemm_room(most, columns, k_, sizeof(S)));
    S* rows = reinterpret_cast<S*>(room);
    for (int64_t at = begin; at < end; at += most) {
      const int64_t count = std::min(most, end - at);
      MatrixView<S> left{rows, k_, 1};
      if (in_place_) {
        left = {row_of(x, at / p_.axes[2].out, 0, 0), p_.axes[2].move * p_.x.spatial[2], 1};
        // A row of the output may meet nothing but padding.
        if (!left.data) {
          for (int64_t i = at; i < at + count; ++i) std::fill_n(y + i * channels + first, columns, S(0));
          continue;
        }
        left.data += (at % p_.axes[2].out * p_.axes[2].move + offsets_[2][0]) * p_.x.spatial[2];
      } else {
        gather(x, at, count, rows);
      }
      products_.rounded.multiply_packed(count, columns, k_, left, right, y + at * channels + first, channels,
                                        room + rows_bytes);
    }
  }

  // The row of the input that a row of outputs meets by taps (d, h); null in the padding.
  const S* row_of(const S* x, int64_t row, int64_t d, int64_t h) const {
    const int64_t places[2] = {row / p_.axes[1].out % p_.axes[0].out, row % p_.axes[1].out}, taps[2] = {d, h};
    x += row / (p_.axes[0].out * p_.axes[1].out) * p_.x.first;
    for (int i = 0; i < 2; ++i) {
      const int64_t offset = offsets_[i][size_t(taps[i])], at = places[i] * p_.axes[i].move + offset;
      if (offset == kAbsent || at < 0 || at >= p_.axes[i].in) return nullptr;
      x += at * p_.x.spatial[i];
    }
    return x;
  }

  // What `count` outputs meet: tap by tap, zeros for padding.
  void gather(const S* x, int64_t first, int64_t count, S* out) const {
    const ConvAxis& a = p_.axes[2];
    const int64_t width = a.kernel * p_.in_channels;
    const std::vector<int64_t>& offsets = offsets_[2];
    for (int64_t at = first; at < first + count;) {
      const int64_t row = at / a.out, begin = at % a.out, end = std::min(a.out, begin + first + count - at);
      S* to = out + (at - first) * k_;
      for (int64_t d = 0; d < p_.axes[0].kernel; ++d)
        for (int64_t h = 0; h < p_.axes[1].kernel; ++h, to += width) {
          const S* from = row_of(x, row, d, h);
          for (int64_t o = begin; o < end; ++o) {
            S* line = to + (o - begin) * k_;
            if (!from) {
              std::fill_n(line, width, S());
              continue;
            }
            const int64_t place = o * a.move;
            if (joined_ && place + offsets.front() >= 0 && place + offsets.back() < a.in) {
              std::memcpy(line, from + (place + offsets.front()) * p_.in_channels, size_t(width) * sizeof(S));
              continue;
            }
            for (int64_t t = 0; t < a.kernel; ++t, line += p_.in_channels) {
              const int64_t offset = offsets[size_t(t)], i = place + offset;
              if (offset == kAbsent || i < 0 || i >= a.in)
                std::fill_n(line, p_.in_channels, S());
              else
                std::memcpy(line, from + i * p_.x.spatial[2], size_t(p_.in_channels) * sizeof(S));
            }
          }
        }
      at += end - begin;
    }
  }

  const GemmOf<S>& products_;
  ConvProblem p_;
  int64_t k_;
  ConvStrips strips_;
  std::vector<int64_t> offsets_[3];
  StridedCopy copy_;
  int64_t panels_, panels_each_, cuts_, together_;
  bool in_place_, joined_, dense_weight_;
  ConvEpilogue epilogue_;
};

}  // namespace

std::unique_ptr<HostKernel> make_gathered_conv(const ConvProblem& problem, const KernelProgram* epilogue) {
  // Few channels would leave tiles empty, and holes in the input are not worth bringing together.
  constexpr int64_t least_channels = 16;
  constexpr double least_work = 1e6;
  const GemmOf<S>* products = amx_use() == AmxUse::off ? nullptr : products_of<S>();
  const bool fits = problem.x.last == 1 && problem.out_channels >= least_channels &&
                    GatheredConv::depth(problem) >= kAmxStep && problem.work() >= least_work;
  if (!products || !fits) return nullptr;
  for (const ConvAxis& a : problem.axes)
    if (a.step != 1) return nullptr;
  return std::make_unique<GatheredConv>(problem, *products, epilogue);
}

}  // namespace funcnn::cpu
