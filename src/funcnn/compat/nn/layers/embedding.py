"""Vectors for tokens."""

from __future__ import annotations

import math
from typing import Any

from ... import core as mx
from .._functional import linear as _linear
from .base import Module
from .quantized import QuantizedEmbedding


class Embedding(Module):
    """Replace integers by rows of a table: ``weight[x]``.

    ``weight`` of shape ``(num_embeddings, dims)`` is drawn from a normal distribution of variance ``1 / dims``.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.Embedding(10, 4)(mx.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    weight: mx.array

    def __init__(self, num_embeddings: int, dims: int):
        super().__init__()
        self.weight = mx.random.normal(shape=(num_embeddings, dims), scale=math.sqrt(1 / dims))

    def _extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape[:2]))

    def __call__(self, x: Any) -> mx.array:
        found: mx.array = self["weight"][x]
        return found

    def as_linear(self, x: mx.array) -> mx.array:
        """Multiply by the table, ``x @ weight.T``: scores for every row, for an output projection tied to the input."""
        return _linear.affine(x, self["weight"], None)

    def to_quantized(
        self,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ) -> QuantizedEmbedding:
        """Return a layer whose table is quantised."""
        if quantize_input:
            raise ValueError(
                "Embedding.to_quantized: the inputs are indices, which quantize_input=True cannot quantise"
            )
        return QuantizedEmbedding.from_embedding(self, group_size=group_size, bits=bits, mode=mode)
