"""Dtypes, constants and evaluation: what is the same in funcnn."""

from __future__ import annotations

from typing import Any

from funcnn import (
    Dtype,
    DtypeCategory,
    bfloat16,
    bool_,
    broadcast_shapes,
    can_cast,
    complex64,
    complexfloating,
    e,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    floating,
    generic,
    iinfo,
    inexact,
    inf,
    int8,
    int16,
    int32,
    int64,
    integer,
    isdtype,
    issubdtype,
    nan,
    newaxis,
    number,
    pi,
    result_type,
    signedinteger,
    uint8,
    uint16,
    uint32,
    uint64,
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
    "Dtype",
    "DtypeCategory",
    "async_eval",
    "bfloat16",
    "bool_",
    "broadcast_shapes",
    "can_cast",
    "complex64",
    "complexfloating",
    "e",
    "euler_gamma",
    "eval",
    "finfo",
    "float16",
    "float32",
    "float64",
    "floating",
    "generic",
    "iinfo",
    "inexact",
    "inf",
    "int16",
    "int32",
    "int64",
    "int8",
    "integer",
    "isdtype",
    "issubdtype",
    "nan",
    "newaxis",
    "number",
    "pi",
    "result_type",
    "signedinteger",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "unsignedinteger",
]
