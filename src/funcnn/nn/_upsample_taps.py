"""The places and weights of resampled axes, computed by NumPy in float64: loaded when something is resampled."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
# For each element of the result: which element of the input, and its weight. A result is the sum of several such.
Tap: TypeAlias = tuple[npt.NDArray[np.int32], Floats]


def _positions(size: int, count: int, scale: float, align_corners: bool) -> Floats:
    """Where the elements of the result lie among those of the input, whose first is at 0."""
    steps = np.arange(count, dtype=np.float64)
    if align_corners:
        return steps * ((size - 1) / max(count - 1, 1))
    return steps / scale - ((count - 1) / scale - size + 1) / 2


def _cubic(a: float) -> Callable[[Floats], Floats]:
    """The kernel of cubic convolution (Keys 1981) by distance."""

    def kernel(d: Floats) -> Floats:
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = (((d - 5) * d + 8) * d - 4) * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return kernel


def _linear(d: Floats) -> Floats:
    return np.maximum(1 - d, 0.0)


def _kernel(mode: str, a: float) -> tuple[int, Callable[[Floats], Floats]]:
    """How far a kernel reaches, and its value by distance."""
    return (1, _linear) if mode == "linear" else (2, _cubic(a))


@functools.lru_cache(maxsize=64)
def taps(size: int, count: int, scale: float, mode: str, align_corners: bool, antialias: bool) -> tuple[Tap, ...]:
    """What each element of an axis of the result is the sum of."""
    positions = _positions(size, count, scale, align_corners)
    reach, kernel = _kernel(mode, -0.5 if antialias else -0.75)
    if mode == "linear" and not antialias:
        positions = np.clip(positions, 0, max(size - 1, 0))
    # To let nothing fall between the elements of a smaller result, the kernel is stretched.
    stretch = max(1 / scale, 1.0) if antialias else 1.0
    first = np.floor(positions)
    span = math.ceil(reach * stretch)
    places = [first + k for k in range(1 - span - antialias, span + 1)]
    weights = [kernel(np.abs(positions - place) / stretch) for place in places]
    if antialias:
        weights = [np.where((place >= 0) & (place < size), w, 0.0) for place, w in zip(places, weights, strict=True)]
        total = sum(weights)
        weights = [w / total for w in weights]
    pairs = zip(places, weights, strict=True)
    return tuple(
        (np.clip(place, 0, max(size - 1, 0)).astype(np.int32), w) for place, w in pairs if w.any() or not count
    )


@functools.lru_cache(maxsize=64)
def nearest(size: int, count: int) -> npt.NDArray[np.int32]:
    """Which element of the input each of the result is."""
    steps = np.arange(count, dtype=np.int64)
    if count <= size:
        return (steps * size // count).astype(np.int32)
    # (steps + 1/2) * size / count - 1/2 rounded, halves to even.
    numerator, denominator = (2 * steps + 1) * size - count, 2 * count
    low, rest = np.divmod(numerator, denominator)
    up = (2 * rest > denominator) | ((2 * rest == denominator) & (low % 2 == 1))
    rounded: npt.NDArray[np.int64] = low + up
    return rounded.astype(np.int32)


def between(scale: int, mode: str) -> list[Floats]:
    """For an even scale, the weights of the windows around an element of the input, of shape ``(2, scale / 2, 1)``."""
    reach, kernel = _kernel(mode, -0.75)
    places = (np.arange(scale) + 0.5) / scale - 0.5
    first = np.floor(places)
    return [kernel(np.abs(places - (first + 1 - reach + k))).reshape(2, scale // 2, 1) for k in range(2 * reach)]
