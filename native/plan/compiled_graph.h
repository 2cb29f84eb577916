// Closed graphs made ready to run again and again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/plan.h"

namespace funcnn {

// What a plan is, for people.
struct PlanSummary {
  std::string text;                     // the kernels
  size_t peak_bytes;                    // the most it allocates, arguments excluded, results included
  size_t live_bytes;                    // the most of that that is alive at once
  Effort effort;                        // what it moves and does
  std::vector<Plan::Meeting> meetings;  // where its kernels meet
};

// A closed graph made ready to run again and again.
class CompiledGraph {
 public:
  // Inputs marked in `donated` may be overwritten by outputs: their arrays are given up by the call.
  CompiledGraph(Graph graph, std::vector<bool> donated = {});
  ~CompiledGraph();
  CompiledGraph(CompiledGraph&&) noexcept;
  CompiledGraph& operator=(CompiledGraph&&) noexcept;

  // Evaluates arguments that are not yet computed; returns computed arrays. Those marked in `disposable` (one for each
  // argument, or none) are donated too; since the caller has not said so, the run is then not interrupted.
  Arrays run(Span arguments, std::span<const char> disposable = {}) const;
  // The same for arguments that stay alive during the call without a reference for it: counting a hundred of them takes
  // longer than finding them. `counted` says for which there is one (as many as arguments, or none).
  Arrays run(std::span<Node* const> arguments, std::span<const char> counted, std::span<const char> disposable) const;
  // Nodes of values that are gone, to stand for results that are like those.
  class Supply {
   public:
    virtual ~Supply() = default;
    // For each likeness a computed node of it without its memory, which stays the supply's, or null.
    virtual void take(std::span<const uint32_t> likenesses, Node** nodes) = 0;
  };
  struct Outputs {
    size_t results = 0;
    // Results that are new nodes, by their numbers; the rest are those from the supply. Then other nodes that are
    // outputs: arguments and constants.
    std::vector<std::pair<size_t, NodeRef>> made;
    std::vector<size_t> places;  // by output: the number of its node; empty: the results, in order
  };
  // The same as `run` where it takes a short while and the call before had arguments of this kind; false: nothing has
  // been done. Nobody is waited for or asked whether to go on, so no code of others runs meanwhile. Arguments may be
  // anything where the graph has inputs of its own; from `captured` on they are known to be like these.
  bool run_shortly(std::span<Node* const> arguments, size_t captured, Supply& supply, Outputs& outputs) const;
  // Whether that could be, as far as the last call tells.
  bool may_run_shortly() const;
  const Graph& graph() const { return graph_; }
  // About what the graph and its plans take.
  size_t own_bytes() const;
  PlanSummary describe() const;

 private:
  void give_up(std::span<Node* const> arguments, std::span<const uint32_t> likenesses,
               std::span<const int> results) const;

  class Plans;
  Graph graph_;
  std::vector<char> donated_;  // by input; empty: none is
  std::unique_ptr<Plans> plans_;
  size_t graph_bytes_ = 0;
};

// Peak bytes of computing the outputs of a closed graph (arguments excluded), without running it.
size_t planned_peak_bytes(const Graph& graph);

}  // namespace funcnn
