#include "backends/cpu/scatter_halves.h"

#include <algorithm>
#include <memory>
#include <span>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/radix_sort.h"
#include "base/error.h"

namespace funcnn::cpu {
namespace {

constexpr int64_t kColumns = 512;  // totals held at a time
constexpr size_t kSortFrom = 64;   // fewer are compared
constexpr int64_t kHalf = 2;       // bytes
constexpr uint64_t kSparse = 16;   // places an update, from which elements are ordered

template <class F>
decltype(auto) visit_half(Dtype dtype, F&& f) {
  return dtype == Dtype::float16 ? f(float16_t{}) : f(bfloat16_t{});
}

using Update = HalfTotals::Update;

bool before(const Update& a, const Update& b) { return a.place < b.place; }

void order_by_place(std::vector<Update>& updates) {
  if (updates.size() < kSortFrom) {
    std::stable_sort(updates.begin(), updates.end(), before);
  } else {
    std::vector<Update> spare;
    uint64_t places = 0;
    for (const Update& update : updates) places |= update.place;
    if (places <= UINT32_MAX)
      radix_sort(updates, spare, [](const Update& update) { return uint32_t(update.place); });
    else
      radix_sort(updates, spare, [](const Update& update) { return update.place; });
  }
}

}  // namespace

// Updates of one place.
struct HalfTotals::Run {
  std::span<const Update> updates;
  std::byte* out;
  const std::byte* values;
  int64_t begin, end;
};

HalfTotals::HalfTotals(ScatterMode mode, Dtype dtype, const LoopNest& rest)
    : multiply_(mode == ScatterMode::multiply),
      dtype_(dtype),
      rest_(rest),
      widen_(active_table().cast[int(Dtype::float32)][int(dtype)]),
      narrow_(active_table().cast[int(dtype)][int(Dtype::float32)]),
      combine_(combine_rows_table().entry[int(multiply_ ? ReduceOp::prod : ReduceOp::sum)][int(Dtype::float32)]) {}

void HalfTotals::combine(std::byte* out, const std::byte* values, std::vector<Update>& updates, int64_t begin,
                         int64_t end) const {
  if (updates.empty()) return;
  if (rest_.rank() == 0) {
    const auto [low, high] = std::minmax_element(updates.begin(), updates.end(), before);
    const uint64_t first = low->place, span = high->place - first + 1;
    if (span <= kSparse * updates.size()) return near_elements(out, values, updates, first, span);
  }
  order_by_place(updates);
  for (size_t first = 0, next = 0; first < updates.size(); first = next) {
    const uint64_t place = updates[first].place;
    while (next < updates.size() && updates[next].place == place) ++next;
    const Run run{{updates.data() + first, next - first}, out, values, begin, end};
    if (rest_.rank() == 0)
      scattered_line(run, int64_t(place), 0, 0, 0);
    else
      block(run, int64_t(place), 0, 0);
  }
}

void HalfTotals::near_elements(std::byte* out, const std::byte* values, const std::vector<Update>& updates,
                               uint64_t first, uint64_t span) const {
  visit_half(dtype_, [&](auto half) {
    using T = decltype(half);
    T* into = reinterpret_cast<T*>(out) + first;
    const T* from = reinterpret_cast<const T*>(values);
    // Only places of updates are read and written: others may be another thread's.
    auto totals = std::make_unique_for_overwrite<float[]>(span);
    for (const Update& update : updates) totals[update.place - first] = float(into[update.place - first]);
    for (const Update& update : updates) {
      float& total = totals[update.place - first];
      const float value = float(from[update.source]);
      total = multiply_ ? total * value : total + value;
    }
    for (const Update& update : updates) into[update.place - first] = T(totals[update.place - first]);
  });
}

void HalfTotals::block(const Run& run, int64_t out, int64_t in, size_t d) const {
  const int64_t out_step = rest_.strides[0][d], in_step = rest_.strides[1][d];
  if (d + 1 < rest_.rank()) {
    for (int64_t i = 0; i < rest_.lengths[d]; ++i) block(run, out + i * out_step, in + i * in_step, d + 1);
  } else if (out_step == 1 && in_step == 1) {
    line(run, out, in);
  } else {
    scattered_line(run, out, in, out_step, in_step);
  }
}

void HalfTotals::line(const Run& run, int64_t out, int64_t in) const {
  constexpr int64_t here = 0;
  float totals[kColumns], values[kColumns];
  for (int64_t c = run.begin; c < run.end; c += kColumns) {
    const int64_t count = std::min(kColumns, run.end - c);
    std::byte* into = run.out + (out + c) * kHalf;
    widen_(totals, into, count);
    for (const Update& update : run.updates) {
      widen_(values, run.values + (update.source + in + c) * kHalf, count);
      combine_(totals, &here, values, &here, 1, count);
    }
    narrow_(into, totals, count);
  }
}

void HalfTotals::scattered_line(const Run& run, int64_t out, int64_t in, int64_t out_step, int64_t in_step) const {
  visit_half(dtype_, [&](auto half) {
    using T = decltype(half);
    T* into = reinterpret_cast<T*>(run.out) + out;
    const T* values = reinterpret_cast<const T*>(run.values) + in;
    for (int64_t c = run.begin; c < run.end; ++c) {
      float total = float(into[c * out_step]);
      for (const Update& update : run.updates) {
        const float value = float(values[update.source + c * in_step]);
        total = multiply_ ? total * value : total + value;
      }
      into[c * out_step] = T(total);
    }
  });
}

}  // namespace funcnn::cpu
