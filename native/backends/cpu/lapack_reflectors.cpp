// Products with orthogonal matrices that are kept as reflectors, in blocks of these: I - V T V^T, where T is a
// triangle. Each thread takes columns of the matrix, turns them by all blocks in a room of its own, and writes them to
// where they belong, which may lie the other way.
#include <algorithm>
#include <memory>

#include "backends/cpu/arena.h"
#include "backends/cpu/lapack_tiled.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

constexpr int64_t kBlock = 64;   // reflectors that are applied together
constexpr int64_t kTerms = 64;   // of a sum that are added up by themselves
constexpr int64_t kBytes = 256;  // of the columns that a thread takes at a time, in a row

thread_local Arena rooms;

// to = -A B, m x n, whose rows and those of B lie `row` apart, with sums over few rows at a time: where all terms have
// one sign, as those of equal rows have, errors of one long sum would all go one way. `room`: m * row elements.
template <class T>
void multiply(const LapackTiles<T>& tiles, int64_t m, int64_t n, int64_t k, MatrixView<T> a, const T* b, int64_t row,
              T* to, T* room) {
  std::fill_n(to, m * row, T(0));
  for (int64_t done = 0; done < k; done += kTerms) {
    T* sums = done == 0 ? to : room;
    if (done > 0) std::fill_n(room, m * row, T(0));
    tiles.subtract(m, n, std::min(kTerms, k - done), a.at(0, done), tiles.rows * a.row, b + done * row, row, sums, row);
    for (int64_t i = 0; done > 0 && i < m * row; ++i) to[i] += room[i];
  }
}

// Of reflectors j, j + 1, ..., whose vectors begin in row j.
template <class T>
struct Block {
  int64_t first, width, rows;
  T* turned;  // V^T, rows `rows` apart
  T* other;   // -V T by rows, kBlock apart
};

template <class T>
class Blocks {
 public:
  Blocks(const LapackTiles<T>& tiles, int64_t rows, int64_t count, MatrixView<T> v, const T* tau)
      : tiles_(tiles), count_((count + kBlock - 1) / kBlock), blocks_(new Block<T>[size_t(count_)]) {
    int64_t total = 0;
    for (int64_t b = 0; b < count_; ++b) total += rows - b * kBlock;
    memory_.reset(new T[size_t(2 * total * kBlock)]);
    T* at = memory_.get();
    for (int64_t b = 0; b < count_; ++b) {
      Block<T>& block = blocks_[size_t(b)];
      block = {b * kBlock, std::min(kBlock, count - b * kBlock), rows - b * kBlock, at,
               at + (rows - b * kBlock) * kBlock};
      at += 2 * block.rows * kBlock;
    }
    parallel_for(count_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) fill(blocks_[size_t(b)], v, tau);
    });
  }

  int64_t count() const { return count_; }
  const Block<T>& operator[](int64_t i) const { return blocks_[size_t(i)]; }

 private:
  void fill(const Block<T>& block, MatrixView<T> v, const T* tau) {
    const int64_t width = block.width, rows = block.rows;
    const MatrixView<T> from = v.at(block.first, block.first);
    // V by rows, with the zeros and ones that are not written down; columns that are not there are zero.
    T* straight = reinterpret_cast<T*>(rooms.get(size_t((rows + 3 * kBlock) * kBlock) * sizeof(T)));
    T *products = straight + rows * kBlock, *triangle = products + kBlock * kBlock, *room = triangle + kBlock * kBlock;
    std::fill_n(straight, (rows + 2 * kBlock) * kBlock, T(0));
    if (from.row == 1)
      tiles_.transpose(width, rows, from.data, from.column, straight, kBlock);
    else
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < width; ++j) straight[i * kBlock + j] = from.data[i * from.row + j * from.column];
    for (int64_t j = 0; j < width; ++j) {
      for (int64_t i = 0; i < std::min(j, rows); ++i) straight[i * kBlock + j] = T(0);
      straight[j * kBlock + j] = T(1);
    }
    tiles_.transpose(rows, width, straight, kBlock, block.turned, rows);
    // -V^T V, and of T column by column.
    multiply(tiles_, width, kBlock, rows, {block.turned, rows, 1}, straight, kBlock, products, room);
    const T* factor = tau + block.first;
    for (int64_t j = 0; j < width; ++j) {
      triangle[j * kBlock + j] = factor[j];
      for (int64_t i = 0; i < j; ++i) {
        T sum = 0;
        for (int64_t l = i; l < j; ++l) sum += triangle[i * kBlock + l] * products[l * kBlock + j];
        triangle[i * kBlock + j] = sum * factor[j];
      }
    }
    std::fill_n(block.other, rows * kBlock, T(0));
    tiles_.subtract(rows, kBlock, width, {straight, kBlock, 1}, tiles_.rows * kBlock, triangle, kBlock, block.other,
                    kBlock);
  }

  const LapackTiles<T>& tiles_;
  int64_t count_;
  std::unique_ptr<Block<T>[]> blocks_;
  std::unique_ptr<T[]> memory_;
};

}  // namespace

template <class T>
void reflect_tiled(const LapackTiles<T>& tiles, int64_t m, int64_t n, int64_t k, MatrixView<T> v, const T* tau,
                   const MatrixView<T>* from, T* to, int64_t to_row, int64_t to_column) {
  const int64_t wide = kBytes / int64_t(sizeof(T));
  const Blocks<T> blocks(tiles, m, k, v, tau);
  parallel_for((n + wide - 1) / wide, 1, [&](int64_t begin, int64_t end) {
    T* c = reinterpret_cast<T*>(rooms.get(size_t((m + 2 * kBlock) * wide) * sizeof(T)));
    T *products = c + m * wide, *room = products + kBlock * wide;
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * wide, columns = std::min(wide, n - first);
      int64_t last = blocks.count();
      if (columns < wide || !from) std::fill_n(c, m * wide, T(0));
      if (!from) {
        // Columns of the identity, which no reflector that begins below them reaches.
        for (int64_t i = 0; i < columns; ++i) c[(first + i) * wide + i] = T(1);
        last = std::min(last, (first + columns - 1) / kBlock + 1);
      } else if (from->row == 1) {
        tiles.transpose(columns, m, from->data + first * from->column, from->column, c, wide);
      } else {
        for (int64_t i = 0; i < m; ++i) std::copy_n(from->data + i * from->row + first, columns, c + i * wide);
      }
      for (int64_t b = last; b-- > 0;) {
        const Block<T>& block = blocks[b];
        T* x = c + block.first * wide;
        multiply(tiles, block.width, wide, block.rows, {block.turned, block.rows, 1}, x, wide, products, room);
        tiles.subtract(block.rows, wide, block.width, {block.other, kBlock, 1}, tiles.rows * kBlock, products, wide, x,
                       wide);
      }
      if (to_row == 1)
        tiles.transpose(m, columns, c, wide, to + first * to_column, to_column);
      else
        for (int64_t i = 0; i < m; ++i) std::copy_n(c + i * wide, columns, to + i * to_row + first);
    }
  });
}

#define INSTANTIATE(T)                                                                                   \
  template void reflect_tiled(const LapackTiles<T>&, int64_t, int64_t, int64_t, MatrixView<T>, const T*, \
                              const MatrixView<T>*, T*, int64_t, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu
