"""Random programs of every primitive, run as the planner runs them, agree with NumPy.

Hypothesis makes a failing program small; it prints as code that runs it again. `python -m tests.fuzz` runs many more.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings

from . import numpy_interpreter
from .check import check, operations
from .recipe import Body, Const, Input, Mode, Recipe, Step
from .recipes import recipes, seeded

PROGRAMS = 400 if os.environ.get("FUNCNN_SANITIZED") else 4000


@pytest.mark.parametrize("part", range(8))
def test_seeded_recipes_agree_with_numpy(part: int) -> None:
    for seed in range(part, PROGRAMS, 8):
        recipe, values = seeded(seed)
        try:
            check(recipe, values)
        except Exception as e:
            raise AssertionError(
                f"program of seed {seed}; smaller: python -m tests.fuzz --first {seed} --programs 1\n{recipe}"
            ) from e


@pytest.mark.parametrize("form", ["eager", "compile", "grad"])
def test_recipes_agree_with_numpy(form: str) -> None:
    @settings(max_examples=60)
    @given(recipes(form))
    def run(recipe: Recipe) -> None:
        check(recipe)

    run()


def test_every_operation_occurs() -> None:
    seen: set[str] = set()
    for seed in range(1500):
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
