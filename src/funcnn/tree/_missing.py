"""What a KeyError shows of a key that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

_MOST = 10  # keys that are listed


class Missing(str):
    """A key that is not there: equal to the key, and printed with those that are."""

    __slots__ = ("_keys",)
    _keys: Collection[Any]

    def __new__(cls, key: str, keys: Collection[Any]) -> Missing:
        made = super().__new__(cls, key)
        made._keys = keys
        return made

    def __repr__(self) -> str:
        close = difflib.get_close_matches(self, [key for key in self._keys if isinstance(key, str)], n=1)
        shown = ", ".join(repr(key) for key in list(self._keys)[:_MOST]) or "no keys"
        more = f" and {len(self._keys) - _MOST} more" if len(self._keys) > _MOST else ""
        there = f"did you mean {close[0]!r}? There are" if close else "there are"
        return f"{str.__repr__(self)}: {there} {shown}{more}"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str.__str__(self),)
