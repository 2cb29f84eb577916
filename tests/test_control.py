"""scan, cond and while_loop against the loops and branches they stand for."""

import numpy as np
import pytest

import funcnn as fn
from widest import WIDEST, reachable


def loop(f, init, xs, reverse=False):
    steps = list(xs)[::-1] if reverse else list(xs)
    carry, ys = init, []
    for x in steps:
        carry, y = f(carry, x)
        ys.append(y)
    return carry, fn.stack(ys[::-1] if reverse else ys)


def draw(*shape, seed=0):
    return fn.array(np.random.default_rng(seed).normal(size=shape))


def f64(*shape, seed=0):
    return fn.array(np.random.default_rng(seed).normal(size=shape), dtype=WIDEST)


def close(a, b, tolerance=1e-9):
    tolerance = reachable(tolerance)
    fn.tree.map(
        lambda x, y: np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance), a, b
    )


W, XS, H0 = f64(4, 4, seed=1) * 0.5, f64(6, 3, 4, seed=2), f64(3, 4, seed=3)


def cell(w):
    def step(h, x):
        h = fn.tanh(h @ w + x)
        return h, fn.sum(h * x, axis=-1)

    return step


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("run", [lambda f: f, fn.compile])
def test_scan_is_a_loop(reverse, run):
    close(run(lambda w, h, xs: fn.scan(cell(w), h, xs, reverse=reverse))(W, H0, XS), loop(cell(W), H0, XS, reverse))


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_gradient(reverse):
    def objective(run):
        def f(w, h, xs):
            carry, ys = run(cell(w), h, xs, reverse=reverse)
            return fn.sum(carry**2) + fn.sum(fn.sin(ys))

        return f

    for transform in (lambda f: fn.grad(f, argnums=(0, 1, 2)), lambda f: fn.compile(fn.grad(f, argnums=(0, 1, 2)))):
        close(transform(objective(fn.scan))(W, H0, XS), transform(objective(loop))(W, H0, XS))


def test_scan_forward_mode_and_second_order():
    def objective(run):
        return lambda w: fn.sum(run(cell(w), H0, XS)[0] ** 2)

    close(fn.jvp(objective(fn.scan), (W,), (W * 0.1,)), fn.jvp(objective(loop), (W,), (W * 0.1,)))
    close(fn.hessian(objective(fn.scan))(W), fn.hessian(objective(loop))(W), 1e-8)


def test_scan_under_vmap():
    ws = f64(5, 4, 4, seed=4) * 0.3
    mapped = fn.vmap(lambda w, xs: fn.scan(cell(w), H0, xs), in_axes=(0, None))(ws, XS)
    for i in range(5):
        close(fn.tree.map(lambda a: a[i], mapped), loop(cell(ws[i]), H0, XS))  # noqa: B023
    close(
        fn.vmap(fn.grad(lambda w: fn.sum(fn.scan(cell(w), H0, XS)[1])))(ws)[2],
        fn.grad(lambda w: fn.sum(loop(cell(w), H0, XS)[1]))(ws[2]),
    )


def test_forward_scan_runs_once_in_a_gradient():
    plan = fn.explain(fn.value_and_grad(lambda w: fn.sum(fn.scan(cell(w), H0, XS)[1])))(W).plan
    assert plan.count("] scan(") == 2


def test_scan_cost_does_not_grow_with_length():
    def nodes(n):
        return fn.explain(lambda x: fn.scan(lambda c, v: (c + v, c), 0.0, x)[0])(fn.zeros((n,))).graph.count("\n")

    assert nodes(4) == nodes(4000)


def test_scan_trees_lengths_and_integers():
    carry, ys = fn.scan(
        lambda c, x: ({"n": c["n"] + 1, "s": c["s"] + x["a"]}, None),
        {"n": 0, "s": fn.zeros((2,))},
        {"a": fn.ones((5, 2))},
    )
    assert carry["n"].item() == 5 and carry["n"].dtype == fn.int32 and ys is None
    assert np.asarray(carry["s"]).tolist() == [5, 5]
    counted, squares = fn.scan(lambda c, _: (c + 1, c * c), 0, length=4)
    assert counted.item() == 4 and squares.tolist() == [0, 1, 4, 9]
    same, none = fn.scan(lambda c, x: (c, x), fn.array(3.0), fn.zeros((0, 2)))
    assert same.item() == 3 and none.shape == (0, 2)
    assert [
        a.item() for a in fn.scan(lambda c, _: ((c[1], c[0]), None), (fn.array(1.0), fn.array(2.0)), length=3)[0]
    ] == [2, 1]


@pytest.mark.immediate
def test_scan_updates_its_carry_in_place():
    n = 1 << 16
    f = fn.compile(lambda x: fn.scan(lambda c, i: (c.at[i].add(1.0), None), x, fn.arange(50))[0])
    x = fn.zeros((n,)) + 0
    assert np.asarray(f(x))[:51].tolist() == [1.0] * 50 + [0.0]
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    f(x)
    assert fn.get_peak_memory() - before < 3.5 * n * 4


def test_scan_errors():
    with pytest.raises(TypeError, match=r"carry.*went in as float32\(3,\).*came back as float32\(4,\)"):
        fn.scan(lambda c, x: (fn.zeros((4,)), None), fn.zeros((3,)), fn.zeros((2,)))
    with pytest.raises(TypeError, match="carry came back as"):
        fn.scan(lambda c, x: ((c, c), None), fn.zeros((3,)), fn.zeros((2,)))
    with pytest.raises(TypeError, match="pair"):
        fn.scan(lambda c, x: c, fn.zeros((3,)), fn.zeros((2,)))
    with pytest.raises(ValueError, match=r"a has length 2 and xs.*b length 3"):
        fn.scan(lambda c, x: (c, None), 0.0, {"a": fn.zeros((2,)), "b": fn.zeros((3,))})
    with pytest.raises(ValueError, match="length"):
        fn.scan(lambda c, x: (c, None), 0.0)
    with pytest.raises(ValueError, match="no axis"):
        fn.scan(lambda c, x: (c, None), 0.0, fn.array(1.0))
    with pytest.raises(ValueError, match="length is 3"):
        fn.scan(lambda c, x: (c, None), 0.0, fn.zeros((2,)), length=3)


def branch(p, x, k):
    return fn.cond(p, lambda a: fn.sin(a) * k, lambda a: a * a, x)


@pytest.mark.parametrize("p", [True, False])
def test_cond(p):
    x, k = f64(3, seed=5), f64(seed=6)
    expected = (lambda x, k: fn.sin(x) * k) if p else (lambda x, k: x * x + 0 * k)
    close(branch(p, x, k), expected(x, k))
    close(fn.compile(branch)(fn.array(p), x, k), expected(x, k))
    for g in (fn.grad, lambda f, **kw: fn.compile(fn.grad(f, **kw))):
        close(
            g(lambda x, k: fn.sum(branch(fn.array(p), x, k)), argnums=(0, 1))(x, k),
            fn.grad(lambda x, k: fn.sum(expected(x, k)), argnums=(0, 1))(x, k),
        )
    close(
        fn.jvp(lambda x, k: branch(fn.array(p), x, k), (x, k), (x * 0.5, k)),
        fn.jvp(expected, (x, k), (x * 0.5, k)),
    )


def test_cond_under_vmap():
    xs, ps = f64(4, 3, seed=7), fn.array([True, False, True, False])
    k = f64(seed=6)
    close(
        fn.vmap(branch, in_axes=(0, 0, None))(ps, xs, k),
        fn.stack([branch(p, x, k) for p, x in zip(ps, xs, strict=True)]),
    )
    close(fn.vmap(branch, in_axes=(None, 0, None))(ps[0], xs, k), fn.stack([branch(ps[0], x, k) for x in xs]))
    close(
        fn.vmap(fn.grad(lambda p, x: fn.sum(branch(p, x, k)), argnums=1))(ps, xs),
        fn.stack([fn.grad(lambda x: fn.sum(branch(p, x, k)))(x) for p, x in zip(ps, xs, strict=True)]),  # noqa: B023
    )


def root_or_double(x):
    return fn.cond(x > 0, lambda: fn.sqrt(x), lambda: 2 * x)


@pytest.mark.parametrize("run", [lambda f: f, fn.compile])
def test_a_branch_computes_what_it_makes_of_outside_values(run):
    xs = fn.array([4.0, 0.0, -1.0])
    for x, slope in zip(xs, (0.25, 2.0, 2.0), strict=True):
        assert run(fn.grad(root_or_double))(x).item() == slope
    assert run(fn.vmap(fn.grad(root_or_double)))(xs).tolist() == [0.25, 2, 2]
    assert run(fn.grad(lambda xs: fn.vmap(root_or_double)(xs).sum()))(xs).tolist() == [0.25, 2, 2]


def test_a_branch_may_look_at_what_it_makes_of_outside_values():
    a = f64(3, 3, seed=9)

    def factors():
        q, r = fn.linalg.qr(a)
        fn.eval(q)
        return q, r

    q, r = fn.compile(lambda p: fn.cond(p, lambda: (a, a), factors))(fn.array(False))
    close(q @ r, a)


def test_a_scan_of_no_steps_computes_nothing_of_outside_values():
    def f(x):
        return fn.scan(lambda c, _: (c * fn.sqrt(x), None), fn.array(3.0) + x, length=0)[0]

    assert fn.grad(f)(fn.array(0.0)).item() == 1


def test_only_the_chosen_branch_runs():
    calls = []

    def noted(x):
        calls.append(1)
        return np.sin(x)

    @fn.compile
    def f(i, x):
        return fn.switch(i, [lambda: fn.pure_callback(noted, x, x) * 2, lambda: x, lambda: -x])

    x = fn.array([0.5, 0.25])
    assert [f(fn.array(i), x).tolist() for i in (1, 2)] == [[0.5, 0.25], [-0.5, -0.25]]
    assert not calls
    np.testing.assert_allclose(f(fn.array(0), x), 2 * np.sin([0.5, 0.25]), rtol=1e-6)
    assert calls


def test_a_branch_shares_what_was_made_before_it():
    """An output of a computation with several, and of a loop around the branch."""

    def f(x, p):
        low, high = fn.split(fn.sin(x), 2)
        carry, ys = fn.scan(lambda c, y: (fn.cond(p, lambda: c * high.sum() + y, lambda: c - low.sum()), c), x[0], x)
        return carry + ys.sum()

    def plain(x, p):
        low, high = fn.split(fn.sin(x), 2)
        c, total = x[0], fn.array(0.0, dtype=x.dtype)
        for y in x:
            total, c = total + c, c * high.sum() + y if p else c - low.sum()
        return c + total

    x = f64(4, seed=8)
    for p in (True, False):
        close(fn.value_and_grad(f)(x, fn.array(p)), fn.value_and_grad(plain)(x, p))
        close(fn.hessian(f)(x, fn.array(p)), fn.hessian(plain)(x, p))
    both = fn.array([True, False])
    close(fn.vmap(fn.grad(f), (None, 0))(x, both), fn.stack([fn.grad(plain)(x, p) for p in (True, False)]))


def test_cond_errors():
    with pytest.raises(TypeError, match="disagree.*float32"):
        fn.cond(True, lambda x: x, lambda x: fn.zeros((3,)), fn.zeros((2,)))
    with pytest.raises(TypeError, match="different structures"):
        fn.cond(True, lambda x: x, lambda x: (x, x), fn.zeros((2,)))
    with pytest.raises(ValueError, match=r"0-d.*\(2,\)"):
        fn.cond(fn.array([True, False]), lambda x: x, lambda x: x, fn.zeros((2,)))


def collatz(n):
    def step(c):
        n, k = c
        return fn.where(n % 2 == 0, n // 2, 3 * n + 1), k + 1

    return fn.while_loop(lambda c: c[0] != 1, step, (n, fn.array(0)))[1]


def test_while_loop():
    assert collatz(fn.array(27)).item() == 111
    assert fn.compile(collatz)(fn.array(27)).item() == 111
    assert fn.vmap(collatz)(fn.array([1, 2, 3, 27])).tolist() == [0, 1, 7, 111]


def test_while_loop_forward_mode():
    def power(x):
        return fn.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * x), (fn.array(0), x))[1]

    x = f64(seed=8)
    value, tangent = fn.jvp(power, (x,), (fn.ones_like(x),))
    close((value, tangent), (x**6, 6 * x**5))
    close(fn.jacfwd(power)(x), 6 * x**5)
    with pytest.raises(ValueError, match="while_loop.*scan"):
        fn.grad(power)(x)


def test_while_loop_errors():
    with pytest.raises(TypeError, match="0-d bool"):
        fn.while_loop(lambda x: x > 0, lambda x: x, fn.zeros((2,)))
    with pytest.raises(TypeError, match="went in as int32"):
        fn.while_loop(lambda x: x > 0, lambda x: x * 0.5, fn.array(3))


@pytest.mark.parametrize("condition", [lambda x: 1.5 - x, lambda x: 0, lambda x: fn.array(0, fn.int8)])
def test_the_condition_of_a_while_loop_is_a_bool(condition):
    with pytest.raises(TypeError, match=r"must return one 0-d bool, got (float32|int32|int8); compare"):
        fn.while_loop(condition, lambda x: x + 1, fn.array(0.0))


def test_any_number_is_a_predicate_of_cond():
    for number in (3, 0.5, -1, float("nan"), True, fn.array(2, fn.int8)):
        assert fn.cond(number, lambda: 1, lambda: 2).item() == 1
    for number in (0, 0.0, -0.0, False, fn.array(0, fn.uint8)):
        assert fn.cond(number, lambda: 1, lambda: 2).item() == 2


# ---- while loops in reverse mode, over what does not move


def cube(x):
    """x**3, by a loop."""
    return fn.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] * x), (fn.array(0), x))[1]


def still(x):
    return fn.stop_gradient(x)


def beside_a_moving_carry(x):
    start = (fn.array(0), still(x), x)
    return fn.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2, c[2] * 3), start)[1] * x


def after_a_cond(x):
    a, b = fn.cond(x > 1.5, lambda x: (still(x) * 2, x * 2), lambda x: (fn.array(3.0), x * 2), x)
    return cube(a) * b


def after_a_scan(x):
    def step(carry, t):
        return (carry[0] * still(carry[1]), carry[1] * x), still(carry[1])

    (a, b), ys = fn.scan(step, (still(x), x), fn.zeros(2))
    return cube(a) * b * cube(ys[1])


def after_a_while_loop(x):
    _, y = fn.while_loop(lambda c: c[0] < x, lambda c: (c[0] + 1, still(c[1] * x)), (fn.array(0.0), fn.array(1.0)))
    return y * x


# What is differentiated, and its derivative.
STILL_LOOPS = {
    beside_a_moving_carry: lambda x: 8 * x,
    after_a_cond: lambda x: np.where(x > 1.5, (2 * x) ** 3 * 2, 54),
    after_a_scan: lambda x: x**12 * 3 * x**2 * x**6,
    after_a_while_loop: lambda x: x ** np.ceil(x),
}
IN_ROWS = {
    "one by one": lambda f, p, xs: sum(f(x) if on else x for on, x in zip(p, xs, strict=True)),
    "a cond": lambda f, p, xs: sum(fn.cond(on, f, lambda x: x, x) for on, x in zip(p, xs, strict=True)),
    "a mapped cond": lambda f, p, xs: fn.vmap(lambda on, x: fn.cond(on, f, lambda x: x, x))(fn.array(p), xs).sum(),
    "a scan": lambda f, p, xs: fn.scan(
        lambda s, row: (s + fn.cond(row[0], f, lambda x: x, row[1]), None), 0.0, (fn.array(p), xs)
    )[0],
}


@pytest.mark.parametrize("rows", IN_ROWS.values(), ids=list(IN_ROWS))
@pytest.mark.parametrize("f", STILL_LOOPS, ids=lambda f: f.__name__)
def test_reverse_mode_passes_by_while_loops_that_do_not_move(f, rows):
    x, taken = np.array([1.25, 2.0, 0.5]), [True, False, True]
    expected = np.where(taken, STILL_LOOPS[f](x), 1.0)
    gradient = fn.grad(lambda xs: rows(f, taken, xs))
    for run in (gradient, fn.compile(gradient)):
        np.testing.assert_allclose(run(fn.array(x, fn.float32)), expected, rtol=1e-6)


def test_reverse_mode_refuses_while_loops_that_move():
    def moves_in_the_second_step(x):
        def step(c):
            return c[0] + 1, c[2], x * c[0]

        return fn.while_loop(lambda c: c[0] < 3, step, (fn.array(0.0), still(x), still(x)))[1]

    with pytest.raises(ValueError, match="while_loop.*scan"):
        fn.grad(moves_in_the_second_step)(fn.array(2.0))


# ---- carries, elements and outputs that are the same array

ALIASES = {
    "the carry before the step": lambda c, x: ((c[0] + x, c[1]), c[0]),
    "carries that swap": lambda c, x: ((c[1], c[0]), c[0] * x),
    "a shift register": lambda c, x: ((c[1], c[0] + c[1] * x), c[0]),
    "one value twice": lambda c, x: ((c[0] + x, c[0] + x), c[1]),
    "an untouched carry": lambda c, x: ((c[0] * x, c[1]), c[1]),
    "an element as the carry": lambda c, x: ((x, c[0]), x),
    "a view of a carry": lambda c, x: ((c[0] + x, c[0][::-1]), c[1][::-1]),
    "a carry read after its update": lambda c, x: ((fn.exp(c[0] * 0.1) + x, fn.sum(c[0]) + c[1]), fn.flip(c[0], 0)),
}


@pytest.mark.parametrize("name", ALIASES)
@pytest.mark.parametrize("compiled", [False, True])
def test_scan_keeps_values_that_are_read_again(name, compiled):
    body = ALIASES[name]
    init, xs = (f64(3, seed=4), f64(3, seed=5)), f64(5, 3, seed=6)

    def run(init, xs):
        return fn.scan(body, init, xs)

    def reference(init, xs):
        carry, ys = init, []
        for x in xs:
            carry, y = body(carry, x)
            fn.eval(carry, y)
            ys.append(np.asarray(y).copy())
        return carry, fn.array(np.stack(ys), dtype=fn.float64)

    close((fn.compile(run) if compiled else run)(init, xs), reference(init, xs))

    def loss(run):
        return lambda init, xs: sum(fn.sum(fn.sin(v)) for v in fn.tree.leaves(run(init, xs)))

    def loop(init, xs):
        carry, ys = init, []
        for x in xs:
            carry, y = body(carry, x)
            ys.append(y)
        return carry, fn.stack(ys)

    close(fn.grad(loss(run), argnums=(0, 1))(init, xs), fn.grad(loss(loop), argnums=(0, 1))(init, xs))


def test_scan_of_an_lstm_has_the_gradient_of_the_formula():
    """The residual of h' = o * tanh(c') is the carry c itself. The oracle is reverse mode written out in NumPy."""
    rng = np.random.default_rng(7)
    units, steps = 5, 6
    w = rng.normal(size=(4 * units, 2 * units)) * 0.5
    xs = rng.normal(size=(steps, units))

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    def oracle(w):
        h, c, saved = np.zeros(units), np.zeros(units), []
        for x in xs:
            z = np.concatenate([x, h])
            i, f, o, g = np.split(w @ z, 4)
            i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
            before, c = c, f * c + i * g
            h = o * np.tanh(c)
            saved.append((z, i, f, o, g, before, c))
        dw, dh, dc = np.zeros_like(w), h.copy(), np.zeros(units)
        for z, i, f, o, g, before, c in reversed(saved):
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            gates = [
                dc * g * i * (1 - i),
                dc * before * f * (1 - f),
                dh * np.tanh(c) * o * (1 - o),
                dc * i * (1 - g**2),
            ]
            pre = np.concatenate(gates)
            dw += np.outer(pre, z)
            dh, dc = (w.T @ pre)[units:], dc * f
        return 0.5 * np.sum(h**2), dw

    def loss(w):
        def step(state, x):
            h, c = state
            i, f, o, g = fn.split(w @ fn.concatenate([x, h]), 4)
            c = fn.sigmoid(f) * c + fn.sigmoid(i) * fn.tanh(g)
            return (fn.sigmoid(o) * fn.tanh(c), c), None

        zeros = fn.zeros(units, dtype=fn.float64)
        (h, _), _ = fn.scan(step, (zeros, zeros), fn.array(xs, dtype=fn.float64))
        return 0.5 * fn.sum(h**2)

    weight = fn.array(w, dtype=fn.float64)
    for run in (fn.value_and_grad(loss), fn.compile(fn.value_and_grad(loss))):
        value, gradient = run(weight)
        expected, expected_gradient = oracle(w)
        np.testing.assert_allclose(value.item(), expected, rtol=1e-10)
        np.testing.assert_allclose(np.asarray(gradient), expected_gradient, rtol=1e-9, atol=1e-12)


def test_while_loop_keeps_values_that_are_read_again():
    def run(a, b):
        return fn.while_loop(lambda c: c[2] < 7, lambda c: (c[1], c[0] + c[1], c[2] + 1), (a, b, fn.array(0)))

    a, b = np.array([0, 2]), np.array([1, 1])
    for f in (run, fn.compile(run)):
        x, y, _ = f(fn.array(a), fn.array(b))
        p, q = a, b
        for _ in range(7):
            p, q = q, p + q
        assert x.tolist() == p.tolist() and y.tolist() == q.tolist()


class TestEveryRowItsOwnBranch:
    """vmap of cond over predicates: a branch must see nothing that was not meant for it."""

    def test_what_a_branch_would_divide_by(self):
        def unit(x):
            return fn.cond(fn.all(x == 0), lambda x: x * 0, lambda x: x / fn.linalg.norm(x), x)

        x = fn.array([[0.0, 0.0], [3.0, 4.0]])
        expected = [[0.0, 0.0], [0.128, -0.096]]
        for w in (lambda f: f, fn.compile, fn.checkpoint):
            mapped_outside = fn.vmap(fn.grad(w(lambda x: unit(x)[0])))(x)
            mapped_inside = fn.grad(w(lambda x: fn.vmap(unit)(x)[:, 0].sum()))(x)
            np.testing.assert_allclose(mapped_outside, expected, rtol=1e-5)
            np.testing.assert_allclose(mapped_inside, expected, rtol=1e-5)

    @pytest.mark.parametrize("x", [[0.0, 2.0, -1.0], [0.0, -1.0], [3.0, 2.0]])
    def test_what_all_rows_share(self, x):
        def loss(w, x):
            return fn.vmap(lambda x: fn.cond(x > 0, lambda x: w * fn.log(x), lambda x: x * 2.0 + w, x))(x).sum()

        x = np.array(x, np.float32)
        by_w, by_x = fn.grad(loss, argnums=(0, 1))(fn.array(1.5), fn.array(x))
        taken = x[x > 0]
        np.testing.assert_allclose(by_w, np.log(taken).sum() + (x <= 0).sum(), rtol=1e-6)
        np.testing.assert_allclose(by_x, np.where(x > 0, 1.5 / np.where(x > 0, x, 1), 2.0), rtol=1e-6)
        moved = fn.jvp(loss, (fn.array(1.5), fn.array(x)), (fn.array(1.0), fn.ones(len(x))))[1]
        np.testing.assert_allclose(moved, np.asarray(by_w) + np.asarray(by_x).sum(), rtol=1e-5)

    @pytest.mark.parametrize("starts", [[0, 5, 2], [5, 4], [1, 2], []])
    def test_loops_that_end_only_where_they_are_meant_to(self, starts):
        def f(n):
            return fn.cond(n < 3, lambda n: fn.while_loop(lambda s: s != 3, lambda s: s + 1, n), lambda n: n, n)

        for run in (fn.vmap(f), fn.compile(fn.vmap(f))):
            assert run(fn.array(starts, fn.int32)).tolist() == [max(3, n) for n in starts]
        nested = fn.vmap(fn.vmap(f))(fn.array([starts, starts], fn.int32))
        assert nested.tolist() == [[max(3, n) for n in starts]] * 2


def test_a_carry_of_nothing():
    """None is an empty tree."""

    def run(x):
        return fn.scan(lambda carry, x: (carry, 2 * x), None, x)

    x = fn.array([1.0, 2.0])
    for f in (run, fn.compile(run), lambda x: fn.scan(lambda c, x: (c, 2 * x), None, x, unroll=2)):
        carry, doubled = f(x)
        assert carry is None
        assert doubled.tolist() == [2.0, 4.0]
    assert fn.grad(lambda x: run(x)[1].sum())(x).tolist() == [2.0, 2.0]
    assert fn.vmap(lambda x: run(x)[1])(fn.ones((2, 3))).tolist() == [[2.0] * 3] * 2
    with pytest.raises(TypeError, match=r"the carry came back as .*, expected .*None.*; return the structure"):
        fn.scan(lambda carry, x: (x, x), None, x)
