"""Where the draws of a call come from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .. import _core
from ..nn._view import Context, View
from .core import random as _random


class _NoKey(list[Any]):
    """A random state without a key: asking for it raises, unless the program sets one."""

    def __init__(self, refuse: Callable[[], Any]) -> None:
        super().__init__([None])
        self._refuse = refuse

    def __getitem__(self, index: Any) -> Any:
        state = super().__getitem__(index)
        return self._refuse() if state is None else state


@contextlib.contextmanager
def drawing_from(view: View) -> Iterator[None]:
    """Let draws without a key, on this thread, come from that of a view instead of from the global stream."""
    state: Any = _random._state
    before = state._keys
    # A list itself, since compile looks into it.
    state._keys = _NoKey(view.next_key) if view._context.key is None else [_core._mutable(view.next_key())]
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
