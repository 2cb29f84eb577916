"""Names of the array API standard beside MLX's, against NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import funcnn as fn

ALIASES = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "conj": "conjugate",
    "pow": "power",
}


@pytest.mark.parametrize("name", ALIASES)
def test_other_names(name):
    assert getattr(fn, name) is getattr(fn, ALIASES[name])


def test_constants():
    assert (fn.pi, fn.e, fn.euler_gamma, fn.inf, fn.newaxis) == (math.pi, math.e, np.euler_gamma, math.inf, None)
    assert math.isnan(fn.nan)
    assert fn.ones(3)[:, fn.newaxis].shape == (3, 1)


ARRAYS = hnp.arrays(
    st.sampled_from([np.int8, np.int32, np.uint64, np.float32, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    elements={"min_value": 0, "max_value": 5},
)


@given(ARRAYS)
def test_sets(x):
    got, want = fn.unique_all(fn.array(x)), np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    assert got.values.tolist() == want[0].tolist()
    assert got.indices.tolist() == want[1].tolist()
    assert got.inverse_indices.tolist() == want[2].reshape(x.shape).tolist()
    assert got.counts.tolist() == want[3].tolist()
    assert fn.unique_values(fn.array(x)).tolist() == want[0].tolist()
    assert [part.tolist() for part in fn.unique_counts(fn.array(x))] == [want[0].tolist(), want[3].tolist()]
    assert fn.unique_inverse(fn.array(x)).inverse_indices.tolist() == got.inverse_indices.tolist()


def test_every_nan_is_a_value_of_its_own():
    found = fn.unique_counts(fn.array([np.nan, 1.0, np.nan]))
    assert found.counts.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(found.values, [1, np.nan, np.nan])


@given(ARRAYS, ARRAYS, st.booleans())
def test_isin(x, y, invert):
    got = fn.isin(fn.array(x), fn.array(y), invert=invert)
    assert got.dtype == fn.bool_
    np.testing.assert_array_equal(got, np.isin(x, y, invert=invert))


def test_isin_at_the_edges():
    assert fn.isin([np.nan, np.inf, -0.0, 1.0], [np.nan, np.inf, 0.0]).tolist() == [False, True, True, False]
    large = fn.array([2**63 - 1, 2**63 - 2, -1], fn.int64)
    assert fn.isin(large, fn.array([2**63 - 1, 2**64 - 1], fn.uint64)).tolist() == [True, False, False]
    assert fn.isin(fn.array([1j, 2]), fn.array([2, 1j])).tolist() == [True, True]
    assert fn.isin(3, [[1], [3]]).item() is True
    assert fn.isin(fn.zeros((0, 2)), 1).shape == (0, 2)
    assert fn.compile(lambda x, y: fn.isin(x, y))(fn.arange(4), fn.array([2])).tolist() == [False, False, True, False]
    mapped = fn.vmap(fn.isin)(fn.arange(6).reshape(2, 3), fn.array([[0, 9], [9, 5]]))
    assert mapped.tolist() == [[True, False, False], [False, False, True]]


@given(ARRAYS.filter(lambda x: x.ndim), st.integers(0, 3), st.data())
def test_diff(x, n, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    given = {}
    for side in ("prepend", "append"):
        if data.draw(st.booleans()):
            given[side] = x[tuple(slice(0, 2) if i == axis % x.ndim else slice(None) for i in range(x.ndim))]
    got = fn.diff(fn.array(x), n, axis, **{k: fn.array(v) for k, v in given.items()})
    want = np.diff(x, n, axis, **given)
    assert got.shape == want.shape
    np.testing.assert_array_equal(np.asarray(got), want)


def test_derivatives_and_errors_of_diff():
    x = fn.array([1.0, 4.0, 9.0, 16.0], fn.float64)
    assert (
        fn.grad(lambda x: (fn.diff(x, 2, prepend=0.0) ** 2).sum())(x).tolist()
        == (
            # D^2 with a zero in front: rows (-2, 1), (1, -2, 1), (1, -2, 1)
            2 * np.array([[-2, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1]]).T @ np.array([2.0, 2.0, 2.0])
        ).tolist()
    )
    assert fn.diff(x, prepend=[0.0, 1.0]).dtype == fn.float64
    assert fn.diff(fn.array([True, True, False])).tolist() == [False, True]
    assert fn.diff(fn.arange(3), 5).shape == (0,)
    with pytest.raises(ValueError, match="diff: expected an array of at least one axis"):
        fn.diff(1.0)
    with pytest.raises(ValueError, match="diff: n must not be negative, got -1"):
        fn.diff(x, -1)
    with pytest.raises(fn.AxisError, match=r"diff: an array of shape \(4,\) has no axis 1"):
        fn.diff(x, axis=1)


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod"])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "float32", "bool_", "complex64"])
def test_cumulative(name, dtype, initial):
    x = np.random.default_rng(0).integers(0, 3, (3, 4)).astype(dtype)
    ours, numpys = getattr(fn, f"cumulative_{name}"), getattr(np, f"cum{name}")
    for axis in (0, 1, -1):
        got = ours(fn.array(x), axis=axis, include_initial=initial)
        want = numpys(x, axis=axis)
        if initial:
            want = np.insert(want, 0, 0 if name == "sum" else 1, axis=axis)
        assert got.dtype == getattr(fn, name)(fn.array(x)).dtype
        np.testing.assert_array_equal(got, want)
    assert ours(fn.array(x[0]), dtype=fn.float64).dtype == fn.float64
    assert ours(fn.zeros((2, 0)), axis=1, include_initial=initial).shape == (2, int(initial))
    with pytest.raises(ValueError, match=rf"cumulative_{name}: expected an axis, got shape \(3, 4\)"):
        ours(fn.array(x))
    with pytest.raises(ValueError, match="expected at least one axis"):
        ours(fn.array(1))
    with pytest.raises(fn.AxisError, match="has no axis 2"):
        ours(fn.array(x), axis=2)
