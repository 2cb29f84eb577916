import numpy as np
import pytest

import funcnn as fn


@pytest.mark.parametrize(
    "arguments", [(5,), (2, 7), (0, 10, 3), (10, 0, -3), (0, 1, 0.1), (5, 5), (5, 2), (-2.5, 2.5), (1, 2, 0.25)]
)
def test_arange(arguments):
    result = np.asarray(fn.arange(*arguments))
    expected = np.arange(*arguments)
    assert result.dtype == (np.float32 if expected.dtype == np.float64 else np.int32)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_arange_dtypes_and_errors():
    for dtype in (fn.uint8, fn.int64, fn.float16, fn.float64):
        assert fn.arange(7, dtype=dtype).tolist() == list(range(7))
    with pytest.raises(ValueError, match="zero"):
        fn.arange(0, 5, 0)
    with pytest.raises(ValueError, match="not a number"):
        fn.arange(float("nan"))
    with pytest.raises(ValueError, match="too many"):
        fn.arange(float("inf"))


def test_linspace():
    for start, stop, count in [(0, 1, 11), (3, -2, 7), (1, 2, 1), (1, 2, 0)]:
        result = np.asarray(fn.linspace(start, stop, count))
        np.testing.assert_allclose(result, np.linspace(start, stop, count), rtol=1e-6, atol=1e-6)
    ends = np.asarray(fn.linspace(0.1, 0.7, 10))
    assert ends[0] == np.float32(0.1) and ends[-1] == np.float32(0.7)


@pytest.mark.parametrize("k", [-5, -2, -1, 0, 1, 2, 5])
def test_diagonal_matrices(k):
    for n, m in [(3, 3), (2, 4), (4, 2)]:
        np.testing.assert_array_equal(np.asarray(fn.eye(n, m, k)), np.eye(n, m, k))
        np.testing.assert_array_equal(np.asarray(fn.tri(n, m, k)), np.tri(n, m, k))
        x = np.arange(n * m).reshape(n, m)
        np.testing.assert_array_equal(np.asarray(fn.diag(fn.array(x), k)), np.diag(x, k))
        np.testing.assert_array_equal(np.asarray(fn.tril(fn.array(x), k)), np.tril(x, k))
        np.testing.assert_array_equal(np.asarray(fn.triu(fn.array(x), k)), np.triu(x, k))
    np.testing.assert_array_equal(np.asarray(fn.diag(fn.array([1, 2, 3]), k)), np.diag([1, 2, 3], k))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sparse", [False, True])
def test_meshgrid(indexing, sparse):
    arrays = [np.arange(3), np.arange(4), np.arange(2)]
    for count in (1, 2, 3):
        mine = fn.meshgrid(*[fn.array(a) for a in arrays[:count]], sparse=sparse, indexing=indexing)
        theirs = np.meshgrid(*arrays[:count], sparse=sparse, indexing=indexing)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(np.asarray(a), b)


def test_filled():
    assert fn.zeros((2, 3)).dtype == fn.float32
    assert fn.ones((2,), dtype=fn.int8).tolist() == [1, 1]
    assert fn.full((2, 2), 7).tolist() == [[7, 7], [7, 7]]
    assert fn.zeros_like(fn.ones((2, 3), dtype=fn.int32)).dtype == fn.int32
    assert fn.ones_like(fn.zeros((0, 3))).shape == (0, 3)
    assert fn.identity(2).tolist() == [[1, 0], [0, 1]]
