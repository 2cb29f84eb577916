#include "graph/record.h"

#include <utility>

namespace funcnn {
namespace {

thread_local constinit Recording* mine = nullptr;

}  // namespace

Recording* Recording::current() { return mine; }

void Recording::start() {
  if (active_) return;
  active_ = true;
  outer_ = std::exchange(mine, this);
  recordings.fetch_add(1, std::memory_order_relaxed);
}

void Recording::stop() noexcept {
  if (!active_) return;
  active_ = false;
  recordings.fetch_sub(1, std::memory_order_relaxed);
  if (mine == this) mine = outer_;
}

const Record* Recording::find(const Node* node) const {
  const uint32_t* at = index_.find(node);
  return at && *at ? &records_[*at - 1] : nullptr;
}

void record_node(Node& node) {
  Recording* recording = mine;
  if (!recording) return;
  Record made{NodeRef(&node), node.primitive, node.inputs};
  const Origin& origin = recording->origin_;
  made.place = origin.known ? origin.place : recording->where_();
  made.derivative_of = origin.derivative_of;
  recording->records_.push_back(std::move(made));
  recording->index_[&node] = uint32_t(recording->records_.size());
}

void OriginScope::enter(const Node& node, Rule rule) {
  Recording* recording = mine;
  if (!recording) return;
  const Record* found = recording->find(&node);
  if (!found) return;
  recording_ = recording;
  bool first = rule == Rule::derivative && found->derivative_of.empty();
  before_ =
      std::exchange(recording->origin_, {true, found->place, first ? found->primitive->name() : found->derivative_of});
}

void OriginScope::leave() noexcept { recording_->origin_ = before_; }

}  // namespace funcnn
