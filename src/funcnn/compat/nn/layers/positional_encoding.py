"""Where in a sequence something stands, told to features or to scores of attention."""

from __future__ import annotations

import math

from ... import core as mx
from ...core._wrap import mutable
from .._functional import fast as _fast
from .._functional import positions as _positions
from .base import Module


class RoPE(Module):
    """Rotate pairs of features by angles that grow with the place, `offset` for the first one.

    Pairs are features ``2 * i`` and ``2 * i + 1`` if `traditional`, else ``i`` and ``i + dims / 2``; places are multiplied by
    `scale`, the frequencies are powers of `base`. See ``mx.fast.rope``.

    Called with ``(B, ..., T, D)`` of at least `dims` features, of which those after `dims` stay as they are, and an offset, also
    an array of one for each of the B sequences.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.RoPE(2)(mx.array([[[1.0, 0.0], [1.0, 0.0]]])).round(3).tolist()
    [[[1.0, 0.0], [0.5400000214576721, 0.8410000205039978]]]
    """

    def __init__(self, dims: int, traditional: bool = False, base: float = 10000, scale: float = 1.0):
        super().__init__()
        self.dims, self.traditional = dims, traditional
        self.base, self.scale = base, scale

    def _extra_repr(self) -> str:
        return f"{self.dims}, traditional={self.traditional}"

    def __call__(self, x: mx.array, offset: int | mx.array = 0) -> mx.array:
        return _fast.rope(x, self.dims, traditional=self.traditional, base=self.base, scale=self.scale, offset=offset)


class SinusoidalPositionalEncoding(Module):
    """Encode numbers, such as places, by sines and cosines of `dims` / 2 frequencies from `max_freq` to `min_freq`.

    The result is multiplied by `scale`, ``sqrt(2 / dims)`` if None. With `full_turns`, frequencies count turns.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.SinusoidalPositionalEncoding(4)(mx.arange(3)).shape
    (3, 4)
    """

    _sigmas: mx.array

    def __init__(
        self,
        dims: int,
        min_freq: float = 0.0001,
        max_freq: float = 1,
        scale: float | None = None,
        cos_first: bool = False,
        full_turns: bool = False,
    ):
        super().__init__()
        if dims <= 0 or dims % 2:
            raise ValueError(f"SinusoidalPositionalEncoding: dims must be an even number above 0, got {dims}")
        factor = 2.0 * math.pi if full_turns else 1.0
        self._sigmas = mx.array(_positions.frequencies_between(dims // 2, min_freq, max_freq, factor))
        self.scale = math.sqrt(2.0 / dims) if scale is None else scale
        self.cos_first = cos_first

    def __call__(self, x: mx.array) -> mx.array:
        return _positions.waves(x, self._sigmas, self.scale, cos_first=self.cos_first)


class ALiBi(Module):
    """Add biases to scores of attention, ``(B, num_heads, T, S)``, that fall linearly with the distance between query and key.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.ALiBi()(mx.zeros((1, 1, 2, 2)))[0, 0].tolist()
    [[0.0, -0.00390625], [-0.00390625, 0.0]]
    """

    @staticmethod
    def create_alibi_matrix(
        q_sequence_length: int,
        k_sequence_length: int,
        num_heads: int,
        offset: int = 0,
        dtype: mx.Dtype = mx.float32,
    ) -> mx.array:
        """Make biases of shape ``(1, num_heads, q_sequence_length - offset, k_sequence_length)``."""
        return mutable(
            _positions.alibi_biases(mx.arange(offset, q_sequence_length), k_sequence_length, num_heads, dtype)
        )

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """Make the slope of each head, an array of shape ``(num_heads, 1, 1)``."""
        return mutable(_positions.ALiBi.create_alibi_slope(num_heads, dtype))

    def __call__(self, attention_scores: mx.array, offset: int = 0, mask: mx.array | None = None) -> mx.array:
        biases = self.create_alibi_matrix(
            attention_scores.shape[-2] + offset,
            attention_scores.shape[-1],
            attention_scores.shape[1],
            offset,
            attention_scores.dtype,
        )
        return attention_scores + (biases if mask is None else biases + mask)
