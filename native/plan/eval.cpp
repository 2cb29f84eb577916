#include "plan/eval.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/interpreter.h"
#include "base/interruption.h"
#include "base/profile.h"
#include "graph/trace.h"
#include "plan/evaluation.h"
#include "plan/plan_cache.h"

namespace funcnn {
namespace {

std::recursive_timed_mutex*& mutex_in_use() {
  static auto* mutex = new std::recursive_timed_mutex;
  return mutex;
}

bool (*interrupted)() = [] { return false; };
bool (*pressed)() = interrupted;
thread_local bool uninterrupted = false;

// In the middle of a kernel no code of the user may run, which could evaluate something on this thread.
void stop_kernel() {
  if (!uninterrupted && (pressed() || background_gives_up())) throw Interrupted();
}

std::atomic<bool>& fusion() {
  static std::atomic<bool> on = [] {
    const char* setting = std::getenv("FUNCNN_FUSE");
    return !setting || std::string_view(setting) != "0";
  }();
  return on;
}

std::atomic<uint64_t> generation{0};

// An Output node that lets go of its shared node frees the value there that nobody else will ask for.
void leave_shared(Node& output) {
  Outputs& shared = *output.inputs[0]->outputs;
  size_t index = size_t(output.output);
  if (shared.readers[index].fetch_sub(1, std::memory_order_acq_rel) == 1 && index < shared.values.size())
    shared.values[index].reset();
}

}  // namespace

std::recursive_timed_mutex& evaluation_mutex() { return *mutex_in_use(); }
void renew_evaluation_mutex() { mutex_in_use() = new std::recursive_timed_mutex; }

EvaluationLock evaluation_lock() {
  EvaluationLock lock(evaluation_mutex(), std::try_to_lock);
  if (lock.owns_lock()) return lock;
  // The thread that has it may need the interpreter, to free memory of foreign objects.
  without_interpreter([&] {
    while (!lock.try_lock_for(kPatience)) {
    }
  });
  return lock;
}

EvaluationLock interruptible_evaluation_lock() {
  EvaluationLock lock(evaluation_mutex(), std::try_to_lock);
  while (!lock.owns_lock() && !lock.try_lock_for(kPatience)) check_interrupt();
  return lock;
}

void set_host(const Host& given) {
  set_without_interpreter(given.without_interpreter);
  interrupted = given.interrupted;
  pressed = given.pressed;
  set_stop(stop_kernel);
}

Uninterrupted::Uninterrupted() : before_(uninterrupted) { uninterrupted = true; }
Uninterrupted::~Uninterrupted() { uninterrupted = before_; }

void check_interrupt() {
  if (uninterrupted) return;
  if (interrupted() || background_gives_up()) throw Interrupted();
}

bool fusion_on() { return fusion().load(std::memory_order_relaxed); }
bool set_fusion(bool on) { return fusion().exchange(on); }

void run_plan(const Plan& plan, std::span<Node* const> leaves, Results results) {
  SmallVector<const Storage*, 16> storages;
  storages.reserve(leaves.size());
  for (const Node* leaf : leaves) storages.push_back(&leaf->storage);
  TimedSpan span("evaluate");
  if (span) span.name(cat(plan.kernel_count(), plan.kernel_count() == 1 ? " kernel" : " kernels"));
  std::vector<int> overwritten;
  try {
    plan.run(storages, results, &overwritten);
  } catch (...) {
    for (int leaf : overwritten) leaves[size_t(leaf)]->lose();
    throw;
  }
}

void cut_past(std::span<Node* const> nodes) {
  if (nodes.empty()) return;
  auto lock = evaluation_lock();
  SmallVector<NodeRef, 4> alive(nodes.begin(), nodes.end());
  // Freed outside the lock: destructors may run code of others.
  SmallVector<std::pair<SmallVector<NodeRef, 3>, Ref<const Primitive>>, 4> pasts;
  pasts.reserve(alive.size());
  std::lock_guard past(past_mutex());
  for (const NodeRef& node : alive) {
    if (!node->available() || keeps_past(*node)) continue;
    if (node->output >= 0 && !node->inputs.empty()) leave_shared(*node);
    pasts.emplace_back(std::move(node->inputs), std::move(node->primitive));
    node->inputs.clear();
    node->primitive = nullptr;
  }
}

void eval(Span arrays) {
  bool pending = false;
  for (const Array& a : arrays) pending |= a && !a.node()->available();
  if (!pending) return;
  auto lock = interruptible_evaluation_lock();
  Capture capture = capture_eval(arrays);
  if (!capture.order.empty()) {
    std::shared_ptr<const Plan> plan = plan_cache().get(capture, fusion_on());
    size_t count = 0;
    for (const Node* node : capture.results) count += node->multi() ? node->outputs->size() : 1;
    SmallVector<Storage, 2> storages(count);
    SmallVector<Storage*, 16> results;
    results.reserve(count);
    for (Storage& storage : storages) results.push_back(&storage);
    run_plan(*plan, capture.leaves, {results.data(), count});
    auto next = std::make_move_iterator(storages.begin());
    for (Node* node : capture.results) {
      if (!node->multi()) {
        node->publish(*next++);
        continue;
      }
      const auto first = next;
      next += ptrdiff_t(node->outputs->size());
      node->publish_results({first, next});
    }
  }
  // Cutting results lets go of what only they refer to: shared nodes and adopted outputs come first.
  std::vector<NodeRef> shared;
  for (Node* node : capture.results)
    if (node->multi()) shared.emplace_back(node);
  cut_past(capture.adopted);
  cut_past(capture.results);
  // Outputs that were read inside the plan alone are gone by now, and with them the readers of their values.
  for (const NodeRef& node : shared)
    for (size_t i = 0; i < node->outputs->values.size(); ++i)
      if (node->outputs->readers[i].load(std::memory_order_acquire) == 0) node->outputs->values[i].reset();
}

void wait(Span arrays) {
  for (const Array& a : arrays)
    if (a && a.node()->available() && a.node()->storage.ready) a.node()->storage.ready->wait();
}

CacheInfo plan_cache_info() {
  auto lock = evaluation_lock();
  return plan_cache().info();
}
void clear_plan_cache() {
  auto lock = evaluation_lock();
  plan_cache().clear();
  generation.fetch_add(1, std::memory_order_relaxed);
}
uint64_t plan_generation() { return generation.load(std::memory_order_relaxed); }

}  // namespace funcnn
