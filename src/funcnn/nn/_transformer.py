"""Transformers: layers of attention and perceptrons on a residual stream."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs

import funcnn as fn
from funcnn._hyper import number, whole

from ._activations import relu
from ._attention import MultiHeadAttention
from ._cache import KVCache
from ._calling import call, function
from ._dropout import Dropout
from ._layer import Layer, Params, a_layer, as_input
from ._linear import Linear
from ._norm import LayerNorm
from ._parts import Composed, part
from ._rotating_cache import Cache

Mask = fn.array | str | None
_size = attrs.validators.optional(whole(1))


def residual(x: fn.array, normalise: Any, block: Any, *, norm_first: bool) -> fn.array:
    """Add what a block makes of the stream: of the normalised stream, or normalised afterwards."""
    found: fn.array = x + block(normalise(x)) if norm_first else normalise(x + block(x))
    return found


def _residual(layer: Any, params: Params, x: fn.array, norm: str, block: Callable[[fn.array], fn.array]) -> fn.array:
    normalise = functools.partial(getattr(layer, norm), params[norm])
    return residual(x, normalise, block, norm_first=layer.norm_first)


def perceptron(x: fn.array, *steps: Any) -> fn.array:
    """A linear map, an activation, dropout and another linear map."""
    for step in steps:
        x = step(x)
    return x


def _perceptron(layer: Any, params: Params, dropout: str, x: fn.array) -> fn.array:
    return perceptron(
        x,
        functools.partial(layer.linear1, params["linear1"]),
        lambda y: call(layer.activation, params, "activation", y),
        functools.partial(getattr(layer, dropout), params[dropout]),
        functools.partial(layer.linear2, params["linear2"]),
    )


class _Attended:
    """Attention and dropout as a block, which keeps the cache that comes out of it."""

    def __init__(self, layer: Any, params: Params, attention: str, dropout: str) -> None:
        self.attention, self.attention_params = getattr(layer, attention), params[attention]
        self.dropout, self.dropout_params = getattr(layer, dropout), params[dropout]
        self.cache: Cache | None = None

    def __call__(self, q: fn.array, kv: fn.array, mask: Mask, cache: Cache | None = None) -> fn.array:
        if cache is None:
            y = self.attention(self.attention_params, q, kv, kv, mask)
        else:
            y, self.cache = self.attention(self.attention_params, q, kv, kv, mask, cache=cache)
        found: fn.array = self.dropout(self.dropout_params, y)
        return found


class _Block(Composed):
    """What the layers of encoders and decoders share."""

    dims: int = attrs.field(validator=whole(1))
    num_heads: int = attrs.field(validator=whole(1))
    mlp_dims: int | None = attrs.field(default=None, validator=_size)
    dropout: float = attrs.field(default=0.0, validator=number(0.0, 1.0))
    activation: Callable[[Any], Any] | Layer = attrs.field(default=relu, validator=function)
    norm_first: bool = True
    ln1: Layer = part(lambda self: LayerNorm(self.dims))
    ln2: Layer = part(lambda self: LayerNorm(self.dims))
    linear1: Layer = part(lambda self: Linear(self.dims, self.mlp_dims or 4 * self.dims))
    linear2: Layer = part(lambda self: Linear(self.mlp_dims or 4 * self.dims, self.dims))
    dropout1: Layer = part(lambda self: Dropout(self.dropout))
    dropout2: Layer = part(lambda self: Dropout(self.dropout))


class TransformerEncoderLayer(_Block):
    """Attend within a sequence, then apply a perceptron at each place, both added to their input.

    The sub-layers are ``attention``, ``linear1``, ``linear2``, ``ln1``, ``ln2``, ``dropout1`` and ``dropout2``.

    Called as ``layer(params, x, mask=None, cache=None)`` with `x` of shape ``(B, T, dims)``; mask and cache are those of
    ``nn.MultiHeadAttention``. Returns an array of the same shape, with a cache also the new one.

    Args:
        dims: Features of the sequence.
        num_heads: Heads of attention.
        mlp_dims: Features between the linear maps of the perceptron; ``4 * dims`` by default.
        dropout: Probability of dropout in training, after attention and after the activation.
        activation: Between the linear maps: a function, or a layer, whose parameters are found under ``activation``.
        norm_first: Whether to normalise what goes into attention and the perceptron (the stream itself is never normalised), or
            the sum that comes out of each.

    Reference: A. Vaswani et al., "Attention is all you need", 2017; R. Xiong et al., "On layer normalization in the transformer
    architecture", 2020.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.TransformerEncoderLayer(16, 4, activation=nn.gelu)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 5, 16)), "causal").shape
    (2, 5, 16)
    """

    attention: Layer = part(lambda self: MultiHeadAttention(self.dims, self.num_heads))

    def init_cache(self, batch: int, places: int, dtype: fn.Dtype = fn.float32) -> KVCache:
        """Make an empty cache for a batch of sequences of up to `places` tokens."""
        cache: KVCache = self.attention.init_cache(batch, places, dtype)  # type: ignore[attr-defined]
        return cache

    def __call__(self, params: Params, x: fn.array, mask: Mask = None, cache: Cache | None = None) -> Any:
        attend = _Attended(self, params, "attention", "dropout1")
        x = _residual(self, params, as_input(x), "ln1", lambda y: attend(y, y, mask, cache))
        x = _residual(self, params, x, "ln2", lambda y: _perceptron(self, params, "dropout2", y))
        return x if cache is None else (x, attend.cache)


class TransformerDecoderLayer(_Block):
    """Attend within a sequence, then to a memory, then apply a perceptron at each place, each added to its input.

    The sub-layers are ``self_attention``, ``cross_attention``, ``linear1``, ``linear2``, ``ln1`` to ``ln3`` and ``dropout1`` to
    ``dropout3``.

    Called as ``layer(params, x, memory, x_mask=None, memory_mask=None, cache=None)`` with `x` of shape ``(B, T, dims)`` and
    `memory` ``(B, S, dims)``; masks and cache are those of ``nn.MultiHeadAttention``, the cache that of attention within the
    sequence. Returns an array like `x`, with a cache also the new one.

    Args:
        dims: Features of sequence and memory.
        num_heads: Heads of each attention.
        mlp_dims: Features between the linear maps of the perceptron; ``4 * dims`` by default.
        dropout: Probability of dropout in training, after each attention and after the activation.
        activation: Between the linear maps: a function, or a layer, whose parameters are found under ``activation``.
        norm_first: Whether to normalise before or after, as in ``nn.TransformerEncoderLayer``.

    Reference: A. Vaswani et al., "Attention is all you need", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> layer = nn.TransformerDecoderLayer(16, 4)
    >>> layer(layer.init(random.key(0)), fn.ones((2, 5, 16)), fn.ones((2, 7, 16)), "causal").shape
    (2, 5, 16)
    """

    self_attention: Layer = part(lambda self: MultiHeadAttention(self.dims, self.num_heads))
    cross_attention: Layer = part(lambda self: MultiHeadAttention(self.dims, self.num_heads))
    ln3: Layer = part(lambda self: LayerNorm(self.dims))
    dropout3: Layer = part(lambda self: Dropout(self.dropout))

    def init_cache(self, batch: int, places: int, dtype: fn.Dtype = fn.float32) -> KVCache:
        """Make an empty cache for a batch of sequences of up to `places` tokens."""
        cache: KVCache = self.self_attention.init_cache(batch, places, dtype)  # type: ignore[attr-defined]
        return cache

    def __call__(
        self,
        params: Params,
        x: fn.array,
        memory: fn.array,
        x_mask: Mask = None,
        memory_mask: Mask = None,
        cache: Cache | None = None,
    ) -> Any:
        attend = _Attended(self, params, "self_attention", "dropout1")
        look = _Attended(self, params, "cross_attention", "dropout2")
        x = _residual(self, params, as_input(x), "ln1", lambda y: attend(y, y, x_mask, cache))
        x = _residual(self, params, x, "ln2", lambda y: look(y, memory, memory_mask))
        x = _residual(self, params, x, "ln3", lambda y: _perceptron(self, params, "dropout3", y))
        return x if cache is None else (x, attend.cache)


class _Stack(Composed):
    """Equal layers one after another, then a normalisation."""

    _handed_down = ("activation",)

    num_layers: int = attrs.field(validator=whole(0))
    dims: int = attrs.field(validator=whole(1))
    num_heads: int = attrs.field(validator=whole(1))
    mlp_dims: int | None = attrs.field(default=None, validator=_size)
    dropout: float = attrs.field(default=0.0, validator=number(0.0, 1.0))
    activation: Callable[[Any], Any] | Layer = attrs.field(default=relu, validator=function)
    norm_first: bool = True
    checkpoint: bool = False

    def _made(self, kind: Any) -> tuple[Layer, ...]:
        sizes = (self.dims, self.num_heads, self.mlp_dims, self.dropout, self.activation, self.norm_first)
        return (kind(*sizes),) * self.num_layers

    def init_cache(self, batch: int, places: int, dtype: fn.Dtype = fn.float32) -> tuple[KVCache, ...]:
        """Make an empty cache for each layer, for a batch of sequences of up to `places` tokens."""
        return tuple(layer.init_cache(batch, places, dtype) for layer in self._parts)

    @property
    def _parts(self) -> Any:
        return self.layers  # type: ignore[attr-defined]

    def _run(self, params: Params, x: fn.array, cache: Any, *rest: Any) -> Any:
        views = params["layers"] if self._parts else ()
        if len(views) != len(self._parts):
            raise ValueError(f"expected the parameters of {len(self._parts)} layers, got those of {len(views)}")
        if cache is not None and len(cache) != len(self._parts):
            raise ValueError(f"expected a cache for each of {len(self._parts)} layers, got {len(cache)}")
        caches = []
        for i, (layer, view) in enumerate(zip(self._parts, views, strict=True)):
            run = fn.checkpoint(layer) if self.checkpoint else layer
            x = run(view, x, *rest) if cache is None else run(view, x, *rest, cache[i])
            if cache is not None:
                x, new = x
                caches.append(new)
        x = self.ln(params["ln"], x)  # type: ignore[attr-defined]
        return x if cache is None else (x, tuple(caches))


class TransformerEncoder(_Stack):
    """Apply several ``nn.TransformerEncoderLayer`` and normalise the result.

    The sub-layers are a tuple ``layers`` and ``ln``.

    Called as ``layer(params, x, mask=None, cache=None)``; with a tuple of caches (``init_cache``), one a layer, the new caches are
    returned beside the result. With ``mask="causal"`` it is the body of a language model.

    Args:
        num_layers: How many layers.
        dims: Features of the sequence.
        num_heads: Heads of attention.
        mlp_dims: Features between the linear maps of a perceptron; ``4 * dims`` by default.
        dropout: Probability of dropout in training.
        activation: Of the perceptrons: a function, or a layer.
        norm_first: Whether the layers normalise before or after attention and perceptron.
        checkpoint: Whether the backward pass computes each layer again instead of keeping what it computed.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> encoder = nn.TransformerEncoder(2, 16, 4)
    >>> encoder(encoder.init(random.key(0)), fn.ones((3, 5, 16))).shape
    (3, 5, 16)
    """

    layers: tuple[Layer, ...] = part(lambda self: self._made(TransformerEncoderLayer))
    ln: Layer = part(lambda self: LayerNorm(self.dims))

    def __call__(self, params: Params, x: fn.array, mask: Mask = None, cache: Any = None) -> Any:
        return self._run(params, as_input(x), cache, mask)


class TransformerDecoder(_Stack):
    """Apply several ``nn.TransformerDecoderLayer`` to a sequence and a memory, and normalise the result.

    The sub-layers are a tuple ``layers`` and ``ln``.

    Called as ``layer(params, x, memory, x_mask=None, memory_mask=None, cache=None)``; with a tuple of caches (``init_cache``), one
    a layer, the new caches are returned beside the result.

    Args:
        num_layers: How many layers.
        dims: Features of sequence and memory.
        num_heads: Heads of attention.
        mlp_dims: Features between the linear maps of a perceptron; ``4 * dims`` by default.
        dropout: Probability of dropout in training.
        activation: Of the perceptrons: a function, or a layer.
        norm_first: Whether the layers normalise before or after attention and perceptron.
        checkpoint: Whether the backward pass computes each layer again instead of keeping what it computed.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> decoder = nn.TransformerDecoder(2, 16, 4)
    >>> decoder(decoder.init(random.key(0)), fn.ones((3, 5, 16)), fn.ones((3, 7, 16)), "causal").shape
    (3, 5, 16)
    """

    layers: tuple[Layer, ...] = part(lambda self: self._made(TransformerDecoderLayer))
    ln: Layer = part(lambda self: LayerNorm(self.dims))

    def __call__(
        self,
        params: Params,
        x: fn.array,
        memory: fn.array,
        x_mask: Mask = None,
        memory_mask: Mask = None,
        cache: Any = None,
    ) -> Any:
        return self._run(params, as_input(x), cache, memory, x_mask, memory_mask)


class Transformer(Composed):
    """Encode a sequence, and decode another with its result as memory.

    The sub-layers are ``encoder`` and ``decoder``.

    Called as ``layer(params, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None)`` with sequences of shapes ``(B, S, dims)``
    and ``(B, T, dims)``; returns ``(B, T, dims)``. To generate, call the encoder once and the decoder with a cache:
    ``layer.decoder(params["decoder"], x, memory, "causal", None, cache)``.

    Args:
        dims: Features of both sequences.
        num_heads: Heads of attention.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder.
        mlp_dims: Features between the linear maps of a perceptron; ``4 * dims`` by default.
        dropout: Probability of dropout in training, after attention and after the activation.
        activation: Of the perceptrons: a function, or a layer.
        custom_encoder: A layer called as ``nn.TransformerEncoder`` is, in its place.
        custom_decoder: A layer called as ``nn.TransformerDecoder`` is, in its place.
        norm_first: Whether the layers normalise before or after attention and perceptron.
        checkpoint: Whether the backward pass computes each layer again instead of keeping what it computed.

    Reference: A. Vaswani et al., "Attention is all you need", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> model = nn.Transformer(16, 4, num_encoder_layers=1, num_decoder_layers=1)
    >>> model(model.init(random.key(0)), fn.ones((2, 7, 16)), fn.ones((2, 5, 16)), tgt_mask="causal").shape
    (2, 5, 16)
    """

    _handed_down = ("activation",)

    dims: int = attrs.field(default=512, validator=whole(1))
    num_heads: int = attrs.field(default=8, validator=whole(1))
    num_encoder_layers: int = attrs.field(default=6, validator=whole(0))
    num_decoder_layers: int = attrs.field(default=6, validator=whole(0))
    mlp_dims: int | None = attrs.field(default=None, validator=_size)
    dropout: float = attrs.field(default=0.0, validator=number(0.0, 1.0))
    activation: Callable[[Any], Any] | Layer = attrs.field(default=relu, validator=function)
    encoder: Layer = attrs.field(default=None, alias="custom_encoder")
    decoder: Layer = attrs.field(default=None, alias="custom_decoder")
    norm_first: bool = True
    checkpoint: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("encoder", "decoder"):
            value = getattr(self, name)
            if value is None:
                object.__setattr__(self, name, self._standard(name))
            else:
                a_layer(value, f"Transformer: custom_{name}")

    def _standard(self, name: str) -> Layer:
        """The encoder or decoder that the hyperparameters describe."""
        kind: Any = TransformerEncoder if name == "encoder" else TransformerDecoder
        count = self.num_encoder_layers if name == "encoder" else self.num_decoder_layers
        sizes = (self.dims, self.num_heads, self.mlp_dims, self.dropout, self.activation, self.norm_first)
        made: Layer = kind(count, *sizes, self.checkpoint)
        return made

    def _arguments(self) -> list[tuple[str | None, Any]]:
        standard = {f"custom_{name}": self._standard(name) for name in ("encoder", "decoder")}
        return [(name, value) for name, value in super()._arguments() if standard.get(name or "") != value]

    def __call__(
        self,
        params: Params,
        src: fn.array,
        tgt: fn.array,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
    ) -> fn.array:
        memory = self.encoder(params["encoder"], as_input(src), src_mask)
        found: fn.array = self.decoder(params["decoder"], as_input(tgt), memory, tgt_mask, memory_mask)
        return found
