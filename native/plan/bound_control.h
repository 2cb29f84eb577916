// Loops and branches that run in the steps of another loop, on memory that stays.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "plan/loop_body.h"

namespace funcnn {

// Operands that lie elsewhere from step to step are copied to one place before a loop or branch runs, or from there
// afterwards.
class FixedOperands {
 public:
  explicit FixedOperands(Backend& backend) : backend_(&backend) {}

  // Where an input lies meanwhile, in memory of its own if it moves or `copies`; nothing where it cannot be copied as
  // it lies.
  std::optional<Course> input(const Layout& layout, const Course& from, bool copies = false);
  // The same in memory of its own, which `copy` fills.
  Course copied(const Copy& copy, size_t bytes, const Course& from);
  Course fresh(size_t bytes);
  // Where a dense output lies meanwhile, and one that is somewhere in the end.
  Course output(const Layout& layout, const Course& to);
  void bring(const Layout& layout, const Course& from, const Course& to);
  // Bytes of memory of its own.
  size_t bytes() const { return bytes_; }

  void before(int64_t step) { before_.encode(step); }
  void after(int64_t step) { after_.encode(step); }

 private:
  Backend* backend_;
  BoundPlan before_, after_;
  std::vector<Ref<Buffer>> memory_;
  std::deque<Copy> copies_;  // their layouts are looked at later
  size_t bytes_ = 0;
};

// The body of such a loop. What depends on its constants alone is computed before each run, or once where they last.
class BoundSteps {
 public:
  // `inputs` are carries and elements of sequences, then constants from number `constants` on; the rest as of
  // BoundBody.
  BoundSteps(const Body& body, std::span<const Course> inputs, size_t constants, std::span<const Course> to,
             std::span<const int> goes_to, int64_t alignment);
  // Before the first step of a run.
  void begin() {
    if (!prepares_) return;
    constants_.encode(0);
    prepares_ = !last_;
  }
  int64_t encode(int64_t step, int64_t most) { return body_.encode(step, most); }
  void follow(const BoundSteps& next) { body_.follow(next.body_); }
  Operand output(size_t index, int64_t step) const { return body_.output(index, step); }

 private:
  BoundPlan constants_;
  bool prepares_, last_;
  BoundBody body_;
};

}  // namespace funcnn
