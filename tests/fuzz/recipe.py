"""A program as data: what it is given, what it computes, and how it is to be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Const:
    """A Python number as an operand."""

    value: float | int | bool


@dataclass(frozen=True)
class Input:
    """An array that the program is given.

    `style`: "whole" (small whole numbers), "real" (between -2 and 2), "special" (zeros, infinities, NaN among them),
    "index" (positions below `bound`, some out of range, some negative), "count" (0 to bound - 1).
    `layout`: "dense", "transposed", "strided" or "offset": how the elements lie in memory; "scalar": a Python number
    (0-d).
    """

    shape: tuple[int, ...]
    dtype: str
    style: str = "whole"
    seed: int = 0
    layout: str = "dense"
    bound: int = 0


@dataclass(frozen=True)
class Step:
    """One call. Operands are numbers of values (inputs first, then results in order) or a `Const`."""

    op: str
    args: tuple[int | Const, ...]
    params: dict[str, Any]

    @property
    def count(self) -> int:
        """How many values it gives."""
        p = self.params
        if self.op == "split":
            return len(p["at"]) + 1
        if self.op in ("scan", "call", "vmap"):
            return len(p["body"].outputs)
        if self.op == "cond":
            return len(p["first"].outputs)
        return p["carries"] if self.op == "while_loop" else 1


@dataclass(frozen=True)
class Body:
    """A function: `arity` arguments, then the results of steps; returns the values `outputs`."""

    arity: int
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Mode:
    """How a recipe is run.

    `form`: "eager"; "compile" (called twice); "grad" (eager and compiled, of the outputs' weighted sum).
    `kept`: further values whose handles live to the end. `stops`: after so many steps, values evaluated there.
    `donated`: inputs given away, where compiled. `background`: evaluate on the other thread at the stops. `moved`: which
    steps run on another device, the ones in bodies too; 0: none.
    """

    form: str = "eager"
    kept: tuple[int, ...] = ()
    stops: tuple[tuple[int, tuple[int, ...]], ...] = ()
    donated: tuple[int, ...] = ()
    fused: bool = True
    threads: int = 1
    background: bool = False
    moved: int = 0


@dataclass(frozen=True)
class Recipe:
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    mode: Mode = Mode()

    def __str__(self) -> str:
        """A program that runs this recipe again."""
        lines = ["from tests.fuzz.check import check", "from tests.fuzz.recipe import *", "", "check(Recipe("]
        lines.append("  inputs=(")
        lines += [f"    {i!r},  # {n}" for n, i in enumerate(self.inputs)]
        lines.append("  ),\n  steps=(")
        lines += [f"    {s!r}," for s in self.steps]
        lines.append(f"  ),\n  outputs={self.outputs!r},\n  mode={self.mode!r},\n))")
        return "\n".join(lines)
