#include "backends/gpu/fft_pass.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "backends/gpu/fft_text.h"
#include "backends/gpu/kernel.h"
#include "backends/gpu/operand.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kElement = 8;     // bytes
constexpr int64_t kSectors = 4;     // elements that memory hands over together
constexpr int64_t kGroupOf = 2048;  // elements that a group takes where it has the choice
constexpr uint32_t kMostThreads = 512;
constexpr int kMostRadix = 16;

// Every sixteen elements one is left out, so that strides of powers of two meet all banks; odd, for those that go from
// column to column.
int64_t pitch_of(int64_t radix) { return (radix + radix / 16) | 1; }

int64_t room(const Traits& traits) { return std::min<int64_t>(int64_t(traits.shared_bytes), 36 << 10) / kElement; }

// As few radices as multiply to `product`, and of those the most even: each takes what is in shared memory once through
// registers. Descending, none greater than `most`.
std::vector<int> stage_radices(int product, int most = kMostRadix) {
  if (product == 1) return {};
  std::vector<int> best;
  for (int radix = std::min(product, most); radix > 1; --radix) {
    if (product % radix) continue;
    std::vector<int> rest = stage_radices(product / radix, radix);
    if (rest.empty() && radix != product) continue;
    rest.insert(rest.begin(), radix);
    const auto sum = [](const std::vector<int>& of) { return std::accumulate(of.begin(), of.end(), 0); };
    if (best.empty() || std::pair(rest.size(), sum(rest)) < std::pair(best.size(), sum(best))) best = std::move(rest);
  }
  return best;
}

// So many threads that least of them is idle while a stage's butterflies take turns, and that each holds little at
// once.
uint32_t threads_for(int64_t elements, const std::vector<int>& radices) {
  const auto fewest = uint32_t(std::min<int64_t>(kMostThreads, (elements + kMostRadix - 1) / kMostRadix));
  uint32_t best = 0;
  int64_t least = INT64_MAX;
  for (uint32_t threads = (fewest + 31) / 32 * 32; threads <= kMostThreads; threads += 32) {
    int64_t work = 0;
    for (int radix : radices) work += (elements / radix + threads - 1) / threads * threads * radix;
    if (work > least) continue;
    best = threads;
    least = work;
  }
  return best;
}

}  // namespace

std::vector<std::vector<int>> fft_passes(const Traits& traits, int64_t size) {
  std::vector<int> primes;
  int64_t left = size;
  for (int prime : {13, 11, 7, 5, 3, 2})
    for (; left % prime == 0; left /= prime) primes.push_back(prime);
  if (left != 1) return {};
  for (int64_t passes = 1;; ++passes) {
    // A pass of several leaves room for columns that memory hands over together.
    const int64_t columns = passes == 1 ? 1 : kSectors;
    std::vector<int64_t> products(size_t(passes), 1);
    for (int prime : primes) *std::ranges::min_element(products) *= prime;
    const int64_t most = std::ranges::max(products);
    if (columns * pitch_of(most) > room(traits) || most > kMostThreads * 8) continue;
    std::vector<std::vector<int>> out;
    for (int64_t product : products) out.push_back(product == 1 ? std::vector<int>{1} : stage_radices(int(product)));
    return out;
  }
}

FftPass::FftPass(const Traits& traits, std::vector<int> radices, int64_t size, int64_t done, int64_t columns,
                 bool inverse, bool load_across, bool store_across, bool to_half)
    : radices_(std::move(radices)),
      size_(size),
      done_(done),
      columns_(columns),
      inverse_(inverse),
      load_across_(load_across),
      store_across_(store_across),
      to_half_(to_half) {
  for (int radix : radices_) radix_ *= radix;
  // A line that a thread has to itself is read and written in pieces: by two stages it goes through shared memory, by
  // three where its length is a prime number.
  if (radices_.size() == 1 && radix_ > 1 && !load_across_ && !to_half_) {
    auto two = stage_radices(int(radix_), int(radix_) - 1);
    radices_ = two.empty() ? std::vector<int>{1, int(radix_), 1} : std::move(two);
  }
  pitch_ = pitch_of(radix_);
  side_ = std::max<int64_t>(1, kGroupOf / radix_);
  // All cores get work, unless memory would be read in pieces for it.
  const int64_t least = std::max<int64_t>(load_across || store_across ? kSectors : 1, 256 / radix_);
  side_ = std::min(side_, std::max(least, columns / (2 * int64_t(traits.cores))));
  side_ = std::max(side_, load_across || store_across ? kSectors : 1);
  if (radices_.size() > 1 || to_half_) side_ = std::min(side_, room(traits) / pitch_);
  side_ = std::max<int64_t>(1, std::min(side_, columns));
  threads_ = threads_for(side_ * radix_, radices_);
}

uint32_t FftPass::groups() const { return groups_for(columns_, side_); }

// Declares the column of butterfly `b` and its number there.
std::string FftPass::butterfly_text(int radix, bool across) const {
  const int64_t count = radix_ / radix;
  return across ? cat("      const u32 c = b % ", side_, "u, i = b / ", side_, "u;\n")
                : cat("      const u32 c = b / ", count, "u, i = b % ", count, "u;\n");
}

std::string FftPass::stage(size_t number, int64_t done, std::string_view index, const End& source,
                           const End& target) const {
  const int radix = radices_[number];
  const bool first = number == 0, ends = number + 1 == radices_.size(), last = ends && !to_half_;
  const int64_t count = radix_ / radix, all = side_ * count, turns = (all + threads_ - 1) / threads_;
  const bool across = first ? load_across_ : last && store_across_;
  std::string each =
      cat("    UNROLL for (u32 u = 0; u < ", turns, "; ++u) {\n      const u32 b = u * ", threads_, " + item.x;\n",
          all % threads_ ? cat("      if (b >= ", all, "u) continue;\n") : "", butterfly_text(radix, across));
  const std::string elements = cat("      UNROLL for (u32 j = 0; j < ", radix, "; ++j) ");
  const std::string spread = cat("tile[c * ", pitch_, "u + spread(i + j * ", count, "u)]");
  std::string out = "  {\n";
  // All is read before any of it is overwritten, by others.
  const bool held = !first && !last && count > 1;
  if (held)
    out += cat("    c64 held[", turns, "][", radix, "];\n", each, elements, "held[u][j] = ", spread,
               ";\n    }\n    BARRIER();\n");
  if (first || last)
    each += cat("      const ", index, " column = first_column + (", index, ")c;\n",
                last ? "      if (column >= p.columns) continue;\n" : "");
  out += cat(each, "      c64 v[", radix, "];\n");
  if (first)
    // What is beyond the last column is transformed as zeros.
    out += cat(last ? "" : elements + "v[j] = c64{0.0f, 0.0f};\n",
               last ? "      {\n" : "      if (column < p.columns) {\n", source.column, elements, "{\n      const ",
               index, " k = i1 + (", index, ")(i + j * ", count, "u) * ", size_ / radix_, ";\n", source.element,
               "      v[j] = value;\n      }\n      }\n");
  else
    out += cat(elements, "v[j] = ", held ? "held[u][j]" : spread, ";\n");
  out += dft_text(radix, inverse_);
  const std::string stored =
      cat(elements, "tile[c * ", pitch_, "u + spread(q + ", done, "u * (", radix, "u * block + j))] = ");
  // The roots are 1 where one block is left.
  if (!last && (radix == 1 || done * radix == radix_))
    return out + cat("      const u32 q = i % ", done, "u, block = i / ", done, "u;\n", stored,
                     "v[j];\n    }\n    BARRIER();\n  }\n");
  if (!last) {
    // Powers of one root, of which those of two are computed.
    out += cat("      const u32 q = i % ", done, "u, block = i / ", done, "u;\n      c64 w[", radix, "];\n");
    for (int j = 1; j < radix; ++j) {
      const auto high = int(std::bit_floor(unsigned(j)));
      out += cat("      w[", j, "] = ",
                 j == high ? root_text(cat("block * ", j, "u"), radix_ / done, inverse_)
                           : cat("times_c64(w[", high, "], w[", j - high, "])"),
                 ";\n");
    }
    return out + cat(stored, "j == 0 ? v[j] : times_c64(v[j], w[j]);\n    }\n    BARRIER();\n  }\n");
  }
  const bool final = done_ * radix_ == size_;
  out += cat(target.column, "      const ", index, " q = i1", final ? "" : cat(" % ", done_, ", block = i1 / ", done_),
             ";\n", elements, "{\n      const u32 e = i + ", done, "u * j;\n      const ", index, " k = q + (",
             final ? "" : cat("block * ", radix_, " + "), "(", index, ")e) * ", done_, ";\n      const c64 value = ",
             final ? "v[j]" : cat("times_c64(v[j], ", root_text("(u32)block * e", size_ / done_, inverse_), ")"), ";\n",
             target.element, "      }\n    }\n  }\n");
  return out;
}

std::string FftPass::halves(std::string_view index, const End& target) const {
  const int64_t give = radix_ + 1, all = side_ * give;
  return cat("  for (u32 u = item.x; u < ", all, "u; u += ", threads_, "u) {\n      const u32 c = u ",
             store_across_ ? cat("% ", side_, "u, e = u / ", side_) : cat("/ ", give, "u, e = u % ", give),
             "u;\n      const ", index, " column = first_column + (", index, ")c, k = (", index,
             ")e;\n      if (column >= p.columns) continue;\n", target.column,
             "      const c64 value = of_pairs(tile[c * ", pitch_, "u + spread(e == ", radix_,
             "u ? 0u : e)], tile[c * ", pitch_, "u + spread(e == 0u ? 0u : ", radix_, "u - e)], ",
             root_text("e", 2 * radix_, false), ");\n", target.element, "  }\n");
}

std::string FftPass::body(std::string_view index, const End& source, const End& target) const {
  std::string out;
  if (radices_.size() > 1 || to_half_) out += cat("  SHARED c64 tile[", side_ * pitch_, "];\n");
  out += cat("  const ", index, " first_column = (", index, ")group.x * ", side_, ";\n");
  int64_t done = 1;
  for (size_t i = 0; i < radices_.size(); ++i) {
    out += stage(i, done, index, source, target);
    done *= radices_[i];
  }
  return to_half_ ? out + halves(index, target) : out;
}

}  // namespace funcnn::gpu
