"""What the functions of float32 promise: bounds in units in the last place against float64, limits, order, symmetry.

test_accuracy.py asserts it on samples, tools/check_accuracy.py on every float32; docs/accuracy.md prints the bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

INF = float("inf")
NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Function:
    reference: Callable[..., np.ndarray]  # in float64
    bound: float  # ulp
    ranges: Sequence[tuple[float, float]]  # where the sample is dense
    limits: tuple[float, float]  # at minus and plus infinity
    order: Sequence[tuple[float, float, int]] = ()  # (from, to, 1: never falls, -1: never rises)
    symmetry: int = 0  # 1: even, -1: odd
    domain: tuple[float, float] = (-INF, INF)  # what is compared with the reference


def increasing(low: float = -INF, high: float = INF) -> list[tuple[float, float, int]]:
    return [(low, high, 1)]


def decreasing(low: float = -INF, high: float = INF) -> list[tuple[float, float, int]]:
    return [(low, high, -1)]


ROOT_HALF = np.sqrt(0.5)


def _tail(a: np.ndarray) -> np.ndarray:
    """The tail of the normal distribution over its density, by sqrt(2 pi)."""
    return 0.5 * special.erfcx(a * ROOT_HALF)


def _exp_half_square(a: np.ndarray) -> np.ndarray:
    """exp(-a * a / 2): the square of a float32 is exact in float64."""
    return np.exp(-0.5 * a * a)


def gelu(x: np.ndarray) -> np.ndarray:
    a = np.minimum(np.abs(x), 40)
    tail = a * _exp_half_square(a) * _tail(a)
    return np.where(x < 0, -tail, x - tail)


def gelu_derivative(x: np.ndarray) -> np.ndarray:
    a = np.minimum(np.abs(x), 40)
    tail = _exp_half_square(a) * (_tail(a) - a / np.sqrt(2 * np.pi))
    return np.where(np.isnan(x), x, np.where(x < 0, tail, 1 - tail))


def erfinv(x: np.ndarray) -> np.ndarray:
    inside = np.abs(x) <= 1  # SciPy is slow beyond
    return np.where(inside, special.erfinv(np.where(inside, x, 0)), np.nan)


UNARY = {
    "exp": Function(np.exp, 2, [(-104, 89), (-1, 1)], (0, INF), increasing()),
    "exp2": Function(np.exp2, 2, [(-150, 128), (-1, 1)], (0, INF), increasing()),
    "expm1": Function(np.expm1, 3, [(-20, 89), (-1, 1), (-1e-3, 1e-3)], (-1, INF), increasing()),
    "log": Function(np.log, 2, [(1e-3, 100), (0.5, 2)], (NAN, INF), increasing(0)),
    "log1p": Function(np.log1p, 3, [(-0.999, 100), (-0.5, 1), (-1e-3, 1e-3)], (NAN, INF), increasing(-1)),
    "log2": Function(np.log2, 3, [(1e-3, 100), (0.5, 2)], (NAN, INF), increasing(0)),
    "log10": Function(np.log10, 3, [(1e-3, 100), (0.5, 2)], (NAN, INF), increasing(0)),
    "sin": Function(np.sin, 1, [(-10, 10), (-1e6, 1e6), (-1e30, 1e30)], (NAN, NAN), increasing(-1.5, 1.5), -1),
    "cos": Function(np.cos, 1, [(-10, 10), (-1e6, 1e6), (-1e30, 1e30)], (NAN, NAN), decreasing(0, 3), 1),
    "tan": Function(np.tan, 1, [(-10, 10), (-1e6, 1e6), (-1e30, 1e30)], (NAN, NAN), increasing(-1.5, 1.5), -1),
    "arcsin": Function(np.arcsin, 1, [(-1, 1)], (NAN, NAN), increasing(-1, 1), -1),
    "arccos": Function(np.arccos, 1, [(-1, 1)], (NAN, NAN), decreasing(-1, 1)),
    "arctan": Function(np.arctan, 1, [(-10, 10)], (-np.pi / 2, np.pi / 2), increasing(), -1),
    "sinh": Function(np.sinh, 1, [(-89, 89), (-1, 1)], (-INF, INF), increasing(), -1),
    "cosh": Function(np.cosh, 1, [(-89, 89)], (INF, INF), increasing(0), 1),
    "tanh": Function(np.tanh, 4, [(-10, 10), (-1, 1)], (-1, 1), increasing(), -1),
    "arcsinh": Function(np.arcsinh, 1, [(-10, 10), (-1e-2, 1e-2)], (-INF, INF), increasing(), -1),
    "arccosh": Function(np.arccosh, 1, [(1, 10), (1, 1.01)], (NAN, INF), increasing(1)),
    "arctanh": Function(np.arctanh, 1, [(-1, 1), (-1e-2, 1e-2)], (NAN, NAN), increasing(-1, 1), -1),
    "sigmoid": Function(special.expit, 3, [(-104, 100), (-5, 5)], (0, 1), increasing()),
    "erf": Function(special.erf, 2, [(-4.2, 4.2), (-1, 1)], (-1, 1), increasing(), -1),
    "erfc": Function(special.erfc, 1, [(-4.2, 10.3), (-1, 1)], (2, 0), decreasing()),
    "erfinv": Function(erfinv, 2, [(-1, 1)], (NAN, NAN), increasing(-1, 1), -1),
    "gelu": Function(gelu, 4, [(-14.7, 10), (-14.7, -12.5), (-1, 1)], (0, INF)),
    "gelu_derivative": Function(
        gelu_derivative,
        4,
        [(-14.7, 10), (-14.7, -12.5), (-1, 1), (-0.76, -0.74), (-1.811, -1.809), (-13.137, -13.134)],
        (0, 1),
    ),
    "lgamma": Function(special.gammaln, 1, [(0.01, 50), (-5, 0)], (INF, INF), increasing(2), domain=(-1e6, INF)),
    "digamma": Function(special.digamma, 3, [(0.01, 50), (-5, 0)], (NAN, INF), increasing(0), domain=(-1e6, INF)),
    "square": Function(np.square, 0.5, [(-10, 10)], (INF, INF), increasing(0), 1),
    "reciprocal": Function(np.reciprocal, 0.5, [(1e-3, 10)], (0, 0), decreasing(0), -1),
    "sqrt": Function(np.sqrt, 0.5, [(0, 10)], (NAN, INF), increasing(0)),
    "rsqrt": Function(lambda x: 1 / np.sqrt(x), 2, [(1e-3, 10)], (NAN, 0), decreasing(0)),
}


@dataclasses.dataclass(frozen=True)
class Function2:
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray]
    bound: float
    ranges: Sequence[tuple[tuple[float, float], tuple[float, float]]]


BINARY = {
    "power": Function2(np.power, 1, [((0, 10), (-10, 10)), ((0.9, 1.1), (-500, 500)), ((0.99, 1.01), (-2000, 2000))]),
    "arctan2": Function2(np.arctan2, 1, [((-5, 5), (-5, 5)), ((-1e-9, 1e-9), (-5e-9, 5e-9)), ((-1e12, 1e12), (-1, 1))]),
    "logaddexp": Function2(np.logaddexp, 3, [((0, 50), (0, 50))]),
    "exp_product": Function2(lambda a, b: np.exp(a * b), 1, [((-10, 10), (-10, 10)), ((-1, 1), (-90, 80))]),
}


def errors(got: np.ndarray, want: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The errors of finite results in ulp, and where the others differ."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        unit = ((rounded.view(np.uint32) & np.uint32(0x7F800000)).view(np.float32)).astype(np.float64)
        np.maximum(unit, 2.0**-126, out=unit)
        error = np.subtract(got, want)
        np.abs(error, out=error)
        np.divide(error, unit, out=error)
        np.multiply(error, 2.0**23, out=error)
    others = np.zeros(error.shape, bool)
    if not np.isfinite(error).all():
        finite = np.isfinite(rounded)
        error[~finite] = 0
        error[finite & ~np.isfinite(got)] = INF
        # Just above the largest number a rounding more or less decides between it and infinity.
        others = ~finite & (got != rounded) & ~(np.isnan(got) & np.isnan(rounded))
    return error, others


def ulps(got: np.ndarray, want: np.ndarray) -> tuple[float, int, int]:
    """The largest error of finite results, where it is, and how many of the others differ."""
    error, others = errors(got, want)
    worst = int(np.argmax(error)) if error.size else 0
    return (float(error[worst]) if error.size else 0.0), worst, int(others.sum())


def order_violations(f: Function, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The elements of ascending `x` whose values are on the wrong side of those before them."""
    wrong = np.zeros(max(x.size - 1, 0), bool)
    for low, high, sign in f.order:
        inside = (x[:-1] >= low) & (x[1:] <= high)
        wrong |= inside & ((y[1:] < y[:-1]) if sign > 0 else (y[1:] > y[:-1]))
    return x[1:][wrong]


def symmetry_violations(f: Function, x: np.ndarray, y: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """The elements of `x` where f(-x), `mirrored`, is not plus or minus `y`, sign of zero included."""
    if not f.symmetry:
        return x[:0]
    same = (y if f.symmetry > 0 else -y).view(np.uint32) == mirrored.view(np.uint32)
    return x[~(same | (np.isnan(y) & np.isnan(mirrored)))]
