// A plan whose values are so small that finding memory for each takes longer than computing it: they lie close together
// in a few blocks, at places that are known before it runs.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "plan/host_work.h"
#include "plan/plan.h"

namespace funcnn {

class PackedPlan {
 public:
  // Values that are not small take no more than this altogether.
  static constexpr size_t kMostBytes = size_t(1) << 15;
  // Results live as long as the last one of those that they share a block with: no more than this.
  static constexpr size_t kSharedBytes = 1024;
  // Larger ones are not small, and have a block of their own.
  static constexpr size_t kSmallResult = 256;

  // How a plan runs, or null.
  static const PackedPlan* of(const Plan& plan) { return plan.packed_.get(); }
  // Null where values are larger, overwrite a leaf, are on other devices than the host, or would take more memory than
  // one by one.
  static std::unique_ptr<PackedPlan> make(const Plan& plan);

  void encode(const Plan& plan, std::span<const Storage* const> leaves, Results results) const;

  // Whether `run` will do: a short while of fused work, whose results are all new.
  bool is_short() const { return short_; }
  // The same as `encode` where the host has all: `leaves` are where they lie, and results are in `blocks` then.
  using Blocks = SmallVector<Ref<Buffer>, 32>;
  void run(const Plan& plan, std::span<std::byte* const> leaves, Blocks& blocks) const;
  // So many bytes after the start of which.
  std::pair<size_t, int64_t> place(size_t result) const {
    return {size_t(results_[result].from), results_[result].offset};
  }
  // Count the references of all results on their blocks, and let go of `blocks`.
  void give_away(Blocks& blocks) const;

 private:
  // What is computed without letting anybody else go on: some tens of microseconds, or no longer than it takes to make
  // the arrays of the results.
  static constexpr double kShort = 1e6, kShortResult = 1500;

  // So many bytes after the start of a block, or of a leaf (-1 - its number).
  struct Source {
    int from = 0;
    int64_t offset = 0;
  };
  struct Launch {
    size_t step, count;        // of the plan
    size_t operands, bound;    // the first, and how many
    HostWork* work = nullptr;  // how it runs at once, if it can
  };

  std::vector<size_t> blocks_;        // their bytes
  std::vector<uint32_t> results_in_;  // blocks: how many
  std::vector<Source> operands_;
  std::vector<Launch> launches_;
  std::vector<Source> results_;
  double cost_ = 0;
  bool short_ = false;
};

}  // namespace funcnn
