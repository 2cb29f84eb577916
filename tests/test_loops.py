"""fori_loop, map, switch and unrolled scans against the Python loops and branches they stand for."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import random, tree
from widest import WIDEST, reachable

RUNS = [lambda f: f, fn.compile]


def f64(*shape, seed=0):
    return fn.array(np.random.default_rng(seed).normal(size=shape), dtype=WIDEST)


def close(a, b, tolerance=1e-9):
    tolerance = reachable(tolerance)
    assert tree.structure(a) == tree.structure(b)
    tree.map(
        lambda x, y: np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance), a, b
    )


# ---- scan(unroll=)

W, H0 = f64(3, 3, seed=1) * 0.5, f64(2, 3, seed=2)


def cell(w):
    def step(h, x):
        h = fn.tanh(h @ w + x["in"])
        return h, {"sum": h.sum(axis=-1), "twice": (h * 2, x["n"] + 1)}

    return step


def elements(length):
    return {"in": f64(length, 2, 3, seed=3), "n": fn.arange(length)}


def loop(f, init, xs, reverse):
    length = xs["n"].shape[0]
    carry, ys = init, []
    for i in range(length)[::-1] if reverse else range(length):
        carry, y = f(carry, tree.map(lambda x, i=i: x[i], xs))
        ys.append(y)
    return carry, tree.stack(ys[::-1] if reverse else ys)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, 2, 3, 5, 7, 8, 100, True, False])
@pytest.mark.parametrize("length", [1, 6, 7])
def test_unrolled_scan_is_a_loop(length, unroll, reverse):
    xs = elements(length)
    expected = loop(cell(W), H0, xs, reverse)
    for run in RUNS:
        close(run(lambda w, h, xs: fn.scan(cell(w), h, xs, reverse=reverse, unroll=unroll))(W, H0, xs), expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [2, 3, True])
def test_unrolled_scan_under_transformations(unroll, reverse):
    def objective(run, **options):
        def f(w, h, x):
            carry, ys = run(cell(w), h, {"in": x, "n": fn.arange(7)}, reverse=reverse, **options)
            return fn.sum(carry**2) + fn.sum(fn.sin(ys["sum"]))

        return f

    ours, theirs = objective(fn.scan, unroll=unroll), objective(loop)
    args = (W, H0, elements(7)["in"])
    for transform in (
        lambda f: fn.grad(f, argnums=(0, 1, 2)),
        lambda f: fn.compile(fn.grad(f, argnums=(0, 1, 2))),
        lambda f: fn.grad(fn.checkpoint(f)),
        lambda f: lambda *args: fn.jvp(f, args, args),
        lambda f: fn.grad(lambda w, h, x: fn.grad(f)(w, h, x).sum()),
    ):
        close(transform(ours)(*args), transform(theirs)(*args), 1e-8)
    ws = f64(4, 3, 3, seed=4) * 0.3
    close(
        fn.vmap(fn.grad(ours), in_axes=(0, None, None))(ws, *args[1:]),
        fn.stack([fn.grad(theirs)(w, *args[1:]) for w in ws]),
    )


def test_unrolled_scan_without_elements_or_steps():
    carry, ys = fn.scan(lambda c, _: (c + 1, c * c), 0, length=5, unroll=2)
    assert carry.item() == 5 and ys.tolist() == [0, 1, 4, 9, 16]
    for unroll in (1, 3, True):
        carry, ys = fn.scan(lambda c, x: (c, x), fn.array(3.0), fn.zeros((0, 2)), unroll=unroll)
        assert carry.item() == 3 and ys.shape == (0, 2)


def test_unrolling_traces_once_and_leaves_fewer_turns():
    calls = []

    def step(c, x):
        calls.append(1)
        return c + x, c

    graph = fn.explain(lambda x: fn.scan(step, fn.array(0.0), x, unroll=4))(fn.zeros(14)).graph
    assert len(calls) == 1 and "length=3" in graph
    graph = fn.explain(lambda x: fn.scan(step, fn.array(0.0), x, unroll=True))(fn.zeros(14)).graph
    assert "scan" not in graph


@pytest.mark.parametrize("unroll", [0, -1])
def test_unroll_must_be_positive(unroll):
    with pytest.raises(ValueError, match="unroll"):
        fn.scan(lambda c, x: (c, x), 0.0, fn.zeros(3), unroll=unroll)


# ---- fori_loop


def python_loop(lower, upper, body, x):
    for i in range(lower, upper):
        x = body(i, x)
    return x


BOUNDS = [(0, 5), (2, 3), (3, 3), (5, 2), (-3, 4)]


@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_fori_loop_is_a_loop(lower, upper):
    def body(i, x):
        return {"a": x["a"] * 0.5 + i, "n": x["n"] + i}

    init = {"a": f64(3), "n": fn.array(7)}
    expected = python_loop(lower, upper, body, init)
    kinds = [lambda n: n, np.int64, fn.array, lambda n: fn.array(n, fn.int8)]
    for kind in kinds:
        close(fn.fori_loop(kind(lower), kind(upper), body, init), expected)
    close(fn.fori_loop(lower, upper, body, init, unroll=2), expected)
    close(fn.fori_loop(lower, upper, body, init, unroll=True), expected)
    traced = fn.compile(lambda a, b, init: fn.fori_loop(a, b, body, init))
    for kind in kinds[2:]:
        close(traced(kind(lower), kind(upper), init), expected)
    close(fn.compile(lambda b, init: fn.fori_loop(lower, b, body, init))(fn.array(upper), init), expected)
    close(fn.compile(lambda a, init: fn.fori_loop(a, upper, body, init))(fn.array(lower), init), expected)


def test_fori_loop_gradients():
    def power(n):
        return lambda x: fn.fori_loop(0, n, lambda i, y: y * x, fn.ones_like(x))

    x = f64(seed=1)
    close(fn.grad(power(6))(x), 6 * x**5)
    close(fn.grad(fn.grad(power(6)))(x), 30 * x**4)
    close(fn.compile(fn.grad(power(6)))(x), 6 * x**5)
    close(fn.vmap(fn.grad(power(3)))(f64(4, seed=2)), 3 * f64(4, seed=2) ** 2)
    # Known bounds under grad: their values may be arrays.
    close(fn.grad(lambda x: power(fn.array(3))(x))(x), 3 * x**2)
    # The number of a turn has a gradient of its own to multiply with.
    close(fn.grad(lambda x: fn.fori_loop(1, 4, lambda i, y: y + i * x, fn.zeros_like(x)))(x), np.float64(6.0))
    nested = fn.grad(
        lambda x: fn.fori_loop(0, 3, lambda i, y: fn.fori_loop(0, 2, lambda j, z: z * x, y), fn.ones_like(x))
    )
    close(nested(x), 6 * x**5)


def test_fori_loop_with_a_traced_bound():
    def power(x, n):
        return fn.fori_loop(0, n, lambda i, y: y * x, fn.ones_like(x))

    x = f64(seed=1)
    assert fn.vmap(lambda n: fn.fori_loop(0, n, lambda i, y: y + i, 0))(fn.array([0, 1, 5])).tolist() == [0, 0, 10]
    close(fn.compile(lambda x, n: fn.jvp(lambda x: power(x, n), (x,), (fn.ones_like(x),)))(x, fn.array(4))[1], 4 * x**3)
    with pytest.raises(ValueError, match=r"while_loop.*scan"):
        fn.compile(fn.grad(power))(x, fn.array(4))
    with pytest.raises(ValueError, match="unroll"):
        fn.compile(lambda n: fn.fori_loop(0, n, lambda i, y: y, 0, unroll=2))(fn.array(4))


def test_fori_loop_counts_beyond_int32():
    assert fn.fori_loop(2**40, 2**40 + 3, lambda i, y: y + (i - 2**40), fn.array(0, fn.int64)).item() == 3


@pytest.mark.parametrize("run", RUNS)
def test_the_number_of_a_turn_has_the_dtype_of_the_bounds(run):
    for lower, upper, dtype in [
        (0, 3, fn.int32),
        (fn.array(0, fn.int8), fn.array(3, fn.int8), fn.int8),
        (fn.array(0, fn.uint8), fn.array(3, fn.int16), fn.int16),
        (0, fn.array(3, fn.int64), fn.int64),
    ]:
        numbers = run(lambda a, b: fn.fori_loop(a, b, lambda i, x: x.at[i].set(i), fn.zeros(3, i_dtype(a, b))))(
            lower, upper
        )
        assert numbers.dtype == dtype and numbers.tolist() == [0, 1, 2]


def test_the_number_of_a_turn_is_weak():
    for dtype in (fn.int8, fn.bfloat16):
        assert fn.fori_loop(0, 3, lambda i, x: x + i, fn.zeros(2, dtype)).dtype == dtype


def i_dtype(a, b):
    seen = []
    fn.eval_shape(lambda: fn.fori_loop(a, b, lambda i, x: seen.append(i.dtype) or x, 0))
    return seen[0]


def test_fori_loop_errors():
    with pytest.raises(TypeError, match="lower must be an integer, got float"):
        fn.fori_loop(0.5, 3, lambda i, x: x, 0)
    with pytest.raises(TypeError, match="upper must be an integer, got float32"):
        fn.fori_loop(0, fn.array(3.0), lambda i, x: x, 0)
    for stop in (3, fn.array(3)):
        for run in RUNS:
            with pytest.raises(TypeError, match=r"fori_loop: the value came back as .*, the structure of init_val"):
                run(lambda n: fn.fori_loop(0, n, lambda i, x: (x, x), fn.array(0)))(stop)
            with pytest.raises(
                TypeError, match=r"fori_loop: the value at a.b went in as int32\(\) and came back as float32"
            ):
                run(
                    lambda n: fn.fori_loop(
                        0, n, lambda i, x: {"a": {"b": x["a"]["b"] * fn.array(0.5)}}, {"a": {"b": fn.array(0)}}
                    )
                )(stop)
            with pytest.raises(TypeError, match="fori_loop: the value went in as int32"):
                run(lambda n: fn.fori_loop(0, n, lambda i, x: x * fn.array(0.5), fn.array(0)))(stop)


# ---- map


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 7, 10])
@pytest.mark.parametrize("length", [0, 1, 7])
def test_map_is_vmap(length, batch_size):
    xs = {"a": f64(length, 2, 3), "b": f64(length, seed=1)}

    def f(x):
        return {"y": fn.sin(x["a"]).sum(axis=0) * x["b"], "z": (x["b"],)}

    expected = {"y": (np.sin(xs["a"]).sum(1).T * np.asarray(xs["b"])).T, "z": (np.asarray(xs["b"]),)}
    for run in RUNS:
        close(run(lambda xs: fn.map(f, xs, batch_size=batch_size))(xs), expected)
    if length:
        gradient = fn.grad(lambda a: fn.map(f, {**xs, "a": a}, batch_size=batch_size)["y"].sum())(xs["a"])
        close(gradient, np.cos(xs["a"]) * np.asarray(xs["b"])[:, None, None])
        mapped = fn.vmap(lambda a: fn.map(f, {**xs, "a": a}, batch_size=batch_size)["y"])(f64(3, length, 2, 3, seed=5))
        assert mapped.shape == (3, length, 3)


def test_map_errors():
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        fn.map(fn.sin, fn.zeros(3), batch_size=0)
    with pytest.raises(ValueError, match="one length"):
        fn.map(lambda x: x, (fn.zeros(3), fn.zeros(2)), batch_size=2)
    with pytest.raises(ValueError, match="one length"):
        fn.map(lambda x: x, fn.array(1.0), batch_size=2)
    for nothing in ((), None):
        with pytest.raises(ValueError, match="map: xs holds no arrays"):
            fn.map(lambda x: x, nothing)


# ---- switch

BRANCHES = [lambda x, k: fn.sin(x) * k, lambda x, k: x * x, lambda x, k: x / k, lambda x, k: k + 0 * x, lambda x, k: -x]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("index", [-2, 0, 1, 2, 4, 9])
def test_switch(count, index):
    x, k = f64(3), f64(seed=1)
    branches = BRANCHES[:count]
    chosen = branches[min(max(index, 0), count - 1)]
    close(fn.switch(index, branches, x, k), chosen(x, k))
    close(fn.switch(np.int64(index), branches, x, k), chosen(x, k))
    close(fn.compile(lambda i, x, k: fn.switch(i, branches, x, k))(fn.array(index), x, k), chosen(x, k))
    expected = fn.grad(lambda x, k: chosen(x, k).sum(), argnums=(0, 1))(x, k)
    for run in RUNS:
        grad = run(fn.grad(lambda x, k, i: fn.switch(i, branches, x, k).sum(), argnums=(0, 1)))
        close(grad(x, k, fn.array(index)), expected)
    close(fn.jvp(lambda x, k: fn.switch(index, branches, x, k), (x, k), (x, k)), fn.jvp(chosen, (x, k), (x, k)))


def test_switch_under_vmap():
    x, k, numbers = f64(8, 3), f64(seed=1), fn.array([0, 3, 4, -1, 1, 2, 7, 3])
    rows = [BRANCHES[min(max(i, 0), 4)](row, k) for i, row in zip(numbers.tolist(), x, strict=True)]
    close(fn.vmap(lambda i, x: fn.switch(i, BRANCHES, x, k))(numbers, x), fn.stack(rows))
    close(fn.vmap(lambda x: fn.switch(2, BRANCHES, x, k))(x), x / k)
    slopes = fn.vmap(fn.grad(lambda x, i: fn.switch(i, BRANCHES, x, k).sum()))(x, numbers)
    close(slopes[1:3], fn.stack([fn.zeros(3, WIDEST), -fn.ones(3, WIDEST)]))


def test_switch_inside_loops_and_captured_values():
    k = f64(3)

    def step(c, i):
        c = fn.switch(i, [lambda c: c + k, lambda c: c * 2, lambda c: c - 1], c)
        return c, None

    numbers = [0, 1, 2, 1, 0]
    expected = np.zeros(3)
    for i in numbers:
        expected = [expected + np.asarray(k), expected * 2, expected - 1][i]
    close(fn.scan(step, fn.zeros(3, WIDEST), fn.array(numbers))[0], expected)
    assert fn.switch(1, [lambda: 1, lambda: 2]).item() == 2


def test_switch_runs_the_chosen_branch_only():
    x = fn.ones(1 << 20) * 2
    fn.eval(x)
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    out = fn.switch(fn.array(1), [lambda x: fn.sort(x)[0], lambda x: x[0], lambda x: fn.cumsum(x)[-1]], x)
    assert out.item() == 2 and fn.get_peak_memory() - before < x.nbytes


def test_switch_errors():
    with pytest.raises(TypeError, match=r"different structures.*branch 0.*branch 2"):
        fn.switch(0, [lambda x: x, lambda x: x, lambda x: (x,)], fn.zeros(2))
    with pytest.raises(TypeError, match=r"disagree at a: float32\(2,\) \(branch 0\) and float32\(3,\) \(branch 1\)"):
        fn.switch(0, [lambda x: {"a": x}, lambda x: {"a": fn.zeros(3)}], fn.zeros(2))
    with pytest.raises(TypeError, match="index must be an integer, got float"):
        fn.switch(0.5, [lambda: 1, lambda: 2])
    with pytest.raises(TypeError, match="got bool"):
        fn.switch(fn.array(True), [lambda: 1, lambda: 2])
    with pytest.raises(TypeError, match="got bool"):
        fn.switch(True, [lambda: 1, lambda: 2])
    with pytest.raises(TypeError, match="index must be an integer, got str"):
        fn.switch("a", [lambda: 1, lambda: 2])
    with pytest.raises(ValueError, match="0-d"):
        fn.switch(fn.array([0, 1]), [lambda: 1, lambda: 2])
    with pytest.raises(ValueError, match="no branches"):
        fn.switch(0, [])


def test_draws_inside_loops():
    """A key folded with the number of the turn gives each turn its own numbers."""
    key = random.key(3)
    total = fn.fori_loop(0, 4, lambda i, s: s + random.normal(random.fold_in(key, i)), fn.array(0.0))
    close(total, sum(random.normal(random.fold_in(key, i)) for i in range(4)), 1e-6)
