"""Comparisons of complex numbers: by real parts, and by imaginary parts where those are equal, as MLX compares them.

Each function is the ``otherwise`` of the one of its name, which takes real numbers only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcnn as fn


def _is_complex(*args: Any) -> bool:
    return any(
        isinstance(x, complex) or (isinstance(x, fn.array) and fn.isdtype(x.dtype, "complex floating")) for x in args
    )


def _parts(a: Any, b: Any) -> tuple[fn.array, fn.array, fn.array, fn.array]:
    a, b = fn.asarray(a), fn.asarray(b)
    return fn.real(a), fn.imag(a), fn.real(b), fn.imag(b)


def _less(a: Any, b: Any) -> fn.array:
    ar, ai, br, bi = _parts(a, b)
    return (ar < br) | ((ar == br) & (ai < bi))


def _compare(function: Callable[[Any, Any], fn.array]) -> Callable[..., fn.array]:
    def otherwise(error: Exception, a: Any, b: Any) -> fn.array:
        if not _is_complex(a, b):
            raise error
        return function(a, b)

    return otherwise


less = _compare(_less)
greater = _compare(lambda a, b: _less(b, a))
less_equal = _compare(lambda a, b: fn.logical_or(_less(a, b), fn.equal(a, b)))
greater_equal = _compare(lambda a, b: fn.logical_or(_less(b, a), fn.equal(a, b)))
maximum = _compare(lambda a, b: fn.where(_less(b, a), a, b))
minimum = _compare(lambda a, b: fn.where(_less(a, b), a, b))


def clip(error: Exception, a: Any, /, a_min: Any = None, a_max: Any = None) -> fn.array:
    if not _is_complex(a, a_min, a_max):
        raise error
    if a_min is not None:
        a = maximum(error, a, a_min)
    return a if a_max is None else minimum(error, a, a_max)


def _extreme(place: Callable[..., fn.array], error: Exception, a: Any, axis: Any, keepdims: bool) -> fn.array:
    if not isinstance(a, fn.array) or not _is_complex(a):
        raise error
    axes = list(range(a.ndim)) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    axes = [n + a.ndim if n < 0 else n for n in axes]
    if not axes:
        return a
    rest = [n for n in range(a.ndim) if n not in axes]
    flat = fn.transpose(a, rest + axes).reshape(*(a.shape[n] for n in rest), -1)
    found = fn.take_along_axis(flat, place(fn.stop_gradient(flat), -1, keepdims=True), -1)[..., 0]
    return found.reshape(*(1 if n in axes else a.shape[n] for n in range(a.ndim))) if keepdims else found


def max(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> fn.array:
    return _extreme(fn.argmax, error, a, axis, keepdims)


def min(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> fn.array:
    return _extreme(fn.argmin, error, a, axis, keepdims)


def minmax(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> tuple[fn.array, fn.array]:
    return min(error, a, axis, keepdims), max(error, a, axis, keepdims)
