"""Padding with what the array holds, mirrored at its ends."""

from __future__ import annotations

from typing import Any

import funcnn as fn


def pad(error: Exception, a: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """What ``mx.pad`` does beyond ``fn.pad``: modes 'reflect' and 'symmetric', and a constant that is the first of an array."""
    if not isinstance(a, fn.array) or not isinstance(error, ValueError):
        raise error
    if mode == "constant" and isinstance(constant_values, fn.array) and constant_values.size > 1:
        return fn.pad(a, pad_width, "constant", constant_values.reshape(-1)[0])
    if mode not in ("reflect", "symmetric", "edge"):
        raise error
    for axis, (before, after) in enumerate(_pairs(error, pad_width, a.ndim)):
        if before < 0 or after < 0:
            raise error
        if not before and not after:
            continue
        length = a.shape[axis]
        if not length:
            if mode == "edge":
                return fn.pad(a, pad_width)
            raise ValueError(f"pad: axis {axis} is empty, so there is nothing to {mode}")
        a = fn.take(a, _mirrored(length, before, after, mode), axis)
    return a


def _mirrored(length: int, before: int, after: int, mode: str) -> fn.array:
    """Which elements stand at the places from ``-before`` to ``length + after``."""
    places = fn.arange(-before, length + after)
    if mode == "edge":
        return fn.clip(places, 0, length - 1)
    period = 2 * length if mode == "symmetric" else 2 * (length - 1)
    if not period:
        return fn.zeros_like(places)
    within = places % period
    return fn.minimum(within, period - within - (1 if mode == "symmetric" else 0))


def _pairs(error: Exception, width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(width, int):
        return [(width, width)] * ndim
    width = list(width)
    if all(isinstance(n, int) for n in width):
        if len(width) == 1:
            return [(width[0], width[0])] * ndim
        if len(width) == 2:
            return [(width[0], width[1])] * ndim
        raise error
    pairs = [(n, n) if isinstance(n, int) else tuple(n) if len(n) == 2 else (n[0], n[0]) for n in width]
    if len(pairs) == 1:
        pairs *= ndim
    if len(pairs) != ndim:
        raise error
    return pairs
