"""Plans for further sizes: fused as the first ones were, and the same as from scratch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_plan import execute, programs

import funcnn as fn
from funcnn import nn


def plan(f, *args):
    return fn.explain(f)(*args).plan


def reused():
    return fn.plan_cache_info()["reused"]


def after(f, first, then):
    """The plan of f for `then`, and how many were fused as before, where `first` was planned just before."""
    fn.clear_plan_cache()
    plan(f, *first)
    before = reused()
    text = plan(f, *then)
    return text, reused() - before


def alone(f, args):
    fn.clear_plan_cache()
    return plan(f, *args)


def block(x, keys, values, w):
    def norm(x):
        centred = x - x.mean(-1, keepdims=True)
        return centred * fn.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * w["gain"]

    def heads(a):
        return fn.transpose(fn.reshape(a, (a.shape[0], 4, -1)), (1, 0, 2))

    h = norm(x)
    keys = fn.concatenate([keys, h @ w["k"]], 0)
    values = fn.concatenate([values, h @ w["v"]], 0)
    scores = heads(h @ w["q"]) @ fn.transpose(heads(keys), (0, 2, 1))
    seen = fn.softmax(scores * 0.5, axis=-1) @ heads(values)
    x = x + fn.reshape(fn.transpose(seen, (1, 0, 2)), x.shape) @ w["o"]
    return x + nn.gelu(norm(x) @ w["up"]) @ w["down"], keys, values


def weights(n=8):
    rng = np.random.default_rng(0)
    shapes = {"q": (n, n), "k": (n, n), "v": (n, n), "o": (n, n), "up": (n, 3 * n), "down": (3 * n, n), "gain": (n,)}
    return {name: fn.array(rng.normal(size=shape).astype("f4")) for name, shape in shapes.items()}


def loss(w, x, y):
    scores = fn.tanh(x @ w["a"] + w["b"]) @ w["c"]
    return -((scores - fn.logsumexp(scores, axis=-1, keepdims=True)) * y).sum() / x.shape[0]


def step(w, m, x, y):
    gradient = fn.grad(loss)(w, x, y)
    m = {k: 0.9 * m[k] + gradient[k] for k in w}
    return {k: w[k] - 0.1 * m[k] for k in w}, m


def training(batch):
    w = {"a": fn.ones((6, 5)), "b": fn.ones(5), "c": fn.ones((5, 3))}
    return w, {k: x * 0.0 for k, x in w.items()}, fn.ones((batch, 6)), fn.ones((batch, 3))


@settings(max_examples=150, deadline=None)
@given(programs(), st.integers(0, 70), st.integers(0, 70))
def test_plans_of_programs_are_the_same(recipe, rows, cols):
    steps, first_rows, first_cols, held = recipe

    def planned(rows, cols):
        x = fn.ones((rows, cols))
        try:
            return plan(lambda *a: execute((steps, rows, cols, held), a), x, x)
        except ValueError:  # a maximum of nothing
            return None

    fn.clear_plan_cache()
    planned(first_rows, first_cols)
    again = planned(rows, cols)
    fn.clear_plan_cache()
    assert planned(rows, cols) == again


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 80), min_size=2, max_size=5), st.integers(1, 3))
def test_plans_of_a_growing_cache_are_the_same(lengths, tokens):
    w = weights()

    def args(length):
        return fn.ones((tokens, 8)), fn.ones((length, 8)), fn.ones((length, 8)), w

    fn.clear_plan_cache()
    texts = [plan(block, *args(n)) for n in lengths]
    for n, text in zip(lengths, texts, strict=True):
        assert alone(block, args(n)) == text


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_plans_of_a_training_step_are_the_same(first, then):
    text, _ = after(step, training(first), training(then))
    assert text == alone(step, training(then))


@pytest.mark.parametrize(
    "f",
    [
        pytest.param(lambda x: fn.softmax(x, -1), id="softmax"),
        pytest.param(lambda x: (x.sum(0), fn.exp(x).sum()), id="columns"),
        pytest.param(lambda x: x[:, ::2] * 2.0, id="every other"),
        pytest.param(lambda x: fn.reshape(fn.transpose(x), (-1,)) + 1.0, id="transposed"),
        pytest.param(lambda x: (x - x.mean(-1, keepdims=True)) * x[:1], id="rows"),
        pytest.param(lambda x: fn.grad(lambda x: nn.gelu(x * 2.0).sum())(x), id="gradient"),
        pytest.param(lambda x: fn.scan(lambda c, r: (fn.tanh(c * r).sum() + c, c * 2.0), x[0], x), id="scan"),
        pytest.param(lambda x: fn.exp(x.sum(-1)) * fn.exp(x.max(-1)) + x.sum(), id="whole"),
        pytest.param(lambda x: fn.exp(fn.sin(x[0]))[None] * x + fn.exp(fn.sin(x[0])).sum(), id="far"),
    ],
)
def test_sizes_around_bounds(f):
    """0, 1, equal and unequal axes, longest rows: whatever was planned before, the plan is that from scratch."""
    shapes = [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1), (1, 1), (9, 2), (2, 9), (3, 65536), (3, 65537), (3, 70000)]
    texts = {shape: alone(f, (fn.ones(shape),)) for shape in shapes}
    fn.clear_plan_cache()
    for shape in [*shapes, *shapes[::-1]]:
        assert plan(f, fn.ones(shape)) == texts[shape]


def test_only_sizes_may_differ():
    def f(x):
        return fn.softmax(x * 2.0, -1)

    assert after(f, [fn.ones((3, 5))], [fn.ones((7, 6))])[1] == 1
    assert after(f, [fn.ones((3, 5))], [fn.ones((3, 1))])[1] == 0
    assert after(f, [fn.ones((3, 5))], [fn.ones((0, 5))])[1] == 0
    assert after(f, [fn.ones((3, 5))], [fn.ones((3, 65537))])[1] == 0
    assert after(lambda x, y: x + y, [fn.ones((3, 5)), fn.ones((3, 5))], [fn.ones((3, 5)), fn.ones((3, 1))])[1] == 0


def test_work_is_repeated_for_other_sizes_too():
    """The backward pass of a GELU computes it again from the product before it: a decision that changes the graph."""

    def f(x, w, v):
        return fn.grad(lambda w: nn.gelu(nn.gelu(x @ w) @ v).sum())(w)

    def args(n):
        return fn.ones((n, 16)), fn.ones((16, 32)), fn.ones((32, 8))

    text, count = after(f, args(12), args(200))
    assert count == 1
    assert text == alone(f, args(200))


def test_a_growing_sequence_is_fused_once_and_right():
    w = weights()
    rng = np.random.default_rng(1)
    inputs = [fn.array(rng.normal(size=(1, 8)).astype("f4")) for _ in range(12)]
    got = []
    for fresh in (False, True):
        keys, values = fn.ones((100, 8)), fn.ones((100, 8))
        fn.eval(keys, values, w, inputs)  # to a GPU they are moved, which is part of a plan
        fn.clear_plan_cache()
        before = reused()
        for x in inputs:
            if fresh:
                fn.clear_plan_cache()
            y, keys, values = block(x, keys, values, w)
            fn.eval(y, keys, values)
            got.append(np.asarray(y))
        if not fresh:
            assert reused() - before >= len(inputs) - 1
    for y, z in zip(got[: len(inputs)], got[len(inputs) :], strict=True):
        np.testing.assert_array_equal(y, z)


def test_compiled_functions_are_fused_once():
    f = fn.compile(step, donate=("w", "m"))
    fn.clear_plan_cache()
    for n, batch in enumerate((60, 70, 120, 50)):
        arguments = training(batch)
        fn.eval(*arguments[0].values(), *arguments[1].values(), *arguments[2:])
        before = reused()
        got = f(*arguments)
        assert reused() - before == (n > 0)
        for a, b in zip(got, step(*training(batch)), strict=True):
            for k in a:
                np.testing.assert_allclose(np.asarray(a[k]), np.asarray(b[k]), rtol=1e-5, atol=1e-7)


def test_decisions_are_bounded_in_bytes():
    fn.clear_plan_cache()
    x = fn.ones(3)
    for n in range(40):
        y = x
        for _ in range(4000 + n):
            y = fn.sin(y)
        fn.eval(y)
        info = fn.plan_cache_info()
        assert 0 < info["bytes"] <= info["byte_capacity"]
    fn.clear_plan_cache()
    assert fn.plan_cache_info()["bytes"] == 0
