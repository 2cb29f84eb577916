#include "backends/cpu/amx.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "base/error.h"

#if defined(FUNCNN_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace funcnn::cpu {
namespace {

#if defined(FUNCNN_AMX)
constexpr int kConfigState = 17, kDataState = 18;  // of the extended state of the processor

bool processor_has_amx() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (bf16 | tile)) != (bf16 | tile)) return false;
  // Sums are rounded by an instruction of AVX512_BF16.
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & 1u << 5)) return false;
  // Palette 1: at least eight registers of 16 rows of 64 bytes.
  if (!__get_cpuid_count(0x1d, 1, &a, &b, &c, &d) || (b & 0xffff) < 64 || (b >> 16) < 8 || (c & 0xffff) < 16)
    return false;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned states = 1u << kConfigState | 1u << kDataState;
  return (low & states) == states;
}

bool system_permits_amx() {
  constexpr long get_permitted = 0x1022, request = 0x1023;  // ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM
  if (syscall(SYS_arch_prctl, request, kDataState) != 0) return false;
  unsigned long permitted = 0;
  return syscall(SYS_arch_prctl, get_permitted, &permitted) == 0 && (permitted >> kDataState & 1);
}
#endif

bool have_amx() {
#if defined(FUNCNN_AMX)
  static const bool have = processor_has_amx() && system_permits_amx();
  return have;
#else
  return false;
#endif
}

constexpr std::string_view kNames[] = {"off", "on", "emulated"};

AmxUse of_environment() {
  const char* set = std::getenv("FUNCNN_AMX");
  const std::string_view text = set ? set : "";
  if (text == "emulated") return AmxUse::emulated;
  if (!text.empty() && text != "0" && text != "1")
    throw ValueError(cat("FUNCNN_AMX: expected 0, 1 or emulated, got \"", text, "\""));
  return text != "0" && have_amx() ? AmxUse::on : AmxUse::off;
}

std::atomic<AmxUse>& in_use() {
  static std::atomic<AmxUse> use = of_environment();
  return use;
}

}  // namespace

AmxUse amx_use() { return in_use(); }

const char* amx_use_name() { return kNames[int(amx_use())].data(); }

void set_amx_use(const char* name) {
  const auto* found = std::find(std::begin(kNames), std::end(kNames), std::string_view(name));
  if (found == std::end(kNames)) throw ValueError(cat("set_amx_use: expected off, on or emulated, got ", name));
  const AmxUse use = AmxUse(found - kNames);
  if (use == AmxUse::on && !have_amx())
    throw ValueError("set_amx_use: this machine has no AMX, or the system refuses it");
  in_use() = use;
}

GemmShares amx_shares(int64_t m, int64_t n, int64_t k, int64_t threads) {
  // In cycles: multiply-adds, bytes of operands from a cache that all share, and what a task takes besides.
  constexpr double per_multiply = 1.0 / 350, per_byte = 1.0 / 8, per_task = 5000;
  constexpr int64_t cuts[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48};
  auto side = [](int64_t length, int64_t cut) {
    return ((length + cut - 1) / cut + kAmxSide - 1) / kAmxSide * kAmxSide;
  };
  GemmShares best;
  double least = 0;
  for (const int64_t row_cuts : cuts)
    for (const int64_t column_cuts : cuts) {
      const int64_t rows = side(m, row_cuts), columns = side(n, column_cuts);
      const int64_t tasks = ((m + rows - 1) / rows) * ((n + columns - 1) / columns);
      const double task = double(rows) * double(columns) * double(k) * per_multiply +
                          double((rows + columns) * k * 2) * per_byte + per_task;
      // A thread may be late: half a task more.
      const double time = (double((tasks + threads - 1) / threads) + (threads > 1 ? 0.5 : 0)) * task;
      if (least > 0 && time >= least) continue;
      least = time;
      best = {kAmxSide, rows, columns, double(m) * double(n) * double(k) / (double(tasks) + 0.5)};
    }
  return best;
}

size_t amx_room(int64_t m, int64_t n, int64_t k) {
  auto whole = [](int64_t length, int64_t unit) { return (length + unit - 1) / unit * unit; };
  const int64_t rows = whole(std::min(m, kAmxRows), kAmxSide), columns = whole(std::min(n, kAmxColumns), kAmxSide);
  const int64_t depth = whole(std::min(k, kAmxDepth), kAmxStep);
  return size_t((rows + columns) * depth) * 2 + (k > kAmxDepth ? size_t(rows * columns) * 4 : 0);
}

}  // namespace funcnn::cpu
