"""Functions whose results have as many elements as the values say: where, nonzero, unique."""

from __future__ import annotations

from typing import Any

from . import _core
from ._arguments import axis_of, integer
from ._core import array
from ._device import doubled
from ._types import ArrayLike


def nonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> tuple[array, ...]:
    """Find the positions of the elements that are not zero.

    Args:
        a: An array of at least one axis. NaN is not zero.
        size: The number of positions to return: the first ones in row-major order, or all and `fill_value`. With it, `a`
            may be traced. By default there are as many as `a` has elements that are not zero, which needs its values.
        fill_value: The position that fills up: an integer, or one for each axis. Default: 0.

    Returns:
        For each axis the coordinates, ``int32`` of shape ``(size,)``, in row-major order: ``x[fn.nonzero(x)]`` are the
        elements.

    Raises:
        TracedValueError: `a` is traced and `size` is not given.
        ValueError: `a` has no axes, or `fill_value` is given without `size` or not one for each axis.

    Example:
        >>> import funcnn as fn
        >>> x = fn.array([[0, 7], [8, 0]])
        >>> fn.nonzero(x)
        (array([0, 1], dtype=int32), array([1, 0], dtype=int32))
        >>> fn.compile(lambda x: fn.nonzero(x, size=3, fill_value=-1)[0])(x)
        array([ 0,  1, -1], dtype=int32)
    """
    x = _core.asarray(a)
    if x.ndim == 0:
        raise ValueError("nonzero: an array of no axes has no positions; use fn.atleast_1d")
    mask = (x if x.dtype == _core.bool_ else x != 0).flatten()
    dtype = _index_dtype(x.size)
    if size is None:
        if fill_value is not None:
            raise ValueError("nonzero: fill_value fills up to a size, so size must be given too")
        _core._require_values(
            x,
            "nonzero: the number of elements that are not zero decides the shape",
            "give it as size=..., or choose by element with fn.where(condition, x, y)",
        )
        places, known = _core.arange(x.size, dtype=dtype)[mask], None
    else:
        size = _checked_size("nonzero", size)
        places = _places(mask, size, dtype)
        known = _core.arange(size) < mask.sum()
    fills = (
        list(fill_value)
        if isinstance(fill_value, (tuple, list))
        else [0 if fill_value is None else fill_value] * x.ndim
    )
    if len(fills) != x.ndim:
        raise ValueError(f"nonzero: expected a fill_value for each of {x.ndim} axes, got {len(fills)}")
    coordinates = []
    step = x.size
    for length, fill in zip(x.shape, fills, strict=True):
        step //= max(length, 1)
        along = places // max(step, 1) % max(length, 1)
        coordinates.append(along if known is None else _core.where(known, along, fill))
    return tuple(coordinates)


def unique(
    a: ArrayLike,
    /,
    size: int | None = None,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    fill_value: ArrayLike | None = None,
    *,
    axis: int | None = None,
    equal_nan: bool = True,
) -> Any:
    """Find the different elements, in ascending order.

    Args:
        a: The array, of any dtype.
        size: How many to return: the smallest ones, or all and `fill_value`. With it, `a` may be traced. By default all
            are returned, and their number needs the values of `a`.
        return_index: Also return where each occurs first.
        return_inverse: Also return where each element of `a` is in the result.
        return_counts: Also return how often each occurs.
        fill_value: What fills up to `size`; by default the smallest element. Its counts are 0.
        axis: Compare the slices along this axis as wholes (by their first elements that differ). By default single
            elements of the flattened array.
        equal_nan: Whether NaNs count as equal; they come last.

    Returns:
        The elements, of shape ``(size,)``, or slices, like `a` but for the length of the axis. With any of the three flags
        a tuple of them and, in this order, the index (``uint32``), the inverse (``uint32``, of the shape of `a`, or along
        the axis) and the counts (``int32``). Where `size` is too small, the inverse of what was left out is the last
        place, and its counts are missing.

    Raises:
        TracedValueError: `a` is traced and `size` is not given.
        TypeError: `size` is a bool: flags are better passed by name.
        ValueError: `fill_value` is given without `size`.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> x = fn.array([2, 1, 2, 3])
        >>> fn.unique(x)
        array([1, 2, 3], dtype=int32)
        >>> values, counts = fn.unique(x, return_counts=True)
        >>> counts
        array([1, 2, 1], dtype=int32)
        >>> fn.compile(lambda x: fn.unique(x, size=4, fill_value=0))(x)
        array([1, 2, 3, 0], dtype=int32)
    """
    x = _core.asarray(a)
    axis = None if axis is None else axis_of(x, axis, "unique")
    if size is None:
        if fill_value is not None:
            raise ValueError("unique: fill_value fills up to a size, so size must be given too")
        _core._require_values(
            x,
            "unique: the number of different elements decides the shape",
            "give it as size=..., which may be more than there are",
        )
    else:
        size = _checked_size("unique", size)
    rows = x.flatten() if axis is None else _core.moveaxis(x, axis, 0)
    keys = rows if axis is None else _row_keys(rows.reshape(rows.shape[0], -1 if rows.size else 0), equal_nan)
    length = keys.shape[0]
    if length == 0:
        size = size or 0
        filler = _core.full((size, *rows.shape[1:]), 0 if fill_value is None else fill_value, x.dtype)
        nowhere = _core.zeros(size, _core.uint32)
        found, index, counts = filler, nowhere, nowhere.astype(_core.int32)
        inverse = _core.zeros(x.shape if axis is None else 0, _core.uint32)
    else:
        order = _core.argsort(keys)
        fresh, group = _groups(_core.take(keys, order), equal_nan)
        count = group[-1] + 1
        size = int(count.item()) if size is None else size
        starts = _places(fresh, size, _core.int32)  # what fills up starts with the first
        index = _core.take(order, starts)
        found = _core.take(rows, index, 0)
        if fill_value is not None:
            known = (_core.arange(size) < count).reshape(-1, *(1,) * (rows.ndim - 1))
            found = _core.where(known, found, _core.asarray(fill_value, x.dtype))
        within = _core.minimum(group, max(size - 1, 0)).astype(_core.uint32)
        inverse = _core.zeros(length, _core.uint32).at[order].set(within)
        inverse = inverse.reshape(x.shape) if axis is None else inverse
        counts = _core.zeros(size, _core.int32).at[group].add(1)
    if axis is not None:
        found = _core.moveaxis(found, 0, axis)
    extra = [x for x, wanted in ((index, return_index), (inverse, return_inverse), (counts, return_counts)) if wanted]
    return (found, *extra) if extra else found


def repeat_each(x: ArrayLike, repeats: ArrayLike, axis: int | None) -> array:
    """Repeat each place along an axis as often as `repeats` says; see :func:`repeat`."""
    y, counts = _core.asarray(x), _core.asarray(repeats)
    if not _core.isdtype(counts.dtype, "integral") or counts.ndim > 1:
        raise TypeError(
            f"repeat: repeats must be an integer or a vector of integers, got {counts.dtype} of shape {counts.shape}"
        )
    _core._require_values(
        counts,
        "repeat: the numbers of repetitions decide the shape",
        "give them as Python integers, or as an array that is not traced",
    )
    if axis is None:
        y, axis = y.flatten(), 0
    along = axis_of(y, axis, "repeat")
    if counts.size == 1:
        return _core.repeat(y, integer(counts.flatten()[0].item(), "repeat: repeats"), along)
    if counts.size != y.shape[along]:
        raise ValueError(
            f"repeat: expected a number of repetitions for each of {y.shape[along]} places along axis {along}, got {counts.size}"
        )
    if _core.sum(doubled(counts)).item() >= 2**53:
        raise ValueError("repeat: the numbers of repetitions add up to more elements than an array can have")
    ends = _core.cumsum(counts.astype(_core.int64))
    if counts.size and _core.min(counts).item() < 0:
        raise ValueError(f"repeat: repeats must not be negative, got {_core.min(counts).item()}")
    total = ends[-1].item() if counts.size else 0
    return _core.take(y, _core.searchsorted(ends, _core.arange(total, dtype=_core.int64), "right"), along)


def _checked_size(name: str, size: Any) -> int:
    if isinstance(size, bool):
        raise TypeError(f"{name}: size must be an integer, got a bool; pass flags by name, as in return_index=True")
    count = integer(size, f"{name}: size")
    if count < 0:
        raise ValueError(f"{name}: size must not be negative, got {count}")
    return count


def _index_dtype(size: int) -> Any:
    return _core.int32 if size <= 2**31 else _core.int64


def _places(mask: array, size: int, dtype: Any) -> array:
    """The first `size` places where a vector is true, and zeros: each goes to the place that its rank says."""
    rank = _core.cumsum(mask.astype(dtype)) - 1
    return _core.zeros(size, dtype).at[_core.where(mask, rank, size)].set(_core.arange(mask.size, dtype=dtype))


def _groups(ordered: array, equal_nan: bool) -> tuple[array, array]:
    """Of sorted elements along axis 0: where a new one starts, and the number of each one's group."""
    before, after = ordered[:-1], ordered[1:]
    fresh = before != after
    if equal_nan and _core.isdtype(ordered.dtype, ("real floating", "complex floating")):
        fresh = fresh & ~(_core.isnan(before) & _core.isnan(after))
    fresh = _core.concatenate([_core.ones((1, *ordered.shape[1:]), _core.bool_), fresh])
    return fresh, _core.cumsum(fresh.astype(_core.int32), axis=0) - 1


def _row_keys(rows: array, equal_nan: bool) -> array:
    """A number for each row of a matrix that orders rows as their elements do, compared from the first on.

    Columns are replaced by ranks, then joined in pairs and ranked again, until one is left.
    """
    length, width = rows.shape
    if length == 0 or width == 0:
        return _core.zeros(length, _core.int32)
    keys = _ranks(rows, equal_nan)
    while keys.shape[1] > 1:
        paired = keys.shape[1] // 2 * 2
        joined = keys[:, :paired:2].astype(_core.int64) * length + keys[:, 1:paired:2]
        keys = _core.concatenate([_ranks(joined, False), keys[:, paired:]], axis=1)
    return keys[:, 0]


def _ranks(columns: array, equal_nan: bool) -> array:
    order = _core.argsort(columns, axis=0)
    _, group = _groups(_core.take_along_axis(columns, order, axis=0), equal_nan)
    return _core.put_along_axis(_core.zeros(columns.shape, _core.int32), order, group, axis=0)
