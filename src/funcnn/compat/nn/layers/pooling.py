"""Pooling: windows of the spatial axes, channels last, reduced to their maximum or mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ... import core as mx
from .._functional import nn as _nn
from .base import Module


class _Pool(Module):
    """What all pooling layers share."""

    _spatial: ClassVar[int]
    _pool: ClassVar[Callable[..., mx.array]]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        padding: int | tuple[int, ...] = 0,
    ):
        super().__init__()
        self._kernel_size = self._each("kernel_size", kernel_size, 1)
        self._stride = self._kernel_size if stride is None else self._each("stride", stride, 1)
        self._padding = [(p, p) for p in self._each("padding", padding, 0)]

    def _each(self, what: str, given: Any, least: int) -> list[int]:
        """The number for each spatial axis."""
        name, count = type(self).__name__, self._spatial
        if not isinstance(given, int if not isinstance(given, (list, tuple)) else (list, tuple)) or (
            isinstance(given, (list, tuple)) and len(given) != count
        ):
            several = f"{count} integers" if count > 1 else "1 integer"
            raise ValueError(f"[{name}] '{what}' must be an integer or a tuple containing {several}")
        found = list(given) if isinstance(given, (list, tuple)) else [given] * count
        if any(number < least for number in found):
            kind = "positive" if least else "non-negative"
            raise ValueError(f"[{name}] '{what}' must be {kind} but got {tuple(found)}.")
        return found

    def _extra_repr(self) -> str:
        padding = tuple(before for before, _ in self._padding)
        return f"kernel_size={tuple(self._kernel_size)}, stride={tuple(self._stride)}, padding={padding}"

    def __call__(self, x: mx.array) -> mx.array:
        padding = [before for before, _ in self._padding]
        try:
            return type(self)._pool(x, self._kernel_size, self._stride, padding)
        except ValueError:
            if x.ndim != self._spatial + 2:
                raise
            sizes = zip(x.shape[1:-1], padding, self._kernel_size, self._stride, strict=True)
            counts = [(n + 2 * p - w) // step + 1 for n, p, w, step in sizes]
            if min(counts) != 0:
                raise
        # One window too many: there is none.
        return mx.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)


class MaxPool1d(_Pool):
    """Take the largest element of each window of ``(N, L, C)``; windows are `kernel_size` apart if `stride` is None."""

    _spatial, _pool = 1, _nn.max_pool1d


class AvgPool1d(_Pool):
    """Take the mean of each window of ``(N, L, C)``; zeros of the padding count."""

    _spatial, _pool = 1, _nn.avg_pool1d


class MaxPool2d(_Pool):
    """Take the largest element of each window of ``(N, H, W, C)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.MaxPool2d(kernel_size=2, stride=2)(mx.ones((8, 32, 32, 4))).shape
    (8, 16, 16, 4)
    """

    _spatial, _pool = 2, _nn.max_pool2d


class AvgPool2d(_Pool):
    """Take the mean of each window of ``(N, H, W, C)``; zeros of the padding count."""

    _spatial, _pool = 2, _nn.avg_pool2d


class MaxPool3d(_Pool):
    """Take the largest element of each window of ``(N, D, H, W, C)``."""

    _spatial, _pool = 3, _nn.max_pool3d


class AvgPool3d(_Pool):
    """Take the mean of each window of ``(N, D, H, W, C)``; zeros of the padding count."""

    _spatial, _pool = 3, _nn.avg_pool3d
