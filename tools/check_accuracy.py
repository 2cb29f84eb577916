"""Check functions of float32 on every input against what tests/native/accuracy.py promises: minutes for each function.

Usage: check_accuracy.py [FUNCTION ...] [--jobs N] [--set avx2] [--every N] [--order-only]

`--every N` looks at one run of 4096 neighbouring numbers out of N. `--order-only` leaves the reference out: limits, order,
symmetry and NaN alone are cheap. It prints a line for each function and instruction set, and fails if a promise is broken.

What takes time is the reference in float64. It is computed once for all instruction sets, and for even and odd functions
once for both signs; the errors of another set are those of the first where it gives the same bits.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "native"))
from accuracy import UNARY, Function, errors, order_violations, symmetry_violations
from program import unary

from funcnn import _core
from instruction_sets import SUPPORTED

RUN = 4096
BLOCK = 1 << 15  # numbers at a time: float64 arrays of it stay in the second-level cache
PIECE = 1 << 23  # numbers for a process at a time
INFINITY = 0x7F800000


@dataclasses.dataclass
class Findings:
    """Of one instruction set: the largest error, and how often and where first each promise is broken."""

    error: float = 0.0
    at: float = 0.0
    broken: dict[str, tuple[int, float]] = dataclasses.field(default_factory=dict)

    def note(self, kind: str, where: np.ndarray) -> None:
        if where.size:
            self._add(kind, where.size, float(where[0]))

    def note_error(self, error: float, at: float) -> None:
        if error > self.error:
            self.error, self.at = error, at

    def merge(self, other: Findings) -> None:
        self.note_error(other.error, other.at)
        for kind, (count, first) in other.broken.items():
            self._add(kind, count, first)

    def _add(self, kind: str, count: int, first: float) -> None:
        before, earlier = self.broken.get(kind, (0, first))
        self.broken[kind] = before + count, earlier


@dataclasses.dataclass(frozen=True)
class Piece:
    """The numbers of both signs whose magnitudes have the bits from `first` to below `end`: finite ones, or all NaN."""

    name: str
    first: int
    end: int
    sets: list[str]
    every: int
    order_only: bool


def blocks(piece: Piece) -> Iterator[np.ndarray]:
    """The magnitudes of a piece in ascending order, in blocks of neighbours or of runs of them."""
    step = RUN * piece.every
    if piece.every == 1:
        for start in range(piece.first, piece.end, BLOCK):
            # One number of the next block, so that no pair of neighbours is left out.
            yield np.arange(start, min(start + BLOCK, piece.end) + 1, dtype=np.uint32).view(np.float32)
        return
    for start in range(-(-piece.first // step) * step, piece.end, step):
        yield np.arange(start, min(start + RUN, INFINITY + 1), dtype=np.uint32).view(np.float32)


def compare(f: Function, x: np.ndarray, results: dict[str, np.ndarray], found: dict[str, Findings]) -> None:
    inside = np.isfinite(x) & (x >= f.domain[0]) & (x <= f.domain[1])
    if not inside.all():
        x, results = x[inside], {which: got[inside] for which, got in results.items()}
    if not x.size:
        return
    with np.errstate(all="ignore"):
        want = f.reference(x.astype(np.float64))
    first: np.ndarray | None = None
    for which, got in results.items():
        if first is None:
            first = got
            error, others = errors(got, want)
            first_error, first_others = error, others
        else:
            differs = np.flatnonzero(got.view(np.uint32) != first.view(np.uint32))
            error, others = first_error, first_others
            if differs.size:
                error, others = error.copy(), others.copy()
                error[differs], others[differs] = errors(got[differs], want[differs])
        worst = int(np.argmax(error))
        found[which].note_error(float(error[worst]), float(x[worst]))
        if others.any():
            found[which].note("infinite or NaN", x[others])


def check(piece: Piece) -> tuple[str, dict[str, Findings]]:
    f = UNARY[piece.name]
    found = {which: Findings() for which in piece.sets}
    if piece.first > INFINITY:
        check_edges(piece, f, found)
        return piece.name, found
    for x in blocks(piece):
        mirrored = -x
        results: list[dict[str, np.ndarray]] = [{}, {}]
        for which in piece.sets:
            _core._set_instruction_set(which)
            y, z = unary(piece.name, x), unary(piece.name, mirrored)
            found[which].note("order", order_violations(f, x, y))
            found[which].note("order", order_violations(f, mirrored[::-1], z[::-1]))
            found[which].note("symmetry", symmetry_violations(f, x, y, z))
            results[0][which], results[1][which] = y, z
        if not piece.order_only:
            compare(f, x, results[0], found)
            if not f.symmetry:
                compare(f, mirrored, results[1], found)
    return piece.name, found


def check_edges(piece: Piece, f: Function, found: dict[str, Findings]) -> None:
    nans = np.arange(piece.first, piece.end, piece.every, dtype=np.uint32)
    infinities = np.array([-np.inf, np.inf], np.float32)
    limits = np.array(f.limits, np.float32)
    for which in piece.sets:
        _core._set_instruction_set(which)
        got = unary(piece.name, infinities)
        found[which].note("infinite or NaN", infinities[(got != limits) & ~(np.isnan(got) & np.isnan(limits))])
        for sign in (0, 1 << 31):
            x = (nans | np.uint32(sign)).view(np.float32)
            found[which].note("infinite or NaN", x[~np.isnan(unary(piece.name, x))])


def use_one_thread() -> None:
    _core.set_num_threads(1)


def report(name: str, found: dict[str, Findings], seconds: float) -> bool:
    good = True
    for which, f in found.items():
        faults = [f"{kind} {count} (first at {where!r})" for kind, (count, where) in f.broken.items()]
        if f.error > UNARY[name].bound:
            faults.append(f"more than {UNARY[name].bound}")
        tqdm.write(
            f"{name:16} {which:9} {f.error:6.3f} ulp at {f.at!r:24} {'; '.join(faults) or 'ok'}   [{seconds:.0f} s]"
        )
        sys.stdout.flush()
        good &= not faults
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="all of them by default")
    parser.add_argument(
        "--set", action="append", dest="sets", help="an instruction set; all of this machine by default"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes; as many as cores by default")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--order-only", action="store_true")
    options = parser.parse_args()
    unknown = [name for name in options.functions if name not in UNARY]
    if unknown:
        parser.error(f"unknown functions {unknown}; there are {list(UNARY)}")
    names = options.functions or list(UNARY)
    every = options.every | (options.every > 1)  # an even one would meet the same fractions in every binade
    sets = options.sets or SUPPORTED
    spans = [(start, start + PIECE) for start in range(0, INFINITY, PIECE)] + [(INFINITY + 1, 1 << 31)]
    pieces = [Piece(name, *span, sets, every, options.order_only) for name in names for span in spans]
    found: dict[str, dict[str, Findings]] = {}
    left = dict.fromkeys(names, len(spans))
    good, started = True, time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, use_one_thread) as pool:
        for name, part in tqdm(pool.imap_unordered(check, pieces), total=len(pieces), unit="piece", disable=None):
            for which, findings in part.items():
                found.setdefault(name, {}).setdefault(which, Findings()).merge(findings)
            left[name] -= 1
            if not left[name]:
                good &= report(name, found[name], time.perf_counter() - started)
    sys.exit(not good)


if __name__ == "__main__":
    main()
