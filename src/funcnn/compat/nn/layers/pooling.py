"""Pooling: windows of the spatial axes, channels last, reduced to their maximum or mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

from ... import core as mx
from .._functional import nn as _nn
from .base import Module

Sizes: TypeAlias = int | tuple[int, ...] | list[int]
_LOWEST = -math.inf


def _sliding_windows(x: mx.array, window_shape: Sequence[int], window_strides: Sequence[int]) -> mx.array:
    """The windows of the spatial axes of ``(N, ..., C)``: ``(N, windows..., elements of a window..., C)``."""
    if x.ndim < 3:
        raise ValueError(f"windows need at least one spatial axis between two others, but the input has {x.ndim} axes")
    sizes = x.shape[1:-1]
    if not len(sizes) == len(window_shape) == len(window_strides):
        raise ValueError(
            f"there must be a length and a stride of the window for each spatial axis, but the input has {len(sizes)}, and "
            f"there are {len(window_shape)} lengths and {len(window_strides)} strides"
        )
    counts = [(n - w) // step + 1 for n, w, step in zip(sizes, window_shape, window_strides, strict=True)]
    steps = [math.prod(x.shape[axis + 1 :]) for axis in range(x.ndim)]
    apart = [step * stride for step, stride in zip(steps[1:-1], window_strides, strict=True)]
    shape = (x.shape[0], *counts, *window_shape, x.shape[-1])
    return mx.as_strided(x, shape, (steps[0], *apart, *steps[1:-1], steps[-1]))


class _Pool(Module):
    """Windows reduced by a function of an array and axes, such as ``mx.max``."""

    def __init__(
        self,
        pooling_function: Callable[[mx.array, tuple[int, ...]], mx.array],
        kernel_size: list[int],
        stride: list[int],
        padding: list[tuple[int, int]],
        padding_value: float,
    ):
        super().__init__()
        self._kernel_size, self._stride, self._padding = kernel_size, stride, padding
        for what, least in (("kernel_size", 1), ("stride", 1), ("padding", 0)):
            given = _given(self, what)
            if given and min(given) < least:
                raise ValueError(f"{type(self).__name__}: {what} must be at least {least}, got {given}")
        self._pooling_function, self._padding_value = pooling_function, padding_value
        self._axes = tuple(axis - 1 for axis in range(-len(kernel_size), 0))

    def _extra_repr(self) -> str:
        return ", ".join(f"{what}={_given(self, what)}" for what in ("kernel_size", "stride", "padding"))

    def __call__(self, x: mx.array) -> mx.array:
        padding: Any = self._padding
        pool = _POOLS.get((self._pooling_function, len(self._kernel_size)))
        if pool is not None and self._padding_value == (_LOWEST if self._pooling_function is mx.max else 0):
            befores = [before for before, _ in padding]
            if befores == [after for _, after in padding]:
                return _pooled(self, pool, x, befores)
        if any(map(any, padding)):
            x = mx.pad(x, [(0, 0), *padding, (0, 0)], constant_values=self._padding_value)
        return self._pooling_function(_sliding_windows(x, self._kernel_size, self._stride), self._axes)


def _given(layer: _Pool, what: str) -> tuple[int, ...]:
    """An option, one number for each spatial axis."""
    numbers: Any = getattr(layer, f"_{what}")
    return tuple(before for before, _ in numbers) if what == "padding" else tuple(numbers)


def _pooled(layer: _Pool, pool: Callable[..., Any], x: mx.array, padding: list[int]) -> mx.array:
    try:
        return pool(x, layer._kernel_size, layer._stride, padding)
    except ValueError:
        if x.ndim != len(padding) + 2:
            raise
        sizes = zip(x.shape[1:-1], padding, layer._kernel_size, layer._stride, strict=True)
        counts = [(n + 2 * p - w) // step + 1 for n, p, w, step in sizes]
        if min(counts) != 0:
            raise
    # One window too many: there is none.
    return mx.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)


_POOLS: dict[tuple[Any, int], Callable[..., Any]] = {
    (function, spatial): getattr(_nn, f"{kind}_pool{spatial}d")
    for function, kind in ((mx.max, "max"), (mx.mean, "avg"))
    for spatial in (1, 2, 3)
}


class _PoolOfAxes(_Pool):
    """Takes one number for all spatial axes, or one for each."""

    _spatial: ClassVar[int]

    def __init__(
        self,
        pooling_function: Callable[[mx.array, tuple[int, ...]], mx.array],
        padding_value: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
    ):
        window = _each(self, "kernel_size", kernel_size)
        step = window if stride is None else _each(self, "stride", stride)
        margin = [(p, p) for p in _each(self, "padding", padding)]
        super().__init__(pooling_function, window, step, margin, padding_value)


def _each(layer: _PoolOfAxes, what: str, given: Any) -> list[int]:
    spatial, several = layer._spatial, isinstance(given, (list, tuple))
    if len(given) != spatial if several else not isinstance(given, int):
        raise ValueError(
            f"{type(layer).__name__}: {what} must be an integer, or a tuple with one for each of the {spatial} spatial "
            f"axes, got {given!r}"
        )
    return list(given) if several else [given] * spatial


class _Pool1d(_PoolOfAxes):
    _spatial = 1


class _Pool2d(_PoolOfAxes):
    _spatial = 2


class _Pool3d(_PoolOfAxes):
    _spatial = 3


class MaxPool1d(_Pool1d):
    """Take the largest element of each window of ``(N, L, C)``; windows are `kernel_size` apart if `stride` is None."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0):
        super().__init__(mx.max, _LOWEST, kernel_size, stride, padding)


class AvgPool1d(_Pool1d):
    """Take the mean of each window of ``(N, L, C)``; zeros of the padding count."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0):
        super().__init__(mx.mean, 0, kernel_size, stride, padding)


class MaxPool2d(_Pool2d):
    """Take the largest element of each window of ``(N, H, W, C)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.MaxPool2d(kernel_size=2, stride=2)(mx.ones((8, 32, 32, 4))).shape
    (8, 16, 16, 4)
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0):
        super().__init__(mx.max, _LOWEST, kernel_size, stride, padding)


class AvgPool2d(_Pool2d):
    """Take the mean of each window of ``(N, H, W, C)``; zeros of the padding count.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.AvgPool2d(2)(mx.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])).item()
    2.5
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0):
        super().__init__(mx.mean, 0, kernel_size, stride, padding)


class MaxPool3d(_Pool3d):
    """Take the largest element of each window of ``(N, D, H, W, C)``."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0):
        super().__init__(mx.max, _LOWEST, kernel_size, stride, padding)


class AvgPool3d(_Pool3d):
    """Take the mean of each window of ``(N, D, H, W, C)``; zeros of the padding count."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0):
        super().__init__(mx.mean, 0, kernel_size, stride, padding)
