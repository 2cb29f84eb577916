"""Steps that a recipe may take: elementwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .builder import Builder, is_float
from .numpy_elementwise import COMPARISONS, COMPLEX_SMOOTH, PREDICATES, STEPS
from .numpy_elementwise import SMOOTH as SMOOTH_UNARY
from .numpy_values import DTYPES, FLOATS, HALVES, INEXACT, INTEGERS, UNSIGNED, Values, promote
from .recipe import Const


def unary_names(b: Builder, dtype: str) -> list[str]:
    if b.smooth:
        return [*SMOOTH_UNARY, "negative", "abs", "square"]
    if dtype == "bool_":
        return ["logical_not", "bitwise_invert"]
    if dtype == "complex64":
        return ["negative", "square", *COMPLEX_SMOOTH, "abs", "real", "imag", "conjugate", "isnan"]
    if dtype in INTEGERS:
        names = [
            "negative",
            "abs",
            "sign",
            "square",
            "bitwise_invert",
            "logical_not",
            "floor",
            "exp",
            "sin",
            "isfinite",
        ]
        return [n for n in names if n != "negative" or dtype not in UNSIGNED]
    return ["negative", "abs", "sign", "square", *SMOOTH_UNARY, *STEPS, *PREDICATES, "logical_not"]


def any_unary(b: Builder) -> int:
    v = b.pick()
    return b.one(b.choices.pick(unary_names(b, b.dtype(v))), v)


def constant(b: Builder, dtype: str) -> Const:
    c = b.choices
    if dtype in INEXACT and c.chance(0.7):
        return Const(c.pick((0.5, 2.0, 1.0, -1.5, 0.25, 3.0, 0.1, 0.0)))
    return Const(c.pick((1, 2, 0, 3)) if dtype in UNSIGNED else c.pick((1, 2, 0, -1, 3)))


def binary_names(b: Builder, dtype: str) -> list[str]:
    plain = ["add", "subtract", "multiply", "add", "multiply"]
    if b.smooth:
        return [*plain, "divide", "maximum", "minimum", "logaddexp", "arctan2"]
    if dtype == "bool_":
        return ["logical_and", "logical_or", "logical_xor", "equal", "not_equal", "maximum", "bitwise_and"]
    if dtype == "complex64":
        return [*plain, "divide", "equal"]
    both = [*plain, "divide", "floor_divide", "remainder", "maximum", "minimum", *COMPARISONS, "logical_and"]
    if dtype in INTEGERS:
        return [*both, "bitwise_and", "bitwise_or", "bitwise_xor", "logaddexp"]
    return [*both, "arctan2", "logaddexp", "power"]


def partner(b: Builder, shape: tuple[int, ...], fits: Callable[[Values], bool] = lambda v: True) -> int:
    """A value that broadcasts with a shape."""

    def meets(v: Values) -> bool:
        try:
            return fits(v) and math.prod(np.broadcast_shapes(v.shape, shape)) <= b.scale.limit
        except ValueError:
            return False

    if (b.open and b.choices.chance(0.15)) or not b.candidates(meets):
        return b.new_input(b.broadcastable(shape), b.new_dtype())
    return b.pick(meets)


def any_binary(b: Builder) -> int:
    c = b.choices
    first = b.pick()
    if c.chance(0.25):
        name = c.pick(binary_names(b, b.dtype(first)))
        k = constant(b, b.dtype(first))
        if b.dtype(first) in INTEGERS and c.chance(0.3):
            return b.one(c.pick(("left_shift", "right_shift", "power")), first, Const(c.integer(0, 3)))
        if b.dtype(first) == "bool_" and not isinstance(k.value, bool):
            k = Const(True)
        return b.one(name, k, first) if c.chance(0.4) else b.one(name, first, k)
    second = partner(b, b.shape(first))
    if c.chance(0.5):
        first, second = second, first
    return b.one(c.pick(binary_names(b, promote(b.dtype(first), b.dtype(second)))), first, second)


def where(b: Builder) -> int:
    c = b.choices
    first = b.pick()
    mask = partner(b, b.shape(first), lambda v: v.dtype == "bool_") if not b.smooth else threshold(b, first)
    shape = np.broadcast_shapes(b.shape(mask), b.shape(first))
    second = constant(b, b.dtype(first)) if c.chance(0.3) else partner(b, shape)
    return b.one("where", mask, *((first, second) if c.chance(0.5) else (second, first)))


def threshold(b: Builder, v: int) -> int:
    return b.one(b.choices.pick(("less", "greater")), v, Const(b.choices.pick((0.1, -0.3, 0.7))))


def masked(b: Builder) -> int:
    v = b.pick(is_float)
    return b.one("where", threshold(b, v), v, Const(b.choices.pick((0.0, 1.0, -2.0))))


def cast(b: Builder) -> int:
    return b.one("astype", b.pick(), dtype=b.choices.pick(DTYPES if b.choices.chance(0.5) else FLOATS))


def round_trip(b: Builder) -> int:
    """Through half precision and back."""
    v = b.pick(is_float)
    half = b.one("astype", v, dtype=b.choices.pick(HALVES))
    return b.one("astype", any_binary(b) if b.choices.chance(0.3) else half, dtype=b.dtype(v))
