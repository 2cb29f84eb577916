// The parameters of the primitives of linear algebra, for their rules and their kernels.
#pragma once

#include <algorithm>
#include <string>

#include "graph/primitive.h"

namespace funcnn {

// A primitive that LAPACK computes: on the host, matrix by matrix.
class MatrixPrimitive : public Primitive {
 public:
  explicit MatrixPrimitive(std::string op) : op_(std::move(op)) {}
  bool on_host() const override { return true; }
  bool dear() const override { return true; }
  void hash(Hasher& h) const override { h.add(std::string_view(op_)); }
  std::string parameters() const override { return described(""); }
  double flops(const Shape& a, const Shape&) const override {
    return work() * double(element_count(a)) * double(std::min(a.back(), a[a.size() - 2]));
  }
  // The function that was called, for errors.
  const std::string& op() const { return op_; }
  std::string derivative_op() const { return op_ + " (derivative)"; }

 protected:
  // What is special, then the function that was called where it has another name.
  std::string described(std::string special) const {
    if (op_ == name()) return special;
    return special + (special.empty() ? "op=" : ", op=") + op_;
  }

 private:
  // Operations for each of m n min(m, n), roughly.
  virtual double work() const { return 1; }
  std::string op_;
};

class Cholesky final : public MatrixPrimitive {
 public:
  using MatrixPrimitive::MatrixPrimitive;
  std::string_view name() const override { return "cholesky"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  double work() const override { return 1.0 / 3; }
};

class TriangularSolve final : public MatrixPrimitive {
 public:
  TriangularSolve(std::string op, bool upper, bool unit_diagonal)
      : MatrixPrimitive(std::move(op)), upper_(upper), unit_diagonal_(unit_diagonal) {}
  std::string_view name() const override { return "triangular_solve"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  double flops(const Shape& a, const Shape& out) const override {
    return double(a.back()) * double(element_count(out));
  }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  bool upper() const { return upper_; }
  bool unit_diagonal() const { return unit_diagonal_; }

 private:
  Array triangle(const Array& x) const;
  bool upper_, unit_diagonal_;
};

// Outputs: factors, pivots, rows.
class LuFactor final : public MatrixPrimitive {
 public:
  using MatrixPrimitive::MatrixPrimitive;
  std::string_view name() const override { return "lu_factor"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  double work() const override { return 2.0 / 3; }
};

// Inputs: A, B, and the factors and rows of lu_factor.
class LuSolve final : public MatrixPrimitive {
 public:
  LuSolve(std::string op, bool transposed) : MatrixPrimitive(std::move(op)), transposed_(transposed) {}
  std::string_view name() const override { return "lu_solve"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  double flops(const Shape& a, const Shape& out) const override {
    return 2 * double(a.back()) * double(element_count(out));
  }
  int derivative_inputs() const override { return 2; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  bool transposed() const { return transposed_; }

 private:
  bool transposed_;  // conjugated, too
};

// The matrix of cofactors, transposed: det(A) A^-1, which singular matrices have, too.
class Adjugate final : public MatrixPrimitive {
 public:
  using MatrixPrimitive::MatrixPrimitive;
  std::string_view name() const override { return "adjugate"; }
  Arrays vjp(const VjpContext& context) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  double work() const override { return 20; }
};

// Outputs: Q, R.
class QrFactor final : public MatrixPrimitive {
 public:
  QrFactor(std::string op, bool complete) : MatrixPrimitive(std::move(op)), complete_(complete) {}
  std::string_view name() const override { return "qr"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  bool complete() const { return complete_; }  // only where it makes a difference

 private:
  double work() const override { return 4; }
  bool complete_;
};

// What eigen- and singular value decompositions share: without `vectors`, the values are their only output.
class Spectral : public MatrixPrimitive {
 public:
  Spectral(std::string op, bool vectors) : MatrixPrimitive(std::move(op)), vectors_(vectors) {}
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  bool vectors() const { return vectors_; }

 private:
  bool vectors_;
};

// Outputs: values, vectors.
class Eigh final : public Spectral {
 public:
  using Spectral::Spectral;
  std::string_view name() const override { return "eigh"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  double work() const override { return vectors() ? 9 : 4.0 / 3; }
};

// Outputs: values, vectors.
class Eig final : public Spectral {
 public:
  using Spectral::Spectral;
  std::string_view name() const override { return "eig"; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  double work() const override { return vectors() ? 25 : 10; }
};

// Outputs: s, or U, s, V^H.
class SingularValues final : public Spectral {
 public:
  SingularValues(std::string op, bool vectors, bool full) : Spectral(std::move(op), vectors), full_(full) {}
  std::string_view name() const override { return "svd"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  bool full() const { return full_; }  // only where it makes a difference

 private:
  double work() const override { return vectors() ? 20 : 8.0 / 3; }
  bool full_;
};

}  // namespace funcnn
