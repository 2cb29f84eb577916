#include "backends/gpu/ordered.h"

#include "backends/gpu/nest.h"

namespace funcnn::gpu {
namespace {

constexpr int64_t kBlock = 1024;  // words that one group sorts
constexpr uint32_t kThreads = 256;

// A bitonic network over shared memory; what is missing at the end counts as the largest word.
constexpr std::string_view kSortBlocks = R"text(  SHARED u64 block[1024];
  const i64 begin = (i64)group.x * 1024;
  for (u32 i = item.x; i < p.width; i += 256) block[i] = begin + i < p.count ? words[begin + i] : ~(u64)0;
  BARRIER();
  for (u32 size = 2; size <= p.width; size *= 2) {
    for (u32 apart = size / 2; apart > 0; apart /= 2) {
      for (u32 k = item.x; k < p.width / 2; k += 256) {
        const u32 i = k / apart * apart * 2 + k % apart, j = i + apart;
        const u64 a = block[i], b = block[j];
        if ((a > b) == ((i & size) == 0)) {
          block[i] = b;
          block[j] = a;
        }
      }
      BARRIER();
    }
  }
  for (u32 i = item.x; i < p.width; i += 256) {
    if (begin + i < p.count) words[begin + i] = block[i];
  }
)text";

// Each word looks for its place in the other run of its pair of runs.
constexpr std::string_view kMergeRuns = R"text(  const i64 i = (i64)group.x * 256 + item.x;
  if (i >= p.count) return;
  const u64 word = from[i];
  const i64 run = i / p.width, pair = run / 2 * 2 * p.width;
  const bool second = run % 2 != 0;
  const i64 other = second ? pair : pair + p.width;
  i64 low = other < p.count ? other : p.count;
  i64 high = other + p.width < p.count ? other + p.width : p.count;
  const i64 first = low;
  while (low < high) {
    const i64 middle = (low + high) / 2;
    if (from[middle] < word) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  to[pair + (i - run * p.width) + (low - first)] = word;
)text";

}  // namespace

int64_t add_ordering(Machine& machine, std::vector<Stage>& stages, int scratch, int64_t at, int64_t count) {
  KernelText sort(machine.traits(), "sort_blocks", kThreads);
  sort.write("u64", "words").value("i64", "count").value("u32", "width").body(kSortBlocks);
  uint32_t width = 2;
  while (width < kBlock && width < count) width *= 2;
  stages.push_back(stage_of(machine, sort, {groups_for(count, kBlock)}, {kThreads}, {{scratch, at}}, 0,
                            Values().add(count).add(width).bytes()));
  if (count <= kBlock) return at;
  KernelText merge(machine.traits(), "merge_runs", kThreads);
  merge.read("u64", "from").write("u64", "to").value("i64", "count").value("i64", "width").body(kMergeRuns);
  int64_t from = at, to = at + count * 8;
  for (int64_t run = kBlock; run < count; run *= 2) {
    stages.push_back(stage_of(machine, merge, {groups_for(count, kThreads)}, {kThreads},
                              {{scratch, from}, {scratch, to}}, 1, Values().add(count).add(run).bytes()));
    std::swap(from, to);
  }
  return from;
}

}  // namespace funcnn::gpu
