"""Affine and bilinear maps."""

from __future__ import annotations

import math
from typing import Any

from ... import core as mx
from .._functional import linear as _linear
from .base import Module
from .quantized import QQLinear, QuantizedLinear


def _drawn(scale: float, *shape: int) -> mx.array:
    return mx.random.uniform(low=-scale, high=scale, shape=shape)


def _draw(layer: Module, inputs: int, bias: bool, *shape: int) -> None:
    """Draw the weight of a layer, and the bias if it has one, from ``±1 / sqrt(inputs)``."""
    scale = math.sqrt(1 / inputs)
    layer.weight = _drawn(scale, *shape)
    if bias:
        layer.bias = _drawn(scale, shape[0])


class Identity(Module):
    """Return the input. Arguments are taken and not used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __call__(self, x: mx.array) -> mx.array:
        return x


class Linear(Module):
    """Map the last axis affinely: ``x @ weight.T + bias``.

    ``weight`` of shape ``(output_dims, input_dims)`` and ``bias`` of shape ``(output_dims,)`` are drawn uniformly from
    ``±1 / sqrt(input_dims)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Linear(3, 2)(mx.ones((5, 3))).shape
    (5, 2)
    """

    weight: mx.array
    bias: mx.array

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        _draw(self, input_dims, bias, output_dims, input_dims)

    def _extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"input_dims={inputs}, output_dims={outputs}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        return _linear.affine(x, self["weight"], self.get("bias"))

    def to_quantized(
        self,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ) -> QuantizedLinear | QQLinear:
        """Return a layer with quantised weights; with `quantize_input`, in the modes "nvfp4" and "mxfp8", also inputs."""
        if quantize_input and mode not in ("nvfp4", "mxfp8"):
            raise ValueError(
                f"Linear.to_quantized: quantize_input=True needs the mode 'nvfp4' or 'mxfp8', whose products take quantised "
                f"inputs, got {mode!r}"
            )
        kind: Any = QQLinear if quantize_input else QuantizedLinear
        layer: QuantizedLinear | QQLinear = kind.from_linear(self, group_size=group_size, bits=bits, mode=mode)
        return layer


class Bilinear(Module):
    """Map two vectors bilinearly: ``y[o] = x2 @ weight[o] @ x1 + bias[o]``.

    ``weight`` of shape ``(output_dims, input2_dims, input1_dims)`` and ``bias`` of shape ``(output_dims,)`` are drawn uniformly
    from ``±1 / sqrt(input1_dims)``. The arrays are ``(..., input1_dims)`` and ``(..., input2_dims)``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Bilinear(3, 4, 2)(mx.ones((5, 3)), mx.ones((5, 4))).shape
    (5, 2)
    """

    weight: mx.array
    bias: mx.array

    def __init__(self, input1_dims: int, input2_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        _draw(self, input1_dims, bias, output_dims, input2_dims, input1_dims)

    def _extra_repr(self) -> str:
        outputs, second, first = self.weight.shape
        return f"input1_dims={first}, input2_dims={second}, output_dims={outputs}, bias={'bias' in self}"

    def __call__(self, x1: mx.array, x2: mx.array) -> mx.array:
        # The leading axes are those of the first; the second need only have as many elements.
        x2 = x2.reshape(*x1.shape[:-1], self.weight.shape[1])
        return _linear.bilinear(x1, x2, self.weight, self.get("bias"))
