#include "backends/cuda/fft_choice.h"

#include <algorithm>
#include <array>

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
  int64_t elements;           // from so many in all lines on
};

// Lines of which the library transforms at least a 20th more in the same time, on an H100. What is not here was not
// measured or gains less. A factor takes it a pass of its own over memory, which no line of these makes up for.
constexpr std::array<Measured, 0> kTable{};

bool only(Factors factors, int64_t length) {
  while (length % 2 == 0) length /= 2;
  if (factors == Factors::twos || length == 1) return factors == Factors::twos && length == 1;
  for (int64_t prime : {3, 5, 7})
    while (length % prime == 0) length /= prime;
  return length == 1;
}

}  // namespace

bool library_is_quicker(const FourierWork& work) {
  if (work.scaled) return false;
  return std::any_of(kTable.begin(), kTable.end(), [&](const Measured& m) {
    return work.kind == m.kind && work.length >= m.shortest && work.length <= m.longest &&
           work.lines * work.length >= m.elements && only(m.factors, work.length);
  });
}

}  // namespace funcnn::cuda
