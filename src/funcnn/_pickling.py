"""Functions of the native core, and what is made of functions, copy and pickle as functions written in Python do."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable
from typing import Any


def by_name(*functions: Any) -> None:
    """Pickle everything of the types of `functions` as the name that it has in its module."""
    for function in functions:
        copyreg.pickle(type(function), _name)


def as_functions(cls: Any, parts: Callable[[Any], tuple[Any, ...]]) -> None:
    """Let what a class makes of functions be copied as itself, and be pickled by its name or, without one, as its parts.

    Args:
        cls: The class.
        parts: What its ``__reduce__`` would return.
    """
    cls.__copy__ = lambda self: self
    cls.__deepcopy__ = lambda self, memo: self
    cls.__reduce__ = lambda self: _name(self) if _found(self) is self else parts(self)


def _name(function: Any) -> str:
    name: str = function.__qualname__
    return name


def _found(value: Any) -> Any:
    """What has the name of a value."""
    found: Any = sys.modules.get(getattr(value, "__module__", ""))
    for part in getattr(value, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found
