"""Plans over few bytes: their results share blocks of memory, and nobody notices."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import funcnn as fn

pytestmark = pytest.mark.on_cpu

# No result keeps more memory than this alive, however small it is.
SHARED = 1024


def values(count, size=8):
    return {str(i): np.arange(size, dtype=np.float32) * (i + 1) for i in range(count)}


def arrays(tree):
    made = {k: fn.array(v) for k, v in tree.items()}
    fn.eval(made)
    return made


@fn.compile
def plus_one(tree):
    return {k: x + 1 for k, x in tree.items()}


@given(st.lists(st.integers(0, 90), min_size=1, max_size=40), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_values(sizes, depth):
    given = [np.linspace(-2, 2, n, dtype=np.float32) for n in sizes]

    def f(xs, np_or_fn):
        out = []
        for x in xs:
            for _ in range(depth):
                x = np_or_fn.cumsum(x * 2 + 1, axis=0)[::-1] - 1
            out += [x, x[: len(x) // 2] * 3]
        return out

    expected = f(given, np)
    compiled = fn.compile(lambda xs: f(xs, fn))
    eager = f([fn.array(x) for x in given], fn)
    for got in (compiled([fn.array(x) for x in given]), compiled([fn.array(x) for x in given]), eager):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-4, atol=1e-3 * max(1, np.abs(b).max(initial=0)))


def test_a_result_keeps_little_more_than_itself():
    tree = arrays(values(100))
    plus_one(tree)
    gc.collect()
    before = fn.get_active_memory()
    out = plus_one(tree)
    assert fn.get_active_memory() - before >= 100 * 32
    for kept in ("0", "42", "99"):
        one = plus_one(tree)[kept]
        with_all = fn.get_active_memory() - before
        del out
        assert 0 < fn.get_active_memory() - before <= SHARED < with_all
        np.testing.assert_array_equal(np.asarray(one), np.arange(8) * (int(kept) + 1) + 1)
        out = plus_one(tree)
        del one
    del out
    assert fn.get_active_memory() == before


def test_measured_as_planned():
    tree = arrays(values(100))
    plus_one(tree)
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    out = plus_one(tree)
    assert fn.get_peak_memory() - before <= 100 * 64
    assert fn.get_active_memory() - before == fn.get_peak_memory() - before
    del out


def test_nobody_sees_or_writes_beyond_a_result():
    out = plus_one(arrays(values(20)))
    for i in range(20):
        x = out[str(i)]
        view = memoryview(x)
        assert view.nbytes == x.nbytes == 32 and view.readonly
        a = np.from_dlpack(x)
        assert a.shape == (8,) and not a.flags.writeable
        assert not np.asarray(x).flags.writeable
        np.testing.assert_array_equal(a, np.arange(8) * (i + 1) + 1)
    again = pickle.loads(pickle.dumps(out))
    assert len(pickle.dumps(out["3"])) < SHARED
    np.testing.assert_array_equal(np.asarray(again["7"]), np.arange(8) * 8 + 1)


def test_arrays_that_are_changed_in_place():
    import funcnn.compat.core as mx

    step = mx.compile(lambda xs: [x + 1 for x in xs])
    out = step([mx.zeros(8) for _ in range(20)])
    out[3][2] = 7
    out[4] += 10
    mx.eval(out)
    for i, x in enumerate(out):
        expected = np.full(8, 11.0 if i == 4 else 1.0)
        if i == 3:
            expected[2] = 7
        np.testing.assert_array_equal(np.array(x), expected)


def test_given_up_arguments():
    step = fn.compile(lambda xs: [x * 2 for x in xs], donate=("xs",))
    xs = [fn.array(np.full(8, i, np.float32)) for i in range(30)]
    for n in range(1, 5):
        old, xs = xs, step(xs)
        with pytest.raises(ValueError, match=r"donated|given"):
            np.asarray(old[5])
        for i, x in enumerate(xs):
            np.testing.assert_array_equal(np.asarray(x), np.full(8, i * 2**n))
    # One that is asked for twice, and one that is alive elsewhere as a pending expression.
    pending = xs[0] + 1
    ys = step([xs[0], xs[1], xs[1], *xs[2:]])
    np.testing.assert_array_equal(np.asarray(pending), np.ones(8))
    np.testing.assert_array_equal(np.asarray(ys[1]), np.asarray(ys[2]))
    np.testing.assert_array_equal(np.asarray(ys[3]), np.full(8, 2 * 32))


def test_the_last_of_a_block_is_given_up():
    double = fn.compile(lambda x: x * 2, donate=("x",))
    first = plus_one(arrays(values(20)))["0"]
    gc.collect()
    before = fn.get_active_memory()
    second = double(first)
    del first
    np.testing.assert_array_equal(np.asarray(second), (np.arange(8) + 1) * 2)
    assert fn.get_active_memory() <= before


def test_results_that_are_one_array_or_an_argument():
    @fn.compile
    def f(x, y, empty):
        z = x + y
        return z, z, x, z[2:5], empty, empty + 1, y.reshape(2, 4)

    x, y, empty = fn.ones(8), fn.arange(8, dtype=fn.float32), fn.zeros((0, 3))
    for _ in range(3):
        a, b, c, d, e, g, h = f(x, y, empty)
        np.testing.assert_array_equal(np.asarray(a), np.arange(8) + 1)
        np.testing.assert_array_equal(np.asarray(b), np.arange(8) + 1)
        np.testing.assert_array_equal(np.asarray(c), np.ones(8))
        np.testing.assert_array_equal(np.asarray(d), [3, 4, 5])
        assert e.shape == g.shape == (0, 3) and np.asarray(g).size == 0
        np.testing.assert_array_equal(np.asarray(h), np.arange(8).reshape(2, 4))
        del a, b
        np.testing.assert_array_equal(np.asarray(d), [3, 4, 5])


def test_weak_references_and_cycles():
    tree = arrays(values(20))
    gc.collect()
    before = fn.get_active_memory()
    out = plus_one(tree)
    seen = weakref.ref(out["1"])
    held = [out]
    held.append(held)
    del out, held
    gc.collect()
    assert seen() is None
    assert fn.get_active_memory() == before


def test_an_exception_in_the_middle():
    calls = []

    def fails(x):
        calls.append(1)
        if len(calls) % 2 == 0:
            raise RuntimeError("no")
        return x

    @fn.compile
    def f(xs):
        return [fn.pure_callback(fails, fn.ShapeDtypeStruct((8,), fn.float32), x + 1) * 2 for x in xs]

    xs = [fn.ones(8) for _ in range(2)]
    fn.eval(xs)
    with pytest.raises(RuntimeError, match="no"):
        f(xs)
    gc.collect()
    before = fn.get_active_memory()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no"):
            f(xs)
        gc.collect()
        assert fn.get_active_memory() == before
        calls.clear()


def test_threads():
    trees = [arrays({k: v + n for k, v in values(50).items()}) for n in range(4)]
    wrong = []

    def work(n):
        for _ in range(200):
            out = plus_one(trees[n])
            i = n * 7
            if not (np.asarray(out[str(i)]) == np.arange(8) * (i + 1) + n + 1).all():
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
