"""Arguments that are no arrays: integers (Python's, NumPy's, and whatever else says that it is one), flags, functions, axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

from ._core import AxisError, array, isdtype, mutable_array

Integers: TypeAlias = SupportsIndex | Sequence[SupportsIndex]


def _brief(x: Any) -> str:
    text = f"an array of shape {x.shape}" if isinstance(x, array) else repr(x)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_integer(x: Any) -> bool:
    """Say whether `x` is one integer, no array."""
    return isinstance(x, int) or (
        isinstance(x, SupportsIndex) and not isinstance(x, (array, type)) and not getattr(x, "ndim", 0)
    )


def _counted(x: Any) -> Any:
    """An array of MLX's kind stands for the integer that it holds, as it does in MLX."""
    held = isinstance(x, mutable_array) and not x.ndim and isdtype(x.dtype, "integral")
    return x.item() if held else x


def integer(x: Any, what: str) -> int:
    """Return the integer that `x` is; `what` starts the error."""
    x = _counted(x)
    if not is_integer(x):
        raise TypeError(f"{what} must be an integer, got {_brief(x)} ({type(x).__name__})")
    return operator.index(x)


def axis_of(x: array, axis: Any, name: str) -> int:
    """Return the axis of `x`, counted from the front, that a function called `name` was given."""
    found = integer(axis, f"{name}: axis")
    if not -x.ndim <= found < x.ndim:
        raise AxisError(f"{name}: an array of shape {x.shape} has no axis {found}")
    return found % x.ndim


def function(x: Any, what: str) -> Any:
    """Return the function that `x` is; `what` starts the error."""
    if not callable(x):
        raise TypeError(f"{what} must be a function, got {_brief(x)} ({type(x).__name__})")
    return x


def flag(x: Any, what: str) -> bool:
    """Return the bool that `x` is, Python's or NumPy's; `what` starts the error."""
    if not isinstance(x, bool) and type(x).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{what} must be True or False, got {_brief(x)} ({type(x).__name__})")
    return bool(x)


def integers(x: Any, what: str) -> tuple[int, ...]:
    """Return the integers that `x` is, one or several."""
    if isinstance(x, (tuple, list)):
        if all(type(i) is int for i in x):
            return tuple(x)
    elif is_integer(x := _counted(x)):
        return (operator.index(x),)
    try:
        items = tuple(_counted(i) for i in x)
    except TypeError:
        items = (None,)
    if isinstance(x, (str, bytes)) or not all(is_integer(i) for i in items):
        raise TypeError(f"{what} must be an integer or a sequence of integers, got {_brief(x)} ({type(x).__name__})")
    return tuple(operator.index(i) for i in items)
