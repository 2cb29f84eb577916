#include "ops/stop_gradient.h"

#include "graph/primitive.h"

namespace funcnn {
namespace {

class StopGradient final : public Primitive {
 public:
  std::string_view name() const override { return "stop_gradient"; }
  Kind kind() const override { return Kind::alias; }
  Arrays vjp(const VjpContext&) const override { return {Array()}; }
  std::optional<Arrays> jvp(Span, Span, Span) const override { return Arrays{Array()}; }
  Batched batch(Span inputs, std::span<const bool>, int64_t) const override {
    return {{stop_gradient(inputs[0])}, {true}};
  }
};

}  // namespace

Array stop_gradient(const Array& x) {
  if (!is_inexact(x.dtype())) return x;
  static const Ref<const Primitive> shared(new StopGradient);
  return make_node(shared, Span(&x, 1), x.shape(), x.dtype());
}

}  // namespace funcnn
