"""Affine maps."""

from __future__ import annotations

import math

import attrs

import funcnn as fn
from funcnn import random
from funcnn._core import fast as _fast
from funcnn._hyper import flag, whole
from funcnn.tree import frozendict

from ._layer import Layer, Params, as_input

affine = _fast.affine


def bilinear(x1: fn.array, x2: fn.array, weight: fn.array, bias: fn.array | None) -> fn.array:
    """Map two vectors of the same leading axes."""
    outputs, second, first = weight.shape
    # One product for all outputs, then one small one for each sample.
    y = fn.reshape(x1 @ fn.reshape(weight, (outputs * second, first)).T, (*x1.shape[:-1], outputs, second))
    y = fn.squeeze(y @ fn.expand_dims(x2, -1), -1)
    return y if bias is None else y + bias


class Identity(Layer):
    """Return the input.

    >>> from funcnn import nn
    >>> nn.Identity()({}, 5)
    5
    """

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        return x


class Linear(Layer):
    """Map the last axis affinely: ``y = x @ weight.T + bias``.

    Parameters are ``weight`` of shape ``(output_dims, input_dims)`` and ``bias`` of shape ``(output_dims,)``, both drawn
    uniformly from ``±1 / sqrt(input_dims)``.

    Args:
        input_dims: Size of the last axis of the input.
        output_dims: Size of the last axis of the output.
        bias: Whether to add a bias.

    Raises:
        ValueError: The input's last axis has another size.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Linear(3, 2)
    >>> layer(layer.init(random.key(0)), fn.ones((5, 3))).shape
    (5, 2)
    """

    input_dims: int = attrs.field(validator=whole(0))
    output_dims: int = attrs.field(validator=whole(0))
    bias: bool = attrs.field(default=True, validator=flag)

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw ``weight`` and ``bias``."""
        bound = 1.0 / math.sqrt(max(self.input_dims, 1))
        for_weight, for_bias = random.split(key)
        params = {"weight": random.uniform(for_weight, (self.output_dims, self.input_dims), low=-bound, high=bound)}
        if self.bias:
            params["bias"] = random.uniform(for_bias, (self.output_dims,), low=-bound, high=bound)
        return frozendict(params)

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        x = as_input(x)
        if x.ndim == 0 or x.shape[-1] != self.input_dims:
            raise ValueError(f"expected (..., {self.input_dims}), got {x.shape}")
        return affine(x, params["weight"], params["bias"] if self.bias else None)


class Bilinear(Layer):
    """Map two vectors bilinearly: ``y[o] = x2 @ weight[o] @ x1 + bias[o]``.

    Parameters are ``weight`` of shape ``(output_dims, input2_dims, input1_dims)`` and ``bias`` of shape ``(output_dims,)``,
    both drawn uniformly from ``±1 / sqrt(input1_dims)``. The inputs are ``(..., input1_dims)`` and ``(..., input2_dims)`` with
    the same leading axes, the output ``(..., output_dims)`` in the common dtype.

    Args:
        input1_dims: Size of the last axis of the first input.
        input2_dims: Size of the last axis of the second.
        output_dims: Size of the last axis of the output.
        bias: Whether to add a bias.

    Raises:
        ValueError: The inputs' last axes have other sizes, or their leading axes differ.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Bilinear(3, 4, 2)
    >>> layer(layer.init(random.key(0)), fn.ones((5, 3)), fn.ones((5, 4))).shape
    (5, 2)
    """

    input1_dims: int = attrs.field(validator=whole(0))
    input2_dims: int = attrs.field(validator=whole(0))
    output_dims: int = attrs.field(validator=whole(0))
    bias: bool = attrs.field(default=True, validator=flag)

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw ``weight`` and ``bias``."""
        bound = 1.0 / math.sqrt(max(self.input1_dims, 1))
        for_weight, for_bias = random.split(key)
        shape = (self.output_dims, self.input2_dims, self.input1_dims)
        weight = random.uniform(for_weight, shape, low=-bound, high=bound)
        if not self.bias:
            return frozendict(weight=weight)
        return frozendict(weight=weight, bias=random.uniform(for_bias, shape[:1], low=-bound, high=bound))

    def __call__(self, params: Params, x1: fn.array, x2: fn.array) -> fn.array:
        x1, x2 = as_input(x1), as_input(x2)
        fits = x1.ndim and x1.shape[-1] == self.input1_dims and x2.ndim and x2.shape[-1] == self.input2_dims
        if not fits or x1.shape[:-1] != x2.shape[:-1]:
            raise ValueError(
                f"expected (..., {self.input1_dims}) and (..., {self.input2_dims}) with the same leading axes, got "
                f"{x1.shape} and {x2.shape}"
            )
        return bilinear(x1, x2, params["weight"], params["bias"] if self.bias else None)
