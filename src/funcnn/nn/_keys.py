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
