#include "ops/callback.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/error.h"
#include "graph/graph.h"
#include "ops/create.h"
#include "ops/rules.h"

namespace funcnn {
namespace {

constexpr const char* kOpaque =
    "the library cannot see into the function: give it a derivative with custom_vjp or custom_jvp, or hold its "
    "arguments "
    "constant with stop_gradient";

uint64_t fresh_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

Aval with_axis(Aval aval, int64_t size) {
  aval.shape.insert(aval.shape.begin(), size);
  return aval;
}

Arrays call_node(Callback::Call call, std::vector<Callback::Loop> loops, Span inputs) {
  std::vector<Aval> outputs = call.outputs;
  for (size_t i = loops.size(); i-- > 0;)
    for (Aval& aval : outputs) aval = with_axis(std::move(aval), loops[i].size);
  return make_nodes(Ref<const Primitive>(new Callback(std::move(call), std::move(loops))), inputs, std::move(outputs));
}

HostOperand element_of(const HostOperand& x, int64_t i) {
  HostOperand one{Shape(x.shape.begin() + 1, x.shape.end()), x.dtype, x.data};
  one.data += i * element_count(one.shape) * int64_t(item_size(x.dtype));
  return one;
}

// The token of a graph.
class Effects final : public Primitive {
 public:
  std::string_view name() const override { return "effects"; }
  Kind kind() const override { return Kind::alias; }
  Arrays vjp(const VjpContext&) const override { return {Array()}; }
  std::optional<Arrays> jvp(Span, Span, Span) const override { return Arrays{Array()}; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t) const override {
    return {{mark_effects(inputs[0])}, {batched[0]}};
  }
};

bool is_token(const Array& x) { return dynamic_cast<const Effects*>(x.node()->primitive.get()) != nullptr; }

}  // namespace

void Callback::hash(Hasher& h) const {
  h.add(call_.id);
  h.add(call_.arguments);
  for (const Loop& loop : loops_) {
    h.add(loop.size);
    for (bool b : loop.batched) h.add(b);
  }
}

Arrays Callback::vjp(const VjpContext& v) const {
  bool constant = true;
  for (size_t i = 0; i < v.outputs.size(); ++i) constant &= !v.cotangents[i] || !is_inexact(v.outputs[i].dtype());
  if (call_.effect || constant) return Arrays(v.inputs.size());
  throw_not_differentiable(*this, kOpaque);
}

std::optional<Arrays> Callback::jvp(Span, Span, Span outputs) const {
  bool constant = std::none_of(outputs.begin(), outputs.end(), [](const Array& x) { return is_inexact(x.dtype()); });
  if (call_.effect || constant) return Arrays(outputs.size());
  throw_not_differentiable(*this, kOpaque);
}

Batched Callback::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Batched to;
  auto mapped = batched.first(call_.arguments);
  bool any = std::any_of(mapped.begin(), mapped.end(), [](bool b) { return b; });
  if (!any) {
    to.outputs = call_node(call_, loops_, inputs);
  } else if (call_.method == VmapMethod::sequential) {
    std::vector<Loop> loops = loops_;
    loops.insert(loops.begin(), Loop{size, {}});
    for (bool b : mapped) loops[0].batched.push_back(b);
    to.outputs = call_node(call_, std::move(loops), inputs);
  } else if (call_.method == VmapMethod::refuse) {
    throw ValueError(
        "pure_callback: vmap does not know how to map the function; say vmap_method=\"sequential\" (one call after the "
        "other), \"expand_dims\" or \"broadcast_all\" (one call with a leading axis)");
  } else {
    Arrays given(inputs.begin(), inputs.end());
    bool all = call_.method == VmapMethod::broadcast_all;
    for (size_t i = 0; i < call_.arguments; ++i) given[i] = with_batch_axis(inputs[i], batched[i], all ? size : 1);
    Call call = call_;
    for (Aval& aval : call.outputs) aval = with_axis(std::move(aval), size);
    to.outputs = call_node(std::move(call), {}, given);
  }
  for (size_t i = 0; i < to.outputs.size(); ++i) to.batched.push_back(any);
  return to;
}

void Callback::run(std::span<const HostOperand> arguments, std::span<const HostOperand> outputs) const {
  run(0, arguments, outputs);
}

void Callback::run(size_t depth, std::span<const HostOperand> arguments, std::span<const HostOperand> outputs) const {
  if (depth == loops_.size()) {
    if (call_.function)
      (*call_.function)(arguments, outputs);
    else
      std::memcpy(outputs[0].data, arguments[0].data,
                  size_t(element_count(outputs[0].shape)) * item_size(outputs[0].dtype));
    return;
  }
  const Loop& loop = loops_[depth];
  std::vector<HostOperand> in(arguments.begin(), arguments.end()), out(outputs.begin(), outputs.end());
  for (int64_t i = 0; i < loop.size; ++i) {
    for (size_t k = 0; k < in.size(); ++k)
      if (loop.batched[k]) in[k] = element_of(arguments[k], i);
    for (size_t k = 0; k < out.size(); ++k) out[k] = element_of(outputs[k], i);
    run(depth + 1, in, out);
  }
}

Arrays pure_callback(std::shared_ptr<const HostFunction> function, Span inputs, std::vector<Aval> outputs,
                     VmapMethod method) {
  return call_node({std::move(function), fresh_id(), method, false, inputs.size(), std::move(outputs)}, {}, inputs);
}

Array debug_callback(std::shared_ptr<const HostFunction> function, Span inputs, const Array& token) {
  Arrays all(inputs.begin(), inputs.end());
  all.push_back(token);
  return call_node({std::move(function), fresh_id(), VmapMethod::sequential, true, inputs.size(), {{{}, Dtype::bool_}}},
                   {}, all)[0];
}

Array after_effects(const Array& x, const Array& token) {
  const Array inputs[] = {x, token};
  return call_node({nullptr, 0, VmapMethod::sequential, true, 1, {x.aval()}}, {}, inputs)[0];
}

Array mark_effects(const Array& token) {
  static const Ref<const Primitive> shared(new Effects);
  return make_node(shared, Span(&token, 1), token.shape(), token.dtype());
}

bool has_effects(const Graph& graph) { return std::any_of(graph.outputs.begin(), graph.outputs.end(), is_token); }

Graph without_effects(const Graph& graph) {
  Graph made = graph;
  for (Array& x : made.outputs)
    if (is_token(x)) x = zeros_like(x);
  return made;
}

}  // namespace funcnn
