// Products of few vectors with a matrix: how the work is spread, and the texts that do it.
#pragma once

#include "backends/gpu/dot_problem.h"

namespace funcnn::gpu {

// The product as vectors against a matrix, whichever side that is: `outer` numbers the matrix's rows or columns.
struct FewVectors {
  int64_t vectors, outer, k;
  int64_t x_vector, x_depth, w_outer, w_depth;
  bool of_a;         // the vectors are rows of a; else columns of b
  int slots;         // vectors that the text has room for
  bool along_depth;  // which way neighbours of the matrix lie

  explicit FewVectors(const DotProblem& p);
  std::string_view x() const { return of_a ? "a" : "b"; }
  std::string_view w() const { return of_a ? "b" : "a"; }
};

// Each element of the matrix is read once, in its own order, by lanes that ask for several packs before they need the
// first. Where the matrix lies along the depth a warp has a few outer elements; where it lies along the outer axis a
// group has all of the depth for as few columns as leave groups for all cores.
struct FewForm {
  int each;      // elements of a pack of the matrix
  int together;  // elements of a pack of a vector
  int steps;     // packs along the depth that a lane asks for at once
  int across;    // lanes that lie along the outer axis, of a matrix along it; the others go along the depth
  int rows;      // outer elements of a warp, of a matrix along the depth
  int most_warps;
  // Groups, warps of each, parts of the depth that different groups take, and the length of one.
  int64_t blocks, warps, parts, part;

  FewForm(const Traits& traits, const DotProblem& p, const FewVectors& f);
};

// What comes before the kernel, and statements that end in a block in which `value` is the element of the result at
// `vector` and `outer`.
struct FewText {
  std::string before, body;
};
FewText few_text(const DotProblem& p, const FewVectors& f, const FewForm& form);

}  // namespace funcnn::gpu
