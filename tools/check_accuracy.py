"""Check functions of float32 on every input against what tests/native/accuracy.py promises: an hour for each function.

Usage: check_accuracy.py [FUNCTION ...] [--set avx2] [--every N] [--order-only]

`--every N` looks at one run of 4096 neighbouring numbers out of N. `--order-only` leaves the reference out: limits, order,
symmetry and NaN alone are cheap. It prints a line for each function and instruction set, and fails if a promise is broken.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Iterator

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "native"))
from accuracy import UNARY, Function, order_violations, symmetry_violations, ulps
from program import supported, unary

from funcnn import _core

RUN = 4096
BLOCK = 1 << 20
INFINITY = 0x7F800000


def blocks(every: int) -> Iterator[np.ndarray]:
    """All magnitudes up to infinity in ascending order, in blocks of neighbours or, with `every`, of runs of them."""
    every |= 1  # an even one would meet the same fractions in every binade
    for start in range(0, INFINITY + 1, BLOCK * every):
        if every == 1:
            # One number of the next block, so that no pair of neighbours is left out.
            bits = np.arange(start, start + BLOCK + 1, dtype=np.uint32)
        else:
            runs = np.arange(start, min(start + BLOCK * every, INFINITY + 1), RUN * every, dtype=np.uint32)
            bits = (runs[:, None] + np.arange(RUN, dtype=np.uint32)).ravel()
        yield bits[bits <= INFINITY].view(np.float32)


def check(name: str, f: Function, sets: list[str], every: int, order_only: bool) -> bool:
    worst = dict.fromkeys(sets, (0.0, 0.0))
    broken = {s: {"order": 0, "symmetry": 0, "infinite or NaN": 0} for s in sets}
    example: dict[str, str] = {}
    started = time.perf_counter()

    def note(which: str, kind: str, where: np.ndarray) -> None:
        if where.size:
            broken[which][kind] += where.size
            example.setdefault(f"{which} {kind}", repr(float(where[0])))

    for x in blocks(every):
        mirrored = -x
        inside = [(v >= f.domain[0]) & (v <= f.domain[1]) for v in (x, mirrored)]
        wanted = []
        if not order_only:
            with np.errstate(all="ignore"):
                wanted = [f.reference(v.astype(np.float64)) for v in (x, mirrored)]
        for which in sets:
            _core._set_instruction_set(which)
            y, z = unary(name, x), unary(name, mirrored)
            note(which, "order", order_violations(f, x, y))
            note(which, "order", order_violations(f, mirrored[::-1], z[::-1]))
            note(which, "symmetry", symmetry_violations(f, x, y, z))
            for v, got, want, there in zip((x, mirrored), (y, z), wanted, inside, strict=False):
                if not there.any():
                    continue
                v, got, want = v[there], got[there], want[there]
                finite = np.isfinite(v)
                error, at, others = ulps(got[finite], want[finite])
                if others:
                    broken[which]["infinite or NaN"] += others
                if error > worst[which][0]:
                    worst[which] = (error, float(v[finite][at]))
    nans = np.arange(INFINITY + 1, 2**31, every, dtype=np.uint32)
    ok = True
    for which in sets:
        _core._set_instruction_set(which)
        limits = unary(name, np.array([-np.inf, np.inf], np.float32))
        if not np.array_equal(limits, np.array(f.limits, np.float32), equal_nan=True):
            broken[which]["infinite or NaN"] += 1
        for sign in (0, 1 << 31):
            note(which, "infinite or NaN", nans[~np.isnan(unary(name, (nans | np.uint32(sign)).view(np.float32)))])
        faults = [f"{k} {n} (first at {example.get(f'{which} {k}')})" for k, n in broken[which].items() if n]
        error, at = worst[which]
        if error > f.bound:
            faults.append(f"more than {f.bound}")
        print(
            f"{name:16} {which:9} {error:6.3f} ulp at {at!r:24} {'; '.join(faults) or 'ok'}"
            f"   [{time.perf_counter() - started:.0f} s]",
            flush=True,
        )
        ok &= not faults
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="all of them by default")
    parser.add_argument(
        "--set", action="append", dest="sets", help="an instruction set; all of this machine by default"
    )
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--order-only", action="store_true")
    options = parser.parse_args()
    sets = options.sets or supported()
    unknown = [name for name in options.functions if name not in UNARY]
    if unknown:
        parser.error(f"unknown functions {unknown}; there are {list(UNARY)}")
    good = [
        check(name, UNARY[name], sets, options.every, options.order_only) for name in options.functions or list(UNARY)
    ]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
