#include "backends/cuda/graphs.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace funcnn::cuda {
namespace {

constexpr size_t kLeast = 4;          // less is launched as it is
constexpr size_t kSeenBefore = 2;     // a recording costs about as much as some runs
constexpr size_t kMostOfShape = 16;   // the same work elsewhere: layers, buffers that take turns
constexpr size_t kMostShapes = 4096;  // that are remembered
constexpr size_t kMostNodes = 65536;

}  // namespace

bool Graphs::launch(const Work& work, Status& status) {
  if (work.size() < kLeast) return false;
  make_room();
  Shape& shape = shapes_[work.shape()];
  if (shape.refused) return false;
  Recording* best = nullptr;
  size_t differs = work.size() / 2;
  for (Recording& recording : shape.recordings)
    if (size_t d = differing(work, recording, differs); d <= differs) {
      best = &recording;
      differs = d;
      if (d == 0) break;
    }
  // To change a node costs a fraction of a launch, another recording costs several.
  if (!best || (differs > work.size() / 4 && shape.recordings.size() < kMostOfShape)) {
    if (shape.recordings.size() == kMostOfShape || shape.seen++ < kSeenBefore) return false;
    Recording fresh;
    if (!record(work, fresh)) {
      shape.refused = true;
      return false;
    }
    nodes_ += work.size();
    best = &shape.recordings.emplace_back(std::move(fresh));
  } else if (!patch(work, *best)) {
    shape.refused = true;
    return false;
  }
  status = driver().launch_graph(best->exec, stream_);
  return true;
}

size_t Graphs::differing(const Work& work, const Recording& recording, size_t most) {
  if (std::equal(work.bytes().begin(), work.bytes().end(), recording.bytes.begin(), recording.bytes.end())) return 0;
  size_t count = 0;
  for (const Work::Item& item : work.items()) {
    count += std::memcmp(work.bytes().data() + item.at, recording.bytes.data() + item.at, item.bytes) != 0;
    if (count > most) break;
  }
  return count;
}

bool Graphs::patch(const Work& work, Recording& recording) {
  for (size_t i = 0; i < work.size(); ++i) {
    const Work::Item& item = work.items()[i];
    std::byte* mine = recording.bytes.data() + item.at;
    const std::byte* wanted = work.bytes().data() + item.at;
    if (item.bytes == 0 || std::memcmp(mine, wanted, item.bytes) == 0) continue;
    std::memcpy(mine, wanted, item.bytes);
    Work::parameters(item, recording.bytes.data(), parameters_);
    const gpu::Size3 &g = item.launch.groups, &t = item.launch.threads;
    const KernelNode node{item.launch.function, {g.x, g.y, g.z}, {t.x, t.y, t.z}, item.launch.shared_bytes,
                          parameters_.data(),   nullptr,         nullptr,         context_};
    if (driver().set_kernel_node(recording.exec, recording.nodes[i], &node) != Status::success) return false;
  }
  return true;
}

bool Graphs::record(const Work& work, Recording& out) {
  const Driver& d = driver();
  if (!apart_ && d.create_stream(&apart_, kStreamApart) != Status::success) return false;
  if (d.begin_capture(apart_, kCaptureThread) != Status::success) return false;
  out.bytes = work.bytes();
  bool good = true;
  for (const Work::Item& item : work.items()) {
    try {
      good = issue_(context_, apart_, item, out.bytes.data()) == Status::success;
    } catch (const Error&) {
      good = false;
    }
    int state = 0;
    uint64_t id = 0;
    const GraphNode* last = nullptr;
    size_t count = 0;
    Graph graph = nullptr;
    good = good && d.capture_info(apart_, &state, &id, &graph, &last, &count) == Status::success && count == 1;
    if (!good) break;
    out.nodes.push_back(item.is_product ? nullptr : last[0]);
  }
  good = d.end_capture(apart_, &out.graph) == Status::success && good;
  good = good && d.instantiate(&out.exec, out.graph, 0) == Status::success;
  if (!good) drop(out);
  return good;
}

void Graphs::drop(Recording& recording) {
  if (recording.exec) driver().destroy_exec(recording.exec);
  if (recording.graph) driver().destroy_graph(recording.graph);
  recording = {};
}

void Graphs::make_room() {
  if (nodes_ > kMostNodes || shapes_.size() > kMostShapes) {
    driver().synchronize(stream_);
    clear();
  }
}

void Graphs::clear() {
  for (auto& [key, shape] : shapes_)
    for (Recording& recording : shape.recordings) drop(recording);
  shapes_.clear();
  nodes_ = 0;
}

}  // namespace funcnn::cuda
