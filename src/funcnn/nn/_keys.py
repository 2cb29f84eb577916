"""Keys for the parts of a model, derived from names."""

from __future__ import annotations

import functools
import hashlib

import funcnn as fn
from funcnn import random


@functools.lru_cache(maxsize=4096)
def _words(text: str) -> tuple[int, int]:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def fold_text(key: fn.array, text: str) -> fn.array:
    """Return the key that belongs to a text: the two halves of its 64-bit BLAKE2b digest folded into `key`."""
    low, high = _words(text)
    return random.fold_in(random.fold_in(key, low), high)


def fold_items(key: fn.array, n: int) -> fn.array:
    """Return the keys of shape ``(n, 2)`` that belong to the texts of 0 to ``n - 1``, of the items of a tuple."""
    low, high = (fn.array(words, dtype=fn.uint32) for words in zip(*(_words(str(i)) for i in range(n)), strict=True))
    keys: fn.array = fn.vmap(lambda low, high: random.fold_in(random.fold_in(key, low), high))(low, high)
    return keys
