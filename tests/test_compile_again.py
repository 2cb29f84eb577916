"""Short calls of compiled functions that are like the one before: arguments are read where they lie."""

from __future__ import annotations

import collections
import gc
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import funcnn as fn
from funcnn import tree

pytestmark = pytest.mark.on_cpu

Pair = collections.namedtuple("Pair", ["first", "second"])


def ready(*shape, start=0.0, dtype=np.float32):
    x = fn.array(np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape) + start)
    fn.eval(x)
    return x


def same(got, expected):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))


containers = st.recursive(
    st.integers(1, 9).map(lambda n: ready(n, start=n)),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.tuples(children, children).map(lambda p: Pair(*p)),
        st.dictionaries(st.sampled_from("zyxabc"), children, max_size=4),
        st.dictionaries(st.sampled_from("zyxabc"), children, max_size=4).map(tree.frozendict),
        st.dictionaries(st.sampled_from("zyxabc"), children, max_size=2).map(collections.OrderedDict),
        st.none(),
        st.just(tree.absent),
    ),
    max_leaves=12,
)


def increased(t):
    return tree.map(lambda x: x + 1, t)


def copied(t):
    """The same containers anew, with the same arrays."""
    return tree.map(lambda x: x, t)


@given(st.lists(containers, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_trees_by_turns(trees):
    f = fn.compile(increased)
    for _ in range(3):
        for t in trees:
            for like in (t, copied(t), t):
                got = f(like)
                assert tree.structure(got) == tree.structure(t)
                for a, b in zip(tree.leaves(got), tree.leaves(t), strict=True):
                    same(a, np.asarray(b) + 1)


def test_other_order_and_other_keys():
    f = fn.compile(lambda t: t["a"] - t["b"])
    a, b = ready(3, start=5), ready(3)
    for _ in range(12):
        same(f({"a": a, "b": b}), [5, 5, 5])
        same(f({"b": b, "a": a}), [5, 5, 5])
    for _ in range(3):
        same(f({"b": a, "a": b}), [-5, -5, -5])
        with pytest.raises(KeyError):
            f({"a": a, "c": b})
        same(f({"a": a, "b": b}), [5, 5, 5])


def test_keywords():
    f = fn.compile(lambda x, *, scale, shift: x * scale + shift)
    x, s, t = ready(4), ready(1, start=2), ready(1, start=7)
    for _ in range(3):
        same(f(x, scale=s, shift=t), np.arange(4) * 2 + 7)
        same(f(x, shift=t, scale=s), np.arange(4) * 2 + 7)
        same(f(x, shift=s, scale=t), np.arange(4) * 7 + 2)


def test_static_arguments_by_turns():
    traces = []

    @fn.compile(static_argnums=(1,), static_argnames=("how",))
    def f(x, n, y, *, how="times"):
        traces.append((n, how))
        return (x * n if how == "times" else x + n), y - x

    x, y = ready(4, start=0, dtype=np.int32), ready(4, start=3, dtype=np.int32)
    expected = [
        (2, "times", np.arange(4) * 2, fn.int32),
        (2, "plus", np.arange(4) + 2, fn.int32),
        (2.0, "times", np.arange(4) * 2, fn.float32),
        (True, "plus", np.arange(4) + 1, fn.int32),
    ]
    for _ in range(4):
        for n, how, values, dtype in expected:
            for _ in range(3):
                first, second = f(x, n, y, how=how)
                assert first.dtype == dtype
                same(first, values)
                same(second, [3, 3, 3, 3])
                same(f(y, n, x, how=how)[1], [-3, -3, -3, -3])
    assert len(traces) == len(expected)
    same(f(x, 2, y)[0], np.arange(4) * 2)
    same(f(x, y=y, n=2)[0], np.arange(4) * 2)


def test_static_arguments_whose_comparison_empties_the_others():
    class Rude:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            given.clear()
            return True

    f = fn.compile(lambda t, how: {k: x + 1 for k, x in t.items()}, static_argnames=("how",))
    given = {}
    for _ in range(5):
        given.update({str(i): ready(3, start=i) for i in range(30)})
        out = f(given, how=Rude())
        assert len(out) in (0, 30)
        for i, y in out.items():
            same(y, np.arange(3) + int(i) + 1)


def test_arguments_that_change_their_kind():
    f = fn.compile(lambda x, y: x * 2 + y)
    y = ready(3, start=1)
    base = np.arange(12, dtype=np.float32).reshape(4, 3)
    whole = fn.array(base)
    fn.eval(whole)
    flipped, columns = whole[::-1], fn.transpose(whole)[:3, :3]
    fn.eval(flipped, columns)
    plain = ready(3)
    integers = ready(3, dtype=np.int32)
    half = fn.array(np.arange(3, dtype=np.float16))
    cases = [
        (plain, np.arange(3)),
        (whole, base),
        (flipped, base[::-1]),
        (columns, base.T[:3, :3]),
        (3.0, 3.0),
        (np.arange(3, dtype=np.float32), np.arange(3)),
        (integers, np.arange(3)),
        (half, np.arange(3)),
        (plain, np.arange(3)),
    ]
    for _ in range(3):
        for argument, expected in cases:
            for _ in range(2):
                same(f(argument, y), np.asarray(expected) * 2 + np.arange(1, 4))
        same(f(plain + 1, y), (np.arange(3) + 1) * 2 + np.arange(1, 4))  # not yet computed


def test_what_is_returned():
    constant = ready(3, start=10)

    def f(x, y):
        z = x + constant
        return {"z": z, "again": z, "x": x, "view": z[1:], "made": fn.zeros(2), "y": [y, y * 2]}

    compiled = fn.compile(f)
    x, y = ready(3), ready(2)
    kept = []
    for _ in range(4):
        out = compiled(x, y)
        kept.append(out)
        same(out["z"], [10, 12, 14])
        same(out["again"], [10, 12, 14])
        same(out["view"], [12, 14])
        same(out["made"], [0, 0])
        same(out["x"], [0, 1, 2])
        same(out["y"][1], [0, 2])
        assert out["z"].device == x.device
    del compiled, out
    for out in kept:
        same(out["z"], [10, 12, 14])


def test_numbers_stay_numbers():
    f = fn.compile(lambda x: (x + 1, x.astype(fn.bfloat16), 2.5))
    x = ready(2)
    for _ in range(3):
        out = f(x)
        assert [o.dtype for o in out] == [fn.float32, fn.bfloat16, fn.float32]
        assert (fn.ones(2, fn.float16) * out[2]).dtype == fn.float16


def test_mutable_arrays_by_turns():
    import funcnn.compat.core as mx

    f = fn.compile(lambda x: x + 1)
    mutable, plain = mx.array(np.arange(3, dtype=np.float32)), ready(3)
    mx.eval(mutable)
    for _ in range(3):
        for given_array in (mutable, mutable, plain, plain):
            got = f(given_array)
            assert type(got) is type(given_array)
            same(got, [1, 2, 3])


def test_mutable_arrays_are_traced_once():
    import funcnn.compat.core as mx

    traces = []

    @fn.compile
    def f(x):
        traces.append(1)
        return x + 1

    x = mx.array(np.arange(3, dtype=np.float32))
    mx.eval(x)
    for _ in range(4):
        same(f(x), [1, 2, 3])
    assert len(traces) == 1 and f.cache_info()["hits"] == 3


def test_changes_between_calls():
    f = fn.compile(lambda x: x + 1)
    x = ready(5)
    before = fn.set_fusion(True)
    try:
        for on in (True, False, True):
            fn.set_fusion(on)
            for _ in range(3):
                same(f(x), np.arange(5) + 1)
    finally:
        fn.set_fusion(before)
    fn.clear_plan_cache()
    same(f(x), np.arange(5) + 1)
    f.clear_cache()
    for _ in range(3):
        same(f(x), np.arange(5) + 1)
    assert f.cache_info()["hits"] == 2
    assert f.cache_info()["misses"] == 1


def test_lost_arguments_are_refused():
    f = fn.compile(lambda x: x + 1)
    give = fn.compile(lambda x: x * 2, donate=(0,))
    x = ready(6)
    for _ in range(3):
        f(x)
    give(x)
    with pytest.raises(ValueError, match="donated"):
        f(x)


def test_memory_limit():
    f = fn.compile(lambda xs: [x + 1 for x in xs])
    xs = [ready(8, start=i) for i in range(20)]
    for _ in range(3):
        f(xs)
    active = fn.get_active_memory()
    limit = fn.set_memory_limit(active + 64)
    try:
        for _ in range(2):
            with pytest.raises(MemoryError):
                f(xs)
            assert fn.get_active_memory() == active
    finally:
        fn.set_memory_limit(limit)
    for i, y in enumerate(f(xs)):
        same(y, np.arange(8) + i + 1)


def test_under_transformations():
    f = fn.compile(lambda x: fn.sin(x) * x)
    x = ready(4, start=1)
    for _ in range(3):
        f(x)
    for _ in range(2):
        expected = np.cos(np.arange(1, 5)) * np.arange(1, 5) + np.sin(np.arange(1, 5))
        np.testing.assert_allclose(np.asarray(fn.grad(lambda x: f(x).sum())(x)), expected, rtol=1e-5)
        same(fn.vmap(f)(x), np.asarray(f(x)))
        outer = fn.compile(lambda x: f(x) + 1)
        same(outer(x), np.asarray(f(x)) + 1)


def test_finalisers_that_empty_the_arguments():
    """Collections may run while results are made: arguments are no longer read by then."""
    given = {str(i): ready(3, start=i) for i in range(50)}
    f = fn.compile(lambda t: [t[k] + 1 for k in sorted(t, key=int)])

    class Breaker:
        def __del__(self):
            given.clear()
            f.clear_cache()

    for _ in range(3):
        f(given)
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(5):
            given.update({str(i): ready(3, start=i) for i in range(50)})
            f(given)
            f(given)
            cycle = Breaker()
            cycle.self = cycle
            del cycle
            out = f(given)
            assert len(out) in (0, 50)
            for i, y in enumerate(out):
                same(y, np.arange(3) + i + 1)
    finally:
        gc.set_threshold(*before)


def test_threads_that_change_the_arguments():
    f = fn.compile(lambda t: [t["a"] + t["b"], t["a"] - t["b"]])
    shared = {"a": ready(16, start=3), "b": ready(16)}
    others = [ready(16, start=3) for _ in range(8)]
    wrong = []
    stop = threading.Event()

    def call():
        while not stop.is_set():
            total, difference = f(shared)
            if not (np.asarray(difference) == 3).all() or np.asarray(total)[0] != 3:
                wrong.append((np.asarray(total), np.asarray(difference)))
                return

    threads = [threading.Thread(target=call) for _ in range(3)]
    for t in threads:
        t.start()
    for i in range(2000):
        shared["a"] = others[i % 8]
        if i % 500 == 0:
            f.clear_cache()
    stop.set()
    for t in threads:
        t.join()
    assert not wrong


def test_eval_of_what_is_computed():
    x = ready(2)
    fn.eval({"a": [x, (x,)], "b": x}, [x], x)
    deep = [x]
    for _ in range(100):
        deep = [deep]
    fn.eval(deep)
    y = x + 1
    fn.eval([x, {"y": (y,)}])
    same(y, [1, 2])
    with pytest.raises(fn.TracedValueError):
        fn.vmap(lambda z: [fn.eval([x, z]), z][1])(x)
