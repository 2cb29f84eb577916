"""one_hot against rows of an identity matrix, bincount against NumPy's."""

import numpy as np
import pytest

import funcnn as fn


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 2)])
def test_one_hot(shape, dtype):
    numbers = np.random.default_rng(0).integers(0, 4, shape)
    x = fn.array(numbers).astype(getattr(fn, dtype))
    expected = np.eye(4)[numbers]
    got = fn.one_hot(x, 4)
    assert got.dtype == fn.float32 and got.shape == (*shape, 4)
    np.testing.assert_array_equal(got, expected)
    for axis in range(-len(shape) - 1, len(shape) + 1):
        np.testing.assert_array_equal(fn.one_hot(x, 4, axis=axis), np.moveaxis(expected, -1, axis))
        np.testing.assert_array_equal(
            fn.compile(lambda x, a=axis: fn.one_hot(x, 4, axis=a))(x), np.moveaxis(expected, -1, axis)
        )


def test_one_hot_edges():
    assert fn.one_hot(fn.array([-1, 3, 300]), 3).tolist() == [[0, 0, 0]] * 3
    assert fn.one_hot(fn.array([1], fn.int8), 300)[0, 1].item() == 1
    assert fn.one_hot(fn.array([2**40], fn.int64), 3).tolist() == [[0, 0, 0]]
    assert fn.one_hot(fn.array([True, False]), 2, dtype=fn.bool_).tolist() == [[False, True], [True, False]]
    assert fn.one_hot([0, 1], 2, dtype=fn.bfloat16).dtype == fn.bfloat16
    assert fn.one_hot(fn.array([0]), 0).shape == (1, 0)
    np.testing.assert_array_equal(fn.vmap(lambda i: fn.one_hot(i, 3))(fn.array([2, 0])), np.eye(3)[[2, 0]])
    logits = fn.array([[1.0, 2.0, 3.0]])
    assert fn.grad(lambda x: (x * fn.one_hot(fn.array([2]), 3)).sum())(logits).tolist() == [[0, 0, 1]]


def test_one_hot_errors():
    with pytest.raises(TypeError, match="expected integers, got float32"):
        fn.one_hot(fn.zeros(2), 3)
    with pytest.raises(ValueError, match="negative"):
        fn.one_hot(fn.array([0]), -1)
    with pytest.raises(fn.AxisError, match="2 axes and no axis 2"):
        fn.one_hot(fn.array([0]), 3, axis=2)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "bool_"])
@pytest.mark.parametrize("size", [0, 1, 50])
@pytest.mark.parametrize("minlength", [0, 3, 12])
def test_bincount(size, minlength, dtype):
    rng = np.random.default_rng(size)
    x = fn.array(rng.integers(0, 7, size)).astype(getattr(fn, dtype))
    weights = rng.normal(size=size)
    plain = np.asarray(x).astype(np.int64)
    got = fn.bincount(x, minlength=minlength)
    assert got.dtype == fn.int32
    np.testing.assert_array_equal(got, np.bincount(plain, minlength=minlength))
    weighted = fn.bincount(x, fn.asarray(weights), minlength)
    np.testing.assert_allclose(weighted, np.bincount(plain, weights, minlength), rtol=1e-12, atol=1e-12)
    for length in (0, 3, 9):
        expected = np.bincount(plain, minlength=9)[:length]
        for run in (lambda f: f, fn.compile):
            counted = run(lambda x, n=length: fn.bincount(x, minlength=minlength, length=n))(x)
            np.testing.assert_array_equal(counted, expected)


def test_bincount_leaves_out_what_does_not_belong():
    x = fn.array([-1, 0, 2, 5, -3, 2])
    assert fn.bincount(x, length=3).tolist() == [1, 0, 2]
    rows = fn.array([[0, 0, 1], [2, 1, 9]])
    assert fn.vmap(lambda r: fn.bincount(r, length=3))(rows).tolist() == [[2, 1, 0], [0, 1, 1]]
    slope = fn.grad(lambda w: (fn.bincount(x, w, length=3) * fn.array([1.0, 2.0, 3.0])).sum())(fn.ones(6))
    assert slope.tolist() == [0, 1, 3, 0, 0, 3]


def test_bincount_errors():
    for call, kind, message in [
        (lambda: fn.compile(fn.bincount)(fn.array([1])), fn.TracedValueError, "largest number decides.*length="),
        (lambda: fn.bincount(fn.array([1, -2])), ValueError, "got -2"),
        (lambda: fn.bincount(fn.array([[1]])), ValueError, "one axis"),
        (lambda: fn.bincount(fn.array([1.0])), TypeError, "expected integers"),
        (lambda: fn.bincount(fn.array([1]), fn.zeros(2)), ValueError, r"\(2,\) and \(1,\)"),
        (lambda: fn.bincount(fn.array([1]), minlength=-1), ValueError, "minlength"),
        (lambda: fn.bincount(fn.array([1]), length=-1), ValueError, "length"),
    ]:
        with pytest.raises(kind, match=message):
            call()
