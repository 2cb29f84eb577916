"""Abbreviated reprs: of `reprlib`, by which pytest and debuggers show values."""

from __future__ import annotations

import reprlib
from typing import Any


def abbreviate(cls: type) -> None:
    """Let `reprlib` abbreviate instances of a class named ``array`` as it does those of other classes.

    Older versions choose their method by the bare name of the class, and take it for that of the standard module
    `array`. Newer ones also look where the class comes from, by the table that is asked for here.
    """
    if hasattr(reprlib.Repr, "_lookup"):
        return
    standard = reprlib.Repr.repr_array

    def repr_array(self: reprlib.Repr, x: Any, level: int) -> str:
        return self.repr_instance(x, level) if isinstance(x, cls) else standard(self, x, level)

    reprlib.Repr.repr_array = repr_array  # type: ignore[method-assign]
