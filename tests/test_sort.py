"""Sorting, positions of extrema and searches against NumPy, for every dtype; their derivatives and batched forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
import thread_counts

INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "float32", "float64")
LENGTHS = [0, 1, 2, 7, 63, 64, 130, 3000, 9000]


def values(name, shape, seed=0):
    """Numbers with repetitions, extremes, both zeros, infinities and NaN."""
    rng = np.random.default_rng(seed)
    if name == "bool_":
        return rng.integers(0, 2, shape).astype(bool)
    if name in INTEGERS:
        limits = np.iinfo(name)
        x = rng.integers(limits.min, limits.max, shape, dtype=name, endpoint=True)
        return np.where(rng.random(shape) < 0.5, x % np.array(7, name), x)
    with np.errstate(over="ignore"):
        x = np.exp(rng.normal(size=shape) * 8) * rng.choice([-1, 1], shape)
        x = np.where(rng.random(shape) < 0.3, np.round(rng.normal(size=shape)), x)
        x = np.where(rng.random(shape) < 0.05, rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0], shape), x)
        if name == "complex64":
            return (x + 1j * np.round(rng.normal(size=shape))).astype(name)
        return x.astype(name)


def ours(x):
    """The array with NumPy's dtype: fn.array makes float32 of float64."""
    return fn.array(x, dtype=getattr(fn, "bool_" if x.dtype == bool else str(x.dtype)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", [*INTEGERS, *FLOATS, "bool_", "complex64"])
def test_order_agrees_with_numpy(name, length):
    x = values(name, (length,), length)
    np.testing.assert_array_equal(fn.sort(ours(x)), np.sort(x, kind="stable"))
    got = np.asarray(fn.argsort(ours(x)))
    assert got.dtype == np.uint32
    if name == "complex64":  # NumPy puts NaN parts in an order of its own
        got, expected = x[got], np.sort(x)
        finite = ~np.isnan(expected)
        np.testing.assert_array_equal(got[finite], expected[finite])
    else:
        np.testing.assert_array_equal(got, np.argsort(x, kind="stable"))


def test_bfloat16():
    a = fn.array(values("float32", (3000,))).astype(fn.bfloat16)
    fn.eval(a)
    x = np.asarray(a)
    np.testing.assert_array_equal(fn.sort(a).astype(fn.float32), np.sort(x))
    np.testing.assert_array_equal(fn.argsort(a), np.argsort(x, kind="stable"))
    assert int(fn.argmax(a)) == int(np.argmax(x))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, None])
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.transpose(2, 0, 1), lambda x: x[::-1, :, ::2]])
def test_axes_and_strides(axis, view):
    x = values("float32", (5, 6, 70))
    a, b = view(ours(x)), view(x)
    np.testing.assert_array_equal(fn.sort(a, axis=axis), np.sort(b, axis=axis))
    np.testing.assert_array_equal(fn.argsort(a, axis=axis), np.argsort(b, axis=axis, kind="stable"))
    for keepdims in (False, True):
        np.testing.assert_array_equal(fn.argmax(a, axis=axis, keepdims=keepdims), b.argmax(axis, keepdims=keepdims))
        np.testing.assert_array_equal(fn.argmin(a, axis=axis, keepdims=keepdims), b.argmin(axis, keepdims=keepdims))
    if axis is not None:
        k = b.shape[axis] // 2
        top = np.take(np.sort(b, axis=axis), np.arange(b.shape[axis] - k, b.shape[axis]), axis)
        np.testing.assert_array_equal(fn.topk(a, k, axis=axis), top)


@pytest.mark.parametrize("length", [2, 7, 130, 9000])
@pytest.mark.parametrize("name", [*FLOATS, "complex64"])
def test_equal_values_keep_their_bits_and_their_order(name, length):
    """Zeros of both signs and every NaN."""
    rng = np.random.default_rng(length)
    with np.errstate(invalid="ignore"):
        x = rng.choice(np.array([0.0, -0.0, 1, -1, np.nan, -np.nan, np.inf, 3], name), (3, length))
    word = np.uint64 if x.itemsize == 8 else np.uint32 if x.itemsize == 4 else np.uint16
    sorted_ = np.take_along_axis(x, np.asarray(fn.argsort(ours(x), axis=1)).astype(np.int64), 1)
    np.testing.assert_array_equal(np.asarray(fn.sort(ours(x), axis=1)).view(word), sorted_.view(word))
    for k in (1, length // 2, length - 1):
        top = np.asarray(fn.topk(ours(x), k, axis=1))
        np.testing.assert_array_equal(top.view(word), np.ascontiguousarray(sorted_[:, length - k :]).view(word))
    strided = fn.sort(ours(x).T[::-1], axis=0)
    backwards = np.take_along_axis(x[:, ::-1], np.argsort(x[:, ::-1], axis=1, kind="stable"), 1)
    if name != "complex64":  # whose NaN NumPy orders otherwise
        np.testing.assert_array_equal(np.signbit(strided), np.signbit(backwards.T))


@pytest.mark.parametrize("name", ["uint8", "int32", "uint64", "float16", "float32", "float64", "bool_", "complex64"])
@pytest.mark.parametrize("shape", [(70_001,), (2, 131_072)])
def test_lines_that_threads_sort_together(name, shape):
    x = values(name, shape, 3)
    x[..., :7] = x[..., 7:8]
    given = ours(x)
    order = np.asarray(given)
    results = lambda: [fn.sort(given), fn.argsort(given), fn.topk(given, 9), fn.topk(given[..., ::-1], 60_000)]  # noqa: E731
    thread_counts.assert_the_same(results, (1, 3, 4))
    got_sorted, got, top, many = (np.asarray(r) for r in results())
    if name != "complex64":  # whose NaN NumPy orders otherwise
        np.testing.assert_array_equal(got, np.argsort(order, axis=-1, kind="stable"))
    word = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[x.itemsize]
    np.testing.assert_array_equal(got_sorted.view(word), np.take_along_axis(order, got.astype(np.int64), -1).view(word))
    np.testing.assert_array_equal(top, got_sorted[..., -9:])
    np.testing.assert_array_equal(many, got_sorted[..., -60_000:])


@pytest.mark.parametrize("name", [*INTEGERS, *FLOATS, "bool_", "complex64"])
def test_topk_is_the_end_of_sorting(name):
    for length in (1, 100, 3000):
        x = ours(values(name, (2, length)))
        for k in {0, 1, length // 10, length // 2, length}:
            np.testing.assert_array_equal(fn.topk(x, k), np.asarray(fn.sort(x))[:, length - k :])


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint64", "float32"])
@pytest.mark.parametrize("n", [1000, 70_001])
def test_topk_of_few_different_values(dtype, n):
    """Whose first bits are alike."""
    x = (np.random.default_rng(n).integers(0, 5, n) + 100).astype(dtype)
    for k in (1, n // 5 + 3, n // 2 - 1):
        np.testing.assert_array_equal(fn.topk(ours(x), k), np.sort(x)[n - k :])
        np.testing.assert_array_equal(fn.topk(ours(np.full_like(x, 3)), k), np.full(k, 3, dtype))


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), min_size=1, max_size=100))
def test_extrema_take_the_first_of_equals_and_nan(x):
    x = np.array(x, np.float32)
    assert int(fn.argmax(ours(x))) == np.argmax(x)
    assert int(fn.argmin(ours(x))) == np.argmin(x)


@pytest.mark.parametrize("name", [*INTEGERS, *FLOATS, "bool_"])
def test_extrema_of_every_dtype(name):
    for shape in [(1,), (63,), (64,), (1000,), (70, 130)]:
        x = values(name, shape)
        for axis in range(len(shape)):
            np.testing.assert_array_equal(fn.argmax(ours(x), axis=axis), x.argmax(axis))
            np.testing.assert_array_equal(fn.argmin(ours(x), axis=axis), x.argmin(axis))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["int32", "uint8", "float32"])
def test_searchsorted(name, side):
    table = np.sort(values(name, (200,)))
    wanted = values(name, (3, 50), 1)
    got = fn.searchsorted(fn.array(table), fn.array(wanted), side=side)
    assert got.dtype == fn.uint32
    np.testing.assert_array_equal(got, np.searchsorted(table, wanted, side))
    tables, rows = np.sort(values(name, (4, 60)), axis=1), values(name, (4, 9), 2)
    mapped = fn.vmap(lambda t, w: fn.searchsorted(t, w, side=side))(fn.array(tables), fn.array(rows))
    loop = [np.searchsorted(t, w, side) for t, w in zip(tables, rows, strict=True)]
    np.testing.assert_array_equal(mapped, np.stack(loop))
    shared = fn.vmap(lambda w: fn.searchsorted(fn.array(table), w, side=side))(fn.array(rows))
    np.testing.assert_array_equal(shared, np.searchsorted(table, rows, side))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_cotangent_of_sorting_goes_back_where_the_values_came_from(axis):
    x = np.random.default_rng(0).permutation(20).reshape(4, 5).astype(np.float32)
    w = np.arange(20, dtype=np.float32).reshape(4, 5)
    expected = np.empty_like(x)
    np.put_along_axis(expected, np.argsort(x, axis), w, axis)
    f = lambda x: (fn.sort(x, axis=axis) * fn.array(w)).sum()  # noqa: E731
    np.testing.assert_array_equal(fn.grad(f)(ours(x)), expected)
    np.testing.assert_array_equal(fn.jvp(f, (ours(x),), (fn.ones((4, 5)),))[1], w.sum())
    second = fn.grad(lambda x: (fn.grad(lambda x: (fn.sort(x, axis=axis) ** 3).sum())(x)).sum())(ours(x))
    np.testing.assert_allclose(second, 6 * x)
    top = fn.grad(lambda x: fn.topk(x, 2, axis=axis).sum())(ours(x))
    assert float(top.sum()) == 2 * x.shape[1 - axis]


def test_positions_carry_no_derivative():
    x = fn.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(fn.grad(lambda x: fn.take(x, fn.argmax(x)))(x), [1, 0, 0])
    np.testing.assert_array_equal(fn.grad(lambda x: (x * fn.argsort(x)).sum())(x), [1, 2, 0])


def test_mapping():
    x = values("float32", (3, 4, 5))
    for f, g in [
        (lambda a: fn.sort(a, axis=0), lambda b: np.sort(b, axis=0)),
        (lambda a: fn.argsort(a, axis=-1), lambda b: np.argsort(b, axis=-1, kind="stable")),
        (lambda a: fn.argmax(a, axis=0), lambda b: np.argmax(b, axis=0)),
        (fn.argmin, np.argmin),
    ]:
        np.testing.assert_array_equal(fn.vmap(f)(ours(x)), np.stack([g(b) for b in x]))


def test_results_do_not_depend_on_threads():
    x = fn.array(values("float32", (64, 1000)))
    thread_counts.assert_the_same(lambda: [f(x * 1) for f in (fn.sort, fn.argsort, fn.argmax)])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: fn.sort(x, axis=2), fn.AxisError, "axis 2"),
        (lambda x: fn.topk(x, 9), ValueError, "between 0 and"),
        (lambda x: fn.partition(x, 9), ValueError, "kth"),
        (lambda x: fn.argmax(x[:0]), ValueError, "no elements"),
        (lambda x: fn.searchsorted(x, 1.0), ValueError, "one axis"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(fn.zeros((3, 4)))


def test_extrema_along_an_axis_of_an_empty_array():
    assert fn.argmax(fn.zeros((3, 0)), axis=0).shape == (0,)
    assert fn.argmin(fn.zeros((3, 0, 2)), axis=2, keepdims=True).shape == (3, 0, 1)
    with pytest.raises(ValueError, match="no elements to choose from"):
        fn.argmax(fn.zeros((3, 0)), axis=1)
