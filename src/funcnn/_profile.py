"""What ran, how long it took, and how near to the machine's limits it came."""

from __future__ import annotations

import functools
import json
import os
import pathlib
from types import TracebackType
from typing import Any, Literal

import attrs

from . import _core
from ._arguments import integer


@attrs.frozen
class Ceilings:
    """What a device reaches, measured.

    Attributes:
        bandwidth: Bytes a second that a large copy reads and writes.
        flops: float32 operations a second that fused products and sums in registers do: two each.
    """

    bandwidth: float
    flops: float

    def least_seconds(self, bytes: float, flops: float) -> float:
        """The time that moving so much and computing so much takes at least, side by side."""
        return max(bytes / self.bandwidth, flops / self.flops)


@functools.lru_cache(maxsize=64)
def _measured(device: str, threads: int) -> Ceilings | None:
    try:
        bandwidth, flops = _core._measure_ceilings(device)
    except RuntimeError:  # a device that has failed reaches nothing; what it did before can be read
        return None
    return Ceilings(bandwidth, flops) if bandwidth and flops else None


def ceilings(device: str) -> Ceilings | None:
    """Those of a device with the threads that compute now, measured when first asked for; None: it has no measure."""
    return _measured(device, _core.get_num_threads() if device == "cpu" else 0)


@attrs.frozen
class KernelRecord:
    """All runs of one kernel within a profile. Times are in seconds.

    Attributes:
        kind: ``"program"`` (fused elementwise work and reductions), ``"primitive"`` (an operation with a kernel of its own,
            perhaps with fused work as its epilogue), ``"control"`` (a loop or branch, whose kernels have records of their
            own) or ``"transfer"`` (between devices).
        name: As :func:`funcnn.explain` shows it.
        operands: Shapes and dtypes of a primitive; of a program, rows x columns and the dtypes it loads and stores.
        program: What is fused, instruction by instruction; empty where nothing is.
        device: Where it ran.
        calls: How often it ran.
        total: Of all runs.
        own: The same without kernels that run inside: of a loop, what the loop itself adds.
        least, median: Of one run.
        thread_time: What all threads spent in it together, waiting excluded, without kernels inside; None on devices
            other than the CPU.
        bytes: Moved by all runs, at least: what is read and written, each array once.
        flops: Operations of all runs; an elementwise function counts as one, a product and its sum as two.
        clock: What measured: ``"run"``, the host around a kernel that it runs; ``"queue"``, the device; ``"launch"``, the
            host around the launch alone, where the device does not measure.
        fraction: The time that the ceilings of the device allow, as part of `own`; None where nothing can be said:
            for transfers and control, launches that are not measured, and devices without ceilings. A kernel whose data
            stay in the caches may be above 1, and so may bfloat16 products in units of their own.
    """

    kind: Literal["program", "primitive", "control", "transfer"]
    name: str
    operands: str
    program: str = attrs.field(repr=False)
    device: str
    calls: int
    total: float
    own: float
    least: float
    median: float
    thread_time: float | None
    bytes: float
    flops: float
    clock: Literal["run", "queue", "launch"]
    fraction: float | None


@attrs.frozen
class SpanRecord:
    """All spans of one kind and name within a profile: what is no kernel and takes time, too.

    Attributes:
        kind: ``"trace"`` (Python code that ``compile`` follows), ``"plan"``, ``"evaluate"`` (the kernels of a plan, one after
            another) or ``"call"`` (of a compiled function, with what it needs around its kernels).
        name: The function, or how large the graph is.
        calls: How many.
        total: Seconds of all, including spans and kernels inside.
    """

    kind: Literal["trace", "plan", "evaluate", "call"]
    name: str
    calls: int
    total: float


class Profile:
    """What ran within a ``with`` block; made by :func:`funcnn.profile`. Prints as :meth:`table`.

    A block that raises keeps what ran until then. Reading waits for what was asked for inside and ends later: evaluations
    that ``async_eval`` was given, and the queues of other devices. Within the block, reading shows what has ended so far.
    """

    def __init__(self) -> None:
        self._profiler: _core._Profiler | None = None
        self._closed = False

    def __enter__(self) -> Profile:
        if self._profiler is not None:
            raise RuntimeError("profile: a profile is entered once; make another with fn.profile()")
        self._profiler = _core._Profiler()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened().close()
        self._closed = True

    def _opened(self) -> _core._Profiler:
        if self._profiler is None:
            raise RuntimeError("profile: nothing is recorded before the block: write `with fn.profile() as p:`")
        return self._profiler

    def _summary(self) -> tuple[float, int, tuple[KernelRecord, ...], tuple[SpanRecord, ...]]:
        seconds, left_out, kernels, spans = self._opened().summary()
        records = sorted(map(_record, kernels), key=lambda r: -r.own)
        merged: dict[tuple[Any, str], list[float]] = {}
        for kind, name, length in spans:
            merged.setdefault((kind, name), []).append(length)
        rows = (SpanRecord(kind, name, len(all), sum(all)) for (kind, name), all in merged.items())
        return seconds, left_out, tuple(records), tuple(sorted(rows, key=lambda s: -s.total))

    @property
    def seconds(self) -> float:
        """How long the block took."""
        return self._summary()[0]

    @property
    def records(self) -> tuple[KernelRecord, ...]:
        """The kernels, those with the most time of their own first.

        The first reading in a process measures the ceilings of the devices that were used, for a fraction of a second.
        """
        return self._summary()[2]

    @property
    def spans(self) -> tuple[SpanRecord, ...]:
        """What else took time, by kind and name, the longest first."""
        return self._summary()[3]

    @property
    def ceilings(self) -> dict[str, Ceilings]:
        """What the devices reach that were used, by name; those that cannot be measured are left out."""
        devices = {record.device: ceilings(record.device) for record in self.records}
        return {device: reached for device, reached in devices.items() if reached}

    def table(self, rows: int | None = None) -> str:
        """Return the kernels as a table, those with the most time of their own first.

        Its columns: time of all runs and its share, runs, the median and the least time of one, threads that were busy on
        average, what was moved and computed in a second, and the part of the device's ceiling that this is.

        Args:
            rows: How many kernels at most; by default, all.

        Raises:
            ValueError: for less than one row.

        Example:
            >>> with fn.profile() as p:
            ...     fn.eval(fn.ones((64, 64)) @ fn.ones((64, 64)))
            >>> print(p.table())
            profile of ... ms: ...
            ...
        """
        if rows is not None and (rows := integer(rows, "profile.table: rows")) < 1:
            raise ValueError(f"profile.table: rows must be at least 1, got {rows}")
        seconds, left_out, records, spans = self._summary()
        return _table(seconds, left_out, records, spans, self.ceilings, rows)

    def __repr__(self) -> str:
        if self._profiler is None:
            return "<profile that was not entered>"
        return self.table(20)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write every run and span as a trace that ``chrome://tracing`` and https://ui.perfetto.dev show.

        The format is the JSON of Chrome's trace events. Kernels of a device that measures lie on a line of their own.

        Args:
            path: The file, usually called ``.json``; it is replaced.

        Example:
            >>> with fn.profile() as p:
            ...     fn.eval(fn.ones(8) + 1)
            >>> p.save("trace.json")
        """
        file = pathlib.Path(path)
        text = json.dumps({"traceEvents": _events(*self._opened().runs()), "displayTimeUnit": "ms"})
        beside = file.with_name(file.name + f".{os.getpid()}.part")
        try:
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, file)
        finally:
            beside.unlink(missing_ok=True)

    def plot(self, ax: Any = None) -> Any:
        """Draw the roofline: operations a second over operations a byte, below what the devices reach.

        Each kernel is a disc whose area is its time. Kernels that compute nothing, or whose time was not measured, have no
        place in the picture.

        Args:
            ax: The axes of matplotlib to draw on; by default, those of a new figure.

        Returns:
            The axes.

        Raises:
            ImportError: where matplotlib is not installed: ``pip install 'funcnn[plot]'``.
            ValueError: where no kernel has a place in the picture.
        """
        points = [r for r in self.records if r.fraction is not None and r.flops and r.bytes and r.own > 0]
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("profile.plot draws with matplotlib: pip install 'funcnn[plot]'") from error
        if not points:
            raise ValueError("profile.plot: no kernel that computes was measured")
        if ax is None:
            _, ax = pyplot.subplots(figsize=(8, 5), layout="constrained")
        return _roofline(ax, points, self.ceilings)


def profile() -> Profile:
    """Record the kernels that run within a ``with`` block: how long each took, and how near to the machine's limits.

    It sees whatever the process computes meanwhile, on every thread: eager code when it is evaluated, compiled functions,
    loops over them, what a callback computes. Work counts when it is asked for: an evaluation given to ``async_eval``
    inside belongs to the block, also where it runs later, and an array that is evaluated only after the block does not.
    Profiles may nest and run side by side; each sees everything.

    While no profile is open, kernels pay one load of a flag. While one is, a launch costs about a microsecond more, and
    other devices run kernel by kernel: a GPU launches none of them together, to measure each. Single runs are kept up to a
    million, of others only the sums.

    Returns:
        A :class:`Profile`, which is the context manager and holds the result.

    Example:
        >>> import funcnn as fn
        >>> @fn.compile
        ... def step(x, w):
        ...     return fn.tanh(x @ w)
        >>> x, w = fn.ones((64, 128)), fn.ones((128, 32))
        >>> with fn.profile() as p:
        ...     for _ in range(10):
        ...         x_new = step(x, w)
        >>> [(record.name, record.operands, record.calls) for record in p.records if "dot" in record.name]
        [('dot with epilogue', 'float32(64, 128), float32(128, 32) -> float32(64, 32)', 10)]
        >>> {span.kind for span in p.spans} >= {"trace", "plan", "call"}
        True
    """
    return Profile()


# ---- records


def _record(row: tuple[Any, ...]) -> KernelRecord:
    kind, name, operands, program, device, calls, total, own, least, median, busy, bytes, flops, clock = row
    bytes, flops = bytes * calls, flops * calls
    reached = ceilings(device) if kind in ("program", "primitive") and clock != "launch" else None
    fraction = reached.least_seconds(bytes, flops) / own if reached and own > 0 else None
    return KernelRecord(
        kind,
        name,
        operands,
        program,
        device,
        calls,
        total,
        own,
        least,
        median,
        busy,
        bytes,
        flops,
        clock,
        fraction,
    )


# ---- the table

_HEADS = ("ms", "share", "runs", "median us", "least us", "threads", "GB/s", "Gflop/s", "ceiling")


def _table(
    seconds: float,
    left_out: int,
    records: tuple[KernelRecord, ...],
    spans: tuple[SpanRecord, ...],
    reached: dict[str, Ceilings],
    rows: int | None,
) -> str:
    own = sum(r.own for r in records)
    runs = sum(r.calls for r in records)
    parts = [f"{_count(runs, 'run')} of {_count(len(records), 'kernel')}, {1e3 * own:.3g} ms"]
    for kind in ("plan", "trace"):
        if times := [s for s in spans if s.kind == kind]:
            parts.append(f"{_count(sum(s.calls for s in times), kind)}, {1e3 * sum(s.total for s in times):.3g} ms")
    lines = [f"profile of {1e3 * seconds:.3g} ms: " + "; ".join(parts)]
    for device, limit in reached.items():
        lines.append(f"{device} reaches {limit.bandwidth / 1e9:.3g} GB/s copying, {limit.flops / 1e9:.3g} Gflop/s")
    if left_out:
        lines.append(f"{left_out} runs and spans more than are kept one by one are in the sums alone")
    shown = records[:rows]
    cells = [(*_HEADS, "kernel"), *((*_cells(r, own), _what(r)) for r in shown)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEADS))]
    for row in cells:
        lines.append("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False)) + "  " + row[-1])
    if len(shown) < len(records):
        rest = sum(r.own for r in records[len(shown) :])
        lines.append(f"and {_count(len(records) - len(shown), 'kernel')} more, {1e3 * rest:.3g} ms")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cells(r: KernelRecord, own: float) -> tuple[str, ...]:
    known = r.own > 0 and r.clock != "launch"
    return (
        f"{1e3 * r.own:.3f}",
        f"{r.own / own:.1%}" if own else "-",
        str(r.calls),
        f"{1e6 * r.median:.1f}",
        f"{1e6 * r.least:.1f}",
        f"{r.thread_time / r.own:.1f}" if r.thread_time is not None and r.own > 0 else "-",
        f"{r.bytes / r.own / 1e9:.1f}" if known else "-",
        f"{r.flops / r.own / 1e9:.1f}" if known and r.flops else "-",
        f"{r.fraction:.0%}" if r.fraction is not None else "-",
    )


def _what(r: KernelRecord) -> str:
    clock = {"run": "", "queue": "", "launch": ", launch only"}[r.clock]
    return f"{r.name}  {r.operands}" + (f"  on {r.device}{clock}" if r.device != "cpu" else "")


# ---- the trace

_HOST = 1  # processes of the trace: the host, and a queue for each device that measures


def _events(kernels: list[Any], runs: list[Any], spans: list[Any]) -> list[dict[str, Any]]:
    devices: dict[str, int] = {}
    threads: set[int] = set()
    events: list[dict[str, Any]] = []

    def add(name: str, category: str, process: int, thread: int, begin: float, length: float, **args: Any) -> None:
        events.append(
            {
                "ph": "X",
                "name": name,
                "cat": category,
                "pid": process,
                "tid": thread,
                "ts": 1e6 * begin,
                "dur": 1e6 * length,
                "args": args,
            }
        )

    for number, thread, begin, length, clock in runs:
        kind, name, operands, device, bytes, flops = kernels[number]
        if clock == "queue":
            process, thread = devices.setdefault(device, _HOST + 1 + len(devices)), 0
        else:
            process = _HOST
            threads.add(thread)
        add(
            name,
            kind,
            process,
            thread,
            begin,
            length,
            operands=operands,
            device=device,
            bytes=bytes,
            flops=flops,
            clock=clock,
        )
    for kind, name, thread, begin, length in spans:
        threads.add(thread)
        add(f"{kind} {name}", kind, _HOST, thread, begin, length)

    def label(what: str, process: int, thread: int, name: str) -> None:
        events.append({"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}})

    label("process_name", _HOST, 0, "funcnn")
    for thread in sorted(threads):
        label("thread_name", _HOST, thread, f"thread {thread}")
    for device, process in devices.items():
        label("process_name", process, 0, device)
        label("thread_name", process, 0, "queue")
    return events


# ---- the picture

_MOST_NAMED = 8


def _roofline(ax: Any, points: list[KernelRecord], reached: dict[str, Ceilings]) -> Any:
    whole = sum(r.own for r in points)
    intensities = [r.flops / r.bytes for r in points]
    for index, (device, limit) in enumerate(reached.items()):
        ridge = limit.flops / limit.bandwidth
        low, high = min([*intensities, ridge]) / 4, max([*intensities, ridge]) * 4
        color = f"C{index}"
        heights = [limit.bandwidth * low / 1e9, limit.flops / 1e9, limit.flops / 1e9]
        label = f"{device}: {limit.bandwidth / 1e9:.3g} GB/s, {limit.flops / 1e9:.3g} Gflop/s"
        ax.plot([low, ridge, high], heights, color=color, label=label)
        mine = [(i, r) for i, r in zip(intensities, points, strict=True) if r.device == device]
        ax.scatter(
            [i for i, _ in mine],
            [r.flops / r.own / 1e9 for _, r in mine],
            s=[20 + 800 * r.own / whole for _, r in mine],
            color=color,
            alpha=0.5,
        )
    for intensity, r in list(zip(intensities, points, strict=True))[:_MOST_NAMED]:
        name = r.name if len(r.name) <= 32 else r.name[:29] + "..."
        place = (intensity, r.flops / r.own / 1e9)
        ax.annotate(name, place, textcoords="offset points", xytext=(6, 4), fontsize=7)
    ax.set(xscale="log", yscale="log", xlabel="flop / byte", ylabel="Gflop / s", title="Kernels below the roofline")
    ax.legend(loc="lower right", fontsize=8)
    return ax
