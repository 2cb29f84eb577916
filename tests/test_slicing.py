"""dynamic_slice and dynamic_update_slice against NumPy slices moved to fit."""

import itertools

import numpy as np
import pytest

import funcnn as fn

SHAPE = (4, 5, 3)
X = np.arange(60, dtype=np.float32).reshape(SHAPE)
STARTS = [(0, 0, 0), (1, 2, 0), (3, 4, 2), (-1, -2, -3), (9, -9, 1), (2, 0, 2)]
SIZES = [(1, 1, 1), (2, 3, 3), (4, 5, 3), (4, 2, 1), (0, 2, 3), (3, 5, 2)]


def where(starts, sizes, shape=SHAPE):
    """The slices that are meant."""
    found = []
    for start, size, length in zip(starts, sizes, shape, strict=True):
        start = start + length if start < 0 else start
        start = min(max(start, 0), length - size)
        found.append(slice(start, start + size))
    return tuple(found)


def kinds(starts):
    """Starts as Python numbers, arrays of no axes, mixed, in one array, and of NumPy."""
    yield starts
    yield tuple(fn.array(s) for s in starts)
    yield (starts[0], fn.array(starts[1], fn.int8), np.int64(starts[2]))
    yield (fn.array(starts[0], fn.int64), starts[1], fn.array(starts[2]))
    yield fn.array(starts)
    yield np.array(starts)


@pytest.mark.parametrize(("starts", "sizes"), list(itertools.product(STARTS, SIZES)))
def test_slices_and_updates(starts, sizes):
    x, place = fn.asarray(X), where(starts, sizes)
    update = -1 - np.arange(float(np.prod(sizes))).reshape(sizes)
    written = X.copy()
    written[place] = update
    for given in kinds(starts):
        np.testing.assert_array_equal(fn.dynamic_slice(x, given, sizes), X[place])
        np.testing.assert_array_equal(fn.dynamic_update_slice(x, update, given), written)
    traced = fn.array(starts)
    np.testing.assert_array_equal(fn.compile(lambda x, s: fn.dynamic_slice(x, s, sizes))(x, traced), X[place])
    np.testing.assert_array_equal(fn.compile(fn.dynamic_update_slice)(x, update, traced), written)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint32", "int64", "complex64", "bool_"])
def test_dtypes(dtype):
    x = fn.arange(10).astype(getattr(fn, dtype))
    assert fn.dynamic_slice(x, (fn.array(7),), (2,)).tolist() == x.tolist()[7:9]
    y = fn.dynamic_update_slice(x, fn.ones(2), (fn.array(7),))
    assert y.dtype == x.dtype and y.tolist() == [*x.tolist()[:7], 1, 1, x.tolist()[9]]


def test_one_axis_takes_one_start():
    x = fn.arange(6)
    assert fn.dynamic_slice(x, 2, 3).tolist() == [2, 3, 4]
    assert fn.dynamic_slice(x, fn.array(2), 3).tolist() == [2, 3, 4]
    assert fn.dynamic_slice(fn.array(5.0), (), ()).item() == 5
    assert fn.dynamic_update_slice(fn.array(5.0), 6.0, ()).item() == 6


@pytest.mark.parametrize("dtype", [fn.int8, fn.uint8, fn.uint16, fn.uint32, fn.uint64, fn.int64])
def test_starts_that_do_not_hold_the_axis(dtype):
    x = fn.arange(1000)
    start = fn.array(120, dtype)
    assert fn.dynamic_slice(x, (start,), (300,))[-1].item() == 419
    huge = fn.array(fn.iinfo(dtype).max, dtype)
    assert fn.dynamic_slice(x, (huge,), (1,)).item() == min(fn.iinfo(dtype).max, 999)


def test_under_vmap():
    x = fn.asarray(X)
    starts = fn.array(STARTS)
    expected = [X[where(s, (2, 3, 3))] for s in STARTS]
    np.testing.assert_array_equal(fn.vmap(lambda s: fn.dynamic_slice(x, s, (2, 3, 3)))(starts), expected)
    xs = fn.stack([x + 100 * i for i in range(len(STARTS))])
    np.testing.assert_array_equal(
        fn.vmap(lambda x, s: fn.dynamic_slice(x, s, (2, 3, 3)))(xs, starts),
        np.stack([e + 100 * i for i, e in enumerate(expected)]),
    )
    updates = -fn.ones((len(STARTS), 2, 3, 3))
    written = np.stack([X] * len(STARTS))
    for row, s in zip(written, STARTS, strict=True):
        row[where(s, (2, 3, 3))] = -1
    np.testing.assert_array_equal(fn.vmap(lambda u, s: fn.dynamic_update_slice(x, u, s))(updates, starts), written)


@pytest.mark.parametrize("starts", STARTS)
def test_gradients(starts):
    x, sizes = fn.asarray(X), (2, 3, 2)
    place = where(starts, sizes)
    weights = np.random.default_rng(0).normal(size=sizes).astype(np.float32)
    expected = np.zeros(SHAPE)
    expected[place] = weights
    for run in (lambda f: f, fn.compile):
        slope = run(fn.grad(lambda x, s: (fn.dynamic_slice(x, s, sizes) * weights).sum()))(x, fn.array(starts))
        np.testing.assert_array_equal(slope, expected)
        of_x, of_update = run(fn.grad(lambda x, u, s: (fn.dynamic_update_slice(x, u, s) * X).sum(), argnums=(0, 1)))(
            x, fn.asarray(weights), fn.array(starts)
        )
        np.testing.assert_array_equal(of_update, X[place])
        kept = X.copy()
        kept[place] = 0
        np.testing.assert_array_equal(of_x, kept)
    push = fn.jvp(lambda x: fn.dynamic_slice(x, fn.array(starts), sizes), (x,), (x * 2,))[1]
    np.testing.assert_array_equal(push, 2 * X[place])


@pytest.mark.immediate
def test_a_cache_is_written_in_place():
    n = 1 << 16
    write = fn.compile(lambda cache, row, i: fn.dynamic_update_slice(cache, row, (i, 0)), donate="cache")
    cache = fn.zeros((n, 4)) + 0
    fn.eval(cache)
    cache = write(cache, fn.ones((1, 4)), fn.array(3))
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    cache = write(cache, fn.ones((1, 4)), fn.array(5))
    assert fn.get_peak_memory() - before < cache.nbytes // 2
    assert np.flatnonzero(np.asarray(cache)[:, 0]).tolist() == [3, 5]


def test_in_a_scan():
    x = fn.arange(8, dtype=fn.float32)
    _, windows = fn.scan(lambda c, i: (c, fn.dynamic_slice(x, (i,), (3,)).sum()), 0, fn.arange(6))
    np.testing.assert_array_equal(windows, np.lib.stride_tricks.sliding_window_view(np.arange(8), 3).sum(1))


def test_the_error_of_a_traced_slice_says_what_to_use():
    for f in (lambda x, i: x[i : i + 2], lambda x, i: x[:i], lambda x, i: x[0, ::i], lambda x, i: x.at[i:].set(0)):
        with pytest.raises(fn.TracedValueError, match=r"slice decides the shape.*compile.*fn\.dynamic_slice"):
            fn.compile(f)(fn.zeros((4, 4)), fn.array(1))
    assert fn.zeros(4)[fn.array(1) : fn.array(3)].shape == (2,)
    with pytest.raises(TypeError, match="slice indices"):
        fn.zeros(4)["a":]


def test_errors():
    x = fn.zeros((3, 4))
    for call, kind, message in [
        (lambda: fn.dynamic_slice(x, (0,), (1, 1)), ValueError, "needs 2 starts and sizes, got 1 starts"),
        (lambda: fn.dynamic_slice(x, (0, 0), (1,)), ValueError, "needs 2 starts and sizes"),
        (lambda: fn.dynamic_slice(x, (0, 0), (1, 5)), ValueError, r"axis 1 of an array of shape \(3, 4\) has length 4"),
        (lambda: fn.dynamic_slice(x, (0, 0), (1, -1)), ValueError, "axis 1"),
        (lambda: fn.dynamic_slice(x, (0.5, 0), (1, 1)), TypeError, "start 0 must be an integer, got float"),
        (lambda: fn.dynamic_slice(x, (0, fn.array(0.5)), (1, 1)), TypeError, "start 1 must be an integer, got float32"),
        (lambda: fn.dynamic_slice(x, (0, fn.zeros(1, fn.int32)), (1, 1)), TypeError, r"of shape \(1,\)"),
        (lambda: fn.dynamic_update_slice(x, fn.zeros(2), (0, 0)), ValueError, "must have 2 axes"),
        (lambda: fn.dynamic_update_slice(x, fn.zeros((4, 4)), (0, 0)), ValueError, "axis 0"),
    ]:
        with pytest.raises(kind, match=message):
            call()
