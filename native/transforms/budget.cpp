#include "transforms/budget.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "graph/primitive.h"
#include "graph/trace.h"
#include "transforms/vjp.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

// What happens to the values inside a segment between its forward and its backward pass.
enum class Mode : uint8_t { store, save_dots, recompute };

// A run of nodes, in order of creation. A segment with parts is recomputed as a whole, then part by part.
struct Segment {
  size_t begin = 0, end = 0;
  Mode mode = Mode::store;
  std::vector<Segment> parts;
};
using Choice = std::vector<Segment>;

// ---- a graph made of segments

class Segmented {
 public:
  explicit Segmented(const Graph& graph)
      : graph_(graph), level_(graph_level(graph)), walk_(walk_between(graph.inputs, graph.outputs, level_, true)) {
    size_t n = nodes().size();
    last_use_.assign(n, 0);
    for (size_t i = 0; i < n; ++i)
      for (const NodeRef& input : nodes()[i]->inputs)
        if (auto at = position(input.get())) last_use_[*at] = std::max(last_use_[*at], i);
    for (const Array& output : graph.outputs)
      if (auto at = position(output.node())) last_use_[*at] = n;
  }

  const std::vector<Node*>& nodes() const { return walk_.nodes; }
  const Graph& graph() const { return graph_; }
  uint8_t level() const { return level_; }

  // The outputs on these arguments, with the segments of `choice` checkpointed.
  Arrays build(Span arguments, const Choice& choice) const {
    NodeMap<Array> values(nodes().size() * 2);
    for (size_t i = 0; i < arguments.size(); ++i) values[graph_.inputs[i].node()] = arguments[i];
    run(choice, values);
    Arrays outputs;
    for (const Array& x : graph_.outputs) outputs.push_back(value(values, x.ref()));
    return outputs;
  }

  // Bytes that live across each position: nodes before it that nodes after it use. Nothing where a cut is impossible.
  std::vector<std::optional<size_t>> live_bytes() const {
    size_t n = nodes().size();
    std::vector<int64_t> change(n + 2, 0);
    std::vector<int> blocked(n + 2, 0);
    for (size_t i = 0; i < n; ++i) {
      const Node& node = *nodes()[i];
      if (node.multi()) {
        ++blocked[i + 1];
        --blocked[last_use_[i] + 1];
        continue;
      }
      size_t from = i + 1;
      Kind kind = node.primitive->kind();
      if (kind == Kind::view || kind == Kind::alias)  // while its base lives it takes no memory of its own
        if (auto base = position(node.inputs[0].get()); base && !nodes()[*base]->multi())
          from = std::max(from, last_use_[*base] + 1);
      if (from > last_use_[i]) continue;
      int64_t bytes = node.size() * int64_t(item_size(node.dtype));
      change[from] += bytes;
      change[last_use_[i] + 1] -= bytes;
    }
    std::vector<std::optional<size_t>> live(n + 1);
    int64_t bytes = 0;
    int blocks = 0;
    for (size_t p = 1; p <= n; ++p) {
      bytes += change[p];
      blocks += blocked[p];
      if (blocks == 0) live[p] = size_t(bytes);
    }
    return live;
  }

  // About how long computing the nodes [begin, end) takes, in multiplications of a matrix product.
  double work(size_t begin, size_t end, bool dots) const {
    constexpr double elementwise = 16;  // memory is slower than arithmetic
    double total = 0;
    for (size_t i = begin; i < end; ++i) {
      const Node& node = *nodes()[i];
      Kind kind = node.primitive->kind();
      double size = double(node.size());
      // m k, k n and m n elements: m k n multiplications.
      if (is_dot(node))
        total += dots ? std::sqrt(size * double(node.inputs[0]->size()) * double(node.inputs[1]->size())) : 0;
      else if (kind != Kind::view && kind != Kind::alias)
        total += elementwise * size;
    }
    return total;
  }

 private:
  std::optional<size_t> position(const Node* node) const {
    const uint32_t* slot = walk_.find(node);
    if (!slot || *slot < walk_.inputs) return std::nullopt;
    return *slot - walk_.inputs;
  }

  static Array value(const NodeMap<Array>& values, const NodeRef& node) {
    const Array* found = values.find(node.get());
    return found ? *found : Array(node);
  }

  void run_plainly(size_t begin, size_t end, NodeMap<Array>& values) const {
    Arrays inputs;
    for (size_t i = begin; i < end; ++i) {
      inputs.clear();
      for (const NodeRef& input : nodes()[i]->inputs) inputs.push_back(value(values, input));
      values[nodes()[i]] = Array(remake_node(*nodes()[i], inputs));
    }
  }

  void run(const Choice& choice, NodeMap<Array>& values) const {
    for (size_t i = 0; i < choice.size(); ++i) {
      const Segment& segment = choice[i];
      if (segment.mode == Mode::store && segment.parts.empty())
        run_plainly(segment.begin, segment.end, values);
      else
        run_checkpointed(segment, cat("recompute segment ", i + 1, " of ", choice.size()), values);
    }
  }

  void run_checkpointed(const Segment& segment, std::string label, NodeMap<Array>& values) const {
    // The segment as a graph of its own.
    Graph graph;
    NodeMap<Array> inner((segment.end - segment.begin) * 2);
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("checkpoint"));
    Arrays arguments;
    std::vector<const Node*> outputs, saved;
    auto stand_in = [&](const NodeRef& node) {
      const Array* outer = values.find(node.get());
      if (!outer || inner.contains(node.get())) return;
      auto at = position(node.get());
      if (at && *at >= segment.begin) return;
      graph.inputs.push_back(make_placeholder(node->shape, node->dtype, trace, level_));
      inner[node.get()] = graph.inputs.back();
      arguments.push_back(*outer);
    };
    for (size_t i = segment.begin; i < segment.end; ++i) {
      Node* node = nodes()[i];
      for (const NodeRef& input : node->inputs) stand_in(input);
      if (last_use_[i] >= segment.end && !node->multi())
        outputs.push_back(node);
      else if (segment.mode == Mode::save_dots && is_dot(*node))
        saved.push_back(node);
    }
    if (segment.parts.empty())
      run_plainly(segment.begin, segment.end, inner);
    else
      run(segment.parts, inner);
    for (const Node* node : outputs) graph.outputs.push_back(*inner.find(node));
    for (const Node* node : saved) graph.outputs.push_back(*inner.find(node));

    Arrays computed = substitute(graph, arguments);
    Span all(computed);
    Arrays made = recomputed(std::move(graph), arguments, all.first(outputs.size()), all.subspan(outputs.size()),
                             std::move(label));
    for (size_t i = 0; i < outputs.size(); ++i) values[outputs[i]] = made[i];
  }

  const Graph& graph_;
  uint8_t level_;
  Walk walk_;
  std::vector<size_t> last_use_;
};

// ---- the search

class Search {
 public:
  Search(const Segmented& body, std::vector<bool> wanted, const CheckpointPolicy& policy)
      : body_(body), wanted_(std::move(wanted)), policy_(policy) {}

  Choice run() {
    size_t n = body_.nodes().size();
    if (consider({{0, n, Mode::store, {}}})) return best_;
    std::vector<std::vector<size_t>> cuts = cut_sets();
    // Dearer and dearer kinds of recomputation, each with cuts that are more and more numerous.
    for (Mode mode : {Mode::save_dots, Mode::recompute}) {
      for (const auto& set : cuts) try_prefixes(set, mode, mode == Mode::save_dots ? Mode::store : Mode::save_dots);
      if (mode == Mode::recompute && !fits())
        for (const auto& set : cuts) try_prefixes(set, mode, mode);
      if (fits()) return best_;
    }
    for (const auto& set : cuts) {
      size_t k = set.size() + 1;
      for (size_t groups = size_t(std::lround(std::sqrt(double(k)))); groups >= 2; groups /= 2)
        consider(nested(bounds(set), groups));
    }
    if (fits()) return best_;
    for (const auto& set : cuts) consider(halves(bounds(set)));
    return best_;
  }

  size_t least() const { return best_peak_; }
  bool fits() const { return best_peak_ <= policy_.budget; }

 private:
  // Peak of the forward and backward pass.
  size_t peak(const Choice& choice) const {
    const Graph& graph = body_.graph();
    uint8_t level = body_.level();
    TraceScope scope(level);
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("checkpoint"));
    Graph step{graph.inputs, body_.build(graph.inputs, choice)};
    Arrays outputs = step.outputs, cotangents;
    for (const Array& x : outputs) {
      cotangents.emplace_back();
      if (!is_inexact(x.dtype())) continue;
      cotangents.back() = make_placeholder(x.shape(), x.dtype(), trace, level);
      step.inputs.push_back(cotangents.back());
    }
    Arrays inputs;
    for (size_t i = 0; i < graph.inputs.size(); ++i)
      if (wanted_[i]) inputs.push_back(graph.inputs[i]);
    for (Array& gradient : pull_back(inputs, outputs, cotangents, level))
      if (gradient) step.outputs.push_back(std::move(gradient));
    return policy_.peak_bytes(step);
  }

  double cost(const Choice& choice) const {
    double total = 0;
    for (const Segment& s : choice) {
      if (s.mode != Mode::store) total += body_.work(s.begin, s.end, s.mode == Mode::recompute);
      total += cost(s.parts);
    }
    return total;
  }

  // Keep the choice if it is better: among those that fit the cheapest, otherwise the smallest.
  bool consider(Choice choice) {
    size_t bytes = peak(choice);
    double price = cost(choice);
    bool fit = bytes <= policy_.budget;
    if (!have_ || (fit && (!fits() || price < best_cost_)) || (!fits() && bytes < best_peak_)) {
      best_ = std::move(choice);
      best_peak_ = bytes;
      best_cost_ = price;
      have_ = true;
    }
    return fit;
  }

  std::vector<size_t> bounds(const std::vector<size_t>& cuts) const {
    std::vector<size_t> all{0};
    all.insert(all.end(), cuts.begin(), cuts.end());
    all.push_back(body_.nodes().size());
    return all;
  }

  // The first segments in one mode, later ones in another: what comes first is kept longest. The fewest that fit.
  void try_prefixes(const std::vector<size_t>& cuts, Mode mode, Mode rest) {
    std::vector<size_t> at = bounds(cuts);
    size_t k = at.size() - 1;
    auto with = [&](size_t count) {
      Choice choice;
      for (size_t i = 0; i < k; ++i) choice.push_back({at[i], at[i + 1], i < count ? mode : rest, {}});
      return choice;
    };
    if (mode == rest) {
      consider(with(k));
      return;
    }
    size_t low = 0, high = k;  // `low` does not fit, `high` is not known to
    if (!consider(with(k)) && !consider(with(k - 1))) return;
    while (high - low > 1) {
      size_t middle = (low + high) / 2;
      if (consider(with(middle)))
        high = middle;
      else
        low = middle;
    }
  }

  static Choice nested(const std::vector<size_t>& at, size_t groups) {
    size_t k = at.size() - 1;
    Choice choice;
    for (size_t g = 0; g < groups; ++g) {
      size_t from = g * k / groups, to = (g + 1) * k / groups;
      if (from == to) continue;
      Segment group{at[from], at[to], Mode::recompute, {}};
      if (to - from > 1)
        for (size_t i = from; i < to; ++i) group.parts.push_back({at[i], at[i + 1], Mode::recompute, {}});
      choice.push_back(std::move(group));
    }
    return choice;
  }

  static Choice halves(std::span<const size_t> at) {
    size_t k = at.size() - 1;
    if (k == 1) return {{at[0], at[1], Mode::recompute, {}}};
    size_t middle = k / 2;
    Choice choice;
    for (auto half : {at.first(middle + 1), at.subspan(middle)}) {
      Segment segment{half.front(), half.back(), Mode::recompute, {}};
      if (half.size() > 2) segment.parts = halves(half);
      choice.push_back(std::move(segment));
    }
    return choice;
  }

  // Where little lives: the valleys of the profile of live bytes, from the lowest quarter of them to all.
  std::vector<std::vector<size_t>> cut_sets() const {
    auto live = body_.live_bytes();
    size_t n = body_.nodes().size();
    std::vector<size_t> valleys, depths;
    for (size_t p = 1; p < n; ++p) {
      if (!live[p]) continue;
      auto higher = [&](size_t q) { return !live[q] || *live[q] > *live[p]; };
      size_t left = p, right = p + 1;
      while (left > 1 && live[left - 1] && *live[left - 1] == *live[p]) --left;
      if (right < n && live[right] && *live[right] == *live[p]) continue;  // the plateau's last position stands for it
      if ((left == 1 || higher(left - 1)) && (right >= n || higher(right))) {
        valleys.push_back(p);
        depths.push_back(*live[p]);
      }
    }
    std::vector<std::vector<size_t>> sets;
    std::sort(depths.begin(), depths.end());
    for (double quantile : {0.25, 0.5, 1.0}) {
      if (depths.empty()) break;
      size_t limit = depths[size_t(quantile * double(depths.size() - 1))];
      std::vector<size_t> set;
      for (size_t p : valleys)
        if (*live[p] <= limit) set.push_back(p);
      while (set.size() > 64) {  // every other one is as good, and quicker to try
        std::vector<size_t> fewer;
        for (size_t i = 0; i < set.size(); i += 2) fewer.push_back(set[i]);
        set = std::move(fewer);
      }
      if (sets.empty() || set != sets.back()) sets.push_back(std::move(set));
    }
    return sets;
  }

  const Segmented& body_;
  std::vector<bool> wanted_;
  const CheckpointPolicy& policy_;
  Choice best_;
  size_t best_peak_ = 0;
  double best_cost_ = 0;
  bool have_ = false;
};

struct Remembered {
  std::mutex mutex;
  std::unordered_map<Hash, Choice, HashOfHash> choices;
};
constexpr size_t kMaxRemembered = 256;

}  // namespace

Arrays within_budget(const Graph& graph, Span arguments, const CheckpointPolicy& policy) {
  static Remembered remembered;
  std::vector<bool> wanted;
  for (size_t i = 0; i < arguments.size(); ++i)
    wanted.push_back(arguments[i].node()->level > 0 && is_inexact(arguments[i].dtype()));
  Hasher h;
  h.add(hash_graph(graph));
  h.add(uint64_t(policy.budget));
  for (bool w : wanted) h.add(w);
  Hash key = h.finish();

  Segmented body(graph);
  {
    std::lock_guard lock(remembered.mutex);
    auto it = remembered.choices.find(key);
    if (it != remembered.choices.end()) return body.build(arguments, it->second);
  }
  Search search(body, std::move(wanted), policy);
  Choice choice = search.run();
  if (!search.fits())
    policy.warn(cat("checkpoint: no choice keeps the forward and backward pass within ", policy.budget,
                    " bytes; the least found needs ", search.least(), " bytes and is used"));
  Arrays outputs = body.build(arguments, choice);
  std::lock_guard lock(remembered.mutex);
  if (remembered.choices.size() >= kMaxRemembered) remembered.choices.clear();
  remembered.choices.emplace(key, std::move(choice));
  return outputs;
}

}  // namespace funcnn
