"""Compares the two interpreters on a recipe."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

import funcnn as fn

from . import funcnn_interpreter as planned
from . import numpy_interpreter as plain
from .numpy_values import Values, disagreements
from .recipe import Const, Recipe


class Disagreement(AssertionError):
    """funcnn and NumPy do not agree."""


def fits_the_device(recipe: Recipe, values: list[Values]) -> bool:
    """Whether the default device has float64, or the recipe has none."""
    try:
        fn.array(0.0, fn.float64)
    except ValueError:
        return not ("float64" in repr(recipe) or any(v.dtype == "float64" for v in values))
    return True


def check(recipe: Recipe, values: list[Values] | None = None) -> None:
    """Run a recipe both ways; raise where they disagree. `values`: what NumPy gives, where it is known."""
    mode = recipe.mode
    if values is None:
        values = plain.run(recipe)
    fused, threads = fn.set_fusion(mode.fused), fn.get_num_threads()
    use_threads(mode.threads)
    try:
        with planned.moving(mode.moved):
            if mode.form == "grad":
                check_gradient(recipe)
            elif mode.form == "compile":
                for number, got in enumerate(planned.run_compiled(recipe)):
                    compare(recipe, got, values, f" in call {number + 1}")
            else:
                compare(recipe, planned.run_eager(recipe), values)
    finally:
        fn.set_fusion(fused)
        use_threads(threads)


def use_threads(count: int) -> None:
    if count != fn.get_num_threads():  # threads are started anew
        fn.set_num_threads(count)


def compare(recipe: Recipe, got: dict[int, Any], values: list[Values], where: str = "") -> None:
    for i, x in got.items():
        want = values[i]
        name = f"value {i} ({origin(recipe, i)}){where}"
        if x.dtype != getattr(fn, want.dtype) or x.shape != want.shape:
            raise Disagreement(f"{name}: got {x.dtype}{x.shape}, expected {want.dtype}{want.shape}")
        y = planned.to_numpy(x, want.dtype)
        wrong = disagreements(y, want)
        if np.any(wrong):
            at = tuple(int(n[0]) for n in np.nonzero(wrong))
            room = "" if want.e is None else f" +- {want.e[at]}"
            raise Disagreement(
                f"{name}: {np.count_nonzero(wrong)} of {wrong.size} elements differ, first at {at}: "
                f"got {y[at]!r}, expected {want.x[at]!r}{room}"
            )


def origin(recipe: Recipe, value: int) -> str:
    n = len(recipe.inputs)
    if value < n:
        return "an input"
    for step in recipe.steps:
        if value < n + step.count:
            return step.op
        n += step.count
    return "?"


# ---- derivatives


def weights(shape: tuple[int, ...], number: int) -> np.ndarray:
    seed = zlib.crc32(repr((shape, number)).encode())
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


# Functions with places where they have a value but no derivative.
SINGULAR = frozenset(("sqrt", "rsqrt", "log", "log1p", "log2", "log10", "arcsin", "arccos", "arccosh", "arctanh", "erfinv",
                      "reciprocal", "divide", "lgamma", "digamma", "arctan2", "tan"))  # fmt: skip


def check_gradient(recipe: Recipe, step: float = 1e-6) -> None:
    """The gradient along a direction against central differences of the NumPy interpreter."""
    moving = [i for i, given in enumerate(recipe.inputs) if given.dtype == "float64"]
    if not moving:
        return
    start = [plain.input_values(i) for i in recipe.inputs]
    along = [weights(start[i].shape, 1000 + i) for i in moving]

    def loss(t: float) -> tuple[float, float]:
        values = [Values(v.x, v.dtype) for v in start]
        for i, d in zip(moving, along, strict=True):
            values[i] = Values(start[i].x + t * d, "float64")
        for s in recipe.steps:
            values += plain.run_step(s, values)
        terms = [values[o].x * weights(values[o].shape, k) for k, o in enumerate(recipe.outputs)]
        return float(sum(x.sum() for x in terms)), float(sum(np.abs(x).sum() for x in terms))

    def slope(h: float) -> float:
        return (loss(h)[0] - loss(-h)[0]) / (2 * h)

    numeric, coarser = slope(step), slope(4 * step)
    here, size = loss(0.0)
    # At a kink, such as a tie of two inputs of maximum, the sides disagree.
    sides = [(loss(h)[0] - here) / h for h in (step, -step)]
    ways = [numeric, coarser, slope(step * 0.6), *sides]
    room = 20 * (max(ways) - min(ways)) + 1e-6 * abs(numeric) + 1e-7 * (1 + size)
    if not np.isfinite(numeric) or room > 0.1 * (1 + abs(numeric)):
        return

    f = planned.program(recipe)

    def objective(*inputs: Any) -> Any:
        given = list(fixed)
        for i, x in zip(moving, inputs, strict=True):
            given[i] = x
        out = f(*given)
        return sum(
            ((y * fn.array(weights(y.shape, k), fn.float64)).sum() for k, y in enumerate(out)),
            start=fn.array(0.0, fn.float64),
        )

    fixed = [planned.make_input(i) for i in recipe.inputs]
    gradient = fn.grad(objective, argnums=tuple(range(len(moving))))
    for what, run in (("eager", gradient), ("compiled", fn.compile(gradient))):
        found = run(*[fixed[i] for i in moving])
        total = sum(float(np.sum(np.asarray(g) * d)) for g, d in zip(found, along, strict=True))
        if np.isnan(total) and not SINGULAR.isdisjoint(operations(recipe)):
            continue
        if not abs(total - numeric) <= room:
            raise Disagreement(
                f"{what} gradient along a direction: {total!r}, by differences {numeric!r} +- {room:.2g}"
            )
    for i, x in enumerate(fixed):
        if not np.array_equal(planned.to_numpy(x, recipe.inputs[i].dtype), start[i].x, equal_nan=True):
            raise Disagreement(f"input {i} has changed")


def operations(recipe: Recipe) -> list[str]:
    """The names of all steps, those of bodies too."""
    names = []
    todo = list(recipe.steps)
    while todo:
        s = todo.pop()
        names.append(s.op)
        for key in ("body", "first", "second"):
            if key in s.params:
                todo += s.params[key].steps
    return names


__all__ = ["Const", "Disagreement", "check", "operations"]
