"""Transposed convolutions, channels last."""

from __future__ import annotations

from ... import core as mx
from .convolution import _biased, _Convolution, _described


class _ConvolutionTranspose(_Convolution):
    """What all transposed convolutions share."""

    def _extra_repr(self) -> str:
        return _described(self, self.weight.shape[-1], "output_padding")


class ConvTranspose1d(_ConvolutionTranspose):
    """Convolve sequences transposed, with a ``weight`` of shape ``(out_channels, kernel_size, in_channels)``.

    It does to ``(N, L, in_channels)`` what `Conv1d` does to gradients. The weight is drawn uniformly from
    ``±1 / sqrt(kernel_size * in_channels)``, the ``bias`` is zero.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.ConvTranspose1d(8, 3, kernel_size=4, stride=2)(mx.ones((2, 10, 8))).shape
    (2, 22, 3)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        output_padding: int = 0,
        bias: bool = True,
    ):
        options = {"padding": padding, "stride": stride, "output_padding": output_padding}
        super().__init__(1, in_channels, out_channels, kernel_size, bias, dilation, **options)

    def __call__(self, x: mx.array) -> mx.array:
        return _biased(
            self, mx.conv_transpose1d(x, self["weight"], self.stride, self.padding, self.dilation, self.output_padding)
        )


class ConvTranspose2d(_ConvolutionTranspose):
    """Convolve images transposed, with a ``weight`` of shape ``(out_channels, kh, kw, in_channels)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)(mx.ones((2, 16, 16, 8))).shape
    (2, 32, 32, 3)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        output_padding: int | tuple[int, int] = 0,
        bias: bool = True,
    ):
        options = {"padding": padding, "stride": stride, "output_padding": output_padding}
        super().__init__(2, in_channels, out_channels, kernel_size, bias, dilation, **options)

    def __call__(self, x: mx.array) -> mx.array:
        return _biased(
            self, mx.conv_transpose2d(x, self["weight"], self.stride, self.padding, self.dilation, self.output_padding)
        )


class ConvTranspose3d(_ConvolutionTranspose):
    """Convolve volumes transposed, with a ``weight`` of shape ``(out_channels, kd, kh, kw, in_channels)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.ConvTranspose3d(4, 2, kernel_size=2, stride=2)(mx.ones((1, 3, 3, 3, 4))).shape
    (1, 6, 6, 6, 2)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] = 0,
        dilation: int | tuple[int, int, int] = 1,
        output_padding: int | tuple[int, int, int] = 0,
        bias: bool = True,
    ):
        options = {"padding": padding, "stride": stride, "output_padding": output_padding}
        super().__init__(3, in_channels, out_channels, kernel_size, bias, dilation, **options)

    def __call__(self, x: mx.array) -> mx.array:
        return _biased(
            self, mx.conv_transpose3d(x, self["weight"], self.stride, self.padding, self.dilation, self.output_padding)
        )
