// Linear algebra.
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/linalg_primitives.h"
#include "transforms/written_table.h"

namespace funcnn {
namespace {

Shape with_last(const Array& a, std::initializer_list<int64_t> last) {
  Shape shape(a.shape().begin(), a.shape().end() - 2);
  for (int64_t n : last) shape.push_back(n);
  return shape;
}
Dtype real_dtype(const Array& a) { return a.dtype() == Dtype::complex64 ? Dtype::float32 : a.dtype(); }

// The function that was called: it stands last, where it is not the primitive's own.
std::string op_of(const Parameters& p, const char* name) { return p.has("op=") ? std::string(p.after("op")) : name; }

// Operations on one matrix: whether it is square, and the results for it.
template <class Results, class Make>
Maker of_matrix(const char* name, bool square, Results results, Make make) {
  return [=](const Parameters& p, Span in, const Avals& out) {
    require(in.size() == 1, name);
    (square ? check_square : check_matrix)(name, in[0]);
    require(out == results(p, in[0]), name);
    return node(make(op_of(p, name), p), in, out);
  };
}
template <class P>
Ref<const Primitive> plain(std::string op, const Parameters&) {
  return Ref<const Primitive>(new P(std::move(op)));
}
template <class P>
Ref<const Primitive> spectral(std::string op, const Parameters& p) {
  return Ref<const Primitive>(new P(std::move(op), !p.has("values")));
}

Avals like(const Parameters&, const Array& a) { return {a.aval()}; }
Avals values_and_vectors(const Parameters& p, const Array& a, Dtype values, Dtype vectors) {
  Avals made{{with_last(a, {a.dim(-1)}), values}};
  if (!p.has("values")) made.push_back({a.shape(), vectors});
  return made;
}

// Whether these are the rows that lu_factor gave of a matrix like `a`.
bool rows_of_factors(const Array& rows, const Array& a) {
  const Node& node = *rows.node();
  return node.output == 2 && node.inputs[0]->primitive && node.inputs[0]->primitive->name() == "lu_factor" &&
         node.inputs[0]->inputs[0]->shape == a.shape();
}

// A X = B: so many operands that begin with A and B, and the result X.
void require_system(const char* name, size_t count, Span in, const Avals& out) {
  require(in.size() == count && out.size() == 1, name);
  const Array &a = in[0], &b = in[1];
  check_square(name, a);
  require(b.ndim() == a.ndim() && b.dtype() == a.dtype() && b.shape() == with_last(a, {a.dim(-1), b.dim(-1)}), name);
  require(out[0] == b.aval(), name);
}

Arrays triangular_system(const Parameters& p, Span in, const Avals& out) {
  const char* name = "triangular_solve";
  require_system(name, 2, in, out);
  require(p.has("upper") != p.has("lower"), name);
  return node_of<TriangularSolve>(in, out, op_of(p, name), p.has("upper"), p.has("unit_diagonal"));
}

Arrays factored_system(const Parameters& p, Span in, const Avals& out) {
  const char* name = "lu_solve";
  require_system(name, 4, in, out);
  const Array& a = in[0];
  require(in[2].aval() == a.aval() && in[3].aval() == Aval{with_last(a, {a.dim(-1)}), Dtype::uint32}, name);
  Arrays operands(in.begin(), in.end());
  // The kernel writes to these places.
  if (!rows_of_factors(in[3], a)) operands[3] = minimum(in[3], constant(double(a.dim(-1) - 1), Dtype::uint32));
  return node_of<LuSolve>(operands, out, op_of(p, name), p.has("transposed"));
}

}  // namespace

void add_linalg(Makers& makers) {
  makers["cholesky"] = of_matrix("cholesky", true, like, plain<Cholesky>);
  makers["adjugate"] = of_matrix("adjugate", true, like, plain<Adjugate>);
  makers["lu_factor"] = of_matrix(
      "lu_factor", false,
      [](const Parameters&, const Array& a) {
        int64_t m = a.dim(-2), n = a.dim(-1);
        return Avals{a.aval(), {with_last(a, {std::min(m, n)}), Dtype::uint32}, {with_last(a, {m}), Dtype::uint32}};
      },
      plain<LuFactor>);
  makers["qr"] = of_matrix(
      "qr", false,
      [](const Parameters& p, const Array& a) {
        int64_t m = a.dim(-2), n = a.dim(-1), k = p.has("complete") ? m : std::min(m, n);
        return Avals{{with_last(a, {m, k}), a.dtype()}, {with_last(a, {k, n}), a.dtype()}};
      },
      [](std::string op, const Parameters& p) {
        return Ref<const Primitive>(new QrFactor(std::move(op), p.has("complete")));
      });
  makers["eigh"] = of_matrix(
      "eigh", true,
      [](const Parameters& p, const Array& a) { return values_and_vectors(p, a, real_dtype(a), a.dtype()); },
      spectral<Eigh>);
  makers["eig"] = of_matrix(
      "eig", true,
      [](const Parameters& p, const Array& a) { return values_and_vectors(p, a, Dtype::complex64, Dtype::complex64); },
      spectral<Eig>);
  makers["svd"] = of_matrix(
      "svd", false,
      [](const Parameters& p, const Array& a) {
        int64_t m = a.dim(-2), n = a.dim(-1), k = std::min(m, n);
        bool full = p.has("full");
        Aval s{with_last(a, {k}), real_dtype(a)};
        if (p.has("values")) return Avals{s};
        return Avals{{with_last(a, {m, full ? m : k}), a.dtype()}, s, {with_last(a, {full ? n : k, n}), a.dtype()}};
      },
      [](std::string op, const Parameters& p) {
        return Ref<const Primitive>(new SingularValues(std::move(op), !p.has("values"), p.has("full")));
      });
  makers["triangular_solve"] = triangular_system;
  makers["lu_solve"] = factored_system;
}

}  // namespace funcnn
