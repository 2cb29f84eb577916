#include "ops/rules.h"

#include <algorithm>
#include <limits>

#include "graph/primitive.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace funcnn {

Array sum_to(const Array& cotangent, const Shape& shape) {
  if (cotangent.shape() == shape) return cotangent;
  size_t lead = cotangent.ndim() - shape.size();
  Axes axes;
  for (size_t i = 0; i < cotangent.ndim(); ++i)
    if (i < lead || (shape[i - lead] == 1 && cotangent.shape()[i] != 1)) axes.push_back(int(i));
  Array summed = axes.empty() ? cotangent : reduce(ReduceOp::sum, cotangent, axes, false);
  return reshape(summed, shape);
}

Array cotangent_for(const Array& cotangent, const Array& input) {
  Array ct = sum_to(cotangent, input.shape());
  if (ct.dtype() == input.dtype()) return ct;
  if (is_complex(ct.dtype()) && !is_complex(input.dtype())) ct = real(ct);
  return astype(ct, input.dtype());
}

Arrays align_batched(Span inputs, std::span<const bool> batched) {
  size_t rank = 0;
  for (size_t i = 0; i < inputs.size(); ++i) rank = std::max(rank, inputs[i].ndim() - (batched[i] ? 1 : 0));
  Arrays out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Array& x = inputs[i];
    if (!batched[i] || x.ndim() == rank + 1) {
      out.push_back(x);
      continue;
    }
    Shape shape{x.shape()[0]};
    for (size_t pad = x.ndim(); pad < rank + 1; ++pad) shape.push_back(1);
    for (size_t d = 1; d < x.ndim(); ++d) shape.push_back(x.shape()[d]);
    out.push_back(reshape(x, shape));
  }
  return out;
}

Array with_batch_axis(const Array& x, bool batched, int64_t size) {
  if (batched) return x;
  Shape shape = x.shape();
  shape.insert(shape.begin(), size);
  return broadcast_to(x, shape);
}

Array add_or_null(const Array& a, const Array& b) {
  if (!a || !b) return a ? a : b;
  return add(a, b);
}

Array full(const Shape& shape, const Array& value) { return broadcast_to(value, shape); }
Array zeros_like(const Array& x) { return full(x.shape(), constant(0, x.dtype())); }

Strides strides_as_view(const Array& x) {
  SmallVector<const Node*, 8> chain;
  const Node* node = x.node();
  while (keeps_still(*node) && node->primitive && !node->multi() && !node->inputs.empty()) {
    Kind kind = node->primitive->kind();
    if ((kind != Kind::view && kind != Kind::alias) || output_index(*node) >= 0) break;
    chain.push_back(node);
    node = node->inputs[kind == Kind::alias ? size_t(node->primitive->alias_of(0)) : 0].get();
  }
  Strides strides = contiguous_strides(node->shape);
  const Shape* shape = &node->shape;
  for (size_t i = chain.size(); i-- > 0;) {
    Strides next;
    int64_t offset = 0;
    if (chain[i]->primitive->kind() == Kind::view) {
      if (!chain[i]->primitive->view(*shape, strides, 0, chain[i]->shape, next, offset))
        next = contiguous_strides(chain[i]->shape);
      strides = next;
    }
    shape = &chain[i]->shape;
  }
  return strides;
}

Array farthest(ReduceOp op, Dtype dtype) {
  bool low = op == ReduceOp::max;
  return visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      T bound = low ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
      return scalar_array(&bound, dtype);
    } else {
      double infinity = std::numeric_limits<double>::infinity();
      return constant(low ? -infinity : infinity, dtype);
    }
  });
}

}  // namespace funcnn
