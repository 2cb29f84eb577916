// Plans by structure, the least recently used dropped first. Used under the evaluation lock.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>

#include "plan/eval.h"
#include "plan/plan.h"

namespace funcnn {

class PlanCache {
 public:
  std::shared_ptr<const Plan> get(const Capture& capture, bool fusion);
  void clear();
  CacheInfo info() const;

 private:
  struct Entry {
    std::shared_ptr<const Plan> plan;
    std::list<Hash>::iterator place;
  };
  void drop_oldest();

  std::unordered_map<Hash, Entry, HashOfHash> entries_;
  std::list<Hash> recent_;
  CacheInfo info_{0, 0, 0, 512, 0, size_t(64) << 20, 0};
};

PlanCache& plan_cache();

}  // namespace funcnn
