"""Many programs, counted and made smaller where they fail."""

from __future__ import annotations

import collections
import faulthandler
import os
import pathlib
from dataclasses import dataclass, field

from . import numpy_interpreter
from .check import Disagreement, check, fits_the_device, operations, use_threads
from .choices import Seeded
from .minimise import minimise
from .recipe import Recipe
from .recipes import seeded
from .resize import check_resized

LONGEST = 600  # seconds some programs may take


@dataclass
class Report:
    programs: int = 0
    steps: int = 0
    elements: int = 0
    compared: int = 0
    operations: collections.Counter[str] = field(default_factory=collections.Counter)
    modes: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[tuple[int, str, Recipe]] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.programs += other.programs
        self.steps += other.steps
        self.elements += other.elements
        self.compared += other.compared
        self.operations += other.operations
        self.modes += other.modes
        self.failures += other.failures


def number_of(seed: int, n: int) -> int:
    return seed * 1_000_000_007 + n


def run(seed: int, numbers: range, traces: pathlib.Path) -> Report:
    """Generate and check some programs."""
    report = Report()
    trace = traces / str(os.getpid())
    use_threads(1)
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    with trace.open("w", buffering=1) as under_way:
        for n in numbers:
            under_way.write(f"{n}\n")
            one(seed, n, report)
    faulthandler.cancel_dump_traceback_later()
    trace.unlink(missing_ok=True)
    return report


def one(seed: int, n: int, report: Report) -> None:
    try:
        recipe, values = seeded(number_of(seed, n))
    except Exception as e:
        report.failures.append((n, f"the generator fails: {e!r}", Recipe((), (), ())))
        return
    if not fits_the_device(recipe, values):
        report.modes["passed over, of float64"] += 1
        return
    report.programs += 1
    names = operations(recipe)
    report.steps += len(names)
    report.operations.update(set(names))
    mode = recipe.mode
    report.modes[mode.form] += 1
    report.modes["unfused"] += not mode.fused
    report.modes["donating"] += bool(mode.donated)
    report.modes["stopping"] += bool(mode.stops)
    report.modes["keeping"] += bool(mode.kept)
    report.modes["moving"] += bool(mode.moved)
    for i in recipe.outputs:
        report.elements += values[i].x.size
        report.compared += int(values[i].known().sum())
    try:
        check(recipe, values)
    except Exception as e:
        faulthandler.cancel_dump_traceback_later()  # making it small may take longer
        smaller = minimise(recipe, e)
        report.failures.append((n, explain(smaller), smaller))
        return
    if n % 4:
        return
    try:
        report.modes["with other sizes"] += check_resized(recipe, values, Seeded(n))
    except Exception as e:
        report.failures.append((n, f"with other sizes (tests/fuzz/resize.py, Seeded({n})): {e}", recipe))


def explain(recipe: Recipe) -> str:
    try:
        check(recipe, numpy_interpreter.run(recipe))
    except Disagreement as e:
        return str(e)
    except Exception as e:
        return repr(e)
    return "passes when run again"
