// Work that repeats, recorded as graphs of the driver: a launch of all of it costs the host little more than that of a
// kernel.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "backends/cuda/work.h"

namespace funcnn::cuda {

// Of one stream; one thread at a time, in its context.
class Graphs {
 public:
  // Put one item on a stream, with its parameters among `bytes`.
  using Issue = Status (*)(Context, StreamHandle, const Work::Item&, std::byte* bytes);

  Graphs(Context context, StreamHandle stream, Issue issue) : context_(context), stream_(stream), issue_(issue) {}

  // Launch the work as a graph if work of its shape has come before so often that this pays; whether that was done, and
  // then with what status.
  bool launch(const Work& work, Status& status);
  // Forget all. None of it may be running.
  void clear();

 private:
  struct Recording {
    Graph graph = nullptr;
    GraphExec exec = nullptr;
    std::vector<GraphNode> nodes;  // of the items; null: a product
    std::vector<std::byte> bytes;  // the parameters they have
  };
  struct Shape {
    size_t seen = 0;
    bool refused = false;
    std::vector<Recording> recordings;
  };

  // How many items have other parameters; more than `most`: some.
  static size_t differing(const Work& work, const Recording& recording, size_t most);
  bool patch(const Work& work, Recording& recording);
  bool record(const Work& work, Recording& out);
  static void drop(Recording& recording);
  void make_room();

  const Context context_;
  const StreamHandle stream_;
  const Issue issue_;
  StreamHandle apart_ = nullptr;  // where work is captured: others use the stream meanwhile
  std::unordered_map<Hash, Shape, HashOfHash> shapes_;
  size_t nodes_ = 0;
  Work::Parameters parameters_;
};

}  // namespace funcnn::cuda
