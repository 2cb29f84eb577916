// Eigenvalues and eigenvectors of a tridiagonal matrix by divide and conquer (Cuppen; Gu and Eisenstat): halves are
// solved by themselves, without the element that joins them, and it comes back as a change of rank one. What the halves
// have in common, or nearly, is left alone; the other eigenvalues are the roots of a rational function, each found by
// itself. Eigenvectors are rows here, so that those of a half are the operand of a product as they lie.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_halves.h"
#include "backends/cpu/lapack_tiled.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {
namespace {

using lapack::Int;

constexpr int64_t kLeaf = 32;  // rows that are solved by iteration

template <class T>
class Conquest {
 public:
  // Of rows [begin, begin + n) of all; `order` becomes that of the eigenvalues.
  Conquest(const LapackTiles<T>& tiles, int64_t n, T* d, T* e, T* rows, int64_t ld, T* vectors, T* halves)
      : tiles_(tiles),
        n_(n),
        d_(d),
        e_(e),
        rows_(rows),
        ld_(ld),
        vectors_(vectors),
        halves_(halves),
        order_(size_t(n)) {}

  Int solve() {
    const T scale = scaled();
    int levels = 0;
    while ((n_ >> levels) > kLeaf) ++levels;
    const int64_t leaves = int64_t(1) << levels;
    auto at = [&](int64_t i, int level) { return n_ * i >> level; };
    for (int64_t i = 1; i < leaves; ++i) {
      const int64_t cut = at(i, levels);
      const T joint = std::abs(e_[cut - 1]);
      d_[cut - 1] -= joint;
      d_[cut] -= joint;
    }
    std::atomic<Int> failed{0};
    parallel_for(leaves, 2, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = at(i, levels), count = at(i + 1, levels) - first;
        // The element that joins it with the next one stays.
        std::vector<T> beside(e_ + first, e_ + first + std::max<int64_t>(count - 1, 0));
        if (Int info = lapack::steqr(Int(count), d_ + first, beside.data(), row(first) + first, Int(ld_)))
          failed = info;
        std::iota(order_.begin() + first, order_.begin() + first + count, int64_t(0));
      }
    });
    for (int level = levels; level-- > 0 && !failed;) {
      auto each = [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = at(i, level), middle = at(2 * i + 1, level + 1), end_of = at(i + 1, level);
          if (Int info = merge(first, middle - first, end_of - middle)) failed = info;
        }
      };
      const int64_t merges = int64_t(1) << level;
      if (merges >= thread_count())
        parallel_for(merges, 1, each);
      else
        each(0, merges);
    }
    for (int64_t i = 0; i < n_; ++i) d_[i] /= scale;
    return failed;
  }
  int64_t order(int64_t i) const { return order_[size_t(i)]; }

 private:
  T* row(int64_t i) const { return rows_ + i * ld_; }

  // By a power of two that brings the largest element near to 1.
  T scaled() {
    T largest = 0;
    for (int64_t i = 0; i < n_; ++i) largest = std::max(largest, std::abs(d_[i]));
    for (int64_t i = 0; i + 1 < n_; ++i) largest = std::max(largest, std::abs(e_[i]));
    if (largest == T(0)) return T(1);
    const T scale = std::ldexp(T(1), std::clamp(-std::ilogb(largest), std::numeric_limits<T>::min_exponent,
                                                std::numeric_limits<T>::max_exponent - 1));
    for (int64_t i = 0; i < n_; ++i) d_[i] *= scale;
    for (int64_t i = 0; i + 1 < n_; ++i) e_[i] *= scale;
    return scale;
  }

  Int merge(int64_t first, int64_t top, int64_t bottom) {
    const int64_t n = top + bottom, middle = first + top;
    T* d = d_ + first;
    int64_t* order = order_.data() + first;
    // D + rho z z^T, with z of length 1.
    T rho = e_[middle - 1];
    std::vector<T> z(static_cast<size_t>(n));
    const T root = T(0.70710678118654752440);
    for (int64_t i = 0; i < top; ++i) z[size_t(i)] = row(first + i)[middle - 1] * root;
    for (int64_t i = top; i < n; ++i) z[size_t(i)] = row(first + i)[middle] * (rho < 0 ? -root : root);
    rho = std::abs(2 * rho);
    for (int64_t i = top; i < n; ++i) order[i] += top;
    std::vector<int64_t> sorted(static_cast<size_t>(n));
    auto smaller = [&](int64_t a, int64_t b) { return d[a] < d[b]; };
    std::merge(order, order + top, order + top, order + n, sorted.begin(), smaller);

    // What is as good as an eigenvalue already: where z is almost zero, or becomes so by turning two vectors whose
    // eigenvalues are almost equal.
    T largest = 0, largest_z = 0;
    for (int64_t i = 0; i < n; ++i) {
      largest = std::max(largest, std::abs(d[i]));
      largest_z = std::max(largest_z, std::abs(z[size_t(i)]));
    }
    const T tolerance = 4 * std::numeric_limits<T>::epsilon() * std::max(largest, largest_z);
    if (rho * largest_z <= tolerance) {
      std::copy(sorted.begin(), sorted.end(), order);
      return 0;
    }
    std::vector<Half> half(static_cast<size_t>(n), Half::bottom);
    std::fill(half.begin(), half.begin() + top, Half::top);
    std::vector<int64_t> kept, settled;
    int64_t before = -1;
    for (int64_t j : sorted) {
      if (rho * std::abs(z[size_t(j)]) <= tolerance) {
        settled.push_back(j);
        continue;
      }
      if (before >= 0) {
        T s = z[size_t(before)], c = z[size_t(j)], length = std::hypot(c, s), apart = d[j] - d[before];
        c /= length;
        s = -s / length;
        if (std::abs(apart * c * s) <= tolerance) {
          z[size_t(j)] = length;
          z[size_t(before)] = 0;
          if (half[size_t(j)] != half[size_t(before)]) half[size_t(j)] = Half::both;
          turn(n, row(first + before) + first, row(first + j) + first, c, s);
          turn_values(d[before], d[j], c, s);
          settled.push_back(before);
        } else {
          kept.push_back(before);
        }
      }
      before = j;
    }
    kept.push_back(before);
    return join(first, top, bottom, rho, z, half, kept, settled);
  }

  // The eigenvalues and vectors of what was kept; rows of what is settled follow those.
  Int join(int64_t first, int64_t top, int64_t bottom, T rho, const std::vector<T>& z, const std::vector<Half>& half,
           const std::vector<int64_t>& kept, const std::vector<int64_t>& settled) {
    const int64_t n = top + bottom, k = int64_t(kept.size());
    T* d = d_ + first;
    const Grouped grouped(half, kept);
    const int64_t upper = grouped.upper, lower = grouped.lower;
    const int64_t step = top + kPad, step_below = bottom + kPad;
    T *above = halves_ + first * (n_ + 2 * kPad), *below = above + upper * step;
    for (int64_t p = 0; p < k; ++p) {
      const T* from = row(first + kept[size_t(grouped.order[size_t(p)])]) + first;
      if (p < upper) std::copy_n(from, top, above + p * step);
      if (p >= grouped.above) std::copy_n(from + top, bottom, below + (p - grouped.above) * step_below);
    }
    std::vector<T> rest(settled.size() * size_t(n)), rest_values;
    for (size_t i = 0; i < settled.size(); ++i) {
      std::copy_n(row(first + settled[i]) + first, n, rest.data() + i * size_t(n));
      rest_values.push_back(d[settled[i]]);
    }

    std::vector<T> poles(static_cast<size_t>(k)), weights(static_cast<size_t>(k)), values(static_cast<size_t>(k));
    for (int64_t i = 0; i < k; ++i) {
      poles[size_t(i)] = d[kept[size_t(i)]];
      weights[size_t(i)] = z[size_t(kept[size_t(i)])];
    }
    // Row j: the distances of the poles from root j, then its vector.
    T* vectors = vectors_ + first * n_;
    std::atomic<Int> failed{0};
    parallel_for(k, grain_for(50.0 * double(k)), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        if (Int info = lapack::laed4(Int(k), Int(j + 1), poles.data(), weights.data(), vectors + j * k, rho,
                                     &values[size_t(j)]))
          failed = info;
    });
    if (failed) return failed;
    if (k > 2) adjust(k, poles.data(), vectors, weights.data());
    parallel_for(k, grain_for(20.0 * double(k)), [&](int64_t begin, int64_t end) {
      std::vector<T> straight(static_cast<size_t>(k));
      for (int64_t j = begin; j < end; ++j) {
        T* x = vectors + j * k;
        // Of one and two roots the distances are the vector already.
        T largest = 0;
        double squares = 0;
        for (int64_t i = 0; i < k; ++i) {
          straight[size_t(i)] = k == 1 ? T(1) : k == 2 ? x[i] : weights[size_t(i)] / x[i];
          largest = std::max(largest, std::abs(straight[size_t(i)]));
        }
        for (int64_t i = 0; i < k; ++i) {
          straight[size_t(i)] /= largest;
          squares += double(straight[size_t(i)]) * double(straight[size_t(i)]);
        }
        const T by = T(-1 / std::sqrt(squares));  // products are subtracted
        for (int64_t p = 0; p < k; ++p) x[p] = straight[size_t(grouped.order[size_t(p)])] * by;
      }
    });

    const int64_t chunk = 2 * tiles_.chunk, chunks = (top + chunk - 1) / chunk,
                  chunks_below = (bottom + chunk - 1) / chunk;
    parallel_for(chunks + chunks_below, grain_for(2.0 * double(k * k * chunk) / 2), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const bool over = c < chunks;
        const int64_t from = (over ? c : c - chunks) * chunk, columns = std::min(chunk, (over ? top : bottom) - from);
        T* to = row(first) + first + (over ? 0 : top) + from;
        for (int64_t i = 0; i < k; ++i) std::fill_n(to + i * ld_, columns, T(0));
        const MatrixView<T> factors{vectors + (over ? 0 : grouped.above), k, 1};
        tiles_.subtract(k, columns, over ? upper : lower, factors, tiles_.rows * k, (over ? above : below) + from,
                        over ? step : step_below, to, ld_);
      }
    });
    std::copy(values.begin(), values.end(), d);
    for (size_t i = 0; i < settled.size(); ++i) {
      std::copy_n(rest.data() + i * size_t(n), n, row(first + k + int64_t(i)) + first);
      d[k + int64_t(i)] = rest_values[i];
    }
    int64_t* order = order_.data() + first;
    std::iota(order, order + n, int64_t(0));
    std::stable_sort(order, order + n, [&](int64_t a, int64_t b) { return d[a] < d[b]; });
    return 0;
  }

  // The weights of which the roots that were found are exactly the roots, so that vectors are orthogonal.
  void adjust(int64_t k, const T* poles, const T* distances, T* weights) const {
    constexpr int64_t kStrip = 64;
    parallel_for((k + kStrip - 1) / kStrip, grain_for(4.0 * double(k * kStrip)), [&](int64_t begin, int64_t end) {
      for (int64_t i0 = begin * kStrip; i0 < std::min(k, end * kStrip); i0 += kStrip) {
        const int64_t width = std::min(kStrip, k - i0);
        T product[kStrip];
        for (int64_t i = 0; i < width; ++i) product[i] = distances[(i0 + i) * k + i0 + i];
        for (int64_t j = 0; j < k; ++j) {
          const T *from = distances + j * k + i0, pole = poles[j];
          for (int64_t i = 0; i < width; ++i) {
            const T ratio = from[i] / (poles[i0 + i] - pole);
            product[i] *= i0 + i == j ? T(1) : ratio;
          }
        }
        for (int64_t i = 0; i < width; ++i)
          weights[i0 + i] = std::copysign(std::sqrt(std::max(-product[i], T(0))), weights[i0 + i]);
      }
    });
  }

  const LapackTiles<T>& tiles_;
  int64_t n_;
  T *d_, *e_, *rows_;
  int64_t ld_;
  T *vectors_, *halves_;  // those of a change of rank one, and what they are multiplied with
  std::vector<int64_t> order_;
};

}  // namespace

int64_t eigen_room(int64_t n) { return 3 * n * (n + kPad) + (n + 1) * kPad; }

template <class T>
lapack::Int eigen_tridiagonal(const LapackTiles<T>& tiles, int64_t n, T* d, T* e, T* rows, int64_t ld, T* room) {
  const int64_t step = n + kPad, grain = std::max<int64_t>(1, (1 << 15) / n);
  T *found = room, *vectors = found + n * step, *halves = vectors + n * n;
  parallel_for(n, grain,
               [&](int64_t begin, int64_t end) { std::fill(found + begin * step, found + end * step, T(0)); });
  // Where an element beside the diagonal is nothing against those on it, parts are independent.
  std::vector<int64_t> order;
  for (int64_t first = 0; first < n;) {
    int64_t end = first + 1;
    while (end < n && std::abs(e[end - 1]) > std::numeric_limits<T>::epsilon() / 2 * std::sqrt(std::abs(d[end - 1])) *
                                                 std::sqrt(std::abs(d[end])))
      ++end;
    Conquest<T> part(tiles, end - first, d + first, e + first, found + first * step + first, step, vectors, halves);
    if (Int info = part.solve()) return info;
    for (int64_t i = 0; i < end - first; ++i) order.push_back(first + part.order(i));
    first = end;
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return d[a] < d[b]; });
  std::vector<T> values(d, d + n);
  for (int64_t i = 0; i < n; ++i) d[i] = values[size_t(order[size_t(i)])];
  parallel_for(n, std::max<int64_t>(1, (1 << 15) / n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) std::copy_n(found + order[size_t(i)] * step, n, rows + i * ld);
  });
  return 0;
}

#define INSTANTIATE(T) template lapack::Int eigen_tridiagonal(const LapackTiles<T>&, int64_t, T*, T*, T*, int64_t, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu
