#include "backends/cuda/fft_choice.h"

#include <algorithm>
#include <iterator>

namespace funcnn::cuda {
namespace {

// Lengths by their prime factors.
enum class Factors : uint8_t {
  twos,     // no others
  to_seven  // 2, 3, 5 and 7, not twos alone
};

struct Measured {
  FftKind kind;
  Factors factors;
  int64_t shortest, longest;  // lines
  bool scaled;                // whether also by another factor than 1, which takes a pass of its own over memory
};

// Lines of which the library transforms at least a 20th more in the same time, on an H100 with 2^24 elements in all.
// What is not here was not measured or gains less.
constexpr Measured kTable[] = {
    {FftKind::complex, Factors::twos, 16384, 16384, false},         // 1.75 as quick
    {FftKind::real_to_half, Factors::twos, 16384, 65536, false},    // 2.8, 1.9
    {FftKind::real_to_half, Factors::to_seven, 30, 100, false},     // 1.3, 1.2
    {FftKind::real_to_half, Factors::to_seven, 1000, 1000, false},  // 1.35
    {FftKind::half_to_real, Factors::twos, 16384, 16384, true},     // 1.2
};
// With 2^16 the launches alone count, of which we have fewer.
constexpr int64_t kElements = int64_t(1) << 23;

bool only(Factors factors, int64_t length) {
  while (length % 2 == 0) length /= 2;
  if (factors == Factors::twos || length == 1) return factors == Factors::twos && length == 1;
  for (int64_t prime : {3, 5, 7})
    while (length % prime == 0) length /= prime;
  return length == 1;
}

}  // namespace

bool library_is_quicker(const FourierWork& work) {
  if (work.lines * work.length < kElements) return false;
  return std::any_of(std::begin(kTable), std::end(kTable), [&](const Measured& m) {
    return work.kind == m.kind && work.length >= m.shortest && work.length <= m.longest && (m.scaled || !work.scaled) &&
           only(m.factors, work.length);
  });
}

}  // namespace funcnn::cuda
