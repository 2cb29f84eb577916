"""Loops whose steps are a handful of operations on a few numbers, as iterative solvers, integrators and samplers are.

The time is that of one step. Peers without loops in their graphs are left out: they run each step from Python.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from .case import Case, funcnn_step, jax_step, outputs

FRAMEWORKS = ("funcnn", "jax")
ROWS = {
    "loop_newton": "us",  # while_loop, a number
    "loop_affine_5": "us",  # fori_loop, x = A x + b
    "loop_affine_16": "us",
    "loop_euler": "us",  # scan, a vector of 3
    "loop_rk4": "us",
    "loop_rk4_grad": "us",
    "loop_hmc": "us",  # a leapfrog step in 10 dimensions; 10 of them between two draws
    "loop_lbfgs": "us",  # an iteration in 10 dimensions with a history of 10
    "loop_gru": "us",  # 16 units, batch 1
    "loop_gru_grad": "us",
}
NEWTON, AFFINE, TIMES, SAMPLES, LEAPS, ITERATIONS, HISTORY, DIMENSIONS = 1000, 1000, 10_000, 200, 10, 50, 10, 10
UNITS, SEQUENCE = 16, 1000
PER = {
    "loop_newton": NEWTON,
    "loop_affine_5": AFFINE,
    "loop_affine_16": AFFINE,
    "loop_euler": TIMES,
    "loop_rk4": TIMES,
    "loop_rk4_grad": TIMES,
    "loop_hmc": SAMPLES * LEAPS,
    "loop_lbfgs": ITERATIONS,
    "loop_gru": SEQUENCE,
    "loop_gru_grad": SEQUENCE,
}


def data(row: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)

    def normal(*shape, scale=1.0):
        return (scale * rng.normal(size=shape)).astype(np.float32)

    if row == "loop_newton":
        return [np.float32([3.7]).reshape(())]
    if row.startswith("loop_affine"):
        n = int(row.removeprefix("loop_affine_"))
        return [normal(n, n, scale=0.5 / np.sqrt(n)), normal(n), normal(n)]
    if row.startswith(("loop_euler", "loop_rk4")):
        return [np.float32([1.0, 0.5, -0.7]), np.float32([0.8, -1.1, 0.4])]
    if row == "loop_hmc":
        return [np.linspace(0.5, 2.0, DIMENSIONS, dtype=np.float32)]
    if row == "loop_lbfgs":
        matrix = normal(DIMENSIONS, DIMENSIONS)
        return [(matrix @ matrix.T / DIMENSIONS + np.eye(DIMENSIONS)).astype(np.float32), normal(DIMENSIONS)]
    scale = UNITS**-0.5
    return [
        normal(SEQUENCE, 3 * UNITS),
        normal(2 * UNITS, UNITS, scale=scale),
        normal(UNITS, UNITS, scale=scale),
        normal(UNITS),
    ]


def build(row: str, framework: str) -> Case:
    step = {"funcnn": _funcnn, "jax": _jax}[framework](row)
    # Streams of random numbers differ: what agrees is that samples are mostly accepted.
    result = outputs((lambda: float(step()) > 0.8) if row == "loop_hmc" else step)
    return Case(step, result, per=PER[row])


def _newton(np, a):
    """Damped, for a cube root, until it is exact or has gone on for long."""

    def go_on(carry):
        i, x = carry
        return (i < NEWTON) & (abs(x * x * x - a) > 0)

    def body(carry):
        i, x = carry
        return i + 1, x - 0.01 * (x * x * x - a) / (3 * x * x)

    return np.while_loop(go_on, body, (0, a))[1]


def _affine(np, a, b, x):
    return np.fori_loop(0, AFFINE, lambda i, x: a @ x + b, x)


def _spin(np, w, inertia):
    """Euler's equations of a rigid body, with friction."""
    return np.stack([w[1] * w[2], w[2] * w[0], w[0] * w[1]]) * inertia - 0.01 * w


def _euler(np, w, inertia):
    def step(w, _):
        w = w + 0.01 * _spin(np, w, inertia)
        return w, w

    return np.scan(step, w, None, length=TIMES)[1]


def _rk4(np, w, inertia):
    h = 0.01

    def step(w, _):
        k1 = _spin(np, w, inertia)
        k2 = _spin(np, w + 0.5 * h * k1, inertia)
        k3 = _spin(np, w + 0.5 * h * k2, inertia)
        k4 = _spin(np, w + h * k3, inertia)
        w = w + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return w, w

    return np.scan(step, w, None, length=TIMES)[1]


def _hmc(np, precision):
    """The rate of accepted samples."""
    size = 0.1

    def energy(q, p):
        return 0.5 * (precision * q * q).sum() + 0.5 * (p * p).sum()

    def leap(_, state):
        q, p = state
        p = p - 0.5 * size * precision * q
        q = q + size * p
        return q, p - 0.5 * size * precision * q

    def sample(carry, _):
        q, key = carry
        key, for_p, for_u = np.split(key, 3)
        p = np.normal(for_p, (DIMENSIONS,))
        q1, p1 = np.fori_loop(0, LEAPS, leap, (q, p))
        accepted = np.log(np.uniform(for_u, ())) < energy(q, p) - energy(q1, p1)
        return (np.where(accepted, q1, q), key), accepted

    _, accepted = np.scan(sample, (precision, np.key(0)), None, length=SAMPLES)
    return accepted.mean()


def _lbfgs(np, a, b):
    """Of a x x / 2 - b x, with steps of a fixed length."""

    def gradient(x):
        return a @ x - b

    def direction(k, g, s, y, rho):
        def down(i, carry):
            q, alphas = carry
            at = (k - 1 - i) % HISTORY
            alpha = np.where(i < k, rho[at] * (s[at] * q).sum(), 0.0)
            return q - alpha * y[at], alphas.at[at].set(alpha)

        def up(i, q):
            at = (k + i) % HISTORY
            beta = rho[at] * (y[at] * q).sum()
            return q + np.where(HISTORY - 1 - i < k, s[at] * (alphas[at] - beta), 0.0)

        q, alphas = np.fori_loop(0, HISTORY, down, (g, np.zeros(HISTORY)))
        return -np.fori_loop(0, HISTORY, up, 0.5 * q)

    def go_on(carry):
        k, _, g, *_ = carry
        return (k < ITERATIONS) & (np.sqrt((g * g).sum()) >= 0)

    def body(carry):
        k, x, g, s, y, rho = carry
        moved = x + 0.1 * direction(k, g, s, y, rho)
        g1 = gradient(moved)
        ds, dy, at = moved - x, g1 - g, k % HISTORY
        return k + 1, moved, g1, s.at[at].set(ds), y.at[at].set(dy), rho.at[at].set(1 / ((ds * dy).sum() + 1e-10))

    history = np.zeros((HISTORY, DIMENSIONS))
    start = (np.array(0), np.zeros(DIMENSIONS), gradient(np.zeros(DIMENSIONS)), history, history, np.zeros(HISTORY))
    return np.while_loop(go_on, body, start)[1]


def _gru(np, gates, recurrent, candidate, bias):
    def step(h, x):
        r, z = np.sections(np.sigmoid(x[: 2 * UNITS] + recurrent @ h))
        n = np.tanh(x[2 * UNITS :] + r * (candidate @ h + bias))
        h = (1 - z) * n + z * h
        return h, h

    return np.scan(step, np.zeros(UNITS), gates)[1]


FUNCTIONS = {
    "loop_newton": _newton,
    "loop_affine_5": _affine,
    "loop_affine_16": _affine,
    "loop_euler": _euler,
    "loop_rk4": _rk4,
    "loop_rk4_grad": lambda np, w, inertia: np.grad(lambda w: _rk4(np, w, inertia).sum() / TIMES)(w),
    "loop_hmc": _hmc,
    "loop_lbfgs": _lbfgs,
    "loop_gru": _gru,
    "loop_gru_grad": lambda np, gates, *params: np.grad(lambda params: (_gru(np, gates, *params) ** 2).mean())(params),
}


def _funcnn(row):
    import funcnn as fn
    from funcnn import random

    names = ("while_loop", "fori_loop", "scan", "stack", "log", "where", "zeros", "sqrt", "tanh", "sigmoid", "grad")
    ours = SimpleNamespace(**{name: getattr(fn, name) for name in names}, array=fn.array)
    ours.key, ours.split, ours.normal, ours.uniform = (
        random.key,
        random.split,
        random.normal,
        lambda k, s: random.uniform(k, s),
    )
    ours.sections = lambda x: fn.split(x, 2)
    f = FUNCTIONS[row]
    return funcnn_step(lambda *args: f(ours, *args), [fn.array(x) for x in data(row)])


def _jax(row):
    import jax
    import jax.numpy as jnp

    theirs = SimpleNamespace(
        **{name: getattr(jnp, name) for name in ("stack", "log", "where", "zeros", "sqrt", "tanh", "array")}
    )
    for name in ("while_loop", "fori_loop", "scan"):
        setattr(theirs, name, getattr(jax.lax, name))
    theirs.sigmoid, theirs.grad = jax.nn.sigmoid, jax.grad
    theirs.key, theirs.split = jax.random.key, jax.random.split
    theirs.normal, theirs.uniform = jax.random.normal, jax.random.uniform
    theirs.sections = lambda x: jnp.split(x, 2)
    f = FUNCTIONS[row]
    return jax_step(lambda *args: f(theirs, *args), [jnp.asarray(x) for x in data(row)])
