// Factors, roots of unity and the cache of plans. Roots are computed in double precision.
#include <algorithm>
#include <cmath>
#include <complex>
#include <list>
#include <mutex>
#include <string_view>

#include "backends/cpu/fft.h"
#include "backends/cpu/instruction_set.h"
#include "backends/cpu/interpreter.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(FftTable, fft_table);

namespace {

using Complex = std::complex<double>;

constexpr double kHalfPi = 1.57079632679489661923;
constexpr int kLargestFactor = 61;          // a larger prime is a convolution
constexpr int64_t kShortestSquare = 64;     // lines this long are worth laying out as a matrix
constexpr int64_t kWholeFactors = 1 << 15;  // up to this length all factors between columns and rows are kept
constexpr size_t kMostBytes = size_t(64) << 20;
constexpr size_t kMostPlans = 256;

// e^(-2 pi i k / n): the angle is reduced to an eighth of a turn first.
Complex root(int64_t k, int64_t n) {
  k %= n;
  int64_t quadrant = 4 * k / n, rest = 4 * k - quadrant * n;
  bool upper = 2 * rest > n;
  double angle = kHalfPi * (double(upper ? n - rest : rest) / double(n));
  double c = std::cos(angle), s = std::sin(angle);
  if (upper) std::swap(c, s);
  switch (quadrant) {
    case 0:
      return {c, -s};
    case 1:
      return {-s, -c};
    case 2:
      return {-c, s};
    default:
      return {s, c};
  }
}

void append(std::vector<float>& to, Complex x) {
  to.push_back(float(x.real()));
  to.push_back(float(x.imag()));
}

// The radices of a length, empty if it has too large a factor.
std::vector<int> radices_of(int64_t length) {
  std::vector<int> out;
  int twos = 0;
  for (; length % 2 == 0; length /= 2) ++twos;
  for (int64_t p = 3; p <= kLargestFactor; p += 2)
    for (; length % p == 0; length /= p) out.push_back(int(p));
  if (length != 1) return {};
  // As few as possible, none larger than 16, and as even as can be.
  for (int left = (twos + 3) / 4; left > 0; --left) {
    int bits = twos / left;
    out.push_back(1 << bits);
    twos -= bits;
  }
  return out;
}

bool has_small_factors(int64_t length) { return length == 1 || !radices_of(length).empty(); }

FftPasses passes_of(int64_t length) {
  FftPasses made;
  made.length = length;
  int64_t before = 1;
  for (int radix : radices_of(length)) {
    FftPass pass{radix, before, length / before / radix, {}, {}};
    for (int64_t i = 0; i < pass.after; ++i)
      for (int64_t j = 1; j < radix; ++j) append(pass.twiddles, root(i * j, pass.after * radix));
    for (int j = 0; j < radix; ++j) append(pass.roots, root(j, radix));
    before *= radix;
    made.passes.push_back(std::move(pass));
  }
  return made;
}

// The layout that wastes the fewest lanes, as square as possible.
std::unique_ptr<FftSquare> square_of(int64_t length, int lanes, bool brief) {
  int64_t rows = brief ? length / lanes : 1;
  double least = 0;
  auto whole = [&](int64_t count) { return double((count + lanes - 1) / lanes * lanes); };
  for (int64_t d = 2; d * d <= length && !brief; ++d) {
    if (length % d) continue;
    for (int64_t r : {d, length / d}) {
      double other = double(length / r), cost = whole(r) * other + whole(length / r) * double(r);
      cost *= 1 + 0.1 * std::abs(std::log2(double(r) / other));
      if (rows == 1 || cost < least) {
        rows = r;
        least = cost;
      }
    }
  }
  if (rows == 1) return nullptr;
  auto made = std::make_unique<FftSquare>();
  int64_t columns = length / rows, padded = (columns + lanes - 1) / lanes * lanes;
  made->rows = rows;
  made->columns = columns;
  made->down = passes_of(rows);
  made->across = passes_of(columns);
  if (length <= kWholeFactors) {
    made->whole.resize(size_t(2 * rows * padded));
    for (int64_t k = 0; k < rows; ++k)
      for (int64_t c = 0; c < columns; ++c) {
        Complex w = root(k * c, length);
        made->whole[size_t(2 * k * padded + c)] = float(w.real());
        made->whole[size_t((2 * k + 1) * padded + c)] = float(w.imag());
      }
    return made;
  }
  for (int64_t c = 0; c < columns; c += lanes)
    for (int64_t k = 0; k < rows; ++k) append(made->first, root(k * c, length));
  made->lane.resize(size_t(2 * lanes * rows));
  for (int64_t k = 0; k < rows; ++k)
    for (int64_t i = 0; i < lanes; ++i) {
      Complex w = root(k * i, length);
      made->lane[size_t(2 * k * lanes + i)] = float(w.real());
      made->lane[size_t((2 * k + 1) * lanes + i)] = float(w.imag());
    }
  return made;
}

// The transform in double precision.
std::vector<Complex> exact_transform(std::vector<Complex> x) {
  const int64_t n = int64_t(x.size());
  std::vector<Complex> next(x.size()), roots(x.size());
  for (int64_t k = 0; k < n; ++k) roots[size_t(k)] = root(k, n);
  int64_t before = 1;
  for (int radix : radices_of(n)) {
    int64_t after = n / before / radix;
    for (int64_t k = 0; k < before; ++k)
      for (int64_t i = 0; i < after; ++i)
        for (int64_t j = 0; j < radix; ++j) {
          Complex sum = 0;
          for (int64_t m = 0; m < radix; ++m)
            sum += x[size_t(i + after * (m + radix * k))] * roots[size_t(j * m % radix * (n / radix))];
          next[size_t(i + after * (k + before * j))] = sum * roots[size_t(i * j * before)];
        }
    before *= radix;
    x.swap(next);
  }
  return x;
}

// A length of at least `least` that is quickly transformed.
int64_t convolution_length(int64_t least) {
  int64_t best = 0;
  for (int64_t odd : {1, 3, 5, 9, 15}) {
    int64_t length = odd;
    while (length < least || length < 16 * odd) length *= 2;
    if (!best || length < best) best = length;
  }
  return best;
}

size_t bytes_of(const FftPasses& passes) {
  size_t total = 0;
  for (const FftPass& pass : passes.passes) total += pass.twiddles.size() + pass.roots.size();
  return total * sizeof(float);
}

std::shared_ptr<const FftPlan> make_plan(int64_t length, int lanes) {
  auto plan = std::make_shared<FftPlan>();
  plan->length = length;
  for (int part = 0; part < 2; ++part)
    for (int64_t k = 0; k <= length / 2; ++k) {
      Complex w = root(k, 2 * length);
      plan->halves.push_back(float(part == 0 ? w.imag() : -w.real()));
    }
  plan->halves.resize(plan->halves.size() + size_t(lanes));  // whole vectors are read
  plan->bytes = plan->halves.size() * sizeof(float);
  if (has_small_factors(length)) {
    plan->passes = passes_of(length);
    const bool brief = fft_table().brief_group(length) != 0;
    if (brief || length >= kShortestSquare) plan->square = square_of(length, lanes, brief);
    plan->bytes += bytes_of(plan->passes);
    if (const FftSquare* square = plan->square.get())
      plan->bytes += bytes_of(square->down) + bytes_of(square->across) +
                     (square->whole.size() + square->first.size() + square->lane.size()) * sizeof(float);
    return plan;
  }
  // k j = (k^2 + j^2 - (k - j)^2) / 2 makes a convolution of the transform.
  int64_t size = convolution_length(2 * length - 1);
  plan->inner = fft_plan(size);
  std::vector<Complex> kernel(static_cast<size_t>(size));
  for (int64_t j = 0; j < length; ++j) {
    Complex w = root(j * j % (2 * length), 2 * length);
    append(plan->chirp, w);
    kernel[size_t(j)] = kernel[size_t(j ? size - j : 0)] = std::conj(w) / double(size);
  }
  for (Complex x : exact_transform(std::move(kernel))) append(plan->kernel, x);
  plan->bytes += (plan->chirp.size() + plan->kernel.size()) * sizeof(float);
  return plan;
}

// The plans, those used last in front.
struct Cache {
  struct Entry {
    int64_t length;
    int lanes;
    std::shared_ptr<const FftPlan> plan;
  };
  std::mutex mutex;
  std::list<Entry> entries;
  size_t bytes = 0;
};
Cache& cache() {
  static Cache instance;
  return instance;
}

}  // namespace

const FftTable& fft_table() { return FUNCNN_OF_ACTIVE_SET(fft_table); }

std::shared_ptr<const FftPlan> fft_plan(int64_t length) {
  const int lanes = fft_table().lanes;
  Cache& c = cache();
  {
    std::lock_guard lock(c.mutex);
    for (auto it = c.entries.begin(); it != c.entries.end(); ++it)
      if (it->length == length && it->lanes == lanes) {
        c.entries.splice(c.entries.begin(), c.entries, it);
        return it->plan;
      }
  }
  auto plan = make_plan(length, lanes);
  std::lock_guard lock(c.mutex);
  c.entries.push_front({length, lanes, plan});
  c.bytes += plan->bytes;
  while ((c.bytes > kMostBytes || c.entries.size() > kMostPlans) && c.entries.size() > 1) {
    c.bytes -= c.entries.back().plan->bytes;
    c.entries.pop_back();
  }
  return plan;
}

void clear_fft_plans() {
  Cache& c = cache();
  std::lock_guard lock(c.mutex);
  c.entries.clear();
  c.bytes = 0;
}

}  // namespace funcnn::cpu
