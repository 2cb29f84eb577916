// How a matrix product is cut into tiles: what depends on the layouts of its operands alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/cpu/blas.h"
#include "backends/cpu/copy.h"
#include "plan/backend.h"

namespace funcnn::cpu {

// What a matrix looks like to the BLAS; nothing if no strides of its will do.
struct MatrixSteps {
  int64_t row, column;  // in elements
};
std::optional<blas::MatrixLayout> as_operand(int64_t rows, int64_t columns, MatrixSteps steps);

struct DotProblem {
  struct BatchAxis {
    int64_t length, a, b;  // steps in elements
  };

  int64_t m, n, k;
  std::vector<BatchAxis> axes;
  int64_t batches = 1;
  MatrixSteps a, b;
  bool exchanged = false;  // which operand comes first
  StridedCopy pack_a, pack_b;
  int64_t packed_a = 0, packed_b = 0;  // elements of a dense copy made first; 0: read in place

  int64_t row_block, column_block, depth_block;
  int64_t row_blocks, column_blocks, depth_blocks;
  bool shared = false;  // B is packed once for all tiles
  bool tiled = false;   // by the tile kernel however it is cut, which then depends on the number of threads

  // `any_strides`: whether operands can be read wherever they lie, unlike by the BLAS.
  DotProblem(const Layout& la, const Layout& lb, bool any_strides);
  // Where the matrices of a product of the batch begin.
  void offsets(int64_t batch, int64_t& at_a, int64_t& at_b) const {
    at_a = at_b = 0;
    for (size_t d = axes.size(); d-- > 0;) {
      int64_t i = batch % axes[d].length;
      batch /= axes[d].length;
      at_a += i * axes[d].a;
      at_b += i * axes[d].b;
    }
  }
  // Whether A, of elements of so many bytes, is not packed for each block of columns.
  bool near_rows(int64_t item) const;

 private:
  void choose_tiles(size_t item);
};

}  // namespace funcnn::cpu
