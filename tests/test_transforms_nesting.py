"""Random compositions of ops under random nestings of transformations, against finite differences and loops."""

import functools

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import funcnn as fn

SIZE = 3

# Functions from vectors of SIZE numbers to such vectors, smooth and of moderate slope, written once for both libraries.
M = np.random.default_rng(0).normal(size=(SIZE, SIZE)) * 0.5
OPS = {
    "sin": lambda np, x: np.sin(x),
    "tanh": lambda np, x: np.tanh(x),
    "gauss": lambda np, x: np.exp(-x * x),
    "rational": lambda np, x: x / (1.0 + x * x),
    "logistic": lambda np, x: np.log(1.0 + np.exp(x)),
    "norm": lambda np, x: x / np.sqrt(1.0 + np.sum(x * x)),
    "softmax": lambda np, x: np.exp(x) / np.sum(np.exp(x)),
    "center": lambda np, x: x - np.mean(x),
    "flip": lambda np, x: x * x[::-1],
    "roll": lambda np, x: np.concatenate([x[1:], x[:1]]) + 0.5 * x,
    "outer": lambda np, x: np.sum(x.reshape(SIZE, 1) * np.sin(x.reshape(1, SIZE)), axis=0) / SIZE,
    "select": lambda np, x: np.where(x > 10.0, 2.0 * x, np.cos(x)),
    "matmul": lambda np, x: x @ constant(np, M),
}


def constant(module, value):
    return fn.array(value, dtype=fn.float64) if module is fn else value


def compose(names, module):
    def f(x):
        for name in names:
            x = OPS[name](module, x)
        return x

    return f


# Every transformation maps a function of a vector to another one: (in funcnn, by finite differences and loops).


STEPS = [1e-3]  # of the differences, the last one in use


def jacobian(f, x):
    h = STEPS[-1]

    def column(e):
        return (8 * (f(x + h * e) - f(x - h * e)) - (f(x + 2 * h * e) - f(x - 2 * h * e))) / (12 * h)

    return np.stack([column(e) for e in np.eye(SIZE)], axis=1)


V = np.array([0.5, -1.0, 0.25])


def v():
    return fn.array(V, dtype=fn.float64)


def batch(module, x):
    return module.stack([x, 0.5 * x, x * x])


def wrapped_in_custom_vjp(f):
    g = fn.custom_vjp(f)
    g.defvjp(lambda x: (f(x), x), lambda x, ct: fn.vjp(f, x)[1](ct))
    return g


def wrapped_in_custom_jvp(f):
    g = fn.custom_jvp(f)
    g.defjvp(lambda p, t: fn.jvp(f, p, t))
    return g


DERIVATIVES = {
    "grad": (lambda f: fn.grad(lambda x: f(x).sum()), lambda f: lambda x: jacobian(f, x).sum(0)),
    "vjp": (lambda f: lambda x: fn.vjp(f, x)[1](v())[0], lambda f: lambda x: V @ jacobian(f, x)),
    "jvp": (lambda f: lambda x: fn.jvp(f, (x,), (v(),))[1], lambda f: lambda x: jacobian(f, x) @ V),
    "linearize": (lambda f: lambda x: fn.linearize(f, x)[1](v()), lambda f: lambda x: jacobian(f, x) @ V),
    "jacrev": (lambda f: lambda x: fn.jacrev(f)(x) @ v(), lambda f: lambda x: jacobian(f, x) @ V),
    "jacfwd": (lambda f: lambda x: v() @ fn.jacfwd(f)(x), lambda f: lambda x: V @ jacobian(f, x)),
}
POLICIES = [
    None,
    fn.checkpoint_policies.dots_saveable,
    fn.checkpoint_policies.everything_saveable,
    fn.checkpoint_policies.budget(1 << 20),
]
OTHERS = {
    "vmap": (
        lambda f: lambda x: fn.vmap(f)(batch(fn, x)).mean(axis=0),
        lambda f: lambda x: np.mean([f(row) for row in batch(np, x)], axis=0),
    ),
    "vmap axis 1": (
        lambda f: lambda x: fn.vmap(f, in_axes=1, out_axes=-1)(batch(fn, x).T).mean(axis=1),
        lambda f: lambda x: np.mean([f(row) for row in batch(np, x)], axis=0),
    ),
    "vmap over one": (
        lambda f: lambda x: fn.vmap(lambda a, b: f(a * b), in_axes=(0, None))(batch(fn, x), x).sum(axis=0),
        lambda f: lambda x: np.sum([f(row * x) for row in batch(np, x)], axis=0),
    ),
    "compile": (fn.compile, lambda f: f),
    "cond": (
        lambda f: lambda x: fn.cond(x[0] > -2.0, f, fn.cos, x),
        lambda f: lambda x: f(x) if x[0] > -2.0 else np.cos(x),
    ),
    "scan": (
        lambda f: lambda x: fn.scan(lambda c, row: (c + 0.5 * f(row + c), f(row)), x, batch(fn, x))[0],
        lambda f: lambda x: functools.reduce(lambda c, row: c + 0.5 * f(row + c), batch(np, x), x),
    ),
    "custom_vjp": (wrapped_in_custom_vjp, lambda f: f),
    "custom_jvp": (wrapped_in_custom_jvp, lambda f: f),
    **{f"checkpoint {policy}": (lambda f, policy=policy: fn.checkpoint(f, policy), lambda f: f) for policy in POLICIES},
}

names = st.lists(st.sampled_from(sorted(OPS)), min_size=1, max_size=4)


@st.composite
def nestings(draw):
    """Up to four transformations, not more than two of them derivatives: differences of differences lose digits."""
    chosen = draw(st.lists(st.sampled_from(sorted(DERIVATIVES)), max_size=2))
    chosen += draw(st.lists(st.sampled_from(sorted(OTHERS)), min_size=0 if chosen else 1, max_size=2))
    return draw(st.permutations(chosen))


@given(
    names,
    nestings(),
    st.lists(st.floats(-1.0, 1.0), min_size=SIZE, max_size=SIZE),
)
@example(["gauss"], ["grad", "scan", "custom_jvp", "grad"], [0.0, 0.0, 0.0])
@settings(max_examples=300)
def test_nestings_agree_with_finite_differences(names, nesting, point):
    ours, reference = compose(names, fn), compose(names, np)
    for name in nesting:
        mine, theirs = {**DERIVATIVES, **OTHERS}[name]
        ours, reference = mine(ours), theirs(reference)
    x = np.array(point)
    expected = reference(x)
    assume(np.abs(expected).max() < 1e3)
    # Scans of scans can be chaotic: differences would not find the derivative.
    assume(np.abs(reference(x + 1e-6) - expected).max() < 1e-4 * max(1.0, np.abs(expected).max()))
    # Where the function is too steep for differences, two steps disagree and nothing can be said.
    STEPS.append(5e-4)
    try:
        tolerance = 1e-5 * max(1.0, np.abs(expected).max())
        assume(np.abs(reference(x) - expected).max() < 0.5 * tolerance)
    finally:
        STEPS.pop()
    got = np.asarray(ours(fn.array(x, dtype=fn.float64)))
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=tolerance)


@given(names, st.integers(1, 3))
@settings(max_examples=30)
def test_derivatives_of_high_order(names, order):
    """Forward over forward against reverse over reverse."""
    f = compose(names, fn)

    def forward(x):
        return f(x).sum()

    reverse = forward
    for _ in range(order):
        forward = (lambda g: lambda x: fn.jvp(g, (x,), (v(),))[1])(forward)
        reverse = (lambda g: lambda x: (fn.grad(g)(x) * v()).sum())(reverse)
    x = fn.array([0.3, -0.2, 0.7], dtype=fn.float64)
    np.testing.assert_allclose(forward(x).item(), reverse(x).item(), rtol=1e-9, atol=1e-9)
