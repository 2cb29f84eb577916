"""Tables for people and JSON for programs."""

from __future__ import annotations

import math
import re

from .case import FRAMEWORKS, OURS
from .harness import Row

SCALE = {"ms": 1e3, "us": 1e6}


def ratio(row: Row, statistic: str = "median") -> float | None:
    """Best peer / funcnn: above 1 where funcnn is faster."""
    ours = row.measurements.get("funcnn")
    peers = [getattr(m, statistic) for f, m in row.measurements.items() if f not in OURS]
    return min(peers) / getattr(ours, statistic) if ours and peers else None


def table(rows: list[Row], statistic: str = "median") -> str:
    columns = [f for f in FRAMEWORKS if any(f in row.measurements for row in rows)]
    lines = [["workload", "unit", *columns, "best peer / funcnn"]]
    for row in rows:
        cells = [row.name, row.unit]
        for framework in columns:
            measurement = row.measurements.get(framework)
            cells.append(_number(getattr(measurement, statistic) * SCALE[row.unit]) if measurement else "-")
        value = ratio(row, statistic)
        lines.append([*cells, f"{value:.2f}" if value else "-"])
    ratios = [r for r in (ratio(row, statistic) for row in rows) if r]
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        lines.append(["geometric mean", "", *([""] * len(columns)), f"{mean:.2f}"])
    return markdown(lines)


def shim_table(rows: list[Row], statistic: str = "median") -> str:
    """What the shim of MLX is worth, and what it costs: ratios of times to its own, or to those of the functional API."""
    rows = [row for row in rows if "funcnn.compat" in row.measurements]

    def times(row: Row, framework: str) -> float:
        return getattr(row.measurements[framework], statistic) if framework in row.measurements else math.nan

    lines = [["MLX's program under the shim", "mlx / shim", "mlx+openblas / shim", "shim / funcnn"]]
    for row in rows:
        shim = times(row, "funcnn.compat")
        ratios = [times(row, "mlx") / shim, times(row, "mlx+openblas") / shim, shim / times(row, "funcnn")]
        lines.append([row.name, *("-" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios)])
    return markdown(lines) if rows else ""


def peak_table(rows: list[Row]) -> str:
    rows = [row for row in rows if row.peaks]
    columns = [f for f in FRAMEWORKS if any(f in row.peaks for row in rows)]
    lines = [["peak memory, MB", *columns]]
    for kind in ("resident", "counted"):
        for row in rows:
            cells = [f"{row.peaks[f][kind] / 1e6:.0f}" if kind in row.peaks.get(f, {}) else "-" for f in columns]
            lines.append([f"{row.name}, {kind}", *cells])
    return markdown(lines) if rows else ""


def bandwidth_table(rows: list[Row], bandwidth: float) -> str:
    lines = [["bytes moved at least", "MB", "GB/s of funcnn", "of copy bandwidth"]]
    for row in rows:
        if row.nbytes and "funcnn" in row.measurements:
            rate = row.nbytes / row.measurements["funcnn"].median
            lines.append([row.name, f"{row.nbytes / 1e6:.0f}", f"{rate / 1e9:.1f}", f"{rate / bandwidth:.0%}"])
    return markdown(lines) if len(lines) > 1 else ""


def problems(rows: list[Row]) -> str:
    """What went wrong, a line each: of an error its own text, without the places it came by."""
    lines = [
        f"{row.name}, {who}: {re.split(r'^(?=[A-Za-z_.]+: )', what.rstrip(), flags=re.MULTILINE)[-1].splitlines()[0]}"
        for row in rows
        for who, what in row.problems.items()
    ]
    return "\n".join(f"- {line}" for line in lines)


def as_json(versions: dict[str, str], rows: list[Row], bandwidth: float) -> dict[str, object]:
    return {
        "versions": versions,
        "copy_bandwidth": bandwidth,
        "rows": [
            {
                "name": row.name,
                "ratio": ratio(row),
                "seconds": {f: m.median for f, m in row.measurements.items()},
                "least_seconds": {f: m.least for f, m in row.measurements.items()},
                "rounds": {f: m.medians for f, m in row.measurements.items()},
                "first_result_seconds": {f: m.first for f, m in row.measurements.items()},
                "peak_bytes": row.peaks,
                "problems": row.problems,
            }
            for row in rows
        ],
    }


def _number(value: float) -> str:
    """Three significant digits."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, digits)}f}"


def markdown(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    rows.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(rows)
