"""Dtypes, which print as MLX's, and their limits."""

from __future__ import annotations

from typing import Any, final

import funcnn as fn

from ... import _core

Dtype = _core.Dtype

bool_ = _core._mutable_dtype(_core.bool_)
uint8 = _core._mutable_dtype(_core.uint8)
uint16 = _core._mutable_dtype(_core.uint16)
uint32 = _core._mutable_dtype(_core.uint32)
uint64 = _core._mutable_dtype(_core.uint64)
int8 = _core._mutable_dtype(_core.int8)
int16 = _core._mutable_dtype(_core.int16)
int32 = _core._mutable_dtype(_core.int32)
int64 = _core._mutable_dtype(_core.int64)
float16 = _core._mutable_dtype(_core.float16)
bfloat16 = _core._mutable_dtype(_core.bfloat16)
float32 = _core._mutable_dtype(_core.float32)
float64 = _core._mutable_dtype(_core.float64)
complex64 = _core._mutable_dtype(_core.complex64)


def result_type(*arrays_and_dtypes: Any) -> Dtype:
    """Find the dtype that arrays and dtypes promote to together."""
    for x in arrays_and_dtypes:
        if not isinstance(x, (_core.array, Dtype)):
            raise ValueError(f"result_type: expected arrays and dtypes, got {type(x).__name__}")
    return _core._mutable_dtype(_core.result_type(*arrays_and_dtypes))


def issubdtype(arg1: Dtype | fn.DtypeCategory, arg2: Dtype | fn.DtypeCategory) -> bool:
    """Tell whether a dtype or category is another one, or of it."""
    if isinstance(arg1, Dtype) and isinstance(arg2, fn.DtypeCategory):  # by far the most frequent
        return arg1 in arg2._held
    for x in (arg1, arg2):
        if not isinstance(x, (Dtype, fn.DtypeCategory)):
            raise ValueError(f"issubdtype: expected dtypes and their categories, got {type(x).__name__}")
    return fn.issubdtype(arg1, arg2)


def _limits(kind: type[_core.finfo | _core.iinfo], dtype: Any) -> Any:
    if not isinstance(dtype, Dtype):
        raise TypeError(f"{kind.__name__}: expected a dtype, got {type(dtype).__name__}")
    return kind(dtype)


@final
class finfo:
    """The limits of a floating-point dtype; of a complex one, those of its parts.

    Raises:
        ValueError: for another dtype.
        TypeError: for what is no dtype.
    """

    def __init__(self, dtype: Dtype, /) -> None:
        limits = _limits(_core.finfo, dtype)
        self.dtype = _core._mutable_dtype(limits.dtype)
        self.bits: int = limits.bits
        self.eps: float = limits.eps
        self.max: float = limits.max
        self.min: float = limits.min
        self.smallest_normal: float = limits.smallest_normal

    def __repr__(self) -> str:
        return f"finfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype.name})"


@final
class iinfo:
    """The limits of an integer dtype.

    Raises:
        ValueError: for another dtype.
        TypeError: for what is no dtype.
    """

    def __init__(self, dtype: Dtype, /) -> None:
        limits = _limits(_core.iinfo, dtype)
        self.dtype = _core._mutable_dtype(limits.dtype)
        self.max: int = limits.max
        self.min: int = limits.min

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"


__all__ = [
    "Dtype",
    "bfloat16",
    "bool_",
    "complex64",
    "finfo",
    "float16",
    "float32",
    "float64",
    "iinfo",
    "int16",
    "int32",
    "int64",
    "int8",
    "issubdtype",
    "result_type",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
]
