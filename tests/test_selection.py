"""where, nonzero and unique against NumPy, and with a size where values are not known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import funcnn as fn
from funcnn import random
from widest import float64_of

DTYPES = ["float32", "float16", "bfloat16", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64", "bool_"]


def same(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)


# ---- nonzero


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 4), (2, 0, 3), (2, 3, 4), (1000, 33)])
@pytest.mark.parametrize("dtype", ["int32", "bool_", "float32", "complex64"])
def test_nonzero(shape, dtype):
    values = np.random.default_rng(0).integers(0, 2, shape)
    x = fn.asarray(values).astype(getattr(fn, dtype))
    for found in (fn.nonzero(x), x.nonzero(), fn.where(x), fn.where(x != 0)):
        assert isinstance(found, tuple) and all(i.dtype == fn.int32 for i in found)
        for ours, theirs in zip(found, np.nonzero(values), strict=True):
            same(ours, theirs)
    assert x[fn.nonzero(x)].size == np.count_nonzero(values)
    count = np.count_nonzero(values)
    for size in (0, 1, count, count + 3):
        for run in (lambda f: f, fn.compile):
            filled = run(lambda x: fn.nonzero(x, size=size, fill_value=-1))(x)  # noqa: B023
            for ours, theirs in zip(filled, np.nonzero(values), strict=True):
                same(ours, np.pad(theirs[:size], (0, max(size - count, 0)), constant_values=-1))


def test_nonzero_edges():
    x = fn.array([0.0, -0.0, float("nan"), float("inf"), 1e-45])
    assert fn.nonzero(x)[0].tolist() == np.nonzero(np.asarray(x))[0].tolist()
    rows, columns = fn.nonzero(fn.eye(2), size=3, fill_value=(7, 9))
    assert rows.tolist() == [0, 1, 7] and columns.tolist() == [0, 1, 9]
    assert fn.nonzero([0, 3])[0].tolist() == [1]
    same(fn.vmap(lambda x: x.nonzero(size=2)[0])(fn.array([[0, 1, 1], [1, 0, 0]])), [[1, 2], [0, 0]])


def test_nonzero_errors():
    x = fn.array([0, 1])
    for f in (fn.nonzero, fn.where, lambda x: x.nonzero()):
        for run in (fn.compile, fn.vmap):
            with pytest.raises(fn.TracedValueError, match=r"decides the shape.*size=.*fn\.where\(condition, x, y\)"):
                run(f)(fn.ones((2, 2)))
    assert fn.grad(lambda x: x[fn.nonzero(x > 1)].sum())(fn.array([1.0, 2.0])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="no axes"):
        fn.nonzero(fn.array(3))
    with pytest.raises(ValueError, match="size must be given"):
        fn.nonzero(x, fill_value=1)
    with pytest.raises(ValueError, match="each of 1 axes, got 2"):
        fn.nonzero(x, size=1, fill_value=(1, 2))
    with pytest.raises(ValueError, match="negative"):
        fn.nonzero(x, size=-1)
    with pytest.raises(TypeError):
        fn.where(x, 1)


# ---- unique

FLAGS = {"return_index": True, "return_inverse": True, "return_counts": True}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (20,), (4, 5), (0, 3)])
def test_unique(dtype, shape):
    values = np.random.default_rng(1).integers(0, 6, shape)
    x = fn.asarray(values).astype(getattr(fn, dtype))
    plain = float64_of(x) if dtype == "bfloat16" else np.asarray(x)
    expected = np.unique(plain, return_index=True, return_inverse=True, return_counts=True)
    got = fn.unique(x, **FLAGS)
    for ours, theirs in zip(got, expected, strict=True):
        same(ours, theirs)
    assert [a.dtype for a in got] == [x.dtype, fn.uint32, fn.uint32, fn.int32]
    same(fn.unique(x), expected[0])
    if x.size:
        same(got[0][got[2]], np.asarray(x))


def test_unique_edges():
    nan, inf = float("nan"), float("inf")
    x = np.array([nan, 1.0, -inf, nan, 0.0, -0.0, inf, 1.0, nan], np.float32)
    for equal_nan in (True, False):
        expected = np.unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=equal_nan)
        for ours, theirs in zip(fn.unique(fn.array(x), **FLAGS, equal_nan=equal_nan), expected, strict=True):
            same(ours, theirs)
    z = np.array([1 + 2j, 1 - 2j, 0, 1 + 2j], np.complex64)
    same(fn.unique(fn.array(z)), np.unique(z))
    assert fn.unique(fn.array(5)).tolist() == [5]
    big = fn.array([2**63, 2**63 + 1, 2**63], fn.uint64)
    assert fn.unique(big).tolist() == [2**63, 2**63 + 1]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(9, 2), (6, 1), (5, 7), (4, 3, 2), (5, 0), (0, 4), (1, 5)])
def test_unique_along_an_axis(shape, axis):
    values = np.random.default_rng(2).integers(0, 2, shape).astype(np.float32)
    x = fn.array(values)
    if shape[axis] == 0 and np.prod(shape) == 0:
        assert fn.unique(x, axis=axis).shape[axis] == 0
        return
    if values.size == 0:  # slices without elements are equal
        values_, counts = fn.unique(x, return_counts=True, axis=axis)
        assert values_.shape[axis] == 1 and counts.tolist() == [shape[axis]]
        return
    expected = np.unique(values, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    got = fn.unique(x, **FLAGS, axis=axis)
    same(got[0], expected[0])
    same(got[1], expected[1])
    same(got[2], expected[2].reshape(-1))
    same(got[3], expected[3])


@given(hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(-2, 2)))
def test_unique_rows_are_ordered_as_wholes(values):
    same(fn.unique(fn.array(values), axis=0), np.unique(values, axis=0))


def test_unique_with_a_size():
    """As in MLX and JAX: what fills up is the smallest element, or as asked."""
    x = fn.array([3, 1, 1, 2])
    for run in (lambda f: f, fn.compile):
        got = run(lambda x: fn.unique(x, 6, **FLAGS))(x)
        assert [a.tolist() for a in got] == [[1, 2, 3, 1, 1, 1], [1, 3, 0, 1, 1, 1], [2, 0, 0, 1], [2, 1, 1, 0, 0, 0]]
        got = run(lambda x: fn.unique(x, 2, **FLAGS))(x)
        assert [a.tolist() for a in got] == [[1, 2], [1, 3], [1, 0, 0, 1], [2, 1]]
        assert run(lambda x: fn.unique(x, 5, fill_value=-7))(x).tolist() == [1, 2, 3, -7, -7]
        assert run(lambda x: fn.unique(x, 0))(x).shape == (0,)
    rows = fn.unique(fn.array([[1, 2], [0, 5], [1, 2]]), 4, fill_value=-1, axis=0)
    assert rows.tolist() == [[0, 5], [1, 2], [-1, -1], [-1, -1]]
    assert fn.unique(fn.zeros(0), 2).tolist() == [0, 0]
    assert fn.vmap(lambda x: fn.unique(x, 3, fill_value=9))(fn.array([[1, 1, 0], [2, 3, 1]])).tolist() == [
        [0, 1, 9],
        [1, 2, 3],
    ]


def test_unique_is_differentiable():
    x = fn.array([3.0, 1.0, 3.0, 2.0])
    assert fn.grad(lambda x: (fn.unique(x) * fn.array([1.0, 10.0, 100.0])).sum())(x).tolist() == [100, 1, 0, 10]
    compiled = fn.compile(fn.grad(lambda x: (fn.unique(x, 3) * fn.array([1.0, 10.0, 100.0])).sum()))
    assert compiled(x).tolist() == [100, 1, 0, 10]


def test_unique_of_many():
    x = random.randint(random.key(0), 0, 5000, (100_000,))
    values, inverse, counts = fn.unique(x, return_inverse=True, return_counts=True)
    theirs = np.unique(np.asarray(x), return_inverse=True, return_counts=True)
    for a, b in zip((values, inverse, counts), theirs, strict=True):
        same(a, b)


def test_unique_errors():
    with pytest.raises(fn.TracedValueError, match=r"number of different elements decides the shape.*size="):
        fn.compile(fn.unique)(fn.zeros(3))
    with pytest.raises(TypeError, match="return_index=True"):
        fn.unique(fn.zeros(3), True)
    with pytest.raises(fn.AxisError, match="no axis 1"):
        fn.unique(fn.zeros(3), axis=1)
    with pytest.raises(ValueError, match="size must be given"):
        fn.unique(fn.zeros(3), fill_value=1)
