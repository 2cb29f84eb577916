"""Between class numbers and what is counted by them."""

from __future__ import annotations

from typing import Any

from . import _core
from ._arguments import integer
from ._core import array, float32
from ._types import ArrayLike, DtypeLike


def one_hot(x: ArrayLike, num_classes: int, *, dtype: DtypeLike = float32, axis: int = -1) -> array:
    """Encode class numbers as vectors with a one in the place of the class.

    Args:
        x: Integers of any shape. A number outside of 0 to `num_classes` - 1 gives zeros only.
        num_classes: The length of the vectors.
        dtype: The dtype of the result; ``float32`` by default.
        axis: Where the new axis of length `num_classes` stands in the result; last by default.

    Returns:
        An array of the shape of `x` with the new axis.

    Raises:
        TypeError: `x` does not hold integers.
        ValueError: `num_classes` is negative.
        AxisError: The result has no such axis.

    Example:
        >>> import funcnn as fn
        >>> fn.one_hot(fn.array([0, 2]), 3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    numbers = _whole_numbers("one_hot", x)
    count = integer(num_classes, "one_hot: num_classes")
    if count < 0:
        raise ValueError(f"one_hot: num_classes must not be negative, got {count}")
    axis = integer(axis, "one_hot: axis")
    if not -numbers.ndim - 1 <= axis <= numbers.ndim:
        raise _core.AxisError(f"one_hot: the result has {numbers.ndim + 1} axes and no axis {axis}")
    place = axis % (numbers.ndim + 1)
    classes = _core.arange(count, dtype=numbers.dtype).reshape(-1, *(1,) * (numbers.ndim - place))
    return (_core.expand_dims(numbers, place) == classes).astype(dtype)


def bincount(x: ArrayLike, weights: ArrayLike | None = None, minlength: int = 0, *, length: int | None = None) -> array:
    """Count how often each of the numbers 0, 1, 2, ... occurs.

    Args:
        x: Integers of shape ``(n,)``.
        weights: Add up these in place of ones, of shape ``(n,)``; they may be differentiated.
        minlength: The least length of the result where `length` does not fix it.
        length: The length of the result; numbers outside of 0 to `length` - 1 are left out. With it, `x` may be traced.
            By default the result ends with the largest number in `x`, which needs its values.

    Returns:
        ``int32`` counts of shape ``(length,)``, or sums of the dtype of the weights.

    Raises:
        TracedValueError: `x` is traced and `length` is not given.
        TypeError: `x` does not hold integers.
        ValueError: Without `length`, a number is negative; shapes do not fit; a length is negative.

    Example:
        >>> import funcnn as fn
        >>> fn.bincount(fn.array([0, 2, 2]))
        array([1, 0, 2], dtype=int32)
        >>> fn.bincount(fn.array([0, 2, 2]), weights=fn.array([0.5, 1.0, 2.0]), length=4)
        array([0.5, 0. , 3. , 0. ], dtype=float32)
    """
    numbers = _whole_numbers("bincount", x)
    if numbers.ndim != 1:
        raise ValueError(f"bincount: expected one axis, got shape {numbers.shape}; use x.flatten()")
    added: Any = 1
    dtype = _core.int32
    if weights is not None:
        added = _core.asarray(weights)
        dtype = added.dtype
        if added.shape != numbers.shape:
            raise ValueError(f"bincount: the weights must have the shape of x, got {added.shape} and {numbers.shape}")
    least = integer(minlength, "bincount: minlength")
    if least < 0:
        raise ValueError(f"bincount: minlength must not be negative, got {least}")
    if length is None:
        _core._require_values(
            numbers, "bincount: the largest number decides the length of the result", "give it as length=..."
        )
        lowest, highest = (int(numbers.min().item()), int(numbers.max().item())) if numbers.size else (0, -1)
        if lowest < 0:
            raise ValueError(
                f"bincount: negative numbers cannot be counted, got {lowest}; with length=... they are left out"
            )
        count = max(highest + 1, least)
    else:
        count = integer(length, "bincount: length")
        if count < 0:
            raise ValueError(f"bincount: length must not be negative, got {count}")
    places = numbers if _core.isdtype(numbers.dtype, "unsigned integer") else _core.where(numbers < 0, count, numbers)
    return _core.zeros(count, dtype).at[places].add(added)


def _whole_numbers(name: str, x: ArrayLike) -> array:
    """The integers, in a dtype that positions fit into."""
    given = _core.asarray(x)
    if not _core.isdtype(given.dtype, ("integral", "bool")):
        raise TypeError(f"{name}: expected integers, got {given.dtype}; convert them with astype")
    return given if given.dtype.size >= 4 else given.astype(_core.int32)
