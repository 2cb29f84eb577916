"""Where loops keep what their steps give: stacks written in place, carries that lie in them, constants prepared once."""

import re

import numpy as np
import pytest

import funcnn as fn
from test_control import ALIASES

# Over int32, so that every result is exact: the body of a loop, and what it is to be in NumPy.
BODIES = {
    **ALIASES,
    "stacked before and after": lambda c, x: ((c[0] + x, c[0] * 2 - c[1]), (c[0], c[0] + x, c[1])),
    "stacked twice": lambda c, x: ((c[0] + x, c[1]), (c[0], c[0], c[0] + x)),
    "in place, and stacked elsewhere": lambda c, x: ((c[0].at[1].add(3), c[1] + c[0]), c[0][:2] + 1),
    "swapped and stacked": lambda c, x: ((c[1], c[0]), (c[0], c[1])),
    "rotated and changed": lambda c, x: ((c[1] + 1, c[0]), c[1]),
    "a view of what is stacked": lambda c, x: ((c[0] + x, c[1]), ((c[0] + x)[::-1], c[0] + x)),
    "constants": lambda c, x: ((c[0] + x, c[1]), (fn.ones_like(x), x, fn.arange(3))),
    "one value for both carries": lambda c, x: ((c[0] * 3 + x, c[0] * 3 + x), (c[0], c[1])),
}
INTEGERS = {name: body for name, body in BODIES.items() if name != "a carry read after its update"}


def plain(body, init, xs, reverse):
    """Step by step, each value copied."""
    steps = range(len(xs))[::-1] if reverse else range(len(xs))
    carry, rows = init, {}
    for i in steps:
        carry, y = body(carry, fn.array(xs[i]))
        carry, rows[i] = fn.tree.map(lambda a: fn.array(np.array(a)), (carry, y))
    stacked = [fn.tree.leaves(rows[i]) for i in range(len(xs))]
    return [np.array(a) for a in fn.tree.leaves(carry)], [np.stack(column) for column in zip(*stacked, strict=True)]


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 9])
@pytest.mark.parametrize("reverse", [False, True])
def test_stacks_and_carries(name, steps, reverse):
    body = INTEGERS[name]
    rng = np.random.default_rng(steps)
    init = tuple(fn.array(rng.integers(-9, 9, 3), fn.int32) for _ in range(2))
    xs = rng.integers(-9, 9, (steps, 3)).astype(np.int32)

    def run(init, xs):
        return fn.scan(body, init, xs, reverse=reverse)

    expected_carry, expected = plain(body, init, xs, reverse)
    kept = [np.array(a) for a in init]
    for f in (run, fn.compile(run)):
        carry, ys = f(init, fn.array(xs))
        for got, want in zip(fn.tree.leaves(carry), expected_carry, strict=True):
            assert np.asarray(got).tolist() == want.tolist()
        if steps:
            for got, want in zip(fn.tree.leaves(ys), expected, strict=True):
                assert np.asarray(got).tolist() == want.tolist()
        assert [np.asarray(a).tolist() for a in init] == [a.tolist() for a in kept]


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("steps", [0, 1, 2, 5, 8])
def test_carries_of_while_loops(name, steps):
    body = INTEGERS[name]
    rng = np.random.default_rng(steps)
    init = tuple(fn.array(rng.integers(-9, 9, 3), fn.int32) for _ in range(2))
    xs = rng.integers(-9, 9, (steps + 1, 3)).astype(np.int32)

    def run(init, xs):
        def step(state):
            carry, i = state
            return body(carry, xs[i])[0], i + 1

        return fn.while_loop(lambda state: state[1] < steps, step, (init, fn.array(0)))

    expected, _ = plain(body, init, np.concatenate([xs[:steps]]), False) if steps else (init, None)
    kept = [np.array(a) for a in init]
    for f in (run, fn.compile(run)):
        carry, count = f(init, fn.array(xs))
        assert count.item() == steps
        for got, want in zip(carry, expected, strict=True):
            assert np.asarray(got).tolist() == np.asarray(want).tolist()
        assert [np.asarray(a).tolist() for a in init] == [a.tolist() for a in kept]


def test_carries_on_both_sides_of_what_stays_in_memory():
    """Loops over few bytes keep their memory from step to step; over many they do not. Both give the same."""
    for n in (8, 5000, 20000):
        x = np.random.default_rng(n).normal(size=n).astype(np.float32)

        def body(c, t):
            a, b, total = c
            y = fn.sort(a)[::-1] * 0.5 + b
            return (y, a, total + fn.sum(y * t)), (fn.max(y), b[:2])

        got = fn.compile(lambda x, ts: fn.scan(body, (x, x * 2, 0.0), ts))(fn.array(x), fn.arange(6.0))
        a, b, total, tops, heads = x, x * 2, np.float64(0), [], []
        for t in range(6):
            y = np.sort(a)[::-1] * np.float32(0.5) + b
            tops.append(y.max())
            heads.append(b[:2])
            a, b, total = y, a, total + np.sum(y.astype(np.float64) * t)
        for mine, want in zip(fn.tree.leaves(got), (a, b, total, tops, heads), strict=True):
            np.testing.assert_allclose(np.array(mine), np.array(want), rtol=2e-5, atol=1e-4)


def test_an_error_in_the_middle_of_a_loop():
    """What went wrong in a step is told, and the next call of the same function is right."""
    calls = []

    def count(x):
        calls.append(float(x))
        if len(calls) == 5:
            raise RuntimeError("enough")
        return np.asarray(x) * 2

    def step(c, _):
        return fn.pure_callback(count, c, c) + 1, c

    run = fn.compile(lambda c: fn.scan(step, c, None, length=9))
    with pytest.raises(RuntimeError, match="enough"):
        fn.eval(run(fn.array(1.0)))
    last, seen = run(fn.array(1.0))
    assert last.item() == 2**10 - 1 and seen.tolist() == [2.0 ** (i + 1) - 1 for i in range(9)]


@pytest.mark.parametrize("dtype", [fn.bool_, fn.int8, fn.float16, fn.bfloat16, fn.complex64])
def test_rows_of_any_size(dtype):
    """Rows of few bytes begin anywhere in a line of memory."""
    xs = fn.array(np.random.default_rng(0).integers(0, 2, (7, 3))).astype(dtype)

    def run(xs):
        return fn.scan(lambda c, x: ((c[0] * x, x), (c[0], c[1], x + c[0])), (xs[0], xs[1]), xs)

    expected = plain(lambda c, x: ((c[0] * x, x), (c[0], c[1], x + c[0])), (xs[0], xs[1]), xs, False)
    carry, ys = fn.compile(run)(xs)
    for got, want in zip([*carry, *ys], [*expected[0], *expected[1]], strict=True):
        assert got.dtype == dtype and fn.array_equal(got, fn.array(want)).item()


def test_results_of_a_step_with_several_kernels():
    """Products, gathers and reductions write into stacks as well."""
    rng = np.random.default_rng(0)
    w, xs = fn.array(rng.normal(size=(5, 5)), fn.float32), fn.array(rng.normal(size=(4, 3, 5)), fn.float32)

    def body(c, x):
        y = c @ w
        return fn.tanh(y + x), (y, fn.sort(x, axis=-1), fn.argmax(y, axis=-1), fn.sum(x, axis=0), y[1], c, x.T @ y)

    carry, ys = fn.compile(lambda xs: fn.scan(body, xs[0], xs))(xs)
    c = xs[0]
    for i in range(4):
        c, y = body(c, xs[i])
        for got, want in zip(ys, y, strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(carry, c, rtol=1e-5, atol=1e-6)


# ---- what is the same in every step


@pytest.mark.immediate
def test_weights_are_turned_once():
    w, h = fn.ones((7, 6)), fn.ones((8, 6))

    def run(w, h):
        return fn.scan(lambda h, _: (fn.tanh(h @ w.T)[:, :6], None), h, None, length=5)[0]

    body = fn.explain(run)(w, h).plan.split("body, 5 times:")[1]
    assert re.search(r"\[0\] fused.* once before the first\n", body), body
    assert body.count("once before the first") == 1
    # Lying densely already, they are read where they are.
    dense = fn.explain(lambda w, h: fn.scan(lambda h, _: (h @ w, None), h, None, length=5))(fn.ones((6, 6)), h).plan
    assert "once before the first" not in dense


@pytest.mark.parametrize("loop", ["scan", "while"])
def test_constants_in_loops(loop):
    rng = np.random.default_rng(0)
    w = fn.array(rng.normal(size=(6, 6)) * 0.3, fn.float32)
    h = fn.array(rng.normal(size=(8, 6)), fn.float32)

    def step(w, h, k):
        # Turned, converted and squared weights; and a part that does change.
        return fn.tanh(h @ w.T + (h.astype(fn.float16) @ w.astype(fn.float16)).astype(fn.float32) + (w @ w)[0] + k)

    def run(w, h):
        if loop == "scan":
            return fn.scan(lambda c, k: (step(w, c, k), None), h, fn.arange(5.0))[0]
        return fn.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, step(w, c[1], c[0])), (fn.array(0.0), h))[1]

    want = h
    for k in range(5):
        want = step(w, want, fn.array(float(k)))
    for f in (run, fn.compile(run)):
        np.testing.assert_allclose(f(w, h), want, rtol=2e-3, atol=2e-3)
        # The same plan over other constants.
        np.testing.assert_allclose(f(w * 0, h), np.tanh(np.full((8, 6), 4.0)), rtol=1e-5)


def test_constants_of_a_loop_that_takes_no_step():
    w = fn.ones((8, 8))

    def run(x):
        looped = fn.while_loop(lambda c: c[0, 0] < 0, lambda c: c @ w.T + fn.sum(w), x)
        return looped, fn.scan(lambda c, x: (c @ w.T + x, c), x, fn.zeros((0, 8, 8)))

    x = fn.ones((8, 8)) * 3
    looped, (carry, ys) = fn.compile(run)(x)
    assert fn.array_equal(looped, x).item() and fn.array_equal(carry, x).item() and ys.shape == (0, 8, 8)


def test_loops_in_loops_with_constants():
    w = fn.array(np.random.default_rng(0).normal(size=(6, 6)) * 0.4, fn.float32)
    h = fn.ones((8, 6))

    def inner(h, k):
        return fn.scan(lambda h, _: (fn.tanh(h @ (w * 2).T + k), None), h, None, length=3)[0]

    got = fn.compile(lambda h: fn.scan(lambda h, k: (inner(h, k), fn.sum(w)), h, fn.arange(4.0)))(h)[0]
    want = h
    for k in range(4):
        for _ in range(3):
            want = fn.tanh(want @ (w * 2).T + k)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# ---- loops and branches in loops: their operands and results are rows of one stack


# Over pairs of int32, of NumPy or not.
INNER = {
    "changes": lambda a, b: (a * 2 + 1, b + a),
    "changes one": lambda a, b: (a, b - a),
    "swaps": lambda a, b: (b + 1, a),
    "moves": lambda a, b: (a[::-1] + b, a),
}
# How an outer step goes from one pair to the next, over `times` uses of f.
LOOPS = {
    "scan": lambda f, c, times: fn.scan(lambda c, _: (f(*c), None), c, None, length=times)[0],
    "while": lambda f, c, times: fn.while_loop(
        lambda c: c[0] < times, lambda c: (c[0] + 1, f(*c[1])), (fn.array(0), c)
    )[1],
    "cond": lambda f, c, times: fn.cond(fn.sum(c[0]) % 2 == times % 2, f, lambda a, b: (a, b), *c),
    "scan of scans": lambda f, c, times: fn.scan(
        lambda c, _: fn.scan(lambda c, _: (f(*c), c[0]), c, None, length=times), c, None, length=1
    )[0],
}
STACKED = {
    "before": lambda before, after: before,
    "after": lambda before, after: after,
    "before and after": lambda before, after: (before, after),
    "one of each": lambda before, after: (before[0], after[1]),
    "one swapped": lambda before, after: (before[1], after[0] + 1),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("stacked", STACKED)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("times", [0, 3])
def test_loops_in_loops_that_stack_carries(loop, stacked, reverse, times):
    steps = 4
    a, b = np.array([3, -1, 7], np.int32), np.array([5, 0, -4], np.int32)
    for f in INNER.values():

        def body(c, _, f=f):
            after = LOOPS[loop](f, c, times)
            return after, STACKED[stacked](c, after)

        c, rows = (a, b), []
        for _ in range(steps):
            after = c
            if loop != "cond" or int(c[0].sum()) % 2 == times % 2:
                for _ in range(1 if loop == "cond" else times):
                    after = f(*after)
            rows.append([x.tolist() for x in fn.tree.leaves(STACKED[stacked](c, after))])
            c = after
        want = [x.tolist() for x in c], [list(column) for column in zip(*rows[:: -1 if reverse else 1], strict=True)]

        def run(a, b, body=body):
            return fn.scan(body, (a, b), None, length=steps, reverse=reverse)

        for g in (run, fn.compile(run), fn.compile(run, donate=("a", "b"))):
            given = fn.array(a), fn.array(b)
            carry, ys = g(*given)
            got = [x.tolist() for x in carry], [y.tolist() for y in fn.tree.leaves(ys)]
            assert got == want


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_through_checkpointed_blocks_of_steps(reverse):
    h, xs = fn.array([0.5, -1.0], fn.float64), fn.array(np.linspace(-1, 1, 16).reshape(4, 2, 2), fn.float64)

    def step(h, x):
        h = h * 0.8 + fn.sin(h) * x
        return h, fn.sum(h * x)

    def blocks(h, xs):
        block = fn.checkpoint(lambda h, xs: fn.scan(step, h, xs, reverse=reverse))
        return fn.sum(fn.scan(block, h, xs, reverse=reverse)[1] ** 2)

    def unrolled(h, xs):
        total = 0
        for i in range(8)[:: -1 if reverse else 1]:
            h, y = step(h, xs[i // 2, i % 2])
            total = total + y**2
        return total

    got, want = (fn.grad(f, argnums=(0, 1))(h, xs) for f in (blocks, unrolled))
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.immediate
def test_peak_of_a_loop_that_stacks():
    """Each row is written where it belongs: beside the stack there is one step's memory."""
    n, steps = 1 << 14, 64
    f = fn.compile(lambda x: fn.scan(lambda c, _: (fn.sin(c), (c, fn.cos(c))), x, None, length=steps))
    x = fn.zeros((n,)) + 0
    fn.eval(f(x))
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    made = f(x)
    assert fn.get_peak_memory() - before <= (2 * steps + 3) * n * 4
    fn.eval(made)


# ---- donated arguments


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("steps", [0, 1, 2, 4, 9])
def test_donated_carries(name, steps):
    body = INTEGERS[name]
    rng = np.random.default_rng(steps)
    init = [rng.integers(-9, 9, 3).astype(np.int32) for _ in range(2)]
    xs = rng.integers(-9, 9, (steps, 3)).astype(np.int32)
    expected_carry, expected = plain(body, tuple(map(fn.array, init)), xs, False)

    @fn.compile(donate="init")
    def run(init, xs):
        return fn.scan(body, init, xs)

    @fn.compile(donate="init")
    def looped(init, xs):
        def step(c):
            return c[0] + 1, body(c[1], xs[c[0]])[0]

        return fn.while_loop(lambda c: c[0] < steps, step, (fn.array(0), init))[1]

    carry, ys = run(tuple(map(fn.array, init)), fn.array(xs))
    for got, want in zip([*carry, *(fn.tree.leaves(ys) if steps else [])], [*expected_carry, *expected], strict=True):
        assert np.asarray(got).tolist() == want.tolist()
    if steps:
        for got, want in zip(looped(tuple(map(fn.array, init)), fn.array(xs)), expected_carry, strict=True):
            assert np.asarray(got).tolist() == want.tolist()


BRANCHES = {
    "hands on": lambda a, b: (a, b),
    "changes": lambda a, b: (a.at[1].add(5), b * 2 + 1),
    "swaps": lambda a, b: (b, a),
    "changes and swaps": lambda a, b: (b + 1, a * 3),
    "turns": lambda a, b: (a[::-1], b[::-1] + 1),
    "gives one twice": lambda a, b: (a + b, a + b),
    "gives a view": lambda a, b: (b[::-1], a),
    "forgets": lambda a, b: (fn.zeros_like(a), fn.arange(4)),
    "sorts": lambda a, b: (fn.sort(a), fn.cumsum(b)),
}


@pytest.mark.parametrize("first", BRANCHES)
@pytest.mark.parametrize("second", ["hands on", "swaps", "turns", "changes"])
def test_donated_operands_of_cond(first, second):
    a, b = np.array([3, -1, 7, 2], np.int32), np.array([5, 0, -4, 9], np.int32)

    def choose(p, a, b):
        return fn.cond(p, BRANCHES[first], BRANCHES[second], a, b)

    donated = fn.compile(choose, donate=("a", "b"))
    # An operand that is read again keeps what it holds.
    read_again = fn.compile(lambda p, a, b: (*choose(p, a, b), a - b), donate=("a", "b"))
    for p, name in ((True, first), (False, second)):
        want = [np.asarray(x).tolist() for x in BRANCHES[name](fn.array(a), fn.array(b))]
        got = donated(fn.array(p), fn.array(a), fn.array(b))
        assert [x.tolist() for x in got] == want
        got = read_again(fn.array(p), fn.array(a), fn.array(b))
        assert [x.tolist() for x in got] == [*want, (a - b).tolist()]
        given = fn.array(a), fn.array(b)
        assert [x.tolist() for x in fn.compile(choose)(fn.array(p), *given)] == want
        assert given[0].tolist() == a.tolist() and given[1].tolist() == b.tolist()


@pytest.mark.immediate
@pytest.mark.parametrize("p", [True, False])
def test_cond_works_in_donated_memory(p):
    n = 1 << 16

    @fn.compile(donate="x")
    def step(p, x):
        return fn.cond(p, lambda x: x.at[0].add(1.0), lambda x: x, x)

    p, x = fn.array(p), fn.zeros((n,)) + 1
    x = step(p, x)
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    for _ in range(3):
        x = step(p, x)
    assert fn.get_peak_memory() - before < n
    assert x[:2].tolist() == [5.0 if p.item() else 1.0, 1.0]


@pytest.mark.immediate
@pytest.mark.parametrize("loop", ["scan", "while"])
def test_loops_work_in_donated_memory(loop):
    n = 1 << 16

    @fn.compile(donate="x")
    def step(x):
        if loop == "scan":
            return fn.scan(lambda c, i: (c.at[i].add(1.0), None), x, fn.arange(5))[0]
        return fn.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1].at[c[0]].add(1.0)), (fn.array(0), x))[1]

    x = step(fn.zeros((n,)) + 1)
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    for _ in range(3):
        x = step(x)
    assert fn.get_peak_memory() - before < n
    assert x[:6].tolist() == [5.0] * 5 + [1.0]
