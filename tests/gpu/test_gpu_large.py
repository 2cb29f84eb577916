"""Arrays of more than 2^31 bytes, and of more than 2^31 elements, on a GPU: places are counted in 64 bits.

The oracle is NumPy, of parts around 2^31 and at the end.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import numpy as np
import pytest

import funcnn as fn

FAR = 2**31
COUNT = FAR + 12345  # of bytes; no multiple of a vector
ENOUGH = 30 << 30


def enough() -> bool:
    if not fn.is_available(fn.gpu) or "FUNCNN_METAL" in os.environ:
        return False
    return int(fn.device_info(fn.gpu)["memory_size"]) >= ENOUGH


pytestmark = pytest.mark.skipif(not enough(), reason="needs a GPU with 30 GiB")


@pytest.fixture(autouse=True)
def on_the_gpu() -> Iterator[None]:
    with fn.default_device("gpu"):
        yield
    gc.collect()
    fn.clear_cache()


@pytest.fixture(scope="module")
def ramp() -> np.ndarray:
    """0, 1, .., 250, 0, 1, ..: a place that is wrong by a power of two shows."""
    return np.resize(np.arange(251, dtype=np.uint8), COUNT)


def same(got: fn.array, wanted: np.ndarray) -> None:
    assert (got.shape, np.asarray(got).dtype) == (wanted.shape, wanted.dtype)
    assert np.array_equal(np.asarray(got), wanted)


def test_elementwise(ramp):
    x = fn.array(ramp)
    same(x * 3 + 1, ramp * np.uint8(3) + np.uint8(1))


def test_reductions_of_all(ramp):
    x = fn.array(ramp)
    assert fn.sum(x.astype(fn.int64)).item() == ramp.sum(dtype=np.int64)
    assert fn.max(x[FAR:]).item() == 250 and fn.count_nonzero(x).item() == np.count_nonzero(ramp)


@pytest.mark.parametrize("place", [FAR - 1, FAR, COUNT - 7])
def test_argmax(ramp, place):
    x = fn.array(ramp).at[place].set(255)
    assert fn.argmax(x).item() == place
    assert fn.max(x).item() == 255


def test_take_and_update(ramp):
    places = np.array([0, 5, FAR - 1, FAR, FAR + 1, COUNT - 1])
    x = fn.array(ramp)
    same(fn.take(x, fn.array(places)), ramp[places])
    same(x[fn.array(places - COUNT)], ramp[places])
    y = x.at[fn.array(places)].add(100)
    same(y[fn.array(places)], ramp[places] + np.uint8(100))
    assert fn.sum((y != x).astype(fn.int32)).item() == len(places)


def test_slices_and_joins(ramp):
    x = fn.array(ramp)
    same(x[FAR - 3 :], ramp[FAR - 3 :])
    same(x[::-1] + 0, ramp[::-1])
    same(fn.concatenate([x[7:], x[:7]]), np.concatenate([ramp[7:], ramp[:7]]))
    same(fn.roll(x, 5), np.roll(ramp, 5))


def test_transposed(ramp):
    rows, columns = 65539, 32768
    a = np.resize(ramp, rows * columns).reshape(rows, columns)
    got = np.asarray(fn.contiguous(fn.array(a).T))
    assert (got.shape, got.dtype) == ((columns, rows), a.dtype)
    side = 512  # of tiles that fit into a cache: compared whole, it takes minutes
    for i in range(0, columns, side):
        for j in range(0, rows, side):
            assert np.array_equal(got[i : i + side, j : j + side].T, a[j : j + side, i : i + side]), (i, j)


def test_running_sums(ramp):
    got = fn.cumsum(fn.array(ramp).astype(fn.int32), axis=0)
    tail = 1 << 20
    start = ramp[:-tail].sum(dtype=np.int64)
    wanted = (start + np.cumsum(ramp[-tail:], dtype=np.int64)).astype(np.uint32).astype(np.int32)
    same(got[-tail:], wanted)


def test_rows_and_columns():
    rows, columns = 32771, 32768
    rng = np.random.default_rng(0)
    few = rng.normal(size=(257, columns)).astype(np.float32)
    which = np.arange(rows) % len(few)
    x = fn.take(fn.array(few), fn.array(which), axis=0)
    last = few[which[-4:]].astype(np.float64)
    e = np.exp(last - last.max(-1, keepdims=True))
    np.testing.assert_allclose(np.asarray(fn.softmax(x, axis=-1)[-4:]), e / e.sum(-1, keepdims=True), rtol=2e-5)
    np.testing.assert_allclose(np.asarray(fn.sum(x, axis=1)[-4:]), last.sum(-1), atol=1e-3)
    counts = np.bincount(which, minlength=len(few)).astype(np.float64)
    np.testing.assert_allclose(np.asarray(fn.sum(x, axis=0)), counts @ few.astype(np.float64), atol=2e-2)
    same(fn.argmax(x, axis=1)[-4:], last.argmax(-1).astype(np.uint32))


def test_sorted_rows(ramp):
    rows, columns = 2097161, 1024
    a = np.resize(ramp, rows * columns).reshape(rows, columns)
    got = fn.sort(fn.array(a), axis=-1)
    for part in (slice(0, 3), slice(rows - 3, rows)):
        same(got[part], np.sort(a[part], axis=-1))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products(dtype):
    rng = np.random.default_rng(1)
    width = 4 if dtype == "float32" else 2
    rows, inner, columns = FAR // 16384 // width + 77, 16384, 24
    few, b = rng.normal(size=(101, inner)).astype(np.float32), rng.normal(size=(inner, columns)).astype(np.float32)
    few, b = (np.asarray(fn.array(v).astype(dtype).astype(fn.float32)) for v in (few, b))
    which = np.arange(rows) % len(few)
    a = fn.take(fn.array(few).astype(dtype), fn.array(which), axis=0)
    got = np.asarray((a @ fn.array(b).astype(dtype))[-3:].astype(fn.float32))
    wanted = few[which[-3:]].astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(got, wanted, atol=(1e-5 if dtype == "float32" else 8e-3) * np.abs(wanted).max())


def test_product_with_a_large_result():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(40009, 64)).astype(np.float32), rng.normal(size=(64, 20011)).astype(np.float32)
    got = fn.array(a) @ fn.array(b)
    np.testing.assert_allclose(np.asarray(got[-2:]), a[-2:] @ b, atol=1e-3)
    np.testing.assert_allclose(np.asarray(got[:, -1]), a @ b[:, -1], atol=1e-3)


def test_convolution():
    rng = np.random.default_rng(3)
    few, w = rng.normal(size=(7, 64, 64, 32)).astype(np.float32), rng.normal(size=(8, 3, 3, 32)).astype(np.float32)
    which = np.arange(4201) % len(few)
    x = fn.take(fn.array(few), fn.array(which), axis=0)
    got = np.asarray(fn.conv2d(x, fn.array(w), padding=1)[-2:])
    pooled = np.asarray(fn.nn.max_pool2d(x, 2)[-2:])
    with fn.default_device("cpu"):
        wanted = np.asarray(fn.conv2d(fn.array(few[which[-2:]]), fn.array(w), padding=1))
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    same(fn.array(pooled), few[which[-2:]].reshape(2, 32, 2, 32, 2, 32).max((2, 4)))


def test_attention():
    heads, length, features = 1025, 16384, 64
    rng = np.random.default_rng(4)
    few = [rng.normal(size=(5, length, features)).astype(np.float16) for _ in range(3)]
    which = fn.array(np.arange(heads) % 5)
    q, k, v = (fn.take(fn.array(x), which, axis=0)[None] for x in few)
    got = np.asarray(fn.fast.scaled_dot_product_attention(q, k, v, scale=0.125)[0, -1, -3:]).astype(np.float64)
    q, k, v = (x[(heads - 1) % 5].astype(np.float64) for x in few)
    scores = q[-3:] @ k.T * 0.125
    e = np.exp(scores - scores.max(-1, keepdims=True))
    np.testing.assert_allclose(got, e / e.sum(-1, keepdims=True) @ v, atol=2e-3)


def test_random_draws():
    shape = (2**29 + 4099,)
    key = fn.random.key(7)
    got = fn.random.uniform(key=key, shape=shape)[-5000:]
    with fn.default_device("cpu"):
        wanted = fn.random.uniform(key=fn.device_put(key, "cpu"), shape=shape)[-5000:]
        same(fn.device_put(got, "cpu"), np.asarray(wanted))
