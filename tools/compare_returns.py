"""Run a package's tests on MLX and on the shim, and compare what each of its functions returns.

    RECORD=mlx.pickle PYTHONPATH=tools python -m pytest -p compare_returns TESTS
    RECORD=shim.pickle PYTHONPATH=tools python -m funcnn.compat -m pytest -p compare_returns TESTS
    python tools/compare_returns.py mlx.pickle shim.pickle

The first runs where MLX is installed, both where the package is, with PACKAGES naming it (a part of its path). Each test draws
from seed 0. Arrays are kept as dtype, shape, the sum of their sizes, their largest and 48 elements.
"""

import collections
import os
import pickle
import random
import sys
from typing import Any

import numpy as np
import pytest

PACKAGES = os.environ.get("PACKAGES", "site-packages/mlx_").split(",")
MOST = int(os.environ.get("MOST", "4000"))  # of a test
NO_PLAIN_FUNCTION = 0x20 | 0x80 | 0x200  # the flags of generators and coroutines
TOLERANCE = {"mlx.core.bfloat16": 4e-2, "mlx.core.float16": 6e-3}
records: dict[str, dict[str, Any]] = collections.defaultdict(dict)


def arrays(value: Any, depth: int = 0) -> Any:
    import mlx.core as mx

    if isinstance(value, (mx.array, bool, int)):
        yield value
    elif isinstance(value, (tuple, list)) and depth < 4:
        for item in value[:32]:
            yield from arrays(item, depth + 1)
    elif type(value) is dict and depth < 4:
        for item in list(value.values())[:64]:
            yield from arrays(item, depth + 1)


def summary(value: Any) -> tuple[Any, ...] | None:
    """None for an array that has no value, since a transformation traces it."""
    import mlx.core as mx

    if not isinstance(value, mx.array):
        return (value,)
    try:
        numbers = np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value).ravel()
    except Exception:
        return None
    numbers = numbers.astype(np.complex128 if numbers.dtype.kind == "c" else np.float64)
    sizes = np.abs(numbers[np.isfinite(numbers)])
    some = numbers[np.unique(np.linspace(0, numbers.size - 1, 48).astype(int))] if numbers.size else numbers
    return str(value.dtype), value.shape, float(sizes.sum()), float(sizes.max(initial=0)), some


class Recorder:
    def __init__(self) -> None:
        self.busy, self.returned = False, []

    def __call__(self, frame: Any, event: str, value: Any) -> None:
        code = frame.f_code
        if event != "return" or self.busy or value is None or len(self.returned) >= MOST:
            return
        if code.co_flags & NO_PLAIN_FUNCTION or code.co_name.startswith("<"):
            return
        if not any(package in code.co_filename for package in PACKAGES):
            return
        self.busy = True
        found = [summary(item) for item in arrays(value)]
        if found and None not in found:
            name = getattr(code, "co_qualname", code.co_name)
            self.returned.append((f"{code.co_filename.rpartition('site-packages/')[2]}:{name}", found))
        self.busy = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Any:
    import mlx.core as mx

    mx.random.seed(0)
    np.random.seed(0)
    random.seed(0)
    recorder = Recorder()
    records[item.nodeid]["returned"] = recorder.returned
    sys.setprofile(recorder)
    try:
        return (yield)
    finally:
        sys.setprofile(None)


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or not report.passed:
        records[report.nodeid]["outcome"] = report.outcome


def pytest_sessionfinish() -> None:
    with open(os.environ["RECORD"], "wb") as file:
        pickle.dump(dict(records), file)


def difference(a: tuple[Any, ...], b: tuple[Any, ...]) -> str | None:
    if len(a) == 1 or len(b) == 1:
        return None if len(a) == len(b) and a[0] == b[0] else f"{a[0]} is {b[0]}"
    if a[:2] != b[:2]:
        return f"{a[:2]} is {b[:2]}"
    close = TOLERANCE.get(a[0], 2e-4) * max(a[3], 1e-6)
    finite = np.isfinite(a[4]) & np.isfinite(b[4])
    if not np.array_equal(a[4][~finite], b[4][~finite], equal_nan=True):
        return f"{a[4][:4]} is {b[4][:4]}"
    most = np.abs(a[4] - b[4])[finite].max(initial=0)
    return f"{most:.2g} apart, the largest is {a[3]:.3g}, {a[:2]}" if most > close else None


def compare(on_mlx: dict[str, Any], on_shim: dict[str, Any]) -> str | None:
    """The first difference of a test. A function that compile ran once more on one side is left out."""
    if on_mlx.get("outcome") != on_shim.get("outcome"):
        return f"{on_mlx.get('outcome')} is {on_shim.get('outcome')}"
    calls: Any = [collections.defaultdict(list), collections.defaultdict(list)]
    for side, record in zip(calls, (on_mlx, on_shim), strict=True):
        for place, (name, values) in enumerate(record.get("returned", ())):
            side[name].append((place, values))
    pairs = (
        (n, a, b)
        for n in calls[0]
        if len(calls[0][n]) == len(calls[1][n])
        for a, b in zip(calls[0][n], calls[1][n], strict=True)
    )
    for name, (_, a), (_, b) in sorted(pairs, key=lambda pair: pair[1][0]):
        if len(a) != len(b):
            return f"{name}: {len(a)} values are {len(b)}"
        for x, y in zip(a, b, strict=True):
            if found := difference(x, y):
                return f"{name}: {found}"
    return None


def main() -> None:
    sides = []
    for path in sys.argv[1:3]:
        with open(path, "rb") as file:
            sides.append(pickle.load(file))
    same = 0
    for test in sorted({*sides[0], *sides[1]}):
        if found := compare(sides[0].get(test, {}), sides[1].get(test, {})):
            print(f"{test}\n    {found}")
        else:
            same += 1
    print(f"{same} of {len({*sides[0], *sides[1]})} tests are the same")


if __name__ == "__main__":
    main()
