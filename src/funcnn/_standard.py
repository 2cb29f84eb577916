"""What the Python array API standard has beside MLX's names: other names, constants, sets, differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import _core
from ._arguments import axis_of, integer
from ._core import Device, array
from ._selection import unique
from ._types import ArrayLike, DtypeLike

acos, acosh, asin, asinh = _core.arccos, _core.arccosh, _core.arcsin, _core.arcsinh
atan, atan2, atanh = _core.arctan, _core.arctan2, _core.arctanh
bitwise_left_shift, bitwise_right_shift = _core.left_shift, _core.right_shift
conj, pow = _core.conjugate, _core.power

pi, e, euler_gamma = math.pi, math.e, 0.5772156649015329
inf, nan, newaxis = math.inf, math.nan, None


class UniqueAll(NamedTuple):
    """What :func:`unique_all` finds."""

    values: array
    indices: array
    inverse_indices: array
    counts: array


class UniqueCounts(NamedTuple):
    """What :func:`unique_counts` finds."""

    values: array
    counts: array


class UniqueInverse(NamedTuple):
    """What :func:`unique_inverse` finds."""

    values: array
    inverse_indices: array


def unique_all(x: ArrayLike, /) -> UniqueAll:
    """Find the different elements, where each occurs first, which one each element is, and how often each occurs.

    The array API standard's; :func:`unique` can do more. Every NaN counts as different from all others.

    Args:
        x: The array, of any shape and dtype.

    Returns:
        A named tuple: ``values`` in ascending order, ``indices`` into the flattened array, ``inverse_indices`` of the shape
        of `x`, ``counts``.

    Raises:
        TracedValueError: `x` is traced: the values decide how many there are.

    Example:
        >>> import funcnn as fn
        >>> fn.unique_all(fn.array([3, 1, 3])).counts
        array([1, 2], dtype=int32)
    """
    return UniqueAll(*unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False))


def unique_counts(x: ArrayLike, /) -> UniqueCounts:
    """Find the different elements and how often each occurs. See :func:`unique_all`.

    Args:
        x: The array, of any shape and dtype.

    Returns:
        A named tuple of ``values`` and ``counts``.

    Raises:
        TracedValueError: `x` is traced: the values decide how many there are.

    Example:
        >>> import funcnn as fn
        >>> fn.unique_counts(fn.array([3, 1, 3])).values
        array([1, 3], dtype=int32)
    """
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


def unique_inverse(x: ArrayLike, /) -> UniqueInverse:
    """Find the different elements and which one each element is. See :func:`unique_all`.

    Args:
        x: The array, of any shape and dtype.

    Returns:
        A named tuple of ``values`` and ``inverse_indices``, which have the shape of `x`.

    Raises:
        TracedValueError: `x` is traced: the values decide how many there are.

    Example:
        >>> import funcnn as fn
        >>> fn.unique_inverse(fn.array([3, 1, 3])).inverse_indices
        array([1, 0, 1], dtype=uint32)
    """
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


def unique_values(x: ArrayLike, /) -> array:
    """Find the different elements. See :func:`unique_all`.

    Args:
        x: The array, of any shape and dtype.

    Returns:
        The values, in ascending order.

    Raises:
        TracedValueError: `x` is traced: the values decide how many there are.

    Example:
        >>> import funcnn as fn
        >>> fn.unique_values(fn.array([[3, 1], [3, 2]]))
        array([1, 2, 3], dtype=int32)
    """
    found: array = unique(x, equal_nan=False)
    return found


def isin(x1: ArrayLike, x2: ArrayLike, /, *, invert: bool = False) -> array:
    """Ask of each element whether it is among some values.

    Args:
        x1: The elements, of any shape and dtype.
        x2: The values, of any shape and dtype. NaN is equal to none.
        invert: Whether to ask whether it is not.

    Returns:
        Truth values of the shape of `x1`.

    Example:
        >>> import funcnn as fn
        >>> fn.isin(fn.array([1, 2, 3]), fn.array([4, 2])).tolist()
        [False, True, False]
    """
    x, values = _core.asarray(x1), _core.asarray(x2).flatten()
    common = _core.result_type(x, values)
    integers = all(_core.isdtype(d, "integral") for d in (x.dtype, values.dtype))
    if values.size == 0:
        found = _core.zeros(x.shape, _core.bool_)
    elif (integers and not _core.isdtype(common, "integral")) or _core.isdtype(common, ("complex floating", "bool")):
        # What has no order, or no dtype that holds both: compared with each.
        found = _core.any(x[..., None] == values, axis=-1)
    else:
        ordered = _core.sort(values.astype(common))
        x = x.astype(common)
        place = _core.minimum(_core.searchsorted(ordered, x), values.size - 1)
        found = _core.take(ordered, place) == x
    return _core.logical_not(found) if invert else found


def diff(
    x: ArrayLike, /, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None, append: ArrayLike | None = None
) -> array:
    """Subtract from each element along an axis the one before it.

    Args:
        x: An array of at least one axis. Bools are compared instead.
        n: How many times to do so; with 0, `x` is returned as it is.
        axis: Along which axis.
        prepend: What to put in front first: an array like `x` but for the length of the axis, or a number.
        append: What to put behind first.

    Returns:
        An array like `x`, shorter by `n` along the axis (but not than 0).

    Raises:
        ValueError: `x` has no axes, or `n` is negative.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> fn.diff(fn.array([1, 4, 9, 16]), n=2)
        array([2, 2], dtype=int32)
    """
    y = _core.asarray(x)
    if y.ndim == 0:
        raise ValueError("diff: expected an array of at least one axis, got shape ()")
    times, along = integer(n, "diff: n"), axis_of(y, axis, "diff")
    if times < 0:
        raise ValueError(f"diff: n must not be negative, got {times}")
    if times == 0:
        return y
    if prepend is not None or append is not None:
        parts = [_part(y, along, prepend), y, _part(y, along, append)]
        y = _core.concatenate([part for part in parts if part is not None], along)
    before = (slice(None),) * along
    behind, ahead = (*before, slice(1, None)), (*before, slice(None, -1))
    for _ in range(min(times, y.shape[along])):  # then nothing is left
        y = y[behind] != y[ahead] if y.dtype == _core.bool_ else y[behind] - y[ahead]
    return y


def _part(x: array, axis: int, given: ArrayLike | None) -> array | None:
    if given is None:
        return None
    part = _core.asarray(given)
    if part.ndim == 0:
        part = _core.broadcast_to(part, _slice_shape(x, axis))
    return part


def _slice_shape(x: array, axis: int) -> tuple[int, ...]:
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :])


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: DtypeLike | None = None, include_initial: bool = False
) -> array:
    """Add up each element and all before it, as the array API standard has it. See :func:`cumsum`.

    Args:
        x: An array of at least one axis.
        axis: Along which axis; may be left out where there is one only.
        dtype: What to add in. By default that of :func:`sum`: at least 32 bits for integers.
        include_initial: Whether to begin with 0, which makes the axis longer by one.

    Returns:
        The sums.

    Raises:
        ValueError: `x` has no axes, or several and `axis` is not given.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> fn.cumulative_sum(fn.array([1, 2, 3]), include_initial=True)
        array([0, 1, 3, 6], dtype=int32)
    """
    return _running("cumulative_sum", _core.cumsum, 0 if include_initial else None, x, axis, dtype)


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: DtypeLike | None = None, include_initial: bool = False
) -> array:
    """Multiply each element and all before it, as the array API standard has it. See :func:`cumprod`.

    Args:
        x: An array of at least one axis.
        axis: Along which axis; may be left out where there is one only.
        dtype: What to multiply in. By default that of :func:`prod`: at least 32 bits for integers.
        include_initial: Whether to begin with 1, which makes the axis longer by one.

    Returns:
        The products.

    Raises:
        ValueError: `x` has no axes, or several and `axis` is not given.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> fn.cumulative_prod(fn.array([2, 3, 4]))
        array([ 2,  6, 24], dtype=int32)
    """
    return _running("cumulative_prod", _core.cumprod, 1 if include_initial else None, x, axis, dtype)


def _running(
    name: str, combine: Callable[[array, int], array], initial: int | None, x: ArrayLike, axis: Any, dtype: Any
) -> array:
    y = _core.asarray(x)
    if y.ndim == 0 or (axis is None and y.ndim > 1):
        raise ValueError(f"{name}: expected {'an axis' if y.ndim else 'at least one axis'}, got shape {y.shape}")
    along = axis_of(y, 0 if axis is None else axis, name)
    y = y.astype(_core.sum(_core.zeros(0, y.dtype)).dtype if dtype is None else dtype)
    found = combine(y, along)
    if initial is None:
        return found
    return _core.concatenate([_core.full(_slice_shape(y, along), initial, y.dtype), found], along)


def empty(shape: int | Sequence[int], dtype: DtypeLike | None = None, *, device: Device | str | None = None) -> array:
    """Make an array of zeros, under the name of one that may hold anything.

    Arrays are immutable, so there is nothing to fill in later; :func:`zeros` is the same.

    Args:
        shape: The length of each axis.
        dtype: The dtype; default: ``float32``.
        device: Where it goes; default: the default device.

    Returns:
        The array.

    Example:
        >>> import funcnn as fn
        >>> fn.empty(2)
        array([0., 0.], dtype=float32)
    """
    return _core.zeros(shape, dtype, device=device)


def empty_like(x: ArrayLike, /, dtype: DtypeLike | None = None, *, device: Device | str | None = None) -> array:
    """Make an array of zeros of the shape and dtype of another; see :func:`empty`.

    Args:
        x: The array.
        dtype: The dtype; default: that of `x`.
        device: Where it goes; default: the default device.

    Returns:
        The array.

    Example:
        >>> import funcnn as fn
        >>> fn.empty_like(fn.array([1, 2]))
        array([0, 0], dtype=int32)
    """
    return _core.zeros_like(x, dtype, device=device)


__all__ = [
    "UniqueAll",
    "UniqueCounts",
    "UniqueInverse",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "conj",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "e",
    "empty",
    "empty_like",
    "euler_gamma",
    "inf",
    "isin",
    "nan",
    "newaxis",
    "pi",
    "pow",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]
