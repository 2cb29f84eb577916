"""python -m benchmarks [NAMES...]: the named workloads or rows (all where none is named) in funcnn and its peers.

--scaling and --roofline measure funcnn alone: how times grow, and how near to the limits of the machine rows come.
--results measures everything and writes it down.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import shlex
import sys
from typing import Any

from tqdm import tqdm

from . import harness, report, results, roofline, scaling
from .case import FRAMEWORKS
from .kept import Kept


def parsed() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="workloads (a file of benchmarks/), single rows, or laws of scaling")
    parser.add_argument("--peers", default=",".join(FRAMEWORKS[1:]), help="default: %(default)s, those installed")
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, of each; default 2")
    parser.add_argument("--rounds", type=int, default=5, help="turns each framework gets at each row; default 5")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a turn; default 0.3")
    parser.add_argument("--without-funcnn", action="store_true", help="the peers alone")
    parser.add_argument(
        "--statistic", choices=("median", "least"), default="median", help="of the times in the table; default median"
    )
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="while so many other processes are busy")
    parser.add_argument("--json", type=pathlib.Path, help="also write everything measured to this file")
    parser.add_argument(
        "--keep",
        type=pathlib.Path,
        metavar="FILE",
        help="keep rows there as they are measured; with the same arguments a run begins after those that the file has",
    )
    parser.add_argument("--scaling", action="store_true", help="the laws of scaling instead")
    parser.add_argument(
        "--largest", type=int, default=100_000, help="nodes, steps and leaves of these laws; default %(default)s"
    )
    parser.add_argument(
        "--roofline",
        nargs="?",
        const=pathlib.Path("roofline.png"),
        type=pathlib.Path,
        metavar="FILE",
        help="draw funcnn's rows below the roofline instead; default %(const)s",
    )
    parser.add_argument(
        "--results",
        nargs="?",
        const=results.FILE,
        type=pathlib.Path,
        metavar="FILE",
        help="measure rows, laws of scaling, some rows beside a busy process, and write it all down; default benchmarks/RESULTS.md",
    )
    return parser, parser.parse_args()


def progress(what: str, items: Any) -> Any:
    return tqdm(items, desc=what, unit=what.rstrip("s"), disable=None)


def chosen_laws(arguments: argparse.Namespace) -> list[scaling.Law]:
    laws = scaling.laws(arguments.largest, arguments.threads)
    return [law for law in laws if not arguments.names or law.name in arguments.names or "scaling" in arguments.names]


def measured_rows(
    arguments: argparse.Namespace, names: list[str], busy: int
) -> tuple[dict[str, str], list[harness.Row]]:
    frameworks = [*arguments.peers.split(","), *([] if arguments.without_funcnn else ["funcnn"])]
    return harness.run(
        names,
        frameworks,
        arguments.threads,
        arguments.rounds,
        arguments.seconds,
        functools.partial(progress, "rows"),
        Kept(arguments.keep),
        busy,
    )


def compare(arguments: argparse.Namespace) -> None:
    versions, rows = measured_rows(arguments, arguments.names, arguments.beside)
    bandwidth = harness.copy_bandwidth(arguments.threads)
    print(", ".join(f"{name} {version}" for name, version in versions.items()), end="; ")
    beside = f", beside {arguments.beside} busy" if arguments.beside else ""
    print(f"{arguments.threads} threads{beside}; copy bandwidth {bandwidth / 1e9:.1f} GB/s\n")
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


def command(words: list[str]) -> str:
    """As it is written down: where rows were kept is of no interest."""
    told = [word for at, word in enumerate(words) if not word.startswith("--keep") and words[at - 1 : at] != ["--keep"]]
    return "python -m benchmarks " + shlex.join(told)


def write_results(arguments: argparse.Namespace) -> None:
    versions, rows = measured_rows(arguments, arguments.names, 0)
    again = [row.name for row in rows if row.name in results.BESIDE]
    beside = measured_rows(arguments, again, 1)[1] if again else []
    bandwidth = harness.copy_bandwidth(arguments.threads)
    named = {
        (module, row.name) for row in rows for module, name, _ in harness.workloads([row.name]) if name == row.name
    }
    points, limits = roofline.measure(
        [(module, row, "") for module, row in sorted(named)],
        arguments.threads,
        arguments.seconds,
        functools.partial(progress, "rows"),
    )
    laws = scaling.run(chosen_laws(arguments), functools.partial(progress, "laws"))
    section = results.text(
        command(sys.argv[1:]),
        versions,
        arguments.threads,
        arguments.rounds,
        arguments.statistic,
        rows,
        beside,
        laws,
        points,
        limits,
        bandwidth,
    )
    results.write(arguments.results, section)
    print(section)


def main() -> None:
    parser, arguments = parsed()
    rows = harness.workloads(arguments.names)
    known = rows or ((arguments.scaling or arguments.results) and chosen_laws(arguments))
    if not known:
        parser.error(f"no workload is called {' or '.join(arguments.names)}")
    if arguments.results and arguments.rounds < results.LEAST_ROUNDS:
        parser.error(f"--results takes at least {results.LEAST_ROUNDS} rounds, got {arguments.rounds}")
    if arguments.scaling and arguments.beside:
        parser.error("--scaling measures without busy processes beside it")
    if arguments.results:
        write_results(arguments)
    elif arguments.scaling:
        with harness.confined(arguments.threads):
            print(scaling.table(scaling.run(chosen_laws(arguments), functools.partial(progress, "laws"))))
    elif arguments.roofline:
        with harness.confined(arguments.threads):
            points, limits = roofline.measure(
                rows, arguments.threads, arguments.seconds, functools.partial(progress, "rows")
            )
        print(roofline.table(points, limits))
        roofline.draw(points, limits, arguments.roofline)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
