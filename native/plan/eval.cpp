#include "plan/eval.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/error.h"
#include "graph/trace.h"
#include "plan/capture.h"
#include "plan/log.h"
#include "plan/plan.h"

namespace funcnn {
namespace {

// One evaluation at a time: it decides which nodes get values and lets go of their past.
std::recursive_timed_mutex& evaluation_mutex(bool forked = false) {
  static auto* mutex = new std::recursive_timed_mutex;
  // The lock belongs to a thread that the child does not have.
  if (forked) mutex = new std::recursive_timed_mutex;
  return *mutex;
}

Host host{[](void (*block)(void*), void* context) { block(context); }, [] { return false; }};

constexpr auto kPatience = std::chrono::milliseconds(50);

std::unique_lock<std::recursive_timed_mutex> evaluation_lock() {
  std::unique_lock lock(evaluation_mutex(), std::try_to_lock);
  if (lock.owns_lock()) return lock;
  // The thread that has it may need the interpreter, to free memory of foreign objects.
  auto wait = [](void* waiting) {
    auto& lock = *static_cast<std::unique_lock<std::recursive_timed_mutex>*>(waiting);
    while (!lock.try_lock_for(kPatience)) {
    }
  };
  host.without_interpreter(wait, &lock);
  return lock;
}

// Like evaluation_lock, for work that the user may interrupt.
std::unique_lock<std::recursive_timed_mutex> interruptible_evaluation_lock() {
  std::unique_lock lock(evaluation_mutex(), std::try_to_lock);
  while (!lock.owns_lock() && !lock.try_lock_for(kPatience)) check_interrupt();
  return lock;
}

std::atomic<bool>& fusion() {
  static std::atomic<bool> on = [] {
    const char* setting = std::getenv("FUNCNN_FUSE");
    return !setting || std::string_view(setting) != "0";
  }();
  return on;
}

// Plans by structure, the least recently used dropped first.
class PlanCache {
 public:
  std::shared_ptr<Plan> get(const Capture& capture) {
    Hasher h;
    h.add(capture.key);
    h.add(fusion().load());
    Hash key = h.finish();
    auto it = entries_.find(key);
    if (it != entries_.end()) {
      ++info_.hits;
      recent_.splice(recent_.begin(), recent_, it->second.place);
      return it->second.plan;
    }
    ++info_.misses;
    auto start = std::chrono::steady_clock::now();
    auto plan = std::make_shared<Plan>(capture, fusion().load());
    if (log_enabled("plan")) {
      double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
      const Node& last = *capture.results.back();
      log_line("plan", cat("new structure of ", capture.order.size(), " nodes and ", capture.leaves.size(),
                           " leaves ending in ", last.primitive->name(), " ", last.dtype, last.shape, ": ",
                           plan->kernel_count(), " kernels, ", plan->peak_bytes(), " bytes, built in ", us, " us"));
    }
    recent_.push_front(key);
    entries_[key] = {plan, recent_.begin()};
    while (entries_.size() > info_.capacity) {
      entries_.erase(recent_.back());
      recent_.pop_back();
    }
    return plan;
  }
  void clear() {
    entries_.clear();
    recent_.clear();
    info_.hits = info_.misses = 0;
  }
  CacheInfo info() const {
    CacheInfo out = info_;
    out.entries = entries_.size();
    return out;
  }

 private:
  struct Entry {
    std::shared_ptr<Plan> plan;
    std::list<Hash>::iterator place;
  };
  std::unordered_map<Hash, Entry, HashOfHash> entries_;
  std::list<Hash> recent_;
  CacheInfo info_{0, 0, 0, 512};
};

PlanCache& plan_cache() {
  static auto* cache = new PlanCache;
  return *cache;
}

// The memory of this value holds something else now.
void lose(Node& node) {
  node.donated = true;
  node.publish({});
}

void run_plan(const Plan& plan, const Capture& capture, std::vector<SmallVector<Storage, 1>>& results) {
  std::vector<const Storage*> leaves;
  leaves.reserve(capture.leaves.size());
  for (const Node* leaf : capture.leaves) leaves.push_back(&leaf->storage);
  std::vector<int> overwritten;
  try {
    plan.run(leaves, results, &overwritten);
  } catch (...) {
    for (int leaf : overwritten) lose(*capture.leaves[size_t(leaf)]);
    throw;
  }
}

void give_value(Node& node, Storage storage) {
  if (!storage.buffer && storage.data) {
    // A scalar constant: its bytes move into this node.
    std::memcpy(node.immediate, storage.data, sizeof(node.immediate));
    storage.data = node.immediate;
  }
  node.publish(std::move(storage));
}

}  // namespace

void set_host(const Host& given) { host = given; }

void cut_past(std::span<Node* const> nodes) {
  auto lock = evaluation_lock();
  std::vector<NodeRef> alive(nodes.begin(), nodes.end());
  for (const NodeRef& node : alive) {
    if (!node->available() || keeps_past(*node)) continue;
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
    std::shared_ptr<Plan> plan = plan_cache().get(capture);
    std::vector<SmallVector<Storage, 1>> results;
    run_plan(*plan, capture, results);
    for (size_t i = 0; i < capture.results.size(); ++i) {
      Node& node = *capture.results[i];
      if (node.multi()) {
        node.results = std::make_unique<std::vector<Storage>>(results[i].begin(), results[i].end());
      } else {
        give_value(node, std::move(results[i][0]));
      }
    }
    cut_past(capture.results);
  }
}

// ---- background evaluation

namespace {

class Background {
 public:
  void submit(Arrays arrays) {
    std::unique_lock lock(mutex_);
    if (ending_) {
      lock.unlock();
      return eval(arrays);
    }
    if (!worker_.joinable()) worker_ = std::thread([this] { loop(); });
    queue_.push_back(std::move(arrays));
    wake_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    while (!idle_.wait_for(lock, kPatience, [&] { return queue_.empty() && !busy_; })) check_interrupt();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  void end() {
    std::deque<Arrays> dropped;
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
      dropped.swap(queue_);
    }
    wake_.notify_one();
    if (worker_.joinable()) worker_.join();
  }
  std::mutex& mutex() { return mutex_; }
  bool gives_up() const { return ending_ && std::this_thread::get_id() == worker_.get_id(); }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || !queue_.empty(); });
      if (ending_) return;
      Arrays arrays = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
      lock.unlock();
      std::exception_ptr error;
      try {
        eval(arrays);
      } catch (...) {
        error = std::current_exception();
      }
      arrays.clear();
      lock.lock();
      busy_ = false;
      if (error && !error_) error_ = error;
      if (queue_.empty()) idle_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Arrays> queue_;
  std::thread worker_;
  std::exception_ptr error_;
  bool busy_ = false;
  std::atomic<bool> ending_{false};
};

Background& background(bool forked = false) {
  static auto* instance = new Background;
  if (forked) instance = new Background;
  return *instance;
}

}  // namespace

void check_interrupt() {
  if (host.interrupted() || background().gives_up()) throw Interrupted();
}

void before_fork() {
  evaluation_lock().release();
  background().mutex().lock();
  lock_memory();
}

void after_fork(bool in_child) {
  unlock_memory();
  background().mutex().unlock();
  if (!in_child) {
    evaluation_mutex().unlock();
    return;
  }
  evaluation_mutex(true);
  background(true);
}

void end_evaluation() {
  background().end();
  // Never given back: threads that outlive the interpreter must not compute while its modules are torn down.
  evaluation_mutex().lock();
}

void async_eval(Span arrays) {
  Arrays pending;
  for (const Array& a : arrays) {
    if (!a || a.node()->available()) continue;
    if (a.node()->abstract) throw_traced_value(*a.node(), "async_eval");
    pending.push_back(a);
  }
  if (!pending.empty()) background().submit(std::move(pending));
}

void synchronize() { background().wait(); }

// ---- compiled graphs

struct CompiledGraph::Plans {
  struct Entry {
    Hash classes;
    Capture capture;
    std::unique_ptr<Plan> plan;
    std::vector<int> results;  // for each graph output: index of its result, or -1 - leaf
  };
  std::vector<std::unique_ptr<Entry>> entries;
};

CompiledGraph::CompiledGraph(Graph graph, std::vector<bool> donated)
    : graph_(std::move(graph)), donated_(std::move(donated)), plans_(new Plans) {
  donated_.resize(graph_.inputs.size(), false);
  // What the graph captured is constant from now on.
  Arrays constants;
  topological_order(graph_.outputs, [&](Node& n) {
    if (n.abstract) return true;
    if (!n.available() && !n.multi()) constants.push_back(Array(NodeRef(&n)));
    return false;
  });
  eval(constants);
}
CompiledGraph::~CompiledGraph() = default;
CompiledGraph::CompiledGraph(CompiledGraph&&) noexcept = default;
CompiledGraph& CompiledGraph::operator=(CompiledGraph&&) noexcept = default;

namespace {

bool overwritable(const Node& node) {
  const Ref<Buffer>& buffer = node.storage.buffer;
  return buffer && buffer->use_count() == 1 && buffer->owned() && node.storage.data == buffer->data() &&
         is_contiguous(node.shape, node.storage.strides);
}

}  // namespace

Arrays CompiledGraph::run(Span arguments) const {
  if (arguments.size() != graph_.inputs.size())
    throw Error(cat("a compiled graph of ", graph_.inputs.size(), " inputs was given ", arguments.size()));
  eval(arguments);
  auto lock = interruptible_evaluation_lock();
  // An array given twice cannot be overwritten for one of them; given elsewhere undonated, it stays.
  std::vector<char> disposable(arguments.size(), 0), given_up(donated_.begin(), donated_.end());
  if (std::find(donated_.begin(), donated_.end(), true) != donated_.end()) {
    NodeMap<std::pair<int, int>> times(arguments.size());  // in all, undonated
    for (size_t i = 0; i < arguments.size(); ++i) {
      auto& [all, undonated] = times[arguments[i].node()];
      ++all;
      undonated += !donated_[i];
    }
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (!donated_[i]) continue;
      auto [all, undonated] = *times.find(arguments[i].node());
      // More references than these and the caller's handle: expressions that are not yet computed read the array.
      bool awaited = int(arguments[i].node()->use_count()) > all + 1;
      disposable[i] = all == 1 && !awaited && overwritable(*arguments[i].node());
      given_up[i] = undonated == 0 && !awaited;
    }
  }
  Hasher h;
  h.add(fusion().load());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Node& node = *arguments[i].node();
    if (node.donated) capture_eval(Span(&arguments[i], 1));  // raises
    bool scalar = node.storage.data == node.immediate;
    bool dense = scalar || is_contiguous(node.shape, node.storage.strides);
    h.add(unsigned(scalar) | unsigned(dense) << 1 | unsigned(disposable[i]) << 2);
    if (!dense) h.add(node.storage.strides);
  }
  Hash classes = h.finish();
  Plans::Entry* entry = nullptr;
  for (auto& e : plans_->entries)
    if (e->classes == classes) entry = e.get();
  if (!entry) {
    std::vector<LeafClass> inputs;
    for (size_t i = 0; i < arguments.size(); ++i) {
      inputs.push_back(classify(*arguments[i].node()));
      inputs.back().disposable = disposable[i];
    }
    auto made = std::make_unique<Plans::Entry>();
    made->classes = classes;
    made->capture = capture_graph(graph_, std::move(inputs));
    made->plan = std::make_unique<Plan>(made->capture, fusion().load());
    const Capture& c = made->capture;
    made->results = output_places(graph_, c);
    if (log_enabled("plan"))
      log_line("plan", cat("compiled graph of ", c.order.size(), " nodes: ", made->plan->kernel_count(), " kernels, ",
                           made->plan->peak_bytes(), " bytes"));
    // Layouts of arguments rarely vary; forget the oldest when they do.
    if (plans_->entries.size() >= 8) plans_->entries.erase(plans_->entries.begin());
    plans_->entries.push_back(std::move(made));
    entry = plans_->entries.back().get();
  }
  std::vector<const Storage*> leaves;
  leaves.reserve(entry->capture.leaves.size());
  for (const Array& argument : arguments) leaves.push_back(&argument.node()->storage);
  for (size_t i = arguments.size(); i < entry->capture.leaves.size(); ++i)
    leaves.push_back(&entry->capture.leaves[i]->storage);
  std::vector<SmallVector<Storage, 1>> results;
  std::vector<int> overwritten;
  try {
    entry->plan->run(leaves, results, &overwritten);
  } catch (...) {
    for (int leaf : overwritten) lose(*arguments[size_t(leaf)].node());
    throw;
  }

  Arrays made(entry->capture.results.size());
  for (size_t i = 0; i < made.size(); ++i) {
    const Node& like = *entry->capture.results[i];
    NodeRef node(new Node);
    node->shape = like.shape;
    node->dtype = like.dtype;
    give_value(*node, std::move(results[i][0]));
    made[i] = Array(std::move(node));
  }
  Arrays outputs;
  outputs.reserve(graph_.outputs.size());
  for (int r : entry->results) {
    size_t leaf = size_t(-1 - r);
    if (r >= 0)
      outputs.push_back(made[size_t(r)]);
    else
      outputs.push_back(leaf < arguments.size() ? arguments[leaf] : Array(NodeRef(entry->capture.leaves[leaf])));
  }
  if (std::find(given_up.begin(), given_up.end(), 1) == given_up.end()) return outputs;
  NodeMap<char> returned(outputs.size());
  for (const Array& output : outputs) returned[output.node()] = 1;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Node& node = *arguments[i].node();
    if (given_up[i] && !returned.contains(&node) && node.storage.buffer) lose(node);
  }
  return outputs;
}

namespace {

std::vector<LeafClass> dense_inputs(const Graph& graph) {
  std::vector<LeafClass> classes;
  for (const Array& input : graph.inputs) classes.push_back(classify(*input.node()));
  return classes;
}

}  // namespace

PlanSummary CompiledGraph::describe() const {
  auto lock = evaluation_lock();
  Plan plan(capture_graph(graph_, dense_inputs(graph_)), fusion().load());
  return {plan.describe(), plan.peak_bytes()};
}

size_t planned_peak_bytes(const Graph& graph) {
  auto lock = evaluation_lock();
  return Plan(capture_graph(graph, dense_inputs(graph)), fusion().load()).peak_bytes();
}

CacheInfo plan_cache_info() {
  auto lock = evaluation_lock();
  return plan_cache().info();
}
void clear_plan_cache() {
  auto lock = evaluation_lock();
  plan_cache().clear();
}

bool set_fusion(bool on) { return fusion().exchange(on); }

}  // namespace funcnn
