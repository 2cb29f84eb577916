"""Transposed convolutions, channels last."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn._arguments import Integers
from funcnn._hyper import flag

from ._convolution import Convolution, divides_channels
from ._spatial import each


class ConvolutionTranspose(Convolution):
    """What all transposed convolutions share."""

    _words = ()

    output_padding: Integers = attrs.field(default=0, validator=each(0))
    bias: bool = attrs.field(default=True, validator=flag)
    groups: int = attrs.field(default=1, validator=divides_channels, kw_only=True)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "output_padding": self.output_padding}


class ConvTranspose1d(ConvolutionTranspose):
    """Convolve a sequence transposed: each element adds its multiple of the kernel to the output, the next `stride` further.

    It does to sequences what ``Conv1d`` with these arguments does to gradients. Parameters are ``weight`` of shape
    ``(out_channels, kernel_size, in_channels / groups)``, drawn uniformly from
    ``±1 / sqrt(kernel_size * in_channels / groups)``, and ``bias`` of shape ``(out_channels,)``, zeros. The input is
    ``(N, L, in_channels)``, the output ``(N, L', out_channels)`` of the common dtype of both,
    ``L' = (L - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1``.

    Args:
        in_channels: Size of the last axis of the input.
        out_channels: Size of the last axis of the output.
        kernel_size: How many elements of the output each input reaches.
        stride: From the kernel's place at one element to that at the next.
        padding: Elements cut off both ends of the result.
        dilation: From one element of the kernel to the next.
        output_padding: Elements that the result has more at its end. ``Conv1d`` maps `stride` different lengths to one; this
            chooses among them.
        bias: Whether to add a bias.
        groups: How many parts the channels are in, each with outputs of its own; it divides both numbers of channels. By
            name only, for MLX's layer has none.

    Raises:
        ValueError: The input has another shape, or nothing is left of the result; a hyperparameter is out of range.

    Reference: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.ConvTranspose1d(8, 3, kernel_size=4, stride=2, padding=1)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 10, 8))).shape
    (2, 20, 3)
    """

    _spatial = 1
    _convolve = fn.conv_transpose1d


class ConvTranspose2d(ConvolutionTranspose):
    """Convolve images transposed: each element adds its multiple of the kernel to the output, the next `stride` further.

    It does to images what ``Conv2d`` with these arguments does to gradients. Parameters are ``weight`` of shape
    ``(out_channels, kh, kw, in_channels / groups)``, drawn uniformly from ``±1 / sqrt(kh * kw * in_channels / groups)``, and
    ``bias`` of shape ``(out_channels,)``, zeros. The input is ``(N, H, W, in_channels)``, the output
    ``(N, H', W', out_channels)`` of the common dtype of both,
    ``H' = (H - 1) * stride - 2 * padding + dilation * (kh - 1) + output_padding + 1``.

    Args:
        in_channels: Size of the last axis of the input.
        out_channels: Size of the last axis of the output.
        kernel_size: Height and width of the kernel, a number or a pair.
        stride: From the kernel's place at one element to that at the next, a number or a pair.
        padding: Elements cut off both ends of each spatial axis of the result, a number or a pair.
        dilation: From one element of the kernel to the next, a number or a pair.
        output_padding: Elements that the result has more at the end of each spatial axis, a number or a pair. ``Conv2d``
            maps `stride` different sizes to one; this chooses among them.
        bias: Whether to add a bias.
        groups: How many parts the channels are in, each with outputs of its own; it divides both numbers of channels. By
            name only, for MLX's layer has none.

    Raises:
        ValueError: The input has another shape, or nothing is left of the result; a hyperparameter is out of range.

    Reference: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.ConvTranspose2d(8, 3, kernel_size=3, stride=2, padding=1, output_padding=1)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 16, 16, 8))).shape
    (2, 32, 32, 3)
    """

    _spatial = 2
    _convolve = fn.conv_transpose2d


class ConvTranspose3d(ConvolutionTranspose):
    """Convolve volumes transposed: each element adds its multiple of the kernel to the output, the next `stride` further.

    It does to volumes what ``Conv3d`` with these arguments does to gradients. Parameters are ``weight`` of shape
    ``(out_channels, kd, kh, kw, in_channels / groups)``, drawn uniformly from
    ``±1 / sqrt(kd * kh * kw * in_channels / groups)``, and ``bias`` of shape ``(out_channels,)``, zeros. The input is
    ``(N, D, H, W, in_channels)``, the output ``(N, D', H', W', out_channels)`` of the common dtype of both; sizes are those of
    ``ConvTranspose2d``.

    Args:
        in_channels: Size of the last axis of the input.
        out_channels: Size of the last axis of the output.
        kernel_size: Depth, height and width of the kernel, a number or three.
        stride: From the kernel's place at one element to that at the next, a number or three.
        padding: Elements cut off both ends of each spatial axis of the result, a number or three.
        dilation: From one element of the kernel to the next, a number or three.
        output_padding: Elements that the result has more at the end of each spatial axis, a number or three.
        bias: Whether to add a bias.
        groups: How many parts the channels are in, each with outputs of its own; it divides both numbers of channels. By
            name only, for MLX's layer has none.

    Raises:
        ValueError: The input has another shape, or nothing is left of the result; a hyperparameter is out of range.

    Reference: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.ConvTranspose3d(4, 1, kernel_size=2, stride=2)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 3, 4, 4, 4))).shape
    (2, 6, 8, 8, 1)
    """

    _spatial = 3
    _convolve = fn.conv_transpose3d
