"""Elementwise functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcnn as fn

from . import _complex
from ._wrap import shim


def _dtypes(args: tuple[Any, ...]) -> list[Any]:
    return [fn.asarray(x).dtype for x in args]


def _not_whole(error: Exception, *args: Any) -> Any:
    """Bitwise operations on numbers that are not whole: MLX raises RuntimeError."""
    if isinstance(error, ValueError) and not fn.isdtype(fn.result_type(*_dtypes(args)), ("bool", "integral")):
        raise RuntimeError(str(error)) from None
    raise error


def _shifted(function: Callable[..., Any]) -> Callable[..., Any]:
    def otherwise(error: Exception, *args: Any) -> Any:
        if isinstance(error, ValueError) and all_bool(args):
            return function(*(fn.asarray(x).astype(fn.uint8) for x in args))
        return _not_whole(error, *args)

    def all_bool(args: tuple[Any, ...]) -> bool:
        return {*_dtypes(args)} == {fn.bool_}

    return otherwise


def _power_of_bools(error: Exception, *args: Any) -> Any:
    if isinstance(error, ValueError) and {*_dtypes(args)} == {fn.bool_}:
        return fn.logical_or(args[0], fn.logical_not(args[1]))
    raise error


def _divmod(a: Any, b: Any) -> list[Any]:
    return list(fn.divmod(a, b))


abs = shim(fn.abs, "abs")
add = shim(fn.add, "add")
arccos = shim(fn.arccos, "arccos")
arccosh = shim(fn.arccosh, "arccosh")
arcsin = shim(fn.arcsin, "arcsin")
arcsinh = shim(fn.arcsinh, "arcsinh")
arctan = shim(fn.arctan, "arctan")
arctan2 = shim(fn.arctan2, "arctan2")
arctanh = shim(fn.arctanh, "arctanh")
bitwise_and = shim(fn.bitwise_and, "bitwise_and", otherwise=_not_whole)
bitwise_invert = shim(fn.bitwise_invert, "bitwise_invert", otherwise=_not_whole)
bitwise_or = shim(fn.bitwise_or, "bitwise_or", otherwise=_not_whole)
bitwise_xor = shim(fn.bitwise_xor, "bitwise_xor", otherwise=_not_whole)
ceil = shim(fn.ceil, "ceil")
clip = shim(fn.clip, "clip", otherwise=_complex.clip)
conjugate = shim(fn.conjugate, "conjugate")
cos = shim(fn.cos, "cos")
cosh = shim(fn.cosh, "cosh")
degrees = shim(fn.degrees, "degrees")
divide = shim(fn.divide, "divide")
divmod = shim(_divmod, "divmod")
equal = shim(fn.equal, "equal")
erf = shim(fn.erf, "erf")
erfinv = shim(fn.erfinv, "erfinv")
exp = shim(fn.exp, "exp")
expm1 = shim(fn.expm1, "expm1")
floor = shim(fn.floor, "floor")
floor_divide = shim(fn.floor_divide, "floor_divide", otherwise=_complex.floor_divide)
greater = shim(fn.greater, "greater", otherwise=_complex.greater)
greater_equal = shim(fn.greater_equal, "greater_equal", otherwise=_complex.greater_equal)
imag = shim(fn.imag, "imag")
isclose = shim(fn.isclose, "isclose")
isfinite = shim(fn.isfinite, "isfinite")
isinf = shim(fn.isinf, "isinf")
isnan = shim(fn.isnan, "isnan")
isneginf = shim(fn.isneginf, "isneginf")
isposinf = shim(fn.isposinf, "isposinf")
left_shift = shim(fn.left_shift, "left_shift", otherwise=_shifted(fn.left_shift))
less = shim(fn.less, "less", otherwise=_complex.less)
less_equal = shim(fn.less_equal, "less_equal", otherwise=_complex.less_equal)
log = shim(fn.log, "log")
log10 = shim(fn.log10, "log10")
log1p = shim(fn.log1p, "log1p")
log2 = shim(fn.log2, "log2")
logaddexp = shim(fn.logaddexp, "logaddexp", otherwise=_complex.logaddexp)
logical_and = shim(fn.logical_and, "logical_and")
logical_not = shim(fn.logical_not, "logical_not")
logical_or = shim(fn.logical_or, "logical_or")
logical_xor = shim(fn.logical_xor, "logical_xor")
maximum = shim(fn.maximum, "maximum", otherwise=_complex.maximum)
minimum = shim(fn.minimum, "minimum", otherwise=_complex.minimum)
multiply = shim(fn.multiply, "multiply")
nan_to_num = shim(fn.nan_to_num, "nan_to_num")
negative = shim(fn.negative, "negative")
not_equal = shim(fn.not_equal, "not_equal")
positive = shim(fn.positive, "positive")
power = shim(fn.power, "power", otherwise=_power_of_bools)
radians = shim(fn.radians, "radians")
real = shim(fn.real, "real")
reciprocal = shim(fn.reciprocal, "reciprocal")
remainder = shim(fn.remainder, "remainder")
right_shift = shim(fn.right_shift, "right_shift", otherwise=_shifted(fn.right_shift))
round = shim(fn.round, "round")
rsqrt = shim(fn.rsqrt, "rsqrt")
sigmoid = shim(fn.sigmoid, "sigmoid")
sign = shim(fn.sign, "sign")
sin = shim(fn.sin, "sin")
sinh = shim(fn.sinh, "sinh")
sqrt = shim(fn.sqrt, "sqrt")
square = shim(fn.square, "square")
subtract = shim(fn.subtract, "subtract")
tan = shim(fn.tan, "tan")
tanh = shim(fn.tanh, "tanh")
trunc = shim(fn.trunc, "trunc")
where = shim(fn.where, "where")
stop_gradient = shim(fn.stop_gradient, "stop_gradient")
astype = shim(fn.astype, "astype")
view = shim(fn.view, "view")
to_fp8 = shim(fn.to_fp8, "to_fp8")
from_fp8 = shim(fn.from_fp8, "from_fp8")

acos = arccos
acosh = arccosh
asin = arcsin
asinh = arcsinh
atan = arctan
atan2 = arctan2
atanh = arctanh
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift
pow = power
conj = shim(fn.conjugate, "conj")

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "conjugate",
    "cos",
    "cosh",
    "degrees",
    "divide",
    "divmod",
    "equal",
    "erf",
    "erfinv",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "from_fp8",
    "greater",
    "greater_equal",
    "imag",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "nan_to_num",
    "negative",
    "not_equal",
    "positive",
    "pow",
    "power",
    "radians",
    "real",
    "reciprocal",
    "remainder",
    "right_shift",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tan",
    "tanh",
    "to_fp8",
    "trunc",
    "view",
    "where",
]
