"""Blocked factorisations of our own: sizes around their blocks, all instruction sets, pivots, extreme values, threads."""

from __future__ import annotations

import numpy as np
import pytest

import funcnn as fn
import instruction_sets
import thread_counts
from funcnn import linalg

pytestmark = pytest.mark.on_cpu
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}
SIZES = [1, 2, 7, 9, 16, 17, 33, 65, 127, 129, 144, 257]


def normal(*shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def wide(x):
    return np.asarray(x).astype(np.float64)


@pytest.fixture(params=instruction_sets.SUPPORTED)
def everywhere(request):
    with instruction_sets.using(request.param):
        yield


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("n", SIZES)
def test_backward_errors(n, dtype):
    eps, a = EPSILON[dtype], normal(n, n, dtype=dtype)
    x = fn.asarray(a)
    # Of LU: |P A - L U| <= n eps |L| |U|, elementwise.
    for m in (n, n // 2 + 1, n + 21):
        tall = normal(m, n, dtype=dtype, seed=1)
        p, lower, upper = linalg.lu(fn.asarray(tall))
        lower, upper = wide(lower)[np.asarray(p)], wide(upper)
        assert np.abs(lower).max() <= 1
        bound = (n + 2) * eps * (np.abs(lower) @ np.abs(upper))
        assert (np.abs(lower @ upper - tall) <= bound).all()
    for k in (1, 8, 17, 33, 70):
        b = normal(n, k, dtype=dtype, seed=2)
        found = wide(linalg.solve(x, fn.asarray(b)))
        scale = np.abs(wide(a)).sum(1).max() * np.abs(found).max()
        assert np.abs(wide(a) @ found - b).max() <= 4 * np.sqrt(n + 4) * eps * scale
        for upper in (False, True):
            triangle = np.triu(a, 1) if upper else np.tril(a, -1)
            triangle = (triangle / np.sqrt(n) + 2 * np.eye(n)).astype(dtype)
            found = wide(linalg.solve_triangular(fn.asarray(triangle), fn.asarray(b), upper=upper))
            bound = (n + 2) * eps * (np.abs(wide(triangle)) @ np.abs(found))
            assert (np.abs(wide(triangle) @ found - b) <= bound).all()
    symmetric = (wide(a) @ wide(a).T / n + np.eye(n)).astype(dtype)
    factor = wide(linalg.cholesky(fn.asarray(symmetric)))
    assert np.array_equal(factor, np.tril(factor))
    assert (np.abs(factor @ factor.T - symmetric) <= (n + 2) * eps * (np.abs(factor) @ np.abs(factor).T)).all()


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("n", [3, 40, 130, 260])
def test_the_inverse_is_that_of_numpy(n, dtype):
    a = normal(2, n, n, dtype=dtype) + 2 * np.sqrt(n) * np.eye(n, dtype=dtype)
    exact = np.linalg.inv(wide(a))
    for found in (
        linalg.inv(fn.asarray(a)),
        linalg.solve(fn.asarray(a), fn.broadcast_to(fn.eye(n, dtype=a.dtype.name), a.shape)),
    ):
        np.testing.assert_allclose(wide(found), exact, rtol=0, atol=20 * EPSILON[dtype] * np.abs(exact).max())


@pytest.mark.parametrize("n", [12, 150, 300])
def test_of_equal_pivots_the_first_is_taken(n):
    # Exact in integers: rows are exchanged only where a larger element stands below.
    rng = np.random.default_rng(3)
    a = np.tril(np.ones((n, n)), -1) * rng.choice([-1, 1], size=(n, n)) + np.eye(n)
    factors, pivots = linalg.lu_factor(fn.asarray(a.astype(np.float32)))
    assert np.array_equal(pivots, np.arange(n))
    assert np.array_equal(np.tril(factors, -1), np.tril(a, -1))


@pytest.mark.parametrize("n", [5, 130, 200])
def test_singular_matrices_have_factors_and_no_solution(n):
    a = normal(n, n, dtype="float32")
    a[:, n // 2] = 0
    p, lower, upper = map(np.asarray, linalg.lu(fn.asarray(a)))
    np.testing.assert_allclose(wide(lower)[p] @ wide(upper), a, atol=1e-4)
    assert upper[n // 2, n // 2] == 0
    with pytest.raises(linalg.LinAlgError, match=rf"singular \(pivot {n // 2} is zero\)"):
        fn.eval(linalg.inv(fn.asarray(a)))


@pytest.mark.parametrize("scale", [2.0**-130, 2.0**-100, 2.0**100])
@pytest.mark.parametrize("n", [9, 160])
def test_scales_that_are_powers_of_two_change_nothing(n, scale):
    a = normal(n, n, dtype="float32") + 4 * np.sqrt(n, dtype=np.float32) * np.eye(n, dtype=np.float32)
    b = normal(n, 5, dtype="float32", seed=1)
    if scale < 2.0**-126:
        a, b = np.round(a * 64), np.round(b * 64)  # exact among the subnormal numbers
        b = (b * np.float32(scale)).astype(np.float32)
        found = wide(linalg.solve(fn.asarray((a * np.float32(scale)).astype(np.float32)), fn.asarray(b)))
        assert np.isfinite(found).all()
        return
    plain = np.asarray(linalg.solve(fn.asarray(a), fn.asarray(b)))
    both = linalg.solve(fn.asarray(a * np.float32(scale)), fn.asarray(b * np.float32(scale)))
    assert np.array_equal(plain, both)


@pytest.mark.parametrize("place", [0, 100, 127, 128, 200, 299])
def test_where_a_matrix_stops_being_positive_definite(place):
    a = np.eye(300, dtype=np.float32)
    a[place, place] = -1
    with pytest.raises(linalg.LinAlgError, match=rf"leading {place + 1} rows"):
        fn.eval(linalg.cholesky(fn.asarray(a)))


CALLS = {
    "solve_one": lambda x: linalg.solve(x, x[..., :1]),
    "solve_few": lambda x: linalg.solve(x, x[..., :40]),
    "triangular": lambda x: linalg.solve_triangular(x, x, upper=True),
    "inv": linalg.inv,
    "eigh": lambda x: linalg.eigh(x).eigenvectors,
    "svd": lambda x: linalg.svd(x).U,
    "cholesky": lambda x: linalg.cholesky(x @ x.T + fn.eye(x.shape[-1])),
}


@pytest.mark.parametrize("n", [190, 545])
@pytest.mark.parametrize("name", CALLS)
def test_threads_change_no_bit(name, n):
    x = fn.asarray(normal(n, n, dtype="float32") / np.float32(n) + np.eye(n, dtype=np.float32))
    thread_counts.assert_the_same(lambda: [CALLS[name](x)], (1, 2, 5))


def spectra(n):
    rng = np.random.default_rng(4)
    full = rng.normal(size=(n, n))
    low = rng.normal(size=(n, 5)) @ rng.normal(size=(5, n))
    return {
        "full": full,
        "rank five": low,
        "zero": np.zeros((n, n)),
        "identity": np.eye(n),
        "graded": np.diag(2.0 ** -np.arange(n).clip(max=60)) + 2.0**-70 * full,
        "equal": np.ones((n, n)),
        "tiny": 2.0**-110 * full,
        "huge": 2.0**100 * full,
    }


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("name", spectra(1))
@pytest.mark.parametrize("n", [256])
def test_large_spectra(n, name, dtype):
    eps, a = EPSILON[dtype], spectra(n)[name].astype(dtype)
    scale = 2.0 ** np.frexp(np.abs(a).max())[1]
    exact = wide(a) / scale
    u, s, vh = (wide(x) for x in linalg.svd(fn.asarray(a)))
    s = s / scale
    assert (s[:-1] >= s[1:]).all() and s[-1] >= 0
    np.testing.assert_allclose(s, np.linalg.svd(exact, compute_uv=False), rtol=0, atol=50 * eps * (s[0] + 1e-30))
    assert np.linalg.norm((u * s) @ vh - exact, 2) <= 2 * n * eps * s[0]
    for q in (u, vh):
        assert np.linalg.norm(q.T @ q - np.eye(n), 2) <= 2 * n * eps
    symmetric = (exact + exact.T) / 2
    w, v = (wide(x) for x in linalg.eigh(fn.asarray((symmetric * scale).astype(dtype))))
    w, size = w / scale, np.abs(symmetric).sum(1).max()
    symmetric = wide((symmetric * scale).astype(dtype)) / scale
    assert (w[:-1] <= w[1:]).all()
    np.testing.assert_allclose(w, np.linalg.eigvalsh(symmetric), rtol=0, atol=50 * eps * size)
    assert np.linalg.norm(symmetric @ v - v * w, 2) <= 2 * n * eps * size
    assert np.linalg.norm(v.T @ v - np.eye(n), 2) <= 2 * n * eps


@pytest.mark.usefixtures("everywhere")
def test_large_spectra_by_all_instruction_sets():
    test_large_spectra(257, "full", "float32")
    test_large_spectra(257, "rank five", "float64")
