#include "backends/cpu/gemm_grid.h"

#include <limits>

#include "backends/cpu/pieces_time.h"

namespace funcnn::cpu {

Grid choose_grid(int64_t m, int64_t n, int64_t k, int64_t panel, const GridCosts& costs, int64_t threads) {
  // The kernel cuts rows into even tiles, so blocks of them need not be whole ones.
  constexpr int64_t kRowUnit = 4, kLeastRows = 16;
  constexpr int64_t kPieces = 4;                 // for each thread
  constexpr double kElement = 20, kRow = 1.5e4;  // of an epilogue, and of running it on a row
  const int64_t row_units = Grid::units(m, kRowUnit), column_units = Grid::units(n, panel);
  const int64_t most = kPieces * threads;
  Grid best{m, n, kRowUnit, panel, 1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t r = 1; r <= std::min(std::max<int64_t>(1, m / kLeastRows), most); ++r) {
    const double rows = double(std::min(m, Grid::units(row_units, r) * kRowUnit));
    for (int64_t c = 1; c <= std::min(column_units, most / r); ++c) {
      const int64_t pieces = r * c * costs.copies;
      const double columns = double(Grid::units(column_units, c) * panel);
      const double piece = double(k) * (rows * columns + costs.left * rows + costs.right * columns);
      double time = pieces_time(pieces, piece, threads);
      bool by_tiles = false;
      if (costs.epilogue) {
        // What the last tile of a row of tiles has to do, against the rows of every tile.
        const double whole = kElement * rows * double(n);
        const double each = pieces_time(pieces, piece + kRow * rows + kElement * rows * columns, threads) - time;
        by_tiles = c > 1 && each < whole;
        time += by_tiles ? each : whole;
      }
      if (time < least) {
        least = time;
        best.row_blocks = r;
        best.column_blocks = c;
        best.by_tiles = by_tiles;
      }
    }
  }
  return best;
}

}  // namespace funcnn::cpu
