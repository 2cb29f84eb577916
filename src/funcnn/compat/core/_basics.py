"""Categories of dtypes, constants and evaluation: what is the same in funcnn."""

from __future__ import annotations

from typing import Any

from funcnn import (
    DtypeCategory,
    broadcast_shapes,
    can_cast,
    complexfloating,
    e,
    euler_gamma,
    floating,
    generic,
    inexact,
    inf,
    integer,
    isdtype,
    nan,
    newaxis,
    number,
    pi,
    signedinteger,
    unsignedinteger,
)

from ... import _core

_native: Any = _core.compat


def eval(*args: Any) -> None:
    """Compute arrays now: the arguments, and those in lists, tuples, dicts and modules. Other leaves are ignored.

    Raises:
        ValueError: A function is being compiled or mapped, where there are no values.

    >>> import funcnn.compat.core as mx
    >>> x = mx.array([1.0]) + 1
    >>> mx.eval({"x": [x]}, None)
    """
    _native.eval(*args)


def async_eval(*args: Any) -> None:
    """Start to compute what ``eval`` would compute; looking at a value waits for it.

    >>> import funcnn.compat.core as mx
    >>> x = mx.array([1.0]) + 1
    >>> mx.async_eval(x)
    >>> x.item()
    2.0
    """
    _native.async_eval(*args)


__all__ = [
    "DtypeCategory",
    "async_eval",
    "broadcast_shapes",
    "can_cast",
    "complexfloating",
    "e",
    "euler_gamma",
    "eval",
    "floating",
    "generic",
    "inexact",
    "inf",
    "integer",
    "isdtype",
    "nan",
    "newaxis",
    "number",
    "pi",
    "signedinteger",
    "unsignedinteger",
]
