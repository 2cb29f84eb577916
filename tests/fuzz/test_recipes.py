"""Random programs of every primitive, run as the planner runs them, agree with NumPy.

Hypothesis makes a failing program small; it prints as code that runs it again. `python -m tests.fuzz` runs many more.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import funcnn as fn

from . import numpy_interpreter
from .check import check, fits_the_device, operations
from .choices import Seeded
from .recipe import Body, Const, Input, Mode, Recipe, Step
from .recipes import recipes, seeded
from .resize import check_resized

PROGRAMS = 400 if os.environ.get("FUNCNN_SANITIZED") or fn.default_device() != fn.cpu else 4000


@pytest.mark.parametrize("part", range(8))
def test_seeded_recipes_agree_with_numpy(part: int) -> None:
    for seed in range(part, PROGRAMS, 8):
        recipe, values = seeded(seed)
        if not fits_the_device(recipe, values):
            continue
        try:
            check(recipe, values)
            if seed % 4 == 0:
                check_resized(recipe, values, Seeded(seed))
        except Exception as e:
            raise AssertionError(
                f"program of seed {seed}; smaller: python -m tests.fuzz --first {seed} --programs 1\n{recipe}"
            ) from e


@pytest.mark.parametrize("form", ["eager", "compile", "grad"])
def test_recipes_agree_with_numpy(form: str) -> None:
    if form == "grad":
        fn.array(0.0, fn.float64)  # in which all of them are; a device may have none

    @settings(max_examples=60)
    @given(recipes(form))
    def run(recipe: Recipe) -> None:
        values = numpy_interpreter.run(recipe)
        assume(fits_the_device(recipe, values))
        check(recipe, values)

    run()


@settings(max_examples=60)
@given(recipes(), st.integers(0, 1000))
def test_recipes_with_other_sizes_agree_with_numpy(recipe: Recipe, seed: int) -> None:
    values = numpy_interpreter.run(recipe)
    assume(fits_the_device(recipe, values))
    check_resized(recipe, values, Seeded(seed))


def test_many_recipes_have_other_sizes() -> None:
    assert sum(check_resized(*seeded(seed), Seeded(seed)) for seed in range(200)) > 50


def test_every_operation_occurs() -> None:
    seen: set[str] = set()
    for seed in range(2500):
        seen.update(operations(seeded(seed)[0]))
    assert set(numpy_interpreter.OPS) - seen == set()


def test_a_recipe_prints_as_a_program() -> None:
    recipe = seeded(3)[0]
    names = {
        "Recipe": Recipe,
        "Input": Input,
        "Step": Step,
        "Const": Const,
        "Mode": Mode,
        "Body": Body,
        "check": lambda r: r,
    }
    text = str(recipe)
    call = text[text.index("check(") :]
    assert eval(call, names) == recipe
