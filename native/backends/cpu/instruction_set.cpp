#include "backends/cpu/instruction_set.h"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "backends/cpu/interpreter.h"
#include "base/error.h"

#if defined(_MSC_VER) && defined(FUNCNN_X86)
#include <intrin.h>
#endif

namespace funcnn::cpu {
namespace {

#if defined(FUNCNN_X86) && defined(_MSC_VER)
bool leaf7(int bit) {
  int r[4];
  __cpuid(r, 1);
  bool system_saves_ymm = (r[2] & (1 << 27)) && (_xgetbv(0) & 6) == 6, fma = r[2] & (1 << 12);
  __cpuidex(r, 7, 0);
  return system_saves_ymm && fma && (r[1] & (1 << bit));
}
InstructionLevel detect() {
  if (!leaf7(5)) return InstructionLevel::baseline;
  bool wide = (_xgetbv(0) & 0xe6) == 0xe6 && leaf7(16) && leaf7(17) && leaf7(30) && leaf7(31);
  return wide ? InstructionLevel::avx512 : InstructionLevel::avx2;
}
#elif defined(FUNCNN_X86)
InstructionLevel detect() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return InstructionLevel::baseline;
  bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return wide ? InstructionLevel::avx512 : InstructionLevel::avx2;
}
#else
InstructionLevel detect() { return InstructionLevel::baseline; }
#endif

struct InstructionSet {
  const char* name;
  InstructionLevel level;
  void (*fill)(simd::Table&);
};

// The best one last.
constexpr InstructionSet kSets[] = {
#if defined(__aarch64__) || defined(_M_ARM64)
    {"neon", InstructionLevel::baseline, simd::baseline::fill_table},
#else
    {"baseline", InstructionLevel::baseline, simd::baseline::fill_table},
#endif
#if defined(FUNCNN_X86)
    {"avx2", InstructionLevel::avx2, simd::avx2::fill_table},
    {"avx512", InstructionLevel::avx512, simd::avx512::fill_table},
#endif
};
constexpr size_t kSetCount = sizeof(kSets) / sizeof(kSets[0]);

struct Active {
  std::atomic<const InstructionSet*> set{nullptr};
  std::atomic<const simd::Table*> table{nullptr};
};
Active& active() {
  static Active instance;
  return instance;
}

void activate(const InstructionSet& set) {
  // Prepared programs hold entries of a table, so tables live for ever.
  static std::unique_ptr<simd::Table> tables[kSetCount];
  std::unique_ptr<simd::Table>& table = tables[&set - kSets];
  if (!table) {
    table = std::make_unique<simd::Table>();
    simd::add_scalar_operations(*table);
    set.fill(*table);
  }
  active().set = &set;
  active().table = table.get();
}

void ensure_active() {
  static const bool done = [] {
    size_t best = 0;
    for (size_t i = 0; i < kSetCount; ++i)
      if (kSets[i].level <= machine_level()) best = i;
    activate(kSets[best]);
    return true;
  }();
  (void)done;
}

}  // namespace

InstructionLevel machine_level() {
  static const InstructionLevel level = detect();
  return level;
}

const simd::Table& active_table() {
  ensure_active();
  return *active().table;
}

InstructionLevel active_level() {
  ensure_active();
  return active().set.load()->level;
}

const char* instruction_set() {
  ensure_active();
  return active().set.load()->name;
}

void set_instruction_set(const char* name) {
  ensure_active();
  std::string known;
  for (const InstructionSet& set : kSets) {
    if (set.level > machine_level()) continue;
    if (std::string_view(set.name) == name) return activate(set);
    known += known.empty() ? set.name : std::string(", ") + set.name;
  }
  throw ValueError(cat("set_instruction_set: this machine has ", known, "; got ", name));
}

}  // namespace funcnn::cpu
