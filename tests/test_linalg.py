"""Linear algebra beyond the table of operations: faults, properties, edges, threads."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcnn as fn
import thread_counts
from funcnn import linalg
from funcnn.linalg import LinAlgError
from widest import held

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]], np.float32)
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52, "complex64": 2.0**-23}


def normal(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape)).astype(dtype) if dtype == "complex64" else x.astype(dtype)


def array(x, dtype=None) -> fn.array:
    """With the dtype it has: fn.array takes float64 of NumPy for float32."""
    given = getattr(x, "dtype", None)
    return fn.array(x, dtype or (getattr(fn, str(given)) if isinstance(x, np.ndarray) else None))


def adjoint(x):
    return x.swapaxes(-1, -2).conj()


# ---- faults

UNARY = ["cholesky", "inv", "tri_inv", "cholesky_inv", "det", "slogdet", "qr", "svd", "svdvals", "eigh", "eigvalsh", "eig",
         "eigvals", "lu", "lu_factor", "pinv", "matrix_rank"]  # fmt: skip


def results(value):
    return list(value) if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", list(EPSILON))
def test_what_is_not_finite_is_refused(name, value, dtype):
    x = normal(4, 3, 3, dtype=dtype) @ np.eye(3, dtype=dtype) + 5 * np.eye(3, dtype=dtype)
    x = x @ adjoint(x)
    x[2, 2, 1] = x[2, 1, 2] = value
    x[2, 1, 0] = value
    with pytest.raises(LinAlgError, match=rf"{name}: the matrix at \(2,\) of an array of shape \(4, 3, 3\) .*NaN"):
        fn.eval(*results(getattr(linalg, name)(array(x))))
    fine = results(getattr(linalg, name)(array(x[:2])))
    fn.eval(*fine)


def test_norms_by_singular_values_and_least_squares_refuse_what_is_not_finite():
    x = array([[np.nan, 1.0], [1.0, 1.0]])
    for call in (lambda: linalg.norm(x, "nuc"), lambda: linalg.norm(x, 2)):
        with pytest.raises(LinAlgError, match="norm: .*NaN"):
            call().item()
    with pytest.raises(LinAlgError, match="lstsq: .*NaN"):
        fn.eval(linalg.lstsq(x, fn.ones((2,))).x)
    with pytest.raises(LinAlgError, match="solve: .*NaN"):
        fn.eval(linalg.solve(x, fn.ones((2,))))
    with pytest.raises(LinAlgError, match="solve_triangular: .*NaN"):
        fn.eval(linalg.solve_triangular(x, fn.ones((2,))))


def test_the_other_triangle_is_not_read():
    x = np.array([[2.0, np.nan], [1.0, 3.0]], np.float32)
    a = array(x)
    full = np.array([[2.0, 1.0], [1.0, 3.0]], np.float32)
    np.testing.assert_allclose(linalg.cholesky(a), np.linalg.cholesky(full), rtol=1e-6)
    np.testing.assert_allclose(linalg.cholesky(a.T, upper=True), np.linalg.cholesky(full).T, rtol=1e-6)
    np.testing.assert_allclose(linalg.eigvalsh(a), np.linalg.eigvalsh(full), rtol=1e-6)
    np.testing.assert_allclose(linalg.eigvalsh(a.T, "U"), np.linalg.eigvalsh(full), rtol=1e-6)
    np.testing.assert_allclose(linalg.eigh(a.T, "u").eigenvalues, np.linalg.eigvalsh(full), rtol=1e-6)
    np.testing.assert_allclose(linalg.solve_triangular(a, fn.ones((2,))), [0.5, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(linalg.tri_inv(a.T, upper=True), np.linalg.inv(np.tril(full)).T, rtol=1e-6)
    for transposed in (False, True):  # whichever way the matrix lies
        given = array(np.ascontiguousarray(x.T)).T if transposed else a
        np.testing.assert_allclose(linalg.solve_triangular(given, fn.ones((2,))), [0.5, 1 / 6], rtol=1e-6)


SINGULAR_CALLS = {
    "inv": linalg.inv,
    "solve": lambda a: linalg.solve(a, fn.ones((3, 1, 2, 1))),
    "matrix_power": lambda a: linalg.matrix_power(a, -2),
    "solve_triangular": lambda a: linalg.solve_triangular(a, fn.ones((3, 1, 2, 1))),
    "tri_inv": linalg.tri_inv,
    "cholesky": lambda a: linalg.cholesky(a - 2 * (a - a[:1])),
}


@pytest.mark.parametrize("name", list(SINGULAR_CALLS))
def test_a_matrix_without_a_result_is_named(name):
    what = "not positive definite" if name == "cholesky" else "singular"
    triangular = name in ("solve_triangular", "tri_inv")
    matrices = [np.eye(2), np.diag([1, 0]), np.zeros((2, 2))] if triangular else [np.eye(2), SINGULAR, SINGULAR]
    lazy = SINGULAR_CALLS[name](array(np.stack(matrices).astype(np.float32)[:, None]))
    with pytest.raises(
        LinAlgError, match=rf"{name}: the matrix at \(1, 0\) of an array of shape \(3, 1, 2, 2\) is {what}"
    ):
        fn.eval(lazy)
    with pytest.raises(ValueError, match="singular|positive"):  # still, and again
        np.asarray(lazy)
    assert fn.ones((2,)).sum().item() == 2


def test_the_first_faulty_matrix_is_named_however_many_threads_there_are():
    x = np.broadcast_to(np.eye(4, dtype=np.float32), (500, 4, 4)).copy()
    x[37:] = 0
    x[200, 1, 1] = np.nan
    before = fn.get_num_threads()
    try:
        for threads, name in itertools.product((1, 2, 3), ("tri_inv", "cholesky", "slogdet")):
            fn.set_num_threads(threads)
            place, what = (200, "NaN") if name == "slogdet" else (37, "singular|positive")
            with pytest.raises(LinAlgError, match=rf"{name}: the matrix at \({place},\) .*{what}"):
                fn.eval(*results(getattr(linalg, name)(array(x))))
    finally:
        fn.set_num_threads(before)


def test_faults_come_through_transformations():
    singular = array(SINGULAR)
    compiled = fn.compile(lambda x: linalg.inv(x) * 2)
    with pytest.raises(LinAlgError, match="inv: .*singular"):
        compiled(singular)
    np.testing.assert_array_equal(compiled(fn.eye(2)), 2 * np.eye(2))
    with pytest.raises(LinAlgError, match=r"inv: the matrix at \(1,\)"):
        fn.eval(fn.vmap(linalg.inv)(fn.stack([fn.eye(2), singular])))
    with pytest.raises(LinAlgError, match="inv"):
        fn.eval(fn.grad(lambda x: linalg.inv(x).sum())(singular))
    with pytest.raises(LinAlgError, match=r"slogdet \(derivative\): .*singular"):
        fn.eval(fn.grad(lambda x: linalg.slogdet(x).logabsdet)(singular))
    with pytest.raises(LinAlgError, match="inv"):
        fn.eval(fn.cond(array(True), linalg.inv, lambda x: x, singular))
    with pytest.raises(LinAlgError, match="inv"):
        fn.eval(fn.scan(lambda c, x: (linalg.inv(c - x), c), fn.eye(2), fn.stack([fn.eye(2)] * 3))[0])
    assert fn.eye(2).sum().item() == 2


def test_faults_in_threads_stay_with_their_thread():
    outcomes = []

    def work(faulty):
        for _ in range(20):
            try:
                fn.eval(linalg.inv(array(SINGULAR if faulty else 2 * np.eye(2, dtype=np.float32))))
                outcomes.append((faulty, True))
            except LinAlgError:
                outcomes.append((faulty, False))

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(set(outcomes)) == [(False, True), (True, False)]
    assert len(outcomes) == 80


def test_the_error_is_a_value_error_of_the_module():
    assert issubclass(LinAlgError, ValueError)
    assert f"{LinAlgError.__module__}.{LinAlgError.__qualname__}" == "funcnn.linalg.LinAlgError"


def test_lengths_beyond_lapack_are_refused_at_the_call():
    for shape in [(2**31, 0), (0, 2**31), (1, 0, 2**31)]:
        with pytest.raises(ValueError, match="svd: matrices may have at most 2147483647"):
            linalg.svd(fn.zeros(shape))


def test_integers_are_refused_where_a_factorisation_has_their_dtype():
    for name in ("cholesky", "inv", "qr", "svd", "eigh", "eig", "lu", "pinv"):
        with pytest.raises(ValueError, match=f"{name}: expected an array of float32.*int32"):
            getattr(linalg, name)(fn.ones((2, 2), fn.int32))
    assert linalg.det(array([[1, 2], [3, 4]])).item() == pytest.approx(-2)
    assert linalg.det(array([[1, 2], [3, 4]], fn.float16)).dtype == fn.float16
    assert linalg.slogdet(array([[1, 2], [3, 4]], fn.bfloat16)).sign.dtype == fn.bfloat16
    assert linalg.solve(array([[2, 0], [0, 2]]), array([1.0, 2.0])).dtype == fn.float32
    with pytest.raises(ValueError, match="solve: .*float16"):
        linalg.solve(fn.eye(2), fn.ones((2,), fn.float16))


# ---- properties

sizes = st.integers(0, 7)
batches = st.sampled_from([(), (1,), (3,), (2, 2), (0,)])
dtypes = st.sampled_from(held(EPSILON))
layouts = st.sampled_from(["rows", "columns", "sliced", "reversed", "broadcast"])


def laid_out(x: np.ndarray, layout: str) -> fn.array:
    """The matrices, read from memory of another order."""
    if layout == "columns":
        return array(np.ascontiguousarray(x.swapaxes(-1, -2))).swapaxes(-1, -2)
    if layout == "sliced":
        wide = np.full((*x.shape[:-2], 2 * x.shape[-2], 2 * x.shape[-1] + 1), np.nan, x.dtype)
        wide[..., ::2, 1::2] = x
        return array(wide)[..., ::2, 1::2]
    if layout == "reversed":
        return array(x[..., ::-1, ::-1].copy())[..., ::-1, ::-1]
    if layout == "broadcast":
        return fn.broadcast_to(array(x), (2, *x.shape))[1]
    return array(x)


def close(got, expected, dtype, scale=1.0, factor=300.0):
    np.testing.assert_allclose(
        np.asarray(got), expected, rtol=factor * EPSILON[dtype], atol=factor * EPSILON[dtype] * scale
    )


@settings(max_examples=30)
@given(batches, sizes, sizes, dtypes, layouts, st.integers(0, 2**31))
def test_factorisations_give_the_matrix_back(batch, m, n, dtype, layout, seed):
    x = normal(*batch, m, n, dtype=dtype, seed=seed)
    a, k, eye = laid_out(x, layout), min(m, n), np.eye(min(m, n))
    q, r = (np.asarray(v) for v in linalg.qr(a))
    close(q @ r, x, dtype, 10)
    close(adjoint(q) @ q, np.broadcast_to(eye, (*batch, k, k)), dtype)
    assert not np.tril(r, -1).any()
    q, r = (np.asarray(v) for v in linalg.qr(a, mode="complete"))
    close(q @ r, x, dtype, 10)
    close(adjoint(q) @ q, np.broadcast_to(np.eye(m), (*batch, m, m)), dtype)
    u, s, vh = (np.asarray(v) for v in linalg.svd(a))
    close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x, dtype, 10)
    close(adjoint(u) @ u, np.broadcast_to(np.eye(m), (*batch, m, m)), dtype)
    close(vh @ adjoint(vh), np.broadcast_to(np.eye(n), (*batch, n, n)), dtype)
    assert (np.diff(s) <= 0).all() and (s >= 0).all()
    close(linalg.svdvals(a), s, dtype, 10)
    p, lower, upper = linalg.lu(a)
    close(fn.take_along_axis(lower, p[..., None], axis=-2) @ upper, x, dtype, 10)
    assert (np.abs(np.asarray(lower)) <= 1.5).all()  # of complex numbers LAPACK compares |re| + |im|


@settings(max_examples=30)
@given(batches, st.integers(0, 7), dtypes, layouts, st.integers(0, 2**31))
def test_square_matrices_agree_with_numpy(batch, n, dtype, layout, seed):
    x = normal(*batch, n, n, dtype=dtype, seed=seed) + 4 * np.eye(n, dtype=dtype)
    b = normal(*batch, n, 2, dtype=dtype, seed=seed + 1)
    a, wide = laid_out(x, layout), x.astype(np.complex128)
    condition = float(np.max(np.linalg.cond(wide), initial=1)) if x.size else 1.0
    close(a @ linalg.solve(a, array(b)), b, dtype, 10 * condition)
    close(a @ linalg.inv(a), np.broadcast_to(np.eye(n), x.shape), dtype, 10 * condition)
    close(linalg.det(a), np.linalg.det(wide), dtype, max(1.0, float(np.abs(np.linalg.det(wide)).max(initial=1))))
    positive = x @ adjoint(x) + np.eye(n, dtype=dtype)
    p = laid_out(positive, layout)
    lower = np.asarray(linalg.cholesky(p))
    close(lower @ adjoint(lower), positive, dtype, 100)
    close(adjoint(np.asarray(linalg.cholesky(p, True))), lower, dtype, 10)
    close(linalg.cholesky_inv(array(lower)) @ p, np.broadcast_to(np.eye(n), x.shape), dtype, 1e3)
    w, v = (np.asarray(y) for y in linalg.eigh(p))
    close((v * w[..., None, :]) @ adjoint(v), positive, dtype, 100)
    close(adjoint(v) @ v, np.broadcast_to(np.eye(n), x.shape), dtype)
    w, v = (np.asarray(y) for y in linalg.eig(p))
    close(positive.astype(np.complex64) @ v, v * w[..., None, :], "complex64", 100)
    close(np.sort(np.asarray(linalg.eigvals(p)).real), np.sort(w.real), "complex64", 100)


@settings(max_examples=30)
@given(batches, st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**31))
def test_least_squares_agree_with_numpy(batch, m, n, rank, seed):
    rank = min(m, n, rank)
    a = normal(*batch, m, rank, dtype="float64", seed=seed) @ normal(*batch, rank, n, dtype="float64", seed=seed + 1)
    b = normal(*batch, m, 2, dtype="float64", seed=seed + 2)
    got = linalg.lstsq(array(a), array(b), rcond=1e-9)
    inverse = np.linalg.pinv(a, rcond=1e-9)
    size = float(np.abs(inverse).max(initial=1)) ** 2
    np.testing.assert_allclose(got.x, inverse @ b, atol=1e-11 * size)
    np.testing.assert_array_equal(got.rank, np.full(batch, rank))
    np.testing.assert_array_equal(linalg.matrix_rank(array(a), rtol=1e-9), np.full(batch, rank))
    np.testing.assert_allclose(linalg.pinv(array(a), rtol=1e-9), inverse, atol=1e-11 * size)
    np.testing.assert_allclose(got.residuals, ((b - a @ inverse @ b) ** 2).sum(-2), atol=1e-10 * size)


@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize("dtype", list(EPSILON))
def test_large_matrices(n, dtype):
    from scipy import linalg as oracle

    x = normal(n, n, dtype=dtype)
    a = array(x)
    scale = float(n)
    q, r = (np.asarray(v) for v in linalg.qr(a))
    close(q @ r, x, dtype, scale / 10)
    close(adjoint(q) @ q, np.eye(n), dtype)
    positive = x @ adjoint(x) / n + np.eye(n, dtype=dtype)
    lower = np.asarray(linalg.cholesky(array(positive)))
    close(lower, oracle.cholesky(positive, lower=True), dtype, 10)
    p, lower, upper = (np.asarray(v) for v in linalg.lu(a))
    close(lower[p] @ upper, x, dtype, scale / 10)
    assert np.abs(lower).max() <= 1.5
    close(np.asarray(linalg.inv(array(positive))) @ positive, np.eye(n), dtype, 10)
    b = normal(n, 130, dtype=dtype)
    close(positive @ np.asarray(linalg.solve(array(positive), array(b))), b, dtype, 10)
    tall, wide = x[:, : n // 2], x[: n // 3]
    for part in (tall, wide):
        q, r = (np.asarray(v) for v in linalg.qr(array(part)))
        close(q @ r, part, dtype, scale / 10)
        p, lower, upper = (np.asarray(v) for v in linalg.lu(array(part)))
        close(lower[p] @ upper, part, dtype, scale / 10)
    w, v = (np.asarray(y) for y in linalg.eigh(array(positive)))
    close((v * w) @ adjoint(v), positive, dtype, 10)


@pytest.mark.parametrize("shape", [(400, 270), (270, 400), (300, 256)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_large_matrices_that_are_not_square(shape, mode):
    x = normal(*shape)
    a, m = array(x), shape[0] if mode == "complete" else min(shape)
    q, r = (np.asarray(v) for v in linalg.qr(a, mode=mode))
    assert (q.shape, r.shape) == ((shape[0], m), (m, shape[1]))
    close(q @ r, x, "float32", 30)
    close(adjoint(q) @ q, np.eye(m), "float32")
    p, lower, upper = (np.asarray(v) for v in linalg.lu(a))
    close(lower[p] @ upper, x, "float32", 30)
    assert np.abs(lower).max() <= 1


# ---- extremes


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
def test_tiny_and_huge_numbers(scale):
    x = normal(4, 4) * np.float32(scale)
    a, wide = array(x), x.astype(np.float64)
    q, r = (np.asarray(v) for v in linalg.qr(a))
    np.testing.assert_allclose(q @ r, x, rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_allclose(linalg.svdvals(a), np.linalg.svd(wide, compute_uv=False), rtol=1e-4)
    np.testing.assert_allclose(
        linalg.eigvalsh(a + a.T), np.linalg.eigvalsh(wide + wide.T), rtol=1e-4, atol=1e-5 * scale
    )
    np.testing.assert_allclose(linalg.inv(a), np.linalg.inv(wide), rtol=1e-3)
    np.testing.assert_allclose(linalg.slogdet(a).logabsdet, np.linalg.slogdet(wide)[1], rtol=1e-5)
    np.testing.assert_allclose(linalg.pinv(a), np.linalg.pinv(wide), rtol=1e-3)
    assert linalg.matrix_rank(a).item() == 4


@pytest.mark.parametrize("scale", [2.0**-100, 1.0, 2.0**100])
@pytest.mark.parametrize("order", [0.5, 1.5, 3, 200, -1, -2, -200])
def test_powers_in_norms_stay_in_range(order, scale):
    wide = np.copysign(np.random.default_rng(0).uniform(0.5, 2, (3, 4)), normal(3, 4))
    x, expected = array((wide * scale).astype(np.float32)), np.linalg.norm(wide, order, axis=-1)
    np.testing.assert_allclose(linalg.norm(x, order, axis=-1), expected * scale, rtol=1e-5)
    slopes = np.sign(wide) * (np.abs(wide) / expected[:, None]) ** (order - 1)
    np.testing.assert_allclose(
        fn.grad(lambda x: linalg.norm(x, order, axis=-1).sum())(x), slopes, rtol=5e-5, atol=1e-15
    )


def test_norms_of_nothing():
    for order in (1, 2, 3, np.inf):
        assert linalg.norm(fn.zeros((0,)), order).item() == 0
    for order, shape in itertools.product((1, 2, np.inf, "nuc", "fro"), [(5, 0), (0, 5), (0, 0)]):
        assert linalg.norm(fn.zeros(shape), order).item() == 0
    for call in (lambda: linalg.norm(fn.zeros((0,)), -np.inf), lambda: linalg.norm(fn.zeros((5, 0)), -1)):
        with pytest.raises(ValueError, match="norm: of no elements there is no norm of order -"):
            call()


def test_empty_matrices():
    none = fn.zeros((2, 0, 0))
    assert np.array_equal(linalg.det(none), [1, 1])
    assert np.array_equal(linalg.slogdet(none).sign, [1, 1])
    assert np.array_equal(linalg.slogdet(none).logabsdet, [0, 0])
    assert linalg.inv(none).shape == (2, 0, 0)
    assert np.array_equal(linalg.matrix_rank(none), [0, 0])
    assert linalg.pinv(fn.zeros((2, 0, 3))).shape == (2, 3, 0)
    assert np.array_equal(linalg.svd(fn.zeros((0, 2))).Vh, np.eye(2))
    assert np.array_equal(linalg.qr(fn.zeros((2, 0)), mode="complete").Q, np.eye(2))
    assert np.array_equal(linalg.lstsq(fn.zeros((0, 2)), fn.zeros((0,))).x, [0, 0])
    assert linalg.norm(fn.zeros((0, 3)), "nuc").item() == 0
    assert linalg.norm(fn.zeros((0, 3)), 2).item() == 0
    for call in (linalg.cholesky, linalg.inv, lambda x: linalg.qr(x).Q, lambda x: linalg.eigh(x).eigenvectors,
                 lambda x: linalg.svd(x).U, linalg.pinv):  # fmt: skip
        assert fn.grad(lambda x, call=call: call(x).sum())(none).shape == (2, 0, 0)


def test_determinants_of_singular_matrices():
    assert linalg.det(array(SINGULAR)).item() == 0
    sign, logabsdet = linalg.slogdet(array(SINGULAR))
    assert (sign.item(), logabsdet.item()) == (0, -np.inf)
    assert linalg.slogdet(fn.zeros((2, 2), fn.complex64)).sign.item() == 0


def test_matrix_power_counts_products_by_bits():
    a = array([[0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(linalg.matrix_power(a, 4 * 10**15 + 1), a, atol=1e-6)
    with pytest.raises(ValueError, match="matrix_power: n must fit into 64 bits"):
        linalg.matrix_power(a, 10**100)
    with pytest.raises(TypeError, match="matrix_power: n must be an integer"):
        linalg.matrix_power(a, 2.0)


def test_complex_results_of_eigenvalues():
    for dtype in (fn.float32, fn.float64, fn.complex64):
        w, v = linalg.eig(array([[0.0, 1.0], [-1.0, 0.0]]).astype(dtype))
        assert w.dtype == v.dtype == fn.complex64
        assert sorted(np.asarray(w).imag) == pytest.approx([-1, 1])
    assert linalg.eigh(fn.eye(2, dtype=fn.complex64)).eigenvalues.dtype == fn.float32
    assert linalg.svd(fn.eye(2, dtype=fn.complex64)).S.dtype == fn.float32
    assert linalg.norm(fn.eye(2, dtype=fn.complex64), 2).dtype == fn.float32


# ---- batching and threads


@settings(max_examples=20)
@given(st.sampled_from([(None, 0), (0, None), (0, 0), (1, 2)]), st.sampled_from([(), (2,)]))
def test_systems_are_mapped_over_either_argument(axes, batch):
    a = normal(*batch, 3, 3) + 4 * np.eye(3, dtype=np.float32)
    b = normal(*batch, 3, 2, seed=1)
    arguments, loops = [], []
    for x, axis in zip((a, b), axes, strict=True):
        rows = [x + np.float32(0.1) * i for i in range(3)] if axis is not None else [x] * 3
        arguments.append(array(np.stack(rows, axis)) if axis is not None else array(x))
        loops.append(rows)
    for solver in (linalg.solve, linalg.solve_triangular):
        got = fn.vmap(solver, axes)(*arguments)
        oracle = np.linalg.solve if solver is linalg.solve else lambda a, b: np.linalg.solve(np.tril(a), b)
        np.testing.assert_allclose(got, [oracle(*pair) for pair in zip(*loops, strict=True)], rtol=1e-4, atol=1e-5)


CALLS = {
    "cholesky": lambda x: linalg.cholesky(x @ x.swapaxes(-1, -2) + fn.eye(x.shape[-1])),
    "inv": linalg.inv,
    "lu": lambda x: linalg.lu_factor(x)[0],
    "qr": lambda x: linalg.qr(x).Q,
    "eigh": lambda x: linalg.eigh(x + x.swapaxes(-1, -2)).eigenvectors,
    "svd": lambda x: linalg.svd(x).U,
}


@pytest.mark.parametrize("shape", [(60, 9, 9), (3, 150, 150), (400, 400)])
@pytest.mark.parametrize("name", list(CALLS))
def test_the_number_of_threads_changes_nothing(name, shape):
    x = array(normal(*shape))
    thread_counts.assert_the_same(lambda: [CALLS[name](x)])


def test_evaluation_in_several_threads_of_the_program():
    xs = [normal(40, 40, seed=i) for i in range(4)]
    found = [None] * 4

    def work(i):
        for _ in range(5):
            found[i] = np.asarray(linalg.inv(array(xs[i])))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for x, inverse in zip(xs, found, strict=True):
        np.testing.assert_allclose(inverse @ x, np.eye(40), atol=1e-3)


# ---- the standard's extension


def test_names_of_results():
    assert linalg.qr(fn.eye(2))._fields == ("Q", "R")
    assert linalg.svd(fn.eye(2))._fields == ("U", "S", "Vh")
    assert linalg.eigh(fn.eye(2))._fields == ("eigenvalues", "eigenvectors")
    assert linalg.slogdet(fn.eye(2))._fields == ("sign", "logabsdet")


def test_results_pass_through_transformations_by_name():
    assert fn.compile(lambda x: linalg.qr(x))(fn.eye(2)).R.shape == (2, 2)
    assert fn.vmap(linalg.svd)(fn.ones((3, 2, 2))).S.shape == (3, 2)


def test_vector_norms_over_several_axes():
    x = normal(2, 3, 4)
    for order, axes, keepdims in itertools.product(
        (1, 2, 3, np.inf), ((0, 2), (1,), 1, None, (2, 0, 1), ()), (False, True)
    ):
        flat = tuple(range(3)) if axes is None else (axes,) if isinstance(axes, int) else axes
        rest = [a for a in range(3) if a not in flat]
        rows = x.transpose(*rest, *flat).reshape(*(x.shape[a] for a in rest), -1)
        expected = np.linalg.norm(rows, ord=order, axis=-1)
        if keepdims:
            expected = expected.reshape([1 if a in flat else x.shape[a] for a in range(3)])
        np.testing.assert_allclose(
            linalg.vector_norm(array(x), axis=axes, keepdims=keepdims, ord=order), expected, rtol=1e-5
        )
    assert linalg.vector_norm(array(-3.0)).item() == 3


def test_tolerances_of_ranks():
    a = array(np.stack([np.diag([1.0, 1e-3, 0]), np.diag([1.0, 1.0, 1e-3])]).astype(np.float32))
    np.testing.assert_array_equal(linalg.matrix_rank(a), [2, 3])
    np.testing.assert_array_equal(linalg.matrix_rank(a, rtol=1e-2), [1, 2])
    np.testing.assert_array_equal(linalg.matrix_rank(a, rtol=array([1e-2, 1e-4])), [1, 3])
    np.testing.assert_allclose(linalg.pinv(a, rtol=array([1e-2, 1e-4]))[:, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="matrix_rank: a tolerance must be real"):
        linalg.matrix_rank(a, rtol=1j)


def test_the_imaginary_part_of_a_diagonal_is_positive_zero():
    a = array(np.complex64([[2, 1j], [-1j, 2]]))
    for upper in (False, True):
        factor = np.asarray(linalg.cholesky(a, upper=upper))
        assert not np.signbit(np.diag(factor).imag).any()
        other = factor if upper else factor.conj().T
        np.testing.assert_allclose(other.conj().T @ other, np.asarray(a), atol=1e-6)


def test_sums_keep_the_dtype_asked_for():
    square = fn.array(np.int32([[250, 0], [0, 10]]))
    assert fn.trace(square, dtype=fn.uint8).dtype == linalg.trace(square, dtype=fn.uint8).dtype == fn.uint8
    assert fn.trace(square, dtype=fn.uint8).item() == 4
    assert fn.trace(square.astype(fn.uint8)).dtype == fn.uint32


@pytest.mark.parametrize("op", ["dot", "inner", "tensordot", "matmul"])
def test_products_of_integers_name_the_function(op):
    x = fn.array([[1, 2], [3, 4]])
    with pytest.raises(
        ValueError, match=f"^{op}: is defined for floating-point and complex arrays, got int32 and int32"
    ):
        getattr(fn, op)(x, x)


@pytest.mark.parametrize("order", [None, 2, 3, 1.5])
def test_norms_have_slope_zero_at_zero(order):
    x = fn.array([[0.0, 0.0, 0.0], [3.0, 0.0, -4.0]])
    got = fn.grad(lambda x: linalg.norm(x, order, axis=-1).sum())(x)
    alone = fn.grad(lambda x: linalg.norm(x, order, axis=-1))(x[1])
    np.testing.assert_array_equal(got, np.stack([np.zeros(3), alone]))
    assert fn.jvp(lambda x: linalg.norm(x, order, axis=-1), (x,), (fn.ones_like(x),))[1][0].item() == 0
    assert fn.isnan(linalg.norm(fn.array([fn.nan, 0.0]), order, axis=0)).item()
