"""One row for every optimiser and wrapper; test_optimizers.py takes each through everything that all of them owe."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import oracles

from funcnn import optim
from funcnn.optim import schedules

Flat = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Spec:
    """An optimiser, what it does in float64 to arrays by path, and who else has it."""

    name: str
    optimizer: Any
    oracle: Callable[[Flat, list[Flat]], Flat]
    mlx: Callable[[Any], Any] | None = None  # from mlx.optimizers
    optax: Callable[[Any], Any] | None = None
    tolerance: float = 1e-5
    float64: float = 1e-11  # the tolerance for arrays of float64
    complex: bool = True  # whether complex arrays are optimised, or refused

    def __post_init__(self) -> None:
        if "decay(init" in repr(self.optimizer):  # schedules give float32
            object.__setattr__(self, "float64", 3e-7)


def leafwise(oracle: Callable[..., Any], *args: Any, **options: Any) -> Callable[[Flat, list[Flat]], Flat]:
    """The oracle of trees whose arrays go their ways alone."""
    return lambda params, grads: {
        path: oracle(p, [g[path] for g in grads], *args, **options) for path, p in params.items()
    }


def cosine(t: int) -> float:
    return 0.1 + 0.05 * (1 + math.cos(math.pi * min(t, 8) / 8))


COSINE = schedules.cosine_decay(0.2, 8, 0.1)


def theirs(m: Any) -> Any:
    return m.cosine_decay(0.2, 8, 0.1)


SPECS = [
    Spec("sgd", optim.sgd(0.1), leafwise(oracles.sgd, 0.1), lambda m: m.SGD(0.1)),
    Spec("sgd, schedule", optim.sgd(COSINE), leafwise(oracles.sgd, cosine), lambda m: m.SGD(theirs(m))),
    Spec(
        "sgd, momentum, decay, dampening",
        optim.sgd(0.1, 0.9, 0.01, 0.3),
        leafwise(oracles.sgd, 0.1, 0.9, 0.01, 0.3),
        lambda m: m.SGD(0.1, 0.9, 0.01, 0.3),
    ),
    Spec(
        "sgd, nesterov",
        optim.sgd(0.1, 0.9, nesterov=True),
        leafwise(oracles.sgd, 0.1, 0.9, nesterov=True),
        lambda m: m.SGD(0.1, 0.9, nesterov=True),
    ),
    Spec("adam", optim.adam(0.1), leafwise(oracles.adam, 0.1), lambda m: m.Adam(0.1)),
    Spec(
        "adam, corrected",
        optim.adam(COSINE, (0.8, 0.99), 1e-4, True),
        leafwise(oracles.adam, cosine, 0.8, 0.99, 1e-4, corrected=True),
        lambda m: m.Adam(theirs(m), [0.8, 0.99], 1e-4, True),
    ),
    Spec("adamw", optim.adamw(0.1), leafwise(oracles.adam, 0.1, decay=0.01), lambda m: m.AdamW(0.1)),
    Spec(
        "adamw, corrected",
        optim.adamw(COSINE, (0.8, 0.99), 1e-4, 0.1, True),
        leafwise(oracles.adam, cosine, 0.8, 0.99, 1e-4, 0.1, True),
        lambda m: m.AdamW(theirs(m), [0.8, 0.99], 1e-4, 0.1, True),
    ),
    Spec("adamax", optim.adamax(0.1), leafwise(oracles.adamax, 0.1), lambda m: m.Adamax(0.1)),
    Spec(
        "adamax, corrected",
        optim.adamax(COSINE, (0.8, 0.99), 1e-4, bias_correction=True),
        leafwise(oracles.adamax, cosine, 0.8, 0.99, 1e-4, True),
        optax=lambda o: o.adamax(o.cosine_decay_schedule(0.2, 8, 0.5), 0.8, 0.99, 1e-4),
    ),
    Spec("adagrad", optim.adagrad(0.1), leafwise(oracles.adagrad, 0.1), lambda m: m.Adagrad(0.1)),
    Spec("adagrad, schedule", optim.adagrad(COSINE, 1e-3), leafwise(oracles.adagrad, cosine, 1e-3),
         lambda m: m.Adagrad(theirs(m), 1e-3)),
    Spec("rmsprop", optim.rmsprop(0.1), leafwise(oracles.rmsprop, 0.1), lambda m: m.RMSprop(0.1)),
    Spec("rmsprop, schedule", optim.rmsprop(COSINE, 0.9, 1e-3), leafwise(oracles.rmsprop, cosine, 0.9, 1e-3),
         lambda m: m.RMSprop(theirs(m), 0.9, 1e-3)),
    Spec("adadelta", optim.adadelta(1.0), leafwise(oracles.adadelta, 1.0), lambda m: m.AdaDelta(1.0)),
    Spec("adadelta, schedule", optim.adadelta(COSINE, 0.8, 1e-3), leafwise(oracles.adadelta, cosine, 0.8, 1e-3),
         lambda m: m.AdaDelta(theirs(m), 0.8, 1e-3)),
    Spec("lion", optim.lion(0.1), leafwise(oracles.lion, 0.1), lambda m: m.Lion(0.1), complex=False),
    Spec("lion, decay", optim.lion(COSINE, (0.8, 0.95), 0.1), leafwise(oracles.lion, cosine, 0.8, 0.95, 0.1),
         lambda m: m.Lion(theirs(m), [0.8, 0.95], 0.1), complex=False),
    Spec("lamb", optim.lamb(0.1), leafwise(oracles.lamb, 0.1), optax=lambda o: o.lamb(0.1)),
    Spec("lamb, decay", optim.lamb(COSINE, (0.8, 0.99), 1e-4, 0.1),
         leafwise(oracles.lamb, cosine, 0.8, 0.99, 1e-4, 0.1),
         optax=lambda o: o.lamb(o.cosine_decay_schedule(0.2, 8, 0.5), 0.8, 0.99, 1e-4, weight_decay=0.1)),
    Spec("adafactor", optim.adafactor(), leafwise(oracles.adafactor), lambda m: m.Adafactor(), complex=False),
    Spec("adafactor, warmup, momentum, decay", optim.adafactor(beta_1=0.9, weight_decay=0.1, warmup_init=True),
         leafwise(oracles.adafactor, b1=0.9, decay=0.1, warmup=True),
         lambda m: m.Adafactor(beta_1=0.9, weight_decay=0.1, warmup_init=True), complex=False),
    Spec("adafactor, schedule",
         optim.adafactor(COSINE, (1e-8, 1e-2), 0.5, -0.5, scale_parameter=False, relative_step=False),
         leafwise(oracles.adafactor, cosine, (1e-8, 1e-2), 0.5, -0.5, scale=False),
         lambda m: m.Adafactor(theirs(m), (1e-8, 1e-2), 0.5, -0.5, scale_parameter=False, relative_step=False),
         complex=False),
    Spec("muon", optim.muon(0.1), leafwise(oracles.muon, 0.1), lambda m: m.Muon(0.1), complex=False),
    Spec("muon, no nesterov", optim.muon(COSINE, 0.8, 0.0, False, 3), leafwise(oracles.muon, cosine, 0.8, 0.0, False, 3),
         lambda m: m.Muon(theirs(m), 0.8, 0.0, False, 3), complex=False),
]  # fmt: skip
