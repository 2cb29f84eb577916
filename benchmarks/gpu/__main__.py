"""python -m benchmarks.gpu [NAMES...]: the named rows (all where none is named) on the GPU, in funcnn and its peers.

Every framework has a process of its own. All prepare all rows at once, then take turns at each; no one rounds float32 to tf32.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pathlib
import subprocess
import threading
import time

from .. import harness, report
from .rows import ROWS, GpuRow
from .worker import serve

FRAMEWORKS = ("torch", "torch.compile", "jax", "funcnn")


class Process(harness.Process):
    def __init__(self, framework: str):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, framework))
        self.process.start()
        theirs.close()


def prepare(processes: dict[str, Process], rows: list[GpuRow], deadline: float) -> dict[str, dict[GpuRow, object]]:
    """What each framework's `build` of each row returned, or the error's text; rows not begun in time are left out."""
    built: dict[str, dict[GpuRow, object]] = {f: {} for f in processes}

    def work(framework: str) -> None:
        for row in rows:
            if time.monotonic() > deadline:
                return
            try:
                built[framework][row] = processes[framework]("build", row)
            except (RuntimeError, OSError) as error:
                built[framework][row] = str(error)

    threads = [threading.Thread(target=work, args=(f,)) for f in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return built


def measure(processes, built, row: GpuRow, rounds: int, seconds: float) -> harness.Row:
    out = harness.Row(row.name, "ms")
    reference = None
    ready = []
    for framework in processes:
        outcome = built[framework].get(row, "was not begun in time")
        if isinstance(outcome, str):
            out.problems[framework] = outcome
        if outcome is None or isinstance(outcome, str):
            continue
        result, first, out.nbytes = outcome
        reference = result if reference is None else reference
        if problem := harness.disagreement(result, reference, row.tolerance):
            out.problems[framework] = problem
            continue
        out.measurements[framework] = harness.Measurement(first=first)
        ready.append(framework)
    for turn in range(rounds):
        for framework in list(ready if turn % 2 else reversed(ready)):
            try:
                median, least = processes[framework]("time", row, seconds)
            except (RuntimeError, OSError) as error:
                out.problems[framework] = str(error)
                out.measurements.pop(framework)
                ready.remove(framework)
                continue
            measurement = out.measurements[framework]
            measurement.medians.append(median)
            measurement.least = min(measurement.least, least)
    for process in processes.values():
        try:
            process("drop", row)
        except (RuntimeError, OSError):
            continue
    return out


def card() -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads or rows; default: all")
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="turns each framework gets at each row; default 5")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a turn; default 0.2")
    parser.add_argument("--within", type=float, default=300, help="seconds for compiling before rows are left out")
    parser.add_argument("--json", type=pathlib.Path, help="also write everything measured to this file")
    arguments = parser.parse_args()
    rows = [r for r in ROWS if not arguments.names or {r.name, r.row, r.module} & set(arguments.names)]
    if not rows:
        parser.error(f"no row is called {' or '.join(arguments.names)}")
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the card is shared
    processes = {f: Process(f) for f in arguments.frameworks.split(",")}
    try:
        versions = harness.start(processes)
        built = prepare(processes, rows, time.monotonic() + arguments.within)
        bandwidth = processes["torch"]("copy_bandwidth") if "torch" in processes else 1.0
        done = []
        for row in rows:
            done.append(measure(processes, built, row, arguments.rounds, arguments.seconds))
            times = {f: f"{m.median * 1e3:.3f}" for f, m in done[-1].measurements.items() if m.medians}
            print(f"# {row.name}: {times}", flush=True)
    finally:
        for process in processes.values():
            process.stop()
    print(f"\n{card()}; " + ", ".join(f"{name} {version}" for name, version in versions.items()), end="; ")
    print(f"copy bandwidth {bandwidth / 1e9:.0f} GB/s\n")
    parts = [report.table(done), report.bandwidth_table(done, bandwidth), report.problems(done)]
    print("\n\n".join(part for part in parts if part))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(versions, done, bandwidth), indent=1) + "\n")


if __name__ == "__main__":
    main()
