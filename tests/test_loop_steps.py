"""Steps of loops over a few elements: bound to memory that stays, and compiled as one once they have run for long.

Each loop runs twice from empty caches: the first run begins kernel by kernel, the second does what the first came to. Both give the
same bits, and what NumPy gives.
"""

import numpy as np
import pytest

import funcnn as fn

STEPS = 2500  # more than after which a step becomes code

pytestmark = pytest.mark.on_cpu


def twice(f, *args):
    """What both runs give."""
    fn.clear_plan_cache()
    run = fn.compile(f)
    first, second = (fn.tree.map(np.array, run(*args)) for _ in range(2))
    for a, b in zip(fn.tree.leaves(first), fn.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)
    return first


def near(a, b, tolerance=1e-4):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_of_a_vector_are_computed_one_by_one_and_joined(dtype):
    """Slices, a concatenation and elementwise work, stacked and in place."""
    w0, inertia = np.array([1.0, 0.5, -0.7], dtype), np.array([0.8, -1.1, 0.4], dtype)

    def spin(np, w):
        return np.stack([w[1] * w[2], w[2] * w[0], w[0] * w[1]]) * inertia_of[np] - 0.01 * w

    inertia_of = {np: inertia, fn: fn.array(inertia)}

    def step(w, _):
        middle = w + 0.005 * spin(fn, w)
        w = w + 0.01 * spin(fn, middle)
        return w, (w, middle[::-1])

    last, (all_, turned) = twice(lambda w: fn.scan(step, w, None, length=STEPS), fn.array(w0))
    w = w0.astype("float64")
    for _ in range(STEPS):
        middle = w + 0.005 * spin(np, w)
        w = w + 0.01 * spin(np, middle)
    near(last, w)
    near(all_[-1], w)
    near(turned[-1], middle[::-1])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize("turned", [False, True])
def test_products_with_a_matrix_that_lasts(n, turned):
    rng = np.random.default_rng(n)
    a = (0.5 / np.sqrt(n) * rng.normal(size=(n, n))).astype("float32")
    b, x = rng.normal(size=(2, n)).astype("float32")

    def run(a, b, x):
        body = (lambda i, x: x @ a + b) if turned else (lambda i, x: a @ x + b)
        return fn.fori_loop(0, STEPS, body, x)

    got = twice(run, fn.array(a), fn.array(b), fn.array(x))
    matrix = a.astype("float64").T if turned else a.astype("float64")
    near(got, np.linalg.solve(np.eye(n) - matrix, b), 1e-3)


def test_a_matrix_that_changes_is_read_anew():
    """Nothing is kept of an operand that some step writes."""
    a0 = np.array([[0.2, 0.1, 0.0], [0.0, 0.3, -0.1], [0.4, 0.0, 0.1]], "float32")

    def step(carry, k):
        a, x = carry
        x = a @ x + k
        return (a * 0.999 + 1e-4, x), x.sum()

    ks = np.linspace(0, 1, STEPS, dtype="float32")
    (a, _), sums = twice(lambda a, x, ks: fn.scan(step, (a, x), ks), fn.array(a0), fn.ones(3), fn.array(ks))
    wa, wx, want = a0.astype("float64"), np.ones(3), []
    for k in ks:
        wa, wx = wa * 0.999 + 1e-4, wa @ wx + k
        want.append(wx.sum())
    near(a, wa)
    near(sums, want)


def test_a_while_loop_of_numbers_of_several_dtypes():
    def go_on(carry):
        i, x, flag, _ = carry
        return (i < STEPS) & (flag | (x > -1e9))

    def body(carry):
        i, x, flag, count = carry
        flag = fn.logical_xor(flag, i % 3 == 0)
        return i + 1, fn.where(flag, x * 0.5 + 1, x - 0.25), flag, count + flag.astype(fn.uint32)

    start = (fn.array(0), fn.array(3.0), fn.array(True), fn.array(0, fn.uint32))
    i, x, flag, count = twice(lambda *s: fn.while_loop(go_on, body, s), *start)
    wx, wflag, wcount = np.float32(3), True, 0
    for k in range(STEPS):
        wflag ^= k % 3 == 0
        wx = np.float32(wx * 0.5 + 1) if wflag else np.float32(wx - 0.25)
        wcount += wflag
    assert (i, flag, count) == (STEPS, wflag, wcount)
    near(x, wx)


def test_carries_that_change_places():
    """Everything is read before anything is written."""

    def step(carry, x):
        a, b, c = carry
        return (b, c, a + 1e-3 * x), (a, c)

    xs = np.arange(STEPS, dtype="float32") % 7
    args = [fn.array(v) for v in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])]
    last, (first, third) = twice(lambda s, xs: fn.scan(step, s, xs), tuple(args), fn.array(xs))
    state, stacked = [np.array(v) for v in args], []
    for x in xs:
        stacked.append((state[0], state[2]))
        state = [state[1], state[2], state[0] + 1e-3 * x]
    near(np.stack([first, third], 1), stacked, 1e-3)
    for got, want in zip(last, state, strict=True):
        near(got, want, 1e-3)


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_written_over_rows_that_were_read(reverse):
    """The sequence ends in the loop: its memory becomes that of the results."""

    def run(x):
        xs = x * 2 + fn.arange(STEPS * 4).reshape(STEPS, 4) * 1e-4
        return fn.scan(lambda c, x: (c * 0.5 + x[::-1], c - x), fn.zeros(4), xs, reverse=reverse)

    last, ys = twice(run, fn.array(1.0))
    xs = 2 + np.arange(STEPS * 4).reshape(STEPS, 4) * 1e-4
    c, want = np.zeros(4), np.zeros((STEPS, 4))
    for i in range(STEPS)[:: -1 if reverse else 1]:
        want[i] = c - xs[i]
        c = c * 0.5 + xs[i][::-1]
    near(ys, want)
    near(last, c)


@pytest.mark.parametrize("kind", ["scan", "while", "cond"])
def test_loops_and_branches_inside(kind):
    """They stay bound from step to step, with operands that move, that last and that take turns."""
    xs = np.linspace(-1, 1, 300 * 3, dtype="float32").reshape(300, 3)
    a = np.array([[0.5, 0.1, 0.0], [0.0, 0.4, 0.2], [0.1, 0.0, 0.3]], "float32")

    def inner(np_, x, c):
        if kind == "scan":
            return fn.scan(lambda c, k: (fn.array(a) @ c + k * x, c.sum()), c, fn.array([1.0, -2.0, 0.5]))
        if kind == "while":
            _, c = fn.while_loop(
                lambda s: (s[0] < 4) & (s[1][0] < 50), lambda s: (s[0] + 1, fn.array(a) @ s[1] + x), (0, c)
            )
            return c, c * x
        return fn.cond(x[0] > 0, lambda c: (c * 0.5 + x, c), lambda c: (c, c - x), c)

    last, ys = twice(lambda xs: fn.scan(lambda c, x: inner(fn, x, c), fn.ones(3), xs), fn.array(xs))
    c, want = np.ones(3), []
    for x in xs.astype("float64"):
        if kind == "scan":
            sums = []
            for k in (1.0, -2.0, 0.5):
                sums.append(c.sum())
                c = a @ c + k * x
            want.append(sums)
        elif kind == "while":
            for _ in range(4):
                if c[0] < 50:
                    c = a @ c + x
            want.append(c * x)
        else:
            c, y = (c * 0.5 + x, c) if x[0] > 0 else (c, c - x)
            want.append(y)
    near(last, c)
    near(ys, want)


def test_an_error_in_a_step_after_many():
    class Stop(Exception):
        pass

    seen = []

    def count(i):
        seen.append(int(i))
        if i >= 1500:
            raise Stop("after so many")
        return i

    def body(i, x):
        return x * 0.5 + fn.pure_callback(count, fn.array(0), i).astype(fn.float32)

    with pytest.raises(Exception, match="after so many"):
        fn.eval(fn.fori_loop(0, STEPS, body, fn.zeros(3)))
    assert seen == list(range(1501))


def test_gradients_through_long_loops_of_few_elements():
    a = fn.array([[0.9, 0.1], [-0.1, 0.9]])

    def f(x):
        last, ys = fn.scan(lambda x, _: ((y := fn.sin(a @ x) * 0.99), y), x, None, length=STEPS)
        return (last**2).sum() + (ys[:5] ** 2).sum()

    got = twice(fn.grad(f), fn.array([0.3, -0.2]))
    x, h = np.array([0.3, -0.2]), 1e-6
    m = np.array([[0.9, 0.1], [-0.1, 0.9]])

    def value(x):
        total = 0.0
        for i in range(STEPS):
            x = np.sin(m @ x) * 0.99
            total += (x**2).sum() if i < 5 else 0.0
        return total + (x**2).sum()

    want = [(value(x + h * e) - value(x - h * e)) / (2 * h) for e in np.eye(2)]
    near(got, want, 1e-3)


SHAPES = [(), (2,), (3,), (2, 2), (5,)]
MATRIX = np.random.default_rng(0).normal(0, 0.4, (5, 5)).astype("float32")


def bounded(x):
    return fn.clip(x.astype(fn.float32), -3, 3)


def place(x, length):
    return bounded(x).sum().astype(fn.int32) % length


MOVES = [
    lambda v, w: fn.tanh(bounded(v)) * 0.5 + 1,
    lambda v, w: fn.sin(bounded(v)),
    lambda v, w: bounded(v).sum(),
    lambda v, w: bounded(v) > 0.3,
    lambda v, w: bounded(v).astype(fn.int32) + 1,
    lambda v, w: bounded(v) * bounded(w) + bounded(v) if v.shape == w.shape else v,
    lambda v, w: fn.where(bounded(v) > bounded(w), bounded(v), bounded(w) * 0.5) if v.shape == w.shape else w,
    lambda v, w: v[::-1] if v.ndim else v,
    lambda v, w: fn.stack([bounded(v)[0].sum() * 2, bounded(v)[-1].sum() - 1, bounded(w).sum()]) if v.ndim else v,
    lambda v, w: bounded(v).T @ bounded(v) * 0.1 if v.ndim == 2 else v,
    lambda v, w: fn.array(MATRIX) @ bounded(v) if v.shape == (5,) else v,
    lambda v, w: bounded(v)[place(w, v.shape[0])] if v.ndim == 1 else v,
    lambda v, w: bounded(v).at[place(w, v.shape[0])].set(0.25) if v.ndim == 1 else v,
    lambda v, w: fn.cond(bounded(w).sum() > 0, lambda a: bounded(a) + 1, lambda a: bounded(a) * 0.5, v),
    lambda v, w: fn.fori_loop(0, 3, lambda i, a: bounded(a * 0.9 + i * 0.1)[::-1], bounded(v)) if v.ndim else v,
    lambda v, w: fn.scan(lambda c, y: (c * 0.5 + y, c), fn.zeros(v.shape[1:]), bounded(v))[1] if v.ndim else v,
]


@pytest.mark.parametrize("seed", range(40))
def test_random_steps(seed):
    """First some steps, which go kernel by kernel, then all of them, and again as code from the start."""
    rng = np.random.default_rng(seed)
    carry = []
    for _ in range(rng.integers(1, 5)):
        x = np.asarray(rng.normal(size=SHAPES[rng.integers(len(SHAPES))]))
        carry.append(fn.array(x.astype(rng.choice(["float32", "float32", "int32", "float64"]))))
    moves = rng.integers(0, [len(MOVES), 1 << 30, 1 << 30], (rng.integers(3, 12), 3))
    picks = rng.integers(0, 1 << 30, len(carry) + 1)

    def step(carry, x):
        values = [*carry, x, x * 2]
        for move, v, w in moves:
            values.append(MOVES[move](values[v % len(values)], values[w % len(values)]))
        out = []
        for c, pick in zip(carry, picks, strict=False):
            same = [v for v in values if v.shape == c.shape]
            out.append((bounded(same[pick % len(same)]) * 0.97 + 0.01).astype(c.dtype))
        return tuple(out), values[picks[-1] % len(values)]

    xs = fn.array(rng.normal(size=(1200, 3)).astype("float32"))
    fn.clear_plan_cache()
    head = fn.compile(lambda carry, xs: fn.scan(step, carry, xs)[1])(tuple(carry), xs[:40])
    _, ys = twice(lambda carry, xs: fn.scan(step, carry, xs), tuple(carry), xs)
    np.testing.assert_array_equal(np.array(head), ys[:40])


def test_arguments_that_lie_another_way_in_each_call():
    """Views of one array: of the ways in which they lie, code is made for a few."""
    rows = np.random.default_rng(3).normal(size=(60, 3)).astype("float32")
    x = fn.array(rows)
    fn.eval(x)
    run = fn.compile(lambda a, b: fn.fori_loop(0, 100, lambda _, c: (c[0] * 0.5 + c[1], c[1] * 0.75), (a, b)))
    for i in range(60):
        for k in (i, -1 - i):
            a, b = rows[i].astype("float64"), rows[k].astype("float64")
            for _ in range(100):
                a, b = a * 0.5 + b, b * 0.75
            for got, expected in zip(run(x[i], x[k]), (a, b), strict=True):
                np.testing.assert_allclose(np.array(got), expected, rtol=1e-5, atol=1e-9)


def test_a_while_loop_ends_after_any_number_of_steps():
    """Several steps are one call; what follows the last of them is not done."""
    run = fn.compile(
        lambda n, x: fn.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[2], s[1] * 0.75 + 1), (0, x, x))
    )
    for n in [0, 1, 2, STEPS, *range(1000, 1036)]:
        i, a, b = run(fn.array(n), fn.array(2.0))
        wa = wb = np.float32(2)
        for _ in range(n):
            wa, wb = wb, np.float32(wa * np.float32(0.75) + np.float32(1))
        assert int(i) == n
        near(a, wa, 1e-6)
        near(b, wb, 1e-6)


def test_scans_of_any_length():
    """Steps that are too few for one call are done one by one."""

    def run(xs):
        return fn.scan(lambda c, x: (c * 0.5 + x, c), fn.zeros(2), xs)

    xs = np.random.default_rng(0).normal(size=(1220, 2)).astype("float32")
    state, states = np.zeros(2), []
    for x in xs:
        states.append(state)
        state = state * 0.5 + x
    for n in range(1200, 1220):
        last, before = twice(run, fn.array(xs[:n]))
        near(last, states[n - 1] * 0.5 + xs[n - 1], 1e-5)
        near(before, states[:n], 1e-5)


def test_rows_of_any_number():
    """From the end if it is negative; one that is out of range reads zero and writes nothing."""
    rows = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    places = np.random.default_rng(2).integers(-9, 9, STEPS).astype("int32")
    places[:3] = [np.iinfo("int32").min, np.iinfo("int32").max, -5]

    def step(carry, k):
        sums, marks = carry
        return (sums * 0.5 + table[k], marks.at[k].set(sums[0])), marks[k]

    table = fn.array(rows)
    got, read = twice(lambda ks: fn.scan(step, (fn.zeros(3), fn.zeros(5)), ks), fn.array(places))
    sums, marks, want = np.zeros(3), np.zeros(5), []
    for k in places:
        inside = -5 <= k < 5
        want.append(marks[k] if inside else 0)
        if inside:
            marks[k] = sums[0]
        sums = sums * 0.5 + (rows[k] if inside else 0)
    near(got[0], sums, 1e-5)
    near(got[1], marks, 1e-5)
    near(read, want, 1e-5)


@pytest.mark.parametrize("kind", ["scan", "while"])
def test_a_loop_that_runs_again_keeps_nothing_of_the_last_time(kind):
    def body(a, x):
        return a @ x + 1

    if kind == "scan":
        run = fn.compile(lambda a, x, ks: fn.scan(lambda x, k: ((y := body(a, x) * k), y), x, ks))
    else:
        run = fn.compile(
            lambda a, x, ks: fn.while_loop(lambda s: s[0] < 7, lambda s: (s[0] + 1, body(a, s[1]) * ks[s[0]]), (0, x))
        )
    rng = np.random.default_rng(0)
    a, ks = rng.normal(0, 0.4, (2, 2)).astype("float32"), np.ones(7, "float32")
    given = [a, np.ones(2, "float32"), ks]
    calls = []
    for call in range(24):
        if call % 4 == 3:
            which = call // 4 % 3
            given[which] = rng.normal(0, 0.4, given[which].shape).astype("float32")
        calls.append((list(given), run(*map(fn.array, given))))
    for (a, x, ks), results in calls:
        ys = []
        for k in ks:
            x = (a.astype("float64") @ x + 1) * k
            ys.append(x)
        near(results[0 if kind == "scan" else 1], x, 1e-5)
        if kind == "scan":
            near(results[1], ys, 1e-5)


def test_a_loop_that_failed_or_runs_inside_itself_runs_again():
    mood = {"fails": False, "depth": 0}

    def called(x):
        if mood["fails"]:
            raise RuntimeError("for once")
        if mood["depth"] < 2 and x == 3:
            mood["depth"] += 1
            inside = np.array(run(fn.array(x)))
            mood["depth"] -= 1
            return inside.astype("float32") * 0 + x
        return x

    run = fn.compile(
        lambda x: fn.fori_loop(0, 6, lambda i, c: fn.pure_callback(called, fn.array(0.0), c) + 1, x.astype(fn.float32))
    )
    for fails in (False, False, True, False, False):
        mood["fails"] = fails
        if fails:
            with pytest.raises(Exception, match="for once"):
                fn.eval(run(fn.array(1.0)))
        else:
            assert float(run(fn.array(1.0))) == 7
