"""Arrays that Python has let go of stand for later results of compiled functions."""

from __future__ import annotations

import collections
import gc
import random
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import attrs
import numpy as np
import pytest
from tests.test_compile_again import ready, same

import funcnn as fn
from funcnn import tree

pytestmark = pytest.mark.on_cpu


def several(n=20):
    f = fn.compile(lambda xs, y: [x + y for x in xs])
    xs = [ready(3, start=10 * i) for i in range(n)]

    def call(shift):
        return f(xs, ready(1, start=shift))

    for i in range(3):
        call(i)
    return call


def test_results_are_themselves_whichever_were_let_go():
    call, order = several(), random.Random(0)
    alive = {}
    for step in range(60):
        for i, y in enumerate(call(step)):
            alive[step, i] = y
        for key in order.sample(sorted(alive), len(alive) * 2 // 3):
            del alive[key]
        for (made, i), y in alive.items():
            same(y, np.arange(3) + 10 * i + made)


def test_kinds_by_turns():
    def f(x):
        return x + 1, x.astype(fn.int32) * 2, (x[:2] - 1).reshape(2, 1), x > 1

    compiled = fn.compile(f)
    kept = []
    for i in range(40):
        x = ready(4 + i % 3, start=i)
        out = compiled(x)
        for got, expected in zip(out, f(x), strict=True):
            assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
            same(got, expected)
        kept.append(out[i % 4])
        if i % 5 == 0:
            kept.clear()


def test_weak_references_end_with_their_arrays():
    call = several()
    ended = []
    refs = []
    for step in range(4):
        out = call(step)
        refs.append([weakref.ref(y, lambda ref, step=step: ended.append(step)) for y in out])
        assert all(ref() is y for ref, y in zip(refs[-1], out, strict=True))
    del out
    assert sorted(ended) == sorted([*range(4)] * 20)
    later = call(9)
    assert all(ref() is None for many in refs for ref in many)
    assert not weakref.getweakrefs(later[0])


def test_callbacks_that_call():
    call = several()
    got = []
    out = call(1)
    refs = [weakref.ref(y, lambda ref: got.append(call(5))) for y in out]
    del out
    assert len(got) == len(refs)
    for many in got:
        for i, y in enumerate(many):
            same(y, np.arange(3) + 10 * i + 5)
    for i, y in enumerate(call(2)):
        same(y, np.arange(3) + 10 * i + 2)


def test_cycles_through_containers_are_collected():
    call = several()
    for step in range(3):
        out = call(step)
        out.append(out)
        ref = weakref.ref(out[0])
        holder = {"array": out[1]}
        holder["self"] = holder
        other = weakref.ref(out[1])
        del out, holder
        gc.collect()
        assert ref() is None
        assert other() is None


def test_memory_goes_with_the_arrays():
    call = several()
    call(0)
    before = fn.get_active_memory()
    for step in range(5):
        out = call(step)
        assert fn.get_active_memory() > before
        del out
        assert fn.get_active_memory() == before


def test_memory_of_others_goes_with_the_arrays():
    f = fn.compile(lambda x: x + 1)
    numbers = np.arange(6, dtype=np.float32)
    before = sys.getrefcount(numbers)
    for _ in range(6):
        x = fn.asarray(numbers)
        y = f(x)
        del x
        same(y, numbers + 1)
        del y
        f(f(f(fn.asarray(numbers))))
    assert sys.getrefcount(numbers) == before


def test_references_are_balanced():
    f = fn.compile(lambda xs: [x + 1 for x in xs])
    xs = [ready(3, start=10 * i) for i in range(20)]
    for _ in range(5):
        f(xs)
    gc.collect()
    fn.clear_cache()  # what is kept of other calls goes little by little
    before = sys.getrefcount(fn.array)
    for _ in range(500):
        out = f(xs)
        held = sys.getrefcount(out[3])
        assert held == 2  # of the list, and of the call that asks
    del out
    assert abs(sys.getrefcount(fn.array) - before) < 100


def test_sizes_and_other_uses():
    call = several()
    for step in range(3):
        first, second, *_ = call(step)
        assert sys.getsizeof(first) == sys.getsizeof(ready(3))
        same(fn.grad(lambda x: (x * x).sum())(first), 2 * (np.arange(3) + step))
        same(first + second, 2 * np.arange(3) + 10 + 2 * step)
        view = memoryview(first)
        del first
        same(np.asarray(view), np.arange(3) + step)


def test_more_than_are_kept():
    f = fn.compile(lambda x: [x + i for i in range(50)])
    g = fn.compile(lambda x: [(x - i)[:2] for i in range(50)])
    x = ready(3)
    for h, n in ((f, 3), (g, 2), (f, 3)):
        held = [h(x) for _ in range(130)]
        del held
        for _ in range(3):
            for i, y in enumerate(h(x)):
                same(y, np.arange(n) + (i if h is f else -i))


@attrs.frozen
class Layer:
    weight: Any
    bias: Any
    scale: float = 1.0


tree.register_attrs(static=["scale"])(Layer)


def test_numbers_and_trees_that_python_takes_apart():
    def f(layers, rate, more):
        moved = [Layer(x.weight - rate * x.bias, x.bias * x.scale, x.scale) for x in layers]
        return moved, tree.map(lambda v: v + rate, more)

    compiled = fn.compile(f)
    for i in range(12):
        layers = [Layer(ready(3, start=i + k), ready(1, start=k), [1.0, 2.0][i % 2]) for k in range(6)]
        more = collections.OrderedDict((k, ready(2, start=i)) for k in "ba")
        rate = [0.5, i, np.float32(0.25), i + 0.125][i % 4]
        moved, increased = compiled(layers, rate, more)
        for k, (layer, x) in enumerate(zip(layers, moved, strict=True)):
            same(x.weight, np.arange(3) + i + k - rate * k)
            same(x.bias, np.asarray(layer.bias) * layer.scale)
            assert x.scale == layer.scale
        assert list(increased) == list("ba")
        for y in increased.values():
            same(y, np.arange(2) + i + rate)


def test_digits_of_numbers_beside_float64():
    f = fn.compile(lambda x, rate: x * rate)
    for i in range(8):
        rate = 0.1 + i
        same(f(fn.array(np.arange(3.0), dtype=fn.float64), rate), np.arange(3.0) * rate)
        same(f(ready(3), rate), np.arange(3, dtype=np.float32) * np.float32(rate))


def test_threads_that_share_a_function():
    f = fn.compile(lambda xs, y: [x + y for x in xs])
    xs = [ready(3, start=10 * i) for i in range(20)]
    wrong = []

    def work(seed):
        order, alive = random.Random(seed), []
        for step in range(150):
            shift = 100 * seed + step
            alive += [(shift, i, y) for i, y in enumerate(f(xs, ready(1, start=shift)))]
            order.shuffle(alive)
            del alive[order.randrange(40) :]
            wrong.extend(
                (seed, step)
                for shift, i, y in alive
                if np.asarray(y).tolist() != [10 * i + shift + k for k in range(3)]
            )

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def test_what_is_returned_twice_or_given():
    f = fn.compile(lambda x, y: (x, [x + y] * 2, y, x - y))
    x, y = ready(3, start=5), ready(3)
    out = []
    for _ in range(5):
        out.append(f(x, y))
        for got in out:
            same(got[0], x)
            same(got[1][0], [5, 7, 9])
            same(got[1][1], [5, 7, 9])
            same(got[2], y)
            same(got[3], [5, 5, 5])
        if len(out) == 3:
            del out[1]


def test_the_interpreter_ends_quietly():
    script = """
    import numpy as np
    import funcnn as fn

    f = fn.compile(lambda xs: [x + 1 for x in xs])
    xs = [fn.array(np.arange(3.0, dtype=np.float32)) for _ in range(10)]
    for _ in range(5):
        xs = f(xs)
    class Late:
        array = f(xs)
        def __del__(self):
            del self.array
    late = Late()
    late.array = f(xs)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def blocks():
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.skipif(sys.getallocatedblocks() == 0, reason="an allocator that does not count (PYTHONMALLOC)")
@pytest.mark.parametrize("smaller", [False, True])
def test_what_no_call_asks_for_any_more_goes(smaller):
    f = fn.compile(lambda xs: [x + 1 for x in xs])
    many, few = [ready(3, start=i) for i in range(5000)], [ready(3, start=i) for i in range(5)]
    fn.clear_cache()  # without what other tests left
    for _ in range(4):
        f(many)
        f(few)
    before = blocks()
    if smaller:
        for _ in range(20_000):
            f(few)
    else:
        fn.clear_cache()
    assert blocks() < before - 3500
    f(many)
    assert blocks() > before - 100  # and waits again once it is asked for
    for i, y in enumerate(f(many)):
        same(y, np.arange(3) + i + 1)
