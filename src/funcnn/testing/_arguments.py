"""Arguments of the checks."""

from __future__ import annotations

from typing import Any


def arguments(name: str, args: Any) -> tuple[Any, ...]:
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"{name}: args must be a tuple of the function's arguments, got a {type(args).__name__}")
    return tuple(args)
