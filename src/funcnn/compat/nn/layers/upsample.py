"""Resampling of spatial axes."""

from __future__ import annotations

from typing import Any, Literal

from ... import core as mx
from .._functional import upsample as _upsample
from .base import Module


def _empty(x: mx.array, scale_factor: tuple[float, ...], dtype: mx.Dtype) -> mx.array | None:
    """The result if it has no elements; None if it has some."""
    if x.ndim - 2 != len(scale_factor):
        raise ValueError(
            f"upsample: there must be a scale for each of the {x.ndim - 2} spatial axes, got {scale_factor}"
        )
    if min(scale_factor) < 0:
        raise ValueError(f"upsample: scale_factor must not be negative, got {scale_factor}")
    counts = [int(scale * size) for scale, size in zip(scale_factor, x.shape[1:-1], strict=True)]
    return None if all(counts) else mx.zeros((x.shape[0], *counts, x.shape[-1]), dtype)


def _check_options(align_corners: bool, antialias: bool) -> None:
    if antialias and align_corners:
        raise ValueError("upsample: antialias=True does not go with align_corners=True; leave one of them out")


def upsample_nearest(x: mx.array, scale_factor: tuple[float, ...]) -> mx.array:
    """Resample the spatial axes of ``(N, ..., C)`` by taking elements."""
    empty = _empty(x, scale_factor, x.dtype)
    return _upsample.nearest(x, scale_factor) if empty is None else empty


def upsample_linear(
    x: mx.array, scale_factor: tuple[float, ...], align_corners: bool = False, antialias: bool = False
) -> mx.array:
    """Resample the spatial axes of ``(N, ..., C)`` by interpolation, in float32."""
    return _interpolated(x, scale_factor, "linear", align_corners, antialias)


def upsample_cubic(
    x: mx.array, scale_factor: tuple[float, ...], align_corners: bool = False, antialias: bool = False
) -> mx.array:
    """Resample the spatial axes of ``(N, ..., C)`` by cubic convolution, in float32."""
    return _interpolated(x, scale_factor, "cubic", align_corners, antialias)


def _interpolated(
    x: mx.array, scale_factor: tuple[float, ...], mode: str, align_corners: bool, antialias: bool
) -> mx.array:
    _check_options(align_corners, antialias)
    empty = _empty(x, scale_factor, mx.float32)
    if empty is not None:
        return empty
    return _upsample.interpolated(x, scale_factor, mode, align_corners=align_corners, antialias=antialias)


class Upsample(Module):
    """Resample the spatial axes of ``(N, ..., C)`` to ``int(scale_factor * size)`` elements each.

    The mode is ``"nearest"``, which keeps the dtype, ``"linear"`` or ``"cubic"``, which give float32. With `align_corners` the
    first and last elements stay first and last; with `antialias` the kernel is stretched where sizes shrink.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Upsample(2, mode="linear")(mx.array([[[1.0], [2.0]]])).flatten().tolist()
    [1.0, 1.25, 1.75, 2.0]
    """

    def __init__(
        self,
        scale_factor: float | tuple[float, ...],
        mode: Literal["nearest", "linear", "cubic"] = "nearest",
        align_corners: bool = False,
        antialias: bool = False,
    ):
        _check_options(align_corners, antialias)
        if mode == "nearest":
            if antialias:
                raise ValueError("Upsample: antialias=True is for the modes 'linear' and 'cubic', not for 'nearest'")
        elif mode not in ("linear", "cubic"):
            raise ValueError(f"Upsample: mode must be 'nearest', 'linear' or 'cubic', got {mode!r}")
        super().__init__()
        several = isinstance(scale_factor, (list, tuple))
        self.scale_factor: Any = tuple(map(float, scale_factor)) if several else float(scale_factor)  # type: ignore
        self.mode, self.align_corners, self.antialias = mode, align_corners, antialias

    def _extra_repr(self) -> str:
        described = f"scale_factor={self.scale_factor}, mode={self.mode!r}, align_corners={self.align_corners}"
        return f"{described}, antialias=True" if self.antialias else described

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 3:
            raise ValueError(f"Upsample: expected (N, ..., C) with at least one spatial axis, got {x.shape}")
        scales = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * (x.ndim - 2)
        if self.mode == "nearest":
            return upsample_nearest(x, scales)
        return _interpolated(x, scales, self.mode, self.align_corners, self.antialias)
