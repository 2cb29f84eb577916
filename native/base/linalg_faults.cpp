#include "base/linalg_faults.h"

#include "base/linalg_error.h"

namespace funcnn {

bool Faults::note(int64_t index, Verdict verdict) {
  if (!verdict.refused()) return false;
  std::lock_guard lock(mutex_);
  if (fault_ == Fault::none || index < index_) {
    index_ = index;
    fault_ = verdict.fault;
    place_ = verdict.place;
  }
  return true;
}

void Faults::raise(const std::string& op, const Shape& shape) const {
  if (fault_ == Fault::none) return;
  Shape lead(shape.begin(), shape.end() - 2), at(lead.size());
  int64_t index = index_;
  for (size_t d = lead.size(); d-- > 0;) {
    at[d] = index % lead[d];
    index /= lead[d];
  }
  std::string which =
      lead.empty() ? cat("the matrix of shape ", shape) : cat("the matrix at ", at, " of an array of shape ", shape);
  switch (fault_) {
    case Fault::none:
      break;
    case Fault::not_finite:
      throw LinAlgError(cat(op, ": ", which, " has elements that are infinite or NaN"));
    case Fault::singular:
      throw LinAlgError(cat(op, ": ", which, " is singular (pivot ", place_,
                            " is zero); for a solution in the sense of least squares see lstsq and pinv"));
    case Fault::not_positive:
      throw LinAlgError(
          cat(op, ": ", which, " is not positive definite (its leading ", place_ + 1, " rows and columns)"));
    case Fault::not_converged:
      throw LinAlgError(cat(op, ": the iteration for ", which, " did not converge"));
  }
}

}  // namespace funcnn
