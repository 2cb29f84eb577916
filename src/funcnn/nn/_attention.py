"""Attention with several heads."""

from __future__ import annotations

import math
from typing import Any

import attrs

import funcnn as fn
from funcnn._arguments import integer
from funcnn._hyper import whole

from ._cache import KVCache
from ._layer import Layer, Params, as_input
from ._linear import Linear
from ._parts import Composed, part
from ._rotating_cache import Cache

_size = attrs.validators.optional(whole(1))


def in_heads(x: fn.array, heads: int) -> fn.array:
    """Features of shape (B, T, H * D) as (B, H, T, D)."""
    return fn.transpose(fn.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads)), (0, 2, 1, 3))


def attend(q: fn.array, k: fn.array, v: fn.array, mask: fn.array | str | None) -> fn.array:
    """Attention of queries of shape (B, H, T, D) with the usual scale; the heads of the result lie side by side."""
    scale = 1.0 / math.sqrt(q.shape[3])
    y = fn.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
    return fn.transpose(y, (0, 2, 1, 3)).reshape(y.shape[0], y.shape[2], y.shape[1] * y.shape[3])


class MultiHeadAttention(Composed):
    """Let queries gather values by the similarity of their keys, in several heads, between linear maps.

    The sub-layers are ``query_proj``, ``key_proj``, ``value_proj`` and ``out_proj``. They follow from the sizes; others, such as
    quantised ones, can be given by name.

    Called as ``layer(params, queries, keys, values, mask=None, cache=None)`` with arrays of shapes ``(B, T, query_input_dims)``,
    ``(B, S, key_input_dims)`` and ``(B, S, value_input_dims)``. The mask is one of
    ``fn.fast.scaled_dot_product_attention``: ``"causal"``, or an array that broadcasts to ``(B, num_heads, T, S)``, of bool (true
    where a query sees a key) or of numbers to be added to the scores. A query that sees nothing gathers zeros.

    Returns an array of shape ``(B, T, value_output_dims)``. With a cache (``init_cache``), keys and values are appended to it, the
    queries see all that it holds, the mask is one of ``KVCache.mask``, and the new cache is returned beside the result: fed
    token by token with ``mask="causal"``, attention gives what it gives to the whole sequence. A ``nn.RotatingKVCache`` limits it
    to a window.

    Args:
        dims: Features of queries and keys after their maps, over all heads, and the default of all other sizes.
        num_heads: How many heads; it divides `dims` and `value_dims`.
        query_input_dims: Features of the queries.
        key_input_dims: Features of the keys.
        value_input_dims: Features of the values; `key_input_dims` by default.
        value_dims: Features of the values after their map, over all heads.
        value_output_dims: Features of the result.
        bias: Whether the linear maps have biases.

    Raises:
        ValueError: Sizes or shapes do not fit.

    Reference: A. Vaswani et al., "Attention is all you need", 2017.

    >>> import funcnn as fn
    >>> from funcnn import nn, random
    >>> attend = nn.MultiHeadAttention(16, 4)
    >>> params = attend.init(random.key(0))
    >>> x = random.normal(random.key(1), (2, 5, 16))
    >>> y = attend(params, x, x, x, mask="causal")
    >>> y.shape
    (2, 5, 16)
    >>> cache = attend.init_cache(2, 8)
    >>> first, cache = attend(params, x[:, :3], x[:, :3], x[:, :3], mask="causal", cache=cache)
    >>> rest, cache = attend(params, x[:, 3:], x[:, 3:], x[:, 3:], mask="causal", cache=cache)
    >>> fn.allclose(fn.concatenate([first, rest], axis=1), y, atol=1e-5).item()
    True
    """

    dims: int = attrs.field(validator=whole(1))
    num_heads: int = attrs.field(validator=whole(1))
    query_input_dims: int | None = attrs.field(default=None, validator=_size)
    key_input_dims: int | None = attrs.field(default=None, validator=_size)
    value_input_dims: int | None = attrs.field(default=None, validator=_size)
    value_dims: int | None = attrs.field(default=None, validator=_size)
    value_output_dims: int | None = attrs.field(default=None, validator=_size)
    bias: bool = False
    query_proj: Layer = part(lambda self: Linear(self.query_input_dims or self.dims, self.dims, self.bias))
    key_proj: Layer = part(lambda self: Linear(self.key_input_dims or self.dims, self.dims, self.bias))
    value_proj: Layer = part(
        lambda self: Linear(
            self.value_input_dims or self.key_input_dims or self.dims, self.value_dims or self.dims, self.bias
        )
    )
    out_proj: Layer = part(
        lambda self: Linear(self.value_dims or self.dims, self.value_output_dims or self.dims, self.bias)
    )

    def __attrs_post_init__(self) -> None:
        for name, size in (("dims", self.dims), ("value_dims", self.value_dims or self.dims)):
            if size % self.num_heads:
                raise ValueError(
                    f"MultiHeadAttention: num_heads must divide {name}, got {self.num_heads} heads and {size} features"
                )

    def init_cache(self, batch: int, places: int, dtype: fn.Dtype = fn.float32) -> KVCache:
        """Make an empty cache for a batch of sequences of up to `places` tokens."""
        heads, values = self.num_heads, self.value_dims or self.dims
        return KVCache.empty(batch, heads, places, self.dims // heads, values // heads, dtype)

    def __call__(
        self,
        params: Params,
        queries: fn.array,
        keys: fn.array,
        values: fn.array,
        mask: fn.array | str | None = None,
        cache: Cache | None = None,
    ) -> Any:
        q, k, v = (
            self._projected(params, name, x) for name, x in (("query", queries), ("key", keys), ("value", values))
        )
        if k.shape[2] != v.shape[2]:
            raise ValueError(f"there are {k.shape[2]} keys and {v.shape[2]} values; each key needs one")
        if mask is not None and not isinstance(mask, str):
            mask = as_input(mask)
        dtype = fn.promote_types(fn.promote_types(q.dtype, k.dtype), v.dtype)
        if cache is not None:
            if not isinstance(cache, Cache):
                raise TypeError(f"cache must be a KVCache, as init_cache makes it, got a {type(cache).__name__}")
            cache, k, v, mask = cache.update(k, v, q.shape[2], mask)
        y = self.out_proj(params["out_proj"], attend(q, k, v, mask).astype(dtype))
        return y if cache is None else (y, cache)

    def _projected(self, params: Params, name: str, x: fn.array) -> fn.array:
        """Queries, keys or values of shape (B, H, T, D)."""
        x = as_input(x)
        if x.ndim != 3:
            what = "queries" if name == "query" else f"{name}s"
            raise ValueError(f"{what}: expected (batch, places, features), got {x.shape}; nn.vmap adds further axes")
        y = getattr(self, f"{name}_proj")(params[f"{name}_proj"], x)
        size = (self.value_dims or self.dims) if name == "value" else self.dims
        if y.shape != (*x.shape[:2], size):
            raise ValueError(f"{name}_proj must map {x.shape} to {(*x.shape[:2], size)}, got {y.shape}")
        return in_heads(y, self.num_heads)

    @staticmethod
    def create_additive_causal_mask(N: int, dtype: fn.Dtype = fn.float32) -> fn.array:
        """Make a mask of shape ``(N, N)`` with the least finite number of `dtype` where a key comes after the query, 0 elsewhere.

        ``mask="causal"`` means the same and takes half the time, for what nobody sees is not computed.

        >>> from funcnn import nn
        >>> (nn.MultiHeadAttention.create_additive_causal_mask(3) == 0).tolist()
        [[True, False, False], [True, True, False], [True, True, True]]
        """
        places = fn.arange(integer(N, "create_additive_causal_mask: N"))
        return fn.where(places[:, None] < places, fn.finfo(dtype).min, 0.0).astype(dtype)
