"""Vectors for tokens."""

from __future__ import annotations

import math

import attrs

import funcnn as fn
from funcnn import random
from funcnn._arguments import is_integer
from funcnn._hyper import whole
from funcnn.tree import frozendict

from ._layer import Layer, Params, _with_context, as_input


class Embedding(Layer):
    """Replace integers by rows of a table: ``weight[x]``.

    An input of any shape ``(...)`` gives ``(..., dims)`` in the dtype of the table. Negative integers count from the end of the
    table. In an array, those out of its range give rows of zeros and have no gradient; a single number of Python is known when the
    layer is called, and raises.

    The parameter ``weight`` of shape ``(num_embeddings, dims)`` is drawn from a normal distribution of variance
    ``1 / dims``.

    Args:
        num_embeddings: How many rows there are.
        dims: Size of a row.

    Raises:
        TypeError: The input holds no integers.
        IndexError: It is one integer of Python, and out of range.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.Embedding(10, 4)
    >>> layer(layer.init(random.key(0)), fn.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    num_embeddings: int = attrs.field(validator=whole(0))
    dims: int = attrs.field(validator=whole(0))

    def init(self, key: fn.array) -> frozendict[str, fn.array]:
        """Draw ``weight``."""
        weight = random.normal(key, (self.num_embeddings, self.dims), scale=1.0 / math.sqrt(max(self.dims, 1)))
        return frozendict(weight=weight)

    def __call__(self, params: Params, x: fn.array) -> fn.array:
        rows = as_input(x)
        if not fn.isdtype(rows.dtype, "integral"):
            raise TypeError(f"expected integers, got {rows.dtype}")
        if is_integer(x) and not -self.num_embeddings <= x < self.num_embeddings:
            raise IndexError(f"{x} is out of range for {self.num_embeddings} embeddings")
        return fn.take(params["weight"], rows, axis=0)

    @_with_context
    def as_linear(self, params: Params, x: fn.array) -> fn.array:
        """Multiply by the table, ``x @ weight.T``: scores for every row, for an output projection tied to the input.

        Args:
            params: The parameters of this layer.
            x: Vectors ``(..., dims)``.

        Returns:
            Scores ``(..., num_embeddings)`` in the common dtype.

        Raises:
            ValueError: The last axis of `x` has another size.

        >>> import funcnn as fn
        >>> from funcnn import nn, random
        >>> layer = nn.Embedding(10, 4)
        >>> layer.as_linear(layer.init(random.key(0)), fn.ones((3, 4))).shape
        (3, 10)
        """
        x = as_input(x)
        if x.ndim == 0 or x.shape[-1] != self.dims:
            raise ValueError(f"expected (..., {self.dims}), got {x.shape}")
        scores: fn.array = x @ params["weight"].T
        return scores
