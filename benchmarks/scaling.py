"""How times grow, as slopes in log-log: python -m benchmarks --scaling [NAMES].

1 is linear, 0 constant; of threads, -1 is perfect. Graphs are traced and planned up to 100,000 nodes, scans up to 100,000
steps, calls take up to 10,000 leaves, memory-bound operations are measured beside a copy of as many bytes.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Law:
    """One row: what is measured at each size, and the slopes it should have."""

    name: str
    what: str
    sizes: tuple[int, ...]
    measure: Callable[[int], float]  # seconds
    owed: tuple[float, float]  # least and most slope
    beside: Callable[[int], float] | None = None  # seconds of a copy that moves as much


@dataclass
class Fitted:
    law: Law
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)

    @property
    def slope(self) -> float:
        return slope(self.sizes, self.seconds)

    @property
    def holds(self) -> bool:
        low, high = self.law.owed
        return low <= self.slope <= high


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Of the line through the logarithms that leaves the least squares; NaN for fewer than two sizes."""
    if len(set(sizes)) < 2 or min(seconds) <= 0:
        return math.nan
    return statistics.linear_regression([math.log(n) for n in sizes], [math.log(s) for s in seconds]).slope


# ---- clocks


def least(step: Callable[[], object], seconds: float = 0.2, most: int = 200) -> float:
    """The least seconds of a step, after one that is not counted: what else runs on the machine only adds."""
    step()
    best, deadline = math.inf, time.perf_counter() + seconds
    for _ in range(most):
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > deadline:
            break
    return best


def spans(run: Callable[[], object], kind: str, turns: int = 3) -> float:
    """The least seconds of the spans of one kind (`trace`, `plan`) that a run takes, by `fn.profile`."""
    import funcnn as fn

    best = math.inf
    for _ in range(turns):
        fn.clear_plan_cache()
        with fn.profile() as p:
            run()
        best = min(best, sum(span.total for span in p.spans if span.kind == kind))
    return best


# ---- graphs


def _network(n: int) -> Callable[..., Any]:
    """About n nodes: layers of a product, a bias and an activation."""
    import funcnn as fn

    def f(x: Any, w: Any, b: Any) -> Any:
        for _ in range(n // 3):
            x = fn.tanh(x @ w + b)
        return x

    return f


def _graph(kind: str) -> Callable[[int], float]:
    def measure(n: int) -> float:
        import funcnn as fn

        arguments = fn.ones((2, 4)), fn.full((4, 4), 0.25), fn.zeros(4)
        return spans(lambda: fn.compile(_network(n))(*arguments), kind)

    return measure


def _gradient(n: int) -> float:
    import funcnn as fn

    arguments = fn.ones((2, 4)), fn.full((4, 4), 0.25), fn.zeros(4)
    loss = fn.grad(lambda *a: _network(n // 4)(*a).sum(), argnums=(0, 1, 2))
    return spans(lambda: fn.compile(loss)(*arguments), "plan")


def _recurrence(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    import funcnn as fn

    def f(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> tuple[Any, Any]:
            h = fn.tanh(h @ w + x)
            return h, h.sum()

        return fn.scan(step, fn.zeros((1, 8)), xs)[1].sum()

    return f, (fn.full((8, 8), 0.1), fn.ones((n, 1, 8)))


def _scan_traced(n: int) -> float:
    import funcnn as fn

    f, arguments = _recurrence(n)
    fn.eval(*arguments)
    gradient = fn.grad(f)
    seconds = math.inf
    for _ in range(3):
        fn.clear_plan_cache()
        with fn.profile() as p:
            fn.compile(gradient)(*arguments)
        seconds = min(seconds, sum(span.total for span in p.spans if span.kind in ("trace", "plan")))
    return seconds


def _scan_run(n: int) -> float:
    import funcnn as fn

    f, arguments = _recurrence(n)
    return least(_step(fn.compile(fn.grad(f)), *arguments), most=5)


def _step(f: Callable[..., Any], *arguments: Any) -> Callable[[], object]:
    import funcnn as fn

    fn.eval(*arguments)

    def step() -> None:
        fn.eval(f(*arguments))

    return step


# ---- leaves


def _tree(n: int) -> dict[str, Any]:
    import funcnn as fn

    return {f"p{i:05}": fn.full(8, float(i)) for i in range(n)}


def _leaves(n: int) -> float:
    """A compiled call that takes n leaves and gives as many."""
    import funcnn as fn
    from funcnn import tree

    return least(_step(fn.compile(lambda t: tree.map(lambda x: x * 0.5, t)), _tree(n)))


def _leaves_update(n: int) -> float:
    """A step of AdamW."""
    import funcnn as fn
    from funcnn import optim

    params, grads, opt = _tree(n), _tree(n), optim.adamw(1e-3)
    state = opt.init(params)

    @fn.compile(donate=("params", "state"))
    def update(params: Any, state: Any, grads: Any) -> Any:
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state

    fn.eval(params, state, grads)

    def step() -> None:
        nonlocal params, state
        params, state = update(params, state, grads)
        fn.eval(params, state)

    return least(step)


# ---- memory


def _copy(factor: float) -> Callable[[int], float]:
    """A copy by all threads that reads and writes `factor` times n float32 numbers together."""

    def measure(n: int) -> float:
        from . import harness

        return factor * 4 * n / harness.copy_bandwidth(_threads(), max(1 << 12, int(factor * n / 2) // _threads()))

    return measure


def _threads() -> int:
    import funcnn as fn

    return fn.get_num_threads()


def _memory(make: Callable[[Any], Callable[..., Any]], operands: int = 1) -> Callable[[int], float]:
    def measure(n: int) -> float:
        import funcnn as fn

        arrays = [fn.array(np.linspace(-3, 3, n, dtype=np.float32).reshape(-1, 1024)) for _ in range(operands)]
        return least(_step(fn.compile(make(fn)), *arrays))

    return measure


# ---- threads


def _with_threads(step: Callable[[], Callable[[], object]]) -> Callable[[int], float]:
    def measure(threads: int) -> float:
        import funcnn as fn

        before = fn.get_num_threads()
        try:
            fn.set_num_threads(threads)
            return least(step())
        finally:
            fn.set_num_threads(before)

    return measure


def _product() -> Callable[[], object]:
    import funcnn as fn

    x = fn.full((768, 768), 0.5)
    return _step(fn.compile(lambda x: x @ x), x)


def _function() -> Callable[[], object]:
    import funcnn as fn
    from funcnn import nn

    return _step(fn.compile(lambda x: fn.tanh(nn.gelu(x)) * fn.erf(x)), fn.full((1024, 1024), 0.5))


def laws(largest: int = 100_000, cores: int | None = None) -> list[Law]:
    """The rows; graphs, scans and trees are left out beyond `largest`, and there are as many threads as cores."""
    cores = cores or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    nodes = tuple(n for n in (1_000, 3_000, 10_000, 30_000, 100_000) if n <= largest)
    steps = tuple(n for n in (10, 100, 1_000, 10_000, 100_000) if n <= largest)
    leaves = tuple(n for n in (10, 100, 1_000, 10_000) if n <= largest)
    sizes = tuple(n for n in (1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24) if n <= 200 * largest)
    threads = tuple(sorted({*(1 << i for i in range(cores.bit_length()) if 1 << i <= cores), cores}))
    linear = (0.0, 1.1)
    return [
        Law("trace", "trace a network of n nodes", nodes, _graph("trace"), linear),
        Law("plan", "plan a network of n nodes", nodes, _graph("plan"), linear),
        Law("plan_gradient", "plan a network and its gradient, n nodes", nodes, _gradient, linear),
        Law("scan_trace", "trace and plan the gradient of a scan of n steps", steps, _scan_traced, (-0.1, 0.1)),
        Law("scan_run", "run it", steps, _scan_run, linear),
        Law("leaves", "a compiled call of n leaves of 8 numbers", leaves, _leaves, linear),
        Law("leaves_adamw", "a step of AdamW on n leaves of 8 numbers", leaves, _leaves_update, linear),
        Law("add", "x + 1 on n numbers", sizes, _memory(lambda fn: lambda x: x + 1), (0.8, 1.3), _copy(2)),
        Law("multiply", "x * y", sizes, _memory(lambda fn: lambda x, y: x * y, 2), (0.8, 1.3), _copy(3)),
        Law("softmax", "over rows of 1024", sizes, _memory(lambda fn: fn.softmax), (0.8, 1.3), _copy(2)),
        Law("sum", "of all n numbers", sizes, _memory(lambda fn: lambda x: x.sum()), (0.6, 1.3), _copy(1)),
        Law("threads_product", "a product of 768 x 768 on n threads", threads, _with_threads(_product), (-1.1, -0.8)),
        Law(
            "threads_function",
            "functions of a million numbers on n threads",
            threads,
            _with_threads(_function),
            (-1.1, -0.8),
        ),
    ]


def run(chosen: list[Law], progress: Callable[[list[Law]], Any] = iter) -> list[Fitted]:
    fitted = []
    for law in progress(chosen):
        row = Fitted(law)
        for n in law.sizes:
            row.sizes.append(n)
            row.seconds.append(law.measure(n))
            if law.beside:
                row.copies.append(law.beside(n))
        fitted.append(row)
    return fitted


def table(rows: list[Fitted]) -> str:
    from .report import markdown

    lines = [["law", "what", "n", "us at the least n", "us at the most n", "slope", "owed", "of a copy at the most n"]]
    for row in rows:
        low, high = row.law.owed
        lines.append(
            [
                row.law.name,
                row.law.what,
                f"{row.sizes[0]:,} to {row.sizes[-1]:,}",
                f"{1e6 * row.seconds[0]:.4g}",
                f"{1e6 * row.seconds[-1]:.4g}",
                "-" if math.isnan(row.slope) else f"{row.slope:.2f}" + ("" if row.holds else " (missed)"),
                f"{low:g} to {high:g}",
                f"{row.copies[-1] / row.seconds[-1]:.0%}" if row.copies else "-",
            ]
        )
    return markdown(lines)
