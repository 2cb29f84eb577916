// A plan on memory that it keeps from step to step of a loop: its operands are found once, and a step does no more than
// move those that move and start the kernels.
#pragma once

#include <span>
#include <vector>

#include "plan/plan.h"

namespace funcnn {

// Where a value lies in each step: in two places by turns, and so many bytes further on with each step.
struct Course {
  Operand places[2];
  int64_t stride = 0;

  Course() = default;
  explicit Course(const Operand& fixed) : places{fixed, fixed} {}
  Course(const Operand& even, const Operand& odd) : places{even, odd} {}
  Course(const Operand& first, int64_t stride) : places{first, first}, stride(stride) {}
  explicit operator bool() const { return places[0].buffer || places[0].scalar; }
  Operand at(int64_t step) const {
    Operand place = places[step & 1];
    place.offset += step * stride;
    return place;
  }
  // What lies so many bytes after its first element.
  Course shifted(int64_t bytes) const;
};
bool operator==(const Course& a, const Course& b);

class BoundPlan {
 public:
  // `prepared` is what `Plan::prepare` gave; `places` are those of results that can be placed, or none. Whatever is
  // named outlives this. Leaves are never taken over.
  BoundPlan(const Plan& plan, std::span<const Course> leaves, std::span<const Ref<Buffer>> prepared,
            std::span<const Course> places);
  // Memory is held for a whole loop that would otherwise go back after each step. Where a step works on more than this,
  // it takes much longer than finding its operands.
  static constexpr size_t kMostBytes = size_t(1) << 16;
  // Whether a plan can be bound, and takes no more memory than the gain is worth.
  static bool fits(const Plan& plan);
  // No more than what it takes.
  static size_t bytes(const Plan& plan);

  void encode(int64_t step);
  // Where a captured result lies; its strides are those of the plan.
  const Course& result(size_t r) const { return results_[r]; }

 private:
  struct Launch {
    std::span<const Plan::Step> steps;
    size_t first, count;  // of its operands
  };
  struct Moving {
    size_t operand;
    Course course;
  };
  Ref<Buffer> take(DeviceMemory& memory, size_t bytes);

  const Plan* plan_;
  std::vector<Launch> launches_;
  std::vector<Operand> operands_[2];  // in even steps, and in odd ones
  std::vector<Moving> moving_;
  std::vector<Course> results_;
  std::vector<Ref<Buffer>> buffers_, free_;
  double effort_ = 0;
};

}  // namespace funcnn
