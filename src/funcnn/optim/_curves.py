"""The mathematics of the schedules, which the functional ones and those of the shim of MLX share.

Counts of steps are arrays of any shape; what multiplies by powers also takes Python numbers and then gives one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import funcnn as fn


def count_of(name: str, count: Any) -> fn.array:
    """A count of steps as an array: signed, and wide enough for what it is compared with and subtracted from."""
    try:
        given = fn.asarray(count)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: the count of steps must be a number, got {count!r}") from None
    if not fn.isdtype(given.dtype, ("bool", "integral")):
        return given
    wide: fn.array = given.astype(fn.int64 if given.dtype.itemsize == 8 or given.dtype == fn.uint32 else fn.int32)
    return wide


def parts(name: str, count: Any, steps: Any) -> tuple[fn.array, fn.array]:
    """Which parts of the steps have been taken and are left, from 0 to 1, each with all of its digits."""
    taken = count_of(name, count).astype(fn.float32)
    return fn.clip(taken / steps, 0.0, 1.0), fn.clip((steps - taken) / steps, 0.0, 1.0)


def line(name: str, init: Any, end: Any, count: Any, steps: Any) -> fn.array:
    """A straight line from `init` to `end` over `steps` steps, and `end` after them."""
    part, left = parts(name, count, steps)
    return fn.where(part < 1.0, init * left + end * part, end)


def wave(name: str, init: Any, end: Any, count: Any, steps: Any) -> fn.array:
    """Half a cosine wave from `init` to `end` over `steps` steps, and `end` after them."""
    part, left = parts(name, count, steps)
    small = fn.square(fn.sin(0.5 * math.pi * fn.minimum(part, left)))  # (1 - cos(pi * x)) / 2
    early = part <= 0.5
    value = init * fn.where(early, 1.0 - small, small) + end * fn.where(early, small, 1.0 - small)
    return fn.where(part < 1.0, value, end)


def _power(rate: Any, exponent: Any) -> Any:
    if not isinstance(exponent, fn.array):
        return rate**exponent
    if isinstance(rate, (int, float)) and rate > 0.0:
        # float32 holds few digits of a rate near 1, which many steps multiply; its logarithm has them all.
        return fn.power(fn.array(2.0, dtype=fn.float32), exponent * math.log2(rate))
    return fn.power(fn.asarray(rate).astype(fn.float32), exponent)


def decay(init: Any, rate: Any, count: Any) -> Any:
    """``init * rate ** count``."""
    return init * _power(rate, count.astype(fn.float32) if isinstance(count, fn.array) else count)


def stairs(init: Any, rate: Any, count: Any, step_size: Any) -> Any:
    """``init * rate ** (count // step_size)``."""
    if not isinstance(count, fn.array):
        return decay(init, rate, count // step_size)
    if fn.isdtype(count.dtype, "integral") and isinstance(step_size, int):
        return decay(init, rate, count // step_size)  # exact where float32 does not hold the count
    return decay(init, rate, fn.floor(count.astype(fn.float32) / step_size))


def joined(count: fn.array, first: Any, boundaries: Sequence[int], rest: Sequence[Callable[[fn.array], Any]]) -> Any:
    """Values of schedules in a row, each counting from the boundary where it begins; `first` is the first one's value."""
    value = fn.asarray(first)
    for boundary, schedule in zip(boundaries, rest, strict=True):
        value = fn.where(count < boundary, value, schedule(count - boundary))
    return value
