"""Attention with several heads, and transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
            raise ValueError(f"MultiHeadAttention: num_heads must divide dims={dims}, got {num_heads}")
        of_keys, of_values = key_input_dims or dims, value_dims or dims
        maps = {
            "query": (query_input_dims or dims, dims),
            "key": (of_keys, dims),
            "value": (value_input_dims or of_keys, of_values),
            "out": (of_values, value_output_dims or dims),
        }
        for name, sizes in maps.items():
            setattr(self, f"{name}_proj", Linear(*sizes, bias))
        self.num_heads = num_heads

    def __call__(self, queries: mx.array, keys: mx.array, values: mx.array, mask: Mask = None) -> mx.array:
        q, k, v = self.query_proj(queries), self.key_proj(keys), self.value_proj(values)
        if not q.ndim == k.ndim == v.ndim == 3:
            raise ValueError(
                f"MultiHeadAttention: expected queries, keys and values (B, L, D), got {q.shape}, {k.shape} and {v.shape}"
            )
        heads = self.num_heads
        return self.out_proj(_attention.attend(*(_attention.in_heads(x, heads) for x in (q, k, v)), mask))

    @staticmethod
    def create_additive_causal_mask(N: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """Make a mask of shape ``(N, N)`` with the least finite number of `dtype` where a key comes after the query, 0 elsewhere."""
        return mutable(_attention.MultiHeadAttention.create_additive_causal_mask(N, dtype))


class _TransformerLayer(Module):
    """What the layers share: attentions, then a perceptron, and a normalisation and a dropout for each of them."""

    def __init__(
        self,
        attentions: tuple[str, ...],
        dims: int,
        num_heads: int,
        mlp_dims: int | None,
        dropout: float,
        activation: Callable[[Any], Any],
        norm_first: bool,
    ):
        super().__init__()
        hidden, count = mlp_dims or 4 * dims, len(attentions) + 1
        parts: list[tuple[str, Module]] = [
            *((name, MultiHeadAttention(dims, num_heads)) for name in attentions),
            *((f"ln{place}", LayerNorm(dims)) for place in range(1, count + 1)),
            ("linear1", Linear(dims, hidden)),
            ("linear2", Linear(hidden, dims)),
            *((f"dropout{place}", Dropout(dropout)) for place in range(1, count + 1)),
        ]
        for name, part in parts:
            setattr(self, name, part)
        self.activation, self.norm_first = activation, norm_first


def _attended(
    layer: _TransformerLayer, x: mx.array, place: int, attention: Module, memory: mx.array | None, mask: Mask
) -> mx.array:
    """Attend to a memory, or within the sequence where there is none, and add the input."""

    def inner(y: mx.array) -> mx.array:
        keys = y if memory is None else memory
        found: mx.array = layer[f"dropout{place}"](attention(y, keys, keys, mask))
        return found

    return _transformer.residual(x, layer[f"ln{place}"], inner, norm_first=layer.norm_first)


def _perceived(layer: _TransformerLayer, x: mx.array, place: int) -> mx.array:
    """Apply the perceptron and add the input."""

    def inner(y: mx.array) -> mx.array:
        return _transformer.perceptron(y, layer.linear1, layer.activation, layer[f"dropout{place}"], layer.linear2)

    return _transformer.residual(x, layer[f"ln{place}"], inner, norm_first=layer.norm_first)


class TransformerEncoderLayer(_TransformerLayer):
    """Attend within a sequence ``(B, L, dims)``, then apply a perceptron at each place, both added to their input.

    The perceptron is ``linear2(dropout(activation(linear1(x))))`` with `mlp_dims` numbers inside, ``4 * dims`` if None. With
    `norm_first` the inputs of both are normalised, else the sums.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.TransformerEncoderLayer(16, 4)(mx.ones((2, 5, 16)), mask="causal").shape
    (2, 5, 16)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
    ):
        super().__init__(("attention",), dims, num_heads, mlp_dims, dropout, activation, norm_first)

    def __call__(self, x: mx.array, mask: Mask) -> mx.array:
        return _perceived(self, _attended(self, x, 1, self.attention, None, mask), 2)


class TransformerDecoderLayer(_TransformerLayer):
    """Attend within a sequence, then to a memory, then apply a perceptron at each place, each added to its input.

    Arguments are those of `TransformerEncoderLayer`. Called with ``(B, L, dims)``, a memory ``(B, S, dims)`` and a mask for each.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> layer = nn.TransformerDecoderLayer(16, 4)
    >>> layer(mx.ones((2, 5, 16)), mx.ones((2, 7, 16)), "causal", None).shape
    (2, 5, 16)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
    ):
        attentions = ("self_attention", "cross_attention")
        super().__init__(attentions, dims, num_heads, mlp_dims, dropout, activation, norm_first)

    def __call__(self, x: mx.array, memory: mx.array, x_mask: Mask, memory_mask: Mask) -> mx.array:
        x = _attended(self, x, 1, self.self_attention, None, x_mask)
        return _perceived(self, _attended(self, x, 2, self.cross_attention, memory, memory_mask), 3)


class _Stack(Module):
    """Layers, the list ``layers``, and a normalisation ``ln`` after them."""

    def __init__(self, layers: Iterator[Module], dims: int, checkpoint: bool):
        super().__init__()
        self.layers = list(layers)
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint


def _through(stack: _Stack, x: mx.array, *others: Any) -> mx.array:
    for layer in stack.layers:
        x = (_checkpoint(layer) if stack.checkpoint else layer)(x, *others)
    normalised: mx.array = stack.ln(x)
    return normalised


class TransformerEncoder(_Stack):
    """Several `TransformerEncoderLayer`, the list ``layers``, then a normalisation ``ln``.

    With `checkpoint` the backward pass computes each layer again instead of keeping what it computed.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.TransformerEncoder(2, 16, 4)(mx.ones((2, 5, 16)), None).shape
    (2, 5, 16)
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
        options = (dims, num_heads, mlp_dims, dropout, activation, norm_first)
        super().__init__((TransformerEncoderLayer(*options) for _ in range(num_layers)), dims, checkpoint)

    def __call__(self, x: mx.array, mask: Mask) -> mx.array:
        return _through(self, x, mask)


class TransformerDecoder(_Stack):
    """Several `TransformerDecoderLayer`, the list ``layers``, then a normalisation ``ln``.

    With `checkpoint` the backward pass computes each layer again instead of keeping what it computed.

    >>> import funcnn.compat.core as mx, funcnn.compat.nn as nn
    >>> nn.TransformerDecoder(2, 16, 4)(mx.ones((2, 5, 16)), mx.ones((2, 7, 16)), "causal", None).shape
    (2, 5, 16)
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
        options = (dims, num_heads, mlp_dims, dropout, activation, norm_first)
        super().__init__((TransformerDecoderLayer(*options) for _ in range(num_layers)), dims, checkpoint)

    def __call__(self, x: mx.array, memory: mx.array, x_mask: Mask, memory_mask: Mask) -> mx.array:
        return _through(self, x, memory, x_mask, memory_mask)


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
