#include "transforms/budget.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "graph/primitive.h"
#include "graph/trace.h"
#include "transforms/segments.h"
#include "transforms/vjp.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

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
    TraceId id = body_.id();
    TraceScope scope;
    Ref<Placeholder::Trace> trace(new Placeholder::Trace("checkpoint"));
    Graph step{graph.inputs, body_.build(graph.inputs, choice)};
    Arrays outputs = step.outputs, cotangents;
    for (const Array& x : outputs) {
      cotangents.emplace_back();
      if (!is_inexact(x.dtype())) continue;
      cotangents.back() = make_placeholder(x.shape(), x.dtype(), trace, id);
      step.inputs.push_back(cotangents.back());
    }
    Arrays inputs;
    for (size_t i = 0; i < graph.inputs.size(); ++i)
      if (wanted_[i]) inputs.push_back(graph.inputs[i]);
    for (Array& gradient : pull_back(inputs, outputs, cotangents, id))
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
    wanted.push_back(is_traced(arguments[i]) && is_inexact(arguments[i].dtype()));
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
