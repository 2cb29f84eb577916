"""Eigenvalues and singular values of large matrices, which are divided and conquered, against NumPy in double precision."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import funcnn as fn
import instruction_sets
from funcnn import linalg

SIZE = 259  # more than the least that goes this way, and no multiple of anything

pytestmark = pytest.mark.on_cpu


def orthogonal(n: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(n, n)))[0]


def with_values(values: np.ndarray) -> np.ndarray:
    q = orthogonal(len(values))
    return (q * values) @ q.T


def tridiagonal(diagonal: np.ndarray, beside: np.ndarray) -> np.ndarray:
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def glued_wilkinson(n: int) -> np.ndarray:
    """Pairs of eigenvalues that agree to all digits, many times."""
    block = tridiagonal(np.abs(np.arange(21.0) - 10), np.ones(20))
    glued = np.kron(np.eye(n // 21 + 1), block)[:n, :n]
    return glued + 1e-7 * tridiagonal(np.zeros(n), np.ones(n - 1))


def graded(n: int) -> np.ndarray:
    size = np.sqrt(np.logspace(0, -35, n))
    x = np.random.default_rng(2).normal(size=(n, n))
    return size[:, None] * (x + x.T) * size


MATRICES = {
    "normal": lambda n: np.random.default_rng(0).normal(size=(n, n)),
    "zeros": lambda n: np.zeros((n, n)),
    "identity": np.eye,
    "ones": lambda n: np.ones((n, n)),
    "two values": lambda n: with_values(np.where(np.arange(n) < n // 2, 1.0, 50.0)),
    "one value and its neighbours": lambda n: with_values(1 + 1e-6 * np.arange(n)),
    "logarithmic": lambda n: with_values(np.logspace(0, -30, n)),
    "graded": graded,
    "second difference": lambda n: tridiagonal(np.full(n, 2.0), np.full(n - 1, -1.0)),
    "Wilkinson": lambda n: tridiagonal(np.abs(np.arange(n) - n // 2).astype(float), np.ones(n - 1)),
    "glued Wilkinson": glued_wilkinson,
    "blocks": lambda n: np.kron(np.eye(n // 7), np.ones((7, 7))),
    "arrow": lambda n: np.diag(np.arange(n) + 1.0) + np.outer(np.eye(n)[0], np.ones(n)),
}


def check_eigh(x: np.ndarray, dtype: str) -> None:
    a = ((x + x.T) / 2).astype(dtype)
    n, eps, exact = len(a), np.finfo(dtype).eps, a.astype(np.float64)
    w, v = (np.asarray(y).astype(np.float64) for y in linalg.eigh(fn.asarray(a)))
    size = np.abs(np.linalg.eigvalsh(exact)).max()
    assert (np.diff(w) >= 0).all()
    assert np.abs(v.T @ v - np.eye(n)).max() < 60 * eps
    assert np.linalg.norm(exact @ v - v * w, 2) <= 60 * eps * size
    assert np.abs(w - np.linalg.eigvalsh(exact)).max() <= 60 * eps * size


def check_svd(x: np.ndarray, dtype: str, full: bool = True) -> None:
    a = x.astype(dtype)
    (m, n), k, eps = a.shape, min(a.shape), np.finfo(dtype).eps
    exact = a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)
    u, s, vh = (np.asarray(y).astype(exact.dtype) for y in linalg.svd(fn.asarray(a), full_matrices=full))
    s = s.real
    expected = np.linalg.svd(exact, compute_uv=False)
    assert (u.shape, s.shape, vh.shape) == ((m, m if full else k), (k,), (n if full else k, n))
    assert (np.diff(s) <= 0).all()
    assert (s >= 0).all()
    assert np.abs(u.conj().T @ u - np.eye(u.shape[1])).max() < 100 * eps
    assert np.abs(vh @ vh.conj().T - np.eye(len(vh))).max() < 100 * eps
    own = 1 if eps > 1e-10 else 3  # NumPy errs in float64 as well
    assert np.linalg.norm((u[:, :k] * s) @ vh[:k] - exact, 2) <= own * 60 * eps * expected[0]
    assert np.abs(s - expected).max() <= own * 20 * eps * expected[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MATRICES)
def test_large_matrices_of_all_kinds(name: str, dtype: str) -> None:
    x = MATRICES[name](SIZE)
    check_eigh(x, dtype)
    check_svd(x, dtype)


@functools.cache
def unitary(m: int, n: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(m + n)
    x = rng.normal(size=(m, n)) + (1j * rng.normal(size=(m, n)) if dtype == "complex64" else 0)
    return np.linalg.qr(x)[0]


VALUES = {
    "apart": lambda k: np.random.default_rng(k).uniform(size=k),
    "clustered": lambda k: 1 + 1e-3 * np.random.default_rng(k).normal(size=k),
    "graded": lambda k: np.logspace(0, -6, k),
    "of low rank": lambda k: (np.arange(k) < k // 3).astype(float),
    "tiny": lambda k: 1e-36 * np.random.default_rng(k).uniform(size=k),
    "huge": lambda k: 1e36 * np.random.default_rng(k).uniform(size=k),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(26, 26), (64, 30), (30, 64), (270, 260)])
@pytest.mark.parametrize("name", VALUES)
def test_singular_values_that_are_known(name: str, shape: tuple[int, int], dtype: str) -> None:
    (m, n), k = shape, min(shape)
    x = (unitary(m, k, dtype) * VALUES[name](k)) @ unitary(n, k, dtype).conj().T
    for full in (False, True):
        check_svd(x, dtype, full)


@pytest.mark.parametrize("set_name", instruction_sets.SUPPORTED)
def test_neighbours_are_told_apart_by_all_instruction_sets(set_name: str) -> None:
    with instruction_sets.using(set_name):
        for dtype in ("float32", "float64", "complex64"):
            check_svd((unitary(70, 60, dtype) * VALUES["graded"](60)) @ unitary(60, 60, dtype), dtype)


def test_rounding_errors_of_equal_rows_do_not_add_up() -> None:
    check_svd(np.ones((512, 512)), "float32")


@pytest.mark.parametrize("set_name", instruction_sets.SUPPORTED)
@pytest.mark.parametrize("n", [256, 300])
def test_large_matrices_by_all_instruction_sets(set_name: str, n: int) -> None:
    with instruction_sets.using(set_name):
        for dtype in ("float32", "float64"):
            check_eigh(MATRICES["normal"](n), dtype)
            check_svd(MATRICES["normal"](n), dtype)


@pytest.mark.parametrize(
    ("dtype", "scale"), [("float32", 1e-37), ("float32", 1e37), ("float64", 1e-305), ("float64", 1e305)]
)
def test_scales_at_the_ends_of_the_range(dtype: str, scale: float) -> None:
    """Eigenvalues and singular values of a multiple are the multiple of those, though their squares have no place."""
    x = MATRICES["normal"](SIZE).astype(dtype) / 16
    a = fn.asarray(x + x.T)
    for values in (lambda y: linalg.eigh(y)[0], lambda y: linalg.svd(y)[1], linalg.eigvalsh, linalg.svdvals):
        plain = np.asarray(values(a)).astype(np.float64)
        scaled = np.asarray(values(fn.asarray((x + x.T) * np.dtype(dtype).type(scale)))).astype(np.float64)
        np.testing.assert_allclose(scaled / scale, plain, atol=1e-4 * np.abs(plain).max())


@pytest.mark.parametrize("name", ["ones", "two values", "glued Wilkinson"])
def test_equal_values_do_not_depend_on_threads(name: str) -> None:
    x = MATRICES[name](SIZE)
    a, before, found = fn.asarray(((x + x.T) / 2).astype(np.float32)), fn.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 16):
            fn.set_num_threads(threads)
            found.append([np.asarray(y).tobytes() for y in (*linalg.eigh(a), *linalg.svd(a))])
    finally:
        fn.set_num_threads(before)
    assert all(other == found[0] for other in found[1:])
