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


def clipped(oracle: Callable[..., Any], limit: float, *args: Any) -> Callable[[Flat, list[Flat]], Flat]:
    return lambda params, grads: leafwise(oracle, *args)(params, list(oracles.clipped(grads, limit)))


def by_path(*pairs: tuple[Callable[[str, np.ndarray], bool], Callable[[Flat, list[Flat]], Flat]]) -> Any:
    """The oracle of groups: the first whose predicate holds; what belongs to none stays."""

    def oracle(params: Flat, grads: list[Flat]) -> Flat:
        result, left = dict(params), dict(params)
        for holds, inner in pairs:
            chosen = {path: left.pop(path) for path in list(left) if holds(path, left[path])}
            result |= inner(chosen, [{path: g[path] for path in chosen} for g in grads])
        return result

    return oracle


def means(oracle: Callable[[Flat, list[Flat]], Flat], n: int) -> Callable[[Flat, list[Flat]], Flat]:
    """The oracle of gradients in groups of `n`; an incomplete group does nothing."""

    def grouped(params: Flat, grads: list[Flat]) -> Flat:
        groups = [grads[i : i + n] for i in range(0, len(grads) - n + 1, n)]
        return oracle(params, [{path: sum(g[path] for g in group) / n for path in params} for group in groups])

    return grouped


def weight(path: str, x: Any) -> bool:
    return path.endswith("weight")


def bias(path: str, x: Any) -> bool:
    return path.endswith("bias")


def matrix(path: str, x: Any) -> bool:
    return x.ndim >= 2


def rest(path: str, x: Any) -> bool:
    return True


def label(path: str, x: Any) -> str:
    return "bias" if path.endswith("bias") else "matrix" if x.ndim >= 2 else "none"


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
    Spec("adam", optim.adam(0.1, bias_correction=False), leafwise(oracles.adam, 0.1, corrected=False), lambda m: m.Adam(0.1)),
    Spec(
        "adam, corrected",
        optim.adam(COSINE, (0.8, 0.99), 1e-4),
        leafwise(oracles.adam, cosine, 0.8, 0.99, 1e-4, corrected=True),
        lambda m: m.Adam(theirs(m), [0.8, 0.99], 1e-4, True),
    ),
    Spec("adamw", optim.adamw(0.1, bias_correction=False), leafwise(oracles.adam, 0.1, decay=0.01, corrected=False), lambda m: m.AdamW(0.1)),
    Spec(
        "adamw, corrected",
        optim.adamw(COSINE, (0.8, 0.99), 1e-4, 0.1),
        leafwise(oracles.adam, cosine, 0.8, 0.99, 1e-4, 0.1, True),
        lambda m: m.AdamW(theirs(m), [0.8, 0.99], 1e-4, 0.1, True),
    ),
    Spec("adamax", optim.adamax(0.1, bias_correction=False), leafwise(oracles.adamax, 0.1, corrected=False), lambda m: m.Adamax(0.1)),
    Spec(
        "adamax, corrected",
        optim.adamax(COSINE, (0.8, 0.99), 1e-4),
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
    Spec("clip_by_global_norm", optim.chain(optim.clip_by_global_norm(1.0), optim.adam(0.1)),
         clipped(oracles.adam, 1.0, 0.1)),
    Spec("clip", optim.chain(optim.clip(0.5), optim.sgd(0.1)),
         lambda p, gs: leafwise(oracles.sgd, 0.1)(p, [{k: np.clip(x, -0.5, 0.5) for k, x in g.items()} for g in gs]),
         optax=lambda o: o.chain(o.clip(0.5), o.sgd(0.1)), complex=False),
    Spec("add_decayed_weights, scale", optim.chain(optim.add_decayed_weights(0.1, weight), optim.scale(-0.1)),
         by_path((weight, leafwise(oracles.sgd, 0.1, decay=0.1)), (rest, leafwise(oracles.sgd, 0.1)))),
    Spec("scale_by_schedule", optim.chain(optim.scale_by_schedule(COSINE), optim.scale(-1.0)),
         leafwise(oracles.sgd, cosine)),
    Spec("adamw, mask", optim.adamw(0.1, weight_decay=0.3, mask=weight),
         by_path((weight, leafwise(oracles.adam, 0.1, decay=0.3)), (rest, leafwise(oracles.adam, 0.1)))),
    Spec("masked", optim.chain(optim.masked(optim.rmsprop(0.1), weight), optim.scale(0.5)),
         by_path((weight, leafwise(oracles.rmsprop, 0.05)), (rest, leafwise(oracles.sgd, -0.5)))),
    Spec("skip_frozen", optim.skip_frozen(optim.adamw(COSINE), weight),
         by_path((lambda path, x: not weight(path, x), leafwise(oracles.adam, cosine, decay=0.01)))),
    Spec("partitioned", optim.partitioned([optim.muon(0.1), optim.lion(0.1), optim.adam(0.1)], [matrix, bias]),
         by_path((matrix, leafwise(oracles.muon, 0.1)), (bias, leafwise(oracles.lion, 0.1)),
                 (rest, leafwise(oracles.adam, 0.1))),
         lambda m: m.MultiOptimizer([m.Muon(0.1), m.Lion(0.1), m.Adam(0.1, bias_correction=True)],
                                    [matrix, bias]), complex=False),
    Spec("partitioned, labels",
         optim.partitioned({"matrix": optim.adamw(COSINE), "bias": optim.sgd(0.1, 0.9), "none": None}, label),
         by_path((matrix, leafwise(oracles.adam, cosine, decay=0.01)),
                 (bias, leafwise(oracles.sgd, 0.1, 0.9)))),
    Spec("accumulate", optim.accumulate(optim.adam(COSINE), 3), means(leafwise(oracles.adam, cosine), 3)),
    Spec("accumulate, lamb", optim.accumulate(optim.lamb(0.1), 3), means(leafwise(oracles.lamb, 0.1), 3),
         optax=lambda o: o.MultiSteps(o.lamb(0.1), 3).gradient_transformation()),
    Spec("apply_if_finite", optim.apply_if_finite(optim.sgd(COSINE, 0.9), 2), leafwise(oracles.sgd, cosine, 0.9)),
    Spec("lookahead", optim.lookahead(optim.sgd(0.1, 0.9), 3, 0.4), leafwise(oracles.lookahead, 0.1, 0.9, 3, 0.4)),
    Spec("lookahead, reset", optim.lookahead(optim.sgd(0.1, 0.9), 4, 0.6, reset_state=True),
         leafwise(oracles.lookahead, 0.1, 0.9, 4, 0.6, True)),
    Spec("ema", optim.chain(optim.ema(0.8), optim.scale(-0.1)),
         leafwise(lambda p, gs: p - 0.1 * sum(oracles.ema(gs, 0.8))),
         optax=lambda o: o.chain(o.ema(0.8), o.scale(-0.1))),
    Spec("ema, biased", optim.chain(optim.ema(0.8, debias=False), optim.scale(-0.1)),
         leafwise(lambda p, gs: p - 0.1 * sum(oracles.ema(gs, 0.8, False))),
         optax=lambda o: o.chain(o.ema(0.8, debias=False), o.scale(-0.1))),
    Spec("inject", optim.inject(optim.adamw(0.1, (0.8, 0.99), 1e-4, 0.1, True), "learning_rate", "betas", "weight_decay"),
         leafwise(oracles.adam, 0.1, 0.8, 0.99, 1e-4, 0.1, True)),
    Spec("inject, sgd", optim.inject(optim.sgd(0.1, 0.9, 0.01, 0.3), "learning_rate", "momentum", "dampening"),
         leafwise(oracles.sgd, 0.1, 0.9, 0.01, 0.3)),
    Spec("all at once",
         optim.chain(optim.clip_by_global_norm(1.0), optim.accumulate(
             optim.apply_if_finite(optim.lookahead(optim.inject(optim.sgd(0.1, 0.9), "learning_rate"), 2, 0.5), 3), 2)),
         lambda p, gs: means(leafwise(oracles.lookahead, 0.1, 0.9, 2, 0.5), 2)(p, list(oracles.clipped(gs, 1.0)))),
]  # fmt: skip
