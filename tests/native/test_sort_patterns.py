"""Sorting by every instruction set: what quicksort might stumble over, against NumPy's stable sort, to the bit."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
import instruction_sets
import thread_counts

NAMES = (
    "bool_",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
)
WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
LENGTHS = (0, 1, 2, 3, 8, 15, 16, 17, 31, 33, 64, 100, 127, 129, 200, 255, 256, 257, 400, 513, 1000, 3000)

instruction_set = instruction_sets.fixture(instruction_sets.SUPPORTED, scope="module")


def random(rng, n):
    return rng.integers(0, 2**64, n, dtype=np.uint64)


def few(rng, n):
    return rng.integers(0, 5, n).astype(np.uint64) * np.uint64(0x3001_4001_3C01_3C01)


def ascending(rng, n):
    return np.sort(random(rng, n))


def descending(rng, n):
    return ascending(rng, n)[::-1]


def organ_pipe(rng, n):
    x = ascending(rng, n)
    return np.concatenate([x[::2], x[1::2][::-1]])


def saw(rng, n):
    return np.arange(n, dtype=np.uint64) % np.uint64(max(1, n // 7)) * np.uint64(0x0001_0001_0001_0101)


def equal(rng, n):
    return np.repeat(random(rng, 1), n)


def alike_in_front(rng, n):
    """Words whose leading bits are those of few others."""
    x = few(rng, n) ^ rng.integers(0, 9, n).astype(np.uint64)
    x[: n // 16] = random(rng, n // 16)
    return x


PATTERNS = (random, few, ascending, descending, organ_pipe, saw, equal, alike_in_front)


def made(words, name, seed):
    """Words as values of a dtype, some of them values that have several representations; what NumPy sees of them."""
    rng = np.random.default_rng(seed)
    if name == "bool_":
        x = words % np.uint64(2) == 1
        return fn.array(x), x
    dtype = np.uint16 if name == "bfloat16" else np.dtype(name)
    size = np.dtype(dtype).itemsize
    bits = (words >> np.uint64(64 - 8 * size) if seed % 2 else words).astype(WORDS[size])
    if "float" in name and seed % 3:
        one = {"float16": 0x7C00, "bfloat16": 0x7F80}.get(name) or np.array(np.inf, name).view(WORDS[size])
        top = 1 << (8 * size - 1)
        several = [
            0,
            top,
            int(one),
            int(one) | top,
            int(one) | 1,
            int(one) | top | 3,
            int(one) + int(one) // 64,
            top - 1,
        ]
        bits = np.where(rng.random(bits.shape) < 0.3, rng.choice(np.array(several, bits.dtype), bits.shape), bits)
    if name == "bfloat16":
        return fn.view(fn.array(bits), fn.bfloat16), (bits.astype(np.uint32) << 16).view(np.float32)
    x = bits.view(dtype)
    return fn.view(fn.array(bits), getattr(fn, name)), x


def bits_of(a):
    return np.asarray(fn.view(a, {1: fn.uint8, 2: fn.uint16, 4: fn.uint32, 8: fn.uint64}[a.dtype.size]))


def check(a, x, axis, k):
    order = np.argsort(x, axis=axis, kind="stable")
    np.testing.assert_array_equal(fn.argsort(a, axis=axis), order)
    expected = np.take_along_axis(bits_of(a), order, axis)
    np.testing.assert_array_equal(bits_of(fn.sort(a, axis=axis)), expected)
    n = x.shape[axis]
    last = np.take(expected, np.arange(n - min(k, n), n), axis)
    np.testing.assert_array_equal(bits_of(fn.topk(a, min(k, n), axis=axis)), last)


def check_partition(a, x, axis, kth):
    """The element is where sorting puts it, none before it is larger, and all are there, by their positions as well."""
    order = np.asarray(fn.argpartition(a, kth, axis=axis)).astype(np.int64)
    np.testing.assert_array_equal(np.sort(order, axis), np.sort(np.argsort(x, axis), axis))
    np.testing.assert_array_equal(bits_of(fn.partition(a, kth, axis=axis)), np.take_along_axis(bits_of(a), order, axis))
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape)  # equal ones have the same
    found, wanted = np.take_along_axis(ranks, order, axis), np.take(np.sort(ranks, axis), [kth], axis)
    np.testing.assert_array_equal(np.take(found, [kth], axis), wanted)
    assert (np.take(found, np.arange(kth), axis) <= wanted).all()
    assert (np.take(found, np.arange(kth, x.shape[axis]), axis) >= wanted).all()


@given(
    st.sampled_from(NAMES),
    st.sampled_from(PATTERNS),
    st.sampled_from(LENGTHS),
    st.sampled_from([(), (1,), (3,), (20,), (2, 3)]),
    st.sampled_from([1, 5, 300]),
    st.integers(0, 5),
    st.booleans(),
)
def test_patterns(instruction_set, name, pattern, n, rest, k, seed, first):
    rng = np.random.default_rng(seed)
    lines = int(np.prod(rest))
    a, x = made(np.concatenate([pattern(rng, n) for _ in range(lines)]), name, seed)
    a, x = a.reshape(*rest, n), x.reshape(*rest, n)
    if first:
        a, x = fn.moveaxis(a, -1, 0), np.moveaxis(x, -1, 0)
    check(a, x, 0 if first else -1, k)
    if n:
        check_partition(a, x, 0 if first else a.ndim - 1, min(k, n - 1))


@pytest.mark.parametrize("pattern", [random, few, organ_pipe, alike_in_front], ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", ["float64", "int32"])
def test_long_lines(name, pattern, instruction_set):
    """Which threads sort together."""
    a, x = made(pattern(np.random.default_rng(1), 70_001), name, 1)
    thread_counts.assert_the_same(lambda: [fn.sort(a), fn.argsort(a), fn.topk(a, 100), fn.topk(a, 30_000)], (1, 3))
    check(a[::-1], x[::-1], 0, 40_000)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", ["float64", "float32", "int32", "int16"])
def test_partitions_of_long_lines(name, pattern):
    """The order on both sides of the element does not depend on the instruction set."""
    rng = np.random.default_rng(2)
    for shape, axis in (((6000,), 0), ((2, 3000), 1), ((2500, 3), 0)):
        a, x = made(pattern(rng, int(np.prod(shape))), name, 1 + shape[0] % 7)
        a, x = a.reshape(shape), x.reshape(shape)
        for kth in (0, 11, shape[axis] // 2, shape[axis] - 1):
            check_partition(a, x, axis, kth)
            first, *others = by_each_set(lambda a=a, kth=kth, axis=axis: fn.partition(a, kth, axis=axis))
            for other in others:
                np.testing.assert_array_equal(other, first)


def by_each_set(compute):
    for name in instruction_sets.SUPPORTED:
        with instruction_sets.using(name):
            yield bits_of(compute())


def killer(n, lanes):
    """Numbers of which every sample that sorting takes has the least, so that nearly all lie on one side of a pivot."""
    left, x, next_ = np.arange(n), np.full(n, np.inf), 0
    while len(left) > 16 * lanes:
        m, vectors = len(left), 4 if len(left) < 8192 else 16
        places = np.concatenate([np.arange(lanes) + (m - lanes) * (2 * r + 1) // (2 * vectors) for r in range(vectors)])
        new = left[np.unique(places)]
        new = new[np.isinf(x[new])]
        x[new] = next_ + np.arange(len(new))
        next_ += len(new)
        pivot = np.sort(x[left[places]])[len(places) // 2]
        left = left[x[left] >= pivot]
    x[np.isinf(x)] = next_
    return x.astype(np.int32)


def least_seconds(x):
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        fn.eval(fn.sort(x))
        best = min(best, time.perf_counter() - start)
    return best


def test_the_worst_pivots_cost_little_more(instruction_set):
    """Without bisection of the range there would be tens to hundreds of times as many passes."""
    x = killer(60_000, {"avx512": 16, "avx2": 8}.get(instruction_set, 4))
    np.testing.assert_array_equal(fn.sort(fn.array(x)), np.sort(x))
    shuffled = np.random.default_rng(0).permutation(x)
    assert least_seconds(fn.array(x)) < 12 * least_seconds(fn.array(shuffled))
