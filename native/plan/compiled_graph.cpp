#include "plan/compiled_graph.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "base/error.h"
#include "base/profile.h"
#include "graph/likeness.h"
#include "plan/eval.h"
#include "plan/evaluation.h"
#include "plan/log.h"
#include "plan/packed_plan.h"

namespace funcnn {
namespace {

// Layouts of arguments rarely vary; the oldest is forgotten when they do.
constexpr size_t kMostPlans = 8;
// About what a node takes, its primitive and the references to it included.
constexpr size_t kNodeBytes = sizeof(Node) + 160;

std::vector<LeafClass> dense_inputs(const Graph& graph) {
  std::vector<LeafClass> classes;
  for (const Array& input : graph.inputs) classes.push_back(classify(*input.node()));
  return classes;
}

// What a call may do to each argument. Without elements: nothing to any.
struct Donation {
  std::vector<char> disposable;  // results may take its memory
  std::vector<char> given_up;    // it is lost, unless it is returned
};

// An array given twice cannot be overwritten for one of them; given elsewhere undonated, it stays. `always` and `now`
// say which are donated; empty: none is.
Donation donation_of(std::span<Node* const> arguments, std::span<const char> counted, std::span<const char> always,
                     std::span<const char> now) {
  if (always.empty() && now.empty()) return {};
  std::vector<char> donated(arguments.size(), 0);
  std::copy(always.begin(), always.end(), donated.begin());
  for (size_t i = 0; i < now.size(); ++i) donated[i] |= now[i];
  if (std::find(donated.begin(), donated.end(), 1) == donated.end()) return {};
  Donation out{std::vector<char>(arguments.size(), 0), donated};
  struct Times {
    int all = 0, counted = 0, undonated = 0;
  };
  NodeMap<Times> times(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    Times& t = times[arguments[i]];
    ++t.all;
    t.counted += counted.empty() || counted[i];
    t.undonated += !donated[i];
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!donated[i]) continue;
    const Node& node = *arguments[i];
    const Times& t = *times.find(&node);
    // More references than these and the caller's handle: expressions that are not yet computed read the array.
    bool awaited = int(node.use_count()) > t.counted + 1;
    out.disposable[i] = t.all == 1 && !awaited && is_sole_owner(node.storage, node.shape);
    out.given_up[i] = t.undonated == 0 && !awaited;
  }
  return out;
}

// Whether taking the memory of these is not worth it: plans of small values pack them instead.
bool are_small(std::span<Node* const> arguments, std::span<const char> disposable) {
  for (size_t i = 0; i < disposable.size(); ++i) {
    if (!disposable[i]) continue;
    if (size_t(arguments[i]->size()) * item_size(arguments[i]->dtype) > PackedPlan::kSmallResult) return false;
  }
  return true;
}

Arrays pending_among(std::span<Node* const> nodes) {
  Arrays pending;
  for (Node* node : nodes)
    if (!node->available()) pending.emplace_back(NodeRef(node));
  return pending;
}

// Whether a call may give `node` for this input of its graph.
bool is_argument_like(const Node& node, const Node& input) {
  return node.trace == 0 && !node.abstract && !node.rebindable && !input.rebindable && node.dtype == input.dtype &&
         node.weak == input.weak && node.shape == input.shape;
}

// Thousands of nodes are not in a near cache, and each would be waited for.
inline void fetch_ahead(std::span<Node* const> nodes, size_t i) {
#if defined(__GNUC__)
  if (i + 8 >= nodes.size()) return;
  __builtin_prefetch(nodes[i + 8], 1);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(nodes[i + 8]) + 64, 1);
#else
  (void)nodes, (void)i;
#endif
}

// Of a computed value that the host sees.
std::byte* elements_of(Node& node) {
  Storage& storage = node.storage;
  return storage.buffer ? storage.buffer->host() + storage.offset : storage.scalar;
}

}  // namespace

// The plans of one graph, one for each kind of arguments it was called with.
class CompiledGraph::Plans {
 public:
  // What a plan depends on of an argument whose shape and dtype are known.
  struct Known {
    unsigned bits = 0;
    Strides strides;  // of one that is no scalar
    const DeviceMemory* memory = nullptr;
  };
  struct Entry {
    Entry(const Graph& graph, std::vector<LeafClass> inputs, Hash classes, std::vector<Known> arguments)
        : classes(classes),
          arguments(std::move(arguments)),
          capture(capture_graph(graph, std::move(inputs))),
          plan(capture, fusion_on()),
          results(output_places(graph, capture)),
          last(results.size()) {
      std::vector<char> seen(capture.results.size(), 0);
      for (size_t i = results.size(); i-- > 0;)
        last[i] = results[i] >= 0 && !std::exchange(seen[size_t(results[i])], 1);
      on_host = home == kCpu && std::all_of(capture.classes.begin(), capture.classes.end(), [](const LeafClass& leaf) {
                  return !leaf.device.placed() || leaf.device == kCpu;
                });
      for (size_t i = this->arguments.size(); i < capture.leaves.size(); ++i)
        numbers.push_back(capture.leaves[i]->is_scalar() ? elements_of(*capture.leaves[i]) : nullptr);
      in_order = results.size() == capture.results.size();
      for (size_t i = 0; in_order && i < results.size(); ++i) in_order = results[i] == int(i);
    }
    bool up_to_date() const { return fusion == fusion_on() && home == default_device(); }
    bool serves(std::span<Node* const> given, std::span<const char> disposable) const {
      for (size_t i = 0; i < given.size(); ++i) {
        const Node& node = *given[i];
        if (node.lost()) return false;
        if (bits_of(node, disposable, i) != arguments[i].bits) {
          if (!is_for_scalar(node, i)) return false;
          continue;
        }
        if (!node.is_scalar() && node.storage.strides != arguments[i].strides) return false;
      }
      return up_to_date();
    }
    // Where all is on the host, a plan for a number inside a node serves one that was computed: a step's count, from
    // its second call on.
    bool is_for_scalar(const Node& node, size_t i) const {
      return on_host && (arguments[i].bits & kScalar) && node.state() == NodeState::computed && node.shape.empty() &&
             !node.storage.ready && node.storage.buffer->device() == kCpu;
    }
    // The same for a plan of the host, to which no argument is given.
    bool serves(const Node& node, size_t i) const {
      const Known& known = arguments[i];
      const NodeState state = node.state();
      if (state == NodeState::scalar) {
        if (known.memory) return false;
      } else {
        if (state != NodeState::computed || node.storage.ready) return false;
        if (is_for_scalar(node, i)) return true;
        if (&node.storage.buffer->memory() != known.memory || node.storage.strides != known.strides) return false;
      }
      return node.device.placed() == bool(known.bits & kPlaced);
    }

    Hash classes;
    std::vector<Known> arguments;
    bool fusion = fusion_on();
    Device home = default_device();
    Capture capture;
    Plan plan;
    std::vector<int> results;         // for each graph output: index of its result, or -1 - leaf
    std::vector<char> last;           // whether it is a result and no later output is the same one
    bool in_order = false;            // the outputs are the results
    std::vector<std::byte*> numbers;  // of constants: where those that are inside nodes lie
    bool on_host = false;             // so are all leaves and whatever may be anywhere
    // Of short calls, under the evaluation lock: the likeness of the arguments and results of the last one.
    mutable std::vector<uint32_t> like_arguments = std::vector<uint32_t>(arguments.size());
    mutable std::vector<uint32_t> like_results = std::vector<uint32_t>(capture.results.size());
    mutable bool here = false;  // its results belong to the host
  };
  static constexpr unsigned kScalar = 1, kPlaced = 8;

  // The plan that was made last, if there is one and it is good.
  const Entry* latest() const {
    return entries_.empty() || plan_generation() != generation_ ? nullptr : entries_.back().get();
  }

  // Shared: a signal handler may call the same function while this entry runs, and make plans of its own.
  std::shared_ptr<const Entry> get(const Graph& graph, std::span<Node* const> arguments,
                                   const std::vector<char>& disposable) {
    if (uint64_t now = plan_generation(); now != generation_) {
      entries_.clear();
      bytes_ = 0;
      generation_ = now;
    }
    // Most calls are served by the plan that was made last, and then need no hash.
    if (!entries_.empty() && entries_.back()->serves(arguments, disposable)) return entries_.back();
    Hash classes = key_of(arguments, disposable);
    for (const auto& entry : entries_)
      if (entry->classes == classes) return entry;
    std::vector<LeafClass> inputs;
    std::vector<Known> known;
    for (size_t i = 0; i < arguments.size(); ++i) {
      inputs.push_back(classify(*arguments[i]));
      inputs.back().disposable = !disposable.empty() && disposable[i];
      const Storage& storage = arguments[i]->storage;
      known.push_back({bits_of(*arguments[i], disposable, i), storage.strides,
                       storage.buffer ? &storage.buffer->memory() : nullptr});
    }
    TimedSpan span("plan");
    auto made = std::make_shared<const Entry>(graph, std::move(inputs), classes, std::move(known));
    if (span) span.name(cat("compiled graph of ", made->capture.order.size(), " nodes"));
    if (log_enabled("plan"))
      log_line("plan", cat("compiled graph of ", made->capture.order.size(), " nodes: ", made->plan.kernel_count(),
                           " kernels, ", made->plan.peak_bytes(), " bytes, ", made->plan.live_bytes(),
                           " alive at once, ", made->plan.held_bytes(), " held by a step"));
    if (entries_.size() >= kMostPlans) {
      bytes_ -= bytes_of(*entries_.front());
      entries_.erase(entries_.begin());
    }
    bytes_ += bytes_of(*made);
    entries_.push_back(made);
    return made;
  }
  // May be asked while another thread makes plans.
  size_t bytes() const { return bytes_; }

 private:
  static size_t bytes_of(const Entry& entry) {
    const Capture& c = entry.capture;
    return sizeof(Entry) + entry.plan.own_bytes() + c.order.size() * sizeof(Node*) + c.inputs.size() * sizeof(int) +
           c.leaves.size() * (sizeof(Node*) + sizeof(LeafClass)) + entry.arguments.size() * sizeof(Known);
  }
  // Of a computed node: what the plan depends on beside how it lies.
  static unsigned bits_of(const Node& node, std::span<const char> disposable, size_t i) {
    const bool scalar = node.is_scalar(), given = !disposable.empty() && disposable[i];
    const Device device = scalar ? Device() : node.storage.buffer->device();
    return (scalar ? kScalar : 0) | unsigned(given) << 2 | (node.device.placed() ? kPlaced : 0) |
           unsigned(device.kind) << 8 | unsigned(device.index) << 16;
  }
  static Hash key_of(std::span<Node* const> arguments, const std::vector<char>& disposable) {
    Hasher h;
    h.add(fusion_on());
    for (size_t i = 0; i < arguments.size(); ++i) {
      const Node& node = *arguments[i];
      if (node.lost()) {
        const Array lost{NodeRef(arguments[i])};
        capture_eval(Span(&lost, 1));  // raises
      }
      const bool dense = node.is_scalar() || is_contiguous(node.shape, node.storage.strides);
      h.add(bits_of(node, disposable, i) | unsigned(dense) << 1);
      if (!dense) h.add(node.storage.strides);
    }
    Device home = default_device();
    h.add(unsigned(home.kind) << 8 | home.index);
    return h.finish();
  }

  std::vector<std::shared_ptr<const Entry>> entries_;
  std::atomic<size_t> bytes_ = 0;
  uint64_t generation_ = plan_generation();
};

CompiledGraph::CompiledGraph(Graph graph, std::vector<bool> donated) : graph_(std::move(graph)), plans_(new Plans) {
  if (std::find(donated.begin(), donated.end(), true) != donated.end()) donated_.assign(donated.begin(), donated.end());
  // What the graph captured is constant from now on.
  Arrays constants;
  std::vector<Node*> order = topological_order(graph_.outputs, [&](Node& n) {
    if (n.abstract || n.from_nothing) return true;
    if (!n.available() && !n.multi()) constants.push_back(Array(NodeRef(&n)));
    return false;
  });
  eval(constants);
  graph_bytes_ = order.size() * kNodeBytes;
}
CompiledGraph::~CompiledGraph() = default;
CompiledGraph::CompiledGraph(CompiledGraph&&) noexcept = default;
CompiledGraph& CompiledGraph::operator=(CompiledGraph&&) noexcept = default;

Arrays CompiledGraph::run(Span arguments, std::span<const char> disposable) const {
  SmallVector<Node*, 16> nodes;
  nodes.reserve(arguments.size());
  for (const Array& argument : arguments) nodes.push_back(argument.node());
  return run({nodes.data(), nodes.size()}, {}, disposable);
}

Arrays CompiledGraph::run(std::span<Node* const> arguments, std::span<const char> counted,
                          std::span<const char> disposable) const {
  if (arguments.size() != graph_.inputs.size())
    throw Error(cat("a compiled graph of ", graph_.inputs.size(), " inputs was given ", arguments.size()));
  if (Arrays pending = pending_among(arguments); !pending.empty()) eval(pending);
  std::optional<Uninterrupted> uninterrupted;
  if (!disposable.empty()) uninterrupted.emplace();
  auto lock = interruptible_evaluation_lock();
  Donation donation = donation_of(arguments, counted, donated_, disposable);
  if (are_small(arguments, donation.disposable)) donation.disposable.clear();
  std::shared_ptr<const Plans::Entry> entry = plans_->get(graph_, arguments, donation.disposable);
  const Capture& capture = entry->capture;
  SmallVector<Node*, 16> leaves;
  leaves.reserve(capture.leaves.size());
  for (Node* argument : arguments) leaves.push_back(argument);
  for (size_t i = arguments.size(); i < capture.leaves.size(); ++i) leaves.push_back(capture.leaves[i]);
  // The results are written into the nodes that the outputs will be.
  SmallVector<NodeRef, 16> made;
  SmallVector<Storage*, 16> results;
  Node::Maker maker(capture.results.size());
  made.reserve(capture.results.size());
  results.reserve(capture.results.size());
  for (const Node* like : capture.results) {
    Node& node = *made.emplace_back(maker.make());
    node.shape = like->shape;
    node.dtype = like->dtype;
    results.push_back(&node.storage);
  }
  run_plan(entry->plan, {leaves.data(), leaves.size()}, {results.data(), results.size()});

  SmallVector<Device, 2> devices;  // of the arguments
  for (const Node* x : arguments)
    if (Device at = x->device; std::find(devices.begin(), devices.end(), at) == devices.end()) devices.push_back(at);
  for (size_t i = 0; i < made.size(); ++i) {
    Node& node = *made[i];
    if (node.storage.buffer) node.device = node.storage.buffer->device();
    // What nothing placed goes along with what it meets, wherever it was computed.
    if (!capture.results[i]->device.placed() && !arguments.empty() &&
        std::find(devices.begin(), devices.end(), node.device) == devices.end())
      node.device = {};
    node.publish();
  }
  Arrays outputs;
  outputs.reserve(graph_.outputs.size());
  for (size_t i = 0; i < entry->results.size(); ++i) {
    const int r = entry->results[i];
    if (r < 0)
      outputs.emplace_back(NodeRef(leaves[size_t(-1 - r)]));
    else if (entry->last[i])
      outputs.emplace_back(std::move(made[size_t(r)]));
    else
      outputs.emplace_back(made[size_t(r)]);
  }
  if (std::find(donation.given_up.begin(), donation.given_up.end(), 1) == donation.given_up.end()) return outputs;
  NodeMap<char> returned;  // among the arguments
  for (size_t i = 0; i < outputs.size(); ++i)
    if (entry->results[i] < 0) returned[outputs[i].node()] = 1;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Node& node = *arguments[i];
    if (donation.given_up[i] && !returned.contains(&node) && node.storage.buffer) node.lose();
  }
  return outputs;
}

bool CompiledGraph::may_run_shortly() const {
  EvaluationLock lock(evaluation_mutex(), std::try_to_lock);
  const Plans::Entry* entry = lock.owns_lock() ? plans_->latest() : nullptr;
  return entry && PackedPlan::of(entry->plan) && PackedPlan::of(entry->plan)->is_short();
}

bool CompiledGraph::run_shortly(std::span<Node* const> arguments, size_t captured, Supply& supply,
                                Outputs& outputs) const {
  if (profiling()) return false;
  EvaluationLock lock(evaluation_mutex(), std::try_to_lock);
  if (!lock.owns_lock()) return false;
  const Plans::Entry* entry = plans_->latest();
  if (!entry || entry->arguments.size() != arguments.size() || !entry->up_to_date()) return false;
  const PackedPlan* plan = PackedPlan::of(entry->plan);
  if (!plan || !plan->is_short()) return false;
  const Capture& capture = entry->capture;
  SmallVector<std::byte*, 128> places(capture.leaves.size());
  bool alike = true;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Node& node = *arguments[i];
    fetch_ahead(arguments, i);
    uint32_t& like = entry->like_arguments[i];
    if (like != 0 && node.likeness() == like) {
      places[i] = elements_of(node);
      continue;
    }
    if (i < captured && !is_argument_like(node, *graph_.inputs[i].node())) return false;
    if (!entry->serves(node, i)) return false;
    like = likeness_of(node);
    if (like == 0 && !donated_.empty()) return false;  // see `give_up`
    places[i] = elements_of(node);
    alike = false;
  }
  for (size_t i = arguments.size(); i < capture.leaves.size(); ++i) {
    if ((places[i] = entry->numbers[i - arguments.size()])) continue;
    Node& constant = *capture.leaves[i];
    if (constant.storage.ready) return false;
    places[i] = elements_of(constant);
  }
  PackedPlan::Blocks blocks;
  plan->run(entry->plan, {places.data(), places.size()}, blocks);

  // See `run`.
  if (!alike) {
    const bool here = arguments.empty() ||
                      std::any_of(arguments.begin(), arguments.end(), [](const Node* x) { return x->device == kCpu; });
    if (std::exchange(entry->here, here) != here) std::fill(entry->like_results.begin(), entry->like_results.end(), 0);
  }
  const size_t count = capture.results.size();
  outputs.results = count;
  SmallVector<Node*, 128> nodes(count);
  supply.take(entry->like_results, nodes.data());
  auto give = [&](Node& node, size_t result) {
    const auto [block, offset] = plan->place(result);
    node.storage.buffer = Ref<Buffer>::counted(blocks[block].get());
    node.storage.offset = offset;
    node.publish();  // also what was lost
  };
  size_t missing = 0;
  uint64_t sequence = take_node_sequences(count);
  for (size_t i = 0; i < count; ++i) {
    fetch_ahead({nodes.data(), count}, i);
    if (Node* again = nodes[i]) {
      again->sequence = sequence + i;
      give(*again, i);
    } else {
      ++missing;
    }
  }
  if (missing) {
    try {
      outputs.made.reserve(missing);
      Node::Maker maker(missing);
      for (size_t i = 0; i < count; ++i) {
        if (nodes[i]) continue;
        uint32_t& like = entry->like_results[i];
        NodeRef made = maker.take(like);
        if (!made) {
          made = maker.make();
          made->shape = capture.results[i]->shape;
          made->dtype = capture.results[i]->dtype;
          if (entry->here || capture.results[i]->device.placed()) made->device = kCpu;
          made->storage.strides = entry->plan.result_strides(i);
        }
        Node& node = *made;
        outputs.made.emplace_back(i, std::move(made));
        nodes[i] = &node;
        give(node, i);
        if (node.likeness()) continue;
        if (like)
          node.likeness(like);
        else
          like = likeness_of(node);
      }
    } catch (...) {
      for (Node* node : nodes)
        if (node) node->storage.buffer->retain();
      throw;
    }
  }
  plan->give_away(blocks);
  if (!donated_.empty()) give_up(arguments, entry->like_arguments, entry->results);
  if (entry->in_order) return true;
  outputs.places.reserve(entry->results.size());
  for (int r : entry->results) {
    if (r >= 0) {
      outputs.places.push_back(size_t(r));
      continue;
    }
    const size_t leaf = size_t(-1 - r), number = count + outputs.made.size() - missing;
    outputs.places.push_back(number);
    outputs.made.emplace_back(number, leaf < arguments.size() ? arguments[leaf] : capture.leaves[leaf]);
  }
  return true;
}

// Donated arguments are lost, unless they are given elsewhere undonated, are returned, or somebody else waits for them.
// What has to be lost is what has no likeness meanwhile.
void CompiledGraph::give_up(std::span<Node* const> arguments, std::span<const uint32_t> likenesses,
                            std::span<const int> results) const {
  for (size_t i = 0; i < donated_.size(); ++i) {
    fetch_ahead(arguments, i);
    if (donated_[i] && arguments[i]->use_count() == 1) arguments[i]->likeness(0);
  }
  for (size_t i = 0; i < arguments.size(); ++i)
    if (i >= donated_.size() || !donated_[i]) arguments[i]->likeness(likenesses[i]);
  for (int r : results)
    if (const auto leaf = size_t(-1 - r); r < 0 && leaf < arguments.size()) arguments[leaf]->likeness(likenesses[leaf]);
  for (size_t i = 0; i < donated_.size(); ++i) {
    Node& node = *arguments[i];
    fetch_ahead(arguments, i);
    if (!donated_[i] || node.likeness() != 0) continue;
    if (node.use_count() == 1 && node.storage.buffer) lose_shortly(node, likenesses[i]);
  }
}

size_t CompiledGraph::own_bytes() const { return graph_bytes_ + plans_->bytes(); }

PlanSummary CompiledGraph::describe() const {
  auto lock = evaluation_lock();
  Explaining explaining;
  Plan plan(capture_graph(graph_, dense_inputs(graph_)), fusion_on());
  return {plan.describe(), plan.peak_bytes(), plan.live_bytes(), plan.effort(), plan.meetings()};
}

size_t planned_peak_bytes(const Graph& graph) {
  auto lock = evaluation_lock();
  return Plan(capture_graph(graph, dense_inputs(graph)), fusion_on()).peak_bytes();
}

}  // namespace funcnn
