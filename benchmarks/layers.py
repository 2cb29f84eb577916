"""python -m benchmarks.layers: what models of layers cost beside their arithmetic.

Creating and initialising a model of 1,000 layers, with its parameters evaluated; and what `model.apply` adds a layer to the same
operations written plainly, for models of 100 layers, eager and compiled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import funcnn as fn
from funcnn import nn, random

DEEP, LAYERS = 1000, 100


def least(steps: list[Callable[[], object]], rounds: int) -> list[float]:
    """The least seconds of each step, measured in turn."""
    best = [float("inf")] * len(steps)
    for _ in range(rounds):
        for i, step in enumerate(steps):
            start = time.perf_counter()
            step()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def create() -> None:
    """Make a deep model and its parameters."""
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(DEEP)])
    fn.eval(model.init(random.key(0)))


MODELS: dict[str, tuple[nn.Layer, int, Callable[[Any, Any], Any]]] = {
    "Linear": (nn.Linear(16, 16), 16, lambda p, x: x @ p["weight"].T + p["bias"]),
    "ReLU": (nn.ReLU(), 16, lambda p, x: nn.relu(x)),
    "RMSNorm": (nn.RMSNorm(16), 16, lambda p, x: fn.fast.rms_norm(x, p["weight"], 1e-5)),
}


def added(layer: nn.Layer, dims: int, plain: Callable[[Any, Any], Any], rounds: int) -> tuple[float, float]:
    """Microseconds that a layer adds, eager and compiled."""
    model = nn.Sequential(*[layer] * LAYERS)
    params, x = model.init(random.key(0)), fn.ones((4, dims))
    fn.eval(params, x)

    def with_layers(params: Any, x: Any) -> Any:
        return model.apply(params, x)[0]

    def without(params: Any, x: Any) -> Any:
        for p in params["layers"]:
            x = plain(p, x)
        return x

    def cost(run: Callable[[Any], Any]) -> float:
        ours, theirs = run(with_layers), run(without)
        best = least([lambda: fn.eval(ours(params, x)), lambda: fn.eval(theirs(params, x))], rounds)
        return (best[0] - best[1]) * 1e6 / LAYERS

    return cost(lambda f: f), cost(fn.compile)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    start = time.perf_counter()
    create()
    first = time.perf_counter() - start
    print(f"{DEEP} layers, created and initialised: {first:.3f} s at first, {least([create], 5)[0]:.3f} s again")
    for name, case in MODELS.items():
        eager, compiled = added(*case, rounds)
        print(f"{name:8} adds {eager:5.2f} us a layer eager, {compiled:5.2f} us compiled")


if __name__ == "__main__":
    main()
