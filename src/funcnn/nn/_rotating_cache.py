"""The keys and values of the last places that attention has seen, in a ring."""

from __future__ import annotations

from typing import NamedTuple

import funcnn as fn
from funcnn._arguments import integer

from ._cache import KVCache, appended, empty_room


class RotatingKVCache(NamedTuple):
    """Room for the keys and values of the first few places and of the last ones, however many there have been: a pytree.

    A model that attends to a window of the last tokens, or is to go on for ever, needs no more. When the room is filled,
    a token takes the place of the oldest one behind the first `keep`, which stay: as sinks of attention, for example. A ``nn.KVCache``
    that never changes its shapes either, so one trace of a compiled step serves all places; what it holds is what mlx-lm's
    ``RotatingKVCache`` holds.

    Attributes:
        keys: Shape ``(B, K, N, D)``: batch, heads, places, features. Token ``p`` is at place ``p``, or behind the kept ones at
            ``keep + (p - keep) % (N - keep)``.
        values: Shape ``(B, K, N, E)``.
        offset: How many tokens there have been, and so the place of the next one, for ``nn.RoPE``: a scalar of int32.
        keep: How many of the first tokens stay: a scalar of int32.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> cache = nn.RotatingKVCache.empty(1, 1, 4, 1, keep=1)
    >>> for t in range(6):
    ...     cache = cache.append(fn.full((1, 1, 1, 1), t), fn.full((1, 1, 1, 1), t))
    >>> cache.keys.reshape(-1).tolist(), cache.offset.item()
    ([0.0, 4.0, 5.0, 3.0], 6)
    """

    keys: fn.array
    values: fn.array
    offset: fn.array
    keep: fn.array

    @staticmethod
    def empty(
        batch: int,
        heads: int,
        places: int,
        dims: int,
        value_dims: int | None = None,
        dtype: fn.Dtype = fn.float32,
        *,
        keep: int = 0,
    ) -> RotatingKVCache:
        """Make a cache with nothing in it.

        Args:
            batch: Size of the batch.
            heads: How many heads keys and values have.
            places: How many tokens it holds, the `keep` first ones among them: the window of attention.
            dims: Features of a key.
            value_dims: Features of a value; `dims` if None.
            dtype: Of keys and values. What is appended is converted to it.
            keep: How many of the first tokens are never replaced, fewer than `places`.
        """
        keys, values = empty_room("RotatingKVCache.empty", batch, heads, places, dims, value_dims, dtype)
        keep = integer(keep, "RotatingKVCache.empty: keep")
        if not 0 <= keep < keys.shape[2]:
            raise ValueError(
                f"RotatingKVCache.empty: keep must be at least 0 and less than places ({keys.shape[2]}), got {keep}"
            )
        return RotatingKVCache(keys, values, fn.array(0, fn.int32), fn.array(keep, fn.int32))

    def append(self, keys: fn.array, values: fn.array) -> RotatingKVCache:
        """Put keys of shape ``(B, K, T, D)`` and values ``(B, K, T, E)`` behind what is there, in place of the oldest.

        `T` may exceed the number of places: the last tokens stay.

        Raises:
            ValueError: Shapes do not fit.
        """
        count, places = appended(self, keys, values), self.keys.shape[2]
        tokens = self.offset + fn.arange(count)
        slots = fn.where(tokens < self.keep, tokens, self.keep + (tokens - self.keep) % (places - self.keep))

        def put(old: fn.array, new: fn.array) -> fn.array:
            new = new.astype(old.dtype)
            if count == 1:
                return fn.dynamic_update_slice(old, new, (0, 0, slots[0], 0))
            return old.at[:, :, slots].set(new)  # of several at one place the last stays

        return RotatingKVCache(put(self.keys, keys), put(self.values, values), self.offset + count, self.keep)

    def update(
        self, keys: fn.array, values: fn.array, queries: int, mask: fn.array | str | None = None
    ) -> tuple[RotatingKVCache, fn.array, fn.array, fn.array]:
        """Append, and find what attention takes: the new cache, keys, values and a mask for the last `queries` places.

        Args:
            keys: Shape ``(B, K, T, D)``.
            values: Shape ``(B, K, T, E)``.
            queries: How many queries there are, at most `T`.
            mask: ``"causal"``: each sees what the cache holds when its own token has been appended, whether or not others come
                with it; None: each sees what the new cache holds.

        Returns:
            The cache, keys and values of ``N`` places for one token and ``N + T`` for several, since the first of these see what
            the last ones replace, and a mask for ``fn.fast.scaled_dot_product_attention``.
        """
        if mask is not None and not (isinstance(mask, str) and mask == "causal"):
            got = repr(mask) if isinstance(mask, str) else "an array: where a token is in the ring changes"
            raise ValueError(f"mask must be None or 'causal' for a RotatingKVCache, got {got}")
        cache = self.append(keys, values)
        count, places = keys.shape[2], self.keys.shape[2]
        if queries > count:
            raise ValueError(f"cache: there are {queries} queries, but only {count} keys with them")
        slots = fn.arange(places)
        if count == 1:
            return cache, cache.keys, cache.values, slots < cache.offset
        # The token in each place, and behind them the new ones.
        ring = places - self.keep
        rounds = fn.maximum(self.offset - 1 - slots, 0) // ring
        held = fn.where(slots < self.keep, slots, slots + rounds * ring)
        tokens = fn.concatenate([held, self.offset + fn.arange(count)])
        there = fn.concatenate([slots < self.offset, fn.full(count, True)])
        last = self.offset + count - queries + fn.arange(queries) if mask else (cache.offset - 1)[None]
        last = last[:, None]
        seen = there & (tokens <= last) & ((tokens < self.keep) | (tokens > last - ring))
        both = ((self.keys, keys), (self.values, values))
        k, v = (fn.concatenate([old, new.astype(old.dtype)], axis=2) for old, new in both)
        return cache, k, v, seen


Cache = KVCache | RotatingKVCache
