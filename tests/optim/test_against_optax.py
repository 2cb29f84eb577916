"""Optimisers and schedules against Optax, step by step."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import optim, tree

optax = pytest.importorskip("optax")
jnp = pytest.importorskip("jax.numpy")

RNG = np.random.default_rng(0)
PARAMS = {
    "layers": [
        {"weight": RNG.normal(size=(4, 3)).astype(np.float32), "bias": RNG.normal(size=4).astype(np.float32)},
        {"weight": RNG.normal(size=(2, 4)).astype(np.float32)},
    ]
}
GRADS = [tree.map(lambda p: RNG.normal(size=p.shape).astype(np.float32) * 3, PARAMS) for _ in range(12)]
ONLY_WEIGHTS = {"layers": [{"weight": True, "bias": False}, {"weight": True}]}


def schedule():
    return optim.schedules.warmup_cosine(0.1, 3, 10)


def optax_schedule():
    return optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 10)


PAIRS = {
    "sgd": (lambda: optim.sgd(0.1), lambda: optax.sgd(0.1)),
    "sgd momentum": (lambda: optim.sgd(0.1, momentum=0.9), lambda: optax.sgd(0.1, momentum=0.9)),
    "sgd nesterov": (
        lambda: optim.sgd(0.1, momentum=0.9, nesterov=True),
        lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    ),
    "sgd decay": (
        lambda: optim.sgd(0.1, momentum=0.9, weight_decay=0.01),
        lambda: optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1, momentum=0.9)),
    ),
    "sgd schedule": (lambda: optim.sgd(schedule()), lambda: optax.sgd(optax_schedule())),
    "adam": (lambda: optim.adam(0.01), lambda: optax.adam(0.01)),
    "adam options": (
        lambda: optim.adam(0.01, (0.8, 0.95), 1e-3, True, eps_root=1e-4),
        lambda: optax.adam(0.01, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-4),
    ),
    "adam schedule": (lambda: optim.adam(schedule()), lambda: optax.adam(optax_schedule())),
    "adamw": (lambda: optim.adamw(0.01), lambda: optax.adamw(0.01, weight_decay=0.01)),
    "adamw mask": (
        lambda: optim.adamw(0.01, weight_decay=0.1, mask="**.weight"),
        lambda: optax.adamw(0.01, weight_decay=0.1, mask=ONLY_WEIGHTS),
    ),
    "chain": (
        lambda: optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(schedule(), weight_decay=0.1)),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax_schedule(), weight_decay=0.1)),
    ),
    "clip": (
        lambda: optim.chain(optim.clip(0.5), optim.sgd(1.0)),
        lambda: optax.chain(optax.clip(0.5), optax.sgd(1.0)),
    ),
    "scale": (lambda: optim.scale(-0.3), lambda: optax.scale(-0.3)),
    "scale by schedule": (
        lambda: optim.scale_by_schedule(schedule()),
        lambda: optax.scale_by_schedule(optax_schedule()),
    ),
    "decay": (
        lambda: optim.chain(optim.add_decayed_weights(0.1, mask=ONLY_WEIGHTS), optim.scale(-1.0)),
        lambda: optax.chain(optax.add_decayed_weights(0.1, mask=ONLY_WEIGHTS), optax.scale(-1.0)),
    ),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", PAIRS)
def test_steps(name, compiled):
    ours, theirs = (make() for make in PAIRS[name])
    params, other = tree.map(fn.array, PARAMS), tree.map(jnp.asarray, PARAMS)
    state, other_state = ours.init(params), theirs.init(other)

    def step(params, state, grads):
        delta, state = ours.update(grads, state, params)
        return optim.apply_updates(params, delta), state

    if compiled:
        step = fn.compile(step, donate=("params", "state"))
    for grads in GRADS:
        params, state = step(params, state, tree.map(fn.array, grads))
        delta, other_state = theirs.update(tree.map(jnp.asarray, grads), other_state, other)
        other = optax.apply_updates(other, delta)
        for path, leaf in tree.leaves_with_path(params):
            # Optax computes 1 - b2**count as it is written, which loses four digits in the first steps.
            np.testing.assert_allclose(np.asarray(leaf), np.asarray(tree.get(other, path)), rtol=2e-5, atol=1e-5)
    if compiled:
        assert step.cache_info()["misses"] == 1


SCHEDULES = {
    "constant": (optim.schedules.constant(0.3), optax.constant_schedule(0.3)),
    "linear": (optim.schedules.linear_schedule(0.1, 0.9, 7), optax.linear_schedule(0.1, 0.9, 7)),
    "cosine": (optim.schedules.cosine_decay(0.5, 8, 0.1), optax.cosine_decay_schedule(0.5, 8, alpha=0.2)),
    "exponential": (optim.schedules.exponential_decay(0.5, 0.7), optax.exponential_decay(0.5, 1, 0.7)),
    "step": (optim.schedules.step_decay(0.5, 0.7, 3), optax.exponential_decay(0.5, 3, 0.7, staircase=True)),
    "one_cycle": (optim.schedules.one_cycle(0.5, 15), optax.cosine_onecycle_schedule(15, 0.5)),
    "one_cycle options": (
        optim.schedules.one_cycle(0.5, 12, 0.4, 10.0, 20.0),
        optax.cosine_onecycle_schedule(12, 0.5, 0.4, 10.0, 20.0),
    ),
    "warmup": (
        optim.schedules.warmup(0.4, 5),
        optax.join_schedules([optax.linear_schedule(0.0, 0.4, 5), optax.constant_schedule(0.4)], [5]),
    ),
    "warmup_cosine": (schedule(), optax_schedule()),
    "join": (
        optim.schedules.join_schedules(
            [optim.schedules.constant(1.0), optim.schedules.linear_schedule(0.0, 1.0, 4)], [6]
        ),
        optax.join_schedules([optax.constant_schedule(1.0), optax.linear_schedule(0.0, 1.0, 4)], [6]),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    ours, theirs = SCHEDULES[name]
    compiled = fn.compile(ours)
    for count in range(20):
        expected = float(theirs(count))
        assert ours(count).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert compiled(fn.array(count)).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert compiled.cache_info()["misses"] == 1
