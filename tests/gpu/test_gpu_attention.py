"""Attention on the GPU: the shapes around its tiles, masks, layouts, and that nothing depends on chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnn as fn
from attention_oracle import attention

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5}


@pytest.fixture(autouse=True)
def gpu_by_default() -> Any:
    with fn.default_device("gpu"):
        yield


def drawn(rng: np.random.Generator, dtype: str, *shapes: tuple[int, ...]) -> list[fn.array]:
    return [fn.array(rng.normal(size=shape), getattr(fn, dtype)) for shape in shapes]


def wide(x: fn.array) -> np.ndarray:
    return np.asarray(x.astype(fn.float32), np.float64)


def agrees(got: fn.array, wanted: np.ndarray, dtype: str) -> None:
    got, most = wide(got), max(np.abs(wanted[np.isfinite(wanted)]).max(initial=0), 1e-2)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * TOLERANCE[dtype] * most)


def both(dtype: str, heads: tuple[int, int], queries: int, keys: int, depth: int, values: int, **options: Any) -> None:
    """Compare result and derivatives with the oracle, and with the CPU; and a second run with the first."""
    rng = np.random.default_rng(0)
    batch, (all_heads, key_heads) = 2, heads
    q, k, v, ct = drawn(
        rng,
        dtype,
        (batch, all_heads, queries, depth),
        (batch, key_heads, keys, depth),
        (batch, key_heads, keys, values),
        (batch, all_heads, queries, values),
    )
    mask = options.pop("mask", None)
    if callable(mask):
        mask = mask(rng, dtype)
    sinks = drawn(rng, dtype, (all_heads,))[0] if options.pop("sinks", False) else None
    differentiable = isinstance(mask, fn.array) and mask.dtype != fn.bool_
    arrays = [q, k, v, mask] if differentiable else [q, k, v]

    def f(q: fn.array, k: fn.array, v: fn.array, m: Any = mask, sinks: Any = sinks) -> fn.array:
        return fn.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=m, sinks=sinks)

    def run(ct: fn.array, *arrays: fn.array, **more: Any) -> list[fn.array]:
        y, pullback = fn.vjp(lambda *a: f(*a, **more), *arrays)
        return [y, *pullback(ct)]

    there, again = run(ct, *arrays), run(ct, *arrays)
    for one, two in zip(there, again, strict=True):
        assert one.device == fn.gpu
        np.testing.assert_array_equal(wide(one), wide(two))
    host = [fn.device_put(x, "cpu") for x in arrays]
    more: dict[str, Any] = {}
    if sinks is not None:
        more["sinks"] = fn.device_put(sinks, "cpu")
    if isinstance(mask, fn.array) and not differentiable:
        more["m"] = fn.device_put(mask, "cpu")
    for got, wanted in zip(there, run(fn.device_put(ct, "cpu"), *host, **more), strict=True):
        agrees(got, wide(wanted), dtype)
    shown = mask if isinstance(mask, str) or mask is None else np.asarray(fn.device_put(mask, "cpu").astype(fn.float32))
    if isinstance(mask, fn.array) and mask.dtype == fn.bool_:
        shown = shown != 0
    oracle = attention(*map(wide, (q, k, v)), 0.3, shown, None if sinks is None else wide(sinks))
    agrees(there[0], oracle, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("queries", "keys", "depth", "values"),
    [
        (64, 64, 64, 64),
        (63, 33, 31, 33),
        (65, 65, 65, 17),
        (9, 1, 1, 1),
        (16, 130, 100, 130),
    ],
)
def test_sizes_around_tiles(dtype, queries, keys, depth, values):
    both(dtype, (2, 2), queries, keys, depth, values)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("queries", [1, 2])
def test_few_queries_over_keys_in_parts(dtype, queries):
    for keys in (1, 31, 300, 1025):
        both(dtype, (8, 2) if queries == 1 else (4, 2), queries, keys, 40, 70, mask="causal", sinks=True)


@pytest.mark.parametrize(
    ("mask", "dtype"), [(None, "bfloat16"), ("causal", "float32"), ("boolean", "float32"), ("added", "bfloat16")]
)
@pytest.mark.parametrize(
    ("heads", "queries", "keys", "size"),
    [((12, 12), 1, 128, 64), ((8, 1), 1, 133, 128), ((4, 2), 3, 41, 64), ((2, 2), 1, 2000, 32)],
)
def test_few_queries(mask, dtype, heads, queries, keys, size):
    if mask in ("boolean", "added"):
        mask = (boolean if mask == "boolean" else additive)(heads[0], queries, keys)
    both(dtype, heads, queries, keys, size, size, mask=mask, sinks=queries == 3)


@pytest.mark.parametrize("size", [64, 40])
def test_few_queries_meet_the_last_key_once(size):
    # Lanes that have no key or no feature read others again, whose infinities are not theirs.
    q, k, v = drawn(np.random.default_rng(0), "float32", (1, 2, 1, size), (1, 2, 37, size), (1, 2, 37, size))
    v = v.at[0, 0, 36, 5].set(np.inf)
    k = k.at[0, 1, 36, 0].set(-np.inf).at[0, 1, 36, 1:].set(0)
    q = q.at[0, 1, 0, 0].set(1)
    y = wide(fn.fast.scaled_dot_product_attention(q, k, v, scale=0.3))
    with np.errstate(invalid="ignore"):
        oracle = attention(wide(q), wide(k), wide(v), 0.3)
    np.testing.assert_allclose(y, oracle, rtol=1e-4, atol=1e-5)
    assert np.isinf(y[0, 0, 0, 5])


def test_longer_rows_than_registers_hold():
    both("float32", (1, 1), 10, 40, 300, 290, mask="causal")
    both("float16", (1, 1), 10, 20, 200, 260)


def additive(*shape: int) -> Any:
    def make(rng: np.random.Generator, dtype: str) -> fn.array:
        mask = rng.normal(size=shape)
        mask[rng.random(shape) < 0.3] = -np.inf
        return fn.array(mask, getattr(fn, dtype))

    return make


def boolean(*shape: int) -> Any:
    return lambda rng, dtype: fn.array(rng.random(shape) < 0.5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "mask",
    [
        "causal",
        boolean(2, 4, 70, 40),
        boolean(4, 1, 40),
        boolean(1, 1),
        additive(2, 4, 70, 40),
        additive(1, 4, 70, 1),
        additive(2, 1, 1, 40),
        additive(70, 40),
    ],
)
def test_masks_and_what_is_broadcast(dtype, mask):
    both(dtype, (4, 2), 70, 40, 16, 16, mask=mask, sinks=True)


def test_a_mask_of_one_number():
    both("float32", (4, 2), 70, 40, 16, 16, mask=additive(1, 1), sinks=True)


@pytest.mark.parametrize("mask", ["causal", boolean(70, 20), additive(70, 20)])
def test_queries_that_see_nothing(mask):
    both("float32", (2, 1), 70, 20, 8, 8, mask=mask)
    hidden = fn.zeros((70, 20), fn.bool_)
    q, k, v = drawn(np.random.default_rng(0), "float32", (1, 2, 70, 8), (1, 2, 20, 8), (1, 2, 20, 8))
    for queries in (q, q[:, :, :1]):
        y, pullback = fn.vjp(
            lambda *a: fn.fast.scaled_dot_product_attention(*a, scale=1.0, mask=hidden[: a[0].shape[2]]), queries, k, v
        )
        for x in [y, *pullback(fn.ones_like(queries))]:
            np.testing.assert_array_equal(wide(x), 0)


@pytest.mark.parametrize("queries", [1, 20])
def test_huge_scores(queries):
    q, k, v = drawn(np.random.default_rng(0), "float32", (1, 2, queries, 8), (1, 2, 100, 8), (1, 2, 100, 8))
    y = fn.fast.scaled_dot_product_attention(q * 1e4, k * 1e4, v, scale=1.0)
    largest = np.argmax(wide(q) @ wide(k).swapaxes(-1, -2), -1)
    np.testing.assert_allclose(wide(y), np.take_along_axis(wide(v), largest[..., None], 2), rtol=1e-6)
    far = fn.fast.scaled_dot_product_attention(q * 1e20, k * 1e20, v, scale=1.0)  # scores overflow
    assert np.isnan(wide(far)).any()
    lost = np.zeros((1, 1, 1, 100), bool)
    lost[..., 7] = True
    k = k.at[0, 0, 3, 2].set(np.nan)
    y = fn.fast.scaled_dot_product_attention(q, k, v, scale=1.0, mask=fn.array(lost))
    np.testing.assert_allclose(wide(y), np.broadcast_to(wide(v)[:, :, 7:8], y.shape), rtol=1e-6)


def test_views_are_read_where_they_lie():
    rng = np.random.default_rng(0)
    (cache,) = drawn(rng, "float16", (2, 50, 3, 40))
    k = fn.transpose(cache[:, 1:34, :, 3:36], (0, 2, 1, 3))  # begins at no multiple of 16 bytes
    v = fn.transpose(cache[:, 33:0:-1, :, ::2], (0, 2, 1, 3))
    one = fn.broadcast_to(cache[:1, :1, :1, 33:66], (2, 3, 33, 7))
    for queries in (1, 20):
        (q,) = drawn(rng, "float16", (2, 3, queries, 33))
        for values in (v, one):
            y = fn.fast.scaled_dot_product_attention(q, k, values, scale=0.3)
            agrees(y, attention(*map(wide, (q, k, values)), 0.3, None, None), "float16")


def test_batches_of_batches():
    rng = np.random.default_rng(0)
    q, k, v, mask = drawn(rng, "float32", (2, 3, 2, 9, 8), (3, 2, 2, 20, 8), (2, 3, 2, 20, 8), (2, 1, 1, 9, 20))

    def f(q: fn.array, k: fn.array, v: fn.array, mask: fn.array) -> fn.array:
        return fn.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=mask).sum()

    by = fn.vmap(fn.grad(f, (0, 1, 2, 3)), in_axes=(0, 1, 0, 0))(q, k, v, mask)
    for i in range(2):
        for got, wanted in zip(by, fn.grad(f, (0, 1, 2, 3))(q[i], k[:, i], v[i], mask[i]), strict=True):
            agrees(got[i], wide(wanted), "float32")
