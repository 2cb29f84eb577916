"""Pooling: windows of the spatial axes, channels last, reduced to their maximum or mean."""

from __future__ import annotations

import math
from typing import Any

import funcnn as fn

from .._arguments import Integers
from .._core import _reduce_windows
from ._arrays import as_array
from ._spatial import per_axis


def _pool(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, *, largest: bool) -> fn.array:
    spatial = int(name[-2])
    x = as_array(name, x)
    if x.dtype == fn.complex64:
        raise ValueError(f"{name}: is not defined for complex64")
    window = per_axis(name, "kernel_size", kernel_size, spatial, 1)
    step = window if stride is None else per_axis(name, "stride", stride, spatial, 1)
    margin = per_axis(name, "padding", padding, spatial, 0)
    if x.ndim != spatial + 2:
        axes = "spatial axis" if spatial == 1 else "spatial axes"
        raise ValueError(f"{name}: expected (N, spatial..., C) with {spatial} {axes}, got shape {x.shape}")
    for axis, (length, w, m) in enumerate(zip(x.shape[1:-1], window, margin, strict=True), 1):
        if length + 2 * m < w:
            raise ValueError(
                f"{name}: the window reaches over {w} elements of axis {axis}, which has {length + 2 * m} once it is "
                f"padded; shape {x.shape}"
            )
    if any(margin):
        fill = _least(x.dtype) if largest else 0
        x = fn.pad(x, [(0, 0), *((m, m) for m in margin), (0, 0)], constant_values=fill)
    if largest:
        return _reduce_windows(x, True, window, step)
    total = _reduce_windows(x if fn.isdtype(x.dtype, "real floating") else x.astype(fn.float32), False, window, step)
    mean = total / math.prod(window)
    return mean.astype(x.dtype) if fn.isdtype(x.dtype, "real floating") else mean


def _least(dtype: fn.Dtype) -> Any:
    if fn.isdtype(dtype, "real floating"):
        return float("-inf")
    return False if dtype == fn.bool_ else fn.iinfo(dtype).min


def max_pool1d(x: fn.array, kernel_size: Integers, stride: Integers | None = None, padding: Integers = 0) -> fn.array:
    """Take the largest element of each window of a spatial axis, channels last.

    Args:
        x: An array (N, L, C).
        kernel_size: The length of the window, a number.
        stride: From one window to the next; by default the length of the window.
        padding: How many elements that are less than all others are put at both ends of each spatial axis.

    Returns:
        An array (N, L', C); an axis of length L has (L + 2 * padding - kernel_size) // stride + 1 windows.
        The dtype is kept. Where several elements of a window are the largest, they share its gradient evenly, as in
        MLX.

    Raises:
        ValueError: The array has other axes, the window reaches beyond the padded array, or a number is out of range.
        TypeError: An argument is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.max_pool1d(fn.array([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
    [[[3.0], [2.0]]]
    """
    return _pool("max_pool1d", x, kernel_size, stride, padding, largest=True)


def max_pool2d(x: fn.array, kernel_size: Integers, stride: Integers | None = None, padding: Integers = 0) -> fn.array:
    """Take the largest element of each window of two spatial axes, channels last.

    Args:
        x: An array (N, H, W, C).
        kernel_size: The length of the window, a number, or a pair of them.
        stride: From one window to the next; by default the length of the window.
        padding: How many elements that are less than all others are put at both ends of each spatial axis.

    Returns:
        An array (N, H', W', C); an axis of length L has (L + 2 * padding - kernel_size) // stride + 1 windows.
        The dtype is kept. Where several elements of a window are the largest, they share its gradient evenly, as in
        MLX.

    Raises:
        ValueError: The array has other axes, the window reaches beyond the padded array, or a number is out of range.
        TypeError: An argument is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.max_pool2d(fn.ones((1, 4, 6, 4)), 2).shape
    (1, 2, 3, 4)
    """
    return _pool("max_pool2d", x, kernel_size, stride, padding, largest=True)


def max_pool3d(x: fn.array, kernel_size: Integers, stride: Integers | None = None, padding: Integers = 0) -> fn.array:
    """Take the largest element of each window of three spatial axes, channels last.

    Args:
        x: An array (N, D, H, W, C).
        kernel_size: The length of the window, a number, or three of them.
        stride: From one window to the next; by default the length of the window.
        padding: How many elements that are less than all others are put at both ends of each spatial axis.

    Returns:
        An array (N, D', H', W', C); an axis of length L has (L + 2 * padding - kernel_size) // stride + 1 windows.
        The dtype is kept. Where several elements of a window are the largest, they share its gradient evenly, as in
        MLX.

    Raises:
        ValueError: The array has other axes, the window reaches beyond the padded array, or a number is out of range.
        TypeError: An argument is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.max_pool3d(fn.ones((1, 4, 6, 4, 4)), 2).shape
    (1, 2, 3, 2, 4)
    """
    return _pool("max_pool3d", x, kernel_size, stride, padding, largest=True)


def avg_pool1d(x: fn.array, kernel_size: Integers, stride: Integers | None = None, padding: Integers = 0) -> fn.array:
    """Take the mean of each window of a spatial axis, channels last.

    Args:
        x: An array (N, L, C).
        kernel_size: The length of the window, a number.
        stride: From one window to the next; by default the length of the window.
        padding: How many zeros, which count in the mean, are put at both ends of each spatial axis.

    Returns:
        An array (N, L', C); an axis of length L has (L + 2 * padding - kernel_size) // stride + 1 windows.
        Integers give float32; 16-bit floats are added up in float32.

    Raises:
        ValueError: The array has other axes, the window reaches beyond the padded array, or a number is out of range.
        TypeError: An argument is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.avg_pool1d(fn.array([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
    [[[2.0], [1.0]]]
    """
    return _pool("avg_pool1d", x, kernel_size, stride, padding, largest=False)


def avg_pool2d(x: fn.array, kernel_size: Integers, stride: Integers | None = None, padding: Integers = 0) -> fn.array:
    """Take the mean of each window of two spatial axes, channels last.

    Args:
        x: An array (N, H, W, C).
        kernel_size: The length of the window, a number, or a pair of them.
        stride: From one window to the next; by default the length of the window.
        padding: How many zeros, which count in the mean, are put at both ends of each spatial axis.

    Returns:
        An array (N, H', W', C); an axis of length L has (L + 2 * padding - kernel_size) // stride + 1 windows.
        Integers give float32; 16-bit floats are added up in float32.

    Raises:
        ValueError: The array has other axes, the window reaches beyond the padded array, or a number is out of range.
        TypeError: An argument is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.avg_pool2d(fn.ones((1, 4, 6, 4)), 2).shape
    (1, 2, 3, 4)
    """
    return _pool("avg_pool2d", x, kernel_size, stride, padding, largest=False)


def avg_pool3d(x: fn.array, kernel_size: Integers, stride: Integers | None = None, padding: Integers = 0) -> fn.array:
    """Take the mean of each window of three spatial axes, channels last.

    Args:
        x: An array (N, D, H, W, C).
        kernel_size: The length of the window, a number, or three of them.
        stride: From one window to the next; by default the length of the window.
        padding: How many zeros, which count in the mean, are put at both ends of each spatial axis.

    Returns:
        An array (N, D', H', W', C); an axis of length L has (L + 2 * padding - kernel_size) // stride + 1 windows.
        Integers give float32; 16-bit floats are added up in float32.

    Raises:
        ValueError: The array has other axes, the window reaches beyond the padded array, or a number is out of range.
        TypeError: An argument is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.avg_pool3d(fn.ones((1, 4, 6, 4, 4)), 2).shape
    (1, 2, 3, 2, 4)
    """
    return _pool("avg_pool3d", x, kernel_size, stride, padding, largest=False)
