"""Convolutions, channels last."""

from __future__ import annotations

import math
from typing import Any

from ... import core as mx
from .base import Module
from .linear import _drawn


class _Convolution(Module):
    """What all convolutions share. Their options are one number for all spatial axes, or one for each."""

    weight: mx.array
    bias: mx.array
    stride: Any
    padding: Any
    dilation: Any

    def __init__(
        self, spatial: int, inputs: int, outputs: int, kernel_size: Any, bias: bool, dilation: Any, **options: Any
    ):
        """Draw the weight uniformly from one over the root of the inputs of an output; the bias is zero."""
        super().__init__()
        kernel = tuple(_each(kernel_size, spatial)) if spatial > 1 else (kernel_size,)
        if len(kernel) != spatial:
            raise ValueError(
                f"{type(self).__name__}: kernel_size must be an integer or {spatial} integers, got {kernel_size}"
            )
        self.weight = _drawn(math.sqrt(1 / (inputs * math.prod(kernel))), outputs, *kernel, inputs)
        if bias:
            self.bias = mx.zeros((outputs,))
        self.dilation = dilation
        for name, value in options.items():
            setattr(self, name, _each(value, spatial))


def _each(value: Any, spatial: int) -> Any:
    return (value,) * spatial if spatial > 1 and isinstance(value, int) else value


def _described(layer: Module, channels: int, *names: str) -> str:
    kernel = layer.weight.shape[1:-1]
    options = "".join(f", {name}={getattr(layer, name)}" for name in ("stride", "padding", "dilation", *names))
    return (
        f"{channels}, {layer.weight.shape[0]}, kernel_size={kernel[0] if len(kernel) == 1 else kernel}{options}, "
        f"bias={'bias' in layer}"
    )


def _biased(layer: Module, y: mx.array) -> mx.array:
    return y + layer["bias"] if "bias" in layer else y


def _channels_of_group(layer: Module, channels: int, groups: int) -> int:
    if channels % groups:
        raise ValueError(f"{type(layer).__name__}: groups must divide in_channels={channels}, got {groups}")
    return channels // groups


class Conv1d(_Convolution):
    """Convolve sequences, ``(N, L, in_channels)``, with a ``weight`` of shape ``(out_channels, kernel_size, in_channels / groups)``.

    The weight is drawn uniformly from ``±1 / sqrt(kernel_size * in_channels / groups)``, the ``bias`` is zero.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Conv1d(3, 8, kernel_size=3)(mx.ones((2, 10, 3))).shape
    (2, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        inputs = _channels_of_group(self, in_channels, groups)
        super().__init__(1, inputs, out_channels, kernel_size, bias, dilation, padding=padding, stride=stride)
        self.groups = groups

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[-1] * self.groups, "groups")

    def __call__(self, x: mx.array) -> mx.array:
        return _biased(self, mx.conv1d(x, self["weight"], self.stride, self.padding, self.dilation, self.groups))


class Conv2d(_Convolution):
    """Convolve images, ``(N, H, W, in_channels)``, with a ``weight`` of shape ``(out_channels, kh, kw, in_channels / groups)``.

    The weight is drawn uniformly from ``±1 / sqrt(kh * kw * in_channels / groups)``, the ``bias`` is zero.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)(mx.ones((2, 32, 32, 3))).shape
    (2, 16, 16, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        inputs = _channels_of_group(self, in_channels, groups)
        super().__init__(2, inputs, out_channels, kernel_size, bias, dilation, padding=padding, stride=stride)
        self.groups = groups

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[-1] * self.groups, "groups")

    def __call__(self, x: mx.array) -> mx.array:
        return _biased(self, mx.conv2d(x, self["weight"], self.stride, self.padding, self.dilation, self.groups))


class Conv3d(_Convolution):
    """Convolve volumes, ``(N, D, H, W, in_channels)``, with a ``weight`` of shape ``(out_channels, kd, kh, kw, in_channels)``.

    The weight is drawn uniformly from ``±1 / sqrt(kd * kh * kw * in_channels)``, the ``bias`` is zero.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Conv3d(2, 4, kernel_size=2)(mx.ones((1, 4, 4, 4, 2))).shape
    (1, 3, 3, 3, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] = 0,
        dilation: int | tuple[int, int, int] = 1,
        bias: bool = True,
    ):
        super().__init__(3, in_channels, out_channels, kernel_size, bias, dilation, padding=padding, stride=stride)

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[-1])

    def __call__(self, x: mx.array) -> mx.array:
        return _biased(self, mx.conv3d(x, self["weight"], self.stride, self.padding, self.dilation))
