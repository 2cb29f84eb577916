"""Convolutions, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import attrs

import funcnn as fn
from funcnn import random
from funcnn._arguments import Integers
from funcnn._hyper import flag, whole
from funcnn.tree import frozendict

from ._layer import Layer, Params, as_input
from ._spatial import WORDS, check_input, each, padding, per_axis, word


def divides_channels(instance: Any, attribute: attrs.Attribute[Any], groups: Any) -> None:
    """A validator: a number of groups into which both kinds of channels can be split."""
    whole(1)(instance, attribute, groups)
    for what in ("in_channels", "out_channels"):
        if getattr(instance, what) % groups:
            raise ValueError(
                f"{type(instance).__name__}: {what} must be divisible by the number of groups, got "
                f"{getattr(instance, what)} and {groups}"
            )


class Convolution(Layer):
    """What all convolutions share."""

    _spatial: ClassVar[int]
    _convolve: ClassVar[Callable[..., fn.array]]
    _words: ClassVar[tuple[str, ...]] = WORDS

    in_channels: int = attrs.field(validator=whole(0))
    out_channels: int = attrs.field(validator=whole(0))
    kernel_size: Integers = attrs.field(validator=each(1))
    stride: Integers = attrs.field(default=1, validator=each(1))
    padding: Integers | str = attrs.field(default=0, converter=word, validator=padding)
    dilation: Integers = attrs.field(default=1, validator=each(1))

    def _options(self) -> dict[str, Any]:
        groups: int = self.groups  # type: ignore[attr-defined]
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": groups}

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw ``weight``; ``bias`` is zero."""
        groups: int = self.groups  # type: ignore[attr-defined]
        kernel = per_axis(type(self).__name__, "kernel_size", self.kernel_size, self._spatial, 1)
        inputs = self.in_channels // groups
        bound = 1.0 / math.sqrt(max(inputs * math.prod(kernel), 1))
        weight = random.uniform(key, (self.out_channels, *kernel, inputs), low=-bound, high=bound)
        if not self.bias:  # type: ignore[attr-defined]
            return frozendict(weight=weight)
        return frozendict(weight=weight, bias=fn.zeros((self.out_channels,)))

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        check_input(x, self._spatial, self.in_channels)
        y = type(self)._convolve(x, params["weight"], **self._options())
        return y + params["bias"] if self.bias else y  # type: ignore[attr-defined]


class Conv1d(Convolution):
    """Convolve a sequence: ``y[n, l] = sum_k weight[:, k] @ x[n, l * stride + k * dilation - padding] + bias``.

    Parameters are ``weight`` of shape ``(out_channels, kernel_size, in_channels / groups)``, drawn uniformly from
    ``±1 / sqrt(kernel_size * in_channels / groups)``, and ``bias`` of shape ``(out_channels,)``, zeros. The input is
    ``(N, L, in_channels)``, the output ``(N, L', out_channels)`` of the common dtype of both,
    ``L' = (L + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``. 16-bit floats are accumulated in float32.

    Args:
        in_channels: Size of the last axis of the input.
        out_channels: Size of the last axis of the output.
        kernel_size: How many elements of the sequence each output sees.
        stride: From one window to the next.
        padding: Zeros at both ends. ``"same"`` makes ``ceil(L / stride)`` outputs, with one zero more behind than before where
            their number is odd; ``"valid"`` is 0.
        dilation: From one element of the kernel to the next.
        groups: How many parts the channels are in, each with outputs of its own; it divides both numbers of channels.
        bias: Whether to add a bias.

    Raises:
        ValueError: The input has another shape, or the kernel reaches beyond the padded input; a hyperparameter is out of
            range.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Conv1d(3, 8, kernel_size=5, padding=2)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 10, 3))).shape
    (2, 10, 8)
    """

    _spatial = 1
    _convolve = fn.conv1d

    groups: int = attrs.field(default=1, validator=divides_channels)
    bias: bool = attrs.field(default=True, validator=flag)


class Conv2d(Convolution):
    """Convolve images, ``(N, H, W, in_channels)``.

    Each output is the sum of products of the kernel, as it lies, with a window of the input (a cross-correlation), and a bias.
    Parameters are ``weight`` of shape ``(out_channels, kh, kw, in_channels / groups)``, drawn uniformly from
    ``±1 / sqrt(kh * kw * in_channels / groups)``, and ``bias`` of shape ``(out_channels,)``, zeros. The output is
    ``(N, H', W', out_channels)`` of the common dtype of input and parameters,
    ``H' = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1``. 16-bit floats are accumulated in float32.

    Args:
        in_channels: Size of the last axis of the input.
        out_channels: Size of the last axis of the output.
        kernel_size: Height and width of the kernel, a number or a pair.
        stride: From one window to the next, a number or a pair.
        padding: Zeros at both ends of each spatial axis, a number or a pair. ``"same"`` makes ``ceil(L / stride)`` outputs of an
            axis of length ``L``, with one zero more behind than before where their number is odd; ``"valid"`` is 0.
        dilation: From one element of the kernel to the next, a number or a pair.
        groups: How many parts the channels are in, each with outputs of its own; it divides both numbers of channels. With
            as many as there are channels, every channel has its own kernels (depthwise).
        bias: Whether to add a bias.

    Raises:
        ValueError: The input has another shape, or the kernel reaches beyond the padded input; a hyperparameter is out of
            range.

    Reference: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 32, 32, 3))).shape
    (2, 16, 16, 8)
    """

    _spatial = 2
    _convolve = fn.conv2d

    groups: int = attrs.field(default=1, validator=divides_channels)
    bias: bool = attrs.field(default=True, validator=flag)


class Conv3d(Convolution):
    """Convolve volumes, ``(N, D, H, W, in_channels)``.

    Each output is the sum of products of the kernel, as it lies, with a window of the input (a cross-correlation), and a bias.
    Parameters are ``weight`` of shape ``(out_channels, kd, kh, kw, in_channels / groups)``, drawn uniformly from
    ``±1 / sqrt(kd * kh * kw * in_channels / groups)``, and ``bias`` of shape ``(out_channels,)``, zeros. The output is
    ``(N, D', H', W', out_channels)`` of the common dtype of input and parameters; sizes are those of ``Conv2d``. 16-bit floats
    are accumulated in float32.

    Args:
        in_channels: Size of the last axis of the input.
        out_channels: Size of the last axis of the output.
        kernel_size: Depth, height and width of the kernel, a number or three.
        stride: From one window to the next, a number or three.
        padding: Zeros at both ends of each spatial axis, a number or three. ``"same"`` makes ``ceil(L / stride)`` outputs of an
            axis of length ``L``, with one zero more behind than before where their number is odd; ``"valid"`` is 0.
        dilation: From one element of the kernel to the next, a number or three.
        bias: Whether to add a bias.
        groups: How many parts the channels are in, each with outputs of its own; it divides both numbers of channels. By
            name only, for MLX's layer has none.

    Raises:
        ValueError: The input has another shape, or the kernel reaches beyond the padded input; a hyperparameter is out of
            range.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Conv3d(1, 4, kernel_size=(1, 3, 3))
    >>> layer(layer.init(random.key(0)), fn.ones((2, 5, 8, 8, 1))).shape
    (2, 5, 6, 6, 4)
    """

    _spatial = 3
    _convolve = fn.conv3d

    bias: bool = attrs.field(default=True, validator=flag)
    groups: int = attrs.field(default=1, validator=divides_channels, kw_only=True)
