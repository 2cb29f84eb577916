"""Reductions and cumulative functions."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from . import _complex
from ._wrap import refuse_values, shim


def _count_nonzero(a: Any, /, axis: Any = None, keepdims: bool = False) -> Any:
    return fn.count_nonzero(a, axis=axis, keepdims=keepdims)


def _refuse_equal(error: Exception, a: Any, b: Any, equal_nan: bool = False) -> Any:
    return refuse_values(error, a, b)


all = shim(fn.all, "all")
allclose = shim(fn.allclose, "allclose")
any = shim(fn.any, "any")
argmax = shim(fn.argmax, "argmax")
argmin = shim(fn.argmin, "argmin")
array_equal = shim(fn.array_equal, "array_equal", otherwise=_refuse_equal)
count_nonzero = shim(_count_nonzero, "count_nonzero")
cummax = shim(fn.cummax, "cummax", otherwise=_complex.cummax)
cummin = shim(fn.cummin, "cummin", otherwise=_complex.cummin)
cumprod = shim(fn.cumprod, "cumprod")
cumsum = shim(fn.cumsum, "cumsum")
logcumsumexp = shim(fn.logcumsumexp, "logcumsumexp", otherwise=_complex.logcumsumexp)
logsumexp = shim(fn.logsumexp, "logsumexp")
max = shim(fn.max, "max", otherwise=_complex.max)
mean = shim(fn.mean, "mean")
median = shim(fn.median, "median", otherwise=_complex.median)
min = shim(fn.min, "min", otherwise=_complex.min)
minmax = shim(fn.minmax, "minmax", otherwise=_complex.minmax)
prod = shim(fn.prod, "prod")
softmax = shim(fn.softmax, "softmax")
std = shim(fn.std, "std")
sum = shim(fn.sum, "sum")
var = shim(fn.var, "var")
diff = shim(fn.diff, "diff")

cumulative_prod = cumprod
cumulative_sum = cumsum

__all__ = [
    "all",
    "allclose",
    "any",
    "argmax",
    "argmin",
    "array_equal",
    "count_nonzero",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "logcumsumexp",
    "logsumexp",
    "max",
    "mean",
    "median",
    "min",
    "minmax",
    "prod",
    "softmax",
    "std",
    "sum",
    "var",
]
