"""Pytrees against optree, jax.tree and torch's: flatten, unflatten and map of a nested dict of 1,000 leaves.

    python benchmarks/tree.py [--rounds 15]

All libraries that are installed run in turn in every round, after a check that they agree; the figures are medians over the
rounds of the time of one call in microseconds, and ratios are best peer / funcnn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import funcnn
from funcnn import tree


def nested(width: int, depth: int, start: int = 0) -> Any:
    """A dict of ``width`` items at each of ``depth`` levels, with one float at each end."""
    if depth == 0:
        return float(start)
    step, name = width ** (depth - 1), "abcdef"[depth]
    return {f"{name}_{i}": nested(width, depth - 1, start + i * step) for i in range(width)}


def shuffled(t: Any) -> Any:
    """The same tree, its keys inserted in reverse order."""
    return {key: shuffled(t[key]) for key in reversed(t)} if isinstance(t, dict) else t


def frozen(t: Any) -> Any:
    return funcnn.frozendict({key: frozen(value) for key, value in t.items()}) if isinstance(t, dict) else t


def double(x: float) -> float:
    return x + x


Work = dict[str, Callable[[], Any]]


def peers(t: Any) -> dict[str, Work]:
    """What every library does with the tree, by library."""
    found: dict[str, Work] = {}

    def add(name: str, flatten: Any, unflatten: Any, map_: Any, subject: Any = t) -> None:
        leaves, treedef = flatten(subject)
        found[name] = {
            "flatten": lambda: flatten(subject),
            "unflatten": lambda: unflatten(treedef, leaves),
            "map": lambda: map_(double, subject),
            "map of two": lambda: map_(float.__add__, subject, subject),
        }

    add("funcnn", tree.flatten, tree.unflatten, tree.map)
    add("funcnn, keys reversed", tree.flatten, tree.unflatten, tree.map, shuffled(t))
    add("funcnn, frozendict", tree.flatten, tree.unflatten, tree.map, frozen(t))
    try:
        import optree

        add("optree", optree.tree_flatten, optree.tree_unflatten, optree.tree_map)
    except ImportError:
        pass
    try:
        import jax

        add("jax", jax.tree.flatten, jax.tree.unflatten, jax.tree.map)
    except ImportError:
        pass
    try:
        import torch.utils._pytree as torch_tree

        add("torch", torch_tree.tree_flatten, lambda d, ls: torch_tree.tree_unflatten(ls, d), torch_tree.tree_map)
    except ImportError:
        pass
    return found


def once(f: Callable[[], Any], seconds: float = 0.01) -> float:
    """Time one call in microseconds: the mean over about ``seconds``."""
    calls, total = 0, 0.0
    start = time.perf_counter()
    while total < seconds:
        f()
        calls += 1
        total = time.perf_counter() - start
    return total / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    t = nested(10, 3)
    libraries = peers(t)
    for name, work in libraries.items():
        assert list(work["flatten"]()[0]) == tree.leaves(t), name
        assert work["unflatten"]() == t, name
        assert work["map"]() == work["map of two"]() == tree.map(double, t), name

    jobs = ["flatten", "unflatten", "map", "map of two"]
    times: dict[tuple[str, str], list[float]] = {(name, job): [] for name in libraries for job in jobs}
    for _ in range(rounds):
        for (name, job), found in times.items():
            found.append(once(libraries[name][job]))
    median = {key: statistics.median(found) for key, found in times.items()}

    print(f"{'microseconds':24}" + "".join(f"{job:>12}" for job in jobs))
    for name in libraries:
        print(f"{name:24}" + "".join(f"{median[name, job]:12.1f}" for job in jobs))
    others = [name for name in libraries if not name.startswith("funcnn")]
    if others:
        ratios = [min(median[name, job] for name in others) / median["funcnn", job] for job in jobs]
        print(f"{'best peer / funcnn':24}" + "".join(f"{ratio:12.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
