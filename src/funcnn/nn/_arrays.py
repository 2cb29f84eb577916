"""What may stand for an array among the arguments of activations, pooling and losses."""

from __future__ import annotations

from typing import Any

import funcnn as fn


def as_array(name: str, x: Any, what: str = "x") -> fn.array:
    """The array that argument `what` of the function called `name` stands for."""
    if isinstance(x, fn.array):
        return x
    try:
        return fn.asarray(x)
    except (TypeError, ValueError):
        if hasattr(x, "__array_interface__"):  # an array, for which the device has no dtype
            raise
        kind = type(x).__name__
        raise TypeError(f"{name}: {what} must be an array, a number or nested lists of numbers, got a {kind}") from None
