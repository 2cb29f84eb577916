"""Elementwise functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import funcnn as fn

from . import _complex
from ._wrap import shim

_NUMBERS = (fn.array, bool, int, float, complex)


def _dtypes(args: tuple[Any, ...]) -> list[Any]:
    return [fn.asarray(x).dtype for x in args]


def _not_whole(error: Exception, *args: Any) -> Any:
    """Bitwise operations on numbers that are not whole: MLX raises RuntimeError."""
    if isinstance(error, ValueError) and not fn.isdtype(fn.result_type(*_dtypes(args)), ("bool", "integral")):
        raise RuntimeError(str(error)) from None
    raise error


def _raise(error: Exception, *args: Any) -> Any:
    raise error


def _of_bools(function: Callable[[Any, Any], Any], otherwise: Callable[..., Any] = _raise) -> Callable[..., Any]:
    """What MLX makes of two bools where the operation is defined for numbers alone.

    As in its operators, what other libraries hold takes the dtype of an array."""

    def of_bools(error: Exception, *args: Any) -> Any:
        beside = any(isinstance(x, fn.array) for x in args)
        bools = [x if isinstance(x, _NUMBERS) or not beside else fn.asarray(x).astype(fn.bool_) for x in args]
        if isinstance(error, ValueError) and {*_dtypes(tuple(bools))} == {fn.bool_}:
            return function(*(fn.asarray(x) for x in bools))
        return otherwise(error, *args)

    return of_bools


def _shifted(function: Callable[..., Any]) -> Callable[..., Any]:
    return _of_bools(lambda a, b: function(a.astype(fn.uint8), b.astype(fn.uint8)), _not_whole)


def _bool_remainder(a: Any, b: Any) -> Any:
    return fn.logical_and(a, fn.logical_not(b))


def _logical_xor(error: Exception, a: Any, b: Any) -> Any:
    # Of a number counts whether it is 0, not whether the other's dtype holds it.
    if isinstance(error, ValueError) and all(isinstance(x, _NUMBERS) for x in (a, b)):
        return fn.logical_xor(fn.asarray(a), fn.asarray(b))
    raise error


def _of_numbers(
    operands: int, function: Callable[..., Any], name: str, otherwise: Callable[..., Any] | None = None
) -> Any:
    """A function whose first arguments are arrays or numbers: for what is neither, but not for None, MLX raises ValueError."""

    def refused(error: Exception, *args: Any, **kwargs: Any) -> Any:
        if isinstance(error, TypeError) and not all(x is None or isinstance(x, _NUMBERS) for x in args[:operands]):
            raise ValueError(str(error)) from None
        if otherwise is None:
            raise error
        return otherwise(error, *args, **kwargs)

    return shim(function, name, otherwise=refused)


def _divmod(a: Any, b: Any) -> list[Any]:
    return list(fn.divmod(a, b))


def _clip(a: Any, /, a_min: Any, a_max: Any) -> Any:
    if a_min is None and a_max is None:
        raise ValueError("clip: at most one of a_min and a_max may be None")
    return fn.clip(a, _bound(a_min, a), _bound(a_max, a))


def _bound(x: Any, a: Any) -> Any:
    """What other libraries hold takes the dtype of the array."""
    if x is None or isinstance(x, (*_NUMBERS, str, list, tuple)) or not isinstance(a, fn.array):
        return x
    return x if hasattr(x, "__mlx_array__") else fn.asarray(x).astype(a.dtype)


_clip.__doc__ = fn.clip.__doc__
_unary = functools.partial(_of_numbers, 1)
_binary = functools.partial(_of_numbers, 2)

abs = _unary(fn.abs, "abs")
add = _binary(fn.add, "add")
arccos = _unary(fn.arccos, "arccos")
arccosh = _unary(fn.arccosh, "arccosh")
arcsin = _unary(fn.arcsin, "arcsin")
arcsinh = _unary(fn.arcsinh, "arcsinh")
arctan = _unary(fn.arctan, "arctan")
arctan2 = _binary(fn.arctan2, "arctan2")
arctanh = _unary(fn.arctanh, "arctanh")
bitwise_and = _binary(fn.bitwise_and, "bitwise_and", otherwise=_not_whole)
bitwise_invert = _unary(fn.bitwise_invert, "bitwise_invert", otherwise=_not_whole)
bitwise_or = _binary(fn.bitwise_or, "bitwise_or", otherwise=_not_whole)
bitwise_xor = _binary(fn.bitwise_xor, "bitwise_xor", otherwise=_not_whole)
ceil = _unary(fn.ceil, "ceil")
clip = shim(_clip, "clip", otherwise=_complex.clip)
conjugate = _unary(fn.conjugate, "conjugate")
cos = _unary(fn.cos, "cos")
cosh = _unary(fn.cosh, "cosh")
degrees = _unary(fn.degrees, "degrees")
divide = _binary(fn.divide, "divide")
divmod = _binary(_divmod, "divmod", otherwise=_of_bools(lambda a, b: [fn.logical_and(a, b), _bool_remainder(a, b)]))
equal = _binary(fn.equal, "equal")
erf = _unary(fn.erf, "erf")
erfinv = _unary(fn.erfinv, "erfinv")
exp = _unary(fn.exp, "exp")
expm1 = _unary(fn.expm1, "expm1")
floor = _unary(fn.floor, "floor")
floor_divide = _binary(fn.floor_divide, "floor_divide", otherwise=_of_bools(fn.logical_and, _complex.floor_divide))
greater = _binary(fn.greater, "greater", otherwise=_complex.greater)
greater_equal = _binary(fn.greater_equal, "greater_equal", otherwise=_complex.greater_equal)
imag = _unary(fn.imag, "imag")
isclose = shim(fn.isclose, "isclose")
isfinite = _unary(fn.isfinite, "isfinite")
isinf = _unary(fn.isinf, "isinf")
isnan = _unary(fn.isnan, "isnan")
isneginf = _unary(fn.isneginf, "isneginf")
isposinf = _unary(fn.isposinf, "isposinf")
left_shift = _binary(fn.left_shift, "left_shift", otherwise=_shifted(fn.left_shift))
less = _binary(fn.less, "less", otherwise=_complex.less)
less_equal = _binary(fn.less_equal, "less_equal", otherwise=_complex.less_equal)
log = _unary(fn.log, "log")
log10 = _unary(fn.log10, "log10")
log1p = _unary(fn.log1p, "log1p")
log2 = _unary(fn.log2, "log2")
logaddexp = _binary(fn.logaddexp, "logaddexp", otherwise=_complex.logaddexp)
logical_and = _binary(fn.logical_and, "logical_and")
logical_not = _unary(fn.logical_not, "logical_not")
logical_or = _binary(fn.logical_or, "logical_or")
logical_xor = _binary(fn.logical_xor, "logical_xor", otherwise=_logical_xor)
maximum = _binary(fn.maximum, "maximum", otherwise=_complex.maximum)
minimum = _binary(fn.minimum, "minimum", otherwise=_complex.minimum)
multiply = _binary(fn.multiply, "multiply")
nan_to_num = _unary(fn.nan_to_num, "nan_to_num")
negative = _unary(fn.negative, "negative")
not_equal = _binary(fn.not_equal, "not_equal")
positive = shim(fn.positive, "positive")
power = _binary(fn.power, "power", otherwise=_of_bools(lambda a, b: fn.logical_or(a, fn.logical_not(b))))
radians = _unary(fn.radians, "radians")
real = _unary(fn.real, "real")
reciprocal = _unary(fn.reciprocal, "reciprocal")
remainder = _binary(fn.remainder, "remainder", otherwise=_of_bools(_bool_remainder))
right_shift = _binary(fn.right_shift, "right_shift", otherwise=_shifted(fn.right_shift))
round = _unary(fn.round, "round")
rsqrt = _unary(fn.rsqrt, "rsqrt")
sigmoid = _unary(fn.sigmoid, "sigmoid")
sign = _unary(fn.sign, "sign")
sin = _unary(fn.sin, "sin")
sinh = _unary(fn.sinh, "sinh")
sqrt = _unary(fn.sqrt, "sqrt")
square = _unary(fn.square, "square")
subtract = _binary(fn.subtract, "subtract")
tan = _unary(fn.tan, "tan")
tanh = _unary(fn.tanh, "tanh")
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
conj = _unary(fn.conjugate, "conj")

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
