"""Pooling as layers. None has parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import attrs

import funcnn as fn
from funcnn._arguments import Integers

from . import _pooling as functions
from ._layer import Layer, Params
from ._spatial import each


class Pooling(Layer):
    """What all pooling layers share."""

    _spatial: ClassVar[int]
    _pool: ClassVar[Callable[..., fn.array]]

    kernel_size: Integers = attrs.field(validator=each(1))
    stride: Integers | None = attrs.field(default=None, validator=each(1, optional=True))
    padding: Integers = attrs.field(default=0, validator=each(0))

    def __call__(self, params: Params, x: Any) -> fn.array:
        return type(self)._pool(x, self.kernel_size, self.stride, self.padding)


class MaxPool1d(Pooling):
    """Take the largest element of each window of a spatial axis, channels last.

    The input is ``(N, L, C)``, the output ``(N, L', C)``; an axis of length L has ``(L + 2 * padding - kernel_size) //
    stride + 1`` windows. The dtype is kept. Where several elements of a window are the largest, they share its gradient
    evenly. The function is ``nn.max_pool1d``.

    Args:
        kernel_size: The length of the window, a number.
        stride: From one window to the next, a number; by default the length of the window.
        padding: How many elements that are less than all others are put at both ends of each spatial axis, a number.

    Raises:
        ValueError: The input has other axes, the window reaches beyond the padded input, or a number is out of range.
        TypeError: A hyperparameter is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.MaxPool1d(2)({}, fn.ones((2, 9, 3))).shape
    (2, 4, 3)
    """

    _spatial = 1
    _pool = functions.max_pool1d


class MaxPool2d(Pooling):
    """Take the largest element of each window of two spatial axes, channels last.

    The input is ``(N, H, W, C)``, the output ``(N, H', W', C)``; an axis of length L has ``(L + 2 * padding -
    kernel_size) // stride + 1`` windows. The dtype is kept. Where several elements of a window are the largest, they
    share its gradient evenly. The function is ``nn.max_pool2d``.

    Args:
        kernel_size: The lengths of the window, a number or a pair.
        stride: From one window to the next, a number or a pair; by default the length of the window.
        padding: How many elements that are less than all others are put at both ends of each spatial axis, a number or
            a pair.

    Raises:
        ValueError: The input has other axes, the window reaches beyond the padded input, or a number is out of range.
        TypeError: A hyperparameter is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.MaxPool2d(2)({}, fn.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    _spatial = 2
    _pool = functions.max_pool2d


class MaxPool3d(Pooling):
    """Take the largest element of each window of three spatial axes, channels last.

    The input is ``(N, D, H, W, C)``, the output ``(N, D', H', W', C)``; an axis of length L has ``(L + 2 * padding -
    kernel_size) // stride + 1`` windows. The dtype is kept. Where several elements of a window are the largest, they
    share its gradient evenly. The function is ``nn.max_pool3d``.

    Args:
        kernel_size: The lengths of the window, a number or three.
        stride: From one window to the next, a number or three; by default the length of the window.
        padding: How many elements that are less than all others are put at both ends of each spatial axis, a number or
            three.

    Raises:
        ValueError: The input has other axes, the window reaches beyond the padded input, or a number is out of range.
        TypeError: A hyperparameter is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.MaxPool3d(2)({}, fn.ones((2, 4, 8, 8, 3))).shape
    (2, 2, 4, 4, 3)
    """

    _spatial = 3
    _pool = functions.max_pool3d


class AvgPool1d(Pooling):
    """Take the mean of each window of a spatial axis, channels last.

    The input is ``(N, L, C)``, the output ``(N, L', C)``; an axis of length L has ``(L + 2 * padding - kernel_size) //
    stride + 1`` windows. Floating dtypes are kept, 16-bit ones added up in float32; integers give float32. The function
    is ``nn.avg_pool1d``.

    Args:
        kernel_size: The length of the window, a number.
        stride: From one window to the next, a number; by default the length of the window.
        padding: How many zeros, which count in the mean, are put at both ends of each spatial axis, a number.

    Raises:
        ValueError: The input has other axes, the window reaches beyond the padded input, or a number is out of range.
        TypeError: A hyperparameter is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.AvgPool1d(2)({}, fn.ones((2, 9, 3))).shape
    (2, 4, 3)
    """

    _spatial = 1
    _pool = functions.avg_pool1d


class AvgPool2d(Pooling):
    """Take the mean of each window of two spatial axes, channels last.

    The input is ``(N, H, W, C)``, the output ``(N, H', W', C)``; an axis of length L has ``(L + 2 * padding -
    kernel_size) // stride + 1`` windows. Floating dtypes are kept, 16-bit ones added up in float32; integers give
    float32. The function is ``nn.avg_pool2d``.

    Args:
        kernel_size: The lengths of the window, a number or a pair.
        stride: From one window to the next, a number or a pair; by default the length of the window.
        padding: How many zeros, which count in the mean, are put at both ends of each spatial axis, a number or a pair.

    Raises:
        ValueError: The input has other axes, the window reaches beyond the padded input, or a number is out of range.
        TypeError: A hyperparameter is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.AvgPool2d(2)({}, fn.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    _spatial = 2
    _pool = functions.avg_pool2d


class AvgPool3d(Pooling):
    """Take the mean of each window of three spatial axes, channels last.

    The input is ``(N, D, H, W, C)``, the output ``(N, D', H', W', C)``; an axis of length L has ``(L + 2 * padding -
    kernel_size) // stride + 1`` windows. Floating dtypes are kept, 16-bit ones added up in float32; integers give
    float32. The function is ``nn.avg_pool3d``.

    Args:
        kernel_size: The lengths of the window, a number or three.
        stride: From one window to the next, a number or three; by default the length of the window.
        padding: How many zeros, which count in the mean, are put at both ends of each spatial axis, a number or three.

    Raises:
        ValueError: The input has other axes, the window reaches beyond the padded input, or a number is out of range.
        TypeError: A hyperparameter is no integer.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> nn.AvgPool3d(2)({}, fn.ones((2, 4, 8, 8, 3))).shape
    (2, 2, 4, 4, 3)
    """

    _spatial = 3
    _pool = functions.avg_pool3d
