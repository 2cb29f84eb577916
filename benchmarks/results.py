"""benchmarks/RESULTS.md by one command: python -m benchmarks --results."""

from __future__ import annotations

import datetime
import math
import os
import pathlib
import platform
import re
from typing import Any

from . import report, roofline, scaling
from .harness import Row
from .kept import replace

FILE = pathlib.Path(__file__).with_name("RESULTS.md")
LEAST_ROUNDS = 5
MOST_RUNS = 4  # that the file keeps, the newest first

# What is measured again beside a busy process: products, memory, many small kernels, whole steps.
BESIDE = ("matmul_64", "matmul_1024", "gelu", "softmax", "adamw_update", "mlp_train", "lm_decode")

_HEAD = """# Results

Written by `python -m benchmarks --results`, which checks first that all frameworks agree and then lets them take turns; see
[the page on the benchmarks](../docs/benchmarks.md). The newest run comes first.
"""


def machine(threads: int) -> str:
    """The processor, the cores in use, memory and system; nothing that names this one machine."""
    model = platform.processor() or platform.machine()
    memory = ""
    cpuinfo, meminfo = pathlib.Path("/proc/cpuinfo"), pathlib.Path("/proc/meminfo")
    if cpuinfo.exists():
        text = cpuinfo.read_text()
        if found := re.search(r"^model name\s*: (.*)$", text, re.MULTILINE):
            model = found[1].strip()
        flags = set((re.search(r"^flags\s*: (.*)$", text, re.MULTILINE) or [""])[0].split())
        widest = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
        model += f" ({widest})" if widest else ""
    if meminfo.exists() and (found := re.search(r"MemTotal:\s*(\d+) kB", meminfo.read_text())):
        memory = f", {int(found[1]) / 2**20:.0f} GiB"
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    return f"{threads} of {os.cpu_count()} cores of {model}{memory}, {system}, Python {platform.python_version()}"


def below(rows: list[Row], points: dict[str, roofline.Point], statistic: str) -> str:
    """The rows where a peer is faster, with how near to the ceilings of the machine they are."""
    lines = [["behind the best peer", "ratio", "best peer", "of the ceiling"]]
    for row in rows:
        value = report.ratio(row, statistic)
        if value is None or value >= 1:
            continue
        peers = {f: getattr(m, statistic) for f, m in row.measurements.items() if f not in report.OURS}
        point = points.get(row.name)
        reached = f"{point.least_seconds / point.seconds:.0%}" if point and point.seconds else "-"
        lines.append([row.name, f"{value:.2f}", min(peers, key=peers.__getitem__), reached])
    return report.markdown(lines) if len(lines) > 1 else ""


def beside_table(quiet: list[Row], beside: list[Row], statistic: str) -> str:
    """How many times slower each framework is beside one busy process."""
    by_name = {row.name: row for row in quiet}
    columns = [f for f in report.FRAMEWORKS if any(f in row.measurements for row in beside)]
    lines = [["beside a busy process", *(f"{f}, times as long" for f in columns), "best peer / funcnn"]]
    for row in beside:
        cells = []
        for f in columns:
            before, after = by_name[row.name].measurements.get(f), row.measurements.get(f)
            cells.append(f"{getattr(after, statistic) / getattr(before, statistic):.2f}" if before and after else "-")
        value = report.ratio(row, statistic)
        lines.append([row.name, *cells, f"{value:.2f}" if value else "-"])
    return report.markdown(lines) if len(lines) > 1 else ""


def section(title: str, parts: list[str]) -> str:
    return f"## {title}\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def write(file: pathlib.Path, new: str) -> None:
    """Put a run in front of those that the file has; one of the same day and machine is replaced."""
    runs = re.split(r"^(?=## )", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:] if file.exists() else []
    title = new.splitlines()[0]
    kept = [run.rstrip() + "\n" for run in runs if run.splitlines()[0] != title]
    text = "\n".join([_HEAD, new.rstrip() + "\n", *kept[: MOST_RUNS - 1]])
    replace(file, text.encode())


def text(
    command: str,
    versions: dict[str, str],
    threads: int,
    rounds: int,
    statistic: str,
    rows: list[Row],
    beside: list[Row],
    laws: list[scaling.Fitted],
    points: list[roofline.Point],
    limits: Any,
    bandwidth: float,
) -> str:
    """The section of one run."""
    ratios = [r for r in (report.ratio(row, statistic) for row in rows) if r]
    counts = (
        f"{sum(r >= 1 for r in ratios)} of {len(ratios)} rows at 1.0 or above, the least {min(ratios):.2f}"
        if ratios
        else ""
    )
    mean = f", geometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}" if ratios else ""
    listed = ", ".join(f"{name} {version}".rstrip() for name, version in versions.items())
    by_name = {point.name: point for point in points}
    return section(
        f"{datetime.date.today():%Y-%m-%d}, {machine(threads)}",
        [
            f"```sh\n{command}\n```",
            f"{listed}; {rounds} rounds, {statistic} times; copy bandwidth {bandwidth / 1e9:.1f} GB/s.",
            counts + mean + "." if ratios else "",
            report.table(rows, statistic),
            report.shim_table(rows, statistic),
            below(rows, by_name, statistic),
            report.peak_table(rows),
            roofline.table(points, limits) if points else "",
            scaling.table(laws) if laws else "",
            beside_table(rows, beside, statistic),
            report.problems(rows),
        ],
    )
