"""Trees of thousands of small leaves: what is right for few is right for them, and takes time in proportion."""

from __future__ import annotations

import time

import numpy as np
import pytest

import funcnn as fn
from funcnn import optim, tree

pytestmark = pytest.mark.on_cpu
MANY = 3000


def leaves(n, order=1):
    return {f"p{i:05}": fn.full(8, float(i)) for i in range(n)[::order]}


def adamw(steps):
    """The float64 parameters that AdamW leaves of `leaves(MANY)` whose gradients are 1 + i % 3."""
    p = np.arange(MANY, dtype=np.float64)
    g = 1.0 + np.arange(MANY) % 3
    mu = nu = np.zeros(MANY)
    for t in range(1, steps + 1):
        mu, nu = 0.9 * mu + 0.1 * g, 0.999 * nu + 0.001 * g * g
        p = p - 1e-3 * (mu / (1 - 0.9**t) / (np.sqrt(nu / (1 - 0.999**t)) + 1e-8) + 0.1 * p)
    return p


@pytest.mark.parametrize("order", [1, -1])
def test_steps_of_adamw(order):
    params, opt = leaves(MANY, order), optim.adamw(1e-3, weight_decay=0.1)
    state = opt.init(params)
    grads = {name: fn.full(8, 1.0 + i % 3) for i, name in enumerate(sorted(params))}

    @fn.compile(donate=("params", "state"))
    def update(params, state, grads):
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state

    first = params
    for _ in range(6):
        params, state = update(params, state, grads)
    assert list(params) == sorted(params)
    got = np.stack([np.asarray(params[name]) for name in sorted(params)])
    np.testing.assert_allclose(got, np.broadcast_to(adamw(6)[:, None], got.shape), rtol=2e-6, atol=2e-6)
    with pytest.raises(ValueError, match="donated"):
        np.asarray(first["p00007"])


def test_dicts_of_many_keys_in_any_order():
    f = fn.compile(lambda t: tree.map(lambda x: x * 0.5, t))
    for order in (1, -1, 1, 7, -1, 7):
        t = {f"p{i * abs(order) % MANY:05}": None for i in range(MANY)}
        t = {name: fn.full(8, float(name[1:])) for name in (t if order > 0 else reversed(t))}
        out = f(t)
        assert sorted(out) == sorted(t)
        np.testing.assert_array_equal([out[name][0].item() for name in t], [float(name[1:]) / 2 for name in t])


def branch(t):
    double, triple = (lambda t, c=c: tree.map(lambda x: x * c, t) for c in (2.0, 3.0))
    return fn.cond(fn.array(True), double, triple, t)


def loop(t):
    return fn.scan(lambda c, x: (tree.map(lambda v: v * x, c), None), t, fn.ones((3, 8)))[0]


def step(t):
    kept = {name: t[name] * 0.5 for name in list(t)}
    return fn.compile(lambda t, kept: tree.map(lambda x, y: x * 2 + y, t, kept), donate=(0,))(t, kept)


@pytest.mark.parametrize(
    "what, many, most",
    [
        (branch, 16_000, 40),  # what is quadratic takes 100 to 250 times as long
        (loop, 16_000, 40),
        (step, 20_000, 90),  # and where each leaf asks all kernels whether they overwrite it, 190 to 250 times
    ],
)
def test_first_calls_take_time_in_proportion(what, many, most):
    def seconds(n):
        least = np.inf
        for _ in range(3):
            t = leaves(n)
            fn.eval(t)
            fn.clear_plan_cache()
            start = time.thread_time()  # what else runs on the machine takes none of it
            fn.eval(what(t))
            least = min(least, time.thread_time() - start)
        return least

    seconds(10)
    assert seconds(many) < most * seconds(1000)
