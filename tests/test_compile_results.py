"""Results of short compiled calls: what they share with each other and with those of calls before is not seen."""

from __future__ import annotations

import gc
import random
import threading

import numpy as np
import pytest

import funcnn as fn
from funcnn import tree
from funcnn.compat import core as mx

pytestmark = pytest.mark.on_cpu


def ready(x):
    x = fn.array(x)
    fn.eval(x)
    return x


@fn.compile
def plus_one(t):
    return tree.map(lambda x: x + 1, t)


def values(shapes, dtypes):
    return [np.arange(np.prod(s, dtype=int)).reshape(s).astype(d) for s in shapes for d in dtypes]


def check(out, given):
    for got, x in zip(out, given, strict=True):
        assert got.shape == x.shape and got.dtype == fn.array(x, dtype=str(x.dtype)).dtype
        np.testing.assert_array_equal(np.asarray(got), x + x.dtype.type(1))


def test_results_of_other_kinds_by_turns():
    # What dies with one call is used again for the next, whose shapes and dtypes are others.
    kinds = [
        values([(8,)] * 20, ["float32"]),
        values([(2, 3), (), (5,)], ["float32", "int32"]),
        values([(8,)] * 20, ["int32"]),
        values([(3, 2), (1, 1, 4), (8,)], ["int32", "float16"]),
    ]
    given = [[fn.array(x, dtype=str(x.dtype)) for x in kind] for kind in kinds]
    fn.eval(given)
    for i in range(40):
        k = i // 2 % len(kinds)
        check(plus_one(given[k]), kinds[k])


def test_results_of_views():
    @fn.compile
    def f(x):
        y = x + 1
        return y, y[1:, ::2], y.T

    for shape in [(4, 6), (6, 4), (4, 6), (24,), (4, 6)]:
        x = np.arange(24, dtype=np.float32).reshape(shape)
        for _ in range(3):
            if len(shape) == 1:
                check(plus_one([ready(x)]), [x])
                continue
            y, part, turned = f(ready(x))
            np.testing.assert_array_equal(np.asarray(part), (x + 1)[1:, ::2])
            del y
            np.testing.assert_array_equal(np.asarray(turned), (x + 1).T)


def test_memory_of_results_that_die_in_any_order():
    given = {str(i): ready(np.full(8, i, np.float32)) for i in range(100)}
    plus_one(given)
    gc.collect()
    before = fn.get_active_memory()
    order = random.Random(0)
    held = []
    for _ in range(50):
        out = plus_one(given)
        held.append(out.pop(str(order.randrange(100))))
        kept = list(out.values())
        del out
        order.shuffle(kept)
        while kept:
            kept.pop()
    for x in held:
        assert np.unique(np.asarray(x)).size == 1
    del x
    # A block lives as long as the last of its results: no result takes more than one.
    assert fn.get_active_memory() <= before + 51 * 1024
    held.clear()
    plus_one(given)
    assert fn.get_active_memory() <= before + 1024


def test_results_that_die_on_other_threads():
    given = [ready(np.full(8, i, np.float32)) for i in range(64)]
    plus_one(given)
    gc.collect()
    before = fn.get_active_memory()
    errors = []

    def look(out, start):
        try:
            for i, x in enumerate(out):
                assert np.asarray(x)[0] == 2 * i + start + 1
            while out:
                out.pop()
        except BaseException as error:
            errors.append(error)

    def work():
        for _ in range(100):
            out = plus_one(given)
            mine, other = out[::2], out[1::2]
            del out
            thread = threading.Thread(target=look, args=(other, 1))
            thread.start()
            look(mine, 0)
            thread.join()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors
    gc.collect()
    # A thread holds a block at most, and may end after it was joined.
    assert fn.get_active_memory() <= before + 8 * 1024


def test_one_array_in_several_functions():
    x = ready(np.arange(8, dtype=np.float32))
    twice, thrice = fn.compile(lambda x: x * 2), fn.compile(lambda x, n: x * n)
    for _ in range(4):
        np.testing.assert_array_equal(np.asarray(twice(x)), np.arange(8) * 2)
        np.testing.assert_array_equal(np.asarray(thrice(x, x)), np.arange(8) ** 2)
        np.testing.assert_array_equal(np.asarray(thrice(x, 3)), np.arange(8) * 3)
        np.testing.assert_array_equal(np.asarray(twice(twice(x))), np.arange(8) * 4)


def test_arguments_that_are_given_away():
    # What was found to be like the arguments before is so no more once its memory is another's.
    take = fn.compile(lambda x: x * 3, donate=0)
    f = fn.compile(lambda x: x + 1)
    for _ in range(3):
        x = ready(np.ones(64, np.float32))
        for _ in range(3):
            np.testing.assert_array_equal(np.asarray(f(x)), np.full(64, 2))
        np.testing.assert_array_equal(np.asarray(take(x)), np.full(64, 3))
        with pytest.raises(ValueError, match="donated|given"):
            fn.eval(f(x))


def test_results_that_become_mutable():
    f = fn.compile(lambda x: x + 1)
    x = ready(np.zeros(8, np.float32))
    for _ in range(4):
        m = mx.array(f(x))
        kept = f(x)
        m += 5
        m[0] = 7
        np.testing.assert_array_equal(np.array(m), [7] + [6] * 7)
        np.testing.assert_array_equal(np.asarray(kept), np.ones(8))
        np.testing.assert_array_equal(np.asarray(f(x)), np.ones(8))
        np.testing.assert_array_equal(np.asarray(f(kept)), np.full(8, 2))


@pytest.mark.parametrize("times", [1, 2, 5])
def test_weak_and_strong_by_turns(times):
    f = fn.compile(lambda x: x * fn.ones(3, dtype=fn.float16))
    strong, number = ready(np.float32(2)), fn.compile(lambda x: x + 1)(2.0)
    for _ in range(3):
        for x, dtype in [(strong, fn.float32), (2.0, fn.float16), (number, fn.float16), (strong, fn.float32)]:
            for _ in range(times):
                assert f(x).dtype == dtype


def test_derivatives_of_arguments_met_before():
    f = fn.compile(lambda x: fn.sum(x * x))
    x = ready(np.arange(8, dtype=np.float32))
    for _ in range(3):
        f(x)
        np.testing.assert_array_equal(np.asarray(fn.grad(f)(x)), 2 * np.arange(8))
        np.testing.assert_array_equal(np.asarray(fn.vmap(f)(ready(np.ones((2, 8), np.float32)))), [8, 8])
