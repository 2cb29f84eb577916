"""The rows of the benchmarks below the roofline of this machine: python -m benchmarks --roofline [FILE] [NAMES]."""

from __future__ import annotations

import pathlib
import time
from dataclasses import dataclass
from typing import Any

from .report import markdown
from .worker import Worker


@dataclass(frozen=True)
class Point:
    """What the kernels of a row do together, in so many steps."""

    name: str
    seconds: float  # of the steps
    kernel_seconds: float
    bytes: float
    flops: float
    least_seconds: float  # that the ceilings allow


def measure(
    rows: list[tuple[str, str, str]], threads: int, seconds: float, progress: Any = iter
) -> tuple[list[Point], Any]:
    """A point for each row, by `fn.profile`, and the ceilings of the CPU."""
    import funcnn as fn
    from funcnn._profile import ceilings

    worker = Worker("funcnn", threads)
    worker.start()
    limits = ceilings("cpu")
    points = []
    for module, row, _ in progress(rows):
        if worker.build(module, row) is None:
            continue
        assert worker.case is not None
        step = worker.case.step
        step()
        with fn.profile() as p:
            deadline = time.perf_counter() + seconds
            while True:
                step()
                if time.perf_counter() > deadline:
                    break
        kernels = p.records
        points.append(
            Point(
                row,
                p.seconds,
                sum(r.own for r in kernels),
                sum(r.bytes for r in kernels),
                sum(r.flops for r in kernels),
                sum(limits.least_seconds(r.bytes, r.flops) for r in kernels),
            )
        )
        worker.drop()
    return points, limits


def table(points: list[Point], limits: Any) -> str:
    lines = [["row", "of it in kernels", "GB/s", "Gflop/s", "flop/byte", "of the ceiling"]]
    for p in points:
        if not p.kernel_seconds:
            continue
        lines.append(
            [
                p.name,
                f"{p.kernel_seconds / p.seconds:.0%}",
                f"{p.bytes / p.kernel_seconds / 1e9:.1f}",
                f"{p.flops / p.kernel_seconds / 1e9:.1f}",
                f"{p.flops / p.bytes:.2g}" if p.bytes else "-",
                f"{p.least_seconds / p.kernel_seconds:.0%}",
            ]
        )
    head = f"copies {limits.bandwidth / 1e9:.1f} GB/s, float32 {limits.flops / 1e9:.1f} Gflop/s\n\n"
    return head + markdown(lines)


def draw(points: list[Point], limits: Any, file: pathlib.Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = [p for p in points if p.flops and p.bytes and p.kernel_seconds]
    ridge = limits.flops / limits.bandwidth
    where = [p.flops / p.bytes for p in points]
    low, high = min([ridge, *where]) / 3, max([ridge, *where]) * 3
    figure, ax = pyplot.subplots(figsize=(11, 7), layout="constrained")
    heights = [limits.bandwidth * low / 1e9, limits.flops / 1e9, limits.flops / 1e9]
    label = f"{limits.bandwidth / 1e9:.1f} GB/s, {limits.flops / 1e9:.0f} Gflop/s"
    ax.plot([low, ridge, high], heights, color="black", label=label)
    for x, p in zip(where, points, strict=True):
        y = p.flops / p.kernel_seconds / 1e9
        ax.scatter([x], [y], s=40)
        ax.annotate(p.name, (x, y), textcoords="offset points", xytext=(5, 3), fontsize=7)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="flop / byte",
        ylabel="Gflop / s",
        title="The benchmarks' rows below the roofline",
    )
    ax.legend(loc="lower right")
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
