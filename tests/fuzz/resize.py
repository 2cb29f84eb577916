"""Programs run again with other sizes: what the planner decided for the first ones must fit, and change nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import funcnn as fn

from . import funcnn_interpreter as planned
from . import numpy_interpreter as plain
from .builder import Rejected, checkable
from .check import Disagreement, check, operations
from .choices import Choices
from .numpy_values import Values
from .recipe import Body, Recipe, Step

# Lengths that a length may become: small ones, and around those at which kernels change their ways.
LENGTHS = (2, 3, 5, 6, 8, 9, 17, 31, 33, 64, 65, 130, 257, 513, 1025)
MOST = 100_000  # elements of a value
MOST_STEPS = 5000  # those of every turn of a loop counted


def resized(recipe: Recipe, values: list[Values], choices: Choices) -> Recipe:
    """The recipe with another number in the place of one of its lengths. Raises Rejected where there is none."""
    fixed = {2} if any(op.startswith("random") for op in operations(recipe)) else set()  # the length of a key
    lengths = sorted({d for given in recipe.inputs for d in given.shape if d > 1} - fixed)
    if not lengths:
        raise Rejected("no length to change")
    old = choices.pick(lengths)
    new = choices.pick([n for n in LENGTHS if n not in lengths])
    if any(v.x.size * (new / old) ** v.shape.count(old) > MOST for v in values):
        raise Rejected("too large")

    def shape(of: Any) -> tuple[int, ...]:
        return tuple(new if d == old else d for d in of)

    def value(key: str, x: Any) -> Any:
        if isinstance(x, Body):
            return dataclasses.replace(x, steps=tuple(step(s) for s in x.steps))
        return shape(x) if key == "shape" else new if key == "length" and x == old else x

    def step(s: Step) -> Step:
        return dataclasses.replace(s, params={key: value(key, x) for key, x in s.params.items()})

    inputs = tuple(
        dataclasses.replace(given, shape=shape(given.shape), bound=new if given.bound == old else given.bound)
        for given in recipe.inputs
    )
    return dataclasses.replace(recipe, inputs=inputs, steps=tuple(step(s) for s in recipe.steps))


def run(recipe: Recipe) -> list[Values]:
    """What NumPy gives. Raises Rejected where nobody could check that."""
    values = [plain.input_values(given) for given in recipe.inputs]
    with plain.at_most(MOST_STEPS):
        for step in recipe.steps:
            values += plain.run_step(step, values)
            if any(v.x.size > MOST or not checkable(v) for v in values[-step.count :]):
                raise Rejected("too large, or nothing to check")
    return values


def check_resized(recipe: Recipe, values: list[Values], choices: Choices) -> bool:
    """Run a recipe that was just checked with another length; whether there was one that it can be run with."""
    try:
        other = resized(recipe, values, choices)
        others = run(other)
        explained(other)  # NumPy has not looked at branches that are not taken, nor at carries that change their shape
    except (Rejected, ValueError, IndexError, TypeError, OverflowError, MemoryError, KeyError):
        return False
    check(other, others)
    if other.mode.fused:
        compare_plans(recipe, other)
    return True


def compare_plans(first: Recipe, then: Recipe) -> None:
    """The plan of a program is the same whether one with other sizes was planned before or nothing was."""
    fn.clear_plan_cache()
    explained(first)
    reused = explained(then)
    fn.clear_plan_cache()
    if (alone := explained(then)) != reused:
        raise Disagreement(f"planned from scratch:\n{alone}\nafter the same with other sizes:\n{reused}")


def explained(recipe: Recipe) -> str:
    return fn.explain(planned.program(recipe))(*[planned.make_input(i) for i in recipe.inputs]).plan
