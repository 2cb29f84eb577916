// Singular values and vectors of a bidiagonal matrix by divide and conquer (Gu and Eisenstat): without a row in the
// middle, what is above and below are problems of their own, and the row comes back as a change of rank one. As in
// lapack_conquer.cpp, what the halves have in common is left alone, the other values are roots of a rational function,
// and vectors are rows. LAPACK's bdsdc takes values for equal that are eight times as far apart, which in float32 costs
// two digits where there are many of them.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "backends/cpu/blas.h"
#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_halves.h"
#include "backends/cpu/lapack_tiled.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

using lapack::Int;

constexpr int64_t kLeaf = 24;  // rows that are solved by iteration

// Rows [first, first + n) of all, and as many columns, or one more.
struct Part {
  int64_t first, n;
  bool wider;
};

// The vectors of one side, as rows, and what products need.
template <class T>
struct Side {
  T *rows, *factors, *halves;
};

template <class T>
class Conquest {
 public:
  Conquest(const LapackTiles<T>* tiles, int64_t n, T* d, T* e, T* room)
      : tiles_(tiles), n_(n), ld_(n + kPad), d_(d), e_(e), order_(size_t(n)) {
    for (Side<T>* side : {&left_, &right_}) {
      side->rows = room;
      side->factors = side->rows + n * ld_;
      side->halves = side->factors + n * n;
      room = side->halves + n * (n + 1 + 2 * kPad);
    }
  }

  Int solve() {
    const int64_t grain = std::max<int64_t>(1, (1 << 15) / n_);
    parallel_for(n_, grain, [&](int64_t begin, int64_t end) {
      for (const Side<T>* side : {&left_, &right_}) std::fill(side->rows + begin * ld_, side->rows + end * ld_, T(0));
    });
    std::vector<std::vector<Part>> parts;
    std::vector<Part> leaves;
    divide({0, n_, false}, 0, parts, leaves);
    std::atomic<Int> failed{0};
    parallel_for(int64_t(leaves.size()), 2, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (Int info = iterate(leaves[size_t(i)])) failed = info;
    });
    for (size_t level = parts.size(); level-- > 0 && !failed;) {
      const auto& here = parts[level];
      auto each = [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          if (Int info = merge(here[size_t(i)])) failed = info;
      };
      if (int64_t(here.size()) >= thread_count())
        parallel_for(int64_t(here.size()), 1, each);
      else
        each(0, int64_t(here.size()));
    }
    return failed;
  }

  // The largest first.
  int64_t order(int64_t i) const { return order_[size_t(n_ - 1 - i)]; }
  const T* left(int64_t i) const { return row(left_, i); }
  const T* right(int64_t i) const { return row(right_, i); }

 private:
  T* row(const Side<T>& side, int64_t i) const { return side.rows + i * ld_; }

  static int64_t above(const Part& part) { return part.n / 2; }
  static void divide(const Part& part, size_t level, std::vector<std::vector<Part>>& parts, std::vector<Part>& leaves) {
    if (part.n <= kLeaf) {
      leaves.push_back(part);
      return;
    }
    if (parts.size() <= level) parts.resize(level + 1);
    parts[level].push_back(part);
    const int64_t top = above(part);
    divide({part.first, top, true}, level + 1, parts, leaves);
    divide({part.first + top + 1, part.n - top - 1, part.wider}, level + 1, parts, leaves);
  }

  Int iterate(const Part& part) {
    const int64_t first = part.first, n = part.n, m = n + part.wider;
    T right[(kLeaf + 1) * (kLeaf + 1)] = {};
    T* u = row(left_, first) + first;
    for (int64_t i = 0; i < n; ++i) u[i * ld_ + i] = T(1);
    for (int64_t i = 0; i < m; ++i) right[i * m + i] = T(1);
    if (Int info = lapack::lasdq(Int(part.wider), Int(n), d_ + first, e_ + first, right, Int(m), u, Int(ld_)))
      return info;
    for (int64_t j = 0; j < m; ++j)
      for (int64_t i = 0; i < m; ++i) row(right_, first + j)[first + i] = right[j + i * m];
    std::iota(order_.begin() + first, order_.begin() + first + n, int64_t(0));
    return 0;
  }

  // With the vectors of both parts, what is left is diagonal but for the row in the middle, z, whose own element on the
  // diagonal is the one that no other row meets: its pole is zero.
  Int merge(const Part& part) {
    const int64_t first = part.first, n = part.n, m = n + part.wider, top = above(part);
    T *d = d_ + first, at = d[top], beside = e_[first + top];
    int64_t* order = order_.data() + first;
    d[top] = 0;
    T largest = std::max(std::abs(at), std::abs(beside));
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, d[i]);
    // By a power of two, so that squares have a place.
    const T scale = largest == T(0)
                        ? T(1)
                        : std::ldexp(T(1), std::clamp(-std::ilogb(largest), std::numeric_limits<T>::min_exponent,
                                                      std::numeric_limits<T>::max_exponent - 1));
    for (int64_t i = 0; i < n; ++i) d[i] *= scale;
    at *= scale;
    beside *= scale;
    largest *= scale;

    auto right = [&](int64_t i) { return row(right_, first + i) + first; };
    row(left_, first + top)[first + top] = 1;
    std::vector<T> z(static_cast<size_t>(n));
    for (int64_t i = 0; i <= top; ++i) z[size_t(i)] = at * right(i)[top];
    for (int64_t i = top + 1; i < n; ++i) z[size_t(i)] = beside * right(i)[top + 1];
    T& own = z[size_t(top)];
    if (part.wider) {
      const T other = beside * right(n)[top + 1], length = std::hypot(own, other);
      if (length > 0) turn(m, right(top), right(n), own / length, other / length);
      own = length;
    } else if (own < 0) {
      own = -own;
      for (int64_t i = 0; i <= top; ++i) right(top)[i] = -right(top)[i];
    }
    std::vector<int64_t> sorted(static_cast<size_t>(n - 1));
    for (int64_t i = top + 1; i < n; ++i) order[i] += top + 1;
    std::merge(order, order + top, order + top + 1, order + n, sorted.begin(),
               [&](int64_t a, int64_t b) { return d[a] < d[b]; });

    const T tolerance = 4 * std::numeric_limits<T>::epsilon() * largest;
    own = std::max(own, tolerance);
    std::vector<Half> half(static_cast<size_t>(n), Half::bottom);
    std::fill(half.begin(), half.begin() + top, Half::top);
    half[size_t(top)] = Half::both;
    std::vector<int64_t> kept{top}, settled;
    int64_t before = -1;
    for (int64_t j : sorted) {
      T& element = z[size_t(j)];
      if (std::abs(element) <= tolerance) {
        settled.push_back(j);
        continue;
      }
      // A value that is almost zero: columns are turned, so that all of z is in the middle.
      const T whole = std::hypot(own, element);
      if (d[j] * std::abs(element) <= tolerance * whole) {
        turn(m, right(top), right(j), own / whole, element / whole);
        d[j] *= own / whole;
        own = whole;
        half[size_t(j)] = Half::both;
        settled.push_back(j);
        continue;
      }
      if (before >= 0) {
        T &previous = z[size_t(before)], length = std::hypot(previous, element), c = element / length,
          s = -previous / length;
        if (std::abs((d[j] - d[before]) * c * s) <= tolerance) {
          element = length;
          previous = 0;
          if (half[size_t(j)] != half[size_t(before)]) half[size_t(j)] = Half::both;
          turn(n, row(left_, first + before) + first, row(left_, first + j) + first, c, s);
          turn(m, right(before), right(j), c, s);
          turn_values(d[before], d[j], c, s);
          settled.push_back(before);
        } else {
          kept.push_back(before);
        }
      }
      before = j;
    }
    if (before >= 0) kept.push_back(before);
    Int info = join(part, z, half, kept, settled);
    for (int64_t i = 0; i < n; ++i) d[i] /= scale;
    return info;
  }

  // The values and vectors of what was kept; rows of what is settled follow those.
  Int join(const Part& part, const std::vector<T>& z, const std::vector<Half>& half, const std::vector<int64_t>& kept,
           const std::vector<int64_t>& settled) {
    const int64_t first = part.first, n = part.n, k = int64_t(kept.size()), top = above(part) + 1;
    T* d = d_ + first;
    const Grouped grouped(half, kept);
    const int64_t upper = grouped.upper, lower = grouped.lower;
    std::vector<T> rest(settled.size() * size_t(n + 1)), values(static_cast<size_t>(k));
    for (const Side<T>* side : {&left_, &right_}) {
      const int64_t width = side == &left_ ? n : n + part.wider;
      T *over = halves(*side, first), *under = over + upper * (top + kPad);
      for (int64_t p = 0; p < k; ++p) {
        const T* from = row(*side, first + kept[size_t(grouped.order[size_t(p)])]) + first;
        if (p < upper) std::copy_n(from, top, over + p * (top + kPad));
        if (p >= grouped.above)
          std::copy_n(from + top, width - top, under + (p - grouped.above) * (width - top + kPad));
      }
      for (size_t i = 0; i < settled.size(); ++i)
        std::copy_n(row(*side, first + settled[i]) + first, width, rest.data() + i * size_t(n + 1));
      for (size_t i = 0; i < settled.size(); ++i)
        std::copy_n(rest.data() + i * size_t(n + 1), width, row(*side, first + k + int64_t(i)) + first);
    }
    if (Int info = roots(first, z, kept, grouped.order, values.data())) return info;

    // Both sides, above and below: pieces of columns.
    const int64_t chunk = tiles_ ? 2 * tiles_->chunk : 64;
    auto pieces = [&](int64_t columns) { return (columns + chunk - 1) / chunk; };
    const int64_t each = pieces(top) + pieces(n + 1 - top);
    parallel_for(2 * each, grain_for(double(k * k * chunk)), [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece) {
        const Side<T>& side = piece < each ? left_ : right_;
        const int64_t width = piece < each ? n : n + part.wider, c = piece % each;
        const bool over = c < pieces(top);
        const int64_t from = (over ? c : c - pieces(top)) * chunk, all = over ? top : width - top,
                      columns = std::min(chunk, all - from), step = all + kPad;
        if (columns <= 0) continue;
        const T *factors = side.factors + first * n_ + (over ? 0 : grouped.above),
                *half_rows = halves(side, first) + (over ? 0 : upper * (top + kPad)) + from;
        multiply(k, columns, over ? upper : lower, factors, half_rows, step,
                 row(side, first) + first + (over ? 0 : top) + from);
      }
    });
    std::vector<T> others;
    for (int64_t j : settled) others.push_back(d[j]);
    std::copy(values.begin(), values.end(), d);
    std::copy(others.begin(), others.end(), d + k);
    int64_t* order = order_.data() + first;
    std::iota(order, order + n, int64_t(0));
    std::stable_sort(order, order + n, [&](int64_t a, int64_t b) { return d[a] < d[b]; });
    return 0;
  }

  T* halves(const Side<T>& side, int64_t first) const { return side.halves + first * (n_ + 1 + 2 * kPad); }

  // Rows = factors * halves; signs of factors are those that the product wants.
  T sign() const { return tiles_ ? T(-1) : T(1); }
  void multiply(int64_t k, int64_t columns, int64_t terms, const T* factors, const T* halves, int64_t step, T* to) {
    if (!tiles_) {
      blas::gemm<T>(k, columns, terms, factors, {false, k}, halves, {false, step}, T(0), to, ld_);
      return;
    }
    for (int64_t i = 0; i < k; ++i) std::fill_n(to + i * ld_, columns, T(0));
    tiles_->subtract(k, columns, terms, {factors, k, 1}, tiles_->rows * k, halves, step, to, ld_);
  }

  // Values, and rows of factors, in the order of the halves.
  Int roots(int64_t first, const std::vector<T>& z, const std::vector<int64_t>& kept,
            const std::vector<int64_t>& grouped, T* values) {
    const int64_t k = int64_t(kept.size());
    T *u = left_.factors + first * n_, *v = right_.factors + first * n_;
    std::vector<T> poles(static_cast<size_t>(k)), weights(static_cast<size_t>(k));
    T squares = 0;
    for (int64_t i = 0; i < k; ++i) {
      poles[size_t(i)] = d_[first + kept[size_t(i)]];
      weights[size_t(i)] = z[size_t(kept[size_t(i)])];
      squares += weights[size_t(i)] * weights[size_t(i)];
    }
    if (k == 1) {
      values[0] = weights[0];
      *u = *v = sign();
      return 0;
    }
    std::vector<T> unit(weights);
    for (T& x : unit) x /= std::sqrt(squares);
    // Row j: the distances of the poles from root j, and their sums with it.
    std::atomic<Int> failed{0};
    parallel_for(k, grain_for(50.0 * double(k)), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        if (Int info =
                lapack::lasd4(Int(k), Int(j + 1), poles.data(), unit.data(), u + j * k, squares, values + j, v + j * k))
          failed = info;
    });
    if (failed) return failed;
    adjust(k, poles.data(), u, v, weights.data());
    parallel_for(k, grain_for(40.0 * double(k)), [&](int64_t begin, int64_t end) {
      std::vector<T> left(static_cast<size_t>(k)), right(static_cast<size_t>(k));
      for (int64_t j = begin; j < end; ++j) {
        T *x = u + j * k, *y = v + j * k;
        for (int64_t i = 0; i < k; ++i) {
          right[size_t(i)] = weights[size_t(i)] / x[i] / y[i];
          left[size_t(i)] = poles[size_t(i)] * right[size_t(i)];
        }
        left[0] = -1;
        const T by_left = factor(left), by_right = factor(right);
        for (int64_t p = 0; p < k; ++p) {
          const size_t i = size_t(grouped[size_t(p)]);
          x[p] = left[i] * by_left;
          y[p] = right[i] * by_right;
        }
      }
    });
    return 0;
  }

  // What makes it as long as 1, after elements have been divided by the largest.
  T factor(std::vector<T>& x) const {
    T largest = 0;
    double squares = 0;
    for (T a : x) largest = std::max(largest, std::abs(a));
    for (T& a : x) {
      a /= largest;
      squares += double(a) * double(a);
    }
    return sign() / T(std::sqrt(squares));
  }

  // The weights of which the roots that were found are exactly the roots, so that vectors are orthogonal.
  void adjust(int64_t k, const T* poles, const T* distances, const T* sums, T* weights) const {
    constexpr int64_t kStrip = 64;
    parallel_for((k + kStrip - 1) / kStrip, grain_for(8.0 * double(k * kStrip)), [&](int64_t begin, int64_t end) {
      for (int64_t i0 = begin * kStrip; i0 < std::min(k, end * kStrip); i0 += kStrip) {
        const int64_t width = std::min(kStrip, k - i0);
        T product[kStrip];
        for (int64_t i = 0; i < width; ++i) {
          const int64_t at = (i0 + i) * k + i0 + i;
          product[i] = distances[at] * sums[at];
        }
        for (int64_t j = 0; j < k; ++j) {
          const T *distance = distances + j * k + i0, *sum = sums + j * k + i0, pole = poles[j];
          for (int64_t i = 0; i < width; ++i) {
            const T ratio = distance[i] / (poles[i0 + i] - pole) * (sum[i] / (poles[i0 + i] + pole));
            product[i] *= i0 + i == j ? T(1) : ratio;
          }
        }
        for (int64_t i = 0; i < width; ++i)
          weights[i0 + i] = std::copysign(std::sqrt(std::max(-product[i], T(0))), weights[i0 + i]);
      }
    });
  }

  const LapackTiles<T>* tiles_;
  int64_t n_, ld_;
  T *d_, *e_;
  Side<T> left_, right_;
  std::vector<int64_t> order_;
};

}  // namespace

int64_t singular_room(int64_t n) { return 2 * n * (3 * n + 1 + 3 * kPad); }

template <class T>
lapack::Int singular_bidiagonal(const LapackTiles<T>* tiles, int64_t n, T* d, T* e, T* u, int64_t ldu, T* v,
                                int64_t ldv, T* room) {
  Conquest<T> all(tiles, n, d, e, room);
  if (Int info = all.solve()) return info;
  std::vector<T> values(d, d + n);
  for (int64_t i = 0; i < n; ++i) d[i] = values[size_t(all.order(i))];
  parallel_for(n, std::max<int64_t>(1, (1 << 15) / n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::copy_n(all.left(all.order(i)), n, u + i * ldu);
      std::copy_n(all.right(all.order(i)), n, v + i * ldv);
    }
  });
  return 0;
}

#define INSTANTIATE(T) \
  template lapack::Int singular_bidiagonal(const LapackTiles<T>*, int64_t, T*, T*, T*, int64_t, T*, int64_t, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu
