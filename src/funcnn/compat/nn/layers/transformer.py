"""Attention with several heads, and transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import core as mx
from ...core._wrap import mutable
from .._functional import attention as _attention
from .._functional import transformer as _transformer
from ..utils import checkpoint as _checkpoint
from .activations import relu
from .base import Module
from .dropout import Dropout
from .linear import Linear
from .normalization import LayerNorm

Mask = mx.array | str | None


class MultiHeadAttention(Module):
    """Let queries gather values by the similarity of their keys, in several heads, between linear maps.

    Called with arrays ``(B, T, query_input_dims)``, ``(B, S, key_input_dims)`` and ``(B, S, value_input_dims)`` and a mask as
    ``mx.fast.scaled_dot_product_attention`` takes it.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> x = mx.ones((2, 5, 16))
    >>> nn.MultiHeadAttention(16, 4)(x, x, x, mask="causal").shape
    (2, 5, 16)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        query_input_dims: int | None = None,
        key_input_dims: int | None = None,
        value_input_dims: int | None = None,
        value_dims: int | None = None,
        value_output_dims: int | None = None,
        bias: bool = False,
    ):
        super().__init__()
        if dims % num_heads:
            raise ValueError(
                f"The input feature dimensions should be divisible by the number of heads ({dims} % {num_heads}) != 0"
            )
        key_input_dims = key_input_dims or dims
        value_dims = value_dims or dims
        self.num_heads = num_heads
        self.query_proj = Linear(query_input_dims or dims, dims, bias=bias)
        self.key_proj = Linear(key_input_dims, dims, bias=bias)
        self.value_proj = Linear(value_input_dims or key_input_dims, value_dims, bias=bias)
        self.out_proj = Linear(value_dims, value_output_dims or dims, bias=bias)

    def __call__(self, queries: mx.array, keys: mx.array, values: mx.array, mask: Mask = None) -> mx.array:
        q, k, v = self.query_proj(queries), self.key_proj(keys), self.value_proj(values)
        if not q.ndim == k.ndim == v.ndim == 3:
            raise ValueError(f"expected queries, keys and values (B, L, D), got {q.shape}, {k.shape} and {v.shape}")
        heads = self.num_heads
        return self.out_proj(_attention.attend(*(_attention.in_heads(x, heads) for x in (q, k, v)), mask))

    @staticmethod
    def create_additive_causal_mask(N: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """Make a mask of shape ``(N, N)`` with the least finite number of `dtype` where a key comes after the query, 0 elsewhere."""
        return mutable(_attention.MultiHeadAttention.create_additive_causal_mask(N, dtype))


class TransformerEncoderLayer(Module):
    """Attend within a sequence, then apply a perceptron at each place, both added to their input."""

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
    ):
        super().__init__()
        mlp_dims = mlp_dims or dims * 4
        self.attention = MultiHeadAttention(dims, num_heads)
        self.ln1 = LayerNorm(dims)
        self.ln2 = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims)
        self.linear2 = Linear(mlp_dims, dims)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def __call__(self, x: mx.array, mask: Mask) -> mx.array:
        first = self.norm_first
        x = _transformer.residual(x, self.ln1, lambda y: self.dropout1(self.attention(y, y, y, mask)), norm_first=first)
        return _transformer.residual(x, self.ln2, self._perceptron, norm_first=first)

    def _perceptron(self, x: mx.array) -> mx.array:
        return _transformer.perceptron(x, self.linear1, self.activation, self.dropout2, self.linear2)


class TransformerEncoder(Module):
    """Several `TransformerEncoderLayer`, the list ``layers``, then a normalisation ``ln``.

    With `checkpoint` the backward pass computes each layer again instead of keeping what it computed.
    """

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ):
        super().__init__()
        self.layers = [
            TransformerEncoderLayer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(num_layers)
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def __call__(self, x: mx.array, mask: Mask) -> mx.array:
        for layer in self.layers:
            x = (_checkpoint(layer) if self.checkpoint else layer)(x, mask)
        return self.ln(x)


class TransformerDecoderLayer(Module):
    """Attend within a sequence, then to a memory, then apply a perceptron at each place, each added to its input."""

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
    ):
        super().__init__()
        mlp_dims = mlp_dims or dims * 4
        self.self_attention = MultiHeadAttention(dims, num_heads)
        self.cross_attention = MultiHeadAttention(dims, num_heads)
        self.ln1 = LayerNorm(dims)
        self.ln2 = LayerNorm(dims)
        self.ln3 = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims)
        self.linear2 = Linear(mlp_dims, dims)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def __call__(self, x: mx.array, memory: mx.array, x_mask: Mask, memory_mask: Mask) -> mx.array:
        first = self.norm_first
        x = _transformer.residual(
            x, self.ln1, lambda y: self.dropout1(self.self_attention(y, y, y, x_mask)), norm_first=first
        )
        x = _transformer.residual(
            x,
            self.ln2,
            lambda y: self.dropout2(self.cross_attention(y, memory, memory, memory_mask)),
            norm_first=first,
        )
        return _transformer.residual(x, self.ln3, self._perceptron, norm_first=first)

    def _perceptron(self, x: mx.array) -> mx.array:
        return _transformer.perceptron(x, self.linear1, self.activation, self.dropout3, self.linear2)


class TransformerDecoder(Module):
    """Several `TransformerDecoderLayer`, the list ``layers``, then a normalisation ``ln``.

    With `checkpoint` the backward pass computes each layer again instead of keeping what it computed.
    """

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ):
        super().__init__()
        self.layers = [
            TransformerDecoderLayer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(num_layers)
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def __call__(self, x: mx.array, memory: mx.array, x_mask: Mask, memory_mask: Mask) -> mx.array:
        for layer in self.layers:
            x = (_checkpoint(layer) if self.checkpoint else layer)(x, memory, x_mask, memory_mask)
        return self.ln(x)


class Transformer(Module):
    """Encode a sequence, and decode another with its result as memory.

    ``custom_encoder`` and ``custom_decoder`` stand in the places of a `TransformerEncoder` and a `TransformerDecoder`.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> model = nn.Transformer(16, 4, num_encoder_layers=1, num_decoder_layers=1)
    >>> model(mx.ones((2, 7, 16)), mx.ones((2, 5, 16)), None, "causal", None).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        dims: int = 512,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        norm_first: bool = True,
        checkpoint: bool = False,
    ):
        super().__init__()
        options = (dims, num_heads, mlp_dims, dropout, activation, norm_first, checkpoint)
        self.encoder = TransformerEncoder(num_encoder_layers, *options) if custom_encoder is None else custom_encoder
        self.decoder = TransformerDecoder(num_decoder_layers, *options) if custom_decoder is None else custom_decoder

    def __call__(self, src: mx.array, tgt: mx.array, src_mask: Mask, tgt_mask: Mask, memory_mask: Mask) -> mx.array:
        return self.decoder(tgt, self.encoder(src, src_mask), tgt_mask, memory_mask)
