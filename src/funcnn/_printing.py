"""How arrays print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from ._arguments import integer


@attrs.frozen
class PrintOptions:
    """How arrays print.

    Attributes:
        precision: How many digits are shown after the point, zeros included; -1 for as many as tell each number from its
            neighbours, but 8 at most.
    """

    precision: int = -1


_options = PrintOptions()


def get_printoptions() -> PrintOptions:
    """Return how arrays print.

    Returns:
        The :class:`PrintOptions` set last.

    Example:
        >>> import funcnn as fn
        >>> fn.get_printoptions()
        PrintOptions(precision=-1)
    """
    return _options


def set_printoptions(precision: int = -1) -> None:
    """Set how arrays print, for all threads.

    Args:
        precision: How many digits to show after the point; -1 for as many as needed.

    Raises:
        ValueError: `precision` is below -1.

    Example:
        >>> import funcnn as fn
        >>> fn.set_printoptions(precision=2)
        >>> fn.array([1.23456, 2.0])
        array([1.23, 2.00], dtype=float32)
        >>> fn.set_printoptions()
    """
    global _options
    _options = _checked(precision)


@contextmanager
def printoptions(precision: int = -1) -> Iterator[None]:
    """Set how arrays print within a `with` block.

    Args:
        precision: How many digits to show after the point; -1 for as many as needed.

    Raises:
        ValueError: `precision` is below -1.

    Example:
        >>> import funcnn as fn
        >>> with fn.printoptions(precision=1):
        ...     print(fn.array([1.23456]))
        array([1.2], dtype=float32)
    """
    global _options
    before, _options = _options, _checked(precision)
    try:
        yield
    finally:
        _options = before


def _checked(precision: Any) -> PrintOptions:
    digits = integer(precision, "set_printoptions: precision")
    if digits < -1:
        raise ValueError(f"set_printoptions: precision must be -1 or a number of digits, got {digits}")
    return PrintOptions(digits)


def numpy_options() -> dict[str, Any]:
    """The same for NumPy, which writes the elements."""
    if _options.precision < 0:
        return {}
    return {"precision": _options.precision, "floatmode": "fixed"}


__all__ = ["PrintOptions", "get_printoptions", "printoptions", "set_printoptions"]
