"""Fuzz the planner: `python -m tests.fuzz --programs 100000 --seed 1 --jobs 2`.

Program `n` of a seed is always the same: `--first n --programs 1` runs it alone. Programs that fail are made smaller and
printed as code that runs them again; the exit status tells whether there were any.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import pathlib
import sys
import tempfile

from tqdm import tqdm

import funcnn as fn

from . import numpy_interpreter
from .campaign import Report, run

CHUNK = 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random programs against NumPy.")
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first program")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--failures", type=int, default=10, help="stop after so many")
    parser.add_argument("--device", default="cpu", help="where the programs run, for example: reference")
    options = parser.parse_args()
    end = options.first + options.programs
    chunks = [range(i, min(i + CHUNK, end)) for i in range(options.first, end, CHUNK)]
    total = Report()
    with tempfile.TemporaryDirectory() as folder:
        traces = pathlib.Path(folder)
        context = multiprocessing.get_context("spawn")
        try:
            with (
                concurrent.futures.ProcessPoolExecutor(
                    options.jobs, context, initializer=fn.set_default_device, initargs=(options.device,)
                ) as pool,
                tqdm(total=options.programs, unit=" programs", smoothing=0.01, miniters=1) as bar,
            ):
                for done in concurrent.futures.as_completed(
                    [pool.submit(run, options.seed, c, traces) for c in chunks]
                ):
                    if done.exception():
                        pool.shutdown(wait=False, cancel_futures=True)
                    report = done.result()
                    total.add(report)
                    bar.update(report.programs)
                    for n, error, recipe in report.failures:
                        tqdm.write(f"\n# program {n} of seed {options.seed}: {error}\n{recipe}\n")
                    sys.stdout.flush()
                    if len(total.failures) >= options.failures:
                        pool.shutdown(cancel_futures=True)
                        break
        except concurrent.futures.process.BrokenProcessPool:
            running = sorted(int(p.read_text().split()[-1]) for p in traces.iterdir())
            print(f"a process ended; programs under way, of seed {options.seed}: {running}", file=sys.stderr)
            return 2
    summary(total)
    return 1 if total.failures else 0


def summary(report: Report) -> None:
    n = max(1, report.programs)
    print(f"{report.programs} programs, {len(report.failures)} failures, {report.steps / n:.1f} steps a program")
    print(f"{100 * report.compared / max(1, report.elements):.1f} % of the elements of results were compared")
    print("programs by mode: " + ", ".join(f"{k} {v}" for k, v in report.modes.most_common()))
    print("programs by operation:")
    names = sorted(report.operations.items(), key=lambda item: -item[1])
    never = sorted(set(numpy_interpreter.OPS) - set(report.operations))
    for i in range(0, len(names), 5):
        print("  " + "".join(f"{k + ' ' + str(v):<24}" for k, v in names[i : i + 5]).rstrip())
    if never:
        print("never: " + ", ".join(never))


if __name__ == "__main__":
    sys.exit(main())
