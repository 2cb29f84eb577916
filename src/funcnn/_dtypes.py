"""Categories of dtypes, as MLX and NumPy have them."""

from __future__ import annotations

import enum
from typing import Any

from . import _core
from ._core import Dtype


class DtypeCategory(enum.Enum):
    """A set of dtypes for :func:`issubdtype`.

    ``generic`` holds ``bool_`` and ``number``; ``number`` the ``integer`` (``signedinteger``, ``unsignedinteger``) and the
    ``inexact`` ones (``floating``, ``complexfloating``).

    Example:
        >>> import funcnn as fn
        >>> fn.issubdtype(fn.int8, fn.integer), fn.issubdtype(fn.floating, fn.inexact)
        (True, True)
    """

    complexfloating = "complexfloating"
    floating = "floating"
    inexact = "inexact"
    signedinteger = "signedinteger"
    unsignedinteger = "unsignedinteger"
    integer = "integer"
    number = "number"
    generic = "generic"

    _held: frozenset[Any]  # the category itself, the dtypes in it and the categories below it

    def __repr__(self) -> str:
        return f"DtypeCategory.{self.name}"


complexfloating, floating, inexact = DtypeCategory.complexfloating, DtypeCategory.floating, DtypeCategory.inexact
signedinteger, unsignedinteger = DtypeCategory.signedinteger, DtypeCategory.unsignedinteger
integer, number, generic = DtypeCategory.integer, DtypeCategory.number, DtypeCategory.generic

_ABOVE = {
    complexfloating: inexact,
    floating: inexact,
    inexact: number,
    signedinteger: integer,
    unsignedinteger: integer,
    integer: number,
    number: generic,
}
_KINDS = {
    "real floating": floating,
    "complex floating": complexfloating,
    "signed integer": signedinteger,
    "unsigned integer": unsignedinteger,
    "bool": generic,
}


def _hold() -> None:
    dtypes = [x for x in vars(_core).values() if isinstance(x, _core.Dtype)]
    above: dict[Any, set[Any]] = {
        dtype: {category for kind, category in _KINDS.items() if _core.isdtype(dtype, kind)} for dtype in dtypes
    }
    above |= {category: {category} for category in DtypeCategory}
    for found in above.values():
        while further := {_ABOVE[category] for category in found if category in _ABOVE} - found:
            found |= further
    for category in DtypeCategory:
        category._held = frozenset(x for x, found in above.items() if category in found)


_hold()


def _dtype(x: Any) -> Dtype:
    if isinstance(x, _core.array):
        raise TypeError("issubdtype: expected dtypes or categories, got an array; pass its dtype")
    return _core.result_type(x)


def issubdtype(arg1: Dtype | DtypeCategory, arg2: Dtype | DtypeCategory) -> bool:
    """Say whether a dtype or category belongs to another.

    Args:
        arg1: The dtype or category that may belong.
        arg2: The category, or a dtype, to which nothing belongs but itself.

    Returns:
        Whether it does.

    Raises:
        TypeError: An argument is neither.

    Example:
        >>> import funcnn as fn
        >>> fn.issubdtype(fn.bfloat16, fn.floating), fn.issubdtype(fn.float32, fn.float64)
        (True, False)
    """
    if not isinstance(arg2, DtypeCategory):
        return not isinstance(arg1, DtypeCategory) and _dtype(arg1) == _dtype(arg2)
    return (arg1 if isinstance(arg1, (_core.Dtype, DtypeCategory)) else _dtype(arg1)) in arg2._held


__all__ = [
    "DtypeCategory",
    "complexfloating",
    "floating",
    "generic",
    "inexact",
    "integer",
    "issubdtype",
    "number",
    "signedinteger",
    "unsignedinteger",
]
