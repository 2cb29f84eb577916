"""What stays in memory: the values that handles hold or unevaluated ones need, and nothing else."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim, random, tree

N = 1 << 16  # elements of what would be noticed
BIG = 4 * N
SMALL = BIG // 8


def active() -> int:
    fn.synchronize()
    gc.collect()
    return fn.get_active_memory()


def big(seed: int = 0) -> fn.array:
    x = fn.array(np.random.default_rng(seed).normal(size=N).astype(np.float32))
    fn.eval(x)
    return x


def steps(n: int = 64) -> fn.array:
    """A big array of `n` rows."""
    x = big().reshape(n, N // n) * 1.0
    fn.eval(x)
    return x


# ---- partial evaluation


def test_one_output_of_a_scan() -> None:
    xs = steps()
    before = active()
    carry, ys = fn.scan(lambda c, x: (c + x, c * x), fn.zeros(xs.shape[1]), xs)
    fn.eval(ys)
    assert active() - before < BIG + SMALL
    expected = np.asarray(xs).sum(0)
    del ys
    np.testing.assert_allclose(carry, expected, rtol=1e-4, atol=1e-4)
    assert active() - before < SMALL
    del carry
    assert active() - before < 1024


def test_the_other_output_of_a_scan() -> None:
    xs = steps()
    before = active()
    carry, ys = fn.scan(lambda c, x: (c + x, c * x), fn.zeros(xs.shape[1]), xs)
    fn.eval(carry)
    del ys
    assert active() - before < SMALL


OUTPUTS: dict[str, Callable[[fn.array], tuple[fn.array, ...]]] = {
    "scan": lambda x: fn.scan(lambda c, e: (c + e, (c, e * 2)), fn.zeros(x.shape[1]), x)[1],
    "cond": lambda x: fn.cond(x[0, 0] > -100, lambda a: (a + 1, a * 2), lambda a: (a, a), x),
    "while_loop": lambda x: fn.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + 1, s[2] * 2), (fn.array(0), x, x)
    )[1:],
    "split": lambda x: fn.split(fn.sin(x), 2),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_that_were_dropped_are_freed(name: str) -> None:
    """In whichever order the outputs of one node are evaluated and dropped."""
    x = steps()
    before = active()
    made = OUTPUTS[name](x)
    if not isinstance(made, tuple):
        made = tuple(made)
    sizes = [m.nbytes for m in made]
    for k in range(2):
        pair = OUTPUTS[name](x)
        kept, dropped = pair[k], pair[1 - k]
        del pair
        fn.eval(dropped)
        del dropped
        fn.eval(kept)
        # A part of one array may share its memory.
        limit = sum(sizes) if name == "split" else sizes[k]
        assert active() - before < limit + SMALL, f"output {k}"
        del kept
        assert active() - before < SMALL
    del made
    assert active() - before < 1024


def test_a_common_part_is_freed_with_its_last_reader() -> None:
    x = big()
    before = active()
    part = fn.sin(x)
    total, double = part.sum(), part * 2
    del part
    fn.eval(total)
    fn.eval(double)
    assert active() - before < BIG + SMALL
    del double
    assert active() - before < SMALL


def test_what_a_derivative_kept_is_freed_with_it() -> None:
    x = big()
    before = active()

    def loss(a: fn.array) -> fn.array:
        for _ in range(5):
            a = fn.tanh(a) * 1.5
        return (a * a).sum()

    value, slope = fn.value_and_grad(loss)(x)
    fn.eval(value)
    fn.eval(slope)
    assert active() - before < BIG + SMALL
    del slope
    assert active() - before < SMALL
    value, slope = fn.value_and_grad(loss)(x)
    del slope
    fn.eval(value)
    assert active() - before < SMALL


def test_the_past_of_a_value_is_let_go() -> None:
    before = active()
    x = big()
    for _ in range(20):
        x = fn.sin(x) + 1
        fn.eval(x)
    assert active() - before < BIG + SMALL
    y = fn.grad(lambda a: (a * a).sum())(x)
    fn.eval(y)
    del x
    assert active() - before < BIG + SMALL


def test_nothing_stays_of_work_on_the_background() -> None:
    before = active()
    x = big()
    y = x
    for _ in range(10):
        y = fn.sin(y) + x
    fn.async_eval(y)
    del x, y
    assert active() - before < 1024


def test_nothing_stays_of_what_failed() -> None:
    before = active()
    for transform in (fn.grad, fn.vmap, fn.compile, fn.checkpoint):
        with pytest.raises(ZeroDivisionError):
            transform(lambda x: (x * 2, 1 / 0))(big())
    with pytest.raises(ZeroDivisionError):
        fn.scan(lambda c, x: (c + x, 1 / 0), fn.zeros(N), big().reshape(1, N))
    limit = fn.set_memory_limit(active() + 3 * BIG)
    try:
        with pytest.raises(MemoryError):
            fn.eval([fn.sort(big(k)) for k in range(8)])
    finally:
        fn.set_memory_limit(limit)
    assert active() - before < 1024


# ---- compiled functions


def held_by(step: Callable[..., object], *arguments: object) -> int:
    """Bytes that stay when a compiled function has been called and its results are gone."""
    fn.eval(arguments)
    before = active()
    fn.eval(step(*arguments))
    fn.eval(step(*arguments))
    return active() - before


VOCABULARY, WIDTH, LENGTH = 1000, 64, 128


def test_a_step_of_embedding_and_cross_entropy_captures_nothing() -> None:
    table = random.normal(random.key(0), (VOCABULARY, WIDTH))
    tokens = random.randint(random.key(1), 0, VOCABULARY, (4, LENGTH))
    fn.eval(table, tokens)

    @fn.compile
    def step(table: fn.array, tokens: fn.array) -> tuple[fn.array, fn.array]:
        def loss(table: fn.array) -> fn.array:
            x = fn.take(table, tokens, axis=0)
            return nn.losses.cross_entropy(x @ table.T, tokens).mean()

        value, slope = fn.value_and_grad(loss)(table)
        return table - 0.1 * slope, value

    held = held_by(step, table, tokens)
    assert held < 1024


MADE_FROM_NOTHING: dict[str, Callable[[fn.array], fn.array]] = {
    "zeros": lambda x: x + fn.zeros(x.shape),
    "zeros_like": lambda x: x + fn.zeros_like(x),
    "full": lambda x: x * fn.full(x.shape, 2.0),
    "arange": lambda x: x + fn.arange(x.shape[1]),
    "linspace": lambda x: x + fn.linspace(0, 1, x.shape[1]),
    "eye": lambda x: x @ fn.eye(x.shape[1]),
    "tril": lambda x: fn.where(fn.tril(fn.ones(x.shape, fn.bool_)), x, float("-inf")),
    "triu of x": lambda x: fn.triu(x),
    "mask of positions": lambda x: fn.where(fn.arange(x.shape[0])[:, None] >= fn.arange(x.shape[1]), x, 0.0),
    "at": lambda x: fn.zeros(x.shape).at[1:3].set(x[1:3]),
    "gradient of take": lambda x: fn.grad(lambda a: fn.take(a, fn.arange(5), axis=0).sum())(x),
    "gradient of a slice": lambda x: fn.grad(lambda a: a[3:5].sum())(x),
    "scan": lambda x: fn.scan(lambda c, r: (c + r, c), fn.zeros(x.shape[1]), x)[1],
}


@pytest.mark.parametrize("name", MADE_FROM_NOTHING)
def test_what_is_made_from_nothing_is_not_captured(name: str) -> None:
    x = big().reshape(256, 256)
    fn.eval(x)
    held = held_by(fn.compile(MADE_FROM_NOTHING[name]), x)
    assert held < 1024


def test_a_training_step_holds_no_arguments() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    opt = optim.adam(1e-3)

    @fn.compile(donate=("params", "state"))
    def step(params: object, state: object, x: fn.array, y: fn.array) -> tuple[object, object, fn.array]:
        loss, grads = fn.value_and_grad(lambda p: nn.losses.cross_entropy(model(p, x), y).mean())(params)
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state, loss

    before = active()
    params = model.init(random.key(0))
    state = opt.init(params)
    x, y = random.normal(random.key(1), (32, 256)), random.randint(random.key(2), 0, 10, (32,))
    fn.eval(x, y)
    for _ in range(3):
        params, state, loss = step(params, state, x, y)
    del x, y, loss
    assert active() - before < sum(leaf.nbytes for leaf in tree.leaves((params, state))) + 4096
    del params, state
    assert active() - before < 4096


def test_a_captured_array_is_held_once() -> None:
    before = active()

    def closed_over(weights: fn.array) -> Callable[[fn.array], fn.array]:
        return fn.compile(lambda x: x * weights)

    step = closed_over(big())
    for shape in ((N,), (2, N), (3, N)):
        held = held_by(step, fn.ones(shape))
        assert held < SMALL
    assert active() - before < BIG + SMALL
    del step
    assert active() - before < 1024
