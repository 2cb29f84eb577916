// A closed graph cut into segments, some of which are computed again in the backward pass.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "transforms/walk.h"

namespace funcnn {

// What happens to the values inside a segment between its forward and its backward pass.
enum class Mode : uint8_t { store, save_dots, recompute };

// A run of nodes, in order of creation. A segment with parts is recomputed as a whole, then part by part.
struct Segment {
  size_t begin = 0, end = 0;
  Mode mode = Mode::store;
  std::vector<Segment> parts;
};
using Choice = std::vector<Segment>;

class Segmented {
 public:
  explicit Segmented(const Graph& graph);

  const std::vector<Node*>& nodes() const { return walk_.nodes; }
  const Graph& graph() const { return graph_; }
  TraceId id() const { return id_; }

  // The outputs on these arguments, with the segments of `choice` checkpointed.
  Arrays build(Span arguments, const Choice& choice) const;
  // Bytes that live across each position: nodes before it that nodes after it use. Nothing where a cut is impossible.
  std::vector<std::optional<size_t>> live_bytes() const;
  // About how long computing the nodes [begin, end) takes, in multiplications of a matrix product.
  double work(size_t begin, size_t end, bool dots) const;

 private:
  std::optional<size_t> position(const Node* node) const;
  void run(const Choice& choice, NodeMap<Array>& values) const;
  void run_plainly(size_t begin, size_t end, NodeMap<Array>& values) const;
  void run_checkpointed(const Segment& segment, std::string label, NodeMap<Array>& values) const;

  const Graph& graph_;
  TraceId id_;
  Walk walk_;
  std::vector<size_t> last_use_;
};

}  // namespace funcnn
