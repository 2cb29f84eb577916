"""python -m benchmarks.planning: what planning costs a node, and how that grows with the graph.

Graphs of several shapes are evaluated twice: the first time they are planned, the second time their plan is found. A
linear planner has the exponent 1: as many nodes more, as much time more.

Steps over sequences and batches of ever other lengths show what a length costs that is seen for the first time: planned
from scratch, after the same structure was planned with other lengths, and when its plan is found.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

SIZES = (1_000, 10_000, 100_000)
# A size is left out where the one before promises more seconds than this.
PATIENCE = 60.0


def chain(fn: Any, n: int) -> list[Any]:
    """x + y + y + ..."""
    x, y = fn.zeros(8), fn.ones(8)
    for _ in range(n):
        x = x + y
    return [x]


def kept_chain(fn: Any, n: int) -> list[Any]:
    """The same, all of it kept: one kernel with many results."""
    x, y = fn.zeros(8), fn.ones(8)
    out = []
    for _ in range(n):
        x = x + y
        out.append(x)
    return out


def sorts(fn: Any, n: int) -> list[Any]:
    """Kernels of their own, one after another."""
    x = fn.ones(8)
    for _ in range(n):
        x = fn.sort(x, 0)
    return [x]


def fan(fn: Any, n: int) -> list[Any]:
    """One computed value, read by many."""
    x = fn.exp(fn.ones(8))
    return [x + float(i) for i in range(n)]


def fan_of_kernels(fn: Any, n: int) -> list[Any]:
    """One computed value, read by many kernels of their own."""
    x = fn.exp(fn.ones((2, 4)))
    return [fn.sort(x + float(i), 1) for i in range(n // 2)]


def fan_of_slices(fn: Any, n: int) -> list[Any]:
    """One computed value, its parts read by units that cannot be joined."""
    x = fn.exp(fn.ones((64, 8)))
    return [fn.exp(x[i % 64]) * float(i) for i in range(n // 3)]


def scalars(fn: Any, n: int) -> list[Any]:
    """One scalar, read by many."""
    s = fn.exp(fn.ones(()))
    return [fn.ones(8) * (s + float(i)) for i in range(n // 2)]


def leaves(fn: Any, n: int) -> list[Any]:
    """The sum of many arrays: a kernel with many operands."""
    x = fn.zeros(8)
    for part in fn.unstack(fn.ones((n, 8))):
        x = x + part
    return [x]


def tree(fn: Any, n: int) -> list[Any]:
    """The same, pairwise."""
    parts = [fn.exp(part) for part in fn.unstack(fn.ones((n // 2, 8)))]
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) & ~1 :]
    return parts


def updates(fn: Any, n: int) -> list[Any]:
    """Arrays that nobody else holds, updated in place by a kernel that reads and writes many."""
    parts = [fn.array([float(i)] * 8) for i in range(n // 3)]
    total, out = fn.zeros(8), []
    for part in parts:
        out.append(part * 0.5)
        total = total + out[-1]
    return [*out, total]


def reductions(fn: Any, n: int) -> list[Any]:
    """Sums of one array, each with another factor."""
    x = fn.exp(fn.ones((4, 8)))
    return [fn.sum(x * float(i), axis=1) for i in range(n // 2)]


def column_reductions(fn: Any, n: int) -> list[Any]:
    x = fn.exp(fn.ones((4, 8)))
    return [fn.sum(x * float(i), axis=0) for i in range(n // 2)]


def softmaxes(fn: Any, n: int) -> list[Any]:
    """Row reductions that return to the elements, one after another."""
    x = fn.ones((4, 8))
    for _ in range(n // 5):
        x = fn.softmax(x, axis=1)
    return [x]


def concatenation(fn: Any, n: int) -> list[Any]:
    """One kernel of its own that reads many."""
    parts = [fn.array([float(i)] * 8) for i in range(n // 2)]
    return [fn.concatenate([fn.exp(part) for part in parts])]


def products(fn: Any, n: int) -> list[Any]:
    """Layers: a product, a bias, an activation."""
    x, w, b = fn.ones((4, 8)), fn.full((8, 8), 0.125), fn.zeros(8)
    for _ in range(n // 3):
        x = fn.tanh(x @ w + b)
    return [x]


def product_fan(fn: Any, n: int) -> list[Any]:
    """One product, read by many."""
    y = fn.ones((4, 8)) @ fn.ones((8, 8))
    return [fn.sort(y * float(i), 1) for i in range(n // 2)]


def gradient(fn: Any, n: int) -> list[Any]:
    """A chain and its derivative."""

    def f(x: Any) -> Any:
        for _ in range(n // 4):
            x = fn.sin(x)
        return x.sum()

    return [fn.grad(f)(fn.ones(8))]


GRAPHS: tuple[Callable[[Any, int], list[Any]], ...] = (
    chain,
    kept_chain,
    sorts,
    fan,
    fan_of_kernels,
    fan_of_slices,
    scalars,
    leaves,
    tree,
    updates,
    reductions,
    column_reductions,
    softmaxes,
    concatenation,
    products,
    product_fan,
    gradient,
)


def measure(graph: Callable[[Any, int], list[Any]], n: int) -> tuple[float, float]:
    """Seconds to plan a graph of n nodes, and to find its plan (each with running it)."""
    import funcnn as fn

    seconds = []
    fn.clear_plan_cache()
    for _ in range(3):
        outputs = graph(fn, n)
        start = time.process_time()
        fn.eval(*outputs)
        seconds.append(time.process_time() - start)
    return max(0.0, seconds[0] - min(seconds[1:])), min(seconds[1:])


def block(fn: Any, length: int) -> tuple[Callable[..., Any], list[Any]]:
    """One token through a transformer block with attention over `length` tokens before it."""
    width, heads = 64, 4

    def norm(x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred * fn.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)

    def split(x: Any) -> Any:
        return fn.transpose(fn.reshape(x, (x.shape[0], heads, width // heads)), (1, 0, 2))

    def f(x: Any, keys: Any, values: Any, square: Any, up: Any, down: Any) -> Any:
        h = norm(x)
        keys = fn.concatenate([keys, h @ square], 0)
        values = fn.concatenate([values, h @ square], 0)
        scores = fn.softmax(split(h @ square) @ fn.transpose(split(keys), (0, 2, 1)) * 0.25, axis=-1)
        x = x + fn.reshape(fn.transpose(scores @ split(values), (1, 0, 2)), x.shape) @ square
        return x + fn.nn.gelu(norm(x) @ up) @ down, keys, values

    cache = [fn.ones((length, width)) for _ in range(2)]
    return f, [
        fn.ones((1, width)),
        *cache,
        *(fn.full((width, n * width), 0.01) for n in (1, 4)),
        fn.ones((4 * width, width)),
    ]


def mlp_step(fn: Any, length: int) -> tuple[Callable[..., Any], list[Any]]:
    """A step of gradient descent on a batch of `length`."""

    def loss(w: Any, b: Any, v: Any, x: Any, y: Any) -> Any:
        scores = fn.tanh(x @ w + b) @ v
        return -((scores - fn.logsumexp(scores, axis=-1, keepdims=True)) * y).sum() / x.shape[0]

    def f(w: Any, b: Any, v: Any, x: Any, y: Any) -> Any:
        gradients = fn.grad(loss, argnums=(0, 1, 2))(w, b, v, x, y)
        return tuple(p - 0.1 * g for p, g in zip((w, b, v), gradients, strict=True))

    weights = [fn.full(shape, 0.1) for shape in ((32, 64), (64,), (64, 10))]
    return f, [*weights, fn.ones((length, 32)), fn.ones((length, 10))]


LENGTHS: tuple[Callable[[Any, int], tuple[Callable[..., Any], list[Any]]], ...] = (block, mlp_step)


def measure_lengths(work: Callable[[Any, int], Any], compiled: bool, lengths: range) -> tuple[float, float, float]:
    """Median seconds of a call: with everything forgotten, with a length that is new, and once more."""
    import funcnn as fn

    def call(f: Any, length: int) -> float:
        _, arguments = work(fn, length)
        fn.eval(*arguments)
        start = time.perf_counter()
        fn.eval(f(*arguments))
        return time.perf_counter() - start

    def fresh() -> Any:
        fn.clear_plan_cache()
        f = work(fn, 1)[0]
        return fn.compile(f) if compiled else f

    seconds: list[list[float]] = [[], [], []]
    for length in lengths:
        seconds[0].append(call(fresh(), length))
        f = fresh()
        call(f, lengths[0] - 1)
        seconds[1].append(call(f, length))
        seconds[2].append(call(f, length))
    scratch, new, found = (statistics.median(s) for s in seconds)
    return scratch, new, found


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Of the largest two: the smaller ones show what a call costs."""
    if len(sizes) < 2 or min(seconds) <= 0:
        return float("nan")
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning", description=__doc__)
    parser.add_argument("names", nargs="*", help="graphs, block, mlp_step; default: all")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="nodes; default: %(default)s")
    arguments = parser.parse_args()
    sizes = [int(s) for s in arguments.sizes.split(",")]
    graphs = [g for g in GRAPHS if not arguments.names or g.__name__ in arguments.names]
    if any(work.__name__ in arguments.names for work in LENGTHS) or not arguments.names:
        print(f"{'us a call':<18} {'':<8}{'scratch':>10}{'new size':>10}{'found':>10}  planning: new / scratch")
        for work in LENGTHS:
            if arguments.names and work.__name__ not in arguments.names:
                continue
            for compiled in (False, True):
                scratch, new, found = measure_lengths(work, compiled, range(100, 300))
                cells = "".join(f"{1e6 * s:10.1f}" for s in (scratch, new, found))
                how = "compiled" if compiled else "eager"
                print(f"{work.__name__:<18} {how:<8}{cells}  {(new - found) / (scratch - found):.2f}")
        print()
    if not graphs:
        return
    heads = "".join(f"{f'{n:,}':>10}" for n in sizes)
    print(f"{'us a node':<18} {'planned':<8}{heads}  exponent   {'found':<8}{heads}  exponent")
    for graph in tqdm(graphs, disable=None, leave=False):
        done: list[int] = []
        planned: list[float] = []
        found: list[float] = []
        for n in sizes:
            if done and (planned[-1] + found[-1]) * (n / done[-1]) ** 2 > 2 * PATIENCE and planned[-1] > 1:
                break
            p, f = measure(graph, n)
            done.append(n)
            planned.append(p)
            found.append(f)

        def row(seconds: list[float], done: list[int] = done) -> str:
            cells = [f"{1e6 * s / n:10.2f}" for s, n in zip(seconds, done, strict=True)]
            return "".join(cells + [f"{'-':>10}"] * (len(sizes) - len(cells))) + f"{exponent(done, seconds):10.2f}"

        tqdm.write(f"{graph.__name__:<18} {'':<8}{row(planned)}   {'':<8}{row(found)}")


if __name__ == "__main__":
    main()
