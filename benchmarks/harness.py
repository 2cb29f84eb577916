"""Drives one worker process a framework, one at a time: while one runs, the others wait for a message.

Thread pools that spin between two calls would disturb whoever runs next in the same process, so frameworks do not share
one; and since a shared machine drifts, they take turns every fraction of a second, and ratios are formed of medians over
rounds of one run.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import re
import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from . import openblas
from .case import FRAMEWORKS
from .kept import Kept
from .worker import serve

TOLERANCE = 1e-3
# A pause, so that threads of the previous framework that still spin fall asleep.
REST = 0.05


@dataclass
class Measurement:
    """Seconds an operation, over the rounds; the first call includes tracing and planning or compiling."""

    medians: list[float] = field(default_factory=list)
    least: float = float("inf")
    first: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.medians)


@dataclass
class Row:
    name: str
    unit: str
    nbytes: int = 0
    measurements: dict[str, Measurement] = field(default_factory=dict)
    peaks: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Process:
    """The parent's end of a worker."""

    def __init__(self, framework: str, threads: int):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, framework, threads), daemon=True)
        with _preloaded(openblas.library() if framework.endswith("+openblas") else None):
            self.process.start()
        theirs.close()

    def __call__(self, *request):
        self.connection.send(request)
        try:
            good, value = self.connection.recv()
        except EOFError:
            raise RuntimeError(f"the process died with exit code {self.process.exitcode}") from None
        if not good:
            raise RuntimeError(value)
        return value

    def stop(self) -> None:
        if self.process.is_alive():
            self.connection.send(None)
        self.process.join(5)
        self.process.kill()


@contextlib.contextmanager
def _preloaded(library: str | None):
    """Processes started meanwhile load a library before all others."""
    if library:
        os.environ["LD_PRELOAD"] = library
    try:
        yield
    finally:
        if library:
            del os.environ["LD_PRELOAD"]


def installed(frameworks) -> list[str]:
    """Those of the frameworks that are there."""
    found = [f for f in FRAMEWORKS if f in frameworks and importlib.util.find_spec(re.split("[.+]", f)[0]) is not None]
    return [f for f in found if not f.endswith("+openblas") or openblas.library()]


@contextlib.contextmanager
def confined(threads: int):
    """This thread and the processes it starts meanwhile have as many cores as threads, and find so in the environment."""
    before, cores = dict(os.environ), None
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(cores)[-threads:])
    for name in ("OMP", "MKL", "OPENBLAS", "FUNCNN"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        if cores is not None:
            os.sched_setaffinity(0, cores)


def disagreement(value, reference, tolerance: float = TOLERANCE) -> str | None:
    if len(value) != len(reference):
        return f"{len(value)} results instead of {len(reference)}"
    for a, b in zip(value, reference, strict=True):
        wide = np.complex128 if np.iscomplexobj(a) or np.iscomplexobj(b) else np.float64
        a, b = np.asarray(a, wide), np.asarray(b, wide)
        if a.shape != b.shape:
            return f"shape {a.shape} instead of {b.shape}"
        scale = np.abs(b).max(initial=0.0)
        worst = np.abs(a - b).max(initial=0.0)
        if not worst <= tolerance * scale:
            return f"differs by {worst:.3g} where values reach {scale:.3g}"
    return None


def workloads(names) -> list[tuple[str, str, str]]:
    """(module, row, unit) of the named workloads or rows; of all where none is named."""
    found = []
    for module in (
        "tree",
        "dispatch",
        "loops",
        "elementwise",
        "patterns",
        "cross_entropy",
        "gemm",
        "qmatvec",
        "linalg",
        "conv",
        "fft",
        "mlp_train",
        "cnn_train",
        "lstm_train",
        "per_example_grad",
        "checkpoint_train",
        "adamw_update",
        "attention",
        "lm_train",
        "lm_infer",
        "lm_decode",
        "mlx_programs",
        "mlx_modules",
        "mlx_lm_decode",
    ):
        rows = importlib.import_module(f"benchmarks.{module}").ROWS
        found += [(module, row, unit) for row, unit in rows.items() if not names or module in names or row in names]
    return found


def start(processes: dict[str, Process]) -> dict[str, str]:
    """The versions of the frameworks; the process of one that does not start is left out."""
    versions = {}
    for framework in list(processes):
        try:
            versions[framework] = processes[framework]("start")
        except RuntimeError as error:
            processes.pop(framework).stop()
            versions[framework] = f"not usable: {str(error).splitlines()[-1]}"
    return versions


def run(
    names, frameworks, threads: int, rounds: int, seconds: float, progress, kept: Kept | None = None, beside: int = 0
) -> tuple[dict[str, str], list[Row]]:
    """Measure the rows that `kept` has not, beside so many busy processes; returns the versions of the frameworks and the rows."""
    kept = kept or Kept(None)
    rows = []
    with confined(threads), busy(beside):
        processes = {f: Process(f, threads) for f in installed(frameworks)}
        try:
            versions = start(processes)
            for module, name, unit in progress(workloads(names)):
                how = (module, name, *versions.items(), threads, rounds, seconds, beside)
                row = kept.get(how)
                if row is None:
                    row = _measure(processes, module, Row(name, unit), rounds, seconds)
                    if getattr(importlib.import_module(f"benchmarks.{module}"), "PEAK_MEMORY", False):
                        _peaks(processes, threads, module, row)
                    kept.add(how, row)
                rows.append(row)
        finally:
            for process in processes.values():
                process.stop()
    return versions, rows


def _measure(processes, module: str, row: Row, rounds: int, seconds: float) -> Row:
    reference = None
    ready = []
    # A peer first: it is the oracle.
    for framework in sorted(processes, key=lambda f: f == "funcnn"):
        try:
            built = processes[framework]("build", module, row.name)
        except RuntimeError as error:
            row.problems[framework] = str(error)
            continue
        if built is None:
            continue
        result, first, _, row.nbytes = built
        reference = result if reference is None else reference
        problem = disagreement(result, reference)
        if problem:
            row.problems[framework] = problem
            continue
        row.measurements[framework] = Measurement(first=first)
        ready.append(framework)
    for turn in range(rounds):
        for framework in ready if turn % 2 else reversed(ready):
            time.sleep(REST)
            median, least = processes[framework]("time", seconds)
            measurement = row.measurements[framework]
            measurement.medians.append(median)
            measurement.least = min(measurement.least, least)
        # Who is far behind and slow is measured once.
        best = min((row.measurements[f].median for f in ready), default=0.0)
        ready = [f for f in ready if row.measurements[f].median < max(seconds, 5 * best)]
    for process in processes.values():
        process("drop")
    return row


def _peaks(processes, threads: int, module: str, row: Row) -> None:
    """Each in a process of its own, that nothing else has run in."""
    for framework in row.measurements:
        process = Process(framework, threads)
        try:
            process("start")
            row.peaks[framework] = process("peak_memory", module, row.name)
        except RuntimeError as error:
            row.problems[f"{framework} (peak memory)"] = str(error)
        finally:
            process.stop()


def spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy(count: int):
    """Meanwhile so many processes compute without end on the cores of this one."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def copy_bandwidth(threads: int, size: int = 1 << 24) -> float:
    """Bytes read and written a second by `threads` threads that each copy `size` float32 numbers."""
    from concurrent.futures import ThreadPoolExecutor

    pairs = [(np.ones(size, np.float32), np.empty(size, np.float32)) for _ in range(threads)]

    def copy(pair):
        np.copyto(pair[1], pair[0])

    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(10):
            start = time.perf_counter()
            list(pool.map(copy, pairs))
            best = min(best, time.perf_counter() - start)
    return threads * 2 * 4 * size / best
