"""Affine maps."""

from __future__ import annotations

import math

import attrs

import funcnn as fn
from funcnn import random
from funcnn._hyper import whole
from funcnn.tree import frozendict

from ._layer import Layer, Params, as_input


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
    bias: bool = True

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
        y: fn.array = x @ params["weight"].T
        return y + params["bias"] if self.bias else y
