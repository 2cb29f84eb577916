"""python -m benchmarks.ops: every operation beside NumPy and MLX's CPU build, on one thread.

Each row is an expression in `xp`, the framework, over inputs that each framework holds as its own arrays; frameworks take turns.
The table lists the time of funcnn and how many times slower (below 1) or faster the others are; what is slower than one of
them stands first, with the reason where one is known. `--write` puts it into benchmarks/ops.md.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# NumPy's BLAS reads this when it is loaded.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

MODULES = {"funcnn": "funcnn", "numpy": "numpy", "mlx": "mlx.core"}


@dataclass(frozen=True)
class Row:
    """An operation: its name, the expression, and what NumPy and MLX say instead (None: nothing)."""

    name: str
    expression: str
    numpy: str | None = ""
    mlx: str | None = ""

    def expression_for(self, framework: str) -> str | None:
        other = {"numpy": self.numpy, "mlx": self.mlx}.get(framework, "")
        return self.expression if other == "" else other


def inputs() -> dict[str, np.ndarray]:
    """A million elements each, and what rows of several shapes need."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=1 << 20).astype(np.float32)
    return {
        "x": x,
        "y": rng.normal(size=1 << 20).astype(np.float32),
        "u": rng.uniform(0.05, 0.95, 1 << 20).astype(np.float32),
        "i": rng.integers(1, 1000, 1 << 20).astype(np.int32),
        "j": rng.integers(1, 30, 1 << 20).astype(np.int32),
        "b": x > 0,
        "m": x.reshape(1024, 1024),
        "n": rng.normal(size=(1024, 1024)).astype(np.float32),
        "s": x[: 256 * 256].reshape(256, 256),
        "r": x[:1024],
        "p": rng.integers(0, 1024, 4096).astype(np.int32),
        "q": rng.normal(size=(4096, 1024)).astype(np.float32),
        "e": np.sort(x[:4096]),
        "z": (x + 1j * rng.normal(size=1 << 20)).astype(np.complex64),
        "spd": (lambda a: a @ a.T + 256 * np.eye(256, dtype=np.float32))(
            rng.normal(size=(256, 256)).astype(np.float32)
        ),
        "image": rng.normal(size=(8, 56, 56, 64)).astype(np.float32),
        "kernel": rng.normal(size=(64, 3, 3, 64)).astype(np.float32),
        "heads": rng.normal(size=(2, 8, 256, 64)).astype(np.float32),
    }


def rows() -> list[Row]:
    unary = "abs negative sign floor ceil round sqrt square exp expm1 log log1p log2 log10 sin cos tan sinh cosh tanh"
    table = [Row(name, f"xp.{name}({'u' if 'log' in name or name == 'sqrt' else 'x'})") for name in unary.split()]
    table += [Row(name, f"xp.{name}(u)") for name in ["arcsin", "arccos", "arctan", "arcsinh", "arctanh", "reciprocal"]]
    table += [Row(name, f"xp.{name}(x)", numpy=None) for name in ("erf", "erfinv", "sigmoid")]
    table += [
        Row("rsqrt", "xp.rsqrt(u)", numpy="1 / xp.sqrt(u)"),
        Row("arccosh", "xp.arccosh(u + 1)"),
        Row("conjugate", "xp.conjugate(z)", mlx="xp.conj(z)"),
        *(Row(name, f"xp.{name}(x)") for name in ("isnan", "isinf", "isfinite", "logical_not")),
        Row("nan_to_num", "xp.nan_to_num(x)"),
    ]
    binary = "add subtract multiply divide maximum minimum arctan2 logaddexp"
    table += [Row(name, f"xp.{name}(x, y)") for name in binary.split()]
    table += [
        Row("power", "xp.power(u, y)"),
        Row("floor_divide", "xp.floor_divide(x, u)"),
        Row("remainder", "xp.remainder(x, u)"),
        Row("floor_divide, int32", "xp.floor_divide(i, j)"),
        Row("remainder, int32", "xp.remainder(i, j)"),
        Row("multiply, int32", "xp.multiply(i, j)"),
        Row("left_shift", "xp.left_shift(i, j)"),
        Row("bitwise_and", "xp.bitwise_and(i, j)"),
        Row("multiply, complex64", "xp.multiply(z, z)"),
        Row("exp, complex64", "xp.exp(z)"),
        Row("less", "xp.less(x, y)"),
        Row("equal", "xp.equal(x, y)"),
        Row("logical_and", "xp.logical_and(b, b)"),
        Row("where", "xp.where(b, x, y)"),
        Row("clip", "xp.clip(x, -1, 1)"),
        Row("astype int32", "x.astype(xp.int32)"),
        Row("broadcast add", "m + r"),
        Row("transposed add", "m + n.T"),
    ]
    for name in ["sum", "prod", "max", "min", "mean", "var", "std", "argmax", "argmin"]:
        table += [Row(f"{name}, {axis}", f"xp.{name}(m, axis={axis})") for axis in (None, 0, 1)]
    table += [
        Row("all", "xp.all(b)"),
        Row("any", "xp.any(~b)", numpy="xp.any(~b)", mlx="xp.any(xp.logical_not(b))"),
        Row("median", "xp.median(m, axis=1)"),
        Row("logsumexp", "xp.logsumexp(m, axis=-1)", numpy=None),
        Row("softmax", "xp.softmax(m, axis=-1)", numpy=None),
        Row("softmax, axis 0", "xp.softmax(m, axis=0)", numpy=None),
        *(
            Row(f"{name}, {axis}", f"xp.{name}(m, axis={axis})")
            for name in ("cumsum", "cumprod", "sort", "argsort")
            for axis in (0, 1)
        ),
        *(Row(f"{name}, {axis}", f"xp.{name}(m, axis={axis})", numpy=None) for name in ("cummax",) for axis in (0, 1)),
        Row("sort, one row", "xp.sort(x)"),
        Row("partition", "xp.partition(m, 10, axis=1)"),
        Row("argpartition", "xp.argpartition(m, 10, axis=1)"),
        Row("topk", "xp.topk(m, 10, axis=1)", numpy=None),
        Row("searchsorted", "xp.searchsorted(e, x)", mlx=None),
        Row("take rows", "xp.take(m, p, axis=0)"),
        Row("take columns", "xp.take(m, p, axis=1)"),
        Row("take_along_axis", "xp.take_along_axis(m, xp.argsort(m, axis=1), axis=1)"),
        Row("scatter add", "m.at[p].add(q)", numpy="np.add.at(m.copy(), p, q)"),
        Row("boolean mask", "xp.where(b, x, 0)"),
        Row("slice", "m[::2, 1:-1] + 0"),
        Row("concatenate", "xp.concatenate([m, n], axis=1)"),
        Row("stack", "xp.stack([m, n], axis=-1)"),
        Row("transpose", "xp.transpose(m) + 0"),
        Row("flip", "m[:, ::-1] + 0"),
        Row("roll", "xp.roll(m, 7, axis=1)"),
        Row("pad", "xp.pad(m, 3)"),
        Row("tile", "xp.tile(s, (4, 4))"),
        Row("repeat", "xp.repeat(s, 8, axis=1)"),
        Row("tril", "xp.tril(m)"),
        Row("diagonal", "xp.diagonal(m) + 0"),
        Row("arange", "xp.arange(1048576)"),
        Row("zeros", "xp.zeros((1024, 1024))"),
        Row("eye", "xp.eye(1024)"),
        Row("linspace", "xp.linspace(0, 1, 1048576)"),
        Row("matmul", "xp.matmul(m, n)"),
        Row("matmul, vector", "xp.matmul(m, r)"),
        Row("outer", "xp.outer(r, r)"),
        Row("inner", "xp.inner(s, s)"),
        Row("tensordot", "xp.tensordot(s, s, 1)"),
        Row("einsum", "xp.einsum('ij,kj->ik', s, s)"),
        Row("kron", "xp.kron(s[:32, :32], s[:32, :32])"),
        Row("conv2d", "xp.conv2d(image, kernel, padding=1)", None),
        Row("attention", "xp.fast.scaled_dot_product_attention(heads, heads, heads, scale=0.125)", None),
        Row("rms_norm", "xp.fast.rms_norm(m, r, 1e-5)", None),
        Row("rope", "xp.fast.rope(heads, 64, traditional=False, base=1e4, scale=1.0, offset=0)", None),
        Row("quantize", "xp.quantize(m)", None),
        *(Row(f"fft.{name}", f"xp.fft.{name}(m)") for name in ("fft", "rfft", "fft2")),
        Row("fft.ifft", "xp.fft.ifft(z.reshape(1024, 1024))"),
        Row("linalg.cholesky", "xp.linalg.cholesky(spd)", mlx="xp.linalg.cholesky(spd, stream=xp.cpu)"),
        *(
            Row(f"linalg.{name}", f"xp.linalg.{name}(s)", mlx=f"xp.linalg.{name}(s, stream=xp.cpu)")
            for name in ("inv", "svd", "qr")
        ),
        Row("linalg.eigh", "xp.linalg.eigh(spd)", mlx="xp.linalg.eigh(spd, stream=xp.cpu)"),
        Row("linalg.solve", "xp.linalg.solve(spd, s)", mlx="xp.linalg.solve(spd, s, stream=xp.cpu)"),
        Row("linalg.det", "xp.linalg.det(spd)", mlx=None),
        Row("linalg.norm", "xp.linalg.norm(m)"),
        Row("random.normal", "xp.random.normal(KEY, (1048576,))", None, "xp.random.normal((1048576,), key=KEY)"),
        Row(
            "random.uniform", "xp.random.uniform(KEY, (1048576,))", None, "xp.random.uniform(shape=(1048576,), key=KEY)"
        ),
    ]
    return table


ACCURATE = "computed in double, within 1 ulp; NumPy's vector functions allow 4"
CLOSE = "within 1 ulp; NumPy's vector functions allow 4"
PLAIN = "one polynomial, where NumPy's vector functions look up tables in registers"
TILES = "passes over tiles that the caches hold, where one loop would do"
SPREAD = "within a tenth, by which single rows waver"
ORDER = "the result is dense in its own order; the others keep that of the operand"
# Rows that funcnn loses by more than a tenth, and why.
REASONS: dict[str, str] = {
    **dict.fromkeys(
        [
            "arcsinh",
            "arctanh",
            "arccosh",
            "tan",
            "sin",
            "cos",
            "power",
        ],
        ACCURATE,
    ),
    **dict.fromkeys(["arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh"], CLOSE),
    **dict.fromkeys(["log", "log1p", "log2", "log10"], PLAIN),
    **dict.fromkeys(["logical_and", "conjugate", "multiply, complex64", "repeat"], TILES),
    "all": "reads everything; NumPy stops at the first that decides",
    "argmax, 1": "finds the largest first, then its place",
    "argmin, 1": "finds the smallest first, then its place",
    "transpose": ORDER,
    "take rows": "looks first whether every place is there",
    "inner": "a product of 256 rows: its second operand is turned while it is packed",
    "kron": "a product with one axis more for each, whose inner axis is short",
}


def _step(framework: str, row: Row, arrays: dict[str, Any]) -> Callable[[], object] | None:
    expression = row.expression_for(framework)
    if expression is None:
        return None
    xp = importlib.import_module(MODULES[framework])
    names = {"xp": xp, "np": np, **arrays[framework]}
    if "KEY" in expression:
        names["KEY"] = xp.random.key(0)
    code = compile(expression, row.name, "eval")
    if framework == "numpy":
        return lambda: eval(code, names)
    evaluate = xp.eval

    def step() -> None:
        evaluate(eval(code, names))

    return step


def measure(frameworks: list[str], names: list[str], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """The least time of each row in each framework."""
    values = inputs()
    arrays = {
        f: values if f == "numpy" else {k: importlib.import_module(MODULES[f]).array(v) for k, v in values.items()}
        for f in frameworks
    }
    table = [row for row in rows() if not names or any(name in row.name for name in names)]
    times: dict[str, dict[str, float]] = {}
    with np.errstate(all="ignore"):
        for row in tqdm(table, unit="row", disable=None):
            steps = {f: step for f in frameworks if (step := _step(f, row, arrays))}
            best: dict[str, float] = {}
            for f in list(steps):
                try:
                    steps[f]()
                except (AttributeError, TypeError, NotImplementedError) as error:
                    if f == "funcnn":
                        raise
                    tqdm.write(f"{row.name}, {f}: {error}")
                    del steps[f]
            for _ in range(rounds):
                for f, step in steps.items():
                    end = time.perf_counter() + seconds
                    while True:
                        start = time.perf_counter()
                        step()
                        now = time.perf_counter()
                        best[f] = min(best.get(f, now - start), now - start)
                        if now > end:
                            break
            times[row.name] = best
    return times


def table(times: dict[str, dict[str, float]]) -> str:
    peers = [f for f in MODULES if f != "funcnn" and any(f in t for t in times.values())]

    def ratio(name: str, peer: str) -> float:
        return times[name][peer] / times[name]["funcnn"] if peer in times[name] else float("inf")

    def reason(name: str, least: float) -> str:
        return REASONS.get(name, SPREAD if least >= 0.9 else "")

    def lines(names: list[str], reasons: bool) -> list[str]:
        head = ["operation", "funcnn, ms", *(f"{p} / funcnn" for p in peers), *(["why"] if reasons else [])]
        out = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        for name in names:
            cells = [name, f"{times[name]['funcnn'] * 1e3:.3f}"]
            cells += [f"{r:.2f}" if (r := ratio(name, p)) != float("inf") else "-" for p in peers]
            least = min(ratio(name, p) for p in peers)
            out.append("| " + " | ".join(cells + ([reason(name, least)] if reasons else [])) + " |")
        return out

    slow = sorted(
        (n for n in times if min(ratio(n, p) for p in peers) < 0.95), key=lambda n: min(ratio(n, p) for p in peers)
    )
    rest = [n for n in times if n not in slow]
    parts = ["## Slower than one of them", "", *(lines(slow, True) if slow else ["None."]), "", "## The rest", ""]
    return "\n".join([*parts, *lines(rest, False)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ops", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of rows; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="turns each framework gets at each row; default 3")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of a turn; default 0.05")
    parser.add_argument("--write", action="store_true", help="write benchmarks/ops.md")
    arguments = parser.parse_args()
    frameworks = [f for f in MODULES if importlib.util.find_spec(MODULES[f].split(".")[0])]
    importlib.import_module("funcnn").set_num_threads(1)
    text = table(measure(frameworks, arguments.names, arguments.rounds, arguments.seconds))
    print(text)
    if arguments.write:
        versions = ", ".join(f"{f} {importlib.import_module(MODULES[f]).__version__}" for f in frameworks)
        head = (
            f"# Every operation on one thread\n\nPrinted by `python -m benchmarks.ops --write`; {versions}. Milliseconds, "
            "least of a few\nturns; a million elements where nothing else is said. On a shared machine single rows waver "
            "by a tenth and more.\n\n"
        )
        (pathlib.Path(__file__).parent / "ops.md").write_text(head + text + "\n")


if __name__ == "__main__":
    main()
