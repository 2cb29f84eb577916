"""Builds a recipe step by step beside its values, so that every step is one that can be run and compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .choices import Choices
from .numpy_interpreter import input_values, run_step
from .numpy_values import FLOATS, INEXACT, INTEGERS, Values
from .recipe import Body, Const, Input, Recipe, Step


class Rejected(Exception):
    """A step that cannot be had here, or whose result nobody could check."""


# Dimensions: of small arrays, and around the lengths at which kernels change their ways (interpreter.cpp,
# program_code.cpp, access_path.cpp, gemm_blocks.h, sort.cpp).
TINY_DIMS = (1, 2, 3, 4, 5, 0)
SMALL_DIMS = (7, 8, 15, 16, 17, 31, 32, 33, 64, 65)
MEDIUM_DIMS = (100, 255, 256, 257, 300, 480, 481, 511, 512, 513, 1023, 1025)
LARGE_DIMS = (2048, 4095, 4097, 8191, 8193, 32767, 32769, 65535, 65537)
ROW_DIMS = (64, 65, 100, 130)  # of rows that machine code reduces


class Scale:
    """How large arrays of a recipe get."""

    def __init__(self, choices: Choices) -> None:
        level = choices.integer(0, 99)
        if level < 62:
            pool, self.limit, self.steps = TINY_DIMS, 400, 14
        elif level < 85:
            pool, self.limit, self.steps = (*TINY_DIMS, *SMALL_DIMS), 3000, 12
        elif level < 96:
            pool, self.limit, self.steps = (*TINY_DIMS, *SMALL_DIMS, *MEDIUM_DIMS), 20_000, 8
        else:
            pool, self.limit, self.steps = (*TINY_DIMS, *SMALL_DIMS, *MEDIUM_DIMS, *LARGE_DIMS), 200_000, 6
        # Few lengths, so that many shapes agree.
        self.dims = [choices.pick(pool) for _ in range(3)]
        if level >= 85:
            self.dims[0] = choices.pick(pool[len(TINY_DIMS) + len(SMALL_DIMS) :])
        elif choices.chance(0.15):
            self.dims[0] = choices.pick(ROW_DIMS)


class Builder:
    """Values so far (in order of creation) and the steps that made them."""

    def __init__(
        self,
        choices: Choices,
        scale: Scale,
        arguments: Sequence[Values] | None = None,
        depth: int = 0,
        smooth: bool = False,
    ) -> None:
        self.choices, self.scale, self.depth, self.smooth = choices, scale, depth, smooth
        self.values: list[Values] = []
        self.inputs: dict[int, Input] = {}
        self.steps: list[tuple[Step, int]] = []  # with the number of its first result
        self.open = arguments is None
        for v in arguments or ():
            self.values.append(v)

    # ---- values

    def add_input(self, given: Input) -> int:
        if not self.open:
            raise Rejected("no further inputs in a body")
        self.values.append(input_values(given))
        self.inputs[len(self.values) - 1] = given
        return len(self.values) - 1

    def new_input(self, shape: Sequence[int], dtype: str, style: str | None = None, bound: int = 0) -> int:
        c = self.choices
        if math.prod(shape) > self.scale.limit:
            raise Rejected("too large")
        if style is None:
            style = "real" if self.smooth else c.pick(("whole", "whole", "real", "positive", "special"))
            if style == "special" and c.chance(0.7):
                style = "whole"
        layout = c.pick(("dense", "dense", "dense", "transposed", "strided", "reversed", "offset"))
        if not len(shape):
            layout = "scalar" if c.chance(0.3) and style != "key" else "dense"
        return self.add_input(Input(tuple(shape), dtype, style, c.integer(0, 999), layout, bound))

    def add(self, op: str, *args: int | Const, **params: Any) -> list[int]:
        """Run a step; the numbers of its results."""
        step = Step(op, args, params)
        try:
            made = run_step(step, self.values)
        except (ValueError, IndexError, TypeError, OverflowError) as e:
            raise Rejected(str(e)) from e
        if sum(v.x.size for v in made) > 2 * self.scale.limit:
            raise Rejected("too large")
        for v in made:
            if not checkable(v):
                raise Rejected("nothing to check")
        first = len(self.values)
        self.steps.append((step, first))
        self.values += made
        return list(range(first, first + len(made)))

    def one(self, op: str, *args: int | Const, **params: Any) -> int:
        return self.add(op, *args, **params)[0]

    def shape(self, i: int) -> tuple[int, ...]:
        return self.values[i].shape

    def dtype(self, i: int) -> str:
        return self.values[i].dtype

    # ---- choices

    def candidates(self, fits: Callable[[Values], bool]) -> list[int]:
        return [i for i, v in enumerate(self.values) if fits(v)]

    def pick(self, fits: Callable[[Values], bool] = lambda v: True) -> int:
        """A value, rather a recent one."""
        found = self.candidates(fits)
        if not found:
            raise Rejected("no such value")
        if self.choices.chance(0.5):
            found = found[-3:]
        return found[-1 - self.choices.integer(0, len(found) - 1)]

    def dim(self) -> int:
        return self.choices.pick(self.scale.dims)

    def new_shape(self, least: int = 0, most: int = 4) -> tuple[int, ...]:
        c = self.choices
        shape = [self.dim() if not c.chance(0.12) else 1 for _ in range(c.integer(least, most))]
        while math.prod(shape) > self.scale.limit:
            shape[shape.index(max(shape))] = c.pick(TINY_DIMS[:5])
        return tuple(shape)

    def new_dtype(self) -> str:
        c = self.choices
        if self.smooth:
            return "float64"
        kind = c.integer(0, 9)
        if kind < 5:
            return "float32"
        if kind < 8:
            return c.pick(("float64", "float16", "bfloat16", "int32", "bool_"))
        return c.pick((*INTEGERS, "complex64"))

    def broadcastable(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to another, often by much."""
        c = self.choices
        out = [1 if c.chance(0.3) else d for d in shape]
        return tuple(out[c.integer(0, len(out)) :] if c.chance(0.3) else out)

    # ---- results

    def body(self, outputs: Sequence[int], arity: int) -> Body:
        return Body(arity, tuple(s for s, _ in self.steps), tuple(outputs))

    def recipe(self, outputs: Sequence[int]) -> tuple[Recipe, list[Values]]:
        """Inputs numbered first, and what is not needed left out; the values by their new numbers."""
        needed = set(outputs)
        steps = []
        for step, first in reversed(self.steps):
            count = step.count
            if needed.isdisjoint(range(first, first + count)):
                continue
            steps.append((step, first, count))
            needed.update(a for a in step.args if not isinstance(a, Const))
        steps.reverse()
        order = [i for i in self.inputs if i in needed]
        for _, first, count in steps:
            order += range(first, first + count)
        number = {old: new for new, old in enumerate(order)}
        renamed = tuple(
            Step(s.op, tuple(a if isinstance(a, Const) else number[a] for a in s.args), s.params) for s, _, _ in steps
        )
        inputs = tuple(given for i, given in self.inputs.items() if i in needed)
        return Recipe(inputs, renamed, tuple(number[o] for o in outputs)), [self.values[i] for i in order]


def checkable(v: Values) -> bool:
    """Whether enough is known, and numbers stay moderate."""
    if not v.x.size:
        return True
    if v.e is not None and np.count_nonzero(np.isfinite(v.e)) * 2 < v.x.size:
        return False
    if v.dtype in INEXACT:
        size = np.abs(v.x)
        finite = np.isfinite(size)
        if np.count_nonzero(finite) * 2 < v.x.size:
            return False
        largest = np.max(size, initial=0.0, where=finite)
        if largest > (1000 if v.dtype in ("float16", "bfloat16") else 1e5):
            return False
    return True


def is_float(v: Values) -> bool:
    return v.dtype in FLOATS
