"""Reductions and cumulative functions."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from . import _complex
from ._wrap import of_arrays, refuse_values, shim


def _count_nonzero(a: Any, /, axis: Any = None, keepdims: bool = False) -> Any:
    return fn.count_nonzero(a, axis=axis, keepdims=keepdims)


def _refuse_equal(error: Exception, a: Any, b: Any, equal_nan: bool = False) -> Any:
    return refuse_values(error, a, b)


all = of_arrays(fn.all, "all")
allclose = shim(fn.allclose, "allclose")
any = of_arrays(fn.any, "any")
argmax = of_arrays(fn.argmax, "argmax")
argmin = of_arrays(fn.argmin, "argmin")
array_equal = shim(fn.array_equal, "array_equal", otherwise=_refuse_equal)
count_nonzero = of_arrays(_count_nonzero, "count_nonzero")
cummax = of_arrays(fn.cummax, "cummax", otherwise=_complex.cummax)
cummin = of_arrays(fn.cummin, "cummin", otherwise=_complex.cummin)
cumprod = of_arrays(fn.cumprod, "cumprod")
cumsum = of_arrays(fn.cumsum, "cumsum")
logcumsumexp = of_arrays(fn.logcumsumexp, "logcumsumexp", otherwise=_complex.logcumsumexp)
logsumexp = of_arrays(fn.logsumexp, "logsumexp")
max = of_arrays(fn.max, "max", otherwise=_complex.max)
mean = of_arrays(fn.mean, "mean")
median = of_arrays(fn.median, "median", otherwise=_complex.median)
min = of_arrays(fn.min, "min", otherwise=_complex.min)
minmax = of_arrays(fn.minmax, "minmax", otherwise=_complex.minmax)
prod = of_arrays(fn.prod, "prod")
softmax = of_arrays(fn.softmax, "softmax")
std = of_arrays(fn.std, "std")
sum = of_arrays(fn.sum, "sum")
var = of_arrays(fn.var, "var")
diff = of_arrays(fn.diff, "diff")

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
