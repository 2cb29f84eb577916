"""Order statistics: quantiles, percentiles, medians."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from . import _core
from ._arguments import integers
from ._core import Dtype, array
from ._device import default_device
from ._types import ArrayLike, DtypeLike

# For each method: where in n sorted elements the q-quantile lies, counted from 0, and how much of the way from the element
# before that place to the one behind it is gone, given the fraction of the place and the number of the element before.
# `xp` is NumPy or funcnn. The names are NumPy's; 1 to 9 number the methods in R. J. Hyndman and Y. Fan, Sample quantiles in
# statistical packages, The American Statistician 50, 1996.
Place = Callable[[int, Any], Any]
Weight = Callable[[Any, Any, Any], Any]


def _plotting(alpha: float, beta: float) -> Place:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _counted(n: int, q: Any) -> Any:
    return n * q - 1


def _spread(n: int, q: Any) -> Any:
    return (n - 1) * q


def _fraction(xp: Any, fraction: Any, before: Any) -> Any:
    return fraction


_METHODS: dict[str, tuple[Place, Weight]] = {
    "inverted_cdf": (_counted, lambda xp, f, before: xp.where(f > 0, 1.0, 0.0)),  # 1
    "averaged_inverted_cdf": (_counted, lambda xp, f, before: xp.where(f > 0, 1.0, 0.5)),  # 2
    "closest_observation": (  # 3: halves to the even element, counted from 1
        lambda n, q: n * q - 1.5,
        lambda xp, f, before: xp.where((f == 0) & (xp.remainder(before, 2) == 1), 0.0, 1.0),
    ),
    "interpolated_inverted_cdf": (_counted, _fraction),  # 4
    "hazen": (_plotting(0.5, 0.5), _fraction),  # 5
    "weibull": (_plotting(0, 0), _fraction),  # 6
    "linear": (_spread, _fraction),  # 7
    "median_unbiased": (_plotting(1 / 3, 1 / 3), _fraction),  # 8
    "normal_unbiased": (_plotting(3 / 8, 3 / 8), _fraction),  # 9
    "lower": (_spread, lambda xp, f, before: xp.where(f > 0, 0.0, 0.0)),
    "higher": (_spread, lambda xp, f, before: xp.where(f > 0, 1.0, 0.0)),
    "midpoint": (_spread, lambda xp, f, before: xp.where(f > 0, 0.5, 0.0)),
    "nearest": (  # halves to the even element, counted from 0
        _spread,
        lambda xp, f, before: xp.where((f > 0.5) | ((f == 0.5) & (xp.remainder(before, 2) == 1)), 1.0, 0.0),
    ),
}


def quantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: int | Sequence[int] | None = None,
    method: str = "linear",
    keepdims: bool = False,
) -> array:
    """Find the value below which a part of the elements lies.

    Args:
        a: A real array. The result for integers is ``float32``, of what lies between them exactly. If an element is NaN,
            so is the result.
        q: Which parts, between 0 and 1: a number, a list or an array. Parts whose value is known are placed in double
            precision, traced ones in their own.
        axis: The axis or axes to reduce; default: all.
        method: What to do where the quantile falls between two elements, by NumPy's names: ``linear`` (default),
            ``lower``, ``higher``, ``midpoint``, ``nearest``; ``inverted_cdf``, ``averaged_inverted_cdf``,
            ``closest_observation``, ``interpolated_inverted_cdf``, ``hazen``, ``weibull``, ``median_unbiased``,
            ``normal_unbiased``.
        keepdims: Keep the reduced axes with length 1.

    Returns:
        The quantiles: the shape of `q`, then that of `a` without the reduced axes. NaN where there are no elements.

    Raises:
        ValueError: `q` is known and not within [0, 1]; the method is unknown; `a` is complex.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> x = fn.array([4.0, 1.0, 3.0, 2.0])
        >>> fn.quantile(x, [0.25, 0.5])
        array([1.75, 2.5 ], dtype=float32)
        >>> fn.quantile(x, 0.25, method="lower")
        array(1., dtype=float32)
    """
    return _quantile("quantile", a, q, 1, axis, method, keepdims)


def percentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: int | Sequence[int] | None = None,
    method: str = "linear",
    keepdims: bool = False,
) -> array:
    """Find the value below which a percentage of the elements lies: ``quantile(a, q / 100)``.

    Args:
        a: A real array.
        q: Which percentages, between 0 and 100.
        axis, method, keepdims: As in :func:`quantile`.

    Example:
        >>> import funcnn as fn
        >>> fn.percentile(fn.array([1.0, 2.0, 3.0]), 75)
        array(2.5, dtype=float32)
    """
    return _quantile("percentile", a, q, 100, axis, method, keepdims)


def median(a: ArrayLike, /, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> array:
    """Find the middle element in sorted order, or the mean of the two in the middle.

    Args:
        a: A real array. The result for integers is ``float32``, of what is in the middle exactly. If an element is NaN, so
            is the result.
        axis: The axis or axes to reduce; default: all.
        keepdims: Keep the reduced axes with length 1.

    Example:
        >>> import funcnn as fn
        >>> fn.median(fn.array([[1, 5, 2], [4, 3, 9]]), axis=1)
        array([2., 4.], dtype=float32)
    """
    return _quantile("median", a, 0.5, 1, axis, "linear", keepdims)


def _quantile(name: str, a: Any, q: Any, whole: int, axis: Any, method: str, keepdims: bool) -> array:
    if method not in _METHODS:
        raise ValueError(f"{name}: unknown method {method!r}; expected one of {', '.join(map(repr, _METHODS))}")
    x = _core.asarray(a)
    if _core.isdtype(x.dtype, "complex floating"):
        raise ValueError(f"{name}: complex numbers have no order, got {x.dtype}")
    whole_numbers = not _core.isdtype(x.dtype, "real floating")
    if x.dtype == _core.bool_:
        x = x.astype(_core.uint8)
    dtype = _core.float32 if whole_numbers else x.dtype
    axes = _axes(name, x.ndim, axis)
    kept = [i for i in range(x.ndim) if i not in axes]
    rest = tuple(x.shape[i] for i in kept)
    count = math.prod(x.shape[i] for i in axes)
    rows = _core.transpose(x, [*kept, *axes]).reshape(*rest, count) if axes else x[..., None]
    find = _neighbours_of_number if type(q) in (int, float) else _neighbours
    shape, skipped, low, high, w = find(name, q, whole, method, count, _core.float64 if whole_numbers else _wide(x))
    if count == 0:
        found = _core.full((*rest, *shape), math.nan, dtype)
    else:
        if axes:
            rows = _core.topk(rows, count - skipped)
        with default_device("cpu"):  # which has float64
            low, high, w = (_core.asarray(n) for n in (low, high, w))
        low, high = (_core._device_put(n, rows.device) for n in (low, high))
        found = _between_integers(rows, low, high, w) if whole_numbers else _between(rows, low, high, w)
    found = _core.transpose(found, [*range(len(rest), found.ndim), *range(len(rest))])
    if keepdims:
        found = found.reshape(*shape, *(1 if i in axes else x.shape[i] for i in range(x.ndim)))
    return found.astype(dtype)


def _axes(name: str, rank: int, axis: Any) -> list[int]:
    if axis is None:
        return list(range(rank))
    given = integers(axis, f"{name}: axis")
    for i in given:
        if not -rank <= i < rank:
            raise _core.AxisError(f"{name}: an array of {rank} axes has no axis {i}")
    axes = [i % rank for i in given]
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: an axis is named twice in {axis}")
    return axes


def _parts(name: str, q: Any, whole: int) -> tuple[Any, Any]:
    """The parts as an array, and the module to compute with: NumPy where values are known and need no derivative."""
    import numpy as np

    if isinstance(q, array) and _core.transforms.is_traced(q):
        return (q if _core.isdtype(q.dtype, "real floating") else q.astype(_core.float32)) / whole, _core
    parts = np.asarray(q, np.float64) / whole
    if not ((parts >= 0) & (parts <= 1)).all():
        raise ValueError(f"{name}: q must lie between 0 and {whole}, got {q}")
    return parts, np


def _wide(rows: array) -> Dtype:
    return _core.float64 if rows.dtype == _core.float64 else _core.float32


def _neighbours(
    name: str, q: Any, whole: int, method: str, count: int, dtype: DtypeLike
) -> tuple[tuple[int, ...], int, Any, Any, Any]:
    """The shape of the parts; how many elements lie before all places, as far as they are known; among the others, the
    numbers of those before and behind a place; the weight of the latter.
    """
    parts, xp = _parts(name, q, whole)
    find_place, weight = _METHODS[method]
    place = find_place(count, parts)
    before = xp.floor(place)
    w = weight(xp, place - before, before)
    low, high = xp.clip(before, 0, count - 1), xp.clip(before + 1, 0, count - 1)
    skipped = 0 if xp is _core or low.size == 0 else int(low.min())
    index = "int32" if count < 2**31 else "int64"
    low, high = ((n - skipped).astype(getattr(xp, index)) for n in (low, high))
    return tuple(parts.shape), skipped, low, high, w if xp is _core else w.astype(str(dtype))


# The work of Python, once for each number, such as that of a median.
_neighbours_of_number = functools.lru_cache(maxsize=256)(_neighbours)


def _between(rows: array, low: array, high: array, w: array) -> array:
    """What lies between two elements of each row; NaN if a row holds one."""
    dtype = _wide(rows)
    w = _core._device_put(w.astype(dtype), rows.device)
    a, b = (_core.take(rows, i, rows.ndim - 1).astype(dtype) for i in (low, high))
    # Equal infinities and those with weight 0 must not meet in a sum.
    mixed = _core.where(w == 0, a, _core.where((w == 1) | (a == b), b, a * (1 - w) + b * w))
    last = rows[..., -1].reshape(*rows.shape[:-1], *(1,) * low.ndim)
    return _core.where(_core.isnan(last), last.astype(dtype), mixed)


def _between_integers(rows: array, low: array, high: array, w: array) -> array:
    """What lies between two integers of each row: an integer, which int64 or uint64 holds exactly, and a fraction."""
    wide = _core.uint64 if rows.dtype == _core.uint64 else _core.int64
    # On the CPU, which has float64. The distance may have more bits than that holds and is multiplied in halves.
    w = _core._device_put(w, "cpu").astype(_core.float64)
    a, b = (_core._device_put(_core.take(rows, i, rows.ndim - 1), "cpu").astype(wide) for i in (low, high))
    apart = (b - a).astype(_core.uint64)
    upper = (apart >> 32).astype(_core.float64) * w
    lower = (upper - _core.floor(upper)) * 2.0**32 + (apart & 0xFFFFFFFF).astype(_core.float64) * w
    gone = (_core.floor(upper).astype(_core.uint64) << 32) + _core.floor(lower).astype(_core.uint64)
    found = (a + gone.astype(wide)).astype(_core.float64) + (lower - _core.floor(lower))
    return _core._device_put(found.astype(_core.float32), rows.device)
