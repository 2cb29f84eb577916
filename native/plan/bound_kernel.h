// Kernels made ready for the steps of a loop around them.
#pragma once

#include <cstdint>

#include "plan/backend.h"

namespace funcnn {

// Where a value lies in each step: in two places by turns, and so many bytes further on with each step.
struct Course {
  Operand places[2];
  int64_t stride = 0;
  bool lasting = false;  // it has the same elements in all steps

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
  // Whether it lies at one place.
  bool stays() const;
  // What lies so many bytes after its first element.
  Course shifted(int64_t bytes) const;
  static Course lasts(const Operand& fixed) {
    Course course(fixed);
    course.lasting = true;
    return course;
  }
};
bool operator==(const Course& a, const Course& b);

// A kernel that runs plans, with their memory and its own, on operands that were named before.
class BoundKernel {
 public:
  virtual ~BoundKernel() = default;
  virtual void encode(int64_t step) = 0;
};

}  // namespace funcnn
