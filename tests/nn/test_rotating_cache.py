"""The ring of keys and values against a list of tokens in Python, and against windows of attention."""

import itertools

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random


def draw(seed, *shape):
    return random.normal(random.key(seed), shape)


def close(got, want, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=tolerance, atol=tolerance)


def numbered(first, count):
    return fn.arange(first, first + count).astype(fn.float32).reshape(1, 1, count, 1)


def held_after(tokens, places, keep):
    """What a ring holds, place by place."""
    ring = [-1] * places
    for t in range(tokens):
        ring[t if t < keep else keep + (t - keep) % (places - keep)] = t
    return ring


@pytest.mark.parametrize(("places", "keep"), [(1, 0), (4, 0), (4, 3), (5, 2)])
@pytest.mark.parametrize("chunks", [(1,) * 13, (3, 1, 4, 1, 2), (11, 1), (2, 9)])
def test_holds_the_first_and_the_last(places, keep, chunks):
    cache = nn.RotatingKVCache.empty(1, 1, places, 1, keep=keep)
    compiled, total = cache, 0
    step = fn.compile(lambda cache, k: cache.append(k, -k))
    for count in chunks:
        new = numbered(total, count)
        cache, compiled, total = cache.append(new, -new), step(compiled, new), total + count
        ring = held_after(total, places, keep)
        for got in (cache, compiled):
            there = [slot for slot in range(places) if ring[slot] >= 0]
            assert [int(got.keys[0, 0, slot, 0].item()) for slot in there] == [ring[slot] for slot in there]
            assert [int(-got.values[0, 0, slot, 0].item()) for slot in there] == [ring[slot] for slot in there]
            assert got.offset.item() == total


@pytest.mark.parametrize(("places", "keep"), [(4, 0), (4, 1), (16, 0)])
@pytest.mark.parametrize("chunks", [(1,) * 12, (12,), (5, 1, 1, 5), (2, 4, 6), (3, 9)])
def test_causal_attention_is_that_of_a_window(places, keep, chunks):
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 2, 12, 8)
    token, key = np.arange(12)[:, None], np.arange(12)
    window = (key <= token) & ((key < keep) | (key > token - (places - keep)))
    want = layer(params, x, x, x, fn.array(window))
    cache = nn.RotatingKVCache.empty(2, 2, places, 4, keep=keep)
    found, start = [], 0
    for count in chunks:
        part = x[:, start : start + count]
        y, cache = layer(params, part, part, part, "causal", cache)
        found.append(y)
        start += count
    close(fn.concatenate(found, axis=1), want)


def test_without_a_mask_all_see_what_stays():
    layer = nn.MultiHeadAttention(8, 2)
    params, x = layer.init(random.key(0)), draw(1, 2, 7, 8)
    cache = nn.RotatingKVCache.empty(2, 2, 4, 4, keep=1)
    _, cache = layer(params, x[:, :4], x[:, :4], x[:, :4], None, cache)
    y, cache = layer(params, x[:, 4:], x[:, 4:], x[:, 4:], None, cache)
    kept = fn.concatenate([x[:, :1], x[:, 4:]], axis=1)
    close(y, layer(params, x[:, 4:], kept, kept))


def test_one_trace_serves_all_places():
    layer = nn.TransformerEncoder(2, 8, 2)
    params, x = layer.init(random.key(0)), draw(1, 1, 20, 8)

    def empty():
        return tuple(nn.RotatingKVCache.empty(1, 2, 6, 4) for _ in range(2))

    @fn.compile(donate="caches")
    def step(params, token, caches):
        return layer(params, token, "causal", caches)

    caches, plain, found, want = empty(), empty(), [], []
    for t in range(20):
        y, caches = step(params, x[:, t : t + 1], caches)
        z, plain = layer(params, x[:, t : t + 1], "causal", plain)
        found.append(y)
        want.append(z)
    close(fn.concatenate(found, axis=1), fn.concatenate(want, axis=1))
    assert step.cache_info()["misses"] == 1

    def body(caches, token):
        y, caches = layer(params, token, "causal", caches)
        return caches, y

    _, scanned = fn.scan(body, empty(), fn.moveaxis(x[:, :, None], 1, 0))
    close(scanned[:, 0, 0], fn.concatenate(want, axis=1)[0])


@pytest.mark.parametrize("keep", [0, 2])
def test_holds_what_mlx_lm_holds(keep):
    cache_module = pytest.importorskip("mlx_lm.models.cache")
    mx = pytest.importorskip("mlx.core")
    theirs, ours, total = cache_module.RotatingKVCache(6, keep=keep), nn.RotatingKVCache.empty(1, 1, 6, 1, keep=keep), 0
    for count in itertools.chain((4,), (1,) * 9):
        new = numbered(total, count)
        keys, _ = theirs.update_and_fetch(mx.array(np.asarray(new)), mx.array(np.asarray(new)))
        ours, total = ours.append(new, new), total + count
        if total >= 6:
            assert sorted(np.asarray(keys).ravel().tolist()) == sorted(ours.keys.ravel().tolist())


def test_errors():
    with pytest.raises(ValueError, match=r"keep must be at least 0 and less than places \(4\), got 4"):
        nn.RotatingKVCache.empty(1, 1, 4, 1, keep=4)
    with pytest.raises(ValueError, match=r"RotatingKVCache.empty: sizes must not be negative"):
        nn.RotatingKVCache.empty(1, -1, 4, 1)
    cache = nn.RotatingKVCache.empty(1, 1, 4, 2)
    with pytest.raises(ValueError, match=r"cache: keys of shape \(1, 1, 4, 2\) are followed by \(1, 1, 3, 2\), got"):
        cache.append(fn.zeros((1, 1, 3, 1)), fn.zeros((1, 1, 3, 2)))
    token = fn.zeros((1, 1, 1, 2))
    with pytest.raises(ValueError, match="mask must be None or 'causal' for a RotatingKVCache, got an array"):
        cache.update(token, token, 1, fn.full(4, True))
    with pytest.raises(ValueError, match="mask must be None or 'causal' for a RotatingKVCache, got 'full'"):
        cache.update(token, token, 1, "full")
    with pytest.raises(ValueError, match="there are 2 queries, but only 1 keys with them"):
        cache.update(token, token, 2)
