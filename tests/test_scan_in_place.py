"""Stacks of a scan that lie over the sequences that it goes through."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import funcnn as fn

# By the number of operands; exact in float32 for small whole numbers, so that any order of work gives the same.
STEPS = {
    "add": (2, lambda lib, a, b: a + b),
    "subtract": (2, lambda lib, a, b: a - b),
    "larger": (2, lambda lib, a, b: lib.where(a > b, a, b)),
    "negative": (1, lambda lib, a: -a),
    "turned": (1, lambda lib, a: a[::-1]),
    "moved": (1, lambda lib, a: lib.roll(a, 1, axis=0)),
    "transposed": (1, lambda lib, a: lib.swapaxes(a, 0, 1).reshape(a.shape)),
    "sorted": (1, lambda lib, a: lib.sort(a, axis=-1)),
    "lowered": (1, lambda lib, a: a - lib.max(a, axis=0, keepdims=True)),
}


@st.composite
def bodies(draw):
    carries, sequences = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    count, made = carries + sequences, []
    for _ in range(draw(st.integers(1, 7))):
        name = draw(st.sampled_from(sorted(STEPS)))
        made.append((name, [draw(st.integers(0, count - 1)) for _ in range(STEPS[name][0])]))
        count += 1
    next_carries = [draw(st.integers(0, count - 1)) for _ in range(carries)]
    stacked = [draw(st.integers(0, count - 1)) for _ in range(draw(st.integers(1, 4)))]
    kept = draw(st.sets(st.integers(0, sequences - 1)))  # sequences that are results as well
    side = draw(st.sampled_from([2, 3, 16, 90]))  # 90 x 90: steps find memory for themselves
    return carries, sequences, made, next_carries, stacked, kept, side, draw(st.integers(1, 6)), draw(st.booleans())


def run(lib, case, values):
    carries, _, made, next_carries, stacked, kept, _, length, reverse = case
    # Made here, so that they end in the loop.
    values = [v * 2 - 1 for v in values]
    first, xs = values[:carries], values[carries:]

    def step(carry, elements):
        all_values = [*carry, *elements]
        for name, operands in made:
            all_values.append(STEPS[name][1](lib, *[all_values[o] for o in operands]))
        return [all_values[i] for i in next_carries], [all_values[i] for i in stacked]

    if lib is fn:
        last, out = fn.scan(lambda c, x: step(c, x), first, xs, reverse=reverse)
        return [*last, *out, *[xs[k] for k in sorted(kept)]]
    rows = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        first, rows[t] = step(first, [x[t] for x in xs])
    return [*first, *[np.stack(column) for column in zip(*rows, strict=True)], *[xs[k] for k in sorted(kept)]]


@settings(max_examples=150, deadline=None)
@given(bodies(), st.integers(0, 5))
def test_values(case, seed):
    carries, sequences, *_, side, length, _ = case
    rng = np.random.default_rng(seed)
    shapes = [(side, side)] * carries + [(length, side, side)] * sequences
    given = [rng.integers(-9, 9, shape).astype(np.float32) for shape in shapes]
    expected = run(np, case, given)
    compiled = fn.compile(lambda values: run(fn, case, values))
    for f in (compiled, compiled, lambda values: run(fn, case, values)):
        arrays = [fn.array(v) for v in given]
        for a, b in zip(f(arrays), expected, strict=True):
            np.testing.assert_array_equal(np.asarray(a), b)
        for a, b in zip(arrays, given, strict=True):
            np.testing.assert_array_equal(np.asarray(a), b)


@pytest.mark.on_cpu
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("side", [8, 128])
def test_a_recurrence_takes_one_stack(side, reverse):
    length = 64

    def recurrent(x, w):
        def step(h, a):
            h = fn.tanh(a + h @ w)
            return h, h

        return fn.scan(step, fn.zeros((side, side)), x @ w, reverse=reverse)

    x, w = fn.ones((length, side, side)) * 0.1, fn.ones((side, side)) * 0.01
    fn.eval(x, w)
    explained, f = fn.explain(recurrent)(x, w), fn.compile(recurrent)
    fn.eval(f(x, w))
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    fn.eval(f(x, w))
    stack = length * side * side * 4
    assert stack <= fn.get_peak_memory() - before <= explained.peak_bytes < 1.5 * stack


@pytest.mark.on_cpu
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("side", [8, 256])
@pytest.mark.parametrize(
    "step",
    [
        lambda c, x: (c * 2 + x, x * c),
        lambda c, x: (x * c, x + c),
        lambda c, x: (fn.tanh(x + c), x - c),
        lambda c, x: (c, x * 2),
    ],
)
def test_a_stack_has_the_memory_of_a_sequence_beside_a_carry_of_its_size(step, side, reverse):
    length = 64

    def f(c, x):
        return fn.scan(step, c, x + 1, reverse=reverse)

    c, x = fn.ones((side, side)) * 0.5, fn.ones((length, side, side)) * 0.1
    fn.eval(c, x)
    compiled = fn.compile(f)
    fn.eval(compiled(c, x))
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    fn.eval(compiled(c, x))
    stack = length * side * side * 4
    assert stack <= fn.get_peak_memory() - before < 1.5 * stack


def test_a_loop_inside_begins_with_the_row_of_its_step():
    x = np.random.default_rng(1).random((2, 3, 3))
    w = np.arange(18.0).reshape(2, 3, 3)
    lying = fn.transpose(fn.array(x.T, dtype=fn.float64))  # so that only the cotangent can be written over
    fn.eval(lying)

    def inner(c, e):
        return fn.scan(lambda k, _: ((k[0], fn.flip(e[1], 0) - k[0]), None), (c, e[0]), None, length=3)[0][1]

    def f(c, x):
        return fn.scan(lambda _, e: (None, inner(c, e)), None, (x, x))[1]

    to_c, to_x = fn.vjp(f, fn.array(2.0, dtype=fn.float64), lying)[1](fn.array(w, dtype=fn.float64) * 1)
    assert np.array_equal(to_x, w[:, ::-1])
    assert to_c == -w.sum()


INSIDE = {
    "scan": lambda e: fn.scan(lambda c, _: (2 * c + fn.flip(c, 0), None), e, None, length=3)[0],
    "while_loop": lambda e: fn.fori_loop(0, 3, lambda i, c: 2 * c + fn.flip(c, 0), e),
    "cond": lambda e: fn.cond(e[0, 0] >= 0, lambda e: 2 * (2 * (2 * e)), lambda e: -e, e),
}


@pytest.mark.parametrize("length", [2, 3, 7])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", INSIDE)
def test_a_loop_or_branch_inside_has_the_row_of_its_step(name, reverse, length):
    x = np.random.default_rng(2).random((length, 3, 3))
    expected = x
    for _ in range(3):
        expected = 2 * expected if name == "cond" else 2 * expected + expected[:, ::-1]
    body = INSIDE[name]

    def f(x):
        return fn.scan(lambda _, e: (None, body(e)), None, 1 * x, reverse=reverse)[1]

    np.testing.assert_allclose(f(fn.array(x)), expected, rtol=1e-6)
    np.testing.assert_allclose(fn.compile(f)(fn.array(x)), expected, rtol=1e-6)
