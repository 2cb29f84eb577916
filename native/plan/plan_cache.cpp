#include "plan/plan_cache.h"

#include <chrono>

#include "base/error.h"
#include "base/profile.h"
#include "plan/decisions.h"
#include "plan/kernels.h"
#include "plan/log.h"

namespace funcnn {

std::shared_ptr<const Plan> PlanCache::get(const Capture& capture, bool fusion) {
  Hasher h;
  h.add(capture.key);
  h.add(fusion);
  Hash key = h.finish();
  auto it = entries_.find(key);
  if (it != entries_.end()) {
    ++info_.hits;
    recent_.splice(recent_.begin(), recent_, it->second.place);
    return it->second.plan;
  }
  ++info_.misses;
  auto start = std::chrono::steady_clock::now();
  uint64_t reused = decision_cache().reused();
  TimedSpan span("plan");
  auto plan = std::make_shared<const Plan>(capture, fusion);
  if (span) span.name(cat(capture.order.size(), " nodes ending in ", capture.results.back()->primitive->name()));
  if (log_enabled("plan")) {
    double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    const Node& last = *capture.results.back();
    log_line("plan", cat(decision_cache().reused() > reused ? "new sizes" : "new structure", " of ",
                         capture.order.size(), " nodes and ", capture.leaves.size(), " leaves ending in ",
                         last.primitive->name(), " ", last.dtype, last.shape, ": ", plan->kernel_count(), " kernels, ",
                         plan->peak_bytes(), " bytes, built in ", us, " us"));
  }
  recent_.push_front(key);
  entries_[key] = {plan, recent_.begin()};
  info_.bytes += plan->own_bytes();
  while (entries_.size() > info_.capacity || (info_.bytes > info_.byte_capacity && entries_.size() > 1)) drop_oldest();
  return plan;
}

void PlanCache::drop_oldest() {
  auto it = entries_.find(recent_.back());
  info_.bytes -= it->second.plan->own_bytes();
  entries_.erase(it);
  recent_.pop_back();
}

void PlanCache::clear() {
  entries_.clear();
  recent_.clear();
  info_.hits = info_.misses = 0;
  info_.bytes = 0;
  decision_cache().clear();
  kernels().clear();
  clear_backend_caches();
}

CacheInfo PlanCache::info() const {
  CacheInfo out = info_;
  out.entries = entries_.size();
  out.bytes += decision_cache().bytes();
  out.byte_capacity += decision_cache().byte_capacity();
  out.reused = decision_cache().reused();
  return out;
}

PlanCache& plan_cache() {
  static auto* cache = new PlanCache;
  return *cache;
}

}  // namespace funcnn
