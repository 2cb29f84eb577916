// Factorisations and solutions: what funcnn.linalg is written over.
#include "bindings/linalg.h"

#include <nanobind/stl/string.h>

#include "bindings/array.h"
#include "ops/linalg.h"
#include "ops/linalg_rules.h"
#include "ops/views.h"

namespace funcnn {

void bind_factorisations(nb::module_& m) {
  using Name = const std::string&;
  auto matrix = [](Name op, nb::handle a) { return as_array(a, op.c_str()); };
  auto define = [&m](const char* name, auto function) { m.def(name, function); };
  define("_cholesky", [=](Name op, nb::handle a, bool upper) {
    Array x = matrix(op, a);
    check_square(op, x);  // before anything is turned
    // The transpose of a Hermitian matrix is its conjugate, and so are their factors.
    auto turned = [](const Array& y) { return swapaxes(y, -1, -2); };
    return wrap_object(upper ? turned(cholesky(op, turned(x))) : cholesky(op, x));
  });
  define("_solve_triangular", [=](Name op, nb::handle a, nb::handle b, bool upper) {
    auto [x, y] = as_operands(a, b, op.c_str());
    return wrap_object(solve_triangular(op, x, y, upper));
  });
  define("_inv_triangular",
         [=](Name op, nb::handle a, bool upper) { return wrap_object(inv_triangular(op, matrix(op, a), upper)); });
  define("_square", [=](Name op, nb::handle a) {
    Array x = matrix(op, a);
    check_square(op, x);
    return wrap_object(x);
  });
  define("_matrix", [=](Name op, nb::handle a) {
    Array x = matrix(op, a);
    check_matrix(op, x);
    return wrap_object(x);
  });
  define("_adjoint", [=](nb::handle a) { return wrap_object(adjoint(as_array(a, "adjoint"))); });
  define("_solve", [=](Name op, nb::handle a, nb::handle b) {
    auto [x, y] = as_operands(a, b, op.c_str());
    return wrap_object(solve(op, x, y));
  });
  define("_inv", [=](Name op, nb::handle a) { return wrap_object(inv(op, matrix(op, a))); });
  define("_det", [=](nb::handle a) { return wrap_object(det(as_array(a, "det"))); });
  define("_slogdet", [=](nb::handle a) {
    SignedLog made = slogdet(as_array(a, "slogdet"));
    return tuple_of({made.sign, made.log});
  });
  define("_lu_factor", [=](Name op, nb::handle a) {
    Lu made = lu_factor(op, matrix(op, a));
    return tuple_of({made.factors, made.pivots, made.rows});
  });
  define("_qr", [=](Name op, nb::handle a, bool complete) {
    Qr made = qr(op, matrix(op, a), complete);
    return tuple_of({made.q, made.r});
  });
  define("_eigh", [=](Name op, nb::handle a, bool upper, bool vectors) -> nb::object {
    Array x = matrix(op, a);
    check_square(op, x);
    if (upper) x = adjoint(x);
    if (!vectors) return wrap_object(eigvalsh(op, x));
    Eigen made = eigh(op, x);
    return tuple_of({made.values, made.vectors});
  });
  define("_eig", [=](Name op, nb::handle a, bool vectors) -> nb::object {
    Array x = matrix(op, a);
    if (!vectors) return wrap_object(eigvals(op, x));
    Eigen made = eig(op, x);
    return tuple_of({made.values, made.vectors});
  });
  define("_svd", [=](Name op, nb::handle a, bool full) {
    Svd made = svd(op, matrix(op, a), full);
    return tuple_of({made.u, made.s, made.vh});
  });
  define("_svdvals", [=](Name op, nb::handle a) { return wrap_object(svdvals(op, matrix(op, a))); });
  define("_as_pinv", [=](nb::handle a, nb::handle value) {
    return wrap_object(as_pinv(as_array(a, "pinv"), as_array(value, "pinv")));
  });
  define("_with_derivative_of", [=](nb::handle value, nb::handle stand_in) {
    return wrap_object(with_derivative_of(as_array(value, "lstsq"), as_array(stand_in, "lstsq")));
  });
}

}  // namespace funcnn
