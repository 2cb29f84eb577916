// The kernel of a convolution in the order in which its tiles go over it: for each phase of the output one after
// another, its taps with the channels of each.
#pragma once

#include <vector>

#include "backends/cpu/conv.h"

namespace funcnn::cpu {

class ConvTaps {
 public:
  // `position`: elements from a position of the input to the next. Taps along a row whose channels follow each other
  // become one run.
  ConvTaps(const ConvProblem& p, int64_t channels, int64_t position) : p_(p), channels_(channels) {
    for (int d = 0; d < 3; ++d) {
      int64_t sum = 0;
      for (const ConvPhase& phase : p.axes[d].phases) {
        first_[d].push_back(sum);
        sum += int64_t(phase.taps.size());
      }
      total_[d] = sum;
    }
    for (const ConvPhase& phase : p.axes[2].phases) {
      Runs runs;
      const auto& taps = phase.taps;
      bool joined = position == channels;
      for (size_t k = 1; k < taps.size(); ++k) joined = joined && taps[k].offset == taps[k - 1].offset + 1;
      for (size_t k = 0; k < (joined ? std::min<size_t>(1, taps.size()) : taps.size()); ++k)
        runs.offsets.push_back((taps[k].offset - p.axes[2].lowest) * position);
      runs.length = joined ? int64_t(taps.size()) * channels : channels;
      runs_.push_back(std::move(runs));
    }
  }

  struct Runs {
    std::vector<int64_t> offsets;  // in a row of the input
    int64_t length;
  };
  const Runs& runs(int64_t phase) const { return runs_[size_t(phase)]; }

  // The number of a tap along the axes in front, and how many there are.
  int64_t row(const int64_t phase[3], int64_t d, int64_t h) const {
    return (first_[0][size_t(phase[0])] + d) * total_[1] + first_[1][size_t(phase[1])] + h;
  }
  int64_t rows() const { return total_[0] * total_[1]; }

  // Steps of the sum, all phases together.
  int64_t size() const { return total_[0] * total_[1] * total_[2] * channels_; }
  // The step at which a tap along the axes in front begins, for a phase of each axis.
  int64_t begin(const int64_t phase[3], int64_t d, int64_t h) const {
    auto taps = [&](int axis) { return int64_t(p_.axes[axis].phases[size_t(phase[axis])].taps.size()); };
    auto first = [&](int axis) { return first_[axis][size_t(phase[axis])]; };
    int64_t start = first(0) * total_[1] * total_[2] + taps(0) * (first(1) * total_[2] + taps(1) * first(2));
    return (start + (d * taps(1) + h) * taps(2)) * channels_;
  }

  // f(step, d, h, w) for each tap: places in the weight, and the step at which its channels begin.
  template <class F>
  void for_each(F&& f) const {
    int64_t phase[3];
    for (phase[0] = 0; phase[0] < phases(0); ++phase[0])
      for (phase[1] = 0; phase[1] < phases(1); ++phase[1])
        for (phase[2] = 0; phase[2] < phases(2); ++phase[2]) {
          const auto &td = taps(0, phase[0]), &th = taps(1, phase[1]), &tw = taps(2, phase[2]);
          for (size_t i = 0; i < td.size(); ++i)
            for (size_t j = 0; j < th.size(); ++j) {
              int64_t step = begin(phase, int64_t(i), int64_t(j));
              for (const ConvTap& tap : tw) {
                f(step, td[i].at, th[j].at, tap.at);
                step += channels_;
              }
            }
        }
  }

 private:
  int64_t phases(int axis) const { return int64_t(p_.axes[axis].phases.size()); }
  const std::vector<ConvTap>& taps(int axis, int64_t phase) const { return p_.axes[axis].phases[size_t(phase)].taps; }

  const ConvProblem& p_;
  int64_t channels_;
  std::vector<int64_t> first_[3];
  int64_t total_[3];
  std::vector<Runs> runs_;
};

}  // namespace funcnn::cpu
