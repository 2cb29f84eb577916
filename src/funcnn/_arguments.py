"""Integers among arguments: Python's, NumPy's, and whatever else says that it is one."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

from ._core import array

Integers: TypeAlias = SupportsIndex | Sequence[SupportsIndex]


def is_integer(x: Any) -> bool:
    """Say whether `x` is one integer, no array."""
    return isinstance(x, int) or (
        isinstance(x, SupportsIndex) and not isinstance(x, array) and not getattr(x, "ndim", 0)
    )


def integer(x: Any, what: str) -> int:
    """Return the integer that `x` is; `what` starts the error."""
    if not is_integer(x):
        raise TypeError(f"{what} must be an integer, got {x!r} ({type(x).__name__})")
    return operator.index(x)


def integers(x: Any, what: str) -> tuple[int, ...]:
    """Return the integers that `x` is, one or several."""
    if is_integer(x):
        return (operator.index(x),)
    try:
        items = tuple(x)
    except TypeError:
        items = (None,)
    if isinstance(x, (str, bytes)) or not all(is_integer(i) for i in items):
        raise TypeError(f"{what} must be an integer or a sequence of integers, got {x!r} ({type(x).__name__})")
    return tuple(operator.index(i) for i in items)
