// Calls of functions of the host program from inside graphs.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "graph/primitive.h"

namespace funcnn {

// Elements in row-major order that a host function reads or writes.
struct HostOperand {
  Shape shape;
  Dtype dtype;
  std::byte* data;
};
// Called wherever the graph is evaluated, without the interpreter lock. May throw.
using HostFunction = std::function<void(std::span<const HostOperand> inputs, std::span<const HostOperand> outputs)>;

// What a mapped call is: refused, one call after the other, or one call with a leading axis: of length 1 where an input
// is not mapped, or of full length for all.
enum class VmapMethod : uint8_t { refuse, sequential, expand_dims, broadcast_all };

class Callback final : public Primitive {
 public:
  struct Call {
    std::shared_ptr<const HostFunction> function;  // null: the output is the first input
    uint64_t id;                                   // calls with different ones are never merged
    VmapMethod method;
    bool effect;       // called for what it does: has no derivative, and needs none
    size_t arguments;  // the inputs after these only have to be computed first
    std::vector<Aval> outputs;
  };
  // Mapped one call after the other, the outermost axis first.
  struct Loop {
    int64_t size;
    SmallVector<bool, 4> batched;  // by argument
  };
  explicit Callback(Call call, std::vector<Loop> loops = {}) : call_(std::move(call)), loops_(std::move(loops)) {}

  std::string_view name() const override {
    return !call_.function ? "after_effects" : call_.effect ? "debug_callback" : "pure_callback";
  }
  void hash(Hasher& h) const override;
  bool on_host() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

  size_t arguments() const { return call_.arguments; }
  // Call the function, as often as it is mapped.
  void run(std::span<const HostOperand> arguments, std::span<const HostOperand> outputs) const;

 private:
  void run(size_t loop, std::span<const HostOperand> arguments, std::span<const HostOperand> outputs) const;

  Call call_;
  std::vector<Loop> loops_;
};

// What a function computes that depends on nothing but its inputs.
Arrays pure_callback(std::shared_ptr<const HostFunction> function, Span inputs, std::vector<Aval> outputs,
                     VmapMethod method);
// A token, a 0-d bool: computing it calls the function, after `token` has been computed. Never merged with another.
Array debug_callback(std::shared_ptr<const HostFunction> function, Span inputs, const Array& token);
// The value, once `token` has been computed.
Array after_effects(const Array& x, const Array& token);

// Tokens among the outputs of a graph are marked, so that what repeats the graph can leave their effects out.
Array mark_effects(const Array& token);
bool has_effects(const Graph& graph);
Graph without_effects(const Graph& graph);

}  // namespace funcnn
