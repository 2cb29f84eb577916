"""Loops, branches and checkpoints whose functions move values between devices."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import random

# These tests say themselves where things are.
pytestmark = pytest.mark.usefixtures("cpu_by_default")

OTHERS = ["reference"] + (["gpu"] if fn.is_available(fn.gpu) else [])
NUMBERS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def down(x):
    return fn.device_put(x, "cpu")


def steps(step, start):
    """The carries of a loop over the numbers, in NumPy."""

    def run(a):
        carry, before = start, []
        for e in a:
            before.append(carry)
            carry = step(carry, e)
        return carry, np.array(before)

    return run


# By name: a function of six numbers that begins and ends on the CPU, given how to move to the other device; and NumPy's.
PROGRAMS = {
    "scan_up": (lambda up: lambda x: fn.scan(lambda c, e: (c, up(fn.sin(e * 2))), 0, x)[1], lambda a: np.sin(2 * a)),
    "scan_down": (
        lambda up: lambda x: fn.scan(lambda c, e: (c, down(fn.sin(e * 2))), 0, up(x))[1],
        lambda a: np.sin(2 * a),
    ),
    "scan_there_and_back": (
        lambda up: lambda x: fn.scan(lambda c, e: (c, down(fn.sin(up(fn.cos(e)))) * e), 0, x)[1],
        lambda a: np.sin(np.cos(a)) * a,
    ),
    "scan_constant": (
        lambda up: lambda x: fn.scan(lambda c, e: (c, up(e) * up(e + x[0]) + up(fn.exp(e * x)).sum()), 0, x)[1],
        lambda a: a * (a + a[0]) + np.exp(np.outer(a, a)).sum(1),
    ),
    "scan_product": (
        lambda up: (
            lambda x: fn.scan(lambda c, e: (c, up(fn.outer(e, x[:3])) @ up(e + x[3:])), 0, fn.stack([x[:3], x[3:]]))[
                1
            ].reshape(-1)
        ),
        lambda a: np.concatenate([np.outer(r, a[:3]) @ (r + a[3:]) for r in (a[:3], a[3:])]),
    ),
    "captured": (
        lambda up: lambda x: fn.scan(lambda c, e: (c, up(e) * up(x[0]) + up(fn.exp(x)).sum()), 0, x)[1],
        lambda a: a * a[0] + np.exp(a).sum(),
    ),
    "captured_by_branches": (
        lambda up: lambda x: fn.cond(x.sum() > 0, lambda v: up(v) * up(x), lambda v: up(x), x * 2),
        lambda a: 2 * a * a,
    ),
    "nested": (
        lambda up: (
            lambda x: fn.scan(
                lambda c, row: (c, fn.scan(lambda d, e: (d, up(e) * up(x[1]).astype(e.dtype)), 0, row)[1]),
                0,
                x.reshape(2, 3),
            )[1].reshape(-1)
        ),
        lambda a: a * a[1],
    ),
    "unrolled": (
        lambda up: lambda x: fn.scan(lambda c, e: (c, up(fn.sin(e)) ** 2), 0, x, unroll=4)[1],
        lambda a: np.sin(a) ** 2,
    ),
    "unrolled_carry": (
        lambda up: lambda x: fn.scan(lambda c, e: (up(fn.sin(down(c)) + e), None), down(fn.ones(3)), x, unroll=True)[0],
        lambda a: np.repeat(steps(lambda c, e: np.sin(c) + e, 1.0)(a)[0], 3),
    ),
    "carry_up": (
        lambda up: lambda x: fn.scan(lambda c, e: (up(fn.sin(c) + e), c), down(fn.array(1.0)), x)[1],
        lambda a: steps(lambda c, e: np.sin(c) + e, 1.0)(a)[1],
    ),
    "carry_there_and_back": (
        lambda up: lambda x: fn.scan(lambda c, e: (down(fn.sin(up(c)) * up(fn.cos(e))), c), down(fn.array(1.0)), x)[1],
        lambda a: steps(lambda c, e: np.sin(c) * np.cos(e), 1.0)(a)[1],
    ),
    "cond_up": (
        lambda up: lambda x: fn.cond(x.sum() > 0, lambda v: up(fn.sin(v)), lambda v: up(v * 3), x),
        lambda a: np.sin(a),
    ),
    "cond_of_two_devices": (
        lambda up: lambda x: fn.cond(x.sum() < 0, lambda v: up(v * 2), lambda v: fn.sin(v * 3), x),
        lambda a: np.sin(3 * a),
    ),
    "checkpoint": (lambda up: lambda x: fn.checkpoint(lambda v: up(fn.sin(v * 2)))(x), lambda a: np.sin(2 * a)),
}


def program(name, device):
    make, reference = PROGRAMS[name]
    inner = make(lambda x: fn.device_put(x, device))
    return lambda x: down(inner(x)), reference


def slopes(f, a, weights):
    """Of the weighted sum, by central differences."""
    step = 1e-6
    return np.array([weights @ (f(a + step * e) - f(a - step * e)) / (2 * step) for e in np.eye(len(a))])


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_values(name, other):
    f, reference = program(name, other)
    x = fn.array(NUMBERS, dtype=fn.float32)
    for run in (f, fn.compile(f)):
        np.testing.assert_allclose(run(x), reference(NUMBERS), rtol=2e-6)
    rows = np.stack([NUMBERS, 2 * NUMBERS])
    expected = [reference(r) for r in rows]
    for run in (fn.vmap(f), fn.compile(fn.vmap(f))):
        np.testing.assert_allclose(run(fn.array(rows, dtype=fn.float32)), expected, rtol=2e-6)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_derivatives(name, other):
    f, reference = program(name, other)
    x = fn.array(NUMBERS, dtype=fn.float32)
    weights = np.linspace(1, 2, len(reference(NUMBERS)))
    w = fn.array(weights, dtype=fn.float32)

    def loss(x):
        return (f(x) * w).sum()

    expected = slopes(reference, NUMBERS, weights)
    for run in (fn.grad(loss), fn.compile(fn.grad(loss))):
        np.testing.assert_allclose(run(x), expected, rtol=2e-5, atol=1e-5)
    rows = fn.stack([x, x * 2])
    np.testing.assert_allclose(fn.vmap(fn.grad(loss))(rows)[0], expected, rtol=2e-5, atol=1e-5)
    forward = fn.jvp(loss, (x,), (fn.ones_like(x),))[1]
    np.testing.assert_allclose(forward, expected.sum(), rtol=2e-5)
    # Second derivatives, two ways, of which NumPy checks one.
    twice = fn.grad(lambda x: fn.grad(loss)(x).sum())(x)
    step = 1e-4
    second = (slopes(reference, NUMBERS + step, weights) - slopes(reference, NUMBERS - step, weights)) / (2 * step)
    np.testing.assert_allclose(twice, second, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(fn.jvp(fn.grad(loss), (x,), (fn.ones_like(x),))[1], twice, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("other", OTHERS)
def test_results_are_where_the_function_leaves_them(other):
    def up(x):
        return fn.device_put(x, other)

    c, x = down(fn.array([1.0, 2.0])), up(fn.array([1.0, 2.0]))
    carry, stacked = fn.scan(lambda s, e: (up(e), up(e) * 2), c[0], c)
    kept, lowered = fn.scan(lambda s, e: (s, down(e) * 2), x[0], x)
    chosen = fn.cond(c[0] > 0, up, lambda v: up(v * 2), c)
    again = fn.while_loop(lambda v: (v < 50).all(), lambda v: up(v) * 3, c)
    fast = fn.checkpoint(lambda v: up(v) * 2)(c)
    arrays = {"carry": carry, "stacked": stacked, "chosen": chosen, "again": again, "fast": fast, "kept": kept}
    before = {name: a.device for name, a in arrays.items()}
    fn.eval(arrays, lowered)
    assert before == {name: a.device for name, a in arrays.items()} == dict.fromkeys(arrays, fn.Device(other))
    assert lowered.device == "cpu"
    for got, expected in ((carry, 2), (stacked, [2, 4]), (lowered, [2, 4]), (chosen, [1, 2]), (again, [27, 54])):
        np.testing.assert_array_equal(got, expected)
    # What repeats an input is where that is, also before it has a value.
    both = fn.grad(lambda v: (fn.checkpoint(lambda v: up(v) * 2)(v) * x).sum())(c)
    np.testing.assert_array_equal(both, [2, 4])
    assert both.device == "cpu"


@pytest.mark.parametrize("other", OTHERS)
def test_values_that_are_on_another_device_before_the_loop(other):
    x, w = down(fn.array([1.0, 2.0])), fn.device_put(fn.array([3.0, 4.0]), other)

    def scanned(x, w):
        return fn.scan(lambda c, e: (c, down(fn.device_put(e, other) * w) + x), 0, x)[1]

    def repeated(x, w):
        def step(v):
            return down(fn.device_put(v, other) * w)

        return fn.while_loop(lambda v: v.sum() < 50, step, x)

    for run in (scanned, lambda x, w: fn.compile(lambda x: scanned(x, w))(x)):
        np.testing.assert_array_equal(run(x, w), [[4, 6], [7, 10]])
    for run in (repeated, lambda x, w: fn.compile(lambda x: repeated(x, w))(x)):
        np.testing.assert_array_equal(run(x, w), [27, 128])
    slopes = fn.grad(lambda x, w: scanned(x, w).sum(), argnums=(0, 1))(x, w)
    np.testing.assert_array_equal(slopes[0], [9, 9])
    np.testing.assert_array_equal(slopes[1], [3, 3])
    assert [s.device for s in slopes] == ["cpu", fn.Device(other)]
    # A compiled function does not know where its arguments will be.
    with pytest.raises(ValueError, match="scan: arguments are on"):
        fn.compile(scanned)(x, w)
    # They are moved before the loop, not in its steps.
    long = down(fn.arange(200) * 1.0)
    with fn.profile() as p:
        fn.eval(fn.scan(lambda c, e: (c + down(fn.exp(w).sum()) * e, None), long[0], long)[0])
    assert sum(r.kind == "transfer" for r in p.records) < 20


@pytest.mark.parametrize("other", OTHERS)
def test_numbers_that_are_moved_have_derivatives(other):
    def f(x):
        there = fn.device_put(fn.broadcast_to(fn.device_put(x, other), (3,)).sum(), "cpu")
        return there * x + fn.device_put(fn.sin(x), other).to_device("cpu")

    for run in (fn.grad(f), fn.compile(fn.grad(f)), fn.grad(fn.checkpoint(f))):
        np.testing.assert_allclose(run(fn.array(2.0)), 12 + np.cos(2.0), rtol=1e-6)


@pytest.mark.parametrize("other", OTHERS)
def test_moves_of_one_array_that_need_a_dense_copy(other):
    """They are one move, as early as the first: what is computed between them may join the copy's loop otherwise."""
    a = np.arange(18.0, dtype=np.float32).reshape(3, 1, 6)
    x = down(fn.array(a))[..., ::2]
    fn.eval(x)
    for scale in (1, 2):
        late = fn.device_put(x, other)
        top = down(fn.device_put(x, other).max(axis=0, keepdims=True))
        rest = fn.device_put(x * scale - top, other)
        fn.eval(late + rest, rest, down(late.sum()))
        expected = a[..., ::2] * scale - a[..., ::2].max(0, keepdims=True)
        np.testing.assert_array_equal(rest, expected)
        np.testing.assert_array_equal(late + rest, a[..., ::2] + expected)


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_with_results_on_two_devices(other):
    """The second is of a dtype that the first's device may not have."""

    def f(v):
        return v * 2, down(v).astype(fn.float64) * 3

    x = fn.device_put(fn.array([1.0, 2.0]), other)
    slope = fn.grad(lambda x: fn.checkpoint(f)(x)[1].sum())(x)
    np.testing.assert_array_equal(slope, [3, 3])
    assert slope.device == fn.Device(other)


@pytest.mark.parametrize("other", OTHERS)
def test_conditions_on_another_device(other):
    def up(x):
        return fn.device_put(x, other)

    for put, start in ((up, down(fn.array([1.0, 2.0]))), (down, up(fn.array([1.0, 2.0])))):
        out = fn.while_loop(lambda v, put=put: put(v).sum() < 50, lambda v: v * 2, start)
        np.testing.assert_array_equal(out, [32, 64])
        assert out.device == start.device
        chosen = fn.cond(put(start[0] > 0), lambda v: v * 2, lambda v: v * 3, put(start))
        np.testing.assert_array_equal(chosen, [2, 4])


@pytest.mark.parametrize("other", OTHERS)
def test_backward_rules_whose_functions_move(other):
    @fn.custom_vjp
    def f(x):
        return fn.device_put(x * 2, other)

    f.defvjp(lambda x: (f(x), None), lambda _, ct: (fn.device_put(ct, "cpu") * 5,))
    x = down(fn.array([1.0, 2.0]))
    there = fn.device_put(fn.array([3.0, 4.0]), other)
    for run in (f, fn.compile(f)):
        np.testing.assert_array_equal(run(x) + there, [5, 8])
    for run in (fn.grad(lambda x: (f(x) * there).sum()), fn.compile(fn.grad(lambda x: (f(x) * there).sum()))):
        np.testing.assert_array_equal(run(x), [15, 20])


@pytest.mark.parametrize("other", OTHERS)
def test_choices_with_probabilities_in_a_loop(other):
    """They are found on the CPU, wherever the keys are."""
    with fn.default_device(other):
        keys = random.split(random.key(16), 20)
        p = fn.array([0.1, 0.2, 0.3, 0.3, 0.1])

        def draw(k):
            return random.choice(k, 5, (4,), p=p)

        rows = np.stack([draw(k) for k in keys])
        drawn = fn.scan(lambda c, k: (c, draw(k)), 0, keys)[1]
        assert drawn.device == fn.Device(other)
        np.testing.assert_array_equal(drawn, rows)
        np.testing.assert_array_equal(p[drawn], np.asarray(p)[rows])
