#include "ops/annotate.h"

#include "base/error.h"
#include "ops/rules.h"

namespace funcnn {
namespace {

class StopGradient final : public Primitive {
 public:
  std::string_view name() const override { return "stop_gradient"; }
  Kind kind() const override { return Kind::alias; }
  Arrays vjp(const VjpContext&) const override { return {Array()}; }
  std::optional<Arrays> jvp(Span, Span, Span) const override { return Arrays{Array()}; }
  int derivative_inputs() const override { return 0; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t) const override {
    return {{stop_gradient(inputs[0])}, {batched[0]}};
  }
};

class CheckpointName final : public Primitive {
 public:
  explicit CheckpointName(std::string label) : label_(std::move(label)) {}
  std::string_view name() const override { return "checkpoint_name"; }
  Kind kind() const override { return Kind::alias; }
  void hash(Hasher& h) const override { h.add(std::string_view(label_)); }
  std::string parameters() const override { return cat("\"", label_, "\""); }
  Arrays vjp(const VjpContext& v) const override { return {v.cotangents[0]}; }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override {
    return Arrays{tangents[0] ? checkpoint_name(tangents[0], label_) : Array()};
  }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t) const override {
    return {{checkpoint_name(inputs[0], label_)}, {batched[0]}};
  }
  std::string_view label() const { return label_; }

 private:
  std::string label_;
};

class Barrier final : public Primitive {
 public:
  std::string_view name() const override { return "barrier"; }
  Kind kind() const override { return Kind::alias; }
  bool orders() const override { return true; }
  Arrays vjp(const VjpContext& v) const override {
    Arrays cotangents(v.inputs.size());
    cotangents[0] = v.cotangents[0];
    return cotangents;
  }
  // The tangent waits as the value does.
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span) const override {
    return Arrays{tangents[0] ? barrier(tangents[0], inputs.subspan(1)) : Array()};
  }
  int derivative_inputs() const override { return 1; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t) const override {
    return {{barrier(inputs[0], inputs.subspan(1))}, {batched[0]}};
  }
};

class Together final : public Primitive {
 public:
  std::string_view name() const override { return "together"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int output) const override { return output; }
  Arrays vjp(const VjpContext& v) const override { return Arrays(v.cotangents.begin(), v.cotangents.end()); }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override {
    return Arrays(tangents.begin(), tangents.end());
  }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t) const override {
    return {together(inputs), SmallVector<bool, 4>(batched.begin(), batched.end())};
  }
};

}  // namespace

Array stop_gradient(const Array& x) {
  static const Ref<const Primitive> shared(new StopGradient);
  return make_node(shared, Span(&x, 1), x.shape(), x.dtype());
}

Array checkpoint_name(const Array& x, std::string name) {
  return make_node(new CheckpointName(std::move(name)), Span(&x, 1), x.shape(), x.dtype());
}

std::string_view checkpoint_name_of(const Node& node) {
  auto* named = dynamic_cast<const CheckpointName*>(node.primitive.get());
  return named ? named->label() : std::string_view();
}

Array barrier(const Array& x, Span after) {
  static const Ref<const Primitive> shared(new Barrier);
  Arrays inputs{x};
  inputs.insert(inputs.end(), after.begin(), after.end());
  return make_node(shared, inputs, x.shape(), x.dtype());
}

Arrays together(Span values) {
  static const Ref<const Primitive> shared(new Together);
  std::vector<Aval> avals;
  for (const Array& x : values) avals.push_back(x.aval());
  return make_nodes(shared, values, std::move(avals));
}

}  // namespace funcnn
