"""Elementwise operations of the NumPy interpreter, with bounds on their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from .numpy_values import (
    HALVES,
    INEXACT,
    ROUNDOFF,
    Values,
    combine,
    convert,
    made,
    on_grid,
    promote,
    simplify,
    weak,
)
from .recipe import Const


def rsqrt(x: np.ndarray) -> np.ndarray:
    return 1 / np.sqrt(x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# Functions of one number: what computes them, and how many units of roundoff their argument and result may be off.
SMOOTH: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "sqrt": (np.sqrt, 2),
    "rsqrt": (rsqrt, 4),
    "reciprocal": (np.reciprocal, 4),
    "exp": (np.exp, 8),
    "expm1": (np.expm1, 8),
    "exp2": (np.exp2, 8),
    "log": (np.log, 8),
    "log1p": (np.log1p, 8),
    "log2": (np.log2, 8),
    "log10": (np.log10, 8),
    "sin": (np.sin, 8),
    "cos": (np.cos, 8),
    "tan": (np.tan, 32),
    "arcsin": (np.arcsin, 16),
    "arccos": (np.arccos, 16),
    "arctan": (np.arctan, 16),
    "sinh": (np.sinh, 16),
    "cosh": (np.cosh, 16),
    "tanh": (np.tanh, 16),
    "arcsinh": (np.arcsinh, 16),
    "arccosh": (np.arccosh, 16),
    "arctanh": (np.arctanh, 16),
    "sigmoid": (sigmoid, 16),
    "erf": (special.erf, 16),
    "erfinv": (special.erfinv, 64),
    "lgamma": (special.gammaln, 64),
    "digamma": (special.digamma, 64),
}
COMPLEX_SMOOTH = ("exp", "sin", "cos")
STEPS = {"floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc}
PREDICATES = {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}


def smooth(name: str, v: Values) -> Values:
    f, ulps = SMOOTH[name]
    v = convert(v, "float32") if v.dtype not in INEXACT else v
    x, e = v.x, v.bound
    y = f(x)
    # The argument may be off by its bound and by some roundoff; what lies between shows how much that matters.
    reach = e + ulps * ROUNDOFF["float32" if v.dtype in HALVES else v.dtype] * np.abs(x)
    if v.dtype == "complex64":
        spread = np.maximum(np.abs(f(x + reach) - y), np.abs(f(x + 1j * reach) - y)) * 3
    else:
        spread = np.maximum(np.abs(f(x + reach) - y), np.abs(f(x - reach) - y)) * 2
    spread = np.where(np.isnan(spread) & (e == 0) & np.isnan(y), 0.0, spread)
    # Far from linear: nothing is known. Nor of what functions do at infinity, which has tests of its own.
    spread = np.where((e > 0.01 * (1 + np.abs(x))) | (np.isinf(x)) | np.isinf(y), np.inf, spread)
    # Between the two ends may lie a pole.
    if name in ("lgamma", "digamma"):
        spread = np.where((x - reach <= 0.5) & (np.abs(x - np.rint(x)) <= reach), np.inf, spread)
    elif name in ("reciprocal", "rsqrt", "log", "log2", "log10"):
        spread = np.where((np.abs(x) <= reach) & (e > 0), np.inf, spread)
    elif name == "tan" and v.dtype != "complex64":
        spread = np.where(np.abs(np.remainder(x, np.pi) - np.pi / 2) <= 2 * reach, np.inf, spread)
    spread = np.where(np.isnan(x) & (e == 0), 0.0, spread)
    return made(y, v.dtype, spread, ulps, correct=False)


def unary(name: str, v: Values) -> Values:
    if name in SMOOTH:
        return smooth(name, v)
    x, e, dtype = v.x, v.e, v.dtype
    if name in STEPS:
        if dtype not in INEXACT:
            return v
        y = STEPS[name](x)
        unsure = None
        if e is not None:
            unsure = np.where((STEPS[name](x - e) != y) | (STEPS[name](x + e) != y), np.inf, 0.0) * (e > 0)
        return made(y, dtype, unsure)
    if name in PREDICATES:
        return Values(PREDICATES[name](x), "bool_", combine(np.where(e > 1e30, e, 0.0) if e is not None else None))
    if name == "logical_not":
        return unary_not(v)
    if name == "bitwise_invert":
        return Values(np.invert(x), dtype, e)
    if name == "negative":
        return Values(np.negative(x), dtype, e)
    if name == "abs":
        return made(np.abs(x), "float32" if dtype == "complex64" else dtype, e, 4, dtype != "complex64")
    if name == "sign":
        unsure = None if e is None else np.where((np.abs(x) <= e) & (e > 0), np.inf, 0.0)
        return Values(np.sign(x), dtype, simplify(unsure))
    if name == "square":
        return binary("multiply", v, v)
    if name in ("real", "imag"):
        if dtype != "complex64":
            return v if name == "real" else Values(np.zeros_like(x), dtype, None)
        return Values(np.array(getattr(x, name)), "float32", e)
    if name == "conjugate":
        return Values(np.conjugate(x), dtype, e)
    raise KeyError(name)


def unary_not(v: Values) -> Values:
    truth = convert(v, "bool_")
    return Values(~truth.x, "bool_", truth.e)


UNARY = (
    *SMOOTH,
    *STEPS,
    *PREDICATES,
    "logical_not",
    "bitwise_invert",
    "negative",
    "abs",
    "sign",
    "square",
    "real",
    "imag",
    "conjugate",
)


def operands(a: Any, b: Any) -> tuple[Values, Values]:
    """Two operands in the dtype they meet in."""
    if isinstance(a, Const):
        dtype = weak(b.dtype, a.value)
        return constant(a.value, dtype), convert(b, dtype)
    if isinstance(b, Const):
        dtype = weak(a.dtype, b.value)
        return convert(a, dtype), constant(b.value, dtype)
    dtype = promote(a.dtype, b.dtype)
    return convert(a, dtype), convert(b, dtype)


def constant(value: Any, dtype: str) -> Values:
    if dtype in INEXACT:
        return (
            convert(Values(np.array(value, np.float64), "float64"), dtype)
            if dtype != "float64"
            else Values(np.array(value, np.float64), dtype)
        )
    return convert(Values(np.array(value), "int64" if not isinstance(value, bool) else "bool_"), dtype)


def times(a: np.ndarray, e: np.ndarray | None) -> Any:
    """|a| * e, where nothing times an error of nothing is nothing."""
    if e is None:
        return 0.0
    return np.where(e == 0, 0.0, np.abs(a) * e)


def arithmetic(name: str, a: Values, b: Values) -> Values:
    x, y, dtype = a.x, b.x, a.dtype
    if name in ("add", "subtract"):
        z = x + y if name == "add" else x - y
        return made(z, dtype, a.bound + b.bound if not (a.exact and b.exact) else None)
    if name == "multiply":
        z = x * y
        e = None
        if not (a.exact and b.exact):
            e = times(y, a.e) + times(x, b.e) + times(a.bound, b.e)
        if dtype == "float64":
            # A product that is added to something may keep more digits than it has here.
            e = (0.0 if e is None else e) + np.where(on_grid(x) & on_grid(y), 0.0, ROUNDOFF[dtype] * np.abs(z))
        if dtype == "complex64":
            room = np.abs(x) * np.abs(y)
            exact = on_grid(x) & on_grid(y) & (room < 2.0**12) & (np.rint(z * 1024) == z * 1024)
            e = (0.0 if e is None else e) + np.where(exact, 0.0, 4 * ROUNDOFF[dtype] * room)
        return made(z, dtype, e)
    assert name == "divide"
    z = x / y
    least = np.abs(y) - b.bound
    e = np.where(least > 0, (a.bound + np.where(b.bound > 0, np.abs(z) * b.bound, 0.0)) / least, np.inf)
    return made(z, dtype, e, 16 if dtype == "complex64" else 2, correct=dtype != "complex64")


def whole_division(name: str, a: Values, b: Values) -> Values:
    x, y, dtype = a.x, b.x, a.dtype
    f = np.floor_divide if name == "floor_divide" else np.remainder
    z = f(x, np.where(y == 0, 1, y)) if dtype not in INEXACT else f(x, y)
    if name == "floor_divide" and dtype in INEXACT:
        z = np.where(np.isinf(x) | np.isinf(y), x / y, z)
    unsure: Any = y == 0
    if dtype in INEXACT:
        q = x / y
        whole = (np.rint(x) == x) & (np.rint(y) == y) & (np.abs(x) < 2.0**11) & a.known() & (a.bound + b.bound == 0)
        near = np.abs(q - np.rint(q)) <= 1e-5 + 1e-3 * (dtype in HALVES) + (a.bound + np.abs(q) * b.bound) / np.abs(y)
        unsure = unsure | ~np.isfinite(q) | (~whole & (near | (np.abs(q) > 1e3) | np.isnan(near)))
        e = np.where(unsure, np.inf, 0.0)
        if name == "remainder":
            e = e + a.bound + (np.abs(q) + 1) * b.bound
            return made(z, dtype, e + np.where(whole, 0.0, 8 * ROUNDOFF["float32"] * np.abs(x)))
        return made(z, dtype, e + np.where((a.bound + b.bound) > 1e30, np.inf, 0.0))
    return Values(z, dtype, combine(a.e, b.e, np.where(unsure, np.inf, 0.0)))


def power(a: Values, b: Values) -> Values:
    x, y, dtype = a.x, b.x, a.dtype
    if dtype not in INEXACT:
        negative = y < 0
        z = np.power(x, np.where(negative, 0, y))
        return Values(z, dtype, combine(a.e, b.e, np.where(negative, np.inf, 0.0)))
    u = 8 * ROUNDOFF["float32" if dtype in HALVES else dtype]
    z = np.power(x, y)
    da, db = a.bound + u * np.abs(x), b.bound + u * np.abs(y)
    e: Any = 0.0
    for s in (-1, 1):
        for t in (-1, 1):
            e = np.maximum(e, np.abs(np.power(x + s * da, y + t * db) - z))
    # A negative base takes whole exponents only.
    odd = (x - da <= 0) | ~np.isfinite(z) | ~np.isfinite(x) | ~np.isfinite(y)
    plain = a.exact and b.exact and np.all(y == np.rint(y))
    if plain:
        e = np.where(odd, np.where(np.isfinite(z) & (np.abs(y) < 8) & (x != 0), 16 * u * np.abs(z), np.inf), e)
    else:
        e = np.where(odd, np.inf, e)
    return made(z, dtype, e * 2, 16, correct=False)


def compare(name: str, a: Values, b: Values) -> Values:
    f = {
        "equal": np.equal,
        "not_equal": np.not_equal,
        "less": np.less,
        "less_equal": np.less_equal,
        "greater": np.greater,
        "greater_equal": np.greater_equal,
    }[name]
    e = None
    if not (a.exact and b.exact):
        room = a.bound + b.bound
        close = ~(np.abs(a.x - b.x) > room) if a.inexact_dtype else True
        e = np.where((room > 0) & close, np.inf, 0.0)
    return Values(f(a.x, b.x), "bool_", simplify(e))


COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
LOGIC = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor}
BITWISE = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
}
COMPLEX_BINARY = ("add", "subtract", "multiply", "divide", "equal", "not_equal", *LOGIC)
BINARY = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "power",
    "maximum",
    "minimum",
    "arctan2",
    "logaddexp",
    *COMPARISONS,
    *LOGIC,
    *BITWISE,
)


def binary(name: str, a: Any, b: Any) -> Values:
    a, b = operands(a, b)
    if name in ("divide", "arctan2", "logaddexp") and a.dtype not in INEXACT:
        a, b = convert(a, "float32"), convert(b, "float32")
    x, y, dtype = a.x, b.x, a.dtype
    if dtype == "complex64" and name not in COMPLEX_BINARY:
        raise ValueError(f"{name} of complex numbers")
    if name in ("add", "subtract", "multiply", "divide"):
        if dtype == "bool_":
            a, b = convert(a, "uint8"), convert(b, "uint8")
            return convert(arithmetic(name, a, b), "bool_")
        return arithmetic(name, a, b)
    if name in ("floor_divide", "remainder"):
        return whole_division(name, a, b)
    if name == "power":
        return power(a, b)
    if name in ("maximum", "minimum"):
        f = np.maximum if name == "maximum" else np.minimum
        e = None if a.exact and b.exact else np.maximum(a.bound, b.bound)
        if e is not None and dtype not in INEXACT:
            return Values(f(x, y), dtype, combine(e))
        return Values(f(x, y), dtype, simplify(None if e is None else np.broadcast_to(e, np.shape(x + y))))
    if name == "arctan2":
        z = np.arctan2(x, y)
        square = x * x + y * y
        e = 2 * (np.abs(y) * a.bound + np.abs(x) * b.bound) / square
        edge = (square < 1e-12) | ((y - b.bound <= 0) & (np.abs(x) <= a.bound)) | ~np.isfinite(square) | (x == 0)
        e = np.where(edge | (a.bound + b.bound > 0.1 * np.sqrt(square)), np.inf, e)
        return made(z, dtype, e, 16, correct=False)
    if name == "logaddexp":
        z = np.logaddexp(x, y)
        u = ROUNDOFF["float32" if dtype in HALVES else dtype]
        e = np.maximum(a.bound, b.bound) + 16 * u * (1 + np.maximum(np.abs(x), np.abs(y)))
        e = np.where(np.isfinite(x) & np.isfinite(y), e, np.inf)
        return made(z, dtype, e, 8, correct=False)
    if name in COMPARISONS:
        return compare(name, a, b)
    if name in LOGIC:
        p, q = convert(a, "bool_"), convert(b, "bool_")
        e = None if p.exact and q.exact else combine(p.bound + q.bound)
        return Values(LOGIC[name](p.x, q.x), "bool_", e)
    e = None if a.exact and b.exact else combine(a.bound + b.bound)
    return Values(BITWISE[name](x, y).astype(x.dtype), dtype, e)


def select(c: Values, a: Any, b: Any) -> Values:
    truth = convert(c, "bool_")
    if isinstance(a, Const) and isinstance(b, Const):
        raise ValueError("select of two constants")
    a, b = operands(a, b)
    e: Any = None
    if not (a.exact and b.exact and truth.exact):
        e = np.where(truth.x, a.bound, b.bound) + np.where(truth.bound > 0, np.inf, 0.0)
    return Values(np.where(truth.x, a.x, b.x), a.dtype, simplify(e))
