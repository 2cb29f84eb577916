"""Initialisers: distributions, by statistics of many draws; shapes, dtypes, keys, refusals."""

import functools
import math

import numpy as np
import pytest
from scipy import stats

import funcnn as fn
from funcnn import nn, random
from funcnn.nn import init
from widest import float64_of

KEY = random.key(3)
SHAPE = (40, 5, 10, 20)  # fan_in 1000, fan_out 2000
normal, uniform = stats.norm, lambda bound: stats.uniform(-bound, 2 * bound)

DISTRIBUTIONS = [
    (init.normal, {"mean": 1.0, "std": 0.5}, normal(1.0, 0.5)),
    (init.uniform, {"low": -1.0, "high": 3.0}, stats.uniform(-1.0, 4.0)),
    (init.truncated_normal, {}, stats.truncnorm(-2, 2)),
    (
        init.truncated_normal,
        {"mean": 1.0, "std": 0.1, "lower": -1.0, "upper": 3.0},
        stats.truncnorm(-1, 3, loc=1.0, scale=0.1),
    ),
    (init.glorot_normal, {}, normal(0, math.sqrt(2 / 3000))),
    (init.glorot_normal, {"gain": 3.0}, normal(0, 3 * math.sqrt(2 / 3000))),
    (init.glorot_uniform, {"gain": 2.0}, uniform(2 * math.sqrt(6 / 3000))),
    (init.he_normal, {}, normal(0, math.sqrt(1 / 1000))),
    (init.he_normal, {"mode": "fan_out", "gain": 2.0}, normal(0, 2 * math.sqrt(1 / 2000))),
    (init.he_uniform, {}, uniform(math.sqrt(3 / 1000))),
    (init.he_uniform, {"mode": "fan_out"}, uniform(math.sqrt(3 / 2000))),
    (init.lecun_normal, {}, normal(0, math.sqrt(1 / 1000))),
    (init.lecun_uniform, {}, uniform(math.sqrt(3 / 1000))),
]
DRAWING = [f for f, options, _ in DISTRIBUTIONS if not options]
DRAWING += [init.normal, init.uniform, functools.partial(init.sparse, sparsity=0.3), init.orthogonal]


@pytest.mark.parametrize(("f", "options", "law"), DISTRIBUTIONS, ids=[f"{f.__name__}-{o}" for f, o, _ in DISTRIBUTIONS])
def test_distributions(f, options, law):
    x = np.asarray(f(KEY, SHAPE, **options))
    assert x.shape == SHAPE and x.dtype == np.float32
    flat = x.ravel().astype(np.float64)
    assert stats.kstest(flat, law.cdf).pvalue > 1e-3
    assert abs(flat.std() / law.std() - 1) < 0.02
    # Neighbours along each axis know nothing of each other.
    for axis in range(x.ndim):
        rows = np.moveaxis(x, axis, 0)
        assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 5 / math.sqrt(x.size)
    for name in ("float16", "bfloat16", "float64"):
        dtype = getattr(fn, name)
        y = f(KEY, (50, 60), dtype, **options)
        assert y.dtype == dtype and np.all(np.isfinite(np.asarray(y.astype(fn.float32))))


@pytest.mark.parametrize("f", DRAWING, ids=lambda f: getattr(f, "func", f).__name__)
def test_draws_follow_from_the_key(f):
    x = f(KEY, (6, 4))
    assert f(KEY, (6, 4)).tolist() == x.tolist() == fn.compile(lambda k: f(k, (6, 4)))(KEY).tolist()
    assert f(random.key(4), (6, 4)).tolist() != x.tolist()
    keys = random.split(KEY, 3)
    many = fn.vmap(lambda k: f(k, (6, 4)))(keys)
    np.testing.assert_allclose(np.asarray(many), np.stack([np.asarray(f(k, (6, 4))) for k in keys]), atol=1e-6)
    assert f(KEY, [0, 4]).shape == (0, 4) and f(KEY, (np.int64(3), 0)).shape == (3, 0)


def test_constants():
    assert init.zeros(None, (2, 3)).tolist() == [[0.0] * 3] * 2
    assert init.ones(None, (2,), fn.int32).tolist() == [1, 1]
    assert init.constant(None, (2,), fn.float16, value=3.0).dtype == fn.float16
    assert init.identity(None, (3, 3)).tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("sparsity", [0.0, 0.07, 0.3, 0.5, 0.999, 1.0])
def test_sparse_rows_have_as_many_zeros(sparsity):
    x = np.asarray(init.sparse(KEY, (300, 100), sparsity=sparsity, mean=3.0, std=0.5))
    zeros = x == 0
    wanted = {0.0: 0, 0.07: 7, 0.3: 30, 0.5: 50, 0.999: 100, 1.0: 100}[sparsity]
    assert np.all(zeros.sum(1) == wanted)
    if 0 < wanted < 100:
        # Every column is as likely, whatever the row before had.
        assert stats.chisquare(zeros.sum(0)).pvalue > 1e-3
        assert abs(np.corrcoef(zeros[:-1].ravel(), zeros[1:].ravel())[0, 1]) < 0.03
        assert stats.kstest(x[~zeros], normal(3.0, 0.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3), (9, 1, 2, 2), (1, 1)])
def test_orthogonal_rows_or_columns(shape):
    for dtype, tolerance in [(fn.float32, 1e-6), (fn.float64, 1e-12), (fn.float16, 2e-3), (fn.bfloat16, 2e-2)]:
        w = init.orthogonal(KEY, shape, dtype, gain=2.0)
        assert w.shape == shape and w.dtype == dtype
        m = float64_of(w).reshape(shape[0], -1) / 2
        product = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
        np.testing.assert_allclose(product, np.eye(len(product)), atol=4 * tolerance)


def test_orthogonal_matrices_are_equally_likely():
    # Of the uniform distribution on O(n), every element squared has the law Beta(1/2, (n - 1) / 2), whatever its sign.
    many = np.asarray(fn.vmap(lambda k: init.orthogonal(k, (3, 3)))(random.split(KEY, 1500)), np.float64)
    for i in range(3):
        for j in range(3):
            element = many[:, i, j]
            assert stats.kstest(element**2, stats.beta(0.5, 1.0).cdf).pvalue > 1e-3
            assert abs((element > 0).mean() - 0.5) < 0.06
    assert abs((np.linalg.det(many) > 0).mean() - 0.5) < 0.06
    wide = np.asarray(fn.vmap(lambda k: init.orthogonal(k, (1, 2)))(random.split(KEY, 1500)), np.float64)
    angle = np.arctan2(wide[:, 0, 0], wide[:, 0, 1])
    assert stats.kstest(angle, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.glorot_normal(KEY, (3,)), ValueError, r"glorot_normal: fans are defined .* got shape \(3,\)"),
        (lambda: init.lecun_uniform(KEY, ()), ValueError, "lecun_uniform: fans are defined"),
        (lambda: init.he_normal(KEY, (3, 3), mode="fan"), ValueError, "mode must be 'fan_in' or 'fan_out', got 'fan'"),
        (lambda: init.identity(None, (2, 3)), ValueError, r"square matrix, got \(2, 3\)"),
        (lambda: init.orthogonal(KEY, (3,)), ValueError, "orthogonal: .* at least two axes"),
        (lambda: init.sparse(KEY, (3, 3, 3), sparsity=0.5), ValueError, "sparse: expected the shape of a matrix"),
        (lambda: init.sparse(KEY, (3, 3), sparsity=1.5), ValueError, "sparsity must be a number from 0 to 1, got 1.5"),
        (
            lambda: init.sparse(KEY, (3, 3), sparsity=-0.1),
            ValueError,
            "sparse: sparsity must be a number of at least 0",
        ),
        (lambda: init.sparse(KEY, (3, 3)), TypeError, "sparsity"),
        (lambda: init.truncated_normal(KEY, (3,), lower=2.0), ValueError, "lower must be below upper, got 2.0 and 2.0"),
        (lambda: init.normal(KEY, (3,), fn.int32), ValueError, "int32"),
        (lambda: init.orthogonal(KEY, (3, 3), fn.int32), ValueError, "int32"),
        (lambda: init.truncated_normal(KEY, (3,), fn.int32), ValueError, "int32"),
        (lambda: init.sparse(KEY, (3, 3), fn.int32, sparsity=0.5), ValueError, "int32"),
        (lambda: init.he_uniform(KEY, "ab"), TypeError, "he_uniform: shape must be"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_all_are_public():
    assert nn.init is init
    functions = {name for name, f in vars(init).items() if getattr(f, "__module__", "") == init.__name__}
    assert set(init.__all__) == {name for name in functions if not name.startswith("_")}
