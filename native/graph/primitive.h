// What every primitive implements: identity, the rules of the transformations, and what the planner needs to know.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/ref.h"
#include "graph/array.h"
#include "graph/opcode.h"

namespace funcnn {

struct Control;
struct Extension;
struct Graph;

// Objects of the language around the library that a primitive owns.
struct Held {
  virtual ~Held() = default;
};

// How a primitive reaches the machine.
enum class Kind : uint8_t {
  leaf,         // a placeholder: has no value
  alias,        // the value of one of its inputs
  view,         // the elements of its input, placed differently
  elementwise,  // one opcode, operands broadcast
  index,        // the flat element number
  reduce,       // over axes, which disappear
  opaque,       // a kernel of its own
  control,      // runs graphs it holds (scan, cond, while_loop)
};

// What the vjp of a primitive is given.
struct VjpContext {
  Span inputs;
  Span outputs;
  Span cotangents;               // one for each output, null where zero
  std::span<const bool> needed;  // one for each input: whether its cotangent is wanted
};

// A batched result: the batch axis of a batched output is axis 0.
struct Batched {
  Arrays outputs;
  SmallVector<bool, 4> batched;
};

class Primitive : public RefCounted {
 public:
  virtual ~Primitive() = default;

  virtual std::string_view name() const = 0;
  virtual Kind kind() const { return Kind::opaque; }
  // Everything beside the inputs that determines the result, except shape and dtype of the outputs.
  virtual void hash(Hasher&) const {}
  // The same for people: "axes=(0, 1)"; empty if there is nothing.
  virtual std::string parameters() const { return {}; }

  // Cotangents of the inputs, null where zero or not needed. Shapes are those of the inputs.
  virtual Arrays vjp(const VjpContext& context) const = 0;
  // Tangents of the outputs (null where zero) from those of the inputs; nullopt: transpose the vjp instead.
  virtual std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const;
  // Only the first so many inputs carry derivatives (-1: all). The rest repeat what the primitive stands for.
  virtual int derivative_inputs() const { return -1; }
  // The primitive mapped over axis 0 (of length `size`) of those inputs that are batched.
  virtual Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const = 0;

  // Where the result is, given where the inputs are.
  virtual Device device(Device inputs) const { return inputs; }
  // Whether the inputs may be on several devices.
  virtual bool joins_devices() const { return kind() == Kind::alias; }
  // The operations it does, given the shapes of its first input and output; 0 where moving memory is what it costs.
  virtual double flops(const Shape& /*input*/, const Shape& /*output*/) const { return 0; }
  // Kind::alias: which input each output repeats.
  virtual int alias_of(int /*output*/) const { return 0; }
  // Kind::view: place the output over the input's memory; false if no strides do it, and the input must be dense first.
  virtual bool view(const Shape& in, const Strides& strides, int64_t offset, const Shape& out, Strides& out_strides,
                    int64_t& out_offset) const;
  // Kind::elementwise.
  virtual Opcode opcode() const { return Opcode::copy; }
  // Kind::reduce.
  virtual ReduceOp reduce_op() const { return ReduceOp::sum; }
  virtual std::span<const int> reduce_axes() const { return {}; }
  // Kind::opaque: an input whose memory the first output may take over when nobody else needs it (-1: none). The kernel
  // then finds the same pointer twice.
  virtual int reusable_input() const { return -1; }
  // Kind::control, and primitives that carry a graph for their rules.
  virtual std::vector<const Graph*> graphs() const { return {}; }
  // Kind::control: how the graphs are run.
  virtual const Control* control() const { return nullptr; }
  // Where both are computed on the same inputs, this one serves for the other (null: for none).
  virtual const Extension* extends() const { return nullptr; }
  // Kind::alias: inputs beside the one repeated are computed first, and the value is merged with no other.
  virtual bool orders() const { return false; }
  // Kind::opaque: it only puts elements in their places, which costs about what reading them would.
  virtual bool only_moves() const { return false; }
  // Kind::opaque: computed by the host wherever its operands are; the executor carries them there and back.
  virtual bool on_host() const { return false; }
  // Dear to compute for the memory it takes: what checkpoints keep first, and planners compute once.
  virtual bool dear() const { return false; }
  // What the rules of this primitive keep alive of the language around the library (null: nothing), and whether nobody
  // else does.
  virtual const Held* held(bool* /*alone*/ = nullptr) const { return nullptr; }
};

// An error of a rule that does not exist, naming the primitive.
[[noreturn]] void throw_not_differentiable(const Primitive& primitive, std::string_view advice = {});

// ---- primitives of the graph itself

// The input of a closed graph or of an abstract trace.
class Placeholder final : public Primitive {
 public:
  // `trace` names the transformation and ends with it.
  struct Trace : RefCounted {
    explicit Trace(std::string what) : what(std::move(what)) {}
    std::string what;
    bool ended = false;
  };
  explicit Placeholder(Ref<Trace> trace) : trace_(std::move(trace)) {}
  std::string_view name() const override { return "placeholder"; }
  Kind kind() const override { return Kind::leaf; }
  Arrays vjp(const VjpContext&) const override;
  Batched batch(Span, std::span<const bool>, int64_t) const override;
  const Trace& trace() const { return *trace_; }

 private:
  Ref<Trace> trace_;
};

// Projection of a multi-output node.
class Output final : public Primitive {
 public:
  explicit Output(int index) : index_(index) {}
  std::string_view name() const override { return "output"; }
  Kind kind() const override { return Kind::alias; }
  void hash(Hasher& h) const override { h.add(index_); }
  std::string parameters() const override { return std::to_string(index_); }
  // Transformations treat a shared node and its outputs together and never call these.
  Arrays vjp(const VjpContext&) const override;
  Batched batch(Span, std::span<const bool>, int64_t) const override;
  int index() const { return index_; }

 private:
  int index_;
};

// If `node` is an Output: its index, else -1.
inline int output_index(const Node& node) { return node.output; }

Array make_placeholder(Shape shape, Dtype dtype, Ref<Placeholder::Trace> trace, TraceId id, Device device = {});

}  // namespace funcnn
