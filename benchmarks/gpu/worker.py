"""A process that holds one framework on the GPU."""

from __future__ import annotations

import gc
import importlib
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np

from ..case import ARRAYS, Case
from ..place import PLACE, to_numpy
from ..worker import answer
from .rows import GpuRow

# Of a result so many elements are compared.
SAMPLE = 1 << 18


def serve(connection: Connection, framework: str) -> None:
    answer(connection, GpuWorker(framework))


class GpuWorker:
    def __init__(self, framework: str):
        self.framework = framework
        self.cases: dict[GpuRow, Case] = {}
        self.synchronize: Callable[[], object] = lambda: None

    def start(self) -> str:
        """Import the framework, point it to the GPU; returns its version."""
        PLACE.gpu, PLACE.wait, PLACE.compile_mode = True, False, "max-autotune"
        module = importlib.import_module(self.framework.removesuffix(".compile"))
        if self.framework == "funcnn":
            module.set_default_device("gpu")
            self.synchronize = module.synchronize
        elif self.framework == "jax":
            module.config.update("jax_default_matmul_precision", "highest")  # no tf32
            one = module.numpy.zeros(())
            self.synchronize = lambda: (one + 1).block_until_ready()  # after all that was asked for before
        else:
            module.set_default_device("cuda")
            module.backends.cuda.matmul.allow_tf32 = module.backends.cudnn.allow_tf32 = False
            self.synchronize = module.cuda.synchronize
        return module.__version__

    def build(self, row: GpuRow) -> tuple[list[np.ndarray], float, int] | None:
        """Prepare a row: some of its result, the seconds to get there, bytes a step; None where it has none."""
        start = time.perf_counter()
        if self.framework not in getattr(importlib.import_module(f"benchmarks.{row.module}"), "FRAMEWORKS", ARRAYS):
            return None
        case = row.build(self.framework)
        if case is None:
            return None
        result = [to_numpy(value).ravel() for value in case.result()]
        self.cases[row] = case
        self._tidy()
        return [x[:: len(x) // SAMPLE + 1].copy() for x in result], time.perf_counter() - start, case.nbytes

    def time(self, row: GpuRow, seconds: float) -> list[float]:
        """Seconds a step, of several samples of several steps that follow one another closely."""
        step, clock = self.cases[row].step, time.perf_counter

        def sample(count: int) -> float:
            start = clock()
            for _ in range(count):
                step()
            returned = clock()
            self.synchronize()
            return ((returned if row.host else clock()) - start) / count

        gc.collect()
        gc.disable()
        once = min(sample(1), sample(1))
        count = max(1, min(50, int(0.02 / once)))
        deadline = clock() + seconds
        samples = [sample(count)]
        while clock() < deadline:
            samples.append(sample(count))
        gc.enable()
        return [statistics.median(samples), min(samples)]

    def drop(self, row: GpuRow) -> None:
        self.cases.pop(row, None)
        self._tidy()

    def copy_bandwidth(self) -> float:
        """Bytes read and written a second by copies of a large array, by PyTorch."""
        import torch

        x = torch.randn(1 << 28)
        y = torch.empty_like(x)
        times = []
        for _ in range(10):
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(10):
                y.copy_(x)
            torch.cuda.synchronize()
            times.append((time.perf_counter() - start) / 10)
        return 2 * 4 * x.numel() / statistics.median(times)

    def _tidy(self) -> None:
        """Leave the memory to the others."""
        gc.collect()
        if self.framework.startswith("torch"):
            import torch

            torch.cuda.empty_cache()
        if self.framework == "funcnn":
            import funcnn as fn

            fn.synchronize()
            fn.clear_cache()
