"""python -m benchmarks.profile_cost: what a profile costs a small compiled call, while it is open and after it has closed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import funcnn as fn


def microseconds_a_call(f: Callable[[], object], calls: int, rounds: int) -> float:
    """Those of the quickest round."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            f()
        best = min(best, time.perf_counter() - start)
    return best / calls * 1e6


def measure(calls: int = 100, rounds: int = 300) -> dict[str, float]:
    """The same call before, under and after a profile."""
    add, x = fn.compile(lambda x: x + 1), fn.ones(8)

    def call() -> object:
        return add(x)

    call()
    times = {"before": microseconds_a_call(call, calls, rounds)}
    with fn.profile():
        times["open"] = microseconds_a_call(call, calls, rounds)
    times["after"] = microseconds_a_call(call, calls, rounds)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile_cost", description=__doc__.split(":")[1].strip()
    )
    parser.add_argument("--rounds", type=int, default=300, help="of 100 calls each")
    for name, time_of_call in measure(rounds=parser.parse_args().rounds).items():
        print(f"{name:8}{time_of_call:8.3f} us a call")


if __name__ == "__main__":
    main()
