// cuDNN, loaded when the first problem is planned that it may be quicker at: graphs of its operations on tensors of
// four axes, and plans that run them. Where the library refuses something, an Error has its words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/cuda/stream.h"

namespace funcnn::cuda {

// Numbers of cudnn_graph.h.
enum class DnnType : int { float32 = 0, float16 = 2, int32 = 4, bfloat16 = 9, boolean = 11 };
enum class DnnPointwise : int {
  add = 0,
  multiply = 1,
  divide = 6,
  subtract = 9,
  exp = 13,
  greater_equal = 303,
  position = 501,
  select = 601
};
enum class DnnReduction : int { sum = 0, largest = 3 };

using DnnAxes = std::array<int64_t, 4>;
// The steps of a tensor without gaps.
DnnAxes dense_steps(const DnnAxes& lengths);

// A description that the library holds.
class Descriptor {
 public:
  Descriptor() = default;
  // `what`: of what it is, for errors.
  Descriptor(int kind, std::string_view what);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), what_(other.what_) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(what_, other.what_);
    return *this;
  }

  void set(int attribute, int type, const void* values, int64_t count);
  void finish();
  // How many values were written.
  int64_t get(int attribute, int type, void* values, int64_t count) const;
  void* handle() const { return handle_; }

 private:
  void* handle_ = nullptr;
  std::string_view what_;
};

// The library's state for a stream.
struct DnnHandle;

class DnnGraph {
 public:
  using Tensor = const Descriptor*;  // lives as long as the graph

  // In memory, at an address that is a multiple of 16 bytes, which a run gives by the number.
  Tensor memory(int64_t number, DnnType type, const DnnAxes& lengths, const DnnAxes& steps);
  // One value of the host, which a run gives likewise.
  Tensor scalar(int64_t number, DnnType type);
  // From one operation to another.
  Tensor between(DnnType type, const DnnAxes& lengths, const DnnAxes& steps);

  void product(Tensor a, Tensor b, Tensor result);
  void exponential(Tensor x, Tensor result);
  void pointwise(DnnPointwise mode, Tensor x, Tensor y, Tensor result, DnnType computed = DnnType::float32);
  // x where `chosen`, else y.
  void select(Tensor x, Tensor y, Tensor chosen, Tensor result);
  // Of each element of x, its place along an axis.
  void position(int64_t axis, Tensor x, Tensor result);
  void reduce(DnnReduction mode, Tensor x, Tensor result);
  // The same elements in another shape.
  void reshape(Tensor x, Tensor result);

 private:
  friend class DnnPlan;
  struct Attribute {
    int number;
    const Descriptor* value;
  };
  Descriptor& hold(int kind, std::string_view what);
  Tensor tensor(int64_t number, DnnType type, const DnnAxes& lengths, const DnnAxes& steps, bool between, bool scalar);
  Descriptor& arithmetic(DnnPointwise mode, DnnType computed);
  void operation(int kind, std::string_view what, std::initializer_list<Attribute> parts);

  std::vector<std::unique_ptr<Descriptor>> held_;
  std::vector<void*> operations_;
  int64_t next_ = 1 << 20;  // numbers of what no run gives
};

// How the library computes a graph on a stream: the first way it thinks of that can be made.
class DnnPlan {
 public:
  struct Argument {
    int64_t number;
    void* at;
  };

  // Whether there is a library to ask.
  static bool available();
  DnnPlan(Stream& stream, DnnGraph graph);
  ~DnnPlan();
  DnnPlan(const DnnPlan&) = delete;

  // Bytes that it wants while it runs.
  size_t workspace() const { return workspace_; }
  // Put it on the stream, after all that waits to be put there. The name lives on.
  void run(std::span<const Argument> arguments, Address workspace, const std::string& name) const;

 private:
  Stream& stream_;
  DnnHandle& handle_;
  DnnGraph graph_;
  Descriptor operations_, way_, plan_;
  size_t workspace_ = 0;
};

}  // namespace funcnn::cuda
