// Attention and its derivatives.
#include "ops/attention.h"
#include "transforms/written_table.h"

namespace funcnn {
namespace {

Shape leading(const Shape& shape) { return Shape(shape.begin(), shape.end() - 3); }

// What q, k, v and the mask, with which `in` begins, are to be, and what comes of them.
struct Operands {
  AttentionScores scores;
  Shape by_place, each;  // of the result, and of a number for each query
  Dtype dtype, wide;

  Operands(const Parameters& p, Span in, const char* name) : name_(name) {
    scores.scale = p.real("scale");
    scores.causal = p.has("causal=True");
    scores.mask = p.has(", mask");
    scores.sinks = p.has(", sinks");
    require(in.size() >= scores.first_given(), name);
    const Array &q = in[0], &k = in[1], &v = in[2];
    const size_t rank = q.ndim();
    require(rank >= 3 && k.ndim() == rank && v.ndim() == rank && is_float(q.dtype()), name);
    for (const Array& x : {k, v}) require(leading(x.shape()) == leading(q.shape()) && x.dtype() == q.dtype(), name);
    scores.keys = k.dim(-2);
    scores.values = v.dim(-1);
    int64_t heads = q.dim(-3), shared = k.dim(-3);
    require(
        shared > 0 && heads % shared == 0 && v.dim(-3) == shared && v.dim(-2) == scores.keys && k.dim(-1) == q.dim(-1),
        name);
    if (scores.mask) {
      const Array& mask = in[3];
      require(mask.ndim() == rank && (mask.dtype() == Dtype::bool_ || mask.dtype() == q.dtype()), name);
      Shape full = q.shape();
      full.back() = scores.keys;
      for (size_t i = 0; i < rank; ++i) require(mask.shape()[i] == 1 || mask.shape()[i] == full[i], name);
    }
    dtype = q.dtype();
    wide = dtype == Dtype::float64 ? Dtype::float64 : Dtype::float32;
    each = Shape(q.shape().begin(), q.shape().end() - 1);
    by_place = leading(q.shape());
    for (int64_t n : {q.dim(-2), heads, scores.values}) by_place.push_back(n);
  }

  // The largest scores, their sums, the rows and the cotangent behind the operands; the result may follow.
  void require_given(Span in) const {
    const size_t first = scores.first_given();
    require(!scores.sinks && (in.size() == first + 4 || in.size() == first + 5), name_);
    for (size_t i = first; i < first + 3; ++i) require(in[i].aval() == Aval{each, wide}, name_);
    Shape by_head = each;
    by_head.push_back(scores.values);
    require(in[first + 3].aval() == Aval{by_head, dtype}, name_);
    require(in.size() == first + 4 || in[first + 4].aval() == Aval{by_place, dtype}, name_);
  }

 private:
  const char* name_;
};

Arrays forward(const Parameters& p, Span in, const Avals& out) {
  const char* name = "attention";
  Operands operands(p, in, name);
  const AttentionScores& scores = operands.scores;
  require(in.size() == scores.first_given() + scores.sinks && out.size() == 3, name);
  if (scores.sinks) {
    Shape sinks(in[0].shape().begin(), in[0].shape().end() - 2);
    require(in.back().aval() == Aval{sinks, operands.dtype}, name);
  }
  require(out[0] == Aval{operands.by_place, operands.dtype} && out[1] == Aval{operands.each, operands.wide} &&
              out[2] == out[1],
          name);
  return node_of<Attention>(in, out, scores);
}

Arrays gradient(const Parameters& p, Span in, const Avals& out) {
  const char* name = "attention_gradient";
  Operands operands(p, in, name);
  operands.require_given(in);
  std::string_view turned = p.has("exchanged=") ? p.word("exchanged") : "";
  auto exchanged = [&](char which) { return turned.find(which) != turned.npos; };
  AttentionOrder order{exchanged('q'), exchanged('k'), exchanged('v')};
  require(out.size() == 3, name);
  const bool turns[] = {order.q, order.k, order.v};
  for (size_t i = 0; i < 3; ++i) {
    Shape shape = in[i].shape();
    if (turns[i]) std::swap(shape[shape.size() - 3], shape[shape.size() - 2]);
    require(out[i] == Aval{shape, operands.dtype}, name);
  }
  return node_of<AttentionGradient>(in, out, operands.scores, order);
}

Arrays mask_gradient(const Parameters& p, Span in, const Avals& out) {
  const char* name = "attention_mask_gradient";
  Operands operands(p, in, name);
  operands.require_given(in);
  require(in.size() == 8 && in[3].dtype() == operands.dtype && out.size() == 1 && out[0] == in[3].aval(), name);
  return node_of<AttentionMaskGradient>(in, out, operands.scores);
}

}  // namespace

void add_attention(Makers& makers) {
  makers["attention"] = forward;
  makers["attention_gradient"] = gradient;
  makers["attention_mask_gradient"] = mask_gradient;
}

}  // namespace funcnn
