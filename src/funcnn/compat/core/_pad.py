"""Padding as MLX has it."""

from __future__ import annotations

from typing import Any

import funcnn as fn


def pad(error: Exception, a: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """What ``mx.pad`` does beyond ``fn.pad``: a constant that is the first of an array with axes, and zeros beyond what is empty."""
    if not isinstance(a, fn.array) or not isinstance(error, ValueError):
        raise error
    if mode == "constant" and not isinstance(constant_values, (int, float, complex)):
        values = fn.asarray(constant_values)
        if values.ndim and values.size:
            return fn.pad(a, pad_width, "constant", values.reshape(-1)[0])
    if mode == "edge" and not a.size:
        return fn.pad(a, pad_width)
    raise error
