#include "graph/integers.h"

#include "base/error.h"

namespace funcnn {
namespace {

thread_local bool integers_move = false;

}  // namespace

IntegersMove::IntegersMove() : before_(integers_move) { integers_move = true; }
IntegersMove::~IntegersMove() { integers_move = before_; }
bool IntegersMove::now() { return integers_move; }

bool has_derivative(Dtype dtype) { return is_inexact(dtype) || integers_move; }

Arrays derivative_of_indices(const Primitive& primitive, size_t operands) {
  if (!integers_move) throw_not_differentiable(primitive, "wrap the indices in stop_gradient");
  return Arrays(operands);
}

void check_indices(const Primitive& primitive, std::span<const bool> wanted, const char* which) {
  if (!integers_move) return;
  std::string_view name = primitive.name();
  size_t first = name == "gather" ? 1 : name == "scatter" || name == "gather_dot" ? 2 : wanted.size();
  for (size_t i = first; i < wanted.size(); ++i)
    if (wanted[i])
      throw ValueError(cat(name, ": there is no ", which,
                           " with respect to indices; put stop_gradient around them to treat them as constants"));
}

}  // namespace funcnn
