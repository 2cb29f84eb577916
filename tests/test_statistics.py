"""quantile, percentile and median against NumPy's, in all of its methods."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
from funcnn import testing
from widest import WIDEST, reachable

METHODS = [
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip
NUMPY = np.dtype(str(WIDEST))
PARTS = [0.0, 0.05, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.55, 0.75, 0.9, 0.95, 1.0]


def draw(*shape, seed=0):
    """Numbers that the device has in full."""
    return np.random.default_rng(seed).normal(size=shape).astype(NUMPY).astype(np.float64)


def widest(x):
    return fn.array(x, dtype=WIDEST)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 10, 11, 20])
def test_methods(method, count):
    x = draw(count, seed=count)
    got = fn.quantile(widest(x), PARTS, method=method)
    assert got.dtype == WIDEST
    np.testing.assert_allclose(
        got, np.quantile(x, PARTS, method=method), rtol=reachable(1e-13), atol=1e-6 if fn.float32 == WIDEST else 1e-15
    )
    each = [fn.quantile(widest(x), q, method=method).item() for q in PARTS]
    np.testing.assert_allclose(each, got, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        fn.percentile(widest(x), [100 * q for q in PARTS[:5]], method=method), got[:5], rtol=reachable(1e-12)
    )


@pytest.mark.parametrize("method", METHODS)
def test_traced_parts(method):
    """Computed inside the graph; away from the jumps the same as outside."""
    x, q = widest(draw(7)), np.array([[0.04, 0.21], [0.52, 0.93]])
    expected = np.quantile(np.asarray(x), q, method=method)
    for run in (fn.compile, fn.vmap):
        np.testing.assert_allclose(
            run(lambda q: fn.quantile(x, q, method=method))(widest(q)), expected, rtol=reachable(1e-12)
        )


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 1), (-1, 0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("q", [0.3, [0.1, 0.9], [[0.2], [0.4], [1.0]]])
def test_axes(axis, keepdims, q):
    x = draw(3, 4, 5)
    got = fn.quantile(widest(x), q, axis=axis, keepdims=keepdims)
    expected = (
        np.quantile(x, q, axis=axis, keepdims=keepdims) if axis != () else np.broadcast_to(x, (*np.shape(q), *x.shape))
    )
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=reachable(1e-13), atol=1e-6 if fn.float32 == WIDEST else 0)


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (5, 2), (6, 7)])
def test_median(shape, axis):
    x = draw(*shape)
    np.testing.assert_allclose(fn.median(widest(x), axis=axis), np.median(x, axis=axis), rtol=reachable(1e-14))
    np.testing.assert_allclose(
        fn.median(widest(x), axis, True), np.median(x, axis=axis, keepdims=True), rtol=reachable(1e-14)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint16", "int64", "bool_"])
def test_dtypes(dtype):
    x = fn.arange(1, 10).astype(getattr(fn, dtype))
    got = fn.quantile(x, 0.25)
    assert got.dtype == (x.dtype if fn.isdtype(x.dtype, "real floating") else fn.float32)
    assert got.item() == (1 if dtype == "bool_" else 3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_integers_have_exact_middles(dtype):
    """As float32 holds them: what is in the middle is not rounded before, and does not overflow."""
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    far = 2**24 + 1 if most > 2**24 else 100
    rows = [[far, far + 1, far + 1, far + 3], [least, least, most, most], [most, most - 1, most, most - 1], [far] * 4]
    got = fn.median(fn.array(rows, getattr(fn, dtype)), axis=1)
    assert got.dtype == fn.float32
    assert got.tolist() == [float(np.float32(sum(sorted(row)[1:3]) / 2)) for row in rows]
    assert fn.median(fn.array([far, far + 1], getattr(fn, dtype))).item() == np.float32(far + 0.5)
    with_three_quarters = fn.quantile(fn.array([least, most], getattr(fn, dtype)), 0.75)
    assert with_three_quarters.item() == np.float32(least + 0.75 * (most - least))


@pytest.mark.skipif(fn.float32 == WIDEST, reason="parts of float64")
def test_parts_have_a_slope_beside_integers():
    slope = fn.grad(lambda q: fn.quantile(fn.array([5, 2**40, 7]), q))(fn.array(0.25, fn.float64))
    assert slope.item() == 2 * (7 - 5)


def test_infinities_nan_and_nothing():
    inf, nan = float("inf"), float("nan")
    assert fn.quantile(fn.array([1.0, inf, inf]), [0.0, 0.5, 0.75, 1.0]).tolist() == [1, inf, inf, inf]
    assert fn.quantile(fn.array([-inf, 2.0, inf]), 0.5).item() == 2
    assert fn.quantile(fn.array([-inf, -inf]), 0.3).item() == -inf
    assert np.isnan(fn.quantile(fn.array([[1.0, nan], [1.0, 2.0]]), 0.0, axis=1)).tolist() == [True, False]
    assert fn.median(fn.array([3e38, 3e38, 3.2e38, 3.2e38])).item() == np.float32(3.1e38)
    assert np.isnan(fn.median(fn.zeros(0)).item())
    assert fn.quantile(fn.zeros((0, 3)), [0.5, 0.1], axis=0).shape == (2, 3)
    assert fn.quantile(fn.zeros((2, 0)), 0.5, axis=0).shape == (0,)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30), st.floats(0, 1))
def test_between_its_neighbours_and_monotone(values, q):
    x = fn.array(values)
    low, mid, high = (fn.quantile(x, q, method=m).item() for m in ("lower", "linear", "higher"))
    assert low <= mid + 1e-4 and mid <= high + 1e-4
    assert fn.quantile(x, [q, 1.0]).tolist()[1] == max(np.float32(values))


def test_gradients():
    x = fn.asarray(draw(3, 6))
    for f in (
        lambda x: fn.quantile(x, [0.2, 0.7], axis=1).sum(),
        lambda x: fn.quantile(x, 0.33) ** 2,
        lambda x: fn.median(x, axis=0).sum(),
    ):
        testing.check_grads(f, (x,))
        np.testing.assert_allclose(fn.compile(fn.grad(f))(x), fn.grad(f)(x))
    # The slope in q is the distance of the neighbours, times n - 1.
    rows = np.sort(np.asarray(x), axis=1)
    slope = fn.grad(lambda q: fn.quantile(x, q, axis=1).sum())(fn.array(0.5, fn.float64))
    np.testing.assert_allclose(slope, 5 * (rows[:, 3] - rows[:, 2]).sum(), rtol=1e-12)
    infinite = fn.grad(lambda x: fn.quantile(x, 0.5))(fn.array([0.0, 1.0, float("inf")]))
    assert infinite.tolist() == [0, 1, 0]


def test_under_vmap():
    x = widest(draw(5, 3, 4))
    got = fn.vmap(lambda x: fn.quantile(x, [0.1, 0.6], axis=0))(x)
    np.testing.assert_allclose(
        got, np.quantile(np.asarray(x), [0.1, 0.6], axis=1).swapaxes(0, 1), rtol=reachable(1e-13)
    )


def test_errors():
    x = fn.zeros((2, 3))
    for call, kind, message in [
        (lambda: fn.quantile(x, 1.5), ValueError, "quantile: q must lie between 0 and 1"),
        (lambda: fn.percentile(x, [50, -1]), ValueError, "percentile: q must lie between 0 and 100"),
        (lambda: fn.quantile(x, float("nan")), ValueError, "q must lie"),
        (
            lambda: fn.quantile(x, 0.5, method="best"),
            ValueError,
            "unknown method 'best'; expected one of 'inverted_cdf'",
        ),
        (lambda: fn.quantile(x, 0.5, axis=2), fn.AxisError, "no axis 2"),
        (lambda: fn.quantile(x, 0.5, axis=(0, -2)), ValueError, "named twice"),
        (lambda: fn.median(x.astype(fn.complex64)), ValueError, "median: complex"),
    ]:
        with pytest.raises(kind, match=message):
            call()
