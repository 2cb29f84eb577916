"""How arrays print."""

from __future__ import annotations

from typing import Any, final

from ... import _printing

__all__ = ["PrintOptions", "_PrintOptionsContext", "get_printoptions", "printoptions", "set_printoptions"]


@final
class PrintOptions:
    """How many digits numbers have, -1 for the default."""

    __slots__ = ("precision",)

    def __init__(self, precision: int = -1) -> None:
        if not isinstance(precision, int):
            raise TypeError(f"PrintOptions: precision must be an integer, got {type(precision).__name__}")
        self.precision = precision


def get_printoptions() -> PrintOptions:
    """Return how arrays print."""
    return PrintOptions(_printing.get_printoptions().precision)


def set_printoptions(precision: int = -1) -> None:
    """Set how many digits numbers print with; any negative number stands for the default."""
    _printing.set_printoptions(max(PrintOptions(precision).precision, -1))


@final
class _PrintOptionsContext:
    """A `with` block with print options of its own: what `printoptions` returns."""

    def __init__(self, options: PrintOptions) -> None:
        self._options = options
        self._before: list[PrintOptions] = []

    def __enter__(self) -> _PrintOptionsContext:
        self._before.append(get_printoptions())
        set_printoptions(self._options.precision)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._before:
            set_printoptions(self._before.pop().precision)


def printoptions(precision: int = -1) -> _PrintOptionsContext:
    """Set how arrays print within a `with` block."""
    return _PrintOptionsContext(PrintOptions(precision))
