#include "ops/custom_kernel.h"

#include <algorithm>

#include "base/error.h"

namespace funcnn {
namespace {

constexpr const char* kOpaque =
    "the library cannot see into a kernel: give the function that calls it a derivative with custom_vjp, whose "
    "backward "
    "pass may be another kernel, or hold its arguments constant with stop_gradient";

Arrays kernel_node(std::shared_ptr<const CustomSource> source, CustomCall call, std::vector<CustomKernel::Loop> loops,
                   Span inputs) {
  std::vector<Aval> outputs = call.outputs;
  for (size_t i = loops.size(); i-- > 0;)
    for (Aval& aval : outputs) aval.shape.insert(aval.shape.begin(), loops[i].size);
  return make_nodes(Ref<const Primitive>(new CustomKernel(std::move(source), std::move(call), std::move(loops))),
                    inputs, std::move(outputs));
}

}  // namespace

std::shared_ptr<const CustomSource> sealed(CustomSource s) {
  Hasher h;
  h.add(int(s.language));
  h.add(std::string_view(s.name));
  for (const auto* names : {&s.inputs, &s.outputs}) {
    h.add(uint64_t(names->size()));
    for (const std::string& name : *names) h.add(std::string_view(name));
  }
  h.add(std::string_view(s.body));
  h.add(std::string_view(s.header));
  h.add(s.dense_inputs);
  h.add(s.atomic_outputs);
  h.add(int(s.math));
  s.identity = h.finish();
  return std::make_shared<const CustomSource>(std::move(s));
}

void CustomKernel::hash(Hasher& h) const {
  h.add(source_->identity);
  h.add(uint64_t(call_.arguments.size()));
  for (const auto& [name, value] : call_.arguments) {
    h.add(std::string_view(name));
    h.add(uint64_t(value.index()));
    std::visit(
        [&](auto v) {
          if constexpr (std::is_same_v<decltype(v), Dtype>)
            h.add(int(v));
          else
            h.add(v);
        },
        value);
  }
  h.add(call_.grid);
  h.add(call_.threads);
  h.add(call_.initial.has_value());
  h.add(call_.initial.value_or(0));
  h.add(call_.shared_bytes);
  h.add(uint64_t(call_.outputs.size()));
  for (const Aval& aval : call_.outputs) {
    h.add(int(aval.dtype));
    h.add(uint64_t(aval.shape.size()));
    for (int64_t n : aval.shape) h.add(n);
  }
  for (const Loop& loop : loops_) {
    h.add(loop.size);
    for (bool b : loop.batched) h.add(b);
  }
}

Arrays CustomKernel::vjp(const VjpContext& v) const {
  for (size_t i = 0; i < v.outputs.size(); ++i)
    if (v.cotangents[i] && is_inexact(v.outputs[i].dtype())) throw_not_differentiable(*this, kOpaque);
  return Arrays(v.inputs.size());
}

std::optional<Arrays> CustomKernel::jvp(Span, Span, Span outputs) const {
  for (const Array& x : outputs)
    if (is_inexact(x.dtype())) throw_not_differentiable(*this, kOpaque);
  return Arrays(outputs.size());
}

Batched CustomKernel::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Batched to;
  bool any = std::any_of(batched.begin(), batched.end(), [](bool b) { return b; });
  std::vector<Loop> loops = loops_;
  if (any) {
    loops.insert(loops.begin(), Loop{size, {}});
    for (bool b : batched) loops[0].batched.push_back(b);
  }
  to.outputs = kernel_node(source_, call_, std::move(loops), inputs);
  for (size_t i = 0; i < to.outputs.size(); ++i) to.batched.push_back(any);
  return to;
}

size_t CustomKernel::mapped_axes(size_t input) const {
  return size_t(std::count_if(loops_.begin(), loops_.end(), [&](const Loop& loop) { return loop.batched[input]; }));
}

Arrays custom_kernel(std::shared_ptr<const CustomSource> source, Span inputs, CustomCall call) {
  return kernel_node(std::move(source), std::move(call), {}, inputs);
}

}  // namespace funcnn
