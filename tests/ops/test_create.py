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


def test_ranges_of_integers_are_exact():
    assert fn.linspace(0, 49, 50, dtype=fn.int32).tolist() == list(range(50))
    assert fn.arange(2**53 + 1, 2**53 + 4).tolist() == [2**53 + 1, 2**53 + 2, 2**53 + 3]
    far = fn.arange(2**31, 2**31 + 2)
    assert far.dtype == fn.int64 and far.tolist() == [2**31, 2**31 + 1]
    assert fn.arange(2**31 - 2, 2**31).dtype == fn.int32
    assert fn.arange(-(2**31), 2 - 2**31).dtype == fn.int32
    assert fn.arange(-(2**31) - 1, -(2**31)).dtype == fn.int64
    assert fn.arange(2**63 - 1, 2**63 - 4, -2).tolist() == [2**63 - 1, 2**63 - 3]
    assert fn.arange(-(2**63), 2**63 - 1, 2**62).tolist() == list(range(-(2**63), 2**63 - 1, 2**62))
    assert fn.arange(np.int64(2**40), np.int64(2**40 + 2)).tolist() == [2**40, 2**40 + 1]
    with pytest.raises(ValueError, match="too many"):
        fn.arange(-(2**63), 2**63 - 1)


def test_ranges_of_large_unsigned_integers_are_exact():
    top = 2**64 - 1
    for start, stop, step in [
        (top - 3, top, 1),
        (2**63 - 1, 2**63 + 2, 1),
        (top, top - 9, -4),
        (top, 0, -(top // 3)),
        (0, top, 2**63),
        (top, top - 3, 1),
    ]:
        got = fn.arange(start, stop, step, dtype=fn.uint64)
        assert got.dtype == fn.uint64 and got.tolist() == list(range(start, stop, step))
    assert fn.arange(2**63, 2**63 + 1, dtype=fn.float64).tolist() == [2.0**63]
    with pytest.raises(ValueError, match="do not fit int64.*uint64"):
        fn.arange(2**63, 2**63 + 3)
    for start, stop in [(0, top), (top, 0), (top, top - 10), (2**63, 5), (2**62 + 3, top - 7)]:
        for count in (1, 2, 4, 7):
            for endpoint in (True, False):
                divisor = max(count - 1 if endpoint else count, 1)
                expected = [start + i * (stop - start) // divisor for i in range(count)]
                assert fn.linspace(start, stop, count, endpoint, dtype=fn.uint64).tolist() == expected
    with pytest.raises(ValueError, match="too wide"):
        fn.linspace(-(2**63), top, 3, dtype=fn.int64)


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("start", [0, -7, 5, 2**53 + 1, -(2**62), -(2**63)])
@pytest.mark.parametrize("stop", [3, -30, 2**53 + 9, 2**61, 2**63 - 1])
@pytest.mark.parametrize("count", [1, 2, 4, 11])
def test_linspace_of_integers_takes_the_exact_floor(start, stop, count, endpoint):
    divisor = max(count - 1 if endpoint else count, 1)
    expected = [start + i * (stop - start) // divisor for i in range(count)]
    assert fn.linspace(start, stop, count, endpoint, fn.int64).tolist() == expected


def test_linspace_between_fractions_takes_the_floor():
    assert fn.linspace(-3.5, 3.5, 8, dtype=fn.int32).tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]
    assert fn.linspace(0, 1, 4, endpoint=False).tolist() == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((0, 10), [0.0]), ((3, -10), []), ((0, 0), []), ((5, 5.5), [5.0])],
)
def test_an_infinite_step_leaves_the_start(arguments, expected):
    assert fn.arange(*arguments, float("inf")).tolist() == expected
    assert fn.arange(*arguments, float("inf"), dtype=fn.int32).tolist() == expected
    backwards = [-a for a in arguments]
    assert fn.arange(*backwards, float("-inf")).tolist() == [-e for e in expected]


@pytest.mark.parametrize("k", [2**32, -(2**32), 2**63 - 1, -(2**63), 2**31, -(2**31) - 1])
def test_diagonals_far_outside(k):
    x = fn.array(np.arange(1, 7).reshape(2, 3))
    for n, m in [(3, 3), (2, 4)]:
        assert not fn.any(fn.eye(n, m, k)).item()
        np.testing.assert_array_equal(np.asarray(fn.tri(n, m, k)), np.full((n, m), k > 0))
    np.testing.assert_array_equal(np.asarray(fn.tril(x, k)), np.asarray(x) * (k > 0))
    np.testing.assert_array_equal(np.asarray(fn.triu(x, k)), np.asarray(x) * (k < 0))
    assert fn.diagonal(x, k).shape == (0,) and fn.trace(x, k).item() == 0
    with pytest.raises(ValueError, match="too large"):
        fn.diag(fn.array([1, 2]), k)
