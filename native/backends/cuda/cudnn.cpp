#include "backends/cuda/cudnn.h"

#include <map>
#include <mutex>
#include <utility>

#include "backends/cuda/library.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

// Numbers of cudnn_graph.h: kinds of descriptors, types of attributes, attributes.
constexpr int kPointwise = 0, kWay = 3, kHeuristics = 4, kPlan = 5, kPointwiseOperation = 13, kGraph = 15,
              kArguments = 16, kTensor = 17, kProduct = 18, kProductOperation = 19, kReduction = 21,
              kReductionOperation = 22, kReshapeOperation = 31;
constexpr int kOfHandle = 0, kOfType = 1, kOfBool = 2, kOfInt = 3, kOfPointer = 6, kOfHeuristics = 8, kOfPointwise = 14,
              kOfDescriptor = 15, kOfReduction = 18;
constexpr int kAsFastAsKnown = 3;  // a mode of heuristics

constexpr int64_t kMostWays = 4;

struct Cudnn {
  size_t (*version)();
  void (*last_error)(char* words, size_t size);
  int (*create)(void** handle);
  int (*set_stream)(void* handle, StreamHandle);
  int (*create_descriptor)(int kind, void** descriptor);
  int (*destroy_descriptor)(void* descriptor);
  int (*set_attribute)(void* descriptor, int attribute, int type, int64_t count, const void* values);
  int (*get_attribute)(const void* descriptor, int attribute, int type, int64_t most, int64_t* count, void* values);
  int (*finalize)(void* descriptor);
  int (*execute)(void* handle, void* plan, void* arguments);
  bool usable = false;
};

const Cudnn& library() {
  static const auto* once = [] {
    auto* c = new Cudnn{};
    // Its own parts lie beside it.
#if defined(_WIN32)
    const char* name = "cudnn64_9.dll";
#else
    const char* name = "libcudnn.so.9";
#endif
    Needed found({name}, {"nvrtc", "cublasLt"});
    found.bind(c->version, "cudnnGetVersion");
    found.bind(c->last_error, "cudnnGetLastErrorString");
    found.bind(c->create, "cudnnCreate");
    found.bind(c->set_stream, "cudnnSetStream");
    found.bind(c->create_descriptor, "cudnnBackendCreateDescriptor");
    found.bind(c->destroy_descriptor, "cudnnBackendDestroyDescriptor");
    found.bind(c->set_attribute, "cudnnBackendSetAttribute");
    found.bind(c->get_attribute, "cudnnBackendGetAttribute");
    found.bind(c->finalize, "cudnnBackendFinalize");
    found.bind(c->execute, "cudnnBackendExecute");
    c->usable = found.usable("cuDNN", "attention runs on kernels of our own", "cudnn");
    return c;
  }();
  return *once;
}

void expect(int status, std::string_view what, std::string_view step) {
  if (status == 0) return;
  char words[512] = "";
  library().last_error(words, sizeof(words));
  throw Error(cat("CUDA: cuDNN ", library().version(), ": ", what, ": ", step, " failed with status ", status, " (",
                  words, ")"));
}

}  // namespace

DnnAxes dense_steps(const DnnAxes& lengths) {
  DnnAxes steps;
  int64_t step = 1;
  for (size_t axis = lengths.size(); axis-- > 0; step *= lengths[axis]) steps[axis] = step;
  return steps;
}

// ---- descriptors

Descriptor::Descriptor(int kind, std::string_view what) : what_(what) {
  expect(library().create_descriptor(kind, &handle_), what_, "making its descriptor");
}

Descriptor::~Descriptor() {
  if (handle_ && !leaving()) library().destroy_descriptor(handle_);
}

void Descriptor::set(int attribute, int type, const void* values, int64_t count) {
  expect(library().set_attribute(handle_, attribute, type, count, values), what_, cat("setting attribute ", attribute));
}

void Descriptor::finish() { expect(library().finalize(handle_), what_, "finishing it"); }

int64_t Descriptor::get(int attribute, int type, void* values, int64_t count) const {
  int64_t written = 0;
  expect(library().get_attribute(handle_, attribute, type, count, &written, values), what_,
         cat("reading attribute ", attribute));
  return written;
}

// ---- graphs

Descriptor& DnnGraph::hold(int kind, std::string_view what) {
  return *held_.emplace_back(std::make_unique<Descriptor>(kind, what));
}

DnnGraph::Tensor DnnGraph::tensor(int64_t number, DnnType type, const DnnAxes& lengths, const DnnAxes& steps,
                                  bool between, bool scalar) {
  Descriptor& made = hold(kTensor, "a tensor");
  const int64_t alignment = scalar ? 4 : 16;
  made.set(906, kOfInt, &number, 1);
  made.set(901, kOfType, &type, 1);
  made.set(900, kOfInt, &alignment, 1);
  made.set(902, kOfInt, lengths.data(), int64_t(lengths.size()));
  made.set(903, kOfInt, steps.data(), int64_t(steps.size()));
  made.set(907, kOfBool, &between, 1);
  made.set(908, kOfBool, &scalar, 1);
  made.finish();
  return &made;
}

DnnGraph::Tensor DnnGraph::memory(int64_t number, DnnType type, const DnnAxes& lengths, const DnnAxes& steps) {
  return tensor(number, type, lengths, steps, false, false);
}
DnnGraph::Tensor DnnGraph::scalar(int64_t number, DnnType type) {
  return tensor(number, type, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true);
}
DnnGraph::Tensor DnnGraph::between(DnnType type, const DnnAxes& lengths, const DnnAxes& steps) {
  return tensor(next_++, type, lengths, steps, true, false);
}

void DnnGraph::operation(int kind, std::string_view what, std::initializer_list<Attribute> parts) {
  Descriptor& made = hold(kind, what);
  for (const Attribute& part : parts) {
    void* handle = part.value->handle();
    made.set(part.number, kOfDescriptor, &handle, 1);
  }
  made.finish();
  operations_.push_back(made.handle());
}

void DnnGraph::product(Tensor a, Tensor b, Tensor result) {
  const DnnType computed = DnnType::float32;
  Descriptor& how = hold(kProduct, "a product");
  how.set(1500, kOfType, &computed, 1);
  how.finish();
  operation(kProductOperation, "a product", {{1523, &how}, {1520, a}, {1521, b}, {1522, result}});
}

Descriptor& DnnGraph::arithmetic(DnnPointwise mode, DnnType computed) {
  Descriptor& how = hold(kPointwise, "arithmetic");
  how.set(0, kOfPointwise, &mode, 1);
  how.set(1, kOfType, &computed, 1);
  return how;
}

void DnnGraph::exponential(Tensor x, Tensor result) {
  Descriptor& how = arithmetic(DnnPointwise::exp, DnnType::float32);
  how.finish();
  operation(kPointwiseOperation, "an exponential", {{750, &how}, {751, x}, {753, result}});
}

void DnnGraph::pointwise(DnnPointwise mode, Tensor x, Tensor y, Tensor result, DnnType computed) {
  Descriptor& how = arithmetic(mode, computed);
  how.finish();
  operation(kPointwiseOperation, "arithmetic", {{750, &how}, {751, x}, {752, y}, {753, result}});
}

void DnnGraph::select(Tensor x, Tensor y, Tensor chosen, Tensor result) {
  Descriptor& how = arithmetic(DnnPointwise::select, DnnType::float32);
  how.finish();
  operation(kPointwiseOperation, "a choice", {{750, &how}, {751, x}, {752, y}, {758, chosen}, {753, result}});
}

void DnnGraph::position(int64_t axis, Tensor x, Tensor result) {
  Descriptor& how = arithmetic(DnnPointwise::position, DnnType::int32);
  how.set(9, kOfInt, &axis, 1);
  how.finish();
  operation(kPointwiseOperation, "positions", {{750, &how}, {751, x}, {753, result}});
}

void DnnGraph::reduce(DnnReduction mode, Tensor x, Tensor result) {
  const DnnType computed = DnnType::float32;
  Descriptor& how = hold(kReduction, "a reduction");
  how.set(1600, kOfReduction, &mode, 1);
  how.set(1601, kOfType, &computed, 1);
  how.finish();
  operation(kReductionOperation, "a reduction", {{1612, &how}, {1610, x}, {1611, result}});
}

void DnnGraph::reshape(Tensor x, Tensor result) {
  operation(kReshapeOperation, "another shape", {{2200, x}, {2201, result}});
}

// ---- plans

struct DnnHandle {
  void* handle = nullptr;
  std::mutex mutex;  // one thread at a time uses it

  static DnnHandle& of(Stream& stream) {
    static auto* made = new std::map<Stream*, std::unique_ptr<DnnHandle>>;
    static auto* mutex = new std::mutex;
    std::lock_guard lock(*mutex);
    std::unique_ptr<DnnHandle>& place = (*made)[&stream];
    if (!place) {
      auto fresh = std::make_unique<DnnHandle>();
      InContext here(stream.context());
      expect(library().create(&fresh->handle), "the library", "starting it");
      expect(library().set_stream(fresh->handle, stream.handle()), "the library", "giving it a stream");
      place = std::move(fresh);
    }
    return *place;
  }
};

bool DnnPlan::available() { return library().usable; }

DnnPlan::DnnPlan(Stream& stream, DnnGraph graph)
    : stream_(stream), handle_(DnnHandle::of(stream)), graph_(std::move(graph)), operations_(kGraph, "a graph") {
  InContext here(stream_.context());
  std::lock_guard lock(handle_.mutex);
  operations_.set(801, kOfDescriptor, graph_.operations_.data(), int64_t(graph_.operations_.size()));
  operations_.set(800, kOfHandle, &handle_.handle, 1);
  operations_.finish();

  Descriptor heuristics(kHeuristics, "heuristics");
  void* graph_handle = operations_.handle();
  heuristics.set(201, kOfDescriptor, &graph_handle, 1);
  heuristics.set(200, kOfHeuristics, &kAsFastAsKnown, 1);
  heuristics.finish();
  std::vector<Descriptor> ways;
  std::array<void*, kMostWays> handles{};
  for (void*& handle : handles) handle = ways.emplace_back(kWay, "a way to compute").handle();
  const int64_t found = heuristics.get(202, kOfDescriptor, handles.data(), kMostWays);
  if (found == 0) throw Error(cat("CUDA: cuDNN ", library().version(), " knows no way to compute such a graph"));
  for (int64_t i = 0; i < found; ++i) {
    try {
      Descriptor plan(kPlan, "a plan");
      plan.set(400, kOfHandle, &handle_.handle, 1);
      plan.set(401, kOfDescriptor, &handles[size_t(i)], 1);
      plan.finish();
      int64_t workspace = 0;
      plan.get(402, kOfInt, &workspace, 1);
      workspace_ = size_t(workspace);
      way_ = std::move(ways[size_t(i)]);
      plan_ = std::move(plan);
      return;
    } catch (const Error&) {
      if (i + 1 == found) throw;
    }
  }
}

// What it runs may still read what belongs to the plan.
DnnPlan::~DnnPlan() {
  // The last goes first.
  struct Parts {
    DnnGraph graph;
    Descriptor operations, way, plan;
  };
  stream_.later(
      [&stream = stream_, parts = std::shared_ptr<Parts>(new Parts{std::move(graph_), std::move(operations_),
                                                                   std::move(way_), std::move(plan_)})]() mutable {
        driver().synchronize(stream.handle());
        parts = nullptr;
      });
}

void DnnPlan::run(std::span<const Argument> arguments, Address workspace, const std::string& name) const {
  std::vector<int64_t> numbers;
  std::vector<void*> places;
  for (const Argument& a : arguments) {
    numbers.push_back(a.number);
    places.push_back(a.at);
  }
  void* room = at(workspace);
  stream_.flush();
  std::lock_guard lock(handle_.mutex);
  InContext here(stream_.context());
  Descriptor pack(kArguments, "arguments");
  pack.set(1001, kOfPointer, places.data(), int64_t(places.size()));
  pack.set(1000, kOfInt, numbers.data(), int64_t(numbers.size()));
  pack.set(1003, kOfPointer, &room, 1);
  pack.finish();
  expect(library().execute(handle_.handle, plan_.handle(), pack.handle()), name, "running it");
  stream_.started(Status::success, name);
}

}  // namespace funcnn::cuda
