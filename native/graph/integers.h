// What derivatives do where integers come in.
#pragma once

#include "base/dtype.h"
#include "graph/primitive.h"

namespace funcnn {

// While alive, on this thread: values of every dtype have derivatives, of that dtype, and one by an index is an error;
// MLX's rules, for its shim. Otherwise only inexact values have any, and all others are constants.
class IntegersMove {
 public:
  IntegersMove();
  ~IntegersMove();
  IntegersMove(const IntegersMove&) = delete;
  static bool now();

 private:
  bool before_;
};

// Whether values of this dtype have derivatives.
bool has_derivative(Dtype dtype);
// Raise that a primitive has no derivative by its operands, since its results are indices; where derivatives move with
// integers it is zero, and null is returned for each operand.
Arrays derivative_of_indices(const Primitive& primitive, size_t operands);
// Raise where derivatives move with integers and one by an index of `primitive` is wanted. `which` is for the message.
void check_indices(const Primitive& primitive, std::span<const bool> wanted, const char* which);

}  // namespace funcnn
