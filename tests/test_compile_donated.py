"""What becomes of donated arguments, in short calls that are like the one before and in others."""

from __future__ import annotations

import numpy as np
import pytest
from tests.test_compile_again import ready

import funcnn as fn

pytestmark = [pytest.mark.on_cpu, pytest.mark.parametrize("size", [5, 40_000])]
CALLS = 5


def same(got, expected):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected, np.float32))


def refused(x):
    with pytest.raises(ValueError, match="donated"):
        np.asarray(x)


def test_they_are_lost_unless_they_are_returned(size):
    f = fn.compile(lambda a, b, c, d: (a + b, c, d * 2), donate=(0, 2, 3))
    for i in range(CALLS):
        a, b, c, d = (ready(size, start=i + k) for k in range(4))
        total, returned, doubled = f(a, b, c, d)
        refused(a)
        refused(d)
        same(b, np.arange(size) + i + 1)
        same(c, np.arange(size) + i + 2)
        same(returned, np.arange(size) + i + 2)
        same(total, 2 * np.arange(size) + 2 * i + 1)
        same(doubled, 2 * (np.arange(size) + i + 3))


def test_given_twice(size):
    once = fn.compile(lambda a, b: a + b, donate=(0,))
    both = fn.compile(lambda a, b: a * b, donate=(0, 1))
    for i in range(CALLS):
        once(ready(size), ready(size))
        both(ready(size), ready(size))
        x = ready(size, start=i)
        same(once(x, x), 2 * (np.arange(size) + i))
        same(x, np.arange(size) + i)
        same(both(x, x), (np.arange(size) + i) ** 2)
        refused(x)


def test_awaited(size):
    f = fn.compile(lambda a: a + 1, donate=(0,))
    for i in range(CALLS):
        f(ready(size))
        x = ready(size, start=i)
        y = x * 2
        same(f(x), np.arange(size) + i + 1)
        same(y, 2 * (np.arange(size) + i))


def test_a_state_that_goes_round(size):
    step = fn.compile(lambda state, x: {k: v + x for k, v in state.items()}, donate=("state",))
    state = {k: ready(size, start=i) for i, k in enumerate("abc")}
    x = ready(1, start=1)
    for _ in range(20):
        before, state = state, step(state, x)
        for y in before.values():
            refused(y)
    for i, k in enumerate("abc"):
        same(state[k], np.arange(size) + i + 20)


def test_failures_leave_them(size):
    f = fn.compile(lambda xs: [x + 1 for x in xs], donate=(0,))
    for _ in range(3):
        f([ready(size, start=i) for i in range(4)])
    xs = [ready(size, start=i) for i in range(4)]
    views = [np.asarray(x) for x in xs]  # nothing is taken over
    limit = fn.set_memory_limit(fn.get_active_memory() + 64)
    try:
        with pytest.raises(MemoryError):
            f(xs)
    finally:
        fn.set_memory_limit(limit)
    for i, (x, view) in enumerate(zip(xs, views, strict=True)):
        same(x, np.arange(size) + i)
        same(view, np.arange(size) + i)
    for i, y in enumerate(f(xs)):
        same(y, np.arange(size) + i + 1)


def test_lost_arrays_stay_lost_while_others_take_their_places(size):
    f = fn.compile(lambda a, b: (a + 1, b * 2), donate=(0, 1))
    a, b = ready(size), ready(size, start=1)
    held = []
    for i in range(4 * CALLS):
        if i % 3 == 0:
            held.append(a)
        a, b = f(a, b)
    for x in held:
        refused(x)
    same(a, np.arange(size) + 4 * CALLS)
    same(b, (np.arange(size) + 1) * 2.0 ** (4 * CALLS))


def test_a_count_that_begins_as_a_number_needs_one_plan(size):
    f = fn.compile(lambda count, a: (count + 1, a + count), donate=(0, 1))
    count, a = fn.array(0), ready(size)
    plans = []
    for _ in range(CALLS):
        with fn.profile() as p:
            count, a = f(count, a)
        plans.append(sum(span.kind == "plan" for span in p.spans))
    assert plans == [1] + [0] * (CALLS - 1)
    assert count.item() == CALLS
    same(a, np.arange(size) + sum(range(CALLS)))
