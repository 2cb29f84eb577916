// Products of chosen matrices: which rows meet the same matrix.
#pragma once

#include <cstdint>
#include <vector>

namespace funcnn::cpu {

// Items 0, 1, ... in the order of the matrix that each is for, and where the items of each matrix begin; those for no
// matrix come last.
struct ItemsByMatrix {
  std::vector<int64_t> items;
  std::vector<int64_t> begin;  // one more than there are matrices

  // `numbers`: of the matrices; null: all items are for matrix 0.
  ItemsByMatrix(const int64_t* numbers, int64_t count, int64_t matrices)
      : items(size_t(count)), begin(size_t(matrices) + 1) {
    auto of = [&](int64_t i) {
      int64_t n = numbers ? numbers[i] : 0;
      return n >= 0 && n < matrices ? n : matrices;
    };
    std::vector<int64_t> next(size_t(matrices) + 2);
    for (int64_t i = 0; i < count; ++i) ++next[size_t(of(i)) + 1];
    for (size_t m = 1; m < next.size(); ++m) next[m] += next[m - 1];
    for (size_t m = 0; m < begin.size(); ++m) begin[m] = next[m];
    for (int64_t i = 0; i < count; ++i) items[size_t(next[size_t(of(i))]++)] = i;
  }
};

}  // namespace funcnn::cpu
