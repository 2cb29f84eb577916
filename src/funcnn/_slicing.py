"""Parts of fixed size at places that are computed."""

from __future__ import annotations

import operator
from builtins import slice as _slice
from collections.abc import Sequence
from typing import Any

from . import _core
from ._arguments import Integers, axis_of, integers
from ._core import array
from ._device import parameter
from ._types import ArrayLike


def dynamic_slice(operand: ArrayLike, start_indices: ArrayLike | Sequence[ArrayLike], slice_sizes: Integers) -> array:
    """Take a part of fixed size that starts at a computed place.

    ``x[i : i + n]`` needs to know `i` when the expression is built, because a slice has no fixed length. This does not.

    Args:
        operand: The array, of any dtype.
        start_indices: Where the part starts along each axis: integers, which may be traced, or an integer array of shape
            ``(ndim,)``. Negative ones count from the end. A part that would leave the array is moved to fit, so that it
            always has the size asked for.
        slice_sizes: The length of the part along each axis.

    Returns:
        An array of shape `slice_sizes`.

    Raises:
        ValueError: If there are not as many starts and sizes as axes, or a size does not fit the axis.
        TypeError: If a start is not an integer.

    Example:
        >>> import funcnn as fn
        >>> x = fn.arange(10)
        >>> fn.compile(lambda i: fn.dynamic_slice(x, (i,), (3,)))(fn.array(4))
        array([4, 5, 6], dtype=int32)
        >>> fn.dynamic_slice(x, (9,), (3,))
        array([7, 8, 9], dtype=int32)
    """
    x = _core.asarray(operand)
    sizes = integers(slice_sizes, "dynamic_slice: slice_sizes")
    starts = _starts("dynamic_slice", x, start_indices, sizes, "slice_sizes has")
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(start, int):
            x = x[(_slice(None),) * axis + (_slice(start, start + size),)]
        else:
            x = _core.take(x, _positions(start, size), axis)
    return x


def dynamic_update_slice(
    operand: ArrayLike, update: ArrayLike, start_indices: ArrayLike | Sequence[ArrayLike]
) -> array:
    """Replace a part that starts at a computed place.

    Args:
        operand: The array.
        update: What to put there, with as many axes; it is converted to the dtype of `operand`.
        start_indices: Where the part starts along each axis, as in :func:`dynamic_slice`: a part that would leave the
            array is moved to fit.

    Returns:
        An array like `operand`. Its memory is reused where nobody else needs it.

    Raises:
        ValueError: If `update` does not fit into `operand`, or there are not as many starts as axes.
        TypeError: If a start is not an integer.

    Example:
        >>> import funcnn as fn
        >>> cache = fn.zeros((4, 2))
        >>> write = fn.compile(lambda cache, row, i: fn.dynamic_update_slice(cache, row, (i, 0)))
        >>> write(cache, fn.ones((1, 2)), fn.array(2)).tolist()
        [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    """
    x = _core.asarray(operand)
    values = parameter(update)
    if values.ndim != x.ndim:
        raise ValueError(
            f"dynamic_update_slice: the update must have {x.ndim} axes as the array, got shapes {values.shape} and {x.shape}"
        )
    starts = _starts("dynamic_update_slice", x, start_indices, values.shape, "the update has shape")
    index: list[Any] = []
    for start, size in zip(starts, values.shape, strict=True):
        if isinstance(start, int):
            index.append(_slice(start, start + size))
        else:
            # Index arrays stand in a row, each along an axis of its own, or address whole slices.
            index.append(_positions(start, size))
    arrays = [axis for axis, item in enumerate(index) if not isinstance(item, _slice)]
    if len(arrays) > 1:
        first, last = arrays[0], arrays[-1]
        for axis in range(first, last + 1):
            if isinstance(index[axis], _slice):
                index[axis] = _core.arange(index[axis].start, index[axis].stop)
            index[axis] = index[axis].reshape(*(-1 if i == axis else 1 for i in range(first, last + 1)))
    return _core._immutable(x).at[tuple(index)].set(values) if index else values.astype(x.dtype)


def slice(a: ArrayLike, start_indices: ArrayLike | Sequence[ArrayLike], axes: Integers, slice_size: Integers) -> array:
    """Take a part of fixed size that starts at a computed place along some axes.

    MLX's; see :func:`dynamic_slice`.

    Args:
        a: The array.
        start_indices: Where the part starts along each of `axes`. Negative ones count from the end. A part that would
            leave the array is moved to fit.
        axes: The axes that `start_indices` are about; along the others the part starts at 0.
        slice_size: The length of the part along every axis of `a`.

    Returns:
        An array of shape `slice_size`.

    Raises:
        ValueError: There are not as many starts as axes, or sizes as `a` has axes, or a size does not fit.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> x = fn.array([[1, 2, 3], [4, 5, 6]])
        >>> fn.slice(x, fn.array(1), (0,), (1, 2))
        array([[4, 5]], dtype=int32)
    """
    x = _core.asarray(a)
    return dynamic_slice(x, _placed("slice", x, start_indices, axes), slice_size)


def slice_update(
    a: ArrayLike, update: ArrayLike, start_indices: ArrayLike | Sequence[ArrayLike], axes: Integers
) -> array:
    """Replace a part that starts at a computed place along some axes.

    MLX's; see :func:`dynamic_update_slice`.

    Args:
        a: The array.
        update: What to put there; axes that it lacks in front have length 1.
        start_indices: Where the part starts along each of `axes`, as in :func:`slice`.
        axes: The axes that `start_indices` are about; along the others the part starts at 0.

    Returns:
        An array like `a`.

    Raises:
        ValueError: There are not as many starts as axes, or `update` does not fit into `a`.
        AxisError: There is no such axis.

    Example:
        >>> import funcnn as fn
        >>> fn.slice_update(fn.zeros((2, 3)), fn.ones((1, 2)), fn.array([1, 1]), (0, 1)).tolist()
        [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    x, values = _core.asarray(a), parameter(update)
    if values.ndim < x.ndim:
        values = values.reshape(*(1,) * (x.ndim - values.ndim), *values.shape)
    return dynamic_update_slice(x, values, _placed("slice_update", x, start_indices, axes))


def _placed(name: str, x: array, given: Any, axes: Any) -> list[Any]:
    """A start for each axis, 0 where none is given."""
    along = [axis_of(x, axis, name) for axis in integers(axes, f"{name}: axes")]
    if isinstance(given, array) and given.ndim == 1:
        given = list(given)
    elif not isinstance(given, (list, tuple)):
        given = [given]
    if len(given) != len(along) or len(set(along)) != len(along):
        raise ValueError(
            f"{name}: expected a start for each of the axes {tuple(along)}, each named once, got {len(given)}"
        )
    starts: list[Any] = [0] * x.ndim
    for axis, start in zip(along, given, strict=True):
        starts[axis] = start
    return starts


def _starts(name: str, x: array, given: Any, sizes: tuple[int, ...], what: str) -> list[int | array]:
    """Where the part starts along each axis, moved to fit: ints where that is known, otherwise 0-d arrays."""
    if isinstance(given, array) and given.ndim == 1:
        given = list(given)
    elif getattr(given, "ndim", 1) == 0 or not hasattr(given, "__len__"):
        given = [given]
    if not len(given) == len(sizes) == x.ndim:
        raise ValueError(
            f"{name}: an array of shape {x.shape} needs {x.ndim} starts and sizes, got {len(given)} starts, and {what} {sizes}"
        )
    starts: list[int | array] = []
    for axis, (start, size) in enumerate(zip(given, sizes, strict=True)):
        length = x.shape[axis]
        if not 0 <= size <= length:
            raise ValueError(
                f"{name}: {what} {sizes}, but axis {axis} of an array of shape {x.shape} has length {length}"
            )
        if size == length:
            starts.append(0)
        elif isinstance(start, array):
            if start.ndim != 0 or not _core.isdtype(start.dtype, "integral"):
                raise TypeError(f"{name}: start {axis} must be an integer, got {start.dtype} of shape {start.shape}")
            # Narrow and unsigned integers hold neither the bounds nor the positions.
            if start.dtype == _core.uint64:
                start = _core.minimum(start, length)
            start = start.astype(_core.int64)
            starts.append(_core.clip(_core.where(start < 0, start + length, start), 0, length - size))
        else:
            try:
                known = operator.index(start)
            except TypeError:
                raise TypeError(f"{name}: start {axis} must be an integer, got {type(start).__name__}") from None
            starts.append(min(max(known + length if known < 0 else known, 0), length - size))
    return starts


def _positions(start: array, size: int) -> array:
    return start + _core.arange(size, dtype=_core.int64)
