"""Complex numbers where they are ordered: by real parts, and by imaginary parts where those are equal, as MLX orders them.

Each function is the ``otherwise`` of the one of its name, which takes real numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import funcnn as fn

from ._wrap import refuse_values


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


def _larger(a: Any, b: Any) -> fn.array:
    return fn.where(_less(b, a), a, b) if _is_complex(a, b) else fn.maximum(a, b)


def _smaller(a: Any, b: Any) -> fn.array:
    return fn.where(_less(a, b), a, b) if _is_complex(a, b) else fn.minimum(a, b)


maximum = _compare(_larger)
minimum = _compare(_smaller)


def clip(error: Exception, a: Any, /, a_min: Any = None, a_max: Any = None) -> fn.array:
    if a_min is a_max is None or not _is_complex(a, a_min, a_max):
        refuse_values(error, a, a_min, a_max)
    if a_min is not None:
        a = _larger(a, a_min)
    return a if a_max is None else _smaller(a, a_max)


def _flattened(error: Exception, a: Any, axis: Any) -> tuple[fn.array, list[int]]:
    """The array with the axes named as the last one."""
    if not isinstance(a, fn.array) or not _is_complex(a):
        raise error
    axes = list(range(a.ndim)) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    axes = [n + a.ndim if n < 0 else n for n in axes]
    if not all(0 <= n < a.ndim for n in axes):
        raise error
    rest = [n for n in range(a.ndim) if n not in axes]
    count = math.prod(a.shape[n] for n in axes)
    return fn.transpose(a, rest + axes).reshape(*(a.shape[n] for n in rest), count), axes


def _restored(found: fn.array, a: fn.array, axes: list[int], keepdims: bool) -> fn.array:
    return found.reshape(*(1 if n in axes else a.shape[n] for n in range(a.ndim))) if keepdims else found


def _extreme(place: Callable[..., fn.array], error: Exception, a: Any, axis: Any, keepdims: bool) -> fn.array:
    flat, axes = _flattened(error, a, axis)
    if not axes:
        return fn.asarray(a)
    places = place(fn.stop_gradient(flat), -1, keepdims=True)
    return _restored(fn.take_along_axis(flat, places, -1)[..., 0], a, axes, keepdims)


def max(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> fn.array:
    return _extreme(fn.argmax, error, a, axis, keepdims)


def min(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> fn.array:
    return _extreme(fn.argmin, error, a, axis, keepdims)


def minmax(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> tuple[fn.array, fn.array]:
    return min(error, a, axis, keepdims), max(error, a, axis, keepdims)


def _added(a: Any, b: Any) -> fn.array:
    """log(exp(a) + exp(b))"""
    larger = fn.where(_less(b, a), a, b)
    smaller = fn.where(_less(b, a), b, a)
    nothing = fn.real(larger) == -fn.inf
    grown = larger + fn.log(1 + fn.exp(smaller - fn.where(nothing, 0, larger)))
    return fn.where(nothing, larger, grown)


logaddexp = _compare(_added)
floor_divide = _compare(fn.divide)


def _cumulative(combine: Callable[[Any, Any], fn.array], nothing: complex) -> Callable[..., fn.array]:
    def otherwise(
        error: Exception, a: Any, /, axis: Any = None, *, reverse: bool = False, inclusive: bool = True
    ) -> fn.array:
        if not _is_complex(a) or not isinstance(a, fn.array):
            raise error
        if axis is None:
            a, axis = a.reshape(-1), 0
        if not isinstance(axis, int) or not -a.ndim <= axis < a.ndim:
            raise error
        found: fn.array = fn.associative_scan(combine, a, reverse=reverse, axis=axis)
        if inclusive or not a.shape[axis]:
            return found
        first = fn.full([1 if n == axis % a.ndim else size for n, size in enumerate(a.shape)], nothing, fn.complex64)
        kept = fn.take(found, fn.arange(1, a.shape[axis]) if reverse else fn.arange(a.shape[axis] - 1), axis)
        return fn.concatenate([kept, first] if reverse else [first, kept], axis)

    return otherwise


cummax = _cumulative(lambda a, b: fn.where(_less(a, b), b, a), complex(-fn.inf, -fn.inf))
cummin = _cumulative(lambda a, b: fn.where(_less(b, a), b, a), complex(fn.inf, fn.inf))
logcumsumexp = _cumulative(_added, complex(-fn.inf, 0))


def median(error: Exception, a: Any, /, axis: Any = None, keepdims: bool = False) -> fn.array:
    flat, axes = _flattened(error, a, axis)
    count = flat.shape[-1]
    if not axes or not count:
        raise error
    order = fn.argsort(fn.stop_gradient(flat), -1)
    middle = fn.take_along_axis(flat, order[..., (count - 1) // 2 : count // 2 + 1], -1)
    return _restored(fn.mean(middle, -1), a, axes, keepdims)
