// Matrices of a batch: where they lie, how they get into the order of LAPACK, and what is said of those that are
// refused.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/linalg_faults.h"
#include "base/shape.h"
#include "base/thread_pool.h"
#include "plan/backend.h"

namespace funcnn::cpu {

// The last two axes of an operand, and the axes before them.
struct Matrices {
  explicit Matrices(const Layout& layout);
  // The offset of a matrix, counted in row-major order, in elements.
  int64_t at(int64_t index) const;
  int64_t size() const { return rows * columns; }

  Shape shape;
  int64_t rows, columns, row_step, column_step, count = 1;

 private:
  struct Axis {
    int64_t length, step;
  };
  std::vector<Axis> axes_;
};

// Which elements of a matrix are read.
enum class Part : uint8_t { all, lower, upper };

// Copy a matrix: element (i, j) from `from[i * row_step + j * column_step]` to `to[i * to_row + j * to_column]`. The
// result says whether all that is read is finite. What is not read is not written either.
template <class T>
bool load(const T* from, const Matrices& m, Part part, T* to, int64_t to_row, int64_t to_column);
// Whether that is so.
template <class T>
bool finite(const T* from, const Matrices& m, Part part);
// The columns of a matrix of LAPACK, which lie `ld` apart, as dense rows.
template <class T>
void store_rows(const T* columns, int64_t ld, int64_t m, int64_t n, T* rows);

// How far columns of this length should lie apart: not a power of two, where elements beside each other would meet in
// the same places of the caches.
inline int64_t apart(int64_t length) { return length >= 256 && length % 64 == 0 ? length + 16 : length; }

// Uninitialised memory for as long as a kernel runs.
template <class T>
class Room {
 public:
  explicit Room(int64_t count) : memory_(new T[size_t(std::max<int64_t>(count, 1))]) {}
  T* get() const { return memory_.get(); }
  operator T*() const { return memory_.get(); }  // NOLINT: it is one

 private:
  std::unique_ptr<T[]> memory_;
};

// Run body(begin, end) over the matrices of a batch, on as many threads as pay off. Few large ones come one after
// another, so that what is parallel in them is.
template <class Body>
void over_batch(int64_t count, double flops, Body&& body) {
  constexpr double kLarge = 1e7, kGrain = 2e4;
  if (count == 1 || (flops > kLarge && count < 2 * thread_count()))
    body(int64_t(0), count);
  else
    parallel_for(count, std::max<int64_t>(1, int64_t(kGrain / std::max(flops, 1.0))), body);
}

// Run body(index, room), which gives a Verdict, for the matrices of a batch; `room()` makes what a thread needs for it.
// Raises LinAlgError for the first that is refused.
template <class MakeRoom, class Body>
void each_matrix(const std::string& op, const Matrices& a, double flops, MakeRoom&& room, Body&& body) {
  Faults faults;
  over_batch(a.count, flops, [&](int64_t begin, int64_t end) {
    auto mine = room();
    for (int64_t i = begin; i < end; ++i)
      if (faults.note(i, body(i, mine))) return;
  });
  faults.raise(op, a.shape);
}

// Of what needs no room.
struct NoRoom {};
inline NoRoom no_room() { return {}; }

// The three dtypes that LAPACK has here.
template <class F>
decltype(auto) visit_lapack_dtype(Dtype dtype, F&& f) {
  if (dtype == Dtype::float64) return f(TypeTag<double>{});
  if (dtype == Dtype::complex64) return f(TypeTag<complex64_t>{});
  return f(TypeTag<float>{});
}

// The elements of an operand.
template <class T>
const T* in(std::byte* at) {
  return reinterpret_cast<const T*>(at);
}
template <class T>
T* out(std::byte* at) {
  return reinterpret_cast<T*>(at);
}

}  // namespace funcnn::cpu
