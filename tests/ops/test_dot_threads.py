"""Products that are cut for many threads: the same bits as on one, however few or many there are."""

import numpy as np
import pytest

import funcnn as fn

pytestmark = pytest.mark.on_cpu
rng = np.random.default_rng(5)

COUNTS = (1, 2, 5, 7, 16, 64)


def normal(*shape):
    return rng.normal(size=shape)


def operand(x, transposed, dtype):
    """An array that lies transposed in memory or not."""
    x = fn.array(np.ascontiguousarray(np.swapaxes(x, -1, -2)) if transposed else x).astype(dtype)
    return fn.swapaxes(x, -1, -2) if transposed else x


def on_many_threads(compute, counts=COUNTS):
    """The result as float64: from plans made for so many threads, and from one made for one."""
    before, results = fn.get_num_threads(), []
    try:
        for again in (True, False):
            for count in counts:
                fn.set_num_threads(count)
                if again:
                    fn.clear_plan_cache()
                results.append(np.asarray(compute()).astype(np.float64))
            fn.set_num_threads(1)
            fn.clear_plan_cache()
    finally:
        fn.set_num_threads(before)
    assert all(np.array_equal(results[0], other) for other in results[1:])
    return results[0]


def close(result, exact, scale, dtype):
    assert np.all(np.abs(result - exact) <= (2**-45 if dtype == "float64" else 2**-18) * scale)


SHAPES = [
    # One tile on one thread, several on many; primes; few rows, few columns; nothing to cut along one axis.
    *((64, 64, 64), (127, 131, 113), (101, 103, 257), (257, 263, 521), (9, 300, 700), (17, 311, 1031)),
    *((32, 1024, 256), (32, 256, 1024), (128, 784, 512), (1021, 64, 17), (1021, 65, 9), (700, 31, 40)),
    # Packed once for all on few threads; long sums in parts, of one tile and of several; few rows across them.
    *((521, 257, 509), (512, 128, 784), (64, 9001, 48), (33, 4099, 129), (48, 521, 1031), (3, 2000, 2100)),
    *((1, 3001, 3000), (3000, 3001, 1), (12, 1030, 2000)),
    # A few columns.
    *((301, 1031, 2), (77, 517, 5), (40, 300, 7), (1000, 97, 8)),
]


@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(m, k, n, layout, dtype):
    a, b = normal(m, k), normal(k, n)
    x, y = (operand(v, side == "t", getattr(fn, dtype)) for v, side in zip((a, b), layout, strict=True))
    result = on_many_threads(lambda: x @ y)
    a, b = (np.asarray(v).astype(np.float64) for v in (x, y))
    close(result, a @ b, np.abs(a) @ np.abs(b), dtype)


@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
@pytest.mark.parametrize("layout", ["nn", "tt"])
def test_epilogues(m, k, n, layout):
    a, b, row, column = normal(m, k), normal(k, n), normal(1, n), normal(m, 1)
    x, y = (operand(v, side == "t", fn.float32) for v, side in zip((a, b), layout, strict=True))
    r, c = (fn.array(v).astype(fn.float32) for v in (row, column))
    result = on_many_threads(lambda: fn.maximum(x @ y + r, 0) * c)
    a, b, row, column = (np.asarray(v).astype(np.float64) for v in (x, y, r, c))
    scale = (np.abs(a) @ np.abs(b) + np.abs(row)) * np.abs(column)
    close(result, np.maximum(a @ b + row, 0) * column, scale, "float32")


@pytest.mark.parametrize(
    "shape", [(7, 8, 8, 8), (3, 67, 129, 131), (37, 33, 35, 67), (5, 257, 31, 130), (2, 100, 600, 260)]
)
@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
def test_batches(shape, layout):
    count, m, k, n = shape
    a, b, row = normal(count, m, k), normal(count, k, n), normal(n)
    x, y = (operand(v, side == "t", fn.float32) for v, side in zip((a, b), layout, strict=True))
    r = fn.array(row).astype(fn.float32)
    result = on_many_threads(lambda: fn.maximum(x @ y + r, 0))
    a, b, row = (np.asarray(v).astype(np.float64) for v in (x, y, r))
    close(result, np.maximum(a @ b + row, 0), np.abs(a) @ np.abs(b) + np.abs(row), "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
def test_rows_are_shared_out_to_a_few(layout, dtype):
    # Of each product a copy of B for each thread, of which a plan for two has too few for four.
    a, b, row = normal(2, 401, 307), normal(2, 307, 409), normal(409)
    x, y = (operand(v, side == "t", getattr(fn, dtype)) for v, side in zip((a, b), layout, strict=True))
    r = fn.array(row).astype(getattr(fn, dtype))
    result = on_many_threads(lambda: fn.maximum(x @ y + r, 0), (4, 3, 2))
    a, b, row = (np.asarray(v.astype(fn.float64)) for v in (x, y, r))
    scale = np.abs(a) @ np.abs(b) + np.abs(row)
    if dtype == "bfloat16":  # the product and the result are rounded
        assert np.all(np.abs(result - np.maximum(a @ b + row, 0)) <= 2**-8 * 2 * scale)
    else:
        close(result, np.maximum(a @ b + row, 0), scale, dtype)


@pytest.mark.parametrize("shape", [(0, 5, 7), (300, 0, 200), (300, 200, 0), (1, 1, 1)])
def test_nothing_to_cut(shape):
    m, k, n = shape
    result = on_many_threads(lambda: fn.ones((m, k)) @ fn.ones((k, n)) + 1)
    np.testing.assert_array_equal(result, np.full((m, n), k + 1.0))


def test_large_products_are_cut_into_tiles_of_their_own():
    # More than is packed once for all where threads are few.
    a, b = fn.array(normal(600, 700)).astype(fn.float32), fn.array(normal(700, 1100)).astype(fn.float32)
    result = on_many_threads(lambda: fn.tanh(a @ b * 0.01))
    exact = np.tanh(np.asarray(a).astype(np.float64) @ np.asarray(b) * 0.01)
    np.testing.assert_allclose(result, exact, atol=1e-6)
