"""Linear algebra. Matrices are made well-conditioned inside the calls, so that any numbers will do as input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcnn as fn
from specs.rows import CUBE, FLOATS, MATRIX, REAL, ROW, In, Op, op

REALS = ("float32", "float64")
LAPACK = ("float32", "float64", "complex64")
SQUARE = In((3, 3), distinct=True)
LARGER = In((2, 4, 4), distinct=True)
ONE = In((1, 1), distinct=True)
SQUARES = (SQUARE, LARGER, ONE, In((0, 0)), In((0, 3, 3)), In((2, 0, 0)))
TALL, WIDE = In((2, 5, 3), distinct=True), In((3, 5), distinct=True)
SHAPES = (SQUARE, TALL, WIDE, In((4, 1), distinct=True), In((0, 3)), In((3, 0)), In((0, 2, 3)))


def regular(x: Any) -> Any:
    """Far from singular."""
    n = x.shape[-1]
    return x + (4 * fn.eye(n, dtype=x.dtype) if isinstance(x, fn.array) else 4 * np.eye(n))


def positive(x: Any) -> Any:
    n = x.shape[-1]
    if isinstance(x, fn.array):
        return x @ x.swapaxes(-1, -2).conjugate() + 2 * fn.eye(n, dtype=x.dtype)
    return x @ x.swapaxes(-1, -2).conj() + 2 * np.eye(n)


def hermitian(x: Any) -> Any:
    return x + x.swapaxes(-1, -2).conj()


def triangular(x: Any) -> Any:
    """Lower triangular; what lies above must not be read."""
    return regular(x)


def uneven(x: Any) -> Any:
    """No two rows with the same sum of magnitudes."""
    weights = np.linspace(1, 2, x.shape[-1]) ** 2
    return x * (fn.array(weights, x.real.dtype) if isinstance(x, fn.array) else weights)


def in_order(x: fn.array) -> fn.array:
    return fn.sort(x, axis=-1)


def fixed(v: Any) -> Any:
    """Columns times the conjugate of their first element: the same whatever their phases."""
    return v * v[..., :1, :].conj()


def _eigh(module: Any) -> Callable[..., Any]:
    def call(x: Any) -> Any:
        w, v = module.linalg.eigh(hermitian(x))
        return w, fixed(v)

    return call


def _svd(module: Any, full: bool) -> Callable[..., Any]:
    def call(x: Any) -> Any:
        u, s, vh = module.linalg.svd(x, full_matrices=full)
        k = s.shape[-1]
        pairs = u[..., :k].swapaxes(-1, -2)[..., :1] * vh[..., :k, :]
        rests = [m @ m.swapaxes(-1, -2).conj() for m in (u[..., k:], vh[..., k:, :].swapaxes(-1, -2))]
        return (s, fixed(u[..., :k]), pairs, *(rests if full else ()))

    return call


def _lu(x: np.ndarray) -> Any:
    from scipy import linalg

    k = min(x.shape[-2:])
    if x.size == 0:
        shape = x.shape
        eye = np.broadcast_to(np.eye(shape[-2], k), (*shape[:-1], k))
        return np.broadcast_to(np.arange(shape[-2]), shape[:-1]), eye, np.zeros((*shape[:-2], k, shape[-1]))
    p, lower, upper = linalg.lu(x, p_indices=True)
    return p, lower, upper


def _lu_factor(x: np.ndarray) -> Any:
    from scipy import linalg

    if x.size == 0:
        return x, np.zeros((*x.shape[:-2], min(x.shape[-2:])))
    # One by one: SciPy for Python 3.10 takes no batches.
    packed, pivots = zip(*map(linalg.lu_factor, x.reshape(-1, *x.shape[-2:])), strict=True)
    return np.reshape(packed, x.shape), np.reshape(pivots, (*x.shape[:-2], -1))


def _triangular(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.solve(np.tril(x), b)


def _lstsq(a: np.ndarray, b: np.ndarray) -> Any:
    x = np.linalg.pinv(a) @ b
    # One more, since of wide matrices nothing is left but rounding.
    return x, 1 + (np.abs(b - a @ x) ** 2).sum(-2 if b.ndim > 1 else 0), np.linalg.svd(a, compute_uv=False)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    def three(v: np.ndarray) -> np.ndarray:
        return np.concatenate([v, np.zeros((*v.shape[:-1], 3 - v.shape[-1]))], -1)

    return np.cross(three(a), three(b))


def row(name: str, call: Any, reference: Any, *samples: Any, **options: Any) -> Op:
    return op(name, call, reference, *samples, **{"dtypes": LAPACK, "tolerance": 1000, **options})


def refused(name: str, *further: Any, square: bool = True) -> Sequence[Any]:
    """What every function of matrices refuses."""
    call = getattr(fn.linalg, name)

    def case(x: fn.array, message: str) -> Any:
        return (lambda: call(x, *further), ValueError, f"{name}: .*{message}")

    out = [case(fn.zeros((3,)), r"at least two axes.*\(3,\)"), case(fn.zeros((2, 2), fn.float16), "float16")]
    return [*out, case(fn.zeros((2, 3)), r"square.*\(2, 3\)")] if square else out


FACTORS = [
    row("cholesky", lambda x: fn.linalg.cholesky(positive(x)), lambda x: np.linalg.cholesky(positive(x)), *SQUARES,
        errors=refused("cholesky")),
    row("cholesky[upper]", lambda x: fn.linalg.cholesky(positive(x), True),
        lambda x: np.linalg.cholesky(positive(x)).swapaxes(-1, -2).conj(), *SQUARES),
    row("qr", lambda x: fn.linalg.qr(regular(x) if x.shape[-1] == x.shape[-2] else x),
        lambda x: np.linalg.qr(regular(x) if x.shape[-1] == x.shape[-2] else x), *SHAPES, In((2, 4, 6), distinct=True),
        errors=[*refused("qr", square=False), (lambda: fn.linalg.qr(fn.eye(2), mode="raw"), ValueError, "qr: mode")]),
    row("qr[complete]", lambda x: (lambda q, r: (q @ q.T, r[:3], (q[:, 3:] @ q[:, 3:].T)))(*fn.linalg.qr(x, mode="complete")),
        lambda x: (lambda q, r: (q @ q.T, r[:3], (q[:, 3:] @ q[:, 3:].T)))(*np.linalg.qr(x, mode="complete")),
        In((5, 3), distinct=True), dtypes=REALS),
    row("eigh", _eigh(fn), _eigh(np), SQUARE, LARGER, ONE, dtypes=REALS, errors=[
        *refused("eigh"), (lambda: fn.linalg.eigh(fn.eye(2), "X"), ValueError, "eigh: UPLO must be 'L' or 'U', got 'X'")]),
    row("eigvalsh", lambda x: fn.linalg.eigvalsh(hermitian(x)), lambda x: np.linalg.eigvalsh(hermitian(x)), *SQUARES,
        result="real", errors=refused("eigvalsh")),
    row("svd", _svd(fn, False), _svd(np, False), SQUARE, TALL, WIDE, ONE, dtypes=REALS, errors=refused("svd", square=False)),
    row("svd[full]", _svd(fn, True), _svd(np, True), TALL, WIDE, dtypes=REALS),
    row("svdvals", fn.linalg.svdvals, lambda x: np.linalg.svd(x, compute_uv=False), *SHAPES, result="real",
        errors=refused("svdvals", square=False)),
    row("lu", lambda x: fn.linalg.lu(x)[1:], lambda x: _lu(x)[1:], *SHAPES, errors=refused("lu", square=False)),
    row("lu[p]", lambda x: fn.linalg.lu(x)[0], lambda x: _lu(x)[0], *SHAPES, result="uint32", differentiable=False),
    row("lu_factor", lambda x: fn.linalg.lu_factor(x)[0], lambda x: _lu_factor(x)[0], SQUARE, TALL, WIDE,
        errors=refused("lu_factor", square=False)),
    row("lu_factor[pivots]", lambda x: fn.linalg.lu_factor(x)[1], lambda x: _lu_factor(x)[1], SQUARE, TALL, WIDE,
        result="uint32", differentiable=False),
    row("eigvals", lambda x: in_order(fn.linalg.eigvals(hermitian(x)).real), lambda x: np.linalg.eigvalsh(hermitian(x)),
        SQUARE, LARGER, ONE, dtypes=("float32",), differentiable=False, errors=refused("eigvals")),
    row("eig", lambda x: (lambda w, v: fn.real((v * w[..., None, :]) @ fn.linalg.inv(v)))(*fn.linalg.eig(hermitian(x))),
        hermitian, SQUARE, LARGER, ONE, dtypes=("float32",), differentiable=False, errors=refused("eig")),
]  # fmt: skip

RIGHT = In((3, 2), distinct=True)
SYSTEMS = ((SQUARE, In((3,), distinct=True)), (SQUARE, RIGHT), (LARGER, In((4, 2), distinct=True)),
           (SQUARE, In((2, 3, 2), distinct=True)), (In((2, 1, 2, 2), distinct=True), In((3, 2, 1), distinct=True)),
           (In((0, 0)), In((0, 2))), (SQUARE, In((3, 0))), (LARGER, In((4,), distinct=True)))  # fmt: skip


def mismatch(name: str) -> Sequence[Any]:
    call = getattr(fn.linalg, name)
    return [
        *refused(name, fn.zeros((3,))),
        (lambda: call(fn.eye(3), fn.zeros((4, 2))), ValueError, rf"{name}: .*\(3, 3\).*3 rows.*\(4, 2\)"),
        (lambda: call(fn.zeros((4, 3, 3)), fn.zeros((4, 3))), ValueError, rf"{name}: .*b\[\.\.\., None\]"),
        (lambda: call(fn.eye(2), 1.0), ValueError, f"{name}: .*number"),
    ]


def vectors_of_batch(solver: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b: solver(regular(a), b)


SYSTEM_ROWS = [
    row("solve", lambda a, b: fn.linalg.solve(regular(a), b), lambda a, b: np.linalg.solve(regular(a), b), *SYSTEMS,
        errors=mismatch("solve")),
    row("solve_triangular", lambda a, b: fn.linalg.solve_triangular(triangular(a), b),
        lambda a, b: _triangular(triangular(a), b), *SYSTEMS, errors=mismatch("solve_triangular")),
    row("solve_triangular[upper]", lambda a, b: fn.linalg.solve_triangular(triangular(a), b, upper=True),
        lambda a, b: np.linalg.solve(np.triu(triangular(a)), b), *SYSTEMS),
    row("inv", lambda x: fn.linalg.inv(regular(x)), lambda x: np.linalg.inv(regular(x)), *SQUARES, errors=refused("inv")),
    row("tri_inv", lambda x: fn.linalg.tri_inv(regular(x)), lambda x: np.linalg.inv(np.tril(regular(x))), *SQUARES,
        errors=refused("tri_inv")),
    row("tri_inv[upper]", lambda x: fn.linalg.tri_inv(regular(x), True), lambda x: np.linalg.inv(np.triu(regular(x))), *SQUARES),
    row("cholesky_inv", lambda x: fn.linalg.cholesky_inv(regular(x)),
        lambda x: np.linalg.inv(np.tril(regular(x)) @ np.tril(regular(x)).swapaxes(-1, -2).conj()), *SQUARES,
        errors=refused("cholesky_inv")),
    row("cholesky_inv[upper]", lambda x: fn.linalg.cholesky_inv(regular(x), True),
        lambda x: np.linalg.inv(np.triu(regular(x)).swapaxes(-1, -2).conj() @ np.triu(regular(x))), *SQUARES),
    row("det", fn.linalg.det, np.linalg.det, *SQUARES, In((5, 5), distinct=True),
        errors=[(lambda: fn.linalg.det(fn.zeros((2, 3))), ValueError, r"det: .*square.*\(2, 3\)")]),
    row("slogdet", lambda x: tuple(fn.linalg.slogdet(regular(x))), lambda x: tuple(np.linalg.slogdet(regular(x))), *SQUARES,
        dtypes=REALS,
        errors=[(lambda: fn.linalg.slogdet(fn.zeros((3,))), ValueError, r"slogdet: .*\(3,\)")]),
    row("slogdet[sign]", lambda x: fn.linalg.slogdet(regular(x)).sign, lambda x: np.linalg.slogdet(regular(x))[0], SQUARE, LARGER,
        dtypes=("complex64", "float32")),
    row("slogdet[logabsdet]", lambda x: fn.linalg.slogdet(regular(x)).logabsdet,
        lambda x: np.linalg.slogdet(regular(x))[1], SQUARE, LARGER, dtypes=("complex64",), result="real"),
    row("pinv", fn.linalg.pinv, np.linalg.pinv, TALL, WIDE, SQUARE, In((0, 3)), In((2, 3, 0)),
        errors=refused("pinv", square=False)),
    row("pinv[rank 2]", lambda a, b: fn.linalg.pinv(a @ b, rtol=1e-4), lambda a, b: np.linalg.pinv(a @ b, rcond=1e-4),
        (In((5, 2), distinct=True), In((2, 4), distinct=True))),
    row("lstsq", lambda a, b: (lambda r: (r.x, r.residuals + 1, r.singular_values))(fn.linalg.lstsq(a, b)), _lstsq,
        (In((5, 3), distinct=True), In((5, 2), distinct=True)), (WIDE, In((3,), distinct=True)),
        (TALL, In((5, 2), distinct=True)), dtypes=REALS,
        errors=[*refused("lstsq", fn.zeros((2,)), square=False)[1:],
                (lambda: fn.linalg.lstsq(fn.zeros((3, 2)), fn.zeros((2,))), ValueError, r"lstsq: .*\(3, 2\).*3 elements")]),
    row("matrix_rank", lambda x: fn.linalg.matrix_rank(fn.linalg.outer(x[0], x[1])),
        lambda x: np.linalg.matrix_rank(np.outer(x[0], x[1])), MATRIX, result="int32", differentiable=False,
        errors=refused("matrix_rank", square=False)),
    *(row(f"matrix_power[{n}]", lambda x, n=n: fn.linalg.matrix_power(regular(x) / 4, n),
          lambda x, n=n: np.linalg.matrix_power(regular(x) / 4, n), SQUARE, LARGER, In((0, 0)),
          errors=refused("matrix_power", n)) for n in (0, 1, 5, -3)),
]  # fmt: skip

PRODUCTS = [
    row("cross", fn.linalg.cross, _cross, (In((4, 3), distinct=True), In((4, 3), distinct=True)),
        (In((2, 1, 3), distinct=True), In((4, 3), distinct=True)), (In((4, 2), distinct=True), In((4, 2), distinct=True)),
        (In((4, 2), distinct=True), In((3,), distinct=True)), (In((0, 3)), In((3,))),
        dtypes=(*FLOATS, "int32", "complex64"), tolerance=16,
        errors=[(lambda: fn.linalg.cross(fn.zeros((4,)), fn.zeros((4,))), ValueError, r"cross: .*2 or 3.*\(4,\)"),
                (lambda: fn.linalg.cross(fn.zeros((3,)), fn.zeros((3,)), 1), fn.AxisError, "cross: ")]),
    row("cross[axis=0]", lambda a, b: fn.linalg.cross(a, b, 0), lambda a, b: np.cross(a, b, axis=0),
        (In((3, 4), distinct=True), In((3, 4), distinct=True))),
    op("linalg.diagonal", lambda x: fn.linalg.diagonal(x, offset=-1), lambda x: np.diagonal(x, -1, -2, -1), MATRIX, CUBE,
       errors=[(lambda: fn.linalg.diagonal(fn.zeros((3,))), ValueError, "diagonal: expected matrices")]),
    op("linalg.trace", fn.linalg.trace, lambda x: np.trace(x, 0, -2, -1), MATRIX, CUBE, dtypes=REAL, result="sum", tolerance=16,
       errors=[(lambda: fn.linalg.trace(fn.zeros((3,))), ValueError, "trace: expected matrices")]),
    op("linalg.outer", fn.linalg.outer, np.outer, (ROW, In((3,))), tolerance=8,
       errors=[(lambda: fn.linalg.outer(fn.eye(2), fn.eye(2)), ValueError, r"outer: expected two vectors.*\(2, 2\)")]),
    *(row(f"matrix_norm[{o}]", lambda x, o=o: fn.linalg.matrix_norm(uneven(x), ord=o, keepdims=True),
          lambda x, o=o: np.linalg.norm(uneven(x), ord=o, axis=(-2, -1), keepdims=True), SQUARE, TALL, WIDE, result="real",
          errors=[(lambda o=o: fn.linalg.matrix_norm(fn.zeros((3,)), ord=o), ValueError, "matrix_norm: expected matrices")])
      for o in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    *(row(f"norm[{o}, axes]", lambda x, o=o: fn.linalg.norm(x, o, (2, 0), keepdims=True),
          lambda x, o=o: np.linalg.norm(x, o, (2, 0), keepdims=True), CUBE, result="real") for o in ("nuc", 2, -2, 1, np.inf)),
    *(op(f"vector_norm[{o}]", lambda x, o=o: fn.linalg.vector_norm(x, ord=o, axis=(0, 2)),
         lambda x, o=o: np.linalg.norm(np.moveaxis(x, 1, 0).reshape(x.shape[1], -1), ord=o, axis=-1), CUBE, tolerance=64,
         differentiable=o != 0,
         errors=[(lambda: fn.linalg.vector_norm(fn.eye(2), ord="fro"), ValueError, "vector_norm: ord must be a number"),
                 (lambda: fn.linalg.vector_norm(fn.eye(2), axis=2), fn.AxisError, "vector_norm"),
                 (lambda: fn.linalg.vector_norm(fn.eye(2), axis=(0, -2)), ValueError, "twice")])
      for o in (2, 1, 0, 3, 0.5, np.inf, -np.inf)),
]  # fmt: skip

ROWS: list[Op] = [*FACTORS, *SYSTEM_ROWS, *PRODUCTS]
