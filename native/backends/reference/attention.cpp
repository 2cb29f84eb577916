#include "backends/reference/attention.h"

#include <cmath>
#include <limits>
#include <vector>

#include "backends/reference/element.h"
#include "ops/attention.h"

namespace funcnn::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double read(const std::byte* at, Dtype dtype) {
  switch (dtype) {
    case Dtype::bool_:
      return *reinterpret_cast<const bool*>(at);
    case Dtype::float16:
      return float(*reinterpret_cast<const float16_t*>(at));
    case Dtype::bfloat16:
      return float(*reinterpret_cast<const bfloat16_t*>(at));
    case Dtype::float32:
      return *reinterpret_cast<const float*>(at);
    default:
      return *reinterpret_cast<const double*>(at);
  }
}

void write(std::byte* at, Dtype dtype, double value) {
  switch (dtype) {
    case Dtype::float16:
      *reinterpret_cast<float16_t*>(at) = float16_t(float(value));
      return;
    case Dtype::bfloat16:
      *reinterpret_cast<bfloat16_t*>(at) = bfloat16_t(float(value));
      return;
    case Dtype::float32:
      *reinterpret_cast<float*>(at) = float(value);
      return;
    default:
      *reinterpret_cast<double*>(at) = value;
  }
}

// An operand by the number of its batch and the positions along its last axes.
struct Tensor {
  std::byte* data = nullptr;
  const Layout* layout = nullptr;

  std::byte* place(int64_t batch, std::initializer_list<int64_t> rest) const {
    size_t lead = layout->shape.size() - rest.size();
    Shape shape(layout->shape.begin(), layout->shape.begin() + ptrdiff_t(lead));
    int64_t offset = offset_of(shape, layout->strides, batch);
    for (int64_t i : rest) offset += i * layout->strides[lead++];
    return data + offset * int64_t(item_size(layout->dtype));
  }
  double at(int64_t batch, std::initializer_list<int64_t> rest) const {
    return read(place(batch, rest), layout->dtype);
  }
  void set(int64_t batch, std::initializer_list<int64_t> rest, double value) const {
    write(place(batch, rest), layout->dtype, value);
  }
  int64_t dim(int from_end) const { return layout->shape[layout->shape.size() - size_t(from_end)]; }
};

// What both directions share: the operands and the scores of a query.
struct Problem {
  AttentionScores scores;
  Tensor q, k, v, mask;
  int64_t batches = 1, heads, queries, keys, depth, values, group;

  Problem(const AttentionScores& scores, Layouts in, Pointers at)
      : scores(scores), q{at[0], &in[0]}, k{at[1], &in[1]}, v{at[2], &in[2]} {
    if (scores.mask) mask = {at[3], &in[3]};
    for (size_t i = 0; i + 3 < in[0].shape.size(); ++i) batches *= in[0].shape[i];
    heads = q.dim(3);
    queries = q.dim(2);
    depth = q.dim(1);
    keys = k.dim(2);
    values = v.dim(1);
    group = heads / k.dim(3);
  }

  // Where the element of the mask for a score is: along axes of length 1, at 0.
  std::byte* mask_place(const Tensor& m, int64_t b, int64_t h, int64_t i, int64_t j) const {
    const Shape& shape = m.layout->shape;
    int64_t offset = 0;
    for (size_t d = shape.size() - 3; d-- > 0;) {
      int64_t length = q.layout->shape[d];
      if (shape[d] != 1) offset += b % length * m.layout->strides[d];
      b /= length;
    }
    size_t d = shape.size() - 3;
    for (int64_t position : {h, i, j}) {
      if (shape[d] != 1) offset += position * m.layout->strides[d];
      ++d;
    }
    return m.data + offset * int64_t(item_size(m.layout->dtype));
  }

  double score(int64_t b, int64_t h, int64_t i, int64_t j) const {
    if (scores.causal && j > AttentionScores::last_key(i, queries, keys)) return -kInfinity;
    double total = 0;
    for (int64_t d = 0; d < depth; ++d) total += q.at(b, {h, i, d}) * k.at(b, {h / group, j, d});
    total *= scores.scale;
    if (!scores.mask) return total;
    double m = read(mask_place(mask, b, h, i, j), mask.layout->dtype);
    if (mask.layout->dtype == Dtype::bool_) return m != 0 ? total : -kInfinity;
    return total + m;
  }

  template <class F>
  void for_queries(F&& f) const {
    for (int64_t b = 0; b < batches; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < queries; ++i) f(b, h, i);
  }
};

// The operands of a gradient after those of the problem, and the derivative by a score.
struct Gradient : Problem {
  Tensor most, sums, rows, ct;
  Gradient(const AttentionScores& scores, Layouts in, Pointers at) : Problem(scores, in, at) {
    const size_t next = scores.first_given();
    most = {at[next], &in[next]};
    sums = {at[next + 1], &in[next + 1]};
    rows = {at[next + 2], &in[next + 2]};
    ct = {at[next + 3], &in[next + 3]};
  }
  double probability(int64_t b, int64_t h, int64_t i, int64_t j) const {
    double sum = sums.at(b, {h, i});
    return sum == 0 ? 0 : std::exp(score(b, h, i, j) - most.at(b, {h, i})) / sum;
  }
  double by_score(int64_t b, int64_t h, int64_t i, int64_t j, double p) const {
    double dp = 0;
    for (int64_t d = 0; d < values; ++d) dp += ct.at(b, {h, i, d}) * v.at(b, {h / group, j, d});
    return p * (dp - rows.at(b, {h, i}));
  }
};

}  // namespace

void attention(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  const AttentionScores& scores = static_cast<const Attention&>(primitive).scores();
  Problem p(scores, in, at);
  Tensor sinks;
  if (scores.sinks) sinks = {at[in.size() - 1], &in.back()};
  Tensor result{at[in.size()], &out[0]}, largest{at[in.size() + 1], &out[1]}, sums{at[in.size() + 2], &out[2]};
  std::vector<double> s(size_t(p.keys)), sum(size_t(p.values));
  p.for_queries([&](int64_t b, int64_t h, int64_t i) {
    double most = scores.sinks ? sinks.at(b, {h}) : -kInfinity;
    double sink = most;
    for (int64_t j = 0; j < p.keys; ++j) {
      s[size_t(j)] = p.score(b, h, i, j);
      most = larger(most, s[size_t(j)]);
    }
    double shift = most == -kInfinity ? 0 : most, total = std::exp(sink - shift);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (int64_t j = 0; j < p.keys; ++j) {
      double e = std::exp(s[size_t(j)] - shift);
      total += e;
      for (int64_t d = 0; d < p.values; ++d) sum[size_t(d)] += e * p.v.at(b, {h / p.group, j, d});
    }
    for (int64_t d = 0; d < p.values; ++d) result.set(b, {i, h, d}, total == 0 ? 0 : sum[size_t(d)] / total);
    largest.set(b, {h, i}, most);
    sums.set(b, {h, i}, total);
  });
}

void attention_gradient(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  auto& op = static_cast<const AttentionGradient&>(primitive);
  Gradient p(op.scores(), in, at);
  const bool exchanged[] = {op.exchanged().q, op.exchanged().k, op.exchanged().v};
  std::vector<double> sums[3];
  for (size_t n = 0; n < 3; ++n) sums[n].assign(size_t(element_count(out[n].shape)), 0.0);
  auto sum = [&](size_t n, int64_t b, int64_t h, int64_t t) {
    const Shape& shape = out[n].shape;
    size_t last = shape.size() - 1;
    int64_t first = exchanged[n] ? t : h, second = exchanged[n] ? h : t;
    return sums[n].data() + ((b * shape[last - 2] + first) * shape[last - 1] + second) * shape[last];
  };
  p.for_queries([&](int64_t b, int64_t h, int64_t i) {
    int64_t kh = h / p.group;
    for (int64_t j = 0; j < p.keys; ++j) {
      double probability = p.probability(b, h, i, j);
      double ds = p.by_score(b, h, i, j, probability) * p.scores.scale;
      for (int64_t d = 0; d < p.depth; ++d) {
        sum(0, b, h, i)[d] += ds * p.k.at(b, {kh, j, d});
        sum(1, b, kh, j)[d] += ds * p.q.at(b, {h, i, d});
      }
      for (int64_t d = 0; d < p.values; ++d) sum(2, b, kh, j)[d] += probability * p.ct.at(b, {h, i, d});
    }
  });
  for (size_t n = 0; n < 3; ++n)
    for (int64_t i = 0; i < int64_t(sums[n].size()); ++i)
      write(at[in.size() + n] + offset_of(out[n].shape, out[n].strides, i) * int64_t(item_size(out[n].dtype)),
            out[n].dtype, sums[n][size_t(i)]);
}

void attention_mask_gradient(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  Gradient p(static_cast<const AttentionMaskGradient&>(primitive).scores(), in, at);
  Layout wide{out[0].shape, Dtype::float64, contiguous_strides(out[0].shape)};
  std::vector<double> sums(size_t(element_count(wide.shape)), 0.0);
  Tensor total{reinterpret_cast<std::byte*>(sums.data()), &wide};
  p.for_queries([&](int64_t b, int64_t h, int64_t i) {
    for (int64_t j = 0; j < p.keys; ++j)
      *reinterpret_cast<double*>(p.mask_place(total, b, h, i, j)) += p.by_score(b, h, i, j, p.probability(b, h, i, j));
  });
  for (int64_t i = 0; i < int64_t(sums.size()); ++i)
    write(at[in.size()] + offset_of(out[0].shape, out[0].strides, i) * int64_t(item_size(out[0].dtype)), out[0].dtype,
          sums[size_t(i)]);
}

}  // namespace funcnn::reference
