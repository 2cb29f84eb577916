#include "backends/cuda/cudnn_attention.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "plan/log.h"

namespace funcnn::cuda {
namespace {

// A plan takes about a second to make; of shapes beyond these, those not asked for longest are forgotten.
constexpr size_t kMostPlans = 64;

using Tensor = DnnGraph::Tensor;

DnnAxes transposed(const DnnAxes& a) { return {a[0], a[1], a[3], a[2]}; }

// The library knows graphs of attention by their operations, and by these alone: each step here is one of theirs.
class AttentionGraph {
 public:
  explicit AttentionGraph(const AttentionShape& shape)
      : s_(shape),
        type_(shape.dtype == Dtype::float16 ? DnnType::float16 : DnnType::bfloat16),
        pairs_{s_.batches, s_.heads, s_.queries, s_.keys},
        rows_{s_.batches, s_.heads, s_.queries, 1},
        scale_(graph_.scalar(number_of(AttentionTensor::scale), DnnType::float32)) {}

  DnnGraph forward() {
    const Tensor most = of_queries(AttentionTensor::most), sums = of_queries(AttentionTensor::sums);
    const Tensor s = scores(nullptr);
    graph_.reduce(DnnReduction::largest, s, most);
    const Tensor e = between(pairs_);
    graph_.exponential(arithmetic(DnnPointwise::subtract, s, most), e);
    graph_.reduce(DnnReduction::sum, e, sums);
    const Tensor p = half_between(pairs_);
    graph_.pointwise(DnnPointwise::divide, e, sums, p);
    graph_.product(p, matrix(AttentionTensor::v, s_.key_heads, s_.keys, s_.values), result());
    return std::move(graph_);
  }

  DnnGraph gradient() {
    const Tensor ct = matrix(AttentionTensor::cotangent, s_.heads, s_.queries, s_.values);
    const Tensor products = between({s_.batches, s_.heads, s_.queries, s_.values});
    graph_.pointwise(DnnPointwise::multiply, ct, result(), products);
    const Tensor sums = between(rows_), rows = of_queries(AttentionTensor::rows);
    graph_.reduce(DnnReduction::sum, products, sums);
    graph_.pointwise(DnnPointwise::multiply, sums, graph_.scalar(number_of(AttentionTensor::one), DnnType::float32),
                     rows);

    const Tensor p = between(pairs_);
    graph_.exponential(scores(of_queries(AttentionTensor::logarithms)), p);
    by_keys(turned(p), ct, AttentionTensor::dv, s_.values);

    const Tensor dp = between(pairs_);
    graph_.product(ct, turned_matrix(AttentionTensor::v, s_.values), dp);
    Tensor ds = arithmetic(DnnPointwise::subtract, dp, rows);
    ds = arithmetic(DnnPointwise::multiply, ds, p);
    ds = arithmetic(DnnPointwise::multiply, ds, scale_);
    by_keys(turned(ds), q_, AttentionTensor::dk, s_.depth);

    // The keys as they lie in memory.
    const Tensor k = graph_.between(type_, {s_.batches, s_.key_heads, s_.keys, s_.depth}, steps(AttentionTensor::k));
    graph_.reshape(k_, k);
    graph_.product(ds, k, matrix(AttentionTensor::dq, s_.heads, s_.queries, s_.depth));
    return std::move(graph_);
  }

 private:
  DnnAxes steps(AttentionTensor t) const {
    const AttentionShape::Steps& of = s_.steps[size_t(t)];
    return {of[0], of[1], of[2], 1};
  }
  Tensor matrix(AttentionTensor t, int64_t heads, int64_t rows, int64_t columns) {
    return graph_.memory(number_of(t), type_, {s_.batches, heads, rows, columns}, steps(t));
  }
  Tensor turned_matrix(AttentionTensor t, int64_t columns) {
    return graph_.memory(number_of(t), type_, {s_.batches, s_.key_heads, columns, s_.keys}, transposed(steps(t)));
  }
  Tensor result() { return matrix(AttentionTensor::result, s_.heads, s_.queries, s_.values); }
  Tensor of_queries(AttentionTensor t) {
    return graph_.memory(number_of(t), DnnType::float32, rows_, dense_steps(rows_));
  }
  Tensor between(const DnnAxes& lengths, DnnType type = DnnType::float32) {
    return graph_.between(type, lengths, dense_steps(lengths));
  }
  Tensor half_between(const DnnAxes& lengths) { return between(lengths, type_); }
  Tensor arithmetic(DnnPointwise mode, Tensor x, Tensor y, DnnType result = DnnType::float32,
                    DnnType computed = DnnType::float32) {
    const Tensor made = between(pairs_, result);
    graph_.pointwise(mode, x, y, made, computed);
    return made;
  }

  // Of queries and keys, less what is given of queries, -inf where a query does not see a key.
  Tensor scores(Tensor less) {
    q_ = matrix(AttentionTensor::q, s_.heads, s_.queries, s_.depth);
    k_ = turned_matrix(AttentionTensor::k, s_.depth);
    Tensor s = between(pairs_);
    graph_.product(q_, k_, s);
    s = arithmetic(DnnPointwise::multiply, s, scale_);
    if (less) s = arithmetic(DnnPointwise::subtract, s, less);
    if (!s_.causal) return s;
    const Tensor place = between(pairs_, DnnType::int32), key = between(pairs_, DnnType::int32);
    graph_.position(2, s, place);
    graph_.position(3, s, key);
    const Tensor last = s_.keys == s_.queries
                            ? place
                            : arithmetic(DnnPointwise::add, place,
                                         graph_.scalar(number_of(AttentionTensor::further_queries), DnnType::int32),
                                         DnnType::int32, DnnType::int32);
    const Tensor seen = arithmetic(DnnPointwise::greater_equal, last, key, DnnType::boolean, DnnType::boolean);
    const Tensor chosen = between(pairs_);
    graph_.select(s, graph_.scalar(number_of(AttentionTensor::minus_infinity), DnnType::float32), seen, chosen);
    return chosen;
  }

  // What is of queries and keys, with keys before queries.
  Tensor turned(Tensor x) {
    const Tensor made = graph_.between(type_, transposed(pairs_), transposed(dense_steps(pairs_)));
    graph_.reshape(x, made);
    return made;
  }
  // Weights, keys before queries, times what is of queries, added up over the heads that share keys.
  void by_keys(Tensor weights, Tensor of_queries, AttentionTensor to, int64_t columns) {
    const Tensor sum = matrix(to, s_.key_heads, s_.keys, columns);
    if (s_.heads == s_.key_heads) return graph_.product(weights, of_queries, sum);
    const Tensor each = half_between({s_.batches, s_.heads, s_.keys, columns});
    graph_.product(weights, of_queries, each);
    graph_.reduce(DnnReduction::sum, each, sum);
  }

  const AttentionShape s_;
  const DnnType type_;
  const DnnAxes pairs_, rows_;
  DnnGraph graph_;
  const Tensor scale_;
  Tensor q_ = nullptr, k_ = nullptr;  // the keys transposed
};

std::shared_ptr<const DnnPlan> make_plan(Stream& stream, const AttentionShape& shape) {
  try {
    AttentionGraph graph(shape);
    return std::make_shared<DnnPlan>(stream, shape.gradient ? graph.gradient() : graph.forward());
  } catch (const Error& e) {
    log_line("gpu", cat(e.what(), ": attention of ", shape.queries, " queries and ", shape.keys,
                        " keys runs on kernels of our own"));
    return nullptr;
  }
}

struct Known {
  Stream* stream;
  AttentionShape shape;
  std::shared_ptr<const DnnPlan> plan;
};

}  // namespace

std::shared_ptr<const DnnPlan> find_attention_plan(Stream& stream, const AttentionShape& shape) {
  if (!DnnPlan::available()) return nullptr;
  static auto* known = new std::list<Known>;  // the last asked for first
  static auto* mutex = new std::mutex;
  std::lock_guard lock(*mutex);
  const auto place = std::find_if(known->begin(), known->end(),
                                  [&](const Known& k) { return k.stream == &stream && k.shape == shape; });
  if (place != known->end()) {
    known->splice(known->begin(), *known, place);
  } else {
    known->push_front({&stream, shape, make_plan(stream, shape)});
    if (known->size() > kMostPlans) known->pop_back();
  }
  return known->front().plan;
}

}  // namespace funcnn::cuda
