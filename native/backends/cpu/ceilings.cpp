// What this machine reaches: large copies, and products that are summed up in registers.
#include "backends/cpu/ceilings.h"

#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/peak.h"
#include "base/least_seconds.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(PeakTable, peak_table);

namespace {

const PeakTable& table() { return FUNCNN_OF_ACTIVE_SET(peak_table); }

double copied_bytes_per_second() {
  constexpr size_t kBytes = size_t(64) << 20, kPiece = size_t(1) << 20;  // far beyond the caches
  // Not of the pool, whose statistics are the user's.
  std::unique_ptr<std::byte[]> from(new (std::nothrow) std::byte[kBytes]), to(new (std::nothrow) std::byte[kBytes]);
  if (!from || !to) return 0;
  auto over = [&](auto&& body) {
    parallel_for(int64_t(kBytes / kPiece), 1,
                 [&](int64_t begin, int64_t end) { body(size_t(begin) * kPiece, size_t(end - begin) * kPiece); });
  };
  over([&](size_t at, size_t bytes) {
    std::memset(from.get() + at, 1, bytes);
    std::memset(to.get() + at, 2, bytes);
  });
  double seconds =
      least_seconds(8, [&] { over([&](size_t at, size_t n) { std::memcpy(to.get() + at, from.get() + at, n); }); });
  return 2.0 * double(kBytes) / seconds;
}

double flops_per_second() {
  constexpr int64_t kRounds = 1 << 12, kPieces = 64;  // a few milliseconds
  std::vector<float> sinks(kPieces, 1.0f);
  double each = 0;
  double seconds = least_seconds(8, [&] {
    parallel_for(kPieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double done = table().run(kRounds, &sinks[size_t(i)]);
        if (i == 0) each = done;
      }
    });
  });
  return each * double(kPieces) / seconds;
}

}  // namespace

Effort measure_ceilings() { return {copied_bytes_per_second(), flops_per_second()}; }

}  // namespace funcnn::cpu
