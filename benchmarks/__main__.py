"""python -m benchmarks [NAMES...]: the named workloads or rows (all where none is named) in funcnn and its peers."""

from __future__ import annotations

import argparse
import functools
import json
import pathlib

from tqdm import tqdm

from . import harness, report
from .case import FRAMEWORKS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads (a file of benchmarks/) or single rows")
    parser.add_argument("--peers", default=",".join(FRAMEWORKS[1:]), help="default: %(default)s, those installed")
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, of each; default 2")
    parser.add_argument("--rounds", type=int, default=5, help="turns each framework gets at each row; default 5")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a turn; default 0.3")
    parser.add_argument("--without-funcnn", action="store_true", help="the peers alone")
    parser.add_argument(
        "--statistic", choices=("median", "least"), default="median", help="of the times in the table; default median"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write everything measured to this file")
    arguments = parser.parse_args()
    frameworks = [*arguments.peers.split(","), *([] if arguments.without_funcnn else ["funcnn"])]
    if not harness.workloads(arguments.names):
        parser.error(f"no workload is called {' or '.join(arguments.names)}")
    progress = functools.partial(tqdm, desc="rows", unit="row", disable=None)
    versions, rows = harness.run(
        arguments.names, frameworks, arguments.threads, arguments.rounds, arguments.seconds, progress
    )
    bandwidth = harness.copy_bandwidth(arguments.threads)
    print(", ".join(f"{name} {version}" for name, version in versions.items()), end="; ")
    print(f"{arguments.threads} threads; copy bandwidth {bandwidth / 1e9:.1f} GB/s\n")
    parts = [
        report.table(rows, arguments.statistic),
        report.shim_table(rows, arguments.statistic),
        report.peak_table(rows),
        report.bandwidth_table(rows, bandwidth),
        report.problems(rows),
    ]
    print("\n\n".join(part for part in parts if part))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(versions, rows, bandwidth), indent=1) + "\n")


if __name__ == "__main__":
    main()
