"""Random recipes: of every primitive, in patterns that the planner fuses, reorders and does in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from . import motifs
from .builder import Builder, Rejected, Scale
from .choices import Choices, Drawn, Seeded
from .numpy_values import Values
from .recipe import Mode, Recipe

ATTEMPTS = 4  # at a step, before another is tried


def step(b: Builder) -> None:
    """One more step, or a few that belong together."""
    emitters = motifs.SMOOTH if b.smooth else motifs.ALL
    for _ in range(ATTEMPTS):
        emit = b.choices.pick(emitters)
        before = len(b.values), len(b.steps), dict(b.inputs)
        try:
            emit(b)
            return
        except (Rejected, MemoryError):  # or a result too large to be had
            # What was made on the way stays usable, but for inputs that nothing reads.
            if len(b.steps) == before[1]:
                del b.values[before[0] :]
                b.inputs = before[2]


def generate(choices: Choices, form: str | None = None) -> tuple[Recipe, list[Values]]:
    """A recipe, and its values."""
    form = form or choices.pick(("eager", "eager", "compile", "eager", "compile", "grad"))
    scale = Scale(choices)
    b = Builder(choices, scale, smooth=form == "grad")
    for _ in range(choices.integer(1, 3)):
        b.new_input(b.new_shape(), b.new_dtype())
    for _ in range(choices.integer(1, scale.steps)):
        step(b)
    results = [i for i in range(len(b.values)) if i not in b.inputs]
    if not results:
        results = [b.one("expand_dims", b.new_input((2,), "float64", "whole"), axis=0)]
    outputs = list(
        dict.fromkeys(results[-1 - choices.integer(0, len(results) - 1)] for _ in range(choices.integer(1, 3)))
    )
    if results[-1] not in outputs:
        outputs.append(results[-1])
    if form == "grad":
        outputs = [i for i in outputs if b.dtype(i) == "float64"] or [
            i for i in range(len(b.values)) if b.dtype(i) == "float64"
        ][-1:]
    elif choices.chance(0.15):
        outputs.append(choices.pick(list(b.inputs)))
    recipe, values = b.recipe(outputs)
    mode = mode_of(choices, form, recipe, len(values))
    if choices.chance(0.1):
        mode = replace(mode, moved=choices.integer(1, 99))
    return Recipe(recipe.inputs, recipe.steps, recipe.outputs, mode), values


def mode_of(c: Choices, form: str, recipe: Recipe, count: int) -> Mode:
    fused = not c.chance(0.15)
    threads = c.pick((1, 1, 1, 2, 1, 1, 3))
    if form == "grad":
        return Mode("grad", fused=fused, threads=threads)
    everything = list(range(count))
    if form == "compile":
        return Mode(
            "compile",
            donated=tuple(c.some(range(len(recipe.inputs)), len(recipe.inputs))),
            fused=fused,
            threads=threads,
        )
    kept = tuple(c.some(everything, 3)) if c.chance(0.6) else ()
    stops = []
    first, n = len(recipe.inputs), 0
    starts = []
    for s in recipe.steps:
        starts.append(first + n)
        n += s.count
    if c.chance(0.4):
        for _ in range(c.integer(1, 2)):
            after = c.integer(0, len(recipe.steps) - 1)
            there = starts[after] + recipe.steps[after].count
            stops.append((after, tuple(dict.fromkeys(c.integer(0, there - 1) for _ in range(c.integer(1, 2))))))
    return Mode("eager", kept, tuple(stops), fused=fused, threads=threads, background=c.chance(0.1))


def recipes(form: str | None = None) -> st.SearchStrategy[Recipe]:
    """A Hypothesis strategy of recipes."""

    @st.composite
    def made(draw: Any) -> Recipe:
        return generate(Drawn(draw), form)[0]

    return made()


def seeded(seed: int) -> tuple[Recipe, list[Values]]:
    return generate(Seeded(seed))
