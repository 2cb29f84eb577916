"""A process that holds one framework and does what the parent asks, and nothing between two requests."""

from __future__ import annotations

import ctypes
import gc
import importlib
import re
import statistics
import time
import traceback
from multiprocessing.connection import Connection

import numpy as np

from .case import ARRAYS, OURS, Case


def serve(connection: Connection, framework: str, threads: int) -> None:
    answer(connection, Worker(framework, threads))


def answer(connection: Connection, worker: object) -> None:
    """Answer (method, arguments) with (True, value) or (False, traceback) until told None."""
    while (request := connection.recv()) is not None:
        method, *arguments = request
        try:
            connection.send((True, getattr(worker, method)(*arguments)))
        except Exception:
            connection.send((False, traceback.format_exc(limit=-4)))


class Worker:
    def __init__(self, framework: str, threads: int):
        self.framework = framework
        self.threads = threads
        self.case: Case | None = None

    def start(self) -> str:
        """Import the framework and set its threads; returns its version."""
        name = re.split("[.+]", self.framework)[0]
        module = importlib.import_module("mlx.core" if name == "mlx" else name)
        if self.framework == "funcnn.compat":
            importlib.import_module("funcnn.compat").install()
        if module.__name__ in ("funcnn", "torch"):
            module.set_num_threads(self.threads)
        return getattr(module, "__version__", "")

    def build(self, workload: str, row: str) -> tuple[list[np.ndarray], float, int, int] | None:
        """Prepare a row: its result, the seconds to get there, operations and bytes a step; None where it has none."""
        gc.collect()
        start = time.perf_counter()
        module = importlib.import_module(f"benchmarks.{workload}")
        if self.framework not in getattr(module, "FRAMEWORKS", ARRAYS):
            return None
        self.case = module.build(row, self.framework.removesuffix("+openblas"))
        if self.case is None:
            return None
        result = [np.asarray(value) for value in self.case.result()]
        return result, time.perf_counter() - start, self.case.per, self.case.nbytes

    def drop(self) -> None:
        self.case = None
        gc.collect()

    def time(self, seconds: float) -> tuple[float, float]:
        """The median and the least seconds an operation, of steps that take about `seconds` together."""
        case = self.case
        assert case is not None
        step, clock = case.step, time.perf_counter
        gc.collect()
        gc.disable()
        start = clock()
        step()
        once = clock() - start
        inner = max(1, int(1e-3 / max(once, 1e-7)))  # one sample takes about a millisecond or one step
        samples = [once / case.per] if once > seconds else []
        deadline = start + seconds
        while not samples or clock() < deadline:
            start = clock()
            for _ in range(inner):
                step()
            samples.append((clock() - start) / inner / case.per)
        gc.enable()
        return statistics.median(samples), min(samples)

    def peak_memory(self, workload: str, row: str) -> dict[str, int]:
        """Bytes: the growth of the resident set's peak during steps over what the framework holds without work."""
        _trim()
        before = _status("VmRSS")
        self.build(workload, row)
        _trim()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        counter = _counter(self.framework)
        for _ in range(3):
            self.case.step()
        peak = {"resident": _status("VmHWM") - before}
        return {**peak, **({"counted": counter()} if counter else {})}


def _counter(framework):
    """The framework's own count of peak bytes from now on, where it has one."""
    if framework in OURS:
        import funcnn as fn

        fn.reset_peak_memory()
        return fn.get_peak_memory
    if framework.startswith("mlx"):
        import mlx.core as mx

        mx.reset_peak_memory()
        return mx.get_peak_memory
    return None


def _trim() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))
