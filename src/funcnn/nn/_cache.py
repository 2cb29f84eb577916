"""The keys and values that attention has seen, as a tree."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import funcnn as fn
from funcnn._arguments import integer


def empty_room(
    name: str, batch: int, heads: int, places: int, dims: int, value_dims: int | None, dtype: fn.Dtype
) -> tuple[fn.array, fn.array]:
    """Keys and values of nothing."""
    sizes = {"batch": batch, "heads": heads, "places": places, "dims": dims}
    batch, heads, places, dims = (integer(size, f"{name}: {what}") for what, size in sizes.items())
    value_dims = dims if value_dims is None else integer(value_dims, f"{name}: value_dims")
    if min(batch, heads, places, dims, value_dims) < 0:
        raise ValueError(f"{name}: sizes must not be negative, got {(batch, heads, places, dims, value_dims)}")
    if not fn.isdtype(dtype, "real floating"):
        raise ValueError(f"{name}: dtype must be one of real floating-point numbers, got {dtype}")
    shape = (batch, heads, places)
    return fn.zeros((*shape, dims), dtype), fn.zeros((*shape, value_dims), dtype)


def appended(cache: Any, keys: fn.array, values: fn.array) -> int:
    """How many places keys and values add to a cache, whose shapes they must fit."""
    count: int = keys.shape[2] if keys.ndim == 4 else 0
    for name, new, old in (("keys", keys, cache.keys), ("values", values, cache.values)):
        wanted = (*old.shape[:2], count, old.shape[3])
        if new.ndim != 4 or new.shape != wanted:
            raise ValueError(f"cache: {name} of shape {old.shape} are followed by {wanted}, got {new.shape}")
    if not fn.isdtype(cache.offset.dtype, "integral") or cache.offset.ndim:
        raise ValueError(f"cache: offset must be an integer, got {cache.offset.dtype} of shape {cache.offset.shape}")
    return count


class KVCache(NamedTuple):
    """Room for the keys and values of a number of places, of which the first are filled: a pytree.

    It is never changed: ``append`` returns a new one, in the memory of the old one where nobody else needs it. Its shapes do
    not depend on how far it is filled, so a compiled step is traced once for all places.

    Attributes:
        keys: Shape ``(B, K, N, D)``: batch, heads, places, features.
        values: Shape ``(B, K, N, E)``.
        offset: How many places are filled, and so the place of the next token: a scalar of int32.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> cache = nn.KVCache.empty(1, 2, 8, 4)
    >>> cache = cache.append(fn.ones((1, 2, 3, 4)), fn.ones((1, 2, 3, 4)))
    >>> cache.keys.shape, cache.offset.item()
    ((1, 2, 8, 4), 3)
    """

    keys: fn.array
    values: fn.array
    offset: fn.array

    @staticmethod
    def empty(
        batch: int, heads: int, places: int, dims: int, value_dims: int | None = None, dtype: fn.Dtype = fn.float32
    ) -> KVCache:
        """Make a cache with nothing in it.

        Args:
            batch: Size of the batch.
            heads: How many heads keys and values have.
            places: How many tokens there is room for.
            dims: Features of a key.
            value_dims: Features of a value; `dims` if None.
            dtype: Of keys and values. What is appended is converted to it.
        """
        keys, values = empty_room("KVCache.empty", batch, heads, places, dims, value_dims, dtype)
        return KVCache(keys, values, fn.array(0, fn.int32))

    def append(self, keys: fn.array, values: fn.array) -> KVCache:
        """Put keys of shape ``(B, K, T, D)`` and values ``(B, K, T, E)`` behind what is there.

        Raises:
            ValueError: Shapes do not fit, or there is no room for `T` more. Where the value of ``offset`` is not known, as in
                a compiled function, values that find no room become NaN, and with them what attention makes of them.
        """
        count = appended(self, keys, values)
        places = self.keys.shape[2]
        if count > places:
            raise ValueError(f"cache: there is room for {places} places, got {count}")
        try:
            filled = int(self.offset.item())
        except fn.TracedValueError:
            values = fn.where(self.offset + count <= places, values, math.nan)
        else:
            if not 0 <= filled <= places - count:
                raise ValueError(
                    f"cache: there is room for {places} places, of which {filled} are filled; {count} more do not fit"
                )
        start = (0, 0, self.offset, 0)
        return KVCache(
            fn.dynamic_update_slice(self.keys, keys.astype(self.keys.dtype), start),
            fn.dynamic_update_slice(self.values, values.astype(self.values.dtype), start),
            self.offset + count,
        )

    def update(
        self, keys: fn.array, values: fn.array, queries: int, mask: fn.array | str | None = None
    ) -> tuple[KVCache, fn.array, fn.array, fn.array]:
        """Append, and find what attention takes: the new cache, keys, values and the ``mask`` for the last `queries` places.

        Where a cache may be a ``RotatingKVCache`` as well, this is how to use either.
        """
        cache = self.append(keys, values)
        return cache, cache.keys, cache.values, cache.mask(queries, mask)

    def mask(self, queries: int, mask: fn.array | str | None = None) -> fn.array:
        """Make the mask with which queries at the last places that are filled see what is filled.

        Args:
            queries: How many queries there are.
            mask: None: each sees all that is filled; ``"causal"``: each sees its own place and what is before; or an array that
                broadcasts to ``(B, H, queries, N)``, of bool or to be added to the scores, for all ``N`` places of the cache.

        Returns:
            An array for ``fn.fast.scaled_dot_product_attention``.
        """
        places = fn.arange(self.keys.shape[2])
        if isinstance(mask, str):
            if mask != "causal":
                raise ValueError(f"mask must be None, 'causal' or an array, got {mask!r}")
            return places <= (self.offset - queries + fn.arange(queries))[:, None]
        filled = places < self.offset
        if mask is None:
            return filled
        if mask.ndim == 0 or mask.shape[-1] not in (1, places.size):
            raise ValueError(
                f"mask must say for each of the {places.size} places of the cache whether it is seen, got {mask.shape}"
            )
        return mask & filled if mask.dtype == fn.bool_ else fn.where(filled, mask, -math.inf)
