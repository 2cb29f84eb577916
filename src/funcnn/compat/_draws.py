"""Where the draws of a call come from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .. import _core
from ..nn._view import Context
from .core import random as _random


class _FirstDraw:
    """A random state whose key is asked for when the first draw is made."""

    def __init__(self, key: Callable[[], Any]) -> None:
        self._key = key
        self._state: Any = None

    def __getitem__(self, index: int) -> Any:
        if self._state is None:
            self._state = _core._mutable(self._key())
        return self._state

    def __setitem__(self, index: int, state: Any) -> None:
        self._state = state

    def __len__(self) -> int:
        return 1


@contextlib.contextmanager
def drawing_from(key: Callable[[], Any]) -> Iterator[None]:
    """Let draws without a key, on this thread, come from a key of their own instead of from the global stream."""
    state: Any = _random._state
    before = state._keys
    state._keys = _FirstDraw(key)
    try:
        yield
    finally:
        state._keys = before


class GlobalContext(Context):
    """The context of a call whose key comes from the global stream; it is taken when it is needed."""

    __slots__ = ("_drawn",)

    _drawn: Any

    @property
    def key(self) -> Any:
        if self._drawn is None:
            self._drawn = _core._immutable(_random._next_key())
        return self._drawn

    @key.setter
    def key(self, value: Any) -> None:
        self._drawn = value
