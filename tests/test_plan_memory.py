"""What the planner says of memory: the peak, and the largest set of values that are alive at once."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import funcnn as fn

SIDE = 16
ITEM = 4


@st.composite
def products(draw):
    """A graph of products, as (operation, operands) of earlier values, the rows of each value, and its results.

    Values are tall (rows x SIDE) or square; a square one comes from two tall ones of as many rows.
    """
    rows = [draw(st.integers(20, 400)) for _ in range(2)]
    rows += [rows[0], rows[1], SIDE]
    made: list[tuple[str, int, int]] = []
    leaves = len(rows)
    for _ in range(draw(st.integers(2, 12))):
        tall = [v for v, r in enumerate(rows) if r != SIDE]
        square = [v for v, r in enumerate(rows) if r == SIDE]
        if draw(st.booleans()):
            a = draw(st.sampled_from(tall))
            b = draw(st.sampled_from([v for v in tall if rows[v] == rows[a]]))
            node, size = ("gram", a, b), SIDE
        else:
            a = draw(st.sampled_from(tall))
            node, size = ("times", a, draw(st.sampled_from(square))), rows[a]
        if node in made:
            continue
        made.append(node)
        rows.append(size)
    results = draw(st.sets(st.integers(leaves, len(rows) - 1), min_size=1, max_size=3))
    return leaves, rows, made, sorted(results)


def build(leaves, made, results):
    def f(*arrays):
        values = list(arrays)
        for name, a, b in made:
            values.append(values[a].T @ values[b] if name == "gram" else values[a] @ values[b])
        return [values[r] for r in results]

    return f


def largest_live_set(leaves, rows, made, results):
    """By trying everything in the order that the planner documents."""
    reads = {leaves + i: set(operands) for i, (_, *operands) in enumerate(made)}
    needed, work = set(), list(results)
    while work:
        v = work.pop()
        if v >= leaves and v not in needed:
            needed.add(v)
            work.extend(reads[v])
    size = {v: rows[v] * SIDE * ITEM for v in needed}
    waiting, done, most = set(needed), set(), 0

    def readers(v):
        return [u for u in waiting if v in reads[u]]

    while waiting:
        ready = [u for u in waiting if all(v < leaves or v in done for v in reads[u])]
        frees = {
            u: sum(size[v] for v in reads[u] if v in size and v not in results and readers(v) == [u]) for u in ready
        }
        step = min([u for u in ready if frees[u] > size[u]] or ready)
        waiting.remove(step)
        done.add(step)
        alive = {v for v in done if v == step or v in results or readers(v)}
        most = max(most, sum(size[v] for v in alive))
    return most


@settings(max_examples=60, deadline=None)
@given(products())
def test_live_bytes_are_those_of_brute_force(graph):
    leaves, rows, made, results = graph
    arrays = [fn.zeros((r, SIDE)) for r in rows[:leaves]]
    explained = fn.explain(build(leaves, made, results))(*arrays)
    assert explained.live_bytes == largest_live_set(leaves, rows, made, results)
    assert explained.live_bytes <= explained.peak_bytes


@pytest.mark.immediate
@settings(max_examples=20, deadline=None)
@given(products())
def test_what_is_measured_lies_between(graph):
    leaves, rows, made, results = graph
    arrays = [fn.ones((r, SIDE)) for r in rows[:leaves]]
    fn.eval(arrays)
    f = build(leaves, made, results)
    explained = fn.explain(f)(*arrays)
    compiled = fn.compile(f)
    fn.eval(compiled(*arrays))
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    fn.eval(compiled(*arrays))
    assert explained.live_bytes <= fn.get_peak_memory() - before <= explained.peak_bytes


def test_a_chain_in_place_keeps_one_value():
    def chain(x, w):
        y = fn.sort(x * 2.0, axis=0)
        return fn.sort(y, axis=1) @ w

    explained = fn.explain(chain)(fn.zeros((256, 64)), fn.zeros((64, 1)))
    assert explained.live_bytes == 256 * 64 * ITEM


@pytest.mark.parametrize("length", [3, 50])
def test_a_loop_holds_its_results_and_what_is_alive_in_its_body(length):
    def body(carry, x):
        wide = carry @ x  # 64 x 512, gone before the next step
        return fn.tanh(wide) @ x.T, carry.sum()

    def loop(carry, xs):
        return fn.scan(body, carry, xs)

    explained = fn.explain(loop)(fn.zeros((64, 8)), fn.zeros((length, 8, 512)))
    wide, carry, sums = 64 * 512 * ITEM, 64 * 8 * ITEM, length * ITEM
    assert wide <= explained.live_bytes <= wide + 2 * carry + sums
    assert explained.live_bytes <= explained.peak_bytes
    assert "alive at once" in explained.plan


@pytest.mark.on_cpu
@pytest.mark.parametrize("elements", [2**18 + 1, 102_760_448 // 64, 1_605_633, 2**21, 3 * 2**19 + 12345])
def test_blocks_of_large_arrays_are_little_larger(elements):
    before = fn.get_active_memory()
    x = fn.full((elements,), 2.0)
    fn.eval(x)
    taken = fn.get_active_memory() - before
    assert elements * ITEM <= taken <= elements * ITEM * 33 / 32
    del x
    assert fn.get_active_memory() == before


def products_and_wide_results(x, w, v):
    """What packs `w` for its product, then writes results in which that fits."""
    wide = (x @ w.T)[:, :, None] * v
    return wide, fn.tanh(x) @ w.T, wide.sum((0, 1))


def products_and_wide_results_by_numpy(x, w, v):
    x, w, v = (np.asarray(a, np.float64) for a in (x, w, v))
    wide = (x @ w.T)[:, :, None] * v
    return wide, np.tanh(x) @ w.T, wide.sum((0, 1))


def normal(seed, *shape):
    return fn.array(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.on_cpu
def test_scratch_memory_lies_where_a_later_result_does():
    x, w, v = normal(0, 128, 784), normal(1, 256, 784), normal(2, 20)
    f = fn.compile(lambda x, w, v: (x @ w.T)[:, :, None] * v)
    fn.clear_cache()
    out = f(x, w, v)
    fn.eval(out)
    assert fn.get_cache_memory() < 256 * 784 * ITEM
    np.testing.assert_allclose(out, products_and_wide_results_by_numpy(x, w, v)[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("rows", [1, 65, 300])
def test_what_was_scratch_memory_holds_results(rows):
    x, w, v = normal(0, rows, 784), normal(1, 256, 784), normal(2, 20)
    expected = products_and_wide_results_by_numpy(x, w, v)
    f = fn.compile(products_and_wide_results)
    for _ in range(2):
        for result, known in zip(f(x, w, v), expected, strict=True):
            np.testing.assert_allclose(result, known, rtol=1e-4, atol=1e-3 * np.abs(known).max())


def test_what_was_scratch_memory_holds_the_results_of_a_loop():
    x, w, v = normal(0, 5, 64, 784), normal(1, 256, 784), normal(2, 20)

    def body(total, x):
        wide, other, sums = products_and_wide_results(x, w, v)
        return total + sums, (wide, other)

    total, (wide, other) = fn.compile(lambda x: fn.scan(body, fn.zeros(20), x))(x)
    by_numpy = [products_and_wide_results_by_numpy(x[i], w, v) for i in range(5)]
    for result, known in [(wide, 0), (other, 1)]:
        known = np.stack([step[known] for step in by_numpy])
        np.testing.assert_allclose(result, known, rtol=1e-4, atol=1e-4 * np.abs(known).max())
    known = sum(step[2] for step in by_numpy)
    np.testing.assert_allclose(total, known, rtol=1e-4, atol=1e-4 * np.abs(known).max())
